//! A node that ends without warning, and the next one over the same store and directories.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, ContainerStatus, Event, Pod};
use tempfile::TempDir;
use wasmpod_test_support::eventually;

use super::Node;
use crate::clock::Clock;
use crate::control::{Body, ControlPlane, DeleteOptions, Resource, Scope};
use crate::logs::LogEntry;
use crate::model::pods;
use crate::registry::Registry;
use crate::store::ObjectStore;

/// The hash of a static pod's manifest, and the UID of a pod that does not exist.
const HASH: &str = "0af3651916cd43dd8448eb211c80319c";

/// What outlives a node.
struct Host {
    dir: TempDir,
    store: Arc<ObjectStore>,
}

impl Host {
    fn new() -> Host {
        Host { dir: tempfile::tempdir().expect("a directory"), store: ObjectStore::new(4096) }
    }

    fn start_node(&self) -> Node {
        let builder = Node::builder().data_dir(self.dir.path()).log_dir(self.logs()).store(self.store.clone());
        builder.max_container_restart_period(Duration::from_secs(1)).start().expect("a node")
    }

    fn logs(&self) -> PathBuf {
        self.dir.path().join("logs")
    }

    fn pod_dir(&self, pod: &Pod) -> PathBuf {
        self.dir.path().join("pods").join(pods::node_uid(pod))
    }

    fn container_logs(&self, pod: &Pod) -> PathBuf {
        self.logs().join(format!("default_{}_{}", pods::name(pod), pods::node_uid(pod))).join("c")
    }
}

fn pod(name: &str, metadata: &str, script: &str) -> Pod {
    let yaml = format!(
        "{{metadata: {{namespace: default, name: {name}{metadata}}}, spec: {{nodeName: wasmpod, restartPolicy: OnFailure, \
         volumes: [{{name: v, emptyDir: {{}}}}], containers: [{{name: c, image: busybox, \
         volumeMounts: [{{name: v, mountPath: /v}}], command: [sh, -c, {script:?}]}}]}}}}"
    );
    serde_yaml::from_str(&yaml).expect("a pod")
}

/// Waits until the status of the pod's only container is as wanted.
async fn wait_for(node: &Node, name: &str, is_wanted: impl Fn(&ContainerStatus) -> bool) -> Arc<Pod> {
    eventually("the status is as wanted", async || {
        let pod = node.pod(name).await.expect("the pod");
        if status(&pod).is_some_and(&is_wanted) { Ok(pod) } else { Err(pod) }
    })
    .await
}

fn status(pod: &Pod) -> Option<&ContainerStatus> {
    pod.status.as_ref()?.container_statuses.as_ref()?.first()
}

fn runs_after(restarts: i32) -> impl Fn(&ContainerStatus) -> bool {
    move |status| status.restart_count == restarts && status.state.as_ref().is_some_and(|state| state.running.is_some())
}

