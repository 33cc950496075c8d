//! The logs of a node's attempts, by pod and container.

use std::collections::HashMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod};
use parking_lot::Mutex;

use crate::budget::RetainedMemory;
use crate::logs::{EndedLogs, KeptLogs, Log, LogId, PodLogs, Spool};
use crate::model::{outcome, pods};

/// The logs of all pods: for each container, of its current attempt and the one before.
pub struct Logs {
    /// Writes the logs to files; without it, they are kept in memory only.
    spool: Option<Arc<Spool>>,
    /// The logs of ended attempts that are in memory.
    ended: Arc<EndedLogs>,
    /// Protects the table, by pod UID.
    pods: Mutex<HashMap<String, PodLogTable>>,
}

/// The logs of one pod.
struct PodLogTable {
    files: Option<PodLogs>,
    /// By container name.
    containers: HashMap<String, ContainerLogs>,
}

/// The logs of one container.
#[derive(Default)]
struct ContainerLogs {
    /// The newest attempt first.
    attempts: Vec<AttemptLog>,
    /// Whether an earlier node may have left files of attempts whose status was lost.
    has_unknown_files: bool,
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
    /// Returns an empty table. The logs of ended attempts count against `memory`.
    pub(super) fn new(spool: Option<Arc<Spool>>, memory: Arc<RetainedMemory>) -> Logs {
        Logs { spool, ended: EndedLogs::new(memory), pods: Mutex::default() }
    }

    /// Drops the lines of ended attempts from memory while it is scarce.
    pub fn drop_excess(&self) {
        self.ended.drop_excess();
    }

    /// Takes over the logs of `pods`, which an earlier node has run, and removes those of other pods. Nothing is read
    /// before a client asks for it.
    pub(super) async fn adopt(&self, pods: impl IntoIterator<Item = &Pod>) {
        let Some(spool) = &self.spool else { return };
        let mut kept = KeptLogs::default();
        for pod in pods {
            let files = self.files(pod);
            let logs = files.as_ref().map(|files| stored_logs(pod, files, &mut kept)).unwrap_or_default();
            self.pods.lock().insert(pods::node_uid(pod).into(), PodLogTable { files, containers: logs });
        }
        spool.remove_others(kept).await;
    }

    fn files(&self, pod: &Pod) -> Option<PodLogs> {
        let spool = self.spool.as_ref()?;
        Some(spool.pod_logs(pods::namespace(pod), pods::name(pod), pods::node_uid(pod)))
    }

    /// Returns the log of a container's attempt `container_id`, as long as it is kept.
    pub fn find(&self, uid: &str, container: &str, container_id: &str) -> Option<Arc<Log>> {
        let pods = self.pods.lock();
        let mut attempts = pods.get(uid)?.containers.get(container)?.attempts.iter();
        attempts.find(|attempt| attempt.container_id == container_id).map(|attempt| attempt.log.clone())
    }

    /// Opens a log for a new attempt, before which the container has restarted `restarts` times, and removes the log of
    /// the attempt before the previous one.
    pub(super) fn open(&self, pod: &Pod, container: &str, container_id: &str, restarts: u32) -> Arc<Log> {
        let mut table = self.pods.lock();
        let PodLogTable { files, containers } = table
            .entry(pods::node_uid(pod).into())
            .or_insert_with(|| PodLogTable { files: self.files(pod), containers: HashMap::new() });
        let ContainerLogs { attempts, has_unknown_files } = containers.entry(container.into()).or_default();
        // An attempt whose status was lost has the same number.
        let replaced = attempts.extract_if(.., |attempt| attempt.restarts >= restarts).collect::<Vec<_>>();
        let old = attempts.split_off(attempts.len().min(MAX_LOGS_PER_CONTAINER - 1));
        let removed: Vec<&Arc<Log>> = replaced.iter().chain(&old).map(|attempt| &attempt.log).collect();
        if let Some(files) = files.as_ref().filter(|_| !removed.is_empty()) {
            files.remove_files(removed);
        }
        if let Some(files) = files.as_ref().filter(|_| std::mem::take(has_unknown_files)) {
            files.remove_other_files(container, attempts.iter().map(|attempt| attempt.restarts).collect());
        }
        let id = LogId { container, container_id, restarts };
        let log = files.as_ref().map_or_else(Log::new, |files| files.create_log(id));
        self.ended.track(&log);
        attempts.insert(0, AttemptLog { container_id: container_id.into(), restarts, log: log.clone() });
        log
    }

    /// Removes the log of an attempt that did not start: it is empty, and must not displace the logs before it.
    pub(super) fn discard(&self, uid: &str, container: &str, container_id: &str) {
        if let Some(logs) = self.pods.lock().get_mut(uid).and_then(|pod| pod.containers.get_mut(container)) {
            logs.attempts.retain(|attempt| attempt.container_id != container_id);
        }
    }

    /// Removes the logs of a pod, files included.
    pub(super) fn remove_pod(&self, uid: &str) {
        let Some(mut table) = self.pods.lock().remove(uid) else { return };
        if let Some(files) = table.files.take() {
            files.remove_directory(table.logs());
        }
    }
}

