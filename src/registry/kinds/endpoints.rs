//! Endpoints: the addresses behind a Service, in one object. EndpointSlices replace them.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{EndpointAddress, EndpointPort, EndpointSubset, Endpoints};
use serde_json::Value;

use crate::model::formats;
use crate::registry::columns::{self, Column, age, first_of};
use crate::registry::fields::{ErrorList, FieldPath};
use crate::registry::strategy::{KindInfo, Strategy};
use crate::registry::{addresses, metadata};

/// The label with the name of the controller that wrote the object.
const MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
const CONTROLLER: &str = "endpoint-controller";
const DEPRECATION: &str = "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice";

impl Strategy for Endpoints {
    const INFO: KindInfo = KindInfo { short_names: &["ep"], ..KindInfo::new("endpoints", "fWeeMqaN/OA=") };
    const COLUMNS: &'static [Column] =
        &[Column::NAME, Column::text("Endpoints", "The first addresses with their ports."), Column::AGE];
    const ALLOW_CREATE_ON_UPDATE: bool = true;

    fn cells(&self, now: Timestamp) -> Vec<Value> {
        vec![columns::name(&self.metadata), address_list(self).into(), age(&self.metadata, now).into()]
    }

    fn set_defaults(&mut self) {
        for port in self.subsets.iter_mut().flatten().flat_map(|subset| subset.ports.iter_mut().flatten()) {
            port.protocol.get_or_insert_with(|| "TCP".into());
        }
    }

    fn validate(&self, errors: &mut ErrorList) {
        validate_endpoints(errors, self, &[]);
    }

    fn warnings_on_create(&self) -> Vec<String> {
        let mut warnings = vec![DEPRECATION.to_string()];
        let manager = self.metadata.labels.as_ref().and_then(|labels| labels.get(MANAGED_BY));
        if manager.is_some_and(|manager| manager == CONTROLLER) {
            return warnings;
        }
        let root = FieldPath::root("subsets");
        for (i, subset) in self.subsets.iter().flatten().enumerate() {
            let path = root.index(i);
            for (field, list) in [("addresses", &subset.addresses), ("notReadyAddresses", &subset.not_ready_addresses)]
            {
                let list_path = path.child(field);
                let addresses = list.iter().flatten().enumerate();
                warnings.extend(
                    addresses
                        .filter_map(|(j, address)| addresses::ip_warning(list_path.index(j).child("ip"), &address.ip)),
                );
            }
        }
        warnings
    }

    fn validate_update(&self, old: &Self, errors: &mut ErrorList) {
        metadata::validate_object_meta_update(errors, &self.metadata, &old.metadata);
        let existing: Vec<String> = old.subsets.iter().flatten().flat_map(all_ips).cloned().collect();
        validate_endpoints(errors, self, &existing);
    }
}

fn all_ips(subset: &EndpointSubset) -> impl Iterator<Item = &String> {
    let ready = subset.addresses.iter().flatten();
    ready.chain(subset.not_ready_addresses.iter().flatten()).map(|address| &address.ip)
}

/// Returns the ENDPOINTS cell: `10.1.1.1:80,10.1.1.2:80`.
fn address_list(endpoints: &Endpoints) -> String {
    let subsets = endpoints.subsets.as_deref().unwrap_or_default();
    if subsets.is_empty() {
        return "<none>".into();
    }
    let mut all = Vec::new();
    for subset in subsets {
        let ips = || subset.addresses.iter().flatten().map(|address| address.ip.as_str());
        let ports = subset.ports.as_deref().unwrap_or_default();
        // A headless Service may have no ports.
        if ports.is_empty() {
            all.extend(ips().map(String::from));
        }
        for port in ports {
            all.extend(ips().map(|ip| {
                if ip.contains(':') { format!("[{ip}]:{}", port.port) } else { format!("{ip}:{}", port.port) }
            }));
        }
    }
    first_of(all.iter().map(String::as_str))
}

fn validate_endpoints(errors: &mut ErrorList, endpoints: &Endpoints, existing: &[String]) {
    metadata::validate_object_meta(errors, &endpoints.metadata, formats::dns_subdomain);
    let root = FieldPath::root("subsets");
    for (i, subset) in endpoints.subsets.iter().flatten().enumerate() {
        validate_subset(errors, root.index(i), subset, existing);
    }
}

fn validate_subset(errors: &mut ErrorList, path: FieldPath<'_>, subset: &EndpointSubset, existing: &[String]) {
    if all_ips(subset).next().is_none() {
        errors.required(path, "must specify `addresses` or `notReadyAddresses`");
    }
    for (field, list) in [("addresses", &subset.addresses), ("notReadyAddresses", &subset.not_ready_addresses)] {
        for (i, address) in list.iter().flatten().enumerate() {
            validate_address(errors, path.child(field).index(i), address, existing);
        }
    }
    let ports = subset.ports.as_deref().unwrap_or_default();
    for (i, port) in ports.iter().enumerate() {
        validate_port(errors, path.child("ports").index(i), port, ports.len() > 1);
    }
}

fn validate_address(errors: &mut ErrorList, path: FieldPath<'_>, address: &EndpointAddress, existing: &[String]) {
    addresses::validate_ip(errors, path.child("ip"), &address.ip, existing);
    if let Some(hostname) = address.hostname.as_deref().filter(|hostname| !hostname.is_empty()) {
        errors.invalid_each(path.child("hostname"), hostname, formats::dns_label(hostname));
    }
    if let Some(node) = &address.node_name {
        errors.invalid_each(path.child("nodeName"), node, formats::dns_subdomain(node));
    }
    addresses::validate_non_special_ip(errors, path.child("ip"), &address.ip);
}

fn validate_port(errors: &mut ErrorList, path: FieldPath<'_>, port: &EndpointPort, requires_name: bool) {
    match port.name.as_deref().unwrap_or_default() {
        "" if requires_name => errors.required(path.child("name"), ""),
        "" => {}
        name => errors.invalid_each(path.child("name"), name, formats::dns_label(name)),
    }
    errors.invalid_each(path.child("port"), port.port, formats::port_number(port.port));
    let protocol = port.protocol.as_deref().unwrap_or_default();
    errors.require_one_of(path.child("protocol"), protocol, &["SCTP", "TCP", "UDP"]);
    if let Some(protocol) = &port.app_protocol {
        errors.invalid_each(path.child("appProtocol"), protocol, formats::qualified_name(protocol));
    }
}
