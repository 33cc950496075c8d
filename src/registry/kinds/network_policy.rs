//! NetworkPolicies: which traffic pods accept and send.

use jiff::Timestamp;
use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::Value;

use crate::model::formats;
use crate::registry::columns::{self, Column, age};
use crate::registry::fields::{ErrorList, FieldPath};
use crate::registry::label_selector::format_label_selector;
use crate::registry::strategy::{KindInfo, Strategy};
use crate::registry::{addresses, metadata};

const POLICY_TYPES: &[&str] = &["Ingress", "Egress"];

impl Strategy for NetworkPolicy {
    const INFO: KindInfo = KindInfo { short_names: &["netpol"], ..KindInfo::new("networkpolicy", "YpfwF18m1G8=") };
    const COLUMNS: &'static [Column] =
        &[Column::NAME, Column::text("Pod-Selector", "Labels of the pods that the policy is about."), Column::AGE];
    const HAS_GENERATION: bool = true;

    fn cells(&self, now: Timestamp) -> Vec<Value> {
        let selector = self.spec.as_ref().and_then(|spec| spec.pod_selector.as_ref());
        vec![columns::name(&self.metadata), format_label_selector(selector).into(), age(&self.metadata, now).into()]
    }

    fn set_defaults(&mut self) {
        let spec = self.spec.get_or_insert_default();
        spec.pod_selector.get_or_insert_default();
        let has_egress = spec.egress.as_ref().is_some_and(|rules| !rules.is_empty());
        if spec.policy_types.as_ref().is_none_or(Vec::is_empty) {
            let types = if has_egress { POLICY_TYPES } else { &["Ingress"] };
            spec.policy_types = Some(types.iter().map(ToString::to_string).collect());
        }
        let ingress = spec.ingress.iter_mut().flatten().map(|rule| &mut rule.ports);
        let egress = spec.egress.iter_mut().flatten().map(|rule| &mut rule.ports);
        for port in ingress.chain(egress).flat_map(|ports| ports.iter_mut().flatten()) {
            port.protocol.get_or_insert_with(|| "TCP".into());
        }
    }

    fn validate(&self, errors: &mut ErrorList) {
        metadata::validate_object_meta(errors, &self.metadata, formats::dns_subdomain);
        validate_spec(errors, self.spec.as_ref(), &[]);
    }

    fn warnings_on_create(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for_each_peer(self.spec.as_ref(), |path, peer| {
            let Some(block) = &peer.ip_block else { return };
            let path = path.child("ipBlock");
            warnings.extend(addresses::network_warnings(path.child("cidr"), &block.cidr));
            let list = path.child("except");
            for (i, except) in block.except.iter().flatten().enumerate() {
                warnings.extend(addresses::network_warnings(list.index(i), except));
            }
        });
        warnings
    }

    fn validate_update(&self, old: &Self, errors: &mut ErrorList) {
        metadata::validate_object_meta_update(errors, &self.metadata, &old.metadata);
        let mut existing = Vec::new();
        for_each_peer(old.spec.as_ref(), |_, peer| {
            if let Some(block) = &peer.ip_block {
                existing.push(block.cidr.clone());
                existing.extend(block.except.iter().flatten().cloned());
            }
        });
        validate_spec(errors, self.spec.as_ref(), &existing);
    }

    fn is_spec_changed(&self, old: &Self) -> bool {
        self.spec != old.spec
    }
}