/// Returns the text of the current attempt's log and, after it, of the previous one's.
async fn log_texts(node: &Node, pod: &Pod) -> Vec<String> {
    let status = status(pod).expect("a status");
    let last = status.last_state.as_ref().and_then(|state| state.terminated.as_ref()?.container_id.as_deref());
    let mut texts = Vec::new();
    for id in status.container_id.as_deref().into_iter().chain(last) {
        let log = node.handle().logs.find(pods::node_uid(pod), "c", id).expect("a log");
        let mut reader = log.reader();
        reader.stop_at_current_end();
        let mut text = String::new();
        while let Some(entries) = reader.next().await {
            for entry in entries {
                let LogEntry::Line(line) = entry else { panic!("{entry:?}") };
                text += &format!("{} ", String::from_utf8_lossy(&line.text));
            }
        }
        texts.push(text.trim_end().to_string());
    }
    texts
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn volumes_and_logs_outlive_the_node() {
    let host = Host::new();
    let node = host.start_node();
    let script = "test -f /f && echo stale; echo > /f; echo life >> /v/n; cat /v/n; test -f /v/again && exec sleep 1000; \
                  touch /v/again; exit 1";
    let mirror = format!(", annotations: {{kubernetes.io/config.mirror: {HASH}}}");
    for (name, metadata) in [("own", ""), ("static", mirror.as_str())] {
        node.control().create(Body::from(pod(name, metadata, script))).await.expect("created");
    }
    node.control().create(Body::from(pod("done", "", "echo bye"))).await.expect("created");
    let mut first = Vec::new();
    for name in ["own", "static"] {
        let pod = wait_for(&node, name, runs_after(1)).await;
        eventually("both attempts have their logs", async || log_texts(&node, &pod).await == ["life life", "life"])
            .await;
        first.push(pod);
    }
    node.wait_complete("done").await.expect("it completes");
    drop(node);

    for pod in &first {
        // The status of one more attempt was lost.
        let dir = host.pod_dir(pod).join("containers/c/3");
        fs::create_dir_all(&dir).expect("made");
        fs::write(dir.join("f"), "").expect("written");
        fs::write(host.container_logs(pod).join("2.log"), "unknown\n").expect("written");
        fs::write(host.container_logs(pod).join("2.log.20260131-120000"), "unknown\n").expect("written");
    }
    let unknown = [format!("pods/{}", HASH.replace('0', "1")), format!("logs/default_x_{}", HASH.replace('0', "1"))];
    unknown.iter().for_each(|dir| fs::create_dir(host.dir.path().join(dir)).expect("made"));

    let node = host.start_node();
    for name in ["own", "static"] {
        let pod = wait_for(&node, name, runs_after(2)).await;
        let both = ["life life life", "life life"];
        eventually("both attempts have their logs", async || log_texts(&node, &pod).await == both).await;
        let container_logs = host.container_logs(&pod);
        eventually("both attempts have a file", async || names(&container_logs) == ["1.log", "2.log"]).await;
        let links = names(&host.logs().join("containers"));
        assert_eq!(links.iter().filter(|link| link.starts_with(&format!("{name}_default_c-"))).count(), 2, "{links:?}");
    }
    let done = node.pod("done").await.expect("the finished pod");
    assert_eq!(log_texts(&node, &done).await, ["bye"]);
    assert!(!host.pod_dir(&done).exists());
    assert!(unknown.iter().all(|dir| !host.dir.path().join(dir).exists()));

    let dir = host.pod_dir(&first[0]);
    assert!(dir.exists());
    node.delete("own").await.expect("deleted");
    assert!(!dir.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn volumes_outlive_a_set_up_that_fails() {
    let host = Host::new();
    let node = host.start_node();
    let map = serde_yaml::from_str("{metadata: {namespace: default, name: m}, data: {k: v}}");
    let map: ConfigMap = map.expect("a map");
    let key = node.control().create(Body::from(map)).await.expect("created").key.clone();
    let mut manifest = pod("p", "", "echo kept > /v/f; exec sleep 1000");
    let volume = serde_yaml::from_str("{name: m, configMap: {name: m}}").expect("a volume");
    manifest.spec.as_mut().expect("a spec").volumes.as_mut().expect("volumes").push(volume);
    node.control().create(Body::from(manifest)).await.expect("created");
    let pod = wait_for(&node, "p", runs_after(0)).await;
    let file = host.pod_dir(&pod).join("volumes/v/f");
    eventually("the container has written its file", async || file.exists()).await;
    drop(node);
    let registry = Registry::new(host.store.clone(), Clock::system());
    registry.delete(&key, DeleteOptions::default()).await.expect("deleted");

    let node = host.start_node();
    let scope = Scope::all(Resource::EVENTS);
    let is_mount_failure = |event: Arc<Event>| event.reason.as_deref() == Some("FailedMount");
    eventually("the mount fails", async || {
        let list = node.control().list(&scope).await.expect("a list");
        list.items.iter().filter_map(|object| object.decode().ok()).any(is_mount_failure)
    })
    .await;
    assert!(file.exists());
    node.delete("p").await.expect("deleted");
    assert!(!host.pod_dir(&pod).exists());
}
