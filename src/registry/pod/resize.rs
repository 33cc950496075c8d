//! The subresource `resize`: resources of running containers (K26).

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, ResourceRequirements};

use super::totals::Quantities;
use super::{qos, validation};
use crate::model::pods;
use crate::registry::fields::{ErrorList, FieldPath};
use crate::registry::identity;

/// Returns `old` with the resources and resize policies of `new`.
pub fn prepare_for_update(old: &Pod, new: Pod) -> Pod {
    let mut pod = Pod { metadata: identity::keep_metadata(&old.metadata, new.metadata), ..old.clone() };
    let (Some(spec), Some(requested)) = (&mut pod.spec, new.spec) else { return pod };
    let copy_resources = |containers: &mut Vec<Container>, requested: Vec<Container>| {
        let same =
            containers.len() == requested.len() && containers.iter().zip(&requested).all(|(a, b)| a.name == b.name);
        if !same {
            // Added, removed or renamed containers are for validation to reject.
            *containers = requested;
            return;
        }
        for (container, requested) in containers.iter_mut().zip(requested) {
            container.resources = requested.resources;
            container.resize_policy = requested.resize_policy;
        }
    };
    copy_resources(&mut spec.containers, requested.containers);
    if let (Some(init), Some(requested)) = (&mut spec.init_containers, requested.init_containers) {
        copy_resources(init, requested);
    }
    spec.resources = requested.resources;
    pod
}

/// Validates a resize.
pub fn validate_update(errors: &mut ErrorList, old: &Pod, new: &Pod) {
    validation::validate(errors, new);
    let forbid_any = |errors: &mut ErrorList, detail: &str| {
        *errors = ErrorList::default();
        errors.forbidden(FieldPath::root(""), detail);
    };
    if pods::annotation(old, validation::MIRROR).is_some() {
        return forbid_any(errors, "static pods cannot be resized");
    }
    let (before, after) = (old.spec.clone().unwrap_or_default(), new.spec.clone().unwrap_or_default());
    if before.os.as_ref().is_some_and(|os| os.name == "windows") {
        return forbid_any(errors, "windows pods cannot be resized");
    }
    let path = FieldPath::root("spec");
    if qos::class_changes(old, new) {
        let class = new.status.as_ref().and_then(|status| status.qos_class.as_deref());
        errors.invalid(path, class, "Pod QOS Class may not change as a result of resizing");
    }
    validate_pod_level_resources(errors, path, before.resources.as_ref(), after.resources.as_ref());
    validate_containers(errors, path, &before, &after);
}

fn validate_pod_level_resources(
    errors: &mut ErrorList,
    path: FieldPath<'_>,
    old: Option<&ResourceRequirements>,
    new: Option<&ResourceRequirements>,
) {
    if old.is_some() && new.is_none() {
        return errors.forbidden(path.child("resources"), "pod-level resources cannot be removed");
    }
    let (old, new) = (old.cloned().unwrap_or_default(), new.cloned().unwrap_or_default());
    validate_none_removed(errors, path.child("resources"), &old, &new, "pod-level resource");
    if without_cpu_and_memory(&old) != without_cpu_and_memory(&new) {
        errors.forbidden(path, "only cpu and memory resources are mutable at pod-level");
    }
}

fn validate_containers(errors: &mut ErrorList, path: FieldPath<'_>, before: &PodSpec, after: &PodSpec) {
    let init = (pods::init_containers(before), pods::init_containers(after));
    let lists = [("containers", &*before.containers, &*after.containers), ("initContainers", init.0, init.1)];
    let count_before = errors.count();
    for (list, old, new) in lists {
        validate_container_order(errors, path, list, old, new);
    }
    if errors.count() > count_before {
        return;
    }
    for (list, old, new) in [lists[1], lists[0]] {
        for (i, (old, new)) in old.iter().zip(new).enumerate() {
            let is_sidecar = old.restart_policy.as_deref() == Some("Always");
            if list == "containers" || is_sidecar {
                validate_container(errors, path.child(list).index(i).child("resources"), old, new);
            }
        }
    }
    for (old, new) in before.containers.iter().zip(&after.containers) {
        validate_rest_unchanged(errors, path, old, new, "only cpu and memory resources are mutable");
    }
    for (old, new) in init.0.iter().zip(init.1) {
        if old.restart_policy.as_deref() == Some("Always") {
            validate_rest_unchanged(
                errors,
                path,
                old,
                new,
                "only cpu and memory resources for sidecar containers are mutable",
            );
        } else if old != new {
            errors.forbidden(path, "resources for non-sidecar init containers are immutable");
        }
    }
}

fn validate_container_order(
    errors: &mut ErrorList,
    path: FieldPath<'_>,
    list: &str,
    old: &[Container],
    new: &[Container],
) {
    if old.len() != new.len() {
        return errors.forbidden(path.child(list), format!("{list} may not be added or removed on resize"));
    }
    for (i, _) in old.iter().zip(new).enumerate().filter(|(_, (old, new))| old.name != new.name) {
        let detail = format!("{list} may not be renamed or reordered on resize");
        errors.forbidden(path.child(list).index(i).child("name"), detail);
    }
}

fn validate_container(errors: &mut ErrorList, path: FieldPath<'_>, old: &Container, new: &Container) {
    let resources = |container: &Container| container.resources.clone().unwrap_or_default();
    let (before, after) = (resources(old), resources(new));
    validate_none_removed(errors, path, &before, &after, "resource");
}

fn validate_none_removed(
    errors: &mut ErrorList,
    path: FieldPath<'_>,
    old: &ResourceRequirements,
    new: &ResourceRequirements,
    noun: &str,
) {
    for (list, old, new) in [("requests", &old.requests, &new.requests), ("limits", &old.limits, &new.limits)] {
        let names = |quantities: &Option<Quantities>| -> BTreeSet<String> {
            quantities.iter().flatten().map(|(name, _)| name.clone()).collect()
        };
        if !names(old).is_subset(&names(new)) {
            errors.forbidden(path.child(list), format!("{noun} {list} cannot be removed"));
        }
    }
}

fn validate_rest_unchanged(
    errors: &mut ErrorList,
    path: FieldPath<'_>,
    old: &Container,
    new: &Container,
    detail: &str,
) {
    let resources = |container: &Container| without_cpu_and_memory(&container.resources.clone().unwrap_or_default());
    if resources(old) != resources(new) || old.resize_policy != new.resize_policy {
        errors.forbidden(path, detail);
    }
}

fn without_cpu_and_memory(resources: &ResourceRequirements) -> ResourceRequirements {
    let rest = |quantities: &Option<Quantities>| {
        let mut quantities = quantities.clone()?;
        quantities.retain(|name, _| !matches!(name.as_str(), "cpu" | "memory"));
        Some(quantities).filter(|quantities| !quantities.is_empty())
    };
    ResourceRequirements {
        limits: rest(&resources.limits),
        requests: rest(&resources.requests),
        claims: resources.claims.clone(),
    }
}
