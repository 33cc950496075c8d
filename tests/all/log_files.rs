//! Logs in files: complete where memory holds only the end, of the attempt before, too, and gone with
//! their pod.

use std::path::{Path, PathBuf};
use std::time::Duration;

use wasmpod::Node;
use wasmpod::k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use wasmpod::logs::{Entry, Reader};
use wasmpod::model::pods;

use crate::host::{pod, scripts};

async fn texts(mut reader: Reader) -> Vec<String> {
    let mut all = Vec::new();
    while let Some(entries) = reader.next().await {
        all.extend(entries.into_iter().map(|entry| match entry {
            Entry::Line(line) => String::from_utf8_lossy(&line.text).into_owned(),
            Entry::Gap(lines) => format!("gap of {lines}"),
        }));
    }
    all
}

fn numbers(from: u32, to: u32) -> Vec<String> {
    (from..=to).map(|number| number.to_string()).collect()
}

/// Waits, but not for ever, until `done` says so.
async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let waiting = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting).await.expect(what);
}

fn folder(logs: &Path, pod: &Pod) -> PathBuf {
    logs.join(format!("default_{}_{}", pods::name(pod), pods::uid(pod)))
}

fn status(pod: &Pod) -> &ContainerStatus {
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_deref());
    statuses.and_then(<[_]>::first).expect("a container's status")
}

#[tokio::test(flavor = "multi_thread")]
async fn log_larger_than_memory_is_read_whole_and_removed_with_pod() {
    let dir = tempfile::tempdir().expect("a folder");
    let logs = dir.path().join("logs");
    let node = Node::builder().log_folder(&logs).start().expect("a node");
    node.apply(scripts("p", &[("c", "seq 1 200000")]).as_str()).await.expect("applied");
    node.wait_complete("p").await.expect("it completes");
    let pod = node.pod("p").await.expect("the pod");
    let id = status(&pod).container_id.as_deref().expect("an ID");
    let log = node.handle().logs.of_attempt(pods::uid(&pod), "c", id).expect("a log");
    assert!(log.dropped() > 100_000, "memory has let {} lines go", log.dropped());
    assert_eq!(texts(log.reader()).await, numbers(1, 200_000));
    let mut reader = log.reader();
    reader.skip_to_last(150_000).await;
    assert_eq!(texts(reader).await, numbers(50_001, 200_000));

    let folder = folder(&logs, &pod);
    until("its last lines are written", || {
        std::fs::read(folder.join("c/0.log")).is_ok_and(|text| text.ends_with(b" stdout F 200000\n"))
    })
    .await;
    node.delete("p").await.expect("deleted");
    until("its folder goes with it", || !folder.exists()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn previous_attempt_is_read_from_its_own_log_file() {
    let dir = tempfile::tempdir().expect("a folder");
    let node = Node::builder().log_folder(dir.path()).start().expect("a node");
    let script = "seq 1 50000; test -f /v/again && exec sleep 1000; touch /v/again; exit 1";
    let spec = format!(
        "restartPolicy: OnFailure, volumes: [{{name: v, emptyDir: {{}}}}], containers: [{{name: c, image: busybox, \
         volumeMounts: [{{name: v, mountPath: /v}}], command: [sh, -c, {script:?}]}}]"
    );
    node.apply(pod("again", &spec)).await.expect("applied");
    let restarted = async {
        loop {
            let pod = node.pod("again").await.expect("the pod");
            let last = pod.status.as_ref().and(Some(status(&pod))).and_then(|s| s.last_state.clone());
            let running = status(&pod).state.as_ref().is_some_and(|state| state.running.is_some());
            match last.and_then(|state| state.terminated).and_then(|ended| ended.container_id).filter(|_| running) {
                Some(id) => break (pod, id),
                None => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    node.wait_ready("again").await.expect("it runs");
    let (pod, id) = tokio::time::timeout(Duration::from_secs(30), restarted).await.expect("it is restarted");
    let log = node.handle().logs.of_attempt(pods::uid(&pod), "c", &id).expect("the log before");
    assert_eq!(texts(log.reader()).await, numbers(1, 50_000));
    let folder = folder(dir.path(), &pod).join("c");
    until("both attempts have a file", || folder.join("0.log").exists() && folder.join("1.log").exists()).await;
    let place = folder.clone();
    node.stop().await;
    assert!(place.join("0.log").exists(), "what was written stays for whoever reads the folder");
    let next = Node::builder().log_folder(dir.path()).start().expect("the next node");
    until("the next node begins anew", || !place.exists()).await;
    drop(next);
}
