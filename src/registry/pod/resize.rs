//! Resources of a Pod's containers, changed while they run (`resize`; K26).

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Container, Pod, ResourceRequirements};

use super::totals::Amounts;
use super::{update, validation};
use crate::model::pods;
use crate::registry::fields::{Faults, Path};
use crate::registry::identity;

/// `old` with the resources and resize policies that `new` says, and nothing else of it.
pub fn resized(old: &Pod, new: Pod) -> Pod {
    let mut pod = Pod { metadata: identity::keep_all(&old.metadata, new.metadata), ..old.clone() };
    let (Some(spec), Some(wanted)) = (&mut pod.spec, new.spec) else { return pod };
    let take = |containers: &mut Vec<Container>, wanted: Vec<Container>| {
        let same = containers.len() == wanted.len() && containers.iter().zip(&wanted).all(|(a, b)| a.name == b.name);
        if !same {
            // Nothing may be added, removed or renamed; the rules will say so.
            *containers = wanted;
            return;
        }
        for (container, wanted) in containers.iter_mut().zip(wanted) {
            container.resources = wanted.resources;
            container.resize_policy = wanted.resize_policy;
        }
    };
    take(&mut spec.containers, wanted.containers);
    if let (Some(init), Some(wanted)) = (&mut spec.init_containers, wanted.init_containers) {
        take(init, wanted);
    }
    spec.resources = wanted.resources;
    pod
}

/// The rules of a resize.
pub fn check(faults: &mut Faults, old: &Pod, new: &Pod) {
    validation::check(faults, new);
    let alone = |faults: &mut Faults, why: &str| {
        *faults = Faults::default();
        faults.forbidden(Path::root(""), why);
    };
    if pods::annotation(old, validation::MIRROR).is_some() {
        return alone(faults, "static pods cannot be resized");
    }
    let (before, after) = (old.spec.clone().unwrap_or_default(), new.spec.clone().unwrap_or_default());
    if before.os.as_ref().is_some_and(|os| os.name == "windows") {
        return alone(faults, "windows pods cannot be resized");
    }
    let at = Path::root("spec");
    if update::quality_changes(old, new) {
        let class = new.status.as_ref().and_then(|status| status.qos_class.as_deref());
        faults.invalid(at, class, "Pod QOS Class may not change as a result of resizing");
    }
    let whole = |resources: &Option<ResourceRequirements>| resources.clone().unwrap_or_default();
    let (whole_before, whole_after) = (whole(&before.resources), whole(&after.resources));
    if before.resources.is_some() && after.resources.is_none() {
        faults.forbidden(at.child("resources"), "pod-level resources cannot be removed");
    } else {
        check_removed(faults, at.child("resources"), &whole_before, &whole_after, "pod-level resource");
        if rest(&whole_before) != rest(&whole_after) {
            faults.forbidden(at, "only cpu and memory resources are mutable at pod-level");
        }
    }
    let init = (pods::init_containers(&before), pods::init_containers(&after));
    let lists = [("containers", &*before.containers, &*after.containers), ("initContainers", init.0, init.1)];
    let before_order = faults.count();
    for (list, old, new) in lists {
        check_order(faults, at, list, old, new);
    }
    if faults.count() > before_order {
        return;
    }
    for (list, old, new) in [lists[1], lists[0]] {
        for (i, (old, new)) in old.iter().zip(new).enumerate() {
            let sidecar = old.restart_policy.as_deref() == Some("Always");
            if list == "containers" || sidecar {
                check_container(faults, at.child(list).index(i).child("resources"), old, new);
            }
        }
    }
    for (old, new) in before.containers.iter().zip(&after.containers) {
        check_rest(faults, at, old, new, "only cpu and memory resources are mutable");
    }
    for (old, new) in init.0.iter().zip(init.1) {
        if old.restart_policy.as_deref() == Some("Always") {
            check_rest(faults, at, old, new, "only cpu and memory resources for sidecar containers are mutable");
        } else if old != new {
            faults.forbidden(at, "resources for non-sidecar init containers are immutable");
        }
    }
}

fn check_order(faults: &mut Faults, at: Path<'_>, list: &str, old: &[Container], new: &[Container]) {
    if old.len() != new.len() {
        return faults.forbidden(at.child(list), format!("{list} may not be added or removed on resize"));
    }
    for (i, _) in old.iter().zip(new).enumerate().filter(|(_, (old, new))| old.name != new.name) {
        let why = format!("{list} may not be renamed or reordered on resize");
        faults.forbidden(at.child(list).index(i).child("name"), why);
    }
}

fn check_container(faults: &mut Faults, at: Path<'_>, old: &Container, new: &Container) {
    let resources = |container: &Container| container.resources.clone().unwrap_or_default();
    let (before, after) = (resources(old), resources(new));
    check_removed(faults, at, &before, &after, "resource");
}

fn check_removed(
    faults: &mut Faults,
    at: Path<'_>,
    old: &ResourceRequirements,
    new: &ResourceRequirements,
    what: &str,
) {
    for (list, old, new) in [("requests", &old.requests, &new.requests), ("limits", &old.limits, &new.limits)] {
        let names = |amounts: &Option<Amounts>| -> BTreeSet<String> {
            amounts.iter().flatten().map(|(name, _)| name.clone()).collect()
        };
        if !names(old).is_subset(&names(new)) {
            faults.forbidden(at.child(list), format!("{what} {list} cannot be removed"));
        }
    }
}

fn check_rest(faults: &mut Faults, at: Path<'_>, old: &Container, new: &Container, why: &str) {
    let resources = |container: &Container| rest(&container.resources.clone().unwrap_or_default());
    if resources(old) != resources(new) || old.resize_policy != new.resize_policy {
        faults.forbidden(at, why);
    }
}

/// All but CPU and memory.
fn rest(resources: &ResourceRequirements) -> ResourceRequirements {
    let without = |amounts: &Option<Amounts>| {
        let mut amounts = amounts.clone()?;
        amounts.retain(|name, _| !matches!(name.as_str(), "cpu" | "memory"));
        Some(amounts).filter(|amounts| !amounts.is_empty())
    };
    ResourceRequirements {
        limits: without(&resources.limits),
        requests: without(&resources.requests),
        claims: resources.claims.clone(),
    }
}
