//! The scheduler: binds pods to nodes.
//!
//! There is one node. Every pod without a node is bound to it, unless another pod of the node holds one of its host
//! ports: then the pod stays pending, and is tried again when those ports are freed.

use std::sync::Arc;

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::{Pod, PodCondition};

use super::host_ports::HostPortAllocations;
use crate::clock::Clock;
use crate::control::{
    ChangeKind, ControlPlane, Object, Preconditions, Reason, Resource, Scope, Status, Update, WatchEvent,
};
use crate::events::{EventType, Recorder};
use crate::model::host_ports::host_ports;
use crate::model::pods;

/// The message about a pod whose host ports are taken, in the words of kube-scheduler 1.36.
const NO_FREE_PORTS: &str = "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports. \
    no new claims to deallocate, preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.";

/// Binds pods to one node.
pub struct Scheduler {
    /// The control plane of the pods.
    pub control: Arc<dyn ControlPlane>,
    /// The name of the node.
    pub node: String,
    /// Records a `Scheduled` or `FailedScheduling` event for each pod.
    pub recorder: Recorder,
    /// The time of conditions.
    pub clock: Clock,
}

impl Scheduler {
    /// Binds pods until cancelled. Lists again when its watch expires.
    pub async fn run(self) {
        let scope = Scope::all(Resource::PODS);
        loop {
            if let Err(error) = self.list_and_watch(&scope).await {
                tracing::debug!(%error, "the scheduler's watch ended; listing again");
            }
        }
    }

    async fn list_and_watch(&self, scope: &Scope) -> Result<(), Status> {
        let list = self.control.list(scope).await?;
        let mut ports = HostPortAllocations::default();
        // The pods that hold ports come first.
        let is_unbound = |object: &Arc<Object>| decode(object).is_some_and(|pod| !is_bound(&pod));
        let (unbound, bound): (Vec<_>, Vec<_>) = list.items.into_iter().partition(is_unbound);
        for object in bound.into_iter().chain(unbound) {
            self.schedule(object, &mut ports).await;
        }
        let mut watch = self.control.watch(scope, list.revision).await?;
        while let Some(event) = watch.next().await {
            let WatchEvent::Change(kind, object) = event? else { continue };
            match kind {
                ChangeKind::Added => self.schedule(object, &mut ports).await,
                ChangeKind::Modified if !ports.contains(&object.key) => {}
                ChangeKind::Modified | ChangeKind::Deleted => {
                    let is_deleted = kind == ChangeKind::Deleted;
                    let schedulable = decode(&object).map(|pod| ports.observe(&object, &pod, is_deleted));
                    for object in schedulable.into_iter().flatten() {
                        self.schedule(object, &mut ports).await;
                    }
                }
            }
        }
        Ok(())
    }

    /// Binds a pod that has no node, or reports that it does not fit. Takes in the ports of one that has a node.
    async fn schedule(&self, object: Arc<Object>, ports: &mut HostPortAllocations) {
        let Some(pod) = decode(&object) else { return };
        if is_bound(&pod) {
            return ports.add_bound(&pod);
        }
        if pod.metadata.deletion_timestamp.is_some() {
            return;
        }
        let wanted = host_ports(&pod);
        if ports.has_conflict(&wanted) {
            ports.add_unschedulable(object.clone(), wanted);
            self.report_unschedulable(&object, &pod).await;
        } else if self.bind(&object, &pod).await {
            ports.add(&object.key, wanted);
        }
    }

    /// Binds the pod to the node. Returns whether it is bound.
    async fn bind(&self, object: &Object, pod: &Pod) -> bool {
        match self.control.update(&object.key, Update::Bind { node: self.node.clone() }, same(pod)).await {
            Ok(_) => {
                let (namespace, name, node) = (pods::namespace(pod), pods::name(pod), &self.node);
                let message = format!("Successfully assigned {namespace}/{name} to {node}");
                self.recorder.record(pod, None, EventType::Normal, "Scheduled", message);
                true
            }
            // Another client has deleted or bound the pod meanwhile.
            Err(status) if matches!(status.reason, Reason::NotFound | Reason::Conflict) => false,
            Err(error) => {
                tracing::error!(pod = %object.key, %error, "cannot bind a pod");
                false
            }
        }
    }

    /// Records the event and sets the condition of a pod that does not fit.
    async fn report_unschedulable(&self, object: &Object, pod: &Pod) {
        self.recorder.record(pod, None, EventType::Warning, "FailedScheduling", NO_FREE_PORTS.into());
        let mut status = pod.status.clone().unwrap_or_default();
        let conditions = status.conditions.get_or_insert_default();
        if conditions.iter().any(|c| c.type_ == "PodScheduled" && c.status == "False") {
            return;
        }
        conditions.push(PodCondition {
            type_: "PodScheduled".into(),
            status: "False".into(),
            reason: Some("Unschedulable".into()),
            message: Some(NO_FREE_PORTS.into()),
            observed_generation: pod.metadata.generation,
            last_transition_time: Some(pods::api_time(self.clock.wall())),
            ..PodCondition::default()
        });
        let update = Update::PodStatus(Box::new(status));
        if let Err(error) = self.control.update(&object.key, update, same(pod)).await {
            tracing::debug!(pod = %object.key, %error, "cannot report that a pod is unschedulable");
        }
    }
}

/// Requires that an update meets this very pod.
fn same(pod: &Pod) -> Preconditions {
    Preconditions { uid: Some(pods::uid(pod).into()), revision: None }
}

fn decode(object: &Object) -> Option<Arc<Pod>> {
    let decoded = object.decode().inspect_err(|error| {
        tracing::error!(pod = %object.key, %error, "cannot decode a stored pod");
    });
    decoded.ok()
}

/// Returns whether the pod has a node.
pub(super) fn is_bound(pod: &Pod) -> bool {
    pod.spec.as_ref().is_none_or(|spec| !spec.node_name.as_deref().unwrap_or_default().is_empty())
}

#[cfg(test)]
mod tests;
