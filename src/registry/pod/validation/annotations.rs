//! Annotations that mean something to Kubernetes.

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};

use super::{check_descending, security, text};
use crate::model::pods;
use crate::registry::fields::{Faults, Path};

/// On the copies of static pods in the API.
pub const MIRROR: &str = "kubernetes.io/config.mirror";
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";
/// A profile for all containers, of old.
pub const SECCOMP_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
/// Before a container's name: its own profile, of old.
pub const SECCOMP_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";
/// Before a container's name: its AppArmor profile.
pub const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

fn all_containers(spec: &PodSpec) -> impl Iterator<Item = (&'static str, usize, &Container)> {
    let init = pods::init_containers(spec).iter().enumerate().map(|(i, c)| ("initContainers", i, c));
    init.chain(spec.containers.iter().enumerate().map(|(i, c)| ("containers", i, c)))
}

/// What annotations must say, whenever they are there.
pub fn check(faults: &mut Faults, pod: &Pod, spec: &PodSpec) {
    let meta = Path::root("metadata");
    let at = meta.child("annotations");
    if let Some(value) = pods::annotation(pod, MIRROR)
        && text(&spec.node_name).is_empty()
    {
        faults.invalid(at.key(MIRROR), value, "must set spec.nodeName if mirror pod annotation is set");
    }
    if let Some(cost) = pods::annotation(pod, DELETION_COST) {
        // Neither a plus sign nor leading zeros.
        let canonical = cost.parse::<i32>().is_ok_and(|number| number.to_string() == cost);
        if !canonical {
            faults.invalid(at.key(DELETION_COST), cost, "must be a 32bit integer");
        }
    }
    if let Some(profile) = pods::annotation(pod, SECCOMP_POD) {
        check_seccomp(faults, at.child(SECCOMP_POD), profile);
    }
    for (key, profile) in pod.metadata.annotations.iter().flatten() {
        if key.starts_with(SECCOMP_CONTAINER) {
            check_seccomp(faults, at.child(key), profile);
        }
    }
    for (key, profile) in pod.metadata.annotations.iter().flatten() {
        let Some(name) = key.strip_prefix(APP_ARMOR) else { continue };
        if !all_containers(spec).any(|(_, _, container)| container.name == name) {
            faults.invalid(at.key(key), name, "container not found");
        }
        let known = matches!(profile.as_str(), "" | "runtime/default" | "unconfined");
        if !known && !profile.starts_with("localhost/") {
            faults.invalid(at.key(key), profile, format!("invalid AppArmor profile name: {profile:?}"));
        }
    }
}

/// Annotations that are fixed at creation.
pub fn check_changes(faults: &mut Faults, old: &Pod, new: &Pod) {
    let meta = Path::root("metadata");
    let at = meta.child("annotations");
    for (key, value) in old.metadata.annotations.iter().flatten() {
        if pods::annotation(new, key) == Some(value) {
            continue;
        }
        if key.starts_with(APP_ARMOR) {
            faults.forbidden(at.key(key), "may not remove or update AppArmor annotations");
        }
        if key == MIRROR {
            faults.forbidden(at.key(key), "may not remove or update mirror pod annotation");
        }
    }
    for (key, _) in new.metadata.annotations.iter().flatten() {
        if pods::annotation(old, key).is_some() {
            continue;
        }
        if key.starts_with(APP_ARMOR) {
            faults.forbidden(at.key(key), "may not add AppArmor annotations");
        }
        if key == MIRROR {
            faults.forbidden(at.key(key), "may not add mirror pod annotation");
        }
    }
    check(faults, new, &new.spec.clone().unwrap_or_default());
}

fn check_seccomp(faults: &mut Faults, at: Path<'_>, profile: &str) {
    if matches!(profile, "runtime/default" | "docker/default" | "unconfined") {
        return;
    }
    match profile.strip_prefix("localhost/") {
        Some(path) => check_descending(faults, at, path),
        None => faults.invalid(at, profile, "must be a valid seccomp profile"),
    }
}

/// Profiles that stand in annotations and in fields say the same; looked at on creation only.
pub fn check_match_fields(faults: &mut Faults, pod: &Pod, spec: &PodSpec) {
    if pod.metadata.annotations.as_ref().is_none_or(|annotations| annotations.is_empty()) {
        return;
    }
    let at = Path::root("spec");
    let own = spec.security_context.as_ref().and_then(|context| context.seccomp_profile.as_ref());
    if let (Some(field), Some(annotation)) = (own, pods::annotation(pod, SECCOMP_POD))
        && let Some(name) = security::differs_from_annotation(&field.type_, &field.localhost_profile, annotation)
    {
        let at = at.child("securityContext");
        faults.forbidden(at.child("seccompProfile").child(name), mismatch("seccomp", name));
    }
    for (list, i, container) in all_containers(spec) {
        let field = container.security_context.as_ref().and_then(|context| context.seccomp_profile.as_ref());
        let annotation = pods::annotation(pod, &format!("{SECCOMP_CONTAINER}{}", container.name));
        if let (Some(field), Some(annotation)) = (field, annotation)
            && let Some(name) = security::differs_from_annotation(&field.type_, &field.localhost_profile, annotation)
        {
            let at = at.child(list);
            let at = at.index(i);
            let at = at.child("securityContext");
            faults.forbidden(at.child("seccompProfile").child(name), mismatch("seccomp", name));
        }
    }
    let whole = spec.security_context.as_ref().and_then(|context| context.app_armor_profile.as_ref());
    for (list, i, container) in all_containers(spec) {
        let own = container.security_context.as_ref().and_then(|context| context.app_armor_profile.as_ref());
        let annotation = pods::annotation(pod, &format!("{APP_ARMOR}{}", container.name));
        if let (Some(field), Some(annotation)) = (own.or(whole), annotation)
            && let Some(name) = security::differs_from_annotation(&field.type_, &field.localhost_profile, annotation)
        {
            let at = at.child(list);
            let at = at.index(i);
            let at = at.child("securityContext");
            faults.forbidden(at.child("appArmorProfile").child(name), mismatch("apparmor", name));
        }
    }
}

fn mismatch(what: &str, field: &str) -> String {
    let noun = if field == "type" { "type" } else { "profile" };
    format!("{what} {noun} in annotation and field must match")
}
