//! IP families of Services, and how `clusterIP`, `clusterIPs`, `ipFamilies` and `ipFamilyPolicy` determine each other
//! (`pkg/registry/core/service/storage` in Kubernetes).
//!
//! The cluster has IPv4 only.

use k8s_openapi::api::core::v1::ServiceSpec;

use super::validation::validate_cluster_ip_fields;
use super::{HEADLESS, cluster_ips, has_selector, ip_families, kind, needs_cluster_ip};
use crate::registry::addresses;
use crate::registry::fields::{ErrorList, FieldPath};

pub const IPV4: &str = "IPv4";
pub const IPV6: &str = "IPv6";
pub const SINGLE_STACK: &str = "SingleStack";
const PREFER_DUAL_STACK: &str = "PreferDualStack";
const REQUIRE_DUAL_STACK: &str = "RequireDualStack";

/// Brings `clusterIPs` in line with `clusterIP`, for clients that set one of them.
pub fn normalize_cluster_ips(spec: &mut ServiceSpec, old: Option<&ServiceSpec>) {
    let Some(old) = old else {
        if cluster_ips(spec).is_empty() {
            spec.cluster_ips = spec.cluster_ip.clone().map(|ip| vec![ip]);
        }
        return;
    };
    let is_same_ip = spec.cluster_ip == old.cluster_ip;
    if is_same_ip && cluster_ips(spec).is_empty() {
        spec.cluster_ips.clone_from(&old.cluster_ips);
    }
    if !is_same_ip && spec.cluster_ips == old.cluster_ips {
        spec.cluster_ips = spec.cluster_ip.clone().map(|ip| vec![ip]);
    }
}

/// Sets `ipFamilyPolicy` and `ipFamilies` where the client did not, and records why what it set does not fit.
pub fn initialize(errors: &mut ErrorList, spec: &mut ServiceSpec, old: Option<&ServiceSpec>) {
    if !needs_cluster_ip(spec) || old.is_some_and(|old| is_unchanged_dual_stack(spec, old)) {
        return;
    }
    let is_free_headless = spec.cluster_ip.as_deref() == Some(HEADLESS) && !has_selector(spec);
    if spec.ip_family_policy.is_none() {
        let default = if is_free_headless { REQUIRE_DUAL_STACK } else { SINGLE_STACK };
        let inherited = old.and_then(|old| old.ip_family_policy.clone());
        spec.ip_family_policy = Some(inherited.unwrap_or_else(|| default.into()));
    }
    validate_cluster_ip_fields(errors, spec, old);
    if errors.count() > 0 {
        return;
    }
    if let Some(old) = old {
        check_released_family(errors, spec, old);
    }
    check_policy_fits_lists(errors, spec);
    infer_families(errors, spec);
    if errors.count() > 0 {
        return;
    }
    if is_free_headless {
        // Nothing is allocated, so a cluster of one family may have Services of two.
        add_families_of_headless(spec);
        return;
    }
    check_cluster_has_families(errors, spec);
    if errors.count() == 0 {
        spec.ip_families.get_or_insert_with(|| vec![IPV4.into()]);
    }
}

/// Returns whether the update leaves a Service alone that prefers two families: it keeps those that it has.
pub fn is_unchanged_dual_stack(spec: &ServiceSpec, old: &ServiceSpec) -> bool {
    let prefers = |policy: &Option<String>| policy.as_deref() == Some(PREFER_DUAL_STACK);
    prefers(&spec.ip_family_policy)
        && (old.ip_family_policy.is_none() || prefers(&old.ip_family_policy))
        && kind(spec) == kind(old)
        && spec.cluster_ips == old.cluster_ips
        && spec.ip_families == old.ip_families
}

fn policy(spec: &ServiceSpec) -> &str {
    spec.ip_family_policy.as_deref().unwrap_or_default()
}

/// Drops the second family of a Service that becomes single-stack, and requires that policy for it.
fn check_released_family(errors: &mut ErrorList, spec: &mut ServiceSpec, old: &ServiceSpec) {
    let is_reduced = |new: &[String], old: &[String]| !new.is_empty() && new.len() < old.len();
    if policy(spec) == SINGLE_STACK {
        if spec.cluster_ips == old.cluster_ips {
            spec.cluster_ips.iter_mut().for_each(|ips| ips.truncate(1));
        }
        if spec.ip_families == old.ip_families {
            spec.ip_families.iter_mut().for_each(|families| families.truncate(1));
        }
        return;
    }
    for (is_reduced, what) in [
        (is_reduced(cluster_ips(spec), cluster_ips(old)), "cluster IP"),
        (is_reduced(ip_families(spec), ip_families(old)), "IP family"),
    ] {
        if is_reduced {
            let detail = format!("must be 'SingleStack' to release the secondary {what}");
            errors.invalid(FieldPath::root("spec").child("ipFamilyPolicy"), policy(spec), detail);
        }
    }
}

fn check_policy_fits_lists(errors: &mut ErrorList, spec: &ServiceSpec) {
    if policy(spec) != SINGLE_STACK {
        return;
    }
    for (list, what) in [(cluster_ips(spec), "cluster IPs"), (ip_families(spec), "IP families")] {
        if list.len() == 2 {
            let detail = format!("must be 'RequireDualStack' or 'PreferDualStack' when multiple {what} are specified");
            errors.invalid(FieldPath::root("spec").child("ipFamilyPolicy"), policy(spec), detail);
        }
    }
}

/// Adds the families of the addresses that the client chose.
fn infer_families(errors: &mut ErrorList, spec: &mut ServiceSpec) {
    let known = ip_families(spec).len();
    let mut inferred = Vec::new();
    let spec_path = FieldPath::root("spec");
    let list = spec_path.child("clusterIPs");
    for (i, ip) in cluster_ips(spec).iter().enumerate().skip(known).filter(|(_, ip)| *ip != HEADLESS) {
        if addresses::is_ipv4(ip) {
            inferred.push(IPV4.to_string());
        } else {
            errors.invalid(list.index(i), cluster_ips(spec), "IPv6 is not configured on this cluster");
        }
    }
    if !inferred.is_empty() {
        spec.ip_families.get_or_insert_default().append(&mut inferred);
    }
}

fn add_families_of_headless(spec: &mut ServiceSpec) {
    let is_single = policy(spec) == SINGLE_STACK;
    let families = spec.ip_families.get_or_insert_with(|| vec![IPV4.into()]);
    if let ([only], false) = (families.as_slice(), is_single) {
        let other = if only == IPV4 { IPV6 } else { IPV4 };
        families.push(other.into());
    }
}

fn check_cluster_has_families(errors: &mut ErrorList, spec: &ServiceSpec) {
    let path = FieldPath::root("spec");
    if policy(spec) == REQUIRE_DUAL_STACK {
        let detail = "this cluster is not configured for dual-stack services";
        errors.invalid(path.child("ipFamilyPolicy"), policy(spec), detail);
    }
    for (i, family) in ip_families(spec).iter().enumerate().filter(|(_, family)| *family != IPV4) {
        errors.invalid(path.child("ipFamilies").index(i), family, "not configured on this cluster");
    }
}
