//! The desired state that the agent hands to a pod's worker.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::allocation::PodResize;
use super::eviction::PodEviction;
use crate::control::Object;
use crate::lifecycle::Suspension;

/// What becomes of the pods when the node shuts down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeShutdown {
    /// They end as when a kubelet's machine shuts down: they fail with the reason `Terminated`, each within its own
    /// grace period. New pods are rejected.
    Terminate {
        /// The maximum grace period.
        grace: Duration,
    },
    /// They stop, and go on when the node runs again. New pods wait until then.
    Suspend(Suspension),
}

/// The state that a pod's worker is to achieve: the desired pod and its restarts.
#[derive(Clone)]
pub(super) struct DesiredState {
    /// The pod's newest object.
    pub(super) object: Arc<Object>,
    /// Restart requests by container.
    pub(super) restarts: BTreeMap<String, RestartRequests>,
    /// The answer to the resources that the newest spec requests.
    pub(super) resize: Option<PodResize>,
    /// The eviction of the pod, if the node cannot keep it.
    pub(super) eviction: Option<PodEviction>,
    /// What becomes of the pod, if the node shuts down.
    pub(super) shutdown: Option<NodeShutdown>,
    /// The UID of a static pod's mirror object that was deleted; the containers outlive it.
    pub(super) deleted_mirror: Option<String>,
    /// Whether the pod's object was removed.
    pub(super) is_removed: bool,
}

impl DesiredState {
    /// Returns the desired state of a pod that has just been stored as `object`.
    pub(super) fn new(object: Arc<Object>, shutdown: Option<NodeShutdown>) -> DesiredState {
        DesiredState {
            object,
            restarts: BTreeMap::new(),
            resize: None,
            eviction: None,
            shutdown,
            deleted_mirror: None,
            is_removed: false,
        }
    }
}

/// Restart requests for one container. Requests that the worker has not seen yet count as one.
#[derive(Clone, Copy, Default)]
pub(super) struct RestartRequests {
    /// The number of requests since the pod's worker started.
    pub(super) count: u64,
    /// The time that the running program has to exit.
    pub(super) grace: Duration,
}
