//! Validation of Services (`ValidateService` in Kubernetes' `pkg/apis/core/validation`).

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{LoadBalancerStatus, Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::families::{IPV4, IPV6, SINGLE_STACK};
use super::{
    CLUSTER_IP, EXTERNAL_NAME, HEADLESS, LOAD_BALANCER, NODE_PORT, TOPOLOGY_HINTS, TOPOLOGY_MODE, cluster_ips,
    ip_families, is_externally_accessible, is_headless, kind, needs_cluster_ip, needs_health_check_node_port, ports,
};
use crate::model::formats;
use crate::registry::fields::{ErrorList, FieldPath};
use crate::registry::{addresses, metadata};

const MAX_AFFINITY_SECONDS: i32 = 86400;
const SOURCE_RANGES: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";
const POLICIES: &[&str] = &["Cluster", "Local"];
const UNCHANGEABLE: &str = "may not change once set";
const LOAD_BALANCER_ONLY: &str = "may only be used when `type` is 'LoadBalancer'";

/// Validates a Service; `old` is the one that it replaces.
pub fn validate(errors: &mut ErrorList, service: &Service, old: Option<&Service>) {
    metadata::validate_object_meta(errors, &service.metadata, formats::dns_label);
    validate_topology_annotations(errors, service);
    let empty = ServiceSpec::default();
    let spec = service.spec.as_ref().unwrap_or(&empty);
    let old_spec = old.and_then(|old| old.spec.as_ref());
    let path = FieldPath::root("spec");
    if ports(spec).is_empty() && !is_headless(spec) && kind(spec) != EXTERNAL_NAME {
        errors.required(path.child("ports"), "");
    }
    validate_fields_of_type(errors, path, spec);
    let mut names = BTreeSet::new();
    for (i, port) in ports(spec).iter().enumerate() {
        validate_port(errors, path.child("ports").index(i), port, ports(spec).len() > 1, &mut names);
    }
    metadata::validate_labels(errors, path.child("selector"), &spec.selector);
    validate_affinity(errors, path, spec);
    validate_cluster_ip_fields(errors, spec, old_spec);
    validate_external_ips(errors, path.child("externalIPs"), spec, old_spec);
    let types = [CLUSTER_IP, EXTERNAL_NAME, LOAD_BALANCER, NODE_PORT];
    errors.require_one_of(path.child("type"), kind(spec), &types);
    validate_port_numbers(errors, path.child("ports"), spec);
    validate_source_ranges(errors, path, service, old);
    if spec.allocate_load_balancer_node_ports.is_some() && kind(spec) != LOAD_BALANCER {
        errors.forbidden(path.child("allocateLoadBalancerNodePorts"), LOAD_BALANCER_ONLY);
    }
    validate_load_balancer_class(errors, path.child("loadBalancerClass"), spec);
    validate_traffic(errors, path, spec);
}

/// Validates the replacement of `old`.
pub fn validate_update(errors: &mut ErrorList, service: &Service, old: &Service) {
    metadata::validate_object_meta_update(errors, &service.metadata, &old.metadata);
    if let (Some(spec), Some(old_spec)) = (&service.spec, &old.spec) {
        if needs_cluster_ip(spec) && needs_cluster_ip(old_spec) {
            validate_changed_cluster_ips(errors, spec, old_spec);
            validate_changed_families(errors, spec, old_spec);
        }
        let path = FieldPath::root("spec");
        let is_same_class = spec.load_balancer_class == old_spec.load_balancer_class;
        if kind(spec) == LOAD_BALANCER && kind(old_spec) == LOAD_BALANCER && !is_same_class {
            errors.invalid(path.child("loadBalancerClass"), &spec.load_balancer_class, UNCHANGEABLE);
        }
        validate_load_balancer_class(errors, path.child("loadBalancerClass"), spec);
        let is_checked = needs_health_check_node_port(spec) && needs_health_check_node_port(old_spec);
        if is_checked && spec.health_check_node_port != old_spec.health_check_node_port {
            errors.forbidden(path.child("healthCheckNodePort"), "field is immutable");
        }
    }
    validate(errors, service, Some(old));
}

/// Validates a changed status.
pub fn validate_status_update(errors: &mut ErrorList, service: &Service, old: &Service) {
    metadata::validate_object_meta_update(errors, &service.metadata, &old.metadata);
    let balancer = |service: &Service| {
        let status = service.status.as_ref();
        status.and_then(|status| status.load_balancer.clone()).unwrap_or_default()
    };
    let is_load_balancer = service.spec.as_ref().is_some_and(|spec| kind(spec) == LOAD_BALANCER);
    validate_load_balancer_status(errors, &balancer(service), &balancer(old), is_load_balancer);
}

fn validate_topology_annotations(errors: &mut ErrorList, service: &Service) {
    let annotation = |key: &str| service.metadata.annotations.as_ref().and_then(|annotations| annotations.get(key));
    if let (Some(mode), Some(hints)) = (annotation(TOPOLOGY_MODE), annotation(TOPOLOGY_HINTS))
        && mode != hints
    {
        let detail = format!("must match annotations[{TOPOLOGY_HINTS}] when both are specified");
        errors.invalid(FieldPath::root("metadata").child("annotations").key(TOPOLOGY_MODE), mode, detail);
    }
}

/// Validates what only some types may have or must have.
fn validate_fields_of_type(errors: &mut ErrorList, path: FieldPath<'_>, spec: &ServiceSpec) {
    match kind(spec) {
        LOAD_BALANCER | NODE_PORT if is_headless(spec) => {
            let detail = format!("may not be set to 'None' for {} services", kind(spec));
            errors.invalid(path.child("clusterIPs").index(0), HEADLESS, detail);
        }
        EXTERNAL_NAME => {
            let detail = "may not be set for ExternalName services";
            for (field, is_set) in [
                ("clusterIPs", !cluster_ips(spec).is_empty()),
                ("ipFamilies", !ip_families(spec).is_empty()),
                ("ipFamilyPolicy", spec.ip_family_policy.is_some()),
            ] {
                if is_set {
                    errors.forbidden(path.child(field), detail);
                }
            }
            // A trailing dot marks a fully qualified name.
            let name = spec.external_name.as_deref().unwrap_or_default();
            let name = name.strip_suffix('.').unwrap_or(name);
            if errors.require_non_empty(path.child("externalName"), name) {
                errors.invalid_each(path.child("externalName"), name, formats::dns_subdomain(name));
            }
        }
        _ => {}
    }
}

fn validate_port<'p>(
    errors: &mut ErrorList,
    path: FieldPath<'_>,
    port: &'p ServicePort,
    requires_name: bool,
    names: &mut BTreeSet<&'p str>,
) {
    match port.name.as_deref().unwrap_or_default() {
        "" if requires_name => errors.required(path.child("name"), ""),
        "" => {}
        name => {
            errors.invalid_each(path.child("name"), name, formats::dns_label(name));
            if !names.insert(name) {
                errors.duplicate(path.child("name"), name);
            }
        }
    }
    errors.invalid_each(path.child("port"), port.port, formats::port_number(port.port));
    let protocol = port.protocol.as_deref().unwrap_or_default();
    errors.require_one_of(path.child("protocol"), protocol, &["SCTP", "TCP", "UDP"]);
    match &port.target_port {
        Some(IntOrString::Int(number)) => {
            errors.invalid_each(path.child("targetPort"), number, formats::port_number(*number));
        }
        Some(IntOrString::String(name)) => {
            errors.invalid_each(path.child("targetPort"), name, formats::port_name(name));
        }
        None => {}
    }
    if let Some(protocol) = &port.app_protocol {
        errors.invalid_each(path.child("appProtocol"), protocol, formats::qualified_name(protocol));
    }
}

