//! The subresource `status`: which fields a client may write, and which values they may have.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodIP, PodSpec, PodStatus};

use super::validation;
use crate::model::{formats, pods};
use crate::registry::fields::{ErrorList, FieldPath};

/// Restores all of `old` except status, labels and annotations.
pub fn prepare_for_update(old: &Pod, new: &mut Pod) {
    new.spec.clone_from(&old.spec);
    new.metadata.owner_references.clone_from(&old.metadata.owner_references);
    let class = old.status.as_ref().and_then(|status| status.qos_class.clone());
    let status = new.status.get_or_insert_default();
    normalize_pod_ips(status);
    if status.qos_class.as_deref().unwrap_or_default().is_empty() {
        status.qos_class = class;
    }
}

/// Makes `podIP` and the first of `podIPs` equal; `podIP` takes precedence.
fn normalize_pod_ips(status: &mut PodStatus) {
    let first = status.pod_ips.iter().flatten().next().map(|address| address.ip.clone());
    match status.pod_ip.clone().filter(|ip| !ip.is_empty()) {
        Some(ip) if first.as_ref() != Some(&ip) => status.pod_ips = Some(vec![PodIP { ip }]),
        Some(_) => {}
        None => status.pod_ip = first,
    }
}

/// Validates a status update.
pub fn validate_update(errors: &mut ErrorList, old: &Pod, new: &Pod) {
    validation::validate_annotation_update(errors, old, new);
    let none = PodStatus::default();
    let (before, after) = (old.status.as_ref().unwrap_or(&none), new.status.as_ref().unwrap_or(&none));
    let path = FieldPath::root("status");
    validate_conditions(errors, path.child("conditions"), after);
    let nominated = after.nominated_node_name.as_deref().unwrap_or_default();
    if !nominated.is_empty() && before.nominated_node_name != after.nominated_node_name {
        errors.invalid_each(path.child("nominatedNodeName"), nominated, formats::dns_subdomain(nominated));
        let node = old.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
        if node.is_some_and(|node| !node.is_empty()) {
            let detail = "may not be set on pods that are already bound to a node";
            errors.forbidden(path.child("nominatedNodeName"), detail);
        }
    }
    if let Some(generation) = after.observed_generation.filter(|generation| *generation < 0) {
        errors.invalid(path.child("observedGeneration"), generation, "must be a non-negative integer");
    }
    if after.qos_class != before.qos_class {
        errors.invalid(path.child("qosClass"), &after.qos_class, "field is immutable");
    }
    let spec = old.spec.clone().unwrap_or_default();
    for (list, old, new) in [
        ("containerStatuses", &before.container_statuses, &after.container_statuses),
        ("initContainerStatuses", &before.init_container_statuses, &after.init_container_statuses),
        ("ephemeralContainerStatuses", &before.ephemeral_container_statuses, &after.ephemeral_container_statuses),
    ] {
        let (old, new) = (old.as_deref().unwrap_or_default(), new.as_deref().unwrap_or_default());
        validate_container_state_transition(errors, path.child(list), old, new, &spec);
    }
    validate_addresses(errors, path, after);
    validate_resource_claim_statuses(errors, path.child("resourceClaimStatuses"), after, &spec);
}

/// Validates that each status names a claim of the pod, and that no claim has two.
fn validate_resource_claim_statuses(errors: &mut ErrorList, list: FieldPath<'_>, status: &PodStatus, spec: &PodSpec) {
    let mut names = BTreeSet::new();
    for (i, claim) in status.resource_claim_statuses.iter().flatten().enumerate() {
        let path = list.index(i);
        let path = path.child("name");
        if !spec.resource_claims.iter().flatten().any(|known| known.name == claim.name) {
            errors.invalid(path, &claim.name, "must match the name of an entry in `spec.resourceClaims`");
        }
        if !names.insert(&claim.name) {
            errors.duplicate(path, &claim.name);
        }
        if let Some(name) = &claim.resource_claim_name {
            errors.invalid_each(path, name, formats::dns_subdomain(name));
        }
    }
}

fn validate_conditions(errors: &mut ErrorList, list: FieldPath<'_>, status: &PodStatus) {
    for (i, condition) in status.conditions.iter().flatten().enumerate() {
        let path = list.index(i);
        if let Some(generation) = condition.observed_generation.filter(|generation| *generation < 0) {
            errors.invalid(path.child("observedGeneration"), generation, "must be a non-negative integer");
        }
        let kind = condition.type_.as_str();
        if !["PodScheduled", "Ready", "Initialized"].contains(&kind) {
            errors.invalid_each(path.child("Type"), kind, formats::qualified_name(kind));
        }
    }
}

/// Validates that a container that terminated for good stays terminated.
fn validate_container_state_transition(
    errors: &mut ErrorList,
    list: FieldPath<'_>,
    old: &[ContainerStatus],
    new: &[ContainerStatus],
    spec: &PodSpec,
) {
    for (i, old) in old.iter().enumerate() {
        let terminated = old.state.as_ref().and_then(|state| state.terminated.as_ref());
        let Some(exit_code) = terminated.map(|terminated| terminated.exit_code) else { continue };
        let is_not_terminated = |status: &&ContainerStatus| {
            status.name == old.name && status.state.as_ref().is_none_or(|state| state.terminated.is_none())
        };
        if new.iter().any(|status| is_not_terminated(&status)) && !may_restart(spec, &old.name, exit_code) {
            errors.forbidden(list.index(i).child("state"), "may not be transitioned to non-terminated state");
        }
    }
}

fn may_restart(spec: &PodSpec, name: &str, exit_code: i32) -> bool {
    let containers = || pods::init_containers(spec).iter().chain(&spec.containers);
    let has_rule =
        |action: &str| containers().flat_map(|c| c.restart_policy_rules.iter().flatten()).any(|r| r.action == action);
    if has_rule("RestartAllContainers") {
        return true;
    }
    // Ephemeral containers are not among them: they never restart.
    let Some(container) = containers().find(|container| container.name == name) else { return false };
    let rule_applies = container.restart_policy_rules.iter().flatten().any(|rule| {
        rule.exit_codes.as_ref().is_some_and(|codes| {
            let is_listed = codes.values.as_ref().is_some_and(|values| values.contains(&exit_code));
            is_listed == (codes.operator == "In")
        })
    });
    let policy = container.restart_policy.as_ref().or(spec.restart_policy.as_ref());
    match policy.map(String::as_str) {
        _ if rule_applies => true,
        Some("Never") => false,
        Some("OnFailure") => exit_code != 0,
        _ => true,
    }
}

fn validate_addresses(errors: &mut ErrorList, path: FieldPath<'_>, status: &PodStatus) {
    let pod_ips = status.pod_ips.as_deref().unwrap_or_default();
    let ips: Vec<&str> = pod_ips.iter().map(|ip| ip.ip.as_str()).collect();
    validation::validate_ips(errors, path.child("podIPs"), &ips, pod_ips);
    let host_ips = status.host_ips.as_deref().unwrap_or_default();
    let ips: Vec<&str> = host_ips.iter().map(|ip| ip.ip.as_str()).collect();
    let list = path.child("hostIPs");
    if let Some(first) = ips.first().filter(|first| status.host_ip.as_deref().unwrap_or_default() != **first) {
        errors.invalid(list.index(0).child("ip"), first, "must be equal to `hostIP`");
    }
    validation::validate_ips(errors, list, &ips, host_ips);
}
