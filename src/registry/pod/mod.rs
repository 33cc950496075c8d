//! The rules of Pods: creation, binding, status, updates, deletion.

pub mod app_armor;
mod defaults;
pub(super) mod diff;
mod encoding;
mod label_keys;
mod omit_empty;
mod qos;
mod resize;
mod status;
pub mod template;
pub mod totals;
mod update;
pub(super) mod validation;
pub mod warnings;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Pod, PodCondition, PodSpec, PodStatus};

use super::admission::{AdmissionContext, AdmissionSettings};
use super::storage::WriteDecision;
use super::{admission, generic, identity};
use crate::control::{DeleteOptions, Propagation, Status};
use crate::model::pods;

pub(super) use defaults::{canonicalize, set_default};
pub(super) use encoding::encode;
pub(super) use omit_empty::unset_if_zero;
pub(super) use update::before_update;

/// Completes and checks the pod of a manifest as a registry does before it stores the pod. Service account, priority
/// class and runtime class may be unknown: the table of fields reports them.
pub fn before_create(pod: Pod, now: Timestamp) -> Result<Pod, Status> {
    let context = AdmissionContext { settings: AdmissionSettings::default(), objects: None };
    before_create_with(pod, &context, now)
}

/// Completes and checks a new pod: identity, defaults, admission, validation.
pub(super) fn before_create_with(mut pod: Pod, context: &AdmissionContext<'_>, now: Timestamp) -> Result<Pod, Status> {
    identity::fill_system_fields(&mut pod.metadata, now);
    // Kubernetes treats a missing spec as an empty one: it gets its defaults and lacks containers.
    pod.spec.get_or_insert_default();
    defaults::apply(&mut pod);
    omit_empty::apply(&mut pod);
    admission::admit(&mut pod, context)?;
    label_keys::apply(&mut pod);
    app_armor::copy_annotations_to_fields(&mut pod);
    pod.status = Some(PodStatus {
        phase: Some("Pending".into()),
        qos_class: pod.spec.as_ref().map(|spec| qos::compute_class(spec).to_string()),
        ..PodStatus::default()
    });
    let causes = validation::validate_create(&pod);
    if !causes.is_empty() {
        return Err(Status::invalid("Pod", pods::name(&pod), causes));
    }
    admission::check(&pod, context)?;
    Ok(pod)
}

/// Replaces the status by the node's report. A report that changes nothing is not written.
pub(super) fn replace_status(current: &Pod, status: &PodStatus) -> WriteDecision<Pod> {
    if current.status.as_ref() == Some(status) {
        return WriteDecision::Keep(());
    }
    let mut next = current.clone();
    next.status = Some(status.clone());
    WriteDecision::Put(Box::new(next), ())
}

/// The reason for which a pod cannot be bound to a node, in Kubernetes' words.
#[derive(Debug, thiserror::Error)]
pub(super) enum BindError {
    #[error("pod {pod} is already assigned to node {node:?}")]
    AlreadyBound { pod: String, node: String },
    #[error("pod {pod} is being deleted, cannot be assigned to a host")]
    Deleting { pod: String },
}

/// Binds the pod to `node`; a pod is bound once.
pub(super) fn bind(current: &Pod, node: &str, now: Timestamp) -> Result<WriteDecision<Pod>, BindError> {
    let pod = || pods::name(current).to_string();
    if let Some(node) = node_name(current.spec.as_ref()) {
        return Err(BindError::AlreadyBound { pod: pod(), node: node.to_string() });
    }
    if current.metadata.deletion_timestamp.is_some() {
        return Err(BindError::Deleting { pod: pod() });
    }
    let mut next = current.clone();
    if let Some(spec) = &mut next.spec {
        spec.node_name = Some(node.to_string());
    }
    let scheduled = PodCondition {
        type_: "PodScheduled".into(),
        status: "True".into(),
        observed_generation: current.metadata.generation,
        last_transition_time: Some(pods::api_time(now)),
        ..PodCondition::default()
    };
    let status = next.status.get_or_insert_default();
    let conditions = status.conditions.get_or_insert_default();
    conditions.retain(|condition| condition.type_ != "PodScheduled");
    conditions.push(scheduled);
    Ok(WriteDecision::Put(Box::new(next), ()))
}

