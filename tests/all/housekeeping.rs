//! Nothing of what is over stays: folders of attempts and pods, logs; and nobody else's is touched.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use wasmpod::control::{Key, Resource, Scope};
use wasmpod::embedded::Node;
use wasmpod::model::pods;

use crate::host::pod;
use crate::served::Place;

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waited = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waited).await.unwrap_or_else(|_| panic!("{what}"));
}

async fn seen(node: &Node, name: &str) -> Arc<Pod> {
    let object = node.control().get(&Key::pod("default", name)).await.expect("the pod");
    object.decode::<Pod>().expect("a pod")
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_old_attempts_and_deleted_pods_are_removed() {
    let folder = tempfile::tempdir().expect("a folder");
    let orphan = folder.path().join("pods/4b1d7c9a-0000-4f0e-9a3c-2f1f0a9d8e7b/containers");
    std::fs::create_dir_all(&orphan).expect("made");
    let node = Node::builder().folder(folder.path()).start().expect("a node");
    until("what an earlier node has left goes", async || names(&folder.path().join("pods")).is_empty()).await;
    let script = "echo mine > /tmp/x; if [ -e /data/again ]; then sleep 1000; fi; touch /data/again; exit 1";
    let spec = format!(
        "volumes: [{{name: v, emptyDir: {{}}}}], containers: [{{name: c, image: busybox, command: [sh, -c, '{script}'], \
         volumeMounts: [{{name: v, mountPath: /data}}]}}]"
    );
    let made = node.apply(pod("again", &spec)).await.expect("applied").remove(0);
    let own = folder.path().join("pods").join(pods::uid(&made));
    until("it runs again, and its first attempt's files are gone", async || {
        let restarts = seen(&node, "again").await.status.as_ref().and_then(|status| {
            status.container_statuses.as_ref().and_then(|all| all.first()).map(|status| status.restart_count)
        });
        restarts == Some(1) && names(&own.join("containers/c")) == ["2"]
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
    node.handle().shut_down(Duration::from_secs(20)).await;
    until("it ends", async || pods::is_terminal(&*seen(&node, "runs").await)).await;
    let over = seen(&node, "runs").await;
    let status = over.status.as_ref().expect("a status");
    assert_eq!((pods::phase(&over), status.reason.as_deref()), ("Failed", Some("Terminated")));
    let words = "Pod was terminated in response to imminent node shutdown.";
    assert_eq!(status.message.as_deref(), Some(words));
    let target = status.conditions.iter().flatten().find(|c| c.type_ == "DisruptionTarget").expect("K25");
    assert_eq!(target.reason.as_deref(), Some("TerminationByKubelet"));
    node.apply(pod("late", idle)).await.expect("applied");
    until("it is rejected", async || pods::is_terminal(&*seen(&node, "late").await)).await;
    let late = seen(&node, "late").await;
    assert_eq!(late.status.as_ref().and_then(|status| status.reason.as_deref()), Some("NodeShutdown"));
    assert_eq!(node.control().list(&Scope::all(Resource::PODS)).await.expect("a list").items.len(), 2);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn log_files_are_written_in_the_kubelet_layout() {
    let place = Place::new();
    let logs = place.state().with_file_name("logs");
    place.save(
        "web.yaml",
        &pod("web", "containers: [{name: c, image: busybox, command: [sh, -c, 'echo up; sleep 1000']}]"),
    );
    let child = place.serve().arg("--log-dir").arg(&logs).start();
    let node = crate::served::Served::of(child, place);
    node.wait("web-n1", "condition=Ready");
    let uid = node.asked("get pod web-n1 -o jsonpath={.metadata.uid}");
    let file = logs.join(format!("default_web-n1_{uid}/c/0.log"));
    let text = || std::fs::read_to_string(&file).unwrap_or_default();
    until("its line is written", async || text().ends_with(" stdout F up\n")).await;
    let others = tempfile::tempdir().expect("a folder");
    let theirs = others.path().join(format!("ns_theirs_{uid}"));
    std::fs::create_dir(&theirs).expect("made");
    let refused = Place::new().serve().arg("--log-dir").arg(others.path()).done().expect(2);
    assert!(refused.stderr.contains("it holds logs of pods that are not this node's"), "{}", refused.stderr);
    assert!(theirs.is_dir());
}
