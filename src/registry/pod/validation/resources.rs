//! Resources of containers and pods: names, quantities, requests within limits; resource claims and resize policies.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Container, PodSpec, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::{SpecOwner, or_empty};
use crate::model::{formats, quantity};
use crate::registry::fields::{ErrorList, FieldPath};
use crate::registry::pod::totals::{self, Quantities, exceeds, is_native_resource, is_overcommit_allowed};

type NameRule = fn(&mut ErrorList, FieldPath<'_>, &str);

/// Validates the resources of a container.
pub fn validate_container(
    errors: &mut ErrorList,
    path: FieldPath<'_>,
    resources: &ResourceRequirements,
    claims: &BTreeSet<&str>,
) {
    validate_resource_requirements(errors, path, resources, validate_container_resource_name);
    validate_container_claim_names(errors, path.child("claims"), resources, claims);
}

/// Validates the overhead of pods.
pub fn validate_overhead(errors: &mut ErrorList, path: FieldPath<'_>, overhead: &Quantities) {
    let resources = ResourceRequirements { limits: Some(overhead.clone()), ..ResourceRequirements::default() };
    validate_resource_requirements(errors, path, &resources, validate_container_resource_name);
}

/// Validates the pod-level resources.
pub fn validate_pod(errors: &mut ErrorList, path: FieldPath<'_>, spec: &PodSpec, claims: &BTreeSet<&str>) {
    let Some(resources) = &spec.resources else { return };
    if spec.os.as_ref().is_some_and(|os| os.name == "windows") {
        errors.forbidden(path, "may not be set for a windows pod");
        return;
    }
    if resources.claims.is_some() {
        errors.forbidden(path.child("claims"), "claims may not be set for Resources at pod-level");
    }
    validate_resource_requirements(errors, path, resources, validate_pod_resource_name);
    validate_container_claim_names(errors, path.child("claims"), resources, claims);
    let nothing = Quantities::new();
    let requests = resources.requests.as_ref().unwrap_or(&nothing);
    let limits = resources.limits.as_ref().unwrap_or(&nothing);
    for (name, total) in totals::aggregate_requests(spec) {
        if let Some(request) = requests.get(&name).filter(|request| exceeds(&total, request)) {
            let detail = format!("must be greater than or equal to aggregate container requests of {}", total.0);
            errors.invalid(path.child("requests").key(&name), &request.0, detail);
        }
    }
    for (name, total) in totals::aggregate_limits(spec).into_iter().filter(|(name, _)| name.starts_with("hugepages-")) {
        if let Some(limit) = limits.get(&name).filter(|limit| exceeds(&total, limit)) {
            let detail = format!("must be greater than or equal to aggregate container limits of {}", total.0);
            errors.invalid(path.child("limits").key(&name), &limit.0, detail);
        }
    }
    for (i, container) in spec.containers.iter().enumerate() {
        let own = container.resources.as_ref().and_then(|resources| resources.limits.as_ref());
        for (name, limit) in own.into_iter().flatten() {
            let Some(max) = limits.get(name).filter(|max| exceeds(limit, max)) else { continue };
            let detail = format!("must be less than or equal to pod limits of {}", max.0);
            errors.invalid(path.child("containers").index(i).key(name).child("limits"), &limit.0, detail);
        }
    }
}

fn validate_resource_requirements(
    errors: &mut ErrorList,
    path: FieldPath<'_>,
    resources: &ResourceRequirements,
    name_rule: NameRule,
) {
    let nothing = Quantities::new();
    let limits = resources.limits.as_ref().unwrap_or(&nothing);
    let requests = resources.requests.as_ref().unwrap_or(&nothing);
    for (name, quantity) in limits {
        validate_resource_quantity(errors, path.child("limits").key(name), name, quantity, name_rule);
    }
    for (name, quantity) in requests {
        validate_resource_quantity(errors, path.child("requests").key(name), name, quantity, name_rule);
        validate_request_within_limit(errors, path, name, quantity, limits.get(name));
    }
    let has_resource = |matches: fn(&str) -> bool| limits.keys().chain(requests.keys()).any(|name| matches(name));
    if has_resource(|name| name.starts_with("hugepages-")) && !has_resource(|name| matches!(name, "cpu" | "memory")) {
        errors.forbidden(path, "HugePages require cpu or memory");
    }
}

fn validate_resource_quantity(
    errors: &mut ErrorList,
    path: FieldPath<'_>,
    name: &str,
    quantity: &Quantity,
    name_rule: NameRule,
) {
    name_rule(errors, path, name);
    let value = match quantity::nano(quantity) {
        Ok(value) => value,
        Err(error) => return errors.invalid(path, &quantity.0, error),
    };
    if value < 0 {
        errors.invalid(path, &quantity.0, "must be greater than or equal to 0");
    }
    if !is_native_resource(name) && value % 1_000_000_000 != 0 {
        errors.invalid(path, &quantity.0, "must be an integer");
    }
    if let Some(page) = name.strip_prefix("hugepages-") {
        let page = quantity::nano(&Quantity(page.into())).unwrap_or(0);
        if page <= 0 || value % page != 0 || value < 0 {
            let detail = format!("{} is not positive integer multiple of {name}", quantity.0);
            errors.invalid(path, &quantity.0, detail);
        }
    }
}

/// Validates that a request does not exceed its limit, or equals it if the resource allows no overcommit.
fn validate_request_within_limit(
    errors: &mut ErrorList,
    path: FieldPath<'_>,
    name: &str,
    request: &Quantity,
    limit: Option<&Quantity>,
) {
    let allows_overcommit = is_overcommit_allowed(name);
    match limit {
        Some(limit) if !allows_overcommit && (exceeds(request, limit) || exceeds(limit, request)) => {
            let detail = format!("must be equal to {name} limit of {}", limit.0);
            errors.invalid(path.child("requests"), &request.0, detail);
        }
        Some(limit) if exceeds(request, limit) => {
            let detail = format!("must be less than or equal to {name} limit of {}", limit.0);
            errors.invalid(path.child("requests"), &request.0, detail);
        }
        None if !allows_overcommit => {
            errors.required(path.child("limits"), "Limit must be set for non overcommitable resources");
        }
        _ => {}
    }
}

/// Kubernetes' own names of resources and quotas; all others have a domain.
const STANDARD_RESOURCES: &[&str] = &[
    "configmaps",
    "cpu",
    "ephemeral-storage",
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "memory",
    "persistentvolumeclaims",
    "pods",
    "replicationcontrollers",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
    "requests.storage",
    "resourcequotas",
    "secrets",
    "services",
    "services.loadbalancers",
    "services.nodeports",
    "storage",
];

/// Validates a resource name. Returns whether it is valid.
pub fn validate_resource_name(errors: &mut ErrorList, path: FieldPath<'_>, name: &str) -> bool {
    let count_before = errors.count();
    errors.invalid_each(path, name, formats::qualified_name(name));
    let is_huge_page = name.starts_with("hugepages-") || name.starts_with("requests.hugepages-");
    if errors.count() == count_before && !name.contains('/') && !STANDARD_RESOURCES.contains(&name) && !is_huge_page {
        errors.invalid(path, name, "must be a standard resource type or fully qualified");
    }
    errors.count() == count_before
}

/// Validates the name of a resource of containers.
pub fn validate_container_resource_name(errors: &mut ErrorList, path: FieldPath<'_>, name: &str) {
    validate_resource_name(errors, path, name);
    if !name.contains('/') {
        let is_standard = matches!(name, "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-");
        if !is_standard {
            errors.invalid(path, name, "must be a standard resource for containers");
        }
    } else if !is_native_resource(name) && !is_extended(name) {
        errors.invalid(path, name, "doesn't follow extended resource name standard");
    }
}

/// Returns whether the name is that of an extended resource: qualified, and not a quota's.
pub fn is_extended(name: &str) -> bool {
    !name.starts_with("requests.") && formats::qualified_name(&format!("requests.{name}")).is_empty()
}

fn validate_pod_resource_name(errors: &mut ErrorList, path: FieldPath<'_>, name: &str) {
    if validate_resource_name(errors, path, name) && !totals::is_pod_level_resource(name) {
        errors.check_one_of(path, name, &["cpu", "hugepages-", "memory"]);
    }
}

/// Validates `spec.resourceClaims` and returns the names that containers may use.
pub fn validate_pod_resource_claims<'s>(
    errors: &mut ErrorList,
    list: FieldPath<'_>,
    spec: &'s PodSpec,
    owner: &SpecOwner<'_>,
) -> BTreeSet<&'s str> {
    let mut names = BTreeSet::new();
    for (i, claim) in spec.resource_claims.iter().flatten().enumerate() {
        let path = list.index(i);
        if matches!(owner, SpecOwner::Pod { is_mirror: true, .. }) {
            errors.forbidden(FieldPath::root(""), "static pods do not support resource claims");
            continue;
        }
        let name = claim.name.as_str();
        if errors.require_non_empty(path.child("name"), name) {
            if names.insert(name) {
                errors.invalid_each(path.child("name"), name, formats::dns_label(name));
            } else {
                errors.duplicate(path.child("name"), name);
            }
        }
        match (&claim.resource_claim_name, &claim.resource_claim_template_name) {
            (Some(_), Some(_)) => {
                let detail = "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified";
                errors.invalid(path, claim, detail);
            }
            (None, None) => {
                let detail = "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`";
                errors.invalid(path, claim, detail);
            }
            _ => {}
        }
        for (field, name) in [
            ("resourceClaimName", &claim.resource_claim_name),
            ("resourceClaimTemplateName", &claim.resource_claim_template_name),
        ] {
            if let Some(name) = name {
                errors.invalid_each(path.child(field), name, formats::dns_subdomain(name));
            }
        }
    }
    names
}