fn node_name(spec: Option<&PodSpec>) -> Option<&str> {
    spec?.node_name.as_deref().filter(|node| !node.is_empty())
}

fn has_finalizers(pod: &Pod) -> bool {
    pod.metadata.finalizers.as_ref().is_some_and(|finalizers| !finalizers.is_empty())
}

/// Writes an updated pod, or deletes it if the update removed the last finalizer of a finished deletion.
pub(super) fn put_or_delete(current: &Pod, next: Pod) -> WriteDecision<Pod> {
    if next == *current {
        return WriteDecision::Keep(());
    }
    let grace_ended =
        next.metadata.deletion_timestamp.is_some() && next.metadata.deletion_grace_period_seconds == Some(0);
    if grace_ended && !has_finalizers(&next) {
        WriteDecision::Delete(Box::new(next), ())
    } else {
        WriteDecision::Put(Box::new(next), ())
    }
}

/// Upper bound of the grace period, a century: the deletion time must remain a valid timestamp.
const MAX_GRACE_SECONDS: i64 = 100 * 365 * 24 * 60 * 60;

/// The result of one step of a deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DeletionStep {
    /// The pod is marked; its node or a finalizer's owner completes the deletion.
    Marked,
    /// The pod is marked and waits for nothing; the next step removes it.
    ReadyToRemove,
    /// The pod is removed.
    Removed,
}

/// Marks the pod for deletion, or removes it if its mark is complete, no node runs it (K65, K68) and no finalizer
/// holds it. As on a real server, watchers see a mark without grace period before they see the removal.
pub(super) fn before_delete(
    current: &Pod,
    options: &DeleteOptions,
    now: Timestamp,
) -> WriteDecision<Pod, DeletionStep> {
    let grace = grace_seconds(current, options.grace_seconds);
    let mut next = current.clone();
    generic::set_propagation(&mut next.metadata, options.propagation, Propagation::Background);
    let removable = grace == 0 && !has_finalizers(&next);
    let marked_grace = current.metadata.deletion_grace_period_seconds;
    if removable && marked_grace == Some(0) {
        return WriteDecision::Delete(Box::new(next), DeletionStep::Removed);
    }
    if marked_grace.is_none_or(|marked| marked > grace) {
        let requested_at = match (&current.metadata.deletion_timestamp, marked_grace) {
            (Some(deadline), Some(seconds)) => {
                deadline.0.saturating_sub(SignedDuration::from_secs(seconds)).unwrap_or(now)
            }
            _ => now,
        };
        let deadline = requested_at.saturating_add(SignedDuration::from_secs(grace)).unwrap_or(now);
        next.metadata.deletion_timestamp = Some(pods::api_time(deadline));
        next.metadata.deletion_grace_period_seconds = Some(grace);
    } else if next.metadata.finalizers == current.metadata.finalizers {
        return WriteDecision::Keep(DeletionStep::Marked);
    }
    if current.metadata.deletion_timestamp.is_none() {
        next.metadata.generation = Some(current.metadata.generation.unwrap_or(0) + 1);
    }
    let step = if removable { DeletionStep::ReadyToRemove } else { DeletionStep::Marked };
    WriteDecision::Put(Box::new(next), step)
}

/// Returns the grace period of a deletion: none for a pod that no node runs.
fn grace_seconds(pod: &Pod, requested: Option<i64>) -> i64 {
    let spec = pod.spec.as_ref();
    if node_name(spec).is_none() || pods::is_terminal(pod) {
        return 0;
    }
    let own = spec.and_then(|spec| spec.termination_grace_period_seconds);
    match requested.or(own).unwrap_or(30) {
        negative if negative < 0 => 1,
        seconds => seconds.min(MAX_GRACE_SECONDS),
    }
}