fn validate_affinity(errors: &mut ErrorList, path: FieldPath<'_>, spec: &ServiceSpec) {
    let affinity = spec.session_affinity.as_deref().unwrap_or_default();
    errors.require_one_of(path.child("sessionAffinity"), affinity, &["ClientIP", "None"]);
    let path = path.child("sessionAffinityConfig");
    let config = spec.session_affinity_config.as_ref();
    if affinity == "None" && config.is_some() {
        errors.forbidden(path, "must not be set when session affinity is None");
    }
    if affinity != "ClientIP" {
        return;
    }
    let detail = "when session affinity type is ClientIP";
    let client_ip = config.and_then(|config| config.client_ip.as_ref());
    match (config, client_ip, client_ip.and_then(|client_ip| client_ip.timeout_seconds)) {
        (None, ..) => errors.required(path, detail),
        (_, None, _) => errors.required(path.child("clientIP"), detail),
        (_, _, None) => errors.required(path.child("clientIP").child("timeoutSeconds"), detail),
        (_, _, Some(1..=MAX_AFFINITY_SECONDS)) => {}
        (_, _, Some(seconds)) => {
            let detail = format!("must be greater than 0 and less than {MAX_AFFINITY_SECONDS}");
            errors.invalid(path.child("clientIP").child("timeoutSeconds"), seconds, detail);
        }
    }
}

