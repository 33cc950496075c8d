//! Writes a pod's status to the control plane, whenever it differs from the stored one.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, PodStatus};

use super::super::NodeContext;
use super::StoredPod;
use crate::control::{Object, Preconditions, Reason, Update};
use crate::lifecycle::PodState;
use crate::model::pods;

/// The delay before a report that failed is tried again.
pub(super) const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Reports one pod's status.
pub(super) struct StatusReporter {
    /// The status that was written last.
    last_written: Option<PodStatus>,
    /// The pod as it was stored with that status; others may have changed it since.
    last_stored: Arc<Pod>,
    /// Whether the status may differ from the stored one.
    pub(super) dirty: bool,
    /// Whether a message will cause the next attempt after a failed one.
    pub(super) is_retry_planned: bool,
}

impl StatusReporter {
    pub(super) fn new(pod: &Arc<Pod>) -> StatusReporter {
        StatusReporter {
            last_written: pod.status.clone(),
            last_stored: pod.clone(),
            dirty: true,
            is_retry_planned: false,
        }
    }

    /// Replaces the known object by `object`, after which the status may have to be written again.
    pub(super) fn store(&mut self, stored: &mut StoredPod, object: Arc<Object>) {
        if let Some(newer) = StoredPod::decode(object) {
            *stored = newer;
            self.dirty = true;
        }
    }

    /// Writes the status of `state` if it has changed. Returns whether the pod's object still exists.
    pub(super) async fn report(&mut self, node: &NodeContext, stored: &mut StoredPod, state: &PodState) -> bool {
        while self.dirty {
            let status = state.status(&stored.pod, &node.config.host_ip, node.clock.now().wall);
            if self.is_written(&stored.pod, &status) {
                self.dirty = false;
                break;
            }
            // The revision protects conditions that others may have added in between.
            let revision = Some(stored.object.revision.to_string());
            let preconditions = Preconditions { uid: Some(stored.object_uid().into()), revision };
            let update = Update::PodStatus(Box::new(status.clone()));
            match node.control.update(&stored.object.key, update, preconditions).await {
                Ok(object) => {
                    self.store(stored, object);
                    (self.last_written, self.last_stored) = (Some(status), stored.pod.clone());
                    break;
                }
                Err(error) if error.reason == Reason::Conflict => {
                    if !self.refresh(node, stored).await {
                        return false;
                    }
                }
                Err(error) if error.reason == Reason::NotFound => return false,
                Err(error) => {
                    tracing::warn!(pod = %stored.object.key, %error, "cannot report a pod's status");
                    break;
                }
            }
        }
        true
    }

    /// Returns whether `status` was written last and the stored status has not changed since.
    fn is_written(&self, pod: &Arc<Pod>, status: &PodStatus) -> bool {
        let untouched = Arc::ptr_eq(&self.last_stored, pod) || self.last_stored.status == pod.status;
        untouched && self.last_written.as_ref() == Some(status)
    }

    /// Reads the pod's object again. Returns whether it still exists; another pod may have its name.
    async fn refresh(&mut self, node: &NodeContext, stored: &mut StoredPod) -> bool {
        match node.control.get(&stored.object.key).await {
            Ok(object) if object.decode::<Pod>().is_ok_and(|pod| pods::uid(&pod) == stored.object_uid()) => {
                self.store(stored, object);
            }
            Ok(_) => return false,
            Err(error) if error.reason == Reason::NotFound => return false,
            Err(error) => tracing::warn!(pod = %stored.object.key, %error, "cannot read a pod"),
        }
        true
    }
}
