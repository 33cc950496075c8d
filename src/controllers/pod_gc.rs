//! The pod garbage collector: deletes finished pods beyond a threshold (K81; `gcTerminated` in Kubernetes' `pkg/controller/podgc`).
//!
//! Mirror objects of static pods do not count: the node would make them anew.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;

use crate::clock::Clock;
use crate::control::{ControlPlane, DeleteOptions, Key, Preconditions, Reason, Resource, Scope, Status};
use crate::model::pods::{self, MIRROR_ANNOTATION};

/// The default of kube-controller-manager's `--terminated-pod-gc-threshold`.
pub const DEFAULT_THRESHOLD: usize = 12_500;

/// Kubernetes' `gcCheckPeriod`.
const CHECK_PERIOD: Duration = Duration::from_secs(20);

/// Deletes finished pods beyond a threshold.
pub struct PodGarbageCollector {
    /// The control plane of the pods.
    pub control: Arc<dyn ControlPlane>,
    /// The time of checks.
    pub clock: Clock,
    /// The number of finished pods that are kept; zero keeps all.
    pub threshold: usize,
}

impl PodGarbageCollector {
    /// Collects pods until cancelled.
    pub async fn run(self) {
        if self.threshold == 0 {
            return;
        }
        loop {
            if let Err(error) = self.collect().await {
                tracing::warn!(%error, "cannot delete finished pods; retrying");
            }
            self.clock.sleep(CHECK_PERIOD).await;
        }
    }

    async fn collect(&self) -> Result<(), Status> {
        let list = self.control.list(&Scope::all(Resource::PODS)).await?;
        if list.items.len() <= self.threshold {
            return Ok(());
        }
        let all = list.items.iter().filter_map(|object| object.decode().ok()).collect();
        for pod in surplus(all, self.threshold) {
            let preconditions = Preconditions { uid: Some(pods::uid(&pod).into()), revision: None };
            let options = DeleteOptions { grace_seconds: Some(0), preconditions, ..DeleteOptions::default() };
            tracing::debug!(pod = pods::display_name(&pod), "deleting a finished pod beyond the threshold");
            match self.control.delete(&Key::pod(pods::namespace(&pod), pods::name(&pod)), options).await {
                // Another client was faster.
                Err(status) if matches!(status.reason, Reason::NotFound | Reason::Conflict) => {}
                deleted => drop(deleted?),
            }
        }
        Ok(())
    }
}

/// Returns the finished pods beyond `threshold`: evicted ones first, then the oldest.
fn surplus(mut pods: Vec<Arc<Pod>>, threshold: usize) -> Vec<Arc<Pod>> {
    pods.retain(|pod| pods::is_terminal(pod) && pods::annotation(pod, MIRROR_ANNOTATION).is_none());
    let count = pods.len().saturating_sub(threshold);
    let is_evicted = |pod: &Pod| pod.status.as_ref().and_then(|status| status.reason.as_deref()) == Some("Evicted");
    let created = |pod: &Pod| pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
    pods.sort_by_cached_key(|pod| (!is_evicted(pod), created(pod), pods::name(pod).to_string()));
    pods.truncate(count);
    pods
}

#[cfg(test)]
mod tests;
