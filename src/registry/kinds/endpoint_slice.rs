//! EndpointSlices: a part of the addresses behind a Service.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointHints, EndpointPort, EndpointSlice};
use serde_json::Value;

use crate::model::formats::{self, Violations};
use crate::registry::columns::{self, Column, age, first_of, non_empty_or};
use crate::registry::fields::{ErrorList, FieldPath};
use crate::registry::strategy::{KindInfo, Strategy};
use crate::registry::{addresses, metadata};

const MAX_ENDPOINTS: usize = 1000;
const MAX_ADDRESSES: usize = 100;
const MAX_PORTS: usize = 20000;
const MAX_HINTS: usize = 8;
const MAX_TOPOLOGY_LABELS: usize = 16;
/// The label with the name of the controller that wrote the object, and the one of Kubernetes.
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
const CONTROLLER: &str = "endpointslice-controller.k8s.io";

impl Strategy for EndpointSlice {
    const INFO: KindInfo = KindInfo::new("endpointslice", "qgS0xkrxYAI=");
    const COLUMNS: &'static [Column] = &[
        Column::NAME,
        Column::text("AddressType", "Type of the addresses."),
        Column::text("Ports", "The first ports."),
        Column::text("Endpoints", "The first addresses."),
        Column::AGE,
    ];
    const HAS_GENERATION: bool = true;

    fn cells(&self, now: Timestamp) -> Vec<Value> {
        let ports: Vec<String> = self.ports.iter().flatten().map(port_cell).collect();
        let addresses = self.endpoints.iter().flatten().flat_map(|endpoint| &endpoint.addresses);
        vec![
            columns::name(&self.metadata),
            self.address_type.as_str().into(),
            non_empty_or(Some(&first_of(ports.iter().map(String::as_str))), "<unset>").into(),
            non_empty_or(Some(&first_of(addresses.map(String::as_str))), "<unset>").into(),
            age(&self.metadata, now).into(),
        ]
    }

    fn set_defaults(&mut self) {
        for endpoint in self.endpoints.iter_mut().flatten() {
            endpoint.conditions.get_or_insert_default();
        }
        for port in self.ports.iter_mut().flatten() {
            port.name.get_or_insert_default();
            port.protocol.get_or_insert_with(|| "TCP".into());
        }
    }

    fn prepare_for_create(&mut self) {
        drop_topology(self);
    }

    fn validate(&self, errors: &mut ErrorList) {
        validate_slice(errors, self, None);
    }

    fn warnings_on_create(&self) -> Vec<String> {
        let manager = self.metadata.labels.as_ref().and_then(|labels| labels.get(MANAGED_BY));
        let is_by_name = self.address_type == "FQDN";
        if is_by_name || manager.is_some_and(|manager| manager == CONTROLLER) {
            return Vec::new();
        }
        let root = FieldPath::root("endpoints");
        let mut warnings = Vec::new();
        for (i, endpoint) in self.endpoints.iter().flatten().enumerate() {
            let path = root.index(i);
            let list = path.child("addresses");
            let addresses = endpoint.addresses.iter().enumerate();
            warnings.extend(addresses.filter_map(|(j, address)| addresses::ip_warning(list.index(j), address)));
        }
        warnings
    }

    fn prepare_for_update(&mut self, old: &Self) {
        if self.endpoints != old.endpoints {
            drop_topology(self);
        }
    }

    fn validate_update(&self, old: &Self, errors: &mut ErrorList) {
        validate_slice(errors, self, Some(old));
        if self.address_type != old.address_type {
            errors.invalid(FieldPath::root("addressType"), &self.address_type, "field is immutable");
        }
    }

    fn is_spec_changed(&self, old: &Self) -> bool {
        let is_same = self.address_type == old.address_type
            && self.endpoints == old.endpoints
            && self.ports == old.ports
            && self.metadata.labels == old.metadata.labels;
        !is_same
    }
}

/// Removes a field of the first versions of the API; `nodeName` and `zone` replace it.
fn drop_topology(slice: &mut EndpointSlice) {
    slice.endpoints.iter_mut().flatten().for_each(|endpoint| endpoint.deprecated_topology = None);
}

fn port_cell(port: &EndpointPort) -> String {
    match (port.port, &port.name) {
        (Some(number), _) => number.to_string(),
        (None, Some(name)) => name.clone(),
        (None, None) => "*".into(),
    }
}

fn validate_slice(errors: &mut ErrorList, slice: &EndpointSlice, old: Option<&EndpointSlice>) {
    metadata::validate_object_meta(errors, &slice.metadata, formats::dns_subdomain);
    errors.require_one_of(FieldPath::root("addressType"), &slice.address_type, &["FQDN", "IPv4", "IPv6"]);
    let old_endpoints = old.and_then(|old| old.endpoints.as_deref()).unwrap_or_default();
    let existing: Vec<String> = old_endpoints.iter().flat_map(|endpoint| endpoint.addresses.clone()).collect();
    let endpoints = slice.endpoints.as_deref().unwrap_or_default();
    let root = FieldPath::root("endpoints");
    if endpoints.len() > MAX_ENDPOINTS {
        errors.too_many(root, endpoints.len(), MAX_ENDPOINTS);
    } else {
        for (i, endpoint) in endpoints.iter().enumerate() {
            validate_endpoint(errors, root.index(i), endpoint, &slice.address_type, &existing);
        }
    }
    validate_ports(errors, FieldPath::root("ports"), slice.ports.as_deref().unwrap_or_default());
}

