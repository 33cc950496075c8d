//! Annotations with a meaning to Kubernetes.

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{or_empty, security, validate_local_descending_path};
use crate::model::pods;
use crate::registry::fields::{ErrorList, FieldPath};

/// Marks mirror pods, the API's copies of static pods.
pub const MIRROR: &str = "kubernetes.io/config.mirror";
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";
/// Deprecated: the seccomp profile of all containers.
pub const SECCOMP_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
/// Deprecated: the seccomp profile of one container; its name follows.
pub const SECCOMP_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";
/// Deprecated: the AppArmor profile of one container; its name follows.
pub const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

fn all_containers(spec: &PodSpec) -> impl Iterator<Item = (&'static str, usize, &Container)> {
    let init = pods::init_containers(spec).iter().enumerate().map(|(i, c)| ("initContainers", i, c));
    init.chain(spec.containers.iter().enumerate().map(|(i, c)| ("containers", i, c)))
}

/// Returns the value of an annotation.
pub fn get<'m>(meta: &'m ObjectMeta, key: &str) -> Option<&'m str> {
    meta.annotations.as_ref()?.get(key).map(String::as_str)
}

/// Validates the values of a pod's or template's annotations.
pub fn validate(errors: &mut ErrorList, path: FieldPath<'_>, meta: &ObjectMeta, spec: &PodSpec) {
    if let Some(value) = get(meta, MIRROR)
        && or_empty(&spec.node_name).is_empty()
    {
        errors.invalid(path.key(MIRROR), value, "must set spec.nodeName if mirror pod annotation is set");
    }
    if let Some(cost) = get(meta, DELETION_COST) {
        // Kubernetes accepts neither a plus sign nor leading zeros.
        let is_canonical = cost.parse::<i32>().is_ok_and(|number| number.to_string() == cost);
        if !is_canonical {
            errors.invalid(path.key(DELETION_COST), cost, "must be a 32bit integer");
        }
    }
    if let Some(profile) = get(meta, SECCOMP_POD) {
        validate_seccomp(errors, path.child(SECCOMP_POD), profile);
    }
    for (key, profile) in meta.annotations.iter().flatten() {
        if key.starts_with(SECCOMP_CONTAINER) {
            validate_seccomp(errors, path.child(key), profile);
        }
    }
    for (key, profile) in meta.annotations.iter().flatten() {
        let Some(name) = key.strip_prefix(APP_ARMOR) else { continue };
        if !all_containers(spec).any(|(_, _, container)| container.name == name) {
            errors.invalid(path.key(key), name, "container not found");
        }
        let is_known = matches!(profile.as_str(), "" | "runtime/default" | "unconfined");
        if !is_known && !profile.starts_with("localhost/") {
            errors.invalid(path.key(key), profile, format!("invalid AppArmor profile name: {profile:?}"));
        }
    }
}

/// Validates the annotations of an update; some are fixed at creation.
pub fn validate_update(errors: &mut ErrorList, old: &Pod, new: &Pod) {
    let meta = FieldPath::root("metadata");
    let path = meta.child("annotations");
    for (key, value) in old.metadata.annotations.iter().flatten() {
        if pods::annotation(new, key) == Some(value) {
            continue;
        }
        if key.starts_with(APP_ARMOR) {
            errors.forbidden(path.key(key), "may not remove or update AppArmor annotations");
        }
        if key == MIRROR {
            errors.forbidden(path.key(key), "may not remove or update mirror pod annotation");
        }
    }
    for (key, _) in new.metadata.annotations.iter().flatten() {
        if pods::annotation(old, key).is_some() {
            continue;
        }
        if key.starts_with(APP_ARMOR) {
            errors.forbidden(path.key(key), "may not add AppArmor annotations");
        }
        if key == MIRROR {
            errors.forbidden(path.key(key), "may not add mirror pod annotation");
        }
    }
    validate(errors, path, &new.metadata, &new.spec.clone().unwrap_or_default());
}

fn validate_seccomp(errors: &mut ErrorList, path: FieldPath<'_>, profile: &str) {
    if matches!(profile, "runtime/default" | "docker/default" | "unconfined") {
        return;
    }
    match profile.strip_prefix("localhost/") {
        Some(profile_path) => validate_local_descending_path(errors, path, profile_path),
        None => errors.invalid(path, profile, "must be a valid seccomp profile"),
    }
}

/// Validates that annotations and the fields of the spec at `path` name the same profiles; of pods at creation only.
pub fn validate_profiles_match_fields(errors: &mut ErrorList, path: FieldPath<'_>, meta: &ObjectMeta, spec: &PodSpec) {
    if meta.annotations.as_ref().is_none_or(|annotations| annotations.is_empty()) {
        return;
    }
    let own = spec.security_context.as_ref().and_then(|context| context.seccomp_profile.as_ref());
    if let (Some(field), Some(annotation)) = (own, get(meta, SECCOMP_POD))
        && let Some(name) =
            security::find_difference_from_annotation(&field.type_, &field.localhost_profile, annotation)
    {
        let path = path.child("securityContext");
        errors.forbidden(path.child("seccompProfile").child(name), mismatch("seccomp", name));
    }
    for (list, i, container) in all_containers(spec) {
        let field = container.security_context.as_ref().and_then(|context| context.seccomp_profile.as_ref());
        let annotation = get(meta, &format!("{SECCOMP_CONTAINER}{}", container.name));
        if let (Some(field), Some(annotation)) = (field, annotation)
            && let Some(name) =
                security::find_difference_from_annotation(&field.type_, &field.localhost_profile, annotation)
        {
            let path = path.child(list);
            let path = path.index(i);
            let path = path.child("securityContext");
            errors.forbidden(path.child("seccompProfile").child(name), mismatch("seccomp", name));
        }
    }
    let pod_profile = spec.security_context.as_ref().and_then(|context| context.app_armor_profile.as_ref());
    for (list, i, container) in all_containers(spec) {
        let own = container.security_context.as_ref().and_then(|context| context.app_armor_profile.as_ref());
        let annotation = get(meta, &format!("{APP_ARMOR}{}", container.name));
        if let (Some(field), Some(annotation)) = (own.or(pod_profile), annotation)
            && let Some(name) =
                security::find_difference_from_annotation(&field.type_, &field.localhost_profile, annotation)
        {
            let path = path.child(list);
            let path = path.index(i);
            let path = path.child("securityContext");
            errors.forbidden(path.child("appArmorProfile").child(name), mismatch("apparmor", name));
        }
    }
}

fn mismatch(module: &str, field: &str) -> String {
    let noun = if field == "type" { "type" } else { "profile" };
    format!("{module} {noun} in annotation and field must match")
}
