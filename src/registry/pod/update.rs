//! Updates of stored Pods (`pkg/registry/core/pod/strategy.go`): which part of a request applies, and which fields of
//! that part may change.

use k8s_openapi::api::core::v1::{Affinity, Container, NodeAffinity, Pod, PodSpec, Toleration};

use super::{defaults, diff, omit_empty, resize, status, validation};
use crate::control::{Status, Subresource};
use crate::model::{formats, pods};
use crate::registry::fields::{ErrorList, FieldPath};
use crate::registry::{admission, identity, metadata};

/// Completes and checks `new` in place of `old`. Parts outside `subresource` stay unchanged; a changed spec increments the
/// generation.
pub fn before_update(old: &Pod, mut new: Pod, subresource: Subresource) -> Result<Pod, Status> {
    identity::check_name_and_namespace(&old.metadata, &mut new.metadata)?;
    defaults::apply(&mut new);
    omit_empty::apply(&mut new);
    identity::keep_system_fields(&old.metadata, &mut new.metadata);
    match subresource {
        Subresource::Main | Subresource::Scale | Subresource::Finalize => {
            new.status.clone_from(&old.status);
            admission::admit_update(old, &mut new);
        }
        Subresource::Status => status::prepare_for_update(old, &mut new),
        Subresource::EphemeralContainers => {
            let containers = new.spec.take().and_then(|spec| spec.ephemeral_containers);
            new = Pod { metadata: identity::keep_metadata(&old.metadata, new.metadata), ..old.clone() };
            if let Some(spec) = &mut new.spec {
                spec.ephemeral_containers = containers;
            }
        }
        Subresource::Resize => new = resize::prepare_for_update(old, new),
    }
    if new.spec != old.spec {
        new.metadata.generation = Some(old.metadata.generation.unwrap_or(0) + 1);
    }
    let mut errors = ErrorList::default();
    metadata::validate_before_update(&mut errors, &new.metadata, &old.metadata, true);
    metadata::validate_object_meta_update(&mut errors, &new.metadata, &old.metadata);
    match subresource {
        Subresource::Main | Subresource::Scale | Subresource::Finalize => validate_pod_update(&mut errors, old, &new),
        Subresource::Status => status::validate_update(&mut errors, old, &new),
        Subresource::EphemeralContainers => validate_ephemeral_containers_update(&mut errors, old, &new),
        Subresource::Resize => resize::validate_update(&mut errors, old, &new),
    }
    let causes = errors.into_causes();
    if causes.is_empty() { Ok(new) } else { Err(Status::invalid("Pod", pods::name(&new), causes)) }
}

fn spec(pod: &Pod) -> PodSpec {
    pod.spec.clone().unwrap_or_default()
}

const MUTABLE_FIELDS: &str = "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,\
                          `spec.tolerations` (only additions to existing tolerations),\
                          `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

fn validate_pod_update(errors: &mut ErrorList, old: &Pod, new: &Pod) {
    validation::validate(errors, new);
    validation::validate_annotation_update(errors, old, new);
    let (before, after) = (spec(old), spec(new));
    let path = FieldPath::root("spec");
    let init = (pods::init_containers(&before), pods::init_containers(&after));
    for (list, old, new) in
        [("containers", &*before.containers, &*after.containers), ("initContainers", init.0, init.1)]
    {
        if old.len() != new.len() {
            return errors.forbidden(path.child(list), "pod updates may not add or remove containers");
        }
        validate_images(errors, path.child(list), new);
    }
    if !validate_active_deadline(errors, path.child("activeDeadlineSeconds"), &before, &after) {
        return;
    }
    validate_only_added_tolerations(errors, path.child("tolerations"), &before, &after);
    validate_only_deleted_gates(errors, path, &before, &after);
    let mut rest = after;
    revert_mutable_fields(&before, &mut rest);
    if before.scheduling_gates.as_ref().is_some_and(|gates| !gates.is_empty()) {
        revert_fields_mutable_while_gated(errors, path, &before, &mut rest);
    }
    if rest != before {
        let difference = diff::diff_specs(&before, &rest);
        errors.forbidden(path, format!("pod updates may not change fields other than {MUTABLE_FIELDS}\n{difference}"));
    }
}

fn validate_only_deleted_gates(errors: &mut ErrorList, path: FieldPath<'_>, before: &PodSpec, after: &PodSpec) {
    for (i, gate) in after.scheduling_gates.iter().flatten().enumerate() {
        if !before.scheduling_gates.iter().flatten().any(|old| old.name == gate.name) {
            let detail = format!("only deletion is allowed, but found new scheduling gate '{}'", gate.name);
            errors.forbidden(path.child("schedulingGates").index(i).child("name"), detail);
        }
    }
}

fn validate_images(errors: &mut ErrorList, list: FieldPath<'_>, containers: &[Container]) {
    for (i, container) in containers.iter().enumerate() {
        let image = container.image.as_deref().unwrap_or_default();
        let path = list.index(i);
        errors.require_non_empty(path.child("image"), image);
        if image.trim() != image {
            errors.invalid(path.child("image"), image, "must not have leading or trailing whitespace");
        }
    }
}

/// Validates that a deadline is only added or shortened. Returns whether validation continues, as in Kubernetes.
fn validate_active_deadline(errors: &mut ErrorList, path: FieldPath<'_>, old: &PodSpec, new: &PodSpec) -> bool {
    match (old.active_deadline_seconds, new.active_deadline_seconds) {
        (_, Some(new)) if !(0..=i64::from(i32::MAX)).contains(&new) => {
            errors.invalid_each(path, new, formats::between(0, i64::from(i32::MAX), new));
            false
        }
        (Some(old), Some(new)) if old < new => {
            errors.invalid(path, new, "must be less than or equal to previous value");
            false
        }
        (Some(_), None) => {
            errors.invalid(path, None::<i64>, "must not update from a positive integer to nil value");
            true
        }
        _ => true,
    }
}

