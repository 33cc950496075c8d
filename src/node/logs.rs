//! The logs of a node's attempts, by pod and container.

use std::collections::HashMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use parking_lot::Mutex;

use crate::logs::{Log, PodLogs, Spool};
use crate::model::pods;

/// The logs of all pods: for each container, of its current attempt and the one before.
#[derive(Default)]
pub struct Logs {
    /// Writes the logs to files; without it, they are kept in memory only.
    spool: Option<Arc<Spool>>,
    /// Protects the table, by pod UID.
    pods: Mutex<HashMap<String, PodLogTable>>,
}

/// The logs of one pod.
struct PodLogTable {
    files: Option<PodLogs>,
    /// By container name, the newest attempt first.
    attempts: HashMap<String, Vec<AttemptLog>>,
}

/// The log of one attempt.
struct AttemptLog {
    container_id: String,
    /// The container's restart count, which names the log file.
    restarts: u32,
    log: Arc<Log>,
}

/// Number of logs that are kept per container.
const MAX_LOGS_PER_CONTAINER: usize = 2;

impl Logs {
    pub(super) fn new(spool: Option<Arc<Spool>>) -> Logs {
        Logs { spool, pods: Mutex::default() }
    }

    /// Returns the log of a container's attempt `container_id`, as long as it is kept.
    pub fn find(&self, uid: &str, container: &str, container_id: &str) -> Option<Arc<Log>> {
        let pods = self.pods.lock();
        let attempts = pods.get(uid)?.attempts.get(container)?;
        attempts.iter().find(|attempt| attempt.container_id == container_id).map(|attempt| attempt.log.clone())
    }

    /// Opens a log for a new attempt and removes the log of the attempt before the previous one.
    pub(super) fn open(&self, pod: &Pod, container: &str, container_id: &str) -> Arc<Log> {
        let mut table = self.pods.lock();
        let uid = pods::node_uid(pod);
        let PodLogTable { files, attempts } = table.entry(uid.into()).or_insert_with(|| {
            let files = self.spool.as_ref().map(|spool| spool.pod_logs(pods::namespace(pod), pods::name(pod), uid));
            PodLogTable { files, attempts: HashMap::new() }
        });
        let attempts = attempts.entry(container.into()).or_default();
        let restarts = attempts.first().map_or(0, |last| last.restarts + 1);
        let log = files.as_ref().map_or_else(Log::new, |files| files.create_log(container, restarts));
        attempts.insert(0, AttemptLog { container_id: container_id.into(), restarts, log: log.clone() });
        let old = attempts.split_off(attempts.len().min(MAX_LOGS_PER_CONTAINER));
        if let Some(files) = files.as_ref().filter(|_| !old.is_empty()) {
            files.remove_files(old.iter().map(|attempt| &attempt.log));
        }
        log
    }

    /// Removes the log of an attempt that did not start: it is empty, and must not displace the logs before it.
    pub(super) fn discard(&self, uid: &str, container: &str, container_id: &str) {
        if let Some(attempts) = self.pods.lock().get_mut(uid).and_then(|pod| pod.attempts.get_mut(container)) {
            attempts.retain(|attempt| attempt.container_id != container_id);
        }
    }

    /// Returns the bytes of memory that the logs of a pod take.
    pub(super) fn bytes(&self, uid: &str) -> usize {
        let pods = self.pods.lock();
        pods.get(uid).map_or(0, |pod| pod.attempts.values().flatten().map(|attempt| attempt.log.memory_bytes()).sum())
    }

    /// Removes the logs of a pod, files included.
    pub(super) fn remove_pod(&self, uid: &str) {
        let Some(PodLogTable { files, attempts }) = self.pods.lock().remove(uid) else { return };
        if let Some(files) = files {
            files.remove_directory(attempts.values().flatten().map(|attempt| &attempt.log));
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::logs::{LogEntry, LogReader, LogStreamType};

    fn a_pod() -> Pod {
        let text = "{metadata: {namespace: ns, name: p, uid: 7c9a7b0e-5b1d-4f0e-9a3c-2f1f0a9d8e7b}}";
        serde_yaml::from_str(text).expect("a pod")
    }

    async fn first_line(mut reader: LogReader) -> Option<LogEntry> {
        reader.next().await.and_then(|entries| entries.into_iter().next())
    }

    #[tokio::test]
    async fn logs_of_the_last_two_started_attempts_are_kept() {
        let logs = Logs::new(None);
        let pod = a_pod();
        let uid = pods::uid(&pod);
        for id in ["a", "b"] {
            let log = logs.open(&pod, "c", id);
            log.write(LogStreamType::Stdout, format!("{id}\n").as_bytes(), Timestamp::UNIX_EPOCH);
        }
        for id in ["x", "y", "z"] {
            logs.open(&pod, "c", id);
            logs.discard(uid, "c", id);
        }
        let last = logs.find(uid, "c", "b").expect("the last that started");
        assert!(matches!(first_line(last.reader()).await, Some(LogEntry::Line(line)) if *line.text == *b"b"));
        logs.open(&pod, "c", "d");
        let kept = ["a", "b", "d", "x"].map(|id| logs.find(uid, "c", id).is_some());
        assert_eq!(kept, [false, true, true, false]);
        logs.remove_pod(uid);
        assert!(logs.find(uid, "c", "d").is_none());
    }

    #[tokio::test]
    async fn each_attempt_has_a_log_file_removed_with_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let spool = Spool::new(dir.path()).expect("a spool");
        let logs = Logs::new(Some(spool.clone()));
        let pod = a_pod();
        let files = dir.path().join("ns_p_7c9a7b0e-5b1d-4f0e-9a3c-2f1f0a9d8e7b/c");
        let task = tokio::spawn(spool.run());
        for (id, left) in [("a", ["0.log"].as_slice()), ("b", &["0.log", "1.log"]), ("c", &["1.log", "2.log"])] {
            let log = logs.open(&pod, "c", id);
            log.write(LogStreamType::Stdout, b"a line\n", Timestamp::UNIX_EPOCH);
            let names = || {
                let mut names: Vec<_> = std::fs::read_dir(&files).into_iter().flatten().flatten().collect();
                names.sort_by_key(|entry| entry.file_name());
                names.iter().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect::<Vec<_>>()
            };
            let written = async {
                while names() != left {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(std::time::Duration::from_secs(30), written).await.expect("its file");
        }
        task.abort();
    }
}