fn validate_container_claim_names(
    errors: &mut ErrorList,
    list: FieldPath<'_>,
    resources: &ResourceRequirements,
    claims: &BTreeSet<&str>,
) {
    let mut used: BTreeSet<(&str, &str)> = BTreeSet::new();
    for (i, claim) in resources.claims.iter().flatten().enumerate() {
        let path = list.index(i);
        let (name, request) = (claim.name.as_str(), or_empty(&claim.request));
        if !errors.require_non_empty(path, name) {
            continue;
        }
        let uses_whole_claim = used.contains(&(name, ""));
        let overlaps = uses_whole_claim || (request.is_empty() && used.iter().any(|(other, _)| *other == name));
        if overlaps {
            errors.duplicate(path, name);
        } else {
            if !request.is_empty() {
                errors.invalid_each(path.child("request"), request, formats::dns_label(request));
            }
            if used.contains(&(name, request)) {
                errors.duplicate(path, format!("{name}/{request}"));
            }
        }
        used.insert((name, request));
        if !claims.contains(name) {
            let names: Vec<&str> = claims.iter().copied().collect();
            let rest = if names.is_empty() { " which is empty".into() } else { format!(": {}", names.join(", ")) };
            errors.not_found_with_detail(
                path,
                name,
                format!("must be one of the names in pod.spec.resourceClaims{rest}"),
            );
        }
    }
}

/// Validates `resizePolicy`.
pub fn validate_resize_policy(errors: &mut ErrorList, path: FieldPath<'_>, container: &Container, spec: &PodSpec) {
    let mut names = BTreeSet::new();
    let never_restarts = spec.restart_policy.as_deref() == Some("Never");
    for (i, policy) in container.resize_policy.iter().flatten().enumerate() {
        if !names.insert(policy.resource_name.as_str()) {
            errors.duplicate(path.index(i), &policy.resource_name);
        }
        errors.require_one_of(path, &policy.resource_name, &["cpu", "memory"]);
        errors.require_one_of(path, &policy.restart_policy, &["NotRequired", "RestartContainer"]);
        if never_restarts && policy.restart_policy != "NotRequired" {
            let detail = "must be 'NotRequired' when pod `restartPolicy` is 'Never'";
            errors.invalid(path, &policy.restart_policy, detail);
        }
    }
}
