//! The pods that run on a node, so that clients' sessions find containers and networks.
//!
//! Workers add what they start; the table keeps nothing alive. Bounds the sessions of each pod.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::attempt::RunningAttempt;
use crate::network::PodNetwork;

/// The maximum of concurrent sessions (exec, attach, port-forward) of a pod.
pub(super) const MAX_SESSIONS_PER_POD: usize = 128;

/// The running pods of a node.
#[derive(Default)]
pub(super) struct RunningPods {
    /// Protects the table, by pod UID.
    pods: Mutex<HashMap<String, RunningPod>>,
}

/// One running pod.
struct RunningPod {
    network: Weak<PodNetwork>,
    /// The current attempt of each container that has started, by container name.
    containers: HashMap<String, Weak<RunningAttempt>>,
    sessions: Arc<Semaphore>,
    /// Cancelled when the pod is removed.
    end: DropGuard,
}

impl RunningPods {
    /// Adds a pod whose sandbox is ready.
    pub(super) fn add_pod(&self, uid: &str, network: &Arc<PodNetwork>) {
        let pod = RunningPod {
            network: Arc::downgrade(network),
            containers: HashMap::new(),
            sessions: Arc::new(Semaphore::new(MAX_SESSIONS_PER_POD)),
            end: CancellationToken::new().drop_guard(),
        };
        self.pods.lock().insert(uid.into(), pod);
    }

    /// Sets the current attempt of a container.
    pub(super) fn set_container(&self, uid: &str, name: &str, attempt: &Arc<RunningAttempt>) {
        if let Some(pod) = self.pods.lock().get_mut(uid) {
            pod.containers.insert(name.into(), Arc::downgrade(attempt));
        }
    }

    /// Removes a pod.
    pub(super) fn remove_pod(&self, uid: &str) {
        self.pods.lock().remove(uid);
    }

    /// Returns the running attempt of a container.
    pub(super) fn attempt(&self, uid: &str, container: &str) -> Option<Arc<RunningAttempt>> {
        let attempt = self.pods.lock().get(uid)?.containers.get(container)?.upgrade()?;
        (!attempt.context.instances.is_closed()).then_some(attempt)
    }

    /// Returns the network of a pod.
    pub(super) fn network(&self, uid: &str) -> Option<Arc<PodNetwork>> {
        self.pods.lock().get(uid)?.network.upgrade()
    }

    /// Returns a token that is cancelled when the pod is removed.
    pub(super) fn end(&self, uid: &str) -> Option<CancellationToken> {
        Some(self.pods.lock().get(uid)?.end.token().clone())
    }

    /// Reserves a session of the pod until the permit is dropped; `None` if the pod has the maximum.
    pub(super) fn reserve_session(&self, uid: &str) -> Option<OwnedSemaphorePermit> {
        let sessions = self.pods.lock().get(uid)?.sessions.clone();
        sessions.try_acquire_owned().ok()
    }
}
