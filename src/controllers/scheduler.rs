//! The scheduler: binds pods to nodes.
//!
//! There is one node. Every pod without a node is bound to it, unless another pod of the node holds one of its host
//! ports: then the pod stays pending, and is tried again when those ports are freed. While the node is cordoned, has taints
//! that a pod does not tolerate, or is deleted, pods wait until that changes. Pods with claims wait for volumes, which
//! nothing provisions yet.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use k8s_openapi::api::core::v1::{Node, PersistentVolumeClaim, Pod, PodCondition, Taint};

use super::host_ports::HostPortAllocations;
use crate::clock::Clock;
use crate::control::{
    ChangeKind, ControlPlane, Key, Object, Preconditions, Reason, Resource, Scope, Status, Update, WatchEvent,
};
use crate::events::{EventType, Recorder};
use crate::model::host_ports::host_ports;
use crate::model::pods;

/// The message about a pod whose host ports are taken, in the words of kube-scheduler 1.36.
const NO_FREE_PORTS: &str = "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports. \
    no new claims to deallocate, preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.";

/// The message about a pod that waits for a cordoned node, in the same words.
const CORDONED: &str = "0/1 nodes are available: 1 node(s) were unschedulable. no new claims to deallocate, preemption: \
    0/1 nodes are available: 1 Preemption is not helpful for scheduling.";

/// The message about a pod that does not tolerate the node's taints, in the same words.
const TAINTED: &str = "0/1 nodes are available: 1 node(s) had untolerated taint(s). no new claims to deallocate, \
    preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.";

/// The message about a pod when the node's object was deleted, in the same words.
const NO_NODES: &str = "no nodes available to schedule pods";

/// The message about a pod whose claims have no volumes, in the same words.
const UNBOUND_CLAIMS: &str = "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found";

const CLAIMS: Resource = Resource::of::<PersistentVolumeClaim>();

/// The taint of a cordoned node.
const UNSCHEDULABLE_TAINT: &str = "node.kubernetes.io/unschedulable";
/// The taint of new nodes, which the node itself removes as it registers.
const NOT_READY_TAINT: &str = "node.kubernetes.io/not-ready";

/// What the scheduler knows of its node.
#[derive(Default)]
struct NodeState {
    ports: HostPortAllocations,
    obstacles: Obstacles,
    /// The pods that wait until the obstacles or the claims change.
    waiting: BTreeMap<Key, Arc<Object>>,
}

/// What keeps pods from the node.
#[derive(Debug, Default, PartialEq)]
struct Obstacles {
    /// Whether the node's object was deleted.
    is_deleted: bool,
    /// Whether the node takes no new pods (`kubectl cordon`).
    is_cordoned: bool,
    /// The taints that new pods must tolerate.
    taints: Vec<Taint>,
}

impl Obstacles {
    fn of(node: &Node) -> Obstacles {
        let spec = node.spec.as_ref();
        let keeps_off = |taint: &&Taint| taint.effect != "PreferNoSchedule" && taint.key != NOT_READY_TAINT;
        let taints = spec.iter().flat_map(|spec| spec.taints.iter().flatten()).filter(keeps_off).cloned().collect();
        let is_cordoned = spec.is_some_and(|spec| spec.unschedulable == Some(true));
        Obstacles { is_deleted: false, is_cordoned, taints }
    }

