//! What a Pod must be to be stored (`pkg/apis/core/validation`), its faults in Kubernetes' order.
//!
//! One file per part of a Pod, each rule in one place. `tests/rules/*.yaml` has a case for every rule, and
//! `docs/validation.md` is made from them.

mod annotations;
mod containers;
mod disks;
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

use k8s_openapi::api::core::v1::{Pod, PodSpec};

use crate::control::Cause;
use crate::model::{formats, pods};
use crate::registry::fields::{Faults, Path};
use crate::registry::metadata;

pub(super) use annotations::{
    APP_ARMOR, MIRROR, SECCOMP_CONTAINER, SECCOMP_POD, check_changes as check_annotation_changes,
};
pub(super) use containers::as_container;
pub(super) use networking::check_ips;
pub(super) use scheduling::check_tolerations;
pub(super) use security::is_app_armor_profile;

/// Every fault of a pod that is to be created; none means that it may be stored.
pub fn causes_on_create(pod: &Pod) -> Vec<Cause> {
    let mut faults = Faults::default();
    check(&mut faults, pod);
    let at = Path::root("spec");
    if let Some(spec) = &pod.spec {
        if spec.ephemeral_containers.as_ref().is_some_and(|list| !list.is_empty()) {
            faults.forbidden(at.child("ephemeralContainers"), "cannot be set on create");
        }
        let gated = spec.scheduling_gates.as_ref().is_some_and(|gates| !gates.is_empty());
        if gated && !text(&spec.node_name).is_empty() {
            faults.forbidden(at.child("nodeName"), "cannot be set until all schedulingGates have been cleared");
        }
        annotations::check_match_fields(&mut faults, pod, spec);
    }
    faults.into_causes()
}

/// What holds for a pod at all times.
pub(super) fn check(faults: &mut Faults, pod: &Pod) {
    metadata::check(faults, &pod.metadata, formats::dns_subdomain);
    let empty = PodSpec::default();
    let spec = pod.spec.as_ref().unwrap_or(&empty);
    annotations::check(faults, pod, spec);
    check_spec(faults, pod, spec);
    let at = Path::root("spec");
    if text(&spec.service_account_name).is_empty() {
        projections::forbid_tokens(faults, at.child("volumes"), spec.volumes.as_deref().unwrap_or_default());
    }
    containers::check_images(faults, at.child("containers"), &spec.containers);
    containers::check_images(faults, at.child("initContainers"), pods::init_containers(spec));
}

fn check_spec(faults: &mut Faults, pod: &Pod, spec: &PodSpec) {
    let at = Path::root("spec");
    if spec.termination_grace_period_seconds.is_none() {
        faults.required(at.child("terminationGracePeriodSeconds"), "");
    }
    let volumes = volumes::check(faults, at.child("volumes"), spec.volumes.as_deref().unwrap_or_default(), pod);
    let claims = resources::check_claims(faults, at.child("resourceClaims"), pod, spec);
    containers::check(faults, at, &containers::Surroundings { spec, volumes: &volumes, claims: &claims });
    resources::check_pod(faults, at.child("resources"), spec, &claims);
    networking::check_host_ports(faults, at.child("containers"), spec);
    let restart = ["Always", "OnFailure", "Never"];
    faults.require_one_of(at.child("restartPolicy"), text(&spec.restart_policy), &restart);
    networking::check_dns_policy(faults, at.child("dnsPolicy"), spec);
    metadata::check_labels(faults, at.child("nodeSelector"), &spec.node_selector);
    security::check_pod(faults, at.child("securityContext"), spec);
    scheduling::check_affinity(faults, at.child("affinity"), spec.affinity.as_ref());
    networking::check_dns_config(faults, at.child("dnsConfig"), spec);
    scheduling::check_gates(faults, at, spec);
    scheduling::check_spread(faults, at.child("topologySpreadConstraints"), spec);
    windows::check_host_processes(faults, at, spec);
    security::check_host_users(faults, at, spec);
    networking::check_hostname_override(faults, at.child("hostnameOverride"), spec);
    check_names(faults, at, spec);
    scheduling::check_tolerations(faults, at.child("tolerations"), spec.tolerations.as_deref().unwrap_or_default());
    networking::check_host_aliases(faults, at.child("hostAliases"), spec);
    scheduling::check_classes(faults, at, spec);
    resources::check_overhead(faults, at.child("overhead"), spec);
    windows::check_os(faults, at, spec);
    environment::check_file_volumes(faults, at, spec);
}

fn check_names(faults: &mut Faults, at: Path<'_>, spec: &PodSpec) {
    let subdomain = formats::dns_subdomain as fn(&str) -> formats::Wrongs;
    for (field, value, format) in
        [("serviceAccountName", &spec.service_account_name, subdomain), ("nodeName", &spec.node_name, subdomain)]
    {
        let value = text(value);
        if !value.is_empty() {
            faults.invalid_for(at.child(field), value, format(value));
        }
    }
    if let Some(seconds) = spec.active_deadline_seconds {
        let wrongs = formats::between(1, i64::from(i32::MAX), seconds);
        faults.invalid_for(at.child("activeDeadlineSeconds"), seconds, wrongs);
    }
    for (field, value) in [("hostname", &spec.hostname), ("subdomain", &spec.subdomain)] {
        let value = text(value);
        if !value.is_empty() {
            faults.invalid_for(at.child(field), value, formats::dns_label(value));
        }
    }
}

fn text(field: &Option<String>) -> &str {
    field.as_deref().unwrap_or_default()
}

/// A relative path that does not climb.
fn check_descending(faults: &mut Faults, at: Path<'_>, path: &str) {
    if path.starts_with('/') {
        faults.invalid(at, path, "must be a relative path");
    }
    check_no_backsteps(faults, at, path);
}

fn check_no_backsteps(faults: &mut Faults, at: Path<'_>, path: &str) {
    if path.split('/').any(|part| part == "..") {
        faults.invalid(at, path, "must not contain '..'");
    }
}

/// A relative path of a projected file, which may not look like the projection's own `..data`.
fn check_projected_path(faults: &mut Faults, at: Path<'_>, path: &str) {
    check_descending(faults, at, path);
    if path.starts_with("..") && !path.starts_with("../") && path != ".." {
        faults.invalid(at, path, "must not start with '..'");
    }
}