/// Calls `visit` with each peer and its path.
fn for_each_peer(spec: Option<&NetworkPolicySpec>, mut visit: impl FnMut(FieldPath<'_>, &NetworkPolicyPeer)) {
    let Some(spec) = spec else { return };
    let root = FieldPath::root("spec");
    let ingress = root.child("ingress");
    for (i, rule) in spec.ingress.iter().flatten().enumerate() {
        for (j, peer) in rule.from.iter().flatten().enumerate() {
            visit(ingress.index(i).child("from").index(j), peer);
        }
    }
    let egress = root.child("egress");
    for (i, rule) in spec.egress.iter().flatten().enumerate() {
        for (j, peer) in rule.to.iter().flatten().enumerate() {
            visit(egress.index(i).child("to").index(j), peer);
        }
    }
}

/// Validates the spec; networks among `existing` are valid.
fn validate_spec(errors: &mut ErrorList, spec: Option<&NetworkPolicySpec>, existing: &[String]) {
    let Some(spec) = spec else { return };
    let path = FieldPath::root("spec");
    metadata::validate_label_selector(errors, path.child("podSelector"), spec.pod_selector.as_ref());
    for (i, rule) in spec.ingress.iter().flatten().enumerate() {
        let list = path.child("ingress");
        validate_rule(errors, list.index(i), rule.ports.as_deref(), "from", rule.from.as_deref(), existing);
    }
    for (i, rule) in spec.egress.iter().flatten().enumerate() {
        let list = path.child("egress");
        validate_rule(errors, list.index(i), rule.ports.as_deref(), "to", rule.to.as_deref(), existing);
    }
    let types = spec.policy_types.as_deref().unwrap_or_default();
    let list = path.child("policyTypes");
    if types.len() > POLICY_TYPES.len() {
        errors.invalid(list, types, "may not specify more than two policyTypes");
        return;
    }
    for (i, policy_type) in types.iter().enumerate() {
        errors.check_one_of(list.index(i), policy_type, POLICY_TYPES);
    }
}

fn validate_rule(
    errors: &mut ErrorList,
    path: FieldPath<'_>,
    ports: Option<&[NetworkPolicyPort]>,
    peers_field: &str,
    peers: Option<&[NetworkPolicyPeer]>,
    existing: &[String],
) {
    for (i, port) in ports.unwrap_or_default().iter().enumerate() {
        validate_port(errors, path.child("ports").index(i), port);
    }
    for (i, peer) in peers.unwrap_or_default().iter().enumerate() {
        validate_peer(errors, path.child(peers_field).index(i), peer, existing);
    }
}

fn validate_port(errors: &mut ErrorList, path: FieldPath<'_>, port: &NetworkPolicyPort) {
    if let Some(protocol) = port.protocol.as_deref() {
        errors.check_one_of(path.child("protocol"), protocol, &["TCP", "UDP", "SCTP"]);
    }
    match &port.port {
        Some(IntOrString::Int(number)) => {
            errors.invalid_each(path.child("port"), number, formats::port_number(*number));
            let Some(end) = port.end_port else { return };
            if end < *number {
                errors.invalid(path.child("endPort"), end, "must be greater than or equal to `port`");
            }
            errors.invalid_each(path.child("endPort"), end, formats::port_number(end));
        }
        Some(IntOrString::String(name)) => {
            if let Some(end) = port.end_port {
                errors.invalid(path.child("endPort"), end, "may not be specified when `port` is non-numeric");
            }
            errors.invalid_each(path.child("port"), name, formats::port_name(name));
        }
        None => {
            if let Some(end) = port.end_port {
                errors.invalid(path.child("endPort"), end, "may not be specified when `port` is not specified");
            }
        }
    }
}

fn validate_peer(errors: &mut ErrorList, path: FieldPath<'_>, peer: &NetworkPolicyPeer, existing: &[String]) {
    metadata::validate_label_selector(errors, path.child("podSelector"), peer.pod_selector.as_ref());
    metadata::validate_label_selector(errors, path.child("namespaceSelector"), peer.namespace_selector.as_ref());
    let has_selector = peer.pod_selector.is_some() || peer.namespace_selector.is_some();
    match &peer.ip_block {
        Some(block) => {
            validate_ip_block(errors, path.child("ipBlock"), block, existing);
            if has_selector {
                errors.forbidden(path, "may not specify both ipBlock and another peer");
            }
        }
        None if !has_selector => errors.required(path, "must specify a peer"),
        None => {}
    }
}

fn validate_ip_block(errors: &mut ErrorList, path: FieldPath<'_>, block: &IPBlock, existing: &[String]) {
    if !errors.require_non_empty(path.child("cidr"), &block.cidr) {
        return;
    }
    addresses::validate_network(errors, path.child("cidr"), &block.cidr, existing);
    let Some(network) = addresses::parse_network(&block.cidr) else { return };
    for (i, text) in block.except.iter().flatten().enumerate() {
        let list = path.child("except");
        addresses::validate_network(errors, list.index(i), text, existing);
        let except = addresses::parse_network(text);
        if except.is_some_and(|except| !network.is_strict_superset(except)) {
            errors.invalid(list.index(i), text, "must be a strict subset of `cidr`");
        }
    }
}
