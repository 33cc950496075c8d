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
            let files = self.spool.as_ref().map(|spool| spool.pod(pods::namespace(pod), pods::name(pod), uid));
            OfPod { files, attempts: HashMap::new() }
        });
        let kept = attempts.entry(container.into()).or_default();
        let restarts = kept.first().map_or(0, |last| last.restarts + 1);
        let log = files.as_ref().map_or_else(Log::new, |files| files.attempt(container, restarts));
        kept.insert(0, Kept { container_id: container_id.into(), restarts, log: log.clone() });
        let old = kept.split_off(kept.len().min(KEPT));
        if let Some(files) = files.as_ref().filter(|_| !old.is_empty()) {
            files.remove(old.iter().map(|kept| &kept.log));
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

    /// The pod is gone.
    pub(super) fn forget(&self, uid: &str) {
        let Some(OfPod { files, attempts }) = self.pods.lock().remove(uid) else { return };
        if let Some(files) = files {
            files.remove_all(attempts.values().flatten().map(|kept| &kept.log));
        }
    }
}