impl PodLogTable {
    fn logs(&self) -> impl Iterator<Item = &Arc<Log>> {
        self.containers.values().flat_map(|logs| &logs.attempts).map(|attempt| &attempt.log)
    }
}

/// Returns the logs that the status of a pod promises, by container, and keeps their files.
fn stored_logs(pod: &Pod, files: &PodLogs, kept: &mut KeptLogs) -> HashMap<String, ContainerLogs> {
    kept.add_pod(files);
    let ephemeral = pod.status.iter().flat_map(|status| status.ephemeral_container_statuses.iter().flatten());
    let statuses = outcome::container_statuses(pod).chain(ephemeral);
    let mut containers: HashMap<String, ContainerLogs> = pods::container_names(pod)
        .map(|name| (name.into(), ContainerLogs { attempts: Vec::new(), has_unknown_files: true }))
        .collect();
    for status in statuses {
        let attempts = stored_attempts(status).into_iter().map(|(container_id, restarts)| {
            let id = LogId { container: &status.name, container_id, restarts };
            kept.add_log(files, id);
            AttemptLog { container_id: container_id.into(), restarts, log: files.stored_log(id) }
        });
        containers.entry(status.name.clone()).or_default().attempts = attempts.collect();
    }
    containers
}

/// Returns the IDs of the attempts that a status shows, the newest first, each with its number of restarts.
fn stored_attempts(status: &ContainerStatus) -> Vec<(&str, u32)> {
    let count = u32::try_from(status.restart_count).unwrap_or(0);
    let (state, last) = (status.state.as_ref(), status.last_state.as_ref());
    let running = state.and_then(|state| state.running.as_ref()).and(status.container_id.as_deref());
    let current = running.or(state.and_then(terminated_id)).filter(|id| !id.is_empty());
    let last = last.and_then(terminated_id).filter(|id| !id.is_empty() && Some(*id) != current);
    // Between two attempts, the count is still that of the last one.
    let last_count = if current.is_some() { count.checked_sub(1) } else { Some(count) };
    let current = current.map(|id| (id, count));
    current.into_iter().chain(last.zip(last_count)).collect()
}

fn terminated_id(state: &ContainerState) -> Option<&str> {
    state.terminated.as_ref()?.container_id.as_deref()
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
        let logs = Logs::new(None, RetainedMemory::unlimited());
        let pod = a_pod();
        let uid = pods::uid(&pod);
        for (restarts, id) in (0..).zip(["a", "b"]) {
            let log = logs.open(&pod, "c", id, restarts);
            log.write(LogStreamType::Stdout, format!("{id}\n").as_bytes(), Timestamp::UNIX_EPOCH);
        }
        for id in ["x", "y", "z"] {
            logs.open(&pod, "c", id, 2);
            logs.discard(uid, "c", id);
        }
        let last = logs.find(uid, "c", "b").expect("the last that started");
        assert!(matches!(first_line(last.reader()).await, Some(LogEntry::Line(line)) if *line.text == *b"b"));
        logs.open(&pod, "c", "d", 2);
        let kept = ["a", "b", "d", "x"].map(|id| logs.find(uid, "c", id).is_some());
        assert_eq!(kept, [false, true, true, false]);
        logs.remove_pod(uid);
        assert!(logs.find(uid, "c", "d").is_none());
    }

    #[tokio::test]
    async fn each_attempt_has_a_log_file_removed_with_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let spool = Spool::new(dir.path()).expect("a spool");
        let logs = Logs::new(Some(spool.clone()), RetainedMemory::unlimited());
        let pod = a_pod();
        let files = dir.path().join("ns_p_7c9a7b0e-5b1d-4f0e-9a3c-2f1f0a9d8e7b/c");
        let task = tokio::spawn(spool.run());
        let expected = [("a", ["0.log"].as_slice()), ("b", &["0.log", "1.log"]), ("c", &["1.log", "2.log"])];
        for (restarts, (id, left)) in (0..).zip(expected) {
            let log = logs.open(&pod, "c", id, restarts);
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

    #[test]
    fn status_tells_the_attempts_with_logs() {
        let terminated = |id: &str| format!("{{terminated: {{exitCode: 1, containerID: {id}}}}}");
        for (status, expected) in [
            ("state: {waiting: {}}".to_string(), [].as_slice()),
            ("containerID: a, state: {running: {}}".into(), &[("a", 3)]),
            (
                format!("containerID: b, state: {{running: {{}}}}, lastState: {}", terminated("a")),
                &[("b", 3), ("a", 2)],
            ),
            (format!("containerID: a, state: {{waiting: {{}}}}, lastState: {}", terminated("a")), &[("a", 3)]),
            // The next attempt exists, but the status does not show it yet.
            (format!("containerID: b, state: {}", terminated("a")), &[("a", 3)]),
            (
                format!("containerID: b, state: {}, lastState: {}", terminated("b"), terminated("a")),
                &[("b", 3), ("a", 2)],
            ),
        ] {
            let yaml = format!("{{name: c, image: '', imageID: '', ready: false, restartCount: 3, {status}}}");
            let status: ContainerStatus = serde_yaml::from_str(&yaml).expect("a status");
            assert_eq!(stored_attempts(&status), expected, "{yaml}");
        }
    }
}
