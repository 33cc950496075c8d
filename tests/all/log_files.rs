//! Logs in files: complete where memory holds only the end, kept for the previous attempt, removed with their pod.

use std::path::{Path, PathBuf};

use wasmpod::Node;
use wasmpod::k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use wasmpod::logs::{LogEntry, LogReader};
use wasmpod::model::pods;

use crate::support::{eventually, in_time, pod, scripts};

async fn lines(mut reader: LogReader) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some(entries) = in_time("the next lines arrive", reader.next()).await {
        lines.extend(entries.into_iter().map(|entry| match entry {
            LogEntry::Line(line) => String::from_utf8_lossy(&line.text).into_owned(),
            LogEntry::Gap(lines) => format!("gap of {lines}"),
        }));
    }
    lines
}

fn numbers(from: u32, to: u32) -> Vec<String> {
    (from..=to).map(|number| number.to_string()).collect()
}

/// Returns the directory of a pod's logs.
fn directory_of(logs: &Path, pod: &Pod) -> PathBuf {
    logs.join(format!("default_{}_{}", pods::name(pod), pods::uid(pod)))
}

/// Returns the status of the only container.
fn status(pod: &Pod) -> Option<&ContainerStatus> {
    pod.status.as_ref()?.container_statuses.as_ref()?.first()
}

#[tokio::test(flavor = "multi_thread")]
async fn log_larger_than_memory_is_read_whole_and_removed_with_pod() {
    let dir = tempfile::tempdir().expect("a directory");
    let logs = dir.path().join("logs");
    let node = Node::builder().log_dir(&logs).start().expect("a node");
    node.apply(scripts("p", &[("c", "seq 1 200000")]).as_str()).await.expect("applied");
    node.wait_complete("p").await.expect("it completes");
    let pod = node.pod("p").await.expect("the pod");
    let id = status(&pod).and_then(|status| status.container_id.as_deref()).expect("an ID");
    let log = node.handle().logs.find(pods::uid(&pod), "c", id).expect("a log");
    assert!(log.dropped_lines() > 100_000, "only {} lines were dropped from memory", log.dropped_lines());
    assert_eq!(lines(log.reader()).await, numbers(1, 200_000));
    let mut reader = log.reader();
    reader.skip_to_last(150_000).await;
    assert_eq!(lines(reader).await, numbers(50_001, 200_000));

    let directory = directory_of(&logs, &pod);
    eventually("the last lines are in the log file", async || {
        std::fs::read(directory.join("c/0.log")).is_ok_and(|text| text.ends_with(b" stdout F 200000\n"))
    })
    .await;
    node.delete("p").await.expect("deleted");
    eventually("the pod's log directory is removed", async || !directory.exists()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn previous_attempt_is_read_from_its_own_log_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = Node::builder().log_dir(dir.path()).start().expect("a node");
    let script = "seq 1 50000; test -f /v/again && exec sleep 1000; touch /v/again; exit 1";
    let spec = format!(
        "restartPolicy: OnFailure, volumes: [{{name: v, emptyDir: {{}}}}], containers: [{{name: c, image: busybox, \
         volumeMounts: [{{name: v, mountPath: /v}}], command: [sh, -c, {script:?}]}}]"
    );
    node.apply(pod("again", &spec)).await.expect("applied");
    let (pod, id) = eventually("the container runs again", async || {
        let pod = node.pod("again").await.expect("the pod");
        let previous = status(&pod).and_then(|status| {
            status.state.as_ref()?.running.as_ref()?;
            status.last_state.clone()?.terminated?.container_id
        });
        previous.map(|id| (pod.clone(), id)).ok_or(pod)
    })
    .await;
    let log = node.handle().logs.find(pods::uid(&pod), "c", &id).expect("the previous log");
    assert_eq!(lines(log.reader()).await, numbers(1, 50_000));
    let directory = directory_of(dir.path(), &pod).join("c");
    eventually("both attempts have a log file", async || {
        directory.join("0.log").exists() && directory.join("1.log").exists()
    })
    .await;
    node.stop().await;
    assert!(directory.join("0.log").exists(), "log files outlive the node, for log shippers");
    let next = Node::builder().log_dir(dir.path()).start().expect("the next node");
    eventually("the next node removes the files of the previous one", async || !directory.exists()).await;
    drop(next);
}
