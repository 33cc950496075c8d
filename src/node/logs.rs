//! Where the logs of a node's attempts are found.

use std::collections::HashMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use parking_lot::Mutex;

use crate::logs::{Log, PodLogs, Spool};
use crate::model::pods;

/// The logs of all pods: for each container those of its current attempt and the one before.
#[derive(Default)]
pub struct Logs {
    /// Where they are written to files; in memory alone where there is none.
    spool: Option<Arc<Spool>>,
    /// Protects the table: by pod UID.
    pods: Mutex<HashMap<String, OfPod>>,
}

struct OfPod {
    files: Option<PodLogs>,
    /// By container name, newest attempt first.
    attempts: HashMap<String, Vec<Kept>>,
}

struct Kept {
    container_id: String,
    /// How often the container had been restarted.
    restarts: u32,
    log: Arc<Log>,
}

/// Logs kept for a container.
const KEPT: usize = 2;

impl Logs {
    pub(super) fn new(spool: Option<Arc<Spool>>) -> Logs {
        Logs { spool, pods: Mutex::default() }
    }

    /// The log of the attempt `container_id` of a container, while it is kept.
    pub fn of_attempt(&self, uid: &str, container: &str, container_id: &str) -> Option<Arc<Log>> {
        let pods = self.pods.lock();
        let kept = pods.get(uid)?.attempts.get(container)?;
        kept.iter().find(|k| k.container_id == container_id).map(|k| k.log.clone())
    }

    /// A log for a new attempt; that of the one before the last goes.
    pub(super) fn open(&self, pod: &Pod, container: &str, container_id: &str) -> Arc<Log> {
        let mut table = self.pods.lock();
        let uid = pods::uid(pod);
        let OfPod { files, attempts } = table.entry(uid.into()).or_insert_with(|| {
            let files = self.spool.as_ref().map(|spool| spool.pod_logs(pods::namespace(pod), pods::name(pod), uid));
            OfPod { files, attempts: HashMap::new() }
        });
        let kept = attempts.entry(container.into()).or_default();
        let restarts = kept.first().map_or(0, |last| last.restarts + 1);
        let log = files.as_ref().map_or_else(Log::new, |files| files.create_log(container, restarts));
        kept.insert(0, Kept { container_id: container_id.into(), restarts, log: log.clone() });
        let old = kept.split_off(kept.len().min(KEPT));
        if let Some(files) = files.as_ref().filter(|_| !old.is_empty()) {
            files.remove_files(old.iter().map(|kept| &kept.log));
        }
        log
    }

    /// Takes the log of an attempt back that did not begin: it has written nothing, and those before
    /// it are still asked for.
    pub(super) fn discard(&self, uid: &str, container: &str, container_id: &str) {
        if let Some(kept) = self.pods.lock().get_mut(uid).and_then(|pod| pod.attempts.get_mut(container)) {
            kept.retain(|kept| kept.container_id != container_id);
        }
    }

    /// Bytes of memory that the logs of a pod take.
    pub(super) fn bytes(&self, uid: &str) -> usize {
        let pods = self.pods.lock();
        pods.get(uid).map_or(0, |pod| pod.attempts.values().flatten().map(|kept| kept.log.memory_bytes()).sum())
    }

    /// Nobody will ask for the pod's logs any more.
    pub(super) fn forget(&self, uid: &str) {
        let Some(OfPod { files, attempts }) = self.pods.lock().remove(uid) else { return };
        if let Some(files) = files {
            files.remove_directory(attempts.values().flatten().map(|kept| &kept.log));
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::logs::{Entry, LogReader, Stream};

    fn a_pod() -> Pod {
        let text = "{metadata: {namespace: ns, name: p, uid: 7c9a7b0e-5b1d-4f0e-9a3c-2f1f0a9d8e7b}}";
        serde_yaml::from_str(text).expect("a pod")
    }

    async fn first_line(mut reader: LogReader) -> Option<Entry> {
        reader.next().await.and_then(|entries| entries.into_iter().next())
    }

    #[tokio::test]
    async fn the_last_two_attempts_that_began_are_kept_and_others_do_not_count() {
        let logs = Logs::new(None);
        let pod = a_pod();
        let uid = pods::uid(&pod);
        for id in ["a", "b"] {
            let log = logs.open(&pod, "c", id);
            log.write(Stream::Stdout, format!("{id}\n").as_bytes(), Timestamp::UNIX_EPOCH);
        }
        for id in ["x", "y", "z"] {
            logs.open(&pod, "c", id);
            logs.discard(uid, "c", id);
        }
        let last = logs.of_attempt(uid, "c", "b").expect("the last that began");
        assert!(matches!(first_line(last.reader()).await, Some(Entry::Line(line)) if *line.text == *b"b"));
        logs.open(&pod, "c", "d");
        let kept = ["a", "b", "d", "x"].map(|id| logs.of_attempt(uid, "c", id).is_some());
        assert_eq!(kept, [false, true, true, false]);
        logs.forget(uid);
        assert!(logs.of_attempt(uid, "c", "d").is_none());
    }

    #[tokio::test]
    async fn attempts_have_files_of_their_own_which_go_with_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let spool = Spool::new(folder.path()).expect("a spool");
        let logs = Logs::new(Some(spool.clone()));
        let pod = a_pod();
        let files = folder.path().join("ns_p_7c9a7b0e-5b1d-4f0e-9a3c-2f1f0a9d8e7b/c");
        let task = tokio::spawn(spool.run());
        for (id, left) in [("a", ["0.log"].as_slice()), ("b", &["0.log", "1.log"]), ("c", &["1.log", "2.log"])] {
            let log = logs.open(&pod, "c", id);
            log.write(Stream::Stdout, b"a line\n", Timestamp::UNIX_EPOCH);
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
