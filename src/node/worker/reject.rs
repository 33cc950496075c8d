//! The worker of a pod that the node does not admit.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Pod, PodStatus};
use tokio::sync::watch;

use super::super::NodeContext;
use super::super::admission::Rejection;
use super::super::desired::DesiredState;
use super::super::events::PodEvents;
use crate::control::{Preconditions, Update};
use crate::lifecycle::PodState;
use crate::model::pods;

/// Fails the pod with `rejection` and waits until its object is gone (K13, K14).
pub(in super::super) async fn reject(
    node: Arc<NodeContext>,
    mut desired: watch::Receiver<DesiredState>,
    rejection: Rejection,
) {
    let object = desired.borrow_and_update().object.clone();
    let Ok(pod) = object.decode::<Pod>() else { return };
    let Rejection { reason, message } = rejection;
    PodEvents { recorder: &node.recorder, pod: &pod, state: &PodState::new(&pod) }.record_rejection(&reason, &message);
    let status = PodStatus {
        phase: Some("Failed".into()),
        reason: Some(reason),
        message: Some(format!("Pod was rejected: {message}")),
        start_time: Some(pods::api_time(node.clock.now().wall)),
        observed_generation: pod.metadata.generation,
        ..pod.status.clone().unwrap_or_default()
    };
    let preconditions = Preconditions { uid: Some(pods::uid(&pod).into()), revision: None };
    let written = node.control.update(&object.key, Update::PodStatus(Box::new(status)), preconditions).await;
    if let Err(error) = written {
        tracing::debug!(pod = %object.key, %error, "cannot report that a pod was rejected");
    }
    drop(pod);
    // Nothing runs, so a deletion is final at once; it closes the channel.
    while desired.changed().await.is_ok() {}
}
