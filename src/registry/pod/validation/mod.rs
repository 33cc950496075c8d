//! Validation of Pods (`pkg/apis/core/validation/validation.go`), with errors in Kubernetes' order and words.
//!
//! One file per part of a Pod. `tests/rules/*.yaml` has a case for every rule; `docs/validation.md` is generated from
//! these cases.

mod annotations;
mod containers;
pub(in crate::registry) mod disks;
mod environment;
mod mounts;
mod networking;
mod probes;
mod projections;
mod resources;
#[cfg(test)]
mod rules;
mod scheduling;
mod security;
mod volumes;
mod windows;

use k8s_openapi::api::core::v1::{Pod, PodSpec, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::control::Cause;
use crate::model::{formats, pods};
use crate::registry::fields::{ErrorList, FieldPath};
use crate::registry::metadata;

pub(super) use annotations::{
    APP_ARMOR, MIRROR, SECCOMP_CONTAINER, SECCOMP_POD, get as annotation, validate_update as validate_annotation_update,
};
pub(super) use containers::as_container;
pub(super) use networking::validate_ips;
pub(in crate::registry) use resources::{
    is_extended, validate_container_resource_name, validate_overhead, validate_resource_name,
};
pub(in crate::registry) use scheduling::{validate_node_selector, validate_tolerations};
pub(super) use security::is_app_armor_profile;
pub(in crate::registry) use volumes::validate_host_path;

/// Returns every error of a new pod; empty if it is valid.
pub fn validate_create(pod: &Pod) -> Vec<Cause> {
    let mut errors = ErrorList::default();
    validate(&mut errors, pod);
    let path = FieldPath::root("spec");
    if let Some(spec) = &pod.spec {
        if spec.ephemeral_containers.as_ref().is_some_and(|list| !list.is_empty()) {
            errors.forbidden(path.child("ephemeralContainers"), "cannot be set on create");
        }
        let is_gated = spec.scheduling_gates.as_ref().is_some_and(|gates| !gates.is_empty());
        if is_gated && !or_empty(&spec.node_name).is_empty() {
            errors.forbidden(path.child("nodeName"), "cannot be set until all schedulingGates have been cleared");
        }
        annotations::validate_profiles_match_fields(&mut errors, path, &pod.metadata, spec);
    }
    errors.into_causes()
}

/// Validates a pod by the rules that hold at creation and after every update.
pub(super) fn validate(errors: &mut ErrorList, pod: &Pod) {
    metadata::validate_object_meta(errors, &pod.metadata, formats::dns_subdomain);
    let empty = PodSpec::default();
    let spec = pod.spec.as_ref().unwrap_or(&empty);
    let meta = FieldPath::root("metadata");
    annotations::validate(errors, meta.child("annotations"), &pod.metadata, spec);
    let path = FieldPath::root("spec");
    let is_mirror = annotations::get(&pod.metadata, MIRROR).is_some();
    validate_spec(errors, path, spec, &SpecOwner::Pod { name: pods::name(pod), is_mirror });
    if or_empty(&spec.service_account_name).is_empty() {
        projections::forbid_tokens(errors, path.child("volumes"), spec.volumes.as_deref().unwrap_or_default());
    }
    containers::validate_images(errors, path.child("containers"), &spec.containers);
    containers::validate_images(errors, path.child("initContainers"), pods::init_containers(spec));
}

/// Validates the template of pods at `path` (`ValidatePodTemplateSpec`).
///
/// As in Kubernetes, errors in labels and annotations are reported without the path's `metadata`.
pub fn validate_template(errors: &mut ErrorList, path: FieldPath<'_>, template: &PodTemplateSpec) {
    let (no_meta, no_spec) = (ObjectMeta::default(), PodSpec::default());
    let meta = template.metadata.as_ref().unwrap_or(&no_meta);
    let spec = template.spec.as_ref().unwrap_or(&no_spec);
    metadata::validate_labels(errors, path.child("labels"), &meta.labels);
    metadata::validate_annotations(errors, path.child("annotations"), &meta.annotations);
    annotations::validate(errors, path.child("annotations"), meta, spec);
    let path = path.child("spec");
    validate_spec(errors, path, spec, &SpecOwner::Template);
    annotations::validate_profiles_match_fields(errors, path, meta, spec);
    if spec.ephemeral_containers.as_ref().is_some_and(|list| !list.is_empty()) {
        errors.forbidden(path.child("ephemeralContainers"), "ephemeral containers not allowed in pod template");
    }
}

/// The object that a pod spec belongs to; a few rules differ.
pub(super) enum SpecOwner<'o> {
    /// A pod.
    Pod {
        /// The pod's name.
        name: &'o str,
        /// Whether the pod is the copy of a static pod.
        is_mirror: bool,
    },
    /// A template of pods.
    Template,
}