    /// Returns the message about a pod that the obstacles keep from the node.
    fn message(&self, pod: &Pod) -> Option<&'static str> {
        let cordon = || Taint { key: UNSCHEDULABLE_TAINT.into(), effect: "NoSchedule".into(), ..Taint::default() };
        if self.is_deleted {
            Some(NO_NODES)
        } else if self.is_cordoned && !tolerates(pod, &cordon()) {
            Some(CORDONED)
        } else if !self.taints.iter().all(|taint| tolerates(pod, taint)) {
            Some(TAINTED)
        } else {
            None
        }
    }
}

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
        let nodes = Scope::all(Resource::NODES);
        let known_nodes = self.control.list(&nodes).await?;
        let list = self.control.list(scope).await?;
        let mut state = NodeState::default();
        for object in &known_nodes.items {
            self.observe_node(ChangeKind::Added, object, &mut state);
        }
        // The pods that hold ports come first.
        let is_unbound = |object: &Arc<Object>| decode(object).is_some_and(|pod| !is_bound(&pod));
        let (unbound, bound): (Vec<_>, Vec<_>) = list.items.into_iter().partition(is_unbound);
        for object in bound.into_iter().chain(unbound) {
            self.schedule(object, &mut state).await;
        }
        let pod_watch = self.control.watch(scope, list.revision).await?;
        let node_watch = self.control.watch(&nodes, known_nodes.revision).await?;
        let claim_watch = self.control.watch(&Scope::all(CLAIMS), list.revision).await?;
        let mut watch = stream::select(pod_watch, stream::select(node_watch, claim_watch));
        while let Some(event) = watch.next().await {
            let WatchEvent::Change(kind, object) = event? else { continue };
            let is_retry_due = if object.key.resource == Resource::NODES {
                self.observe_node(kind, &object, &mut state)
            } else if object.key.resource == CLAIMS {
                kind != ChangeKind::Modified
            } else {
                self.observe_pod(kind, object, &mut state).await;
                false
            };
            if is_retry_due {
                for object in std::mem::take(&mut state.waiting).into_values() {
                    self.schedule(object, &mut state).await;
                }
            }
        }
        Ok(())
    }

    /// Returns whether the obstacles have changed.
    fn observe_node(&self, kind: ChangeKind, object: &Object, state: &mut NodeState) -> bool {
        if *object.key.name != *self.node {
            return false;
        }
        let Ok(node) = object.decode::<Node>() else { return false };
        let obstacles = Obstacles { is_deleted: kind == ChangeKind::Deleted, ..Obstacles::of(&node) };
        let has_changed = obstacles != state.obstacles;
        state.obstacles = obstacles;
        has_changed
    }

    async fn observe_pod(&self, kind: ChangeKind, object: Arc<Object>, state: &mut NodeState) {
        match kind {
            ChangeKind::Added => self.schedule(object, state).await,
            ChangeKind::Modified | ChangeKind::Deleted if state.waiting.remove(&object.key).is_some() => {
                if kind == ChangeKind::Modified && decode(&object).is_some_and(|pod| !is_bound(&pod)) {
                    state.waiting.insert(object.key.clone(), object);
                }
            }
            ChangeKind::Modified if !state.ports.contains(&object.key) => {}
            ChangeKind::Modified | ChangeKind::Deleted => {
                let is_deleted = kind == ChangeKind::Deleted;
                let schedulable = decode(&object).map(|pod| state.ports.observe(&object, &pod, is_deleted));
                for object in schedulable.into_iter().flatten() {
                    self.schedule(object, state).await;
                }
            }
        }
    }

    /// Binds a pod that has no node, or reports that it does not fit. Takes in the ports of one that has a node.
    async fn schedule(&self, object: Arc<Object>, state: &mut NodeState) {
        let Some(pod) = decode(&object) else { return };
        if is_bound(&pod) {
            return state.ports.add_bound(&pod);
        }
        if pod.metadata.deletion_timestamp.is_some() {
            return;
        }
        let wanted = host_ports(&pod);
        let obstacle = match self.claims_message(&pod).await {
            None => state.obstacles.message(&pod).map(Cow::Borrowed),
            message => message,
        };
        if let Some(message) = obstacle {
            state.waiting.insert(object.key.clone(), object.clone());
            self.report_unschedulable(&object, &pod, &message).await;
        } else if state.ports.has_conflict(&wanted) {
            state.ports.add_unschedulable(object.clone(), wanted);
            self.report_unschedulable(&object, &pod, NO_FREE_PORTS).await;
        } else if self.bind(&object, &pod).await {
            state.ports.add(&object.key, wanted);
        }
    }

    /// Returns the message about a pod that waits for the volumes of its claims.
    async fn claims_message(&self, pod: &Pod) -> Option<Cow<'static, str>> {
        let mut claims = pods::claim_names(pod).peekable();
        claims.peek()?;
        for name in claims {
            let found = self.control.get(&Key::new(CLAIMS, pods::namespace(pod), name)).await;
            if found.is_err_and(|status| status.reason == Reason::NotFound) {
                let message = format!("0/1 nodes are available: persistentvolumeclaim \"{name}\" not found. not found");
                return Some(message.into());
            }
        }
        Some(UNBOUND_CLAIMS.into())
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
    async fn report_unschedulable(&self, object: &Object, pod: &Pod, message: &str) {
        self.recorder.record(pod, None, EventType::Warning, "FailedScheduling", message.into());
        let mut status = pod.status.clone().unwrap_or_default();
        let conditions = status.conditions.get_or_insert_default();
        match conditions.iter_mut().find(|condition| condition.type_ == "PodScheduled" && condition.status == "False") {
            Some(condition) if condition.message.as_deref() == Some(message) => return,
            Some(condition) => {
                condition.message = Some(message.into());
                condition.observed_generation = pod.metadata.generation;
            }
            None => conditions.push(PodCondition {
                type_: "PodScheduled".into(),
                status: "False".into(),
                reason: Some("Unschedulable".into()),
                message: Some(message.into()),
                observed_generation: pod.metadata.generation,
                last_transition_time: Some(pods::api_time(self.clock.wall())),
                ..PodCondition::default()
            }),
        }
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

/// Returns whether the pod may run on a node with this taint.
fn tolerates(pod: &Pod, taint: &Taint) -> bool {
    let tolerations = pod.spec.as_ref().and_then(|spec| spec.tolerations.as_deref()).unwrap_or_default();
    tolerations.iter().any(|toleration| {
        let unless_empty = |field: &Option<String>, wanted: &str| {
            field.as_deref().is_none_or(|value| value.is_empty() || value == wanted)
        };
        let value = |value: &Option<String>| value.clone().unwrap_or_default();
        let is_value = toleration.operator.as_deref() == Some("Exists")
            || toleration.key.is_some() && value(&toleration.value) == value(&taint.value);
        unless_empty(&toleration.effect, &taint.effect) && unless_empty(&toleration.key, &taint.key) && is_value
    })
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
