//! Names and addresses of a pod: ports on the host, DNS, host names and aliases.

use k8s_openapi::api::core::v1::PodSpec;

use super::text;
use crate::model::formats;
use crate::registry::fields::{Faults, Path};

const MOST_NAMESERVERS: usize = 3;
const MOST_SEARCHES: usize = 32;
const LONGEST_SEARCHES: usize = 2048;
const LONGEST_HOSTNAME: usize = 64;

/// On the host's network a port is the host's.
pub fn check_host_ports(faults: &mut Faults, list: Path<'_>, spec: &PodSpec) {
    if spec.host_network != Some(true) {
        return;
    }
    for (i, container) in spec.containers.iter().enumerate() {
        for (j, port) in container.ports.iter().flatten().enumerate() {
            let number = port.host_port.unwrap_or(0);
            if number != port.container_port {
                let why = "must match `containerPort` when `hostNetwork` is true";
                faults.invalid(list.index(i).child("ports").index(j).child("hostPort"), number, why);
            }
        }
    }
}

/// `spec.dnsPolicy`.
pub fn check_dns_policy(faults: &mut Faults, at: Path<'_>, spec: &PodSpec) {
    let policies = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    faults.require_one_of(at, text(&spec.dns_policy), &policies);
}

/// `spec.dnsConfig`.
pub fn check_dns_config(faults: &mut Faults, at: Path<'_>, spec: &PodSpec) {
    let none = spec.dns_policy.as_deref() == Some("None");
    let Some(config) = &spec.dns_config else {
        if none {
            faults.required(at, "must provide `dnsConfig` when `dnsPolicy` is None");
        }
        return;
    };
    let servers = config.nameservers.as_deref().unwrap_or_default();
    if none && servers.is_empty() {
        let why = "must provide at least one DNS nameserver when `dnsPolicy` is None";
        faults.required(at.child("nameservers"), why);
        return;
    }
    if servers.len() > MOST_NAMESERVERS {
        let why = format!("must not have more than {MOST_NAMESERVERS} nameservers");
        faults.invalid(at.child("nameservers"), servers, why);
    }
    for (i, server) in servers.iter().enumerate() {
        faults.invalid_for(at.child("nameservers").index(i), server, formats::ip_address(server));
    }
    let searches = config.searches.as_deref().unwrap_or_default();
    if searches.len() > MOST_SEARCHES {
        let why = format!("must not have more than {MOST_SEARCHES} search paths");
        faults.invalid(at.child("searches"), searches, why);
    }
    if searches.join(" ").len() > LONGEST_SEARCHES {
        let why =
            format!("must not have more than {LONGEST_SEARCHES} characters (including spaces) in the search list");
        faults.invalid(at.child("searches"), searches, why);
    }
    for (i, search) in searches.iter().enumerate().filter(|(_, search)| *search != ".") {
        let search = search.strip_suffix('.').unwrap_or(search);
        let wrongs = formats::dns_subdomain_with_underscores(search);
        faults.invalid_for(at.child("searches").index(i), search, wrongs);
    }
    for (i, option) in config.options.iter().flatten().enumerate() {
        if text(&option.name).is_empty() {
            faults.required(at.child("options").index(i), "must not be empty");
        }
    }
}

/// `spec.hostnameOverride`, which stands for itself.
pub fn check_hostname_override(faults: &mut Faults, at: Path<'_>, spec: &PodSpec) {
    let Some(name) = spec.hostname_override.as_deref() else { return };
    if spec.set_hostname_as_fqdn == Some(true) {
        faults.forbidden(at, "may not be specified when setHostnameAsFQDN is true");
    }
    if spec.host_network == Some(true) {
        faults.forbidden(at, "may not be specified when hostNetwork is true");
    }
    if name.len() > LONGEST_HOSTNAME {
        faults.too_long(at, LONGEST_HOSTNAME);
    }
    faults.invalid_for(at, name, formats::dns_subdomain(name));
}

/// `spec.hostAliases`.
pub fn check_host_aliases(faults: &mut Faults, list: Path<'_>, spec: &PodSpec) {
    for (i, alias) in spec.host_aliases.iter().flatten().enumerate() {
        let at = list.index(i);
        faults.invalid_for(at.child("ip"), &alias.ip, formats::ip_address(&alias.ip));
        for (j, name) in alias.hostnames.iter().flatten().enumerate() {
            faults.invalid_for(at.child("hostnames").index(j), name, formats::dns_subdomain(name));
        }
    }
}

/// Addresses of a pod or its host: each valid, at most one of each family, none twice.
pub fn check_ips(faults: &mut Faults, list: Path<'_>, ips: &[&str], all: impl serde::Serialize) {
    for (i, ip) in ips.iter().enumerate() {
        faults.invalid_for(list.index(i), ip, formats::ip_address(ip));
    }
    let sixes = ips.iter().filter(|ip| ip.contains(':')).count();
    if ips.len() > 2 || (ips.len() == 2 && sixes != 1) {
        faults.invalid(list, all, "may specify no more than one IP for each IP family");
    }
    for (i, ip) in ips.iter().enumerate() {
        if ips.iter().take(i).any(|other| other == ip) {
            faults.duplicate(list.index(i), serde_json::json!({ "ip": ip }));
        }
    }
}