fn validate_spec(errors: &mut ErrorList, path: FieldPath<'_>, spec: &PodSpec, owner: &SpecOwner<'_>) {
    if spec.termination_grace_period_seconds.is_none() {
        errors.required(path.child("terminationGracePeriodSeconds"), "");
    }
    let volumes = volumes::validate(errors, path.child("volumes"), spec.volumes.as_deref().unwrap_or_default(), owner);
    let claims = resources::validate_pod_resource_claims(errors, path.child("resourceClaims"), spec, owner);
    containers::validate(errors, path, &containers::PodContext { spec, volumes: &volumes, claims: &claims });
    resources::validate_pod(errors, path.child("resources"), spec, &claims);
    networking::validate_host_network_ports(errors, path.child("containers"), spec, owner);
    let restart = ["Always", "OnFailure", "Never"];
    errors.require_one_of(path.child("restartPolicy"), or_empty(&spec.restart_policy), &restart);
    networking::validate_dns_policy(errors, path.child("dnsPolicy"), spec);
    metadata::validate_labels(errors, path.child("nodeSelector"), &spec.node_selector);
    security::validate_pod(errors, path.child("securityContext"), spec);
    scheduling::validate_affinity(errors, path.child("affinity"), spec.affinity.as_ref());
    networking::validate_dns_config(errors, path.child("dnsConfig"), spec);
    scheduling::validate_gates(errors, path, spec);
    scheduling::validate_topology_spread_constraints(errors, path.child("topologySpreadConstraints"), spec);
    windows::validate_host_processes(errors, path, spec);
    security::validate_host_users(errors, path, spec);
    networking::validate_hostname_override(errors, path.child("hostnameOverride"), spec);
    validate_names(errors, path, spec);
    scheduling::validate_tolerations(
        errors,
        path.child("tolerations"),
        spec.tolerations.as_deref().unwrap_or_default(),
    );
    networking::validate_host_aliases(errors, path.child("hostAliases"), spec);
    scheduling::validate_classes(errors, path, spec);
    if let Some(overhead) = &spec.overhead {
        resources::validate_overhead(errors, path.child("overhead"), overhead);
    }
    windows::validate_os(errors, path, spec);
    environment::validate_file_key_volumes(errors, path, spec);
}

fn validate_names(errors: &mut ErrorList, path: FieldPath<'_>, spec: &PodSpec) {
    for (field, value) in [("serviceAccountName", &spec.service_account_name), ("nodeName", &spec.node_name)] {
        let value = or_empty(value);
        if !value.is_empty() {
            errors.invalid_each(path.child(field), value, formats::dns_subdomain(value));
        }
    }
    if let Some(seconds) = spec.active_deadline_seconds {
        let messages = formats::between(1, i64::from(i32::MAX), seconds);
        errors.invalid_each(path.child("activeDeadlineSeconds"), seconds, messages);
    }
    for (field, value) in [("hostname", &spec.hostname), ("subdomain", &spec.subdomain)] {
        let value = or_empty(value);
        if !value.is_empty() {
            errors.invalid_each(path.child(field), value, formats::dns_label(value));
        }
    }
}

fn or_empty(field: &Option<String>) -> &str {
    field.as_deref().unwrap_or_default()
}

/// Rejects absolute paths and paths with `..`.
fn validate_local_descending_path(errors: &mut ErrorList, path: FieldPath<'_>, value: &str) {
    if value.starts_with('/') {
        errors.invalid(path, value, "must be a relative path");
    }
    validate_path_no_backsteps(errors, path, value);
}

/// Rejects paths with `..`.
pub(in crate::registry) fn validate_path_no_backsteps(errors: &mut ErrorList, path: FieldPath<'_>, value: &str) {
    if value.split('/').any(|part| part == "..") {
        errors.invalid(path, value, "must not contain '..'");
    }
}

/// Validates a path as [`validate_local_descending_path`] does, and rejects names that a projection reserves for
/// itself, such as `..data`.
fn validate_local_non_reserved_path(errors: &mut ErrorList, path: FieldPath<'_>, value: &str) {
    validate_local_descending_path(errors, path, value);
    if value.starts_with("..") && !value.starts_with("../") && value != ".." {
        errors.invalid(path, value, "must not start with '..'");
    }
}
