//! The desired state that the agent hands to a pod's worker.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::allocation::PodResize;
use super::eviction::PodEviction;
use crate::control::Object;

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
    /// The time that the node's shutdown leaves to the pod, if the node shuts down.
    pub(super) shutdown_grace: Option<Duration>,
    /// The UID of a static pod's mirror object that was deleted; the containers outlive it.
    pub(super) deleted_mirror: Option<String>,
    /// Whether the pod's object was removed.
    pub(super) is_removed: bool,
}

impl DesiredState {
    /// Returns the desired state of a pod that has just been stored as `object`.
    pub(super) fn new(object: Arc<Object>, shutdown_grace: Option<Duration>) -> DesiredState {
        DesiredState {
            object,
            restarts: BTreeMap::new(),
            resize: None,
            eviction: None,
            shutdown_grace,
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
