//! Where the logs of a node's attempts are found.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::logs::Log;

/// The logs of all pods: for each container those of its current attempt and the one before.
#[derive(Default)]
pub struct Logs {
    /// Protects the table: by pod UID and container name, newest attempt first.
    attempts: Mutex<HashMap<String, HashMap<String, Vec<Kept>>>>,
}

#[derive(Clone)]
struct Kept {
    container_id: String,
    log: Arc<Log>,
}

/// Logs kept for a container.
const KEPT: usize = 2;

impl Logs {
    /// The log of the attempt `container_id` of a container, while it is kept.
    pub fn of_attempt(&self, uid: &str, container: &str, container_id: &str) -> Option<Arc<Log>> {
        let attempts = self.attempts.lock();
        let kept = attempts.get(uid)?.get(container)?;
        kept.iter().find(|k| k.container_id == container_id).map(|k| k.log.clone())
    }

    pub(super) fn add(&self, uid: &str, container: &str, container_id: &str, log: Arc<Log>) {
        let mut attempts = self.attempts.lock();
        let kept = attempts.entry(uid.into()).or_default().entry(container.into()).or_default();
        kept.insert(0, Kept { container_id: container_id.into(), log });
        kept.truncate(KEPT);
    }

    pub(super) fn forget(&self, uid: &str) {
        self.attempts.lock().remove(uid);
    }
}