/// Validates `clusterIP`, `clusterIPs`, `ipFamilies` and `ipFamilyPolicy`. The addresses of `old` are valid.
pub fn validate_cluster_ip_fields(errors: &mut ErrorList, spec: &ServiceSpec, old: Option<&ServiceSpec>) {
    if !needs_cluster_ip(spec) {
        return;
    }
    let spec_path = FieldPath::root("spec");
    let list = spec_path.child("clusterIPs");
    let ips = cluster_ips(spec);
    match (spec.cluster_ip.as_deref(), ips) {
        (None, []) => {}
        (None, _) => errors.invalid(list, ips, "must be empty when `clusterIP` is not specified"),
        (Some(_), []) => errors.required(list, ""),
        (Some(ip), [first, ..]) if first == ip => {}
        (Some(_), _) => errors.invalid(list, ips, "first value must match `clusterIP`"),
    }
    let families = ip_families(spec);
    for (i, family) in families.iter().enumerate() {
        let path = spec_path.child("ipFamilies");
        errors.check_one_of(path.index(i), family, &[IPV4, IPV6]);
        if families.iter().take(i).any(|other| other == family) {
            errors.duplicate(path.index(i), family);
        }
    }
    if let Some(policy) = spec.ip_family_policy.as_deref() {
        let known = ["PreferDualStack", "RequireDualStack", SINGLE_STACK];
        errors.check_one_of(spec_path.child("ipFamilyPolicy"), policy, &known);
    }
    validate_cluster_ips(errors, list, spec, old.map(cluster_ips).unwrap_or_default());
}

fn validate_cluster_ips(errors: &mut ErrorList, list: FieldPath<'_>, spec: &ServiceSpec, existing: &[String]) {
    let ips = cluster_ips(spec);
    let mut has_invalid = false;
    for (i, ip) in ips.iter().enumerate() {
        if i > 0 || ip != HEADLESS {
            has_invalid |= !addresses::validate_ip(errors, list.index(i), ip, existing);
        } else if ips.len() > 1 {
            errors.invalid(list, ips, "'None' must be the first and only value");
            has_invalid = true;
        }
    }
    if ips.len() > 2 {
        errors.invalid(list, ips, "may only hold up to 2 values");
    }
    if has_invalid {
        return;
    }
    let is_dual =
        |ips: &[String]| ips.iter().any(|ip| addresses::is_ipv4(ip)) && ips.iter().any(|ip| addresses::is_ipv6(ip));
    if ips.len() > 1 && !is_dual(ips) {
        errors.invalid(list, ips, "may specify no more than one IP for each IP family");
    }
    if is_headless(spec) {
        return;
    }
    for (i, (ip, family)) in ips.iter().zip(ip_families(spec)).enumerate() {
        let is_ipv6 = addresses::is_ipv6(ip);
        if family == IPV4 && is_ipv6 || family == IPV6 && !is_ipv6 {
            errors.invalid(list.index(i), ip, format!("expected an {family} value as indicated by `ipFamilies[{i}]`"));
        }
    }
}

fn validate_external_ips(errors: &mut ErrorList, list: FieldPath<'_>, spec: &ServiceSpec, old: Option<&ServiceSpec>) {
    let existing = old.and_then(|old| old.external_ips.as_deref()).unwrap_or_default();
    for (i, ip) in spec.external_ips.iter().flatten().enumerate() {
        if addresses::validate_ip(errors, list.index(i), ip, existing) {
            addresses::validate_non_special_ip(errors, list.index(i), ip);
        }
    }
}