fn validate_endpoint(
    errors: &mut ErrorList,
    path: FieldPath<'_>,
    endpoint: &Endpoint,
    address_type: &str,
    existing: &[String],
) {
    let list = path.child("addresses");
    match endpoint.addresses.len() {
        0 => errors.required(list, "must contain at least 1 address"),
        count if count > MAX_ADDRESSES => errors.too_many(list, count, MAX_ADDRESSES),
        _ => {}
    }
    for (i, address) in endpoint.addresses.iter().enumerate() {
        validate_address(errors, list, i, address, address_type, existing);
    }
    if let Some(node) = &endpoint.node_name {
        errors.invalid_each(path.child("nodeName"), node, formats::dns_subdomain(node));
    }
    let topology = path.child("deprecatedTopology");
    let labels = endpoint.deprecated_topology.as_ref().map_or(0, |labels| labels.len());
    if labels > MAX_TOPOLOGY_LABELS {
        errors.too_many(topology, labels, MAX_TOPOLOGY_LABELS);
    }
    metadata::validate_labels(errors, topology, &endpoint.deprecated_topology);
    if let Some(hostname) = &endpoint.hostname {
        errors.invalid_each(path.child("hostname"), hostname, formats::dns_label(hostname));
    }
    if let Some(hints) = &endpoint.hints {
        validate_hints(errors, path.child("hints"), hints);
    }
}

fn validate_address(
    errors: &mut ErrorList,
    list: FieldPath<'_>,
    index: usize,
    address: &str,
    address_type: &str,
    existing: &[String],
) {
    let path = list.index(index);
    let is_of_type = match address_type {
        "IPv4" => addresses::is_ipv4(address),
        "IPv6" => addresses::is_ipv6(address),
        "FQDN" => {
            validate_domain_name(errors, path, address);
            return;
        }
        _ => return,
    };
    if !addresses::validate_ip(errors, path, address, existing) {
        return;
    }
    if !is_of_type {
        errors.invalid(list, address, format!("must be an {address_type} address"));
    }
    addresses::validate_non_special_ip(errors, path, address);
}

fn validate_domain_name(errors: &mut ErrorList, path: FieldPath<'_>, name: &str) {
    if !errors.require_non_empty(path, name) {
        return;
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    let violations = formats::dns_subdomain(name);
    if !violations.is_empty() {
        errors.invalid(path, name, violations.join(","));
    } else if !name.contains('.') {
        errors.invalid(path, name, "should be a domain with at least two segments separated by dots");
    } else if let Some(long) = name.split('.').find(|label| label.len() > 63) {
        errors.invalid(path, long, formats::dns_label(long).join(","));
    }
}

fn validate_ports(errors: &mut ErrorList, list: FieldPath<'_>, ports: &[EndpointPort]) {
    if ports.len() > MAX_PORTS {
        errors.too_many(list, ports.len(), MAX_PORTS);
        return;
    }
    let mut names = BTreeSet::new();
    for (i, port) in ports.iter().enumerate() {
        let path = list.index(i);
        let name = port.name.as_deref().unwrap_or_default();
        if !name.is_empty() {
            errors.invalid_each(path.child("name"), name, formats::dns_label(name));
        }
        if !names.insert(name) {
            errors.duplicate(path.child("name"), name);
        }
        match port.protocol.as_deref() {
            None => errors.required(path.child("protocol"), ""),
            Some(protocol) => errors.check_one_of(path.child("protocol"), protocol, &["SCTP", "TCP", "UDP"]),
        }
        if let Some(protocol) = &port.app_protocol {
            errors.invalid_each(path.child("appProtocol"), protocol, formats::qualified_name(protocol));
        }
    }
}

fn validate_hints(errors: &mut ErrorList, path: FieldPath<'_>, hints: &EndpointHints) {
    let zones: Vec<&str> = hints.for_zones.iter().flatten().map(|zone| zone.name.as_str()).collect();
    let nodes: Vec<&str> = hints.for_nodes.iter().flatten().map(|node| node.name.as_str()).collect();
    for (field, hinted, format) in [
        ("forZones", zones, formats::label_value as fn(&str) -> Violations),
        ("forNodes", nodes, formats::dns_subdomain),
    ] {
        let list = path.child(field);
        if hinted.len() > MAX_HINTS {
            errors.too_many(list, hinted.len(), MAX_HINTS);
            return;
        }
        let mut names = BTreeSet::new();
        for (i, name) in hinted.into_iter().enumerate() {
            if !names.insert(name) {
                errors.duplicate(list.index(i).child("name"), name);
            }
            errors.invalid_each(list.index(i).child("name"), name, format(name));
        }
    }
}
