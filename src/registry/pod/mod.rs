//! The rules of Pods: creation, binding, status, deletion.

pub mod app_armor;
mod canonical;
mod defaults;
mod internal;
mod label_keys;
mod qos;
mod resize;
mod status;
pub mod totals;
mod update;
mod validation;
pub mod warnings;
mod written;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Pod, PodCondition, PodStatus};

use super::change::Decision;
use super::{admission, identity};
use crate::control::Status;
use crate::model::pods;

pub(super) use update::replaced;
pub(super) use written::draft;

/// A pod as a registry with the usual settings will store it.
pub fn prepare_for_create(pod: Pod, now: Timestamp) -> Result<Pod, Status> {
    prepare(pod, &admission::AdmissionSettings::default(), now)
}

/// A pod as it will be stored: identity, defaults, admitted, checked.
pub(super) fn prepare(mut pod: Pod, settings: &admission::AdmissionSettings, now: Timestamp) -> Result<Pod, Status> {
    identity::assign(&mut pod.metadata, now);
    // To Kubernetes, no spec is an empty one: it gets its defaults, and lacks its containers.
    pod.spec.get_or_insert_default();
    defaults::apply(&mut pod);
    canonical::apply(&mut pod);
    admission::admit(&mut pod, settings)?;
    label_keys::merge(&mut pod);
    app_armor::adopt(&mut pod);
    pod.status = Some(PodStatus {
        phase: Some("Pending".into()),
        qos_class: pod.spec.as_ref().map(|spec| qos::class(spec).to_string()),
        ..PodStatus::default()
    });
    let causes = validation::causes_on_create(&pod);
    if causes.is_empty() { Ok(pod) } else { Err(Status::invalid("Pod", pods::name(&pod), causes)) }
}

/// The node's report in the pod. A status that says nothing new is not written again.
pub(super) fn with_status(current: &Pod, status: &PodStatus) -> Decision<()> {
    if current.status.as_ref() == Some(status) {
        return Decision::Keep(());
    }
    let mut next = current.clone();
    next.status = Some(status.clone());
    Decision::Put(Box::new(next), ())
}

/// The pod on `node`; a pod is bound once.
pub(super) fn bound_to(current: &Pod, node: &str, now: Timestamp) -> Result<Decision<()>, String> {
    let spec = current.spec.as_ref();
    if let Some(other) = spec.and_then(|s| s.node_name.as_deref()).filter(|n| !n.is_empty()) {
        return Err(format!("pod {} is already assigned to node {other:?}", pods::name(current)));
    }
    if current.metadata.deletion_timestamp.is_some() {
        return Err(format!("pod {} is being deleted, cannot be assigned to a host", pods::name(current)));
    }
    let mut next = current.clone();
    if let Some(spec) = &mut next.spec {
        spec.node_name = Some(node.to_string());
    }
    let scheduled = PodCondition {
        type_: "PodScheduled".into(),
        status: "True".into(),
        observed_generation: current.metadata.generation,
        last_transition_time: Some(pods::time(now)),
        ..PodCondition::default()
    };
    let status = next.status.get_or_insert_default();
    let conditions = status.conditions.get_or_insert_default();
    conditions.retain(|c| c.type_ != "PodScheduled");
    conditions.push(scheduled);
    Ok(Decision::Put(Box::new(next), ()))
}

/// What an update leaves behind: an object that was only waiting for its finalizers goes with the last of them.
pub(super) fn put_or_end(current: &Pod, next: Pod) -> Decision<()> {
    if next == *current {
        return Decision::Keep(());
    }
    let waits = next.metadata.finalizers.as_ref().is_some_and(|finalizers| !finalizers.is_empty());
    let ended = next.metadata.deletion_grace_period_seconds == Some(0) && next.metadata.deletion_timestamp.is_some();
    if ended && !waits { Decision::Delete(Box::new(next), ()) } else { Decision::Put(Box::new(next), ()) }
}

/// A century, in seconds: with more, the time of the deletion could not be written.
const LONGEST_GRACE: i64 = 100 * 365 * 24 * 60 * 60;

/// What a step of a deletion has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deletion {
    /// The pod's node has to end it, or a finalizer to let go of it.
    Marked,
    /// Nobody has: the mark says so, and the next step removes the object.
    Free,
    Gone,
}

/// Marks the pod for its node, or removes it where no node has work with it (K65, K68) and no finalizer holds it.
/// As on a real server, watchers see the mark without time before they see the pod go.
pub(super) fn deletion(current: &Pod, asked: Option<i64>, now: Timestamp) -> Decision<Deletion> {
    let spec = current.spec.as_ref();
    let scheduled = spec.and_then(|s| s.node_name.as_deref()).is_some_and(|node| !node.is_empty());
    let wish = asked.or(spec.and_then(|s| s.termination_grace_period_seconds)).unwrap_or(30);
    let wish = if wish < 0 { 1 } else { wish.min(LONGEST_GRACE) };
    let grace = if !scheduled || pods::is_terminal(current) { 0 } else { wish };
    let held = current.metadata.finalizers.as_ref().is_some_and(|finalizers| !finalizers.is_empty());
    let free = grace == 0 && !held;
    let already = current.metadata.deletion_grace_period_seconds;
    if free && already == Some(0) {
        return Decision::Delete(Box::new(current.clone()), Deletion::Gone);
    }
    if already.is_some_and(|already| already <= grace) {
        return Decision::Keep(Deletion::Marked);
    }
    let mut next = current.clone();
    let requested = match (&current.metadata.deletion_timestamp, already) {
        (Some(by), Some(seconds)) => by.0.saturating_sub(SignedDuration::from_secs(seconds)).unwrap_or(now),
        _ => now,
    };
    let by = requested.saturating_add(SignedDuration::from_secs(grace)).unwrap_or(now);
    next.metadata.deletion_timestamp = Some(pods::time(by));
    next.metadata.deletion_grace_period_seconds = Some(grace);
    if current.metadata.deletion_timestamp.is_none() {
        next.metadata.generation = Some(current.metadata.generation.unwrap_or(0) + 1);
    }
    Decision::Put(Box::new(next), if free { Deletion::Free } else { Deletion::Marked })
}
