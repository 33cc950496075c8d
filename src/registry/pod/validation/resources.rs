//! Resources of containers and of whole pods: names, amounts, requests within limits; claims and resize policies.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::annotations::MIRROR;
use super::text;
use crate::model::{formats, pods, quantity};
use crate::registry::fields::{Faults, Path};
use crate::registry::pod::totals::{self, Amounts, is_more, is_native, may_be_overcommitted};

type NameRule = fn(&mut Faults, Path<'_>, &str);

/// The resources of one container.
pub fn check_container(faults: &mut Faults, at: Path<'_>, resources: &ResourceRequirements, claims: &BTreeSet<&str>) {
    check_requirements(faults, at, resources, check_container_name);
    check_claim_names(faults, at.child("claims"), resources, claims);
}

/// What running the pod costs beside its containers.
pub fn check_overhead(faults: &mut Faults, at: Path<'_>, spec: &PodSpec) {
    let Some(overhead) = &spec.overhead else { return };
    let resources = ResourceRequirements { limits: Some(overhead.clone()), ..ResourceRequirements::default() };
    check_requirements(faults, at, &resources, check_container_name);
}

/// The resources of the pod as a whole, which its containers share.
pub fn check_pod(faults: &mut Faults, at: Path<'_>, spec: &PodSpec, claims: &BTreeSet<&str>) {
    let Some(resources) = &spec.resources else { return };
    if spec.os.as_ref().is_some_and(|os| os.name == "windows") {
        faults.forbidden(at, "may not be set for a windows pod");
        return;
    }
    if resources.claims.is_some() {
        faults.forbidden(at.child("claims"), "claims may not be set for Resources at pod-level");
    }
    check_requirements(faults, at, resources, check_pod_name);
    check_claim_names(faults, at.child("claims"), resources, claims);
    let nothing = Amounts::new();
    let requests = resources.requests.as_ref().unwrap_or(&nothing);
    let limits = resources.limits.as_ref().unwrap_or(&nothing);
    for (name, wanted) in totals::requests(spec) {
        if let Some(request) = requests.get(&name).filter(|request| is_more(&wanted, request)) {
            let why = format!("must be greater than or equal to aggregate container requests of {}", wanted.0);
            faults.invalid(at.child("requests").key(&name), &request.0, why);
        }
    }
    for (name, wanted) in totals::limits(spec).into_iter().filter(|(name, _)| name.starts_with("hugepages-")) {
        if let Some(limit) = limits.get(&name).filter(|limit| is_more(&wanted, limit)) {
            let why = format!("must be greater than or equal to aggregate container limits of {}", wanted.0);
            faults.invalid(at.child("limits").key(&name), &limit.0, why);
        }
    }
    for (i, container) in spec.containers.iter().enumerate() {
        let own = container.resources.as_ref().and_then(|resources| resources.limits.as_ref());
        for (name, limit) in own.into_iter().flatten() {
            let Some(most) = limits.get(name).filter(|most| is_more(limit, most)) else { continue };
            let why = format!("must be less than or equal to pod limits of {}", most.0);
            faults.invalid(at.child("containers").index(i).key(name).child("limits"), &limit.0, why);
        }
    }
}

fn check_requirements(faults: &mut Faults, at: Path<'_>, resources: &ResourceRequirements, name_rule: NameRule) {
    let nothing = Amounts::new();
    let limits = resources.limits.as_ref().unwrap_or(&nothing);
    let requests = resources.requests.as_ref().unwrap_or(&nothing);
    for (name, amount) in limits {
        check_amount(faults, at.child("limits").key(name), name, amount, name_rule);
    }
    for (name, amount) in requests {
        check_amount(faults, at.child("requests").key(name), name, amount, name_rule);
        check_within(faults, at, name, amount, limits.get(name));
    }
    let named = |found: fn(&str) -> bool| limits.keys().chain(requests.keys()).any(|name| found(name));
    if named(|name| name.starts_with("hugepages-")) && !named(|name| matches!(name, "cpu" | "memory")) {
        faults.forbidden(at, "HugePages require cpu or memory");
    }
}

fn check_amount(faults: &mut Faults, at: Path<'_>, name: &str, amount: &Quantity, name_rule: NameRule) {
    name_rule(faults, at, name);
    let value = match quantity::nano(amount) {
        Ok(value) => value,
        Err(error) => return faults.invalid(at, &amount.0, error),
    };
    if value < 0 {
        faults.invalid(at, &amount.0, "must be greater than or equal to 0");
    }
    if !is_native(name) && value % 1_000_000_000 != 0 {
        faults.invalid(at, &amount.0, "must be an integer");
    }
    if let Some(page) = name.strip_prefix("hugepages-") {
        let page = quantity::nano(&Quantity(page.into())).unwrap_or(0);
        if page <= 0 || value % page != 0 || value < 0 {
            let why = format!("{} is not positive integer multiple of {name}", amount.0);
            faults.invalid(at, &amount.0, why);
        }
    }
}

/// A request stands within its limit; where nothing may be promised twice, at it.
fn check_within(faults: &mut Faults, at: Path<'_>, name: &str, request: &Quantity, limit: Option<&Quantity>) {
    let overcommit = may_be_overcommitted(name);
    match limit {
        Some(limit) if !overcommit && (is_more(request, limit) || is_more(limit, request)) => {
            let why = format!("must be equal to {name} limit of {}", limit.0);
            faults.invalid(at.child("requests"), &request.0, why);
        }
        Some(limit) if is_more(request, limit) => {
            let why = format!("must be less than or equal to {name} limit of {}", limit.0);
            faults.invalid(at.child("requests"), &request.0, why);
        }
        None if !overcommit => {
            faults.required(at.child("limits"), "Limit must be set for non overcommitable resources");
        }
        _ => {}
    }
}

/// Names that Kubernetes gives to resources and quotas; others have a domain.
const STANDARD: &[&str] = &[
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

/// What any resource's name must be. Tells whether it is.
fn check_name(faults: &mut Faults, at: Path<'_>, name: &str) -> bool {
    let before = faults.count();
    faults.invalid_for(at, name, formats::qualified_name(name));
    let huge = name.starts_with("hugepages-") || name.starts_with("requests.hugepages-");
    if faults.count() == before && !name.contains('/') && !STANDARD.contains(&name) && !huge {
        faults.invalid(at, name, "must be a standard resource type or fully qualified");
    }
    faults.count() == before
}

fn check_container_name(faults: &mut Faults, at: Path<'_>, name: &str) {
    check_name(faults, at, name);
    if !name.contains('/') {
        let standard = matches!(name, "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-");
        if !standard {
            faults.invalid(at, name, "must be a standard resource for containers");
        }
    } else if !is_native(name) && !is_extended(name) {
        faults.invalid(at, name, "doesn't follow extended resource name standard");
    }
}

/// A resource of somebody's: its domain is not Kubernetes', nor does it look like a quota's.
fn is_extended(name: &str) -> bool {
    !name.starts_with("requests.") && formats::qualified_name(&format!("requests.{name}")).is_empty()
}

fn check_pod_name(faults: &mut Faults, at: Path<'_>, name: &str) {
    if check_name(faults, at, name) && !totals::is_of_pods(name) {
        faults.one_of(at, name, &["cpu", "hugepages-", "memory"]);
    }
}

/// `spec.resourceClaims`, and the names that containers may use.
pub fn check_claims<'s>(faults: &mut Faults, list: Path<'_>, pod: &Pod, spec: &'s PodSpec) -> BTreeSet<&'s str> {
    let mut names = BTreeSet::new();
    for (i, claim) in spec.resource_claims.iter().flatten().enumerate() {
        let at = list.index(i);
        if pods::annotation(pod, MIRROR).is_some() {
            faults.forbidden(Path::root(""), "static pods do not support resource claims");
            continue;
        }
        let name = claim.name.as_str();
        if faults.require_text(at.child("name"), name) {
            if names.insert(name) {
                faults.invalid_for(at.child("name"), name, formats::dns_label(name));
            } else {
                faults.duplicate(at.child("name"), name);
            }
        }
        match (&claim.resource_claim_name, &claim.resource_claim_template_name) {
            (Some(_), Some(_)) => {
                let why = "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified";
                faults.invalid(at, claim, why);
            }
            (None, None) => {
                let why = "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`";
                faults.invalid(at, claim, why);
            }
            _ => {}
        }
        for (field, name) in [
            ("resourceClaimName", &claim.resource_claim_name),
            ("resourceClaimTemplateName", &claim.resource_claim_template_name),
        ] {
            if let Some(name) = name {
                faults.invalid_for(at.child(field), name, formats::dns_subdomain(name));
            }
        }
    }
    names
}

fn check_claim_names(faults: &mut Faults, list: Path<'_>, resources: &ResourceRequirements, claims: &BTreeSet<&str>) {
    let mut used: BTreeSet<(&str, &str)> = BTreeSet::new();
    for (i, claim) in resources.claims.iter().flatten().enumerate() {
        let at = list.index(i);
        let (name, request) = (claim.name.as_str(), text(&claim.request));
        if !faults.require_text(at, name) {
            continue;
        }
        let whole = used.contains(&(name, ""));
        let overlaps = whole || (request.is_empty() && used.iter().any(|(other, _)| *other == name));
        if overlaps {
            faults.duplicate(at, name);
        } else {
            if !request.is_empty() {
                faults.invalid_for(at.child("request"), request, formats::dns_label(request));
            }
            if used.contains(&(name, request)) {
                faults.duplicate(at, format!("{name}/{request}"));
            }
        }
        used.insert((name, request));
        if !claims.contains(name) {
            let names: Vec<&str> = claims.iter().copied().collect();
            let rest = if names.is_empty() { " which is empty".into() } else { format!(": {}", names.join(", ")) };
            faults.not_found_but(at, name, format!("must be one of the names in pod.spec.resourceClaims{rest}"));
        }
    }
}

/// What a change of its resources means to a container.
pub fn check_resize_policy(faults: &mut Faults, at: Path<'_>, container: &Container, spec: &PodSpec) {
    let mut names = BTreeSet::new();
    let never = spec.restart_policy.as_deref() == Some("Never");
    for (i, policy) in container.resize_policy.iter().flatten().enumerate() {
        if !names.insert(policy.resource_name.as_str()) {
            faults.duplicate(at.index(i), &policy.resource_name);
        }
        faults.require_one_of(at, &policy.resource_name, &["cpu", "memory"]);
        faults.require_one_of(at, &policy.restart_policy, &["NotRequired", "RestartContainer"]);
        if never && policy.restart_policy != "NotRequired" {
            let why = "must be 'NotRequired' when pod `restartPolicy` is 'Never'";
            faults.invalid(at, &policy.restart_policy, why);
        }
    }
}
