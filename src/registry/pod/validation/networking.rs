//! Host ports, DNS, host names and host aliases.

use k8s_openapi::api::core::v1::PodSpec;

use super::{SpecOwner, or_empty};
use crate::model::formats;
use crate::registry::fields::{ErrorList, FieldPath};

const MAX_NAMESERVERS: usize = 3;
const MAX_SEARCHES: usize = 32;
const MAX_SEARCH_LIST_LENGTH: usize = 2048;
const MAX_HOSTNAME: usize = 64;

/// Validates that host ports equal container ports on the host's network. Those of a template may be unset: its pods get
/// them as defaults.
pub fn validate_host_network_ports(errors: &mut ErrorList, list: FieldPath<'_>, spec: &PodSpec, owner: &SpecOwner<'_>) {
    if spec.host_network != Some(true) {
        return;
    }
    for (i, container) in spec.containers.iter().enumerate() {
        for (j, port) in container.ports.iter().flatten().enumerate() {
            let number = port.host_port.unwrap_or(0);
            let may_be_unset = matches!(owner, SpecOwner::Template);
            if number != port.container_port && !(may_be_unset && number == 0) {
                let detail = "must match `containerPort` when `hostNetwork` is true";
                errors.invalid(list.index(i).child("ports").index(j).child("hostPort"), number, detail);
            }
        }
    }
}

/// Validates `spec.dnsPolicy`.
pub fn validate_dns_policy(errors: &mut ErrorList, path: FieldPath<'_>, spec: &PodSpec) {
    let policies = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    errors.require_one_of(path, or_empty(&spec.dns_policy), &policies);
}

/// Validates `spec.dnsConfig`.
pub fn validate_dns_config(errors: &mut ErrorList, path: FieldPath<'_>, spec: &PodSpec) {
    let is_none = spec.dns_policy.as_deref() == Some("None");
    let Some(config) = &spec.dns_config else {
        if is_none {
            errors.required(path, "must provide `dnsConfig` when `dnsPolicy` is None");
        }
        return;
    };
    let servers = config.nameservers.as_deref().unwrap_or_default();
    if is_none && servers.is_empty() {
        let detail = "must provide at least one DNS nameserver when `dnsPolicy` is None";
        errors.required(path.child("nameservers"), detail);
        return;
    }
    if servers.len() > MAX_NAMESERVERS {
        let detail = format!("must not have more than {MAX_NAMESERVERS} nameservers");
        errors.invalid(path.child("nameservers"), servers, detail);
    }
    for (i, server) in servers.iter().enumerate() {
        errors.invalid_each(path.child("nameservers").index(i), server, formats::ip_address(server));
    }
    let searches = config.searches.as_deref().unwrap_or_default();
    if searches.len() > MAX_SEARCHES {
        let detail = format!("must not have more than {MAX_SEARCHES} search paths");
        errors.invalid(path.child("searches"), searches, detail);
    }
    if searches.join(" ").len() > MAX_SEARCH_LIST_LENGTH {
        let detail = format!(
            "must not have more than {MAX_SEARCH_LIST_LENGTH} characters (including spaces) in the search list"
        );
        errors.invalid(path.child("searches"), searches, detail);
    }
    for (i, search) in searches.iter().enumerate().filter(|(_, search)| *search != ".") {
        let search = search.strip_suffix('.').unwrap_or(search);
        let messages = formats::dns_subdomain_with_underscores(search);
        errors.invalid_each(path.child("searches").index(i), search, messages);
    }
    for (i, option) in config.options.iter().flatten().enumerate() {
        if or_empty(&option.name).is_empty() {
            errors.required(path.child("options").index(i), "must not be empty");
        }
    }
}

/// Validates `spec.hostnameOverride`.
pub fn validate_hostname_override(errors: &mut ErrorList, path: FieldPath<'_>, spec: &PodSpec) {
    let Some(name) = spec.hostname_override.as_deref() else { return };
    if spec.set_hostname_as_fqdn == Some(true) {
        errors.forbidden(path, "may not be specified when setHostnameAsFQDN is true");
    }
    if spec.host_network == Some(true) {
        errors.forbidden(path, "may not be specified when hostNetwork is true");
    }
    if name.len() > MAX_HOSTNAME {
        errors.too_long(path, MAX_HOSTNAME);
    }
    errors.invalid_each(path, name, formats::dns_subdomain(name));
}

/// Validates `spec.hostAliases`.
pub fn validate_host_aliases(errors: &mut ErrorList, list: FieldPath<'_>, spec: &PodSpec) {
    for (i, alias) in spec.host_aliases.iter().flatten().enumerate() {
        let path = list.index(i);
        errors.invalid_each(path.child("ip"), &alias.ip, formats::ip_address(&alias.ip));
        for (j, name) in alias.hostnames.iter().flatten().enumerate() {
            errors.invalid_each(path.child("hostnames").index(j), name, formats::dns_subdomain(name));
        }
    }
}

/// Validates the addresses of a pod or its host: at most one of each family, no duplicates.
pub fn validate_ips(errors: &mut ErrorList, list: FieldPath<'_>, ips: &[&str], all: impl serde::Serialize) {
    for (i, ip) in ips.iter().enumerate() {
        errors.invalid_each(list.index(i), ip, formats::ip_address(ip));
    }
    let ipv6_count = ips.iter().filter(|ip| ip.contains(':')).count();
    if ips.len() > 2 || (ips.len() == 2 && ipv6_count != 1) {
        errors.invalid(list, all, "may specify no more than one IP for each IP family");
    }
    for (i, ip) in ips.iter().enumerate() {
        if ips.iter().take(i).any(|other| other == ip) {
            errors.duplicate(list.index(i), serde_json::json!({ "ip": ip }));
        }
    }
}
