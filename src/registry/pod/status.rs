//! What may become of a Pod's status, and what a status update may change beside it.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodIP, PodSpec, PodStatus};

use super::validation;
use crate::model::{formats, pods};
use crate::registry::fields::{Faults, Path};

/// Takes `new`'s status alone, with its labels and annotations; the rest is `old`'s.
pub fn keep_spec(old: &Pod, new: &mut Pod) {
    new.spec.clone_from(&old.spec);
    new.metadata.owner_references.clone_from(&old.metadata.owner_references);
    let class = old.status.as_ref().and_then(|status| status.qos_class.clone());
    let status = new.status.get_or_insert_default();
    align_addresses(status);
    if status.qos_class.as_deref().unwrap_or_default().is_empty() {
        status.qos_class = class;
    }
}

/// The first of a pod's addresses stands twice. Where the two differ, the older field counts.
fn align_addresses(status: &mut PodStatus) {
    let first = status.pod_ips.iter().flatten().next().map(|address| address.ip.clone());
    match status.pod_ip.clone().filter(|ip| !ip.is_empty()) {
        Some(ip) if first.as_ref() != Some(&ip) => status.pod_ips = Some(vec![PodIP { ip }]),
        Some(_) => {}
        None => status.pod_ip = first,
    }
}

/// The rules of a status.
pub fn check(faults: &mut Faults, old: &Pod, new: &Pod) {
    validation::check_annotation_changes(faults, old, new);
    let none = PodStatus::default();
    let (before, after) = (old.status.as_ref().unwrap_or(&none), new.status.as_ref().unwrap_or(&none));
    let at = Path::root("status");
    check_conditions(faults, at.child("conditions"), after);
    let nominated = after.nominated_node_name.as_deref().unwrap_or_default();
    if !nominated.is_empty() && before.nominated_node_name != after.nominated_node_name {
        faults.invalid_for(at.child("nominatedNodeName"), nominated, formats::dns_subdomain(nominated));
        let node = old.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
        if node.is_some_and(|node| !node.is_empty()) {
            let why = "may not be set on pods that are already bound to a node";
            faults.forbidden(at.child("nominatedNodeName"), why);
        }
    }
    if let Some(generation) = after.observed_generation.filter(|generation| *generation < 0) {
        faults.invalid(at.child("observedGeneration"), generation, "must be a non-negative integer");
    }
    if after.qos_class != before.qos_class {
        faults.invalid(at.child("qosClass"), &after.qos_class, "field is immutable");
    }
    let spec = old.spec.clone().unwrap_or_default();
    for (list, old, new) in [
        ("containerStatuses", &before.container_statuses, &after.container_statuses),
        ("initContainerStatuses", &before.init_container_statuses, &after.init_container_statuses),
        ("ephemeralContainerStatuses", &before.ephemeral_container_statuses, &after.ephemeral_container_statuses),
    ] {
        let (old, new) = (old.as_deref().unwrap_or_default(), new.as_deref().unwrap_or_default());
        check_states(faults, at.child(list), old, new, &spec);
    }
    check_addresses(faults, at, after);
    check_claims(faults, at.child("resourceClaimStatuses"), after, &spec);
}

/// Claims are told of that the pod has, each once.
fn check_claims(faults: &mut Faults, list: Path<'_>, status: &PodStatus, spec: &PodSpec) {
    let mut names = BTreeSet::new();
    for (i, claim) in status.resource_claim_statuses.iter().flatten().enumerate() {
        let at = list.index(i);
        let at = at.child("name");
        if !spec.resource_claims.iter().flatten().any(|known| known.name == claim.name) {
            faults.invalid(at, &claim.name, "must match the name of an entry in `spec.resourceClaims`");
        }
        if !names.insert(&claim.name) {
            faults.duplicate(at, &claim.name);
        }
        if let Some(made) = &claim.resource_claim_name {
            faults.invalid_for(at, made, formats::dns_subdomain(made));
        }
    }
}

fn check_conditions(faults: &mut Faults, list: Path<'_>, status: &PodStatus) {
    for (i, condition) in status.conditions.iter().flatten().enumerate() {
        let at = list.index(i);
        if let Some(generation) = condition.observed_generation.filter(|generation| *generation < 0) {
            faults.invalid(at.child("observedGeneration"), generation, "must be a non-negative integer");
        }
        let kind = condition.type_.as_str();
        if !["PodScheduled", "Ready", "Initialized"].contains(&kind) {
            faults.invalid_for(at.child("Type"), kind, formats::qualified_name(kind));
        }
    }
}

/// What has ended for good does not run again.
fn check_states(faults: &mut Faults, list: Path<'_>, old: &[ContainerStatus], new: &[ContainerStatus], spec: &PodSpec) {
    for (i, old) in old.iter().enumerate() {
        let ended = old.state.as_ref().and_then(|state| state.terminated.as_ref());
        let Some(code) = ended.map(|ended| ended.exit_code) else { continue };
        let runs = |status: &&ContainerStatus| {
            status.name == old.name && status.state.as_ref().is_none_or(|state| state.terminated.is_none())
        };
        if new.iter().any(|status| runs(&status)) && !may_restart(spec, &old.name, code) {
            faults.forbidden(list.index(i).child("state"), "may not be transitioned to non-terminated state");
        }
    }
}

fn may_restart(spec: &PodSpec, name: &str, code: i32) -> bool {
    let all = || pods::init_containers(spec).iter().chain(&spec.containers);
    let of_all = |rule: &str| all().flat_map(|c| c.restart_policy_rules.iter().flatten()).any(|r| r.action == rule);
    if of_all("RestartAllContainers") {
        return true;
    }
    // Ephemeral containers are not among them, and never restart.
    let Some(container) = all().find(|container| container.name == name) else { return false };
    let by_rule = container.restart_policy_rules.iter().flatten().any(|rule| {
        rule.exit_codes.as_ref().is_some_and(|codes| {
            let among = codes.values.as_ref().is_some_and(|values| values.contains(&code));
            among == (codes.operator == "In")
        })
    });
    let policy = container.restart_policy.as_ref().or(spec.restart_policy.as_ref());
    match policy.map(String::as_str) {
        _ if by_rule => true,
        Some("Never") => false,
        Some("OnFailure") => code != 0,
        _ => true,
    }
}

fn check_addresses(faults: &mut Faults, at: Path<'_>, status: &PodStatus) {
    let pod_ips = status.pod_ips.as_deref().unwrap_or_default();
    let ips: Vec<&str> = pod_ips.iter().map(|ip| ip.ip.as_str()).collect();
    validation::check_ips(faults, at.child("podIPs"), &ips, pod_ips);
    let host_ips = status.host_ips.as_deref().unwrap_or_default();
    let ips: Vec<&str> = host_ips.iter().map(|ip| ip.ip.as_str()).collect();
    let list = at.child("hostIPs");
    if let Some(first) = ips.first().filter(|first| status.host_ip.as_deref().unwrap_or_default() != **first) {
        faults.invalid(list.index(0).child("ip"), first, "must be equal to `hostIP`");
    }
    validation::check_ips(faults, list, &ips, host_ips);
}