fn validate_only_added_tolerations(errors: &mut ErrorList, path: FieldPath<'_>, old: &PodSpec, new: &PodSpec) {
    let without_seconds = |toleration: &Toleration| Toleration { toleration_seconds: None, ..toleration.clone() };
    let tolerations = new.tolerations.as_deref().unwrap_or_default();
    let is_kept = |old: &Toleration| tolerations.iter().any(|new| without_seconds(new) == without_seconds(old));
    if old.tolerations.iter().flatten().all(is_kept) {
        validation::validate_tolerations(errors, path, tolerations);
    } else {
        errors.forbidden(path, "existing toleration can not be modified except its tolerationSeconds");
    }
}

/// Reverts the changes to mutable fields, which have been validated, so that any remaining difference is forbidden.
fn revert_mutable_fields(old: &PodSpec, new: &mut PodSpec) {
    let containers = new.containers.iter_mut().zip(&old.containers);
    let init = new.init_containers.iter_mut().flatten().zip(old.init_containers.iter().flatten());
    for (container, old) in containers.chain(init) {
        container.image.clone_from(&old.image);
    }
    new.active_deadline_seconds = old.active_deadline_seconds;
    new.scheduling_gates.clone_from(&old.scheduling_gates);
    new.tolerations.clone_from(&old.tolerations);
    let was_negative = old.termination_grace_period_seconds.is_some_and(|seconds| seconds < 0);
    if was_negative && new.termination_grace_period_seconds == Some(1) {
        new.termination_grace_period_seconds = old.termination_grace_period_seconds;
    }
}

/// Validates and reverts changes to the scheduling constraints, which a pod may tighten while scheduling gates hold it.
fn revert_fields_mutable_while_gated(errors: &mut ErrorList, path: FieldPath<'_>, old: &PodSpec, new: &mut PodSpec) {
    let selector = |spec: &PodSpec| spec.node_selector.clone().unwrap_or_default();
    let (before, after) = (selector(old), selector(new));
    if before.iter().any(|(key, value)| after.get(key) != Some(value)) {
        let detail = "only additions to spec.nodeSelector are allowed (no mutations or deletions)";
        errors.invalid(path.child("nodeSelector"), &after, detail);
    }
    new.node_selector.clone_from(&old.node_selector);
    let node_affinity = |spec: &PodSpec| spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.clone());
    let (before, after) = (node_affinity(old), node_affinity(new));
    if before == after {
        return;
    }
    validate_node_affinity_change(
        errors,
        path.child("affinity").child("nodeAffinity"),
        before.as_ref(),
        after.as_ref(),
    );
    let affinity = new.affinity.get_or_insert_default();
    affinity.node_affinity = before;
    if *affinity == Affinity::default() && old.affinity.is_none() {
        new.affinity = None;
    }
}

/// Validates that required terms only gain expressions; existing expressions must stay unchanged.
fn validate_node_affinity_change(
    errors: &mut ErrorList,
    path: FieldPath<'_>,
    old: Option<&NodeAffinity>,
    new: Option<&NodeAffinity>,
) {
    let terms = |affinity: Option<&NodeAffinity>| {
        let required = affinity.and_then(|a| a.required_during_scheduling_ignored_during_execution.clone());
        required.map(|selector| selector.node_selector_terms)
    };
    let Some(old) = terms(old) else { return };
    let path = path.child("requiredDuringSchedulingIgnoredDuringExecution");
    let path = path.child("nodeSelectorTerms");
    let new = terms(new).unwrap_or_default();
    if new.len() != old.len() {
        return errors.invalid(path, &new, "no additions/deletions to non-empty NodeSelectorTerms list are allowed");
    }
    for (i, (new, old)) in new.iter().zip(&old).enumerate() {
        let only_gained = |old: &Option<Vec<_>>, new: &Option<Vec<_>>| {
            let (old, new) = (old.as_deref().unwrap_or_default(), new.as_deref().unwrap_or_default());
            new.starts_with(old)
        };
        let was_empty = old.match_expressions.is_none() && old.match_fields.is_none();
        let fits = only_gained(&old.match_expressions, &new.match_expressions)
            && only_gained(&old.match_fields, &new.match_fields);
        if (was_empty && new != old) || !fits {
            let detail = "only additions are allowed (no mutations or deletions)";
            errors.invalid(path.index(i), new, detail);
        }
    }
}

/// Validates that ephemeral containers are only added; existing ones must be neither changed nor removed.
fn validate_ephemeral_containers_update(errors: &mut ErrorList, old: &Pod, new: &Pod) {
    validation::validate(errors, new);
    validation::validate_annotation_update(errors, old, new);
    if pods::annotation(old, validation::MIRROR).is_some() {
        *errors = ErrorList::default();
        return errors.forbidden(FieldPath::root(""), "static pods do not support ephemeral containers");
    }
    let path = FieldPath::root("spec");
    let path = path.child("ephemeralContainers");
    let (before, after) = (spec(old), spec(new));
    for old in before.ephemeral_containers.iter().flatten() {
        match after.ephemeral_containers.iter().flatten().find(|new| new.name == old.name) {
            None => {
                let detail = format!("existing ephemeral containers {:?} may not be removed\n", old.name);
                errors.forbidden(path, detail);
            }
            Some(new) if new != old => {
                let difference = diff::diff_ephemeral_containers(old, new);
                let detail = format!("existing ephemeral containers {:?} may not be changed\n{difference}", old.name);
                errors.forbidden(path, detail);
            }
            Some(_) => {}
        }
    }
}
