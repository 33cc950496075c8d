//! Updates of a job's spec: most of it is fixed at creation.

use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{Affinity, Container, PodSpec, PodTemplateSpec};

use super::{has_condition, spec};
use crate::registry::fields::{ErrorList, FieldPath};
use crate::registry::label_selector::OrderedSelector;

/// Validates that the spec may replace that of `old` (`ValidateJobSpecUpdate`).
pub fn validate_spec(errors: &mut ErrorList, job: &Job, old: &Job) {
    let (Some(new), Some(before)) = (&job.spec, &old.spec) else { return };
    let path = FieldPath::root("spec");
    spec::validate(errors, path, new);
    validate_completions(errors, path.child("completions"), new, before);
    if new.selector != before.selector {
        errors.invalid(path.child("selector"), new.selector.as_ref().map(OrderedSelector), "field is immutable");
    }
    validate_template(errors, path.child("template"), job, old);
    errors.check_immutable(path.child("completionMode"), &new.completion_mode, &before.completion_mode);
    errors.check_immutable(path.child("podFailurePolicy"), &new.pod_failure_policy, &before.pod_failure_policy);
    let limits = (&new.backoff_limit_per_index, &before.backoff_limit_per_index);
    errors.check_immutable(path.child("backoffLimitPerIndex"), limits.0, limits.1);
    errors.check_immutable(path.child("managedBy"), &new.managed_by, &before.managed_by);
    errors.check_immutable(path.child("successPolicy"), &new.success_policy, &before.success_policy);
}

/// Validates that the completions stay, or change together with the parallelism of an indexed job.
fn validate_completions(errors: &mut ErrorList, path: FieldPath<'_>, new: &JobSpec, old: &JobSpec) {
    if new.completion_mode.as_deref() != Some("Indexed") {
        return errors.check_immutable(path, &new.completions, &old.completions);
    }
    // Missing completions of an indexed job are an error already.
    if new.completions != old.completions && new.completions.is_some() && new.completions != new.parallelism {
        errors.invalid(path, new.completions, "can only be modified in tandem with spec.parallelism");
    }
}

/// Returns whether the job is suspended and runs no pods, so that parts of its template may change.
fn may_change_template(old: &Job) -> bool {
    let is_suspended = old.spec.as_ref().is_some_and(|spec| spec.suspend == Some(true));
    let status = old.status.as_ref();
    let is_active = status.is_some_and(|status| status.active.unwrap_or(0) > 0);
    let was_started = status.is_some_and(|status| status.start_time.is_some());
    let conditions = status.and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    is_suspended && !is_active && (!was_started || has_condition(conditions, "Suspended"))
}

/// Validates that the template stays. That of a suspended job may change its scheduling directives, labels, annotations
/// and resources.
fn validate_template(errors: &mut ErrorList, path: FieldPath<'_>, job: &Job, old: &Job) {
    let (Some(new), Some(before)) = (&job.spec, &old.spec) else { return };
    if !may_change_template(old) {
        return errors.check_immutable(path, &new.template, &before.template);
    }
    let allowed = with_mutable_parts(&before.template, &new.template);
    if allowed.spec != new.template.spec {
        errors.invalid(path.child("spec"), &new.template.spec, "field is immutable");
    }
}

/// Returns the old template with the parts of the new one that may change.
fn with_mutable_parts(old: &PodTemplateSpec, new: &PodTemplateSpec) -> PodTemplateSpec {
    let mut allowed = old.clone();
    let (Some(pod), Some(new)) = (&mut allowed.spec, &new.spec) else { return allowed };
    pod.node_selector.clone_from(&new.node_selector);
    pod.tolerations.clone_from(&new.tolerations);
    pod.scheduling_gates.clone_from(&new.scheduling_gates);
    set_node_affinity(pod, new);
    copy_resources(&mut pod.containers, &new.containers);
    copy_resources(
        pod.init_containers.as_deref_mut().unwrap_or_default(),
        new.init_containers.as_deref().unwrap_or_default(),
    );
    allowed
}

fn set_node_affinity(pod: &mut PodSpec, new: &PodSpec) {
    let node_affinity = new.affinity.as_ref().and_then(|affinity| affinity.node_affinity.clone());
    match (&mut pod.affinity, &new.affinity) {
        (Some(affinity), _) => affinity.node_affinity = node_affinity,
        (None, Some(_)) => pod.affinity = Some(Affinity { node_affinity, ..Affinity::default() }),
        (None, None) => {}
    }
    if new.affinity.is_none() && pod.affinity == Some(Affinity::default()) {
        pod.affinity = None;
    }
}

fn copy_resources(containers: &mut [Container], new: &[Container]) {
    if containers.len() != new.len() {
        return;
    }
    for (container, new) in containers.iter_mut().zip(new).filter(|(container, new)| container.name == new.name) {
        container.resources.clone_from(&new.resources);
    }
}