fn validate_port_numbers(errors: &mut ErrorList, list: FieldPath<'_>, spec: &ServiceSpec) {
    if kind(spec) == CLUSTER_IP {
        for (i, _) in ports(spec).iter().enumerate().filter(|(_, port)| port.node_port.is_some()) {
            errors.forbidden(list.index(i).child("nodePort"), "may not be used when `type` is 'ClusterIP'");
        }
    }
    let mut node_ports = BTreeSet::new();
    for (i, port) in ports(spec).iter().enumerate() {
        if let Some(node_port) = port.node_port
            && !node_ports.insert((&port.protocol, node_port))
        {
            errors.duplicate(list.index(i).child("nodePort"), node_port);
        }
    }
    let mut numbers = BTreeSet::new();
    for (i, port) in ports(spec).iter().enumerate() {
        if !numbers.insert((&port.protocol, port.port)) {
            let key = ServicePort { protocol: port.protocol.clone(), port: port.port, ..ServicePort::default() };
            errors.duplicate(list.index(i), key);
        }
    }
}

fn validate_source_ranges(errors: &mut ErrorList, path: FieldPath<'_>, service: &Service, old: Option<&Service>) {
    let ranges_of = |service: &Service| -> Vec<String> {
        let spec = service.spec.as_ref();
        spec.and_then(|spec| spec.load_balancer_source_ranges.clone()).unwrap_or_default()
    };
    let annotation_of =
        |service: &Service| -> Option<String> { service.metadata.annotations.as_ref()?.get(SOURCE_RANGES).cloned() };
    let split = |text: &str| -> Vec<String> {
        text.trim().split(',').map(|range| range.trim().to_string()).filter(|range| !range.is_empty()).collect()
    };
    let mut existing: Vec<String> = old.map(ranges_of).unwrap_or_default();
    existing.extend(old.and_then(annotation_of).map(|text| split(&text)).unwrap_or_default());
    let is_load_balancer = service.spec.as_ref().is_some_and(|spec| kind(spec) == LOAD_BALANCER);
    let ranges = ranges_of(service);
    if !ranges.is_empty() {
        // Kubernetes spells the field with a capital letter.
        let list = path.child("LoadBalancerSourceRanges");
        if !is_load_balancer {
            errors.forbidden(list, LOAD_BALANCER_ONLY);
        }
        for (i, range) in ranges.iter().enumerate() {
            addresses::validate_network(errors, list.index(i), range.trim(), &existing);
        }
    } else if let Some(text) = annotation_of(service) {
        let meta = FieldPath::root("metadata");
        let annotations = meta.child("annotations");
        if !is_load_balancer {
            errors.forbidden(annotations.key(SOURCE_RANGES), LOAD_BALANCER_ONLY);
        }
        for range in split(&text) {
            addresses::validate_network(errors, annotations.key(SOURCE_RANGES), &range, &existing);
        }
    }
}

fn validate_load_balancer_class(errors: &mut ErrorList, path: FieldPath<'_>, spec: &ServiceSpec) {
    let Some(class) = &spec.load_balancer_class else { return };
    if kind(spec) == LOAD_BALANCER {
        errors.invalid_each(path, class, formats::qualified_name(class));
    } else {
        errors.forbidden(path, LOAD_BALANCER_ONLY);
    }
}

/// Validates the policies about traffic, and the port by which load balancers see whether a node has endpoints.
fn validate_traffic(errors: &mut ErrorList, path: FieldPath<'_>, spec: &ServiceSpec) {
    let external = spec.external_traffic_policy.as_deref().unwrap_or_default();
    if is_externally_accessible(spec) {
        errors.require_one_of(path.child("externalTrafficPolicy"), external, POLICIES);
    } else if !external.is_empty() {
        let detail = "may only be set for externally-accessible services";
        errors.invalid(path.child("externalTrafficPolicy"), external, detail);
    }
    if let Some(port) = spec.health_check_node_port {
        if needs_health_check_node_port(spec) {
            errors.invalid_each(path.child("healthCheckNodePort"), port, formats::port_number(port));
        } else {
            let detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
            errors.invalid(path.child("healthCheckNodePort"), port, detail);
        }
    }
    if let Some(policy) = spec.internal_traffic_policy.as_deref() {
        errors.check_one_of(path.child("internalTrafficPolicy"), policy, POLICIES);
    }
    if let Some(distribution) = spec.traffic_distribution.as_deref() {
        let known = ["PreferClose", "PreferSameZone", "PreferSameNode"];
        errors.check_one_of(path.child("trafficDistribution"), distribution, &known);
    }
}

