//! Cleanup after finished attempts and deleted pods: the files that a node removes, and those that it keeps.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use wasmpod::control::{Key, Resource, Scope};
use wasmpod::embedded::Node;
use wasmpod::model::pods;
use wasmpod::node::NodeShutdown;

use crate::support::{NodeDirectory, ServedNode, eventually, pod};

/// Returns the names in a directory, sorted; none if the directory does not exist.
fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

async fn stored(node: &Node, name: &str) -> Arc<Pod> {
    let object = node.control().get(&Key::pod("default", name)).await.expect("the pod");
    object.decode::<Pod>().expect("a pod")
}

/// Waits until the pod has finished, and returns it.
async fn finished(node: &Node, name: &str) -> Arc<Pod> {
    eventually(&format!("pod {name} has finished"), async || {
        let pod = stored(node, name).await;
        if pods::is_terminal(&pod) { Ok(pod) } else { Err(pod) }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_old_attempts_and_deleted_pods_are_removed() {
    let directory = tempfile::tempdir().expect("a directory");
    let orphan = directory.path().join("pods/4b1d7c9a-0000-4f0e-9a3c-2f1f0a9d8e7b/containers");
    std::fs::create_dir_all(&orphan).expect("created");
    let node = Node::builder().data_dir(directory.path()).start().expect("a node");
    let pods_directory = directory.path().join("pods");
    eventually("the files of a previous node are removed", async || names(&pods_directory).is_empty()).await;
    let script = "echo mine > /tmp/x; if [ -e /data/again ]; then sleep 1000; fi; touch /data/again; exit 1";
    let spec = format!(
        "volumes: [{{name: v, emptyDir: {{}}}}], containers: [{{name: c, image: busybox, command: [sh, -c, '{script}'], \
         volumeMounts: [{{name: v, mountPath: /data}}]}}]"
    );
    let created = node.apply(pod("again", &spec)).await.expect("applied").remove(0);
    let own = pods_directory.join(pods::uid(&created));
    eventually("the container runs again and the files of its first attempt are removed", async || {
        let pod = stored(&node, "again").await;
        let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
        let restarts = statuses.and_then(|statuses| statuses.first()).map(|status| status.restart_count);
        let attempts = names(&own.join("containers/c"));
        if restarts == Some(1) && attempts == ["2"] { Ok(()) } else { Err((restarts, attempts)) }
    })
    .await;
    node.delete("again").await.expect("deleted");
    assert!(!own.exists(), "{:?}", names(&own));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn node_shutdown_fails_running_pods_and_rejects_new_ones() {
    let node = Node::in_memory().expect("a node");
    let idle = "containers: [{name: c, image: busybox, command: [sleep, '1000']}]";
    node.apply(pod("runs", idle)).await.expect("applied");
    node.wait_ready("runs").await.expect("it runs");
    node.handle().shut_down(NodeShutdown::Terminate { grace: Duration::from_secs(20) }).await;
    let failed = finished(&node, "runs").await;
    let status = failed.status.as_ref().expect("a status");
    assert_eq!((pods::phase(&failed), status.reason.as_deref()), ("Failed", Some("Terminated")));
    let message = "Pod was terminated in response to imminent node shutdown.";
    assert_eq!(status.message.as_deref(), Some(message));
    let target = status.conditions.iter().flatten().find(|c| c.type_ == "DisruptionTarget").expect("a condition");
    assert_eq!(target.reason.as_deref(), Some("TerminationByKubelet"));
    node.apply(pod("late", idle)).await.expect("applied");
    let rejected = finished(&node, "late").await;
    assert_eq!(rejected.status.as_ref().and_then(|status| status.reason.as_deref()), Some("NodeShutdown"));
    assert_eq!(node.control().list(&Scope::all(Resource::PODS)).await.expect("a list").items.len(), 2);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn log_files_are_written_in_the_kubelet_layout() {
    let directory = NodeDirectory::new();
    let logs = directory.state().with_file_name("logs");
    let spec = "containers: [{name: c, image: busybox, command: [sh, -c, 'echo up; sleep 1000']}]";
    directory.save("web.yaml", &pod("web", spec));
    let process = directory.serve().arg("--log-dir").arg(&logs).start();
    let node = ServedNode::ready(process, directory);
    node.wait("web-n1", "condition=Ready");
    // The UID of a static pod in the kubelet.
    let hash = node.kubectl_stdout(r"get pod web-n1 -o jsonpath={.metadata.annotations.kubernetes\.io/config\.hash}");
    let file = logs.join(format!("default_web-n1_{hash}/c/0.log"));
    eventually("the line is in the log file", async || {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        if text.ends_with(" stdout F up\n") { Ok(()) } else { Err(text) }
    })
    .await;
}

#[test]
fn log_directory_of_another_node_is_refused() {
    let logs = tempfile::tempdir().expect("a directory");
    let foreign = logs.path().join("ns_theirs_4b1d7c9a-0000-4f0e-9a3c-2f1f0a9d8e7b");
    std::fs::create_dir(&foreign).expect("created");
    let output = NodeDirectory::new().serve().arg("--log-dir").arg(logs.path()).output().expect_code(2);
    assert!(output.stderr.contains("it contains pod logs of another node"), "{}", output.stderr);
    assert!(foreign.is_dir());
}