fn validate_changed_cluster_ips(errors: &mut ErrorList, spec: &ServiceSpec, old: &ServiceSpec) {
    if is_headless(spec) && is_headless(old) {
        return;
    }
    let (ips, old_ips) = (cluster_ips(spec), cluster_ips(old));
    let path = FieldPath::root("spec");
    let list = path.child("clusterIPs");
    let is_same_length = ips.len() == old_ips.len();
    for (i, (new, old)) in ips.iter().zip(old_ips).enumerate() {
        if new != old && (i == 0 || is_same_length) {
            errors.invalid(list.index(i), ips, UNCHANGEABLE);
        }
    }
    if ips.is_empty() && !old_ips.is_empty() {
        errors.invalid(list.index(0), &spec.cluster_ips, "primary clusterIP can not be unset");
    }
    if let ([_], [_, _, ..]) = (ips, old_ips)
        && spec.ip_family_policy.as_deref() != Some(SINGLE_STACK)
    {
        let detail = "must be set to 'SingleStack' when releasing the secondary clusterIP";
        errors.invalid(path.child("ipFamilyPolicy"), &spec.ip_family_policy, detail);
    }
}

fn validate_changed_families(errors: &mut ErrorList, spec: &ServiceSpec, old: &ServiceSpec) {
    if is_headless(spec) || is_headless(old) {
        return;
    }
    let (families, old_families) = (ip_families(spec), ip_families(old));
    let path = FieldPath::root("spec");
    let first = path.child("ipFamilies");
    if families.len() == old_families.len() {
        for _ in families.iter().zip(old_families).filter(|(new, old)| new != old) {
            errors.invalid(first.index(0), families, UNCHANGEABLE);
        }
        return;
    }
    let is_reduced = families.len() < old_families.len();
    if is_reduced && cluster_ips(spec).is_empty() {
        errors.invalid(first.index(0), &spec.ip_families, "primary ipFamily can not be unset");
    }
    if let (Some(new), Some(old)) = (families.first(), old_families.first())
        && new != old
    {
        errors.invalid(first.index(0), cluster_ips(spec), UNCHANGEABLE);
    }
    if is_reduced && families.len() == 1 && spec.ip_family_policy.as_deref() != Some(SINGLE_STACK) {
        let detail = "must be set to 'SingleStack' when releasing the secondary ipFamily";
        errors.invalid(path.child("ipFamilyPolicy"), &spec.ip_family_policy, detail);
    }
}

fn validate_load_balancer_status(
    errors: &mut ErrorList,
    status: &LoadBalancerStatus,
    old: &LoadBalancerStatus,
    is_load_balancer: bool,
) {
    let path = FieldPath::root("status");
    let balancer = path.child("loadBalancer");
    let list = balancer.child("ingress");
    let points = status.ingress.as_deref().unwrap_or_default();
    if !is_load_balancer && !points.is_empty() {
        errors.forbidden(list, "may only be used when `spec.type` is 'LoadBalancer'");
        return;
    }
    let existing: Vec<String> = old.ingress.iter().flatten().filter_map(|point| point.ip.clone()).collect();
    for (i, point) in points.iter().enumerate() {
        let path = list.index(i);
        let ip = point.ip.as_deref().unwrap_or_default();
        if !ip.is_empty() {
            addresses::validate_ip(errors, path.child("ip"), ip, &existing);
        }
        match point.ip_mode.as_deref() {
            None if !ip.is_empty() => errors.required(path.child("ipMode"), "must be specified when `ip` is set"),
            Some(_) if ip.is_empty() => {
                errors.forbidden(path.child("ipMode"), "may not be specified when `ip` is not set");
            }
            Some(mode) => errors.check_one_of(path.child("ipMode"), mode, &["Proxy", "VIP"]),
            None => {}
        }
        validate_hostname(errors, path.child("hostname"), point.hostname.as_deref().unwrap_or_default());
    }
}

/// Validates the name of a point of a load balancer, unless it is empty.
pub fn validate_hostname(errors: &mut ErrorList, path: FieldPath<'_>, hostname: &str) {
    if hostname.is_empty() {
        return;
    }
    errors.invalid_each(path, hostname, formats::dns_subdomain(hostname));
    if addresses::parse_ip(hostname).is_some() {
        errors.invalid(path, hostname, "must be a DNS name, not an IP address");
    }
}
