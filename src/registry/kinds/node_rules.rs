//! Defaults and validation of nodes (`pkg/apis/core/validation`).

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{
    ConfigMapNodeConfigSource, DaemonEndpoint, Node, NodeConfigSource, NodeDaemonEndpoints, NodeSpec, Taint,
};

use crate::model::formats;
use crate::registry::addresses::{self, Network};
use crate::registry::fields::{ErrorList, FieldPath};
use crate::registry::{metadata, resource_lists};

const NOT_READY: &str = "node.kubernetes.io/not-ready";
const CIDR_CHANGE: &str = "node updates may not change podCIDR except from \"\" to valid";
const PROVIDER_CHANGE: &str = "node updates may not change providerID except from \"\" to valid";

/// Sets the defaults of a node, and the parts of its status that every node has.
pub fn set_defaults(node: &mut Node) {
    let spec = node.spec.get_or_insert_default();
    let cidrs = spec.pod_cidrs.get_or_insert_default();
    match spec.pod_cidr.take().filter(|cidr| !cidr.is_empty()) {
        Some(cidr) if cidrs.is_empty() => cidrs.push(cidr),
        _ => {}
    }
    spec.pod_cidr = cidrs.first().cloned();
    spec.pod_cidrs.take_if(|cidrs| cidrs.is_empty());
    let status = node.status.get_or_insert_default();
    resource_lists::canonicalize(&mut status.capacity);
    if status.allocatable.is_none() {
        status.allocatable.clone_from(&status.capacity);
    }
    resource_lists::canonicalize(&mut status.allocatable);
    let endpoints = status.daemon_endpoints.get_or_insert_with(NodeDaemonEndpoints::default);
    endpoints.kubelet_endpoint.get_or_insert(DaemonEndpoint { port: 0 });
    status.node_info.get_or_insert_default();
}

/// Adds the taint of new nodes: pods come when the node is ready (admission plugin `TaintNodesByCondition`).
pub fn add_not_ready_taint(node: &mut Node) {
    let taints = node.spec.get_or_insert_default().taints.get_or_insert_default();
    if !taints.iter().any(|taint| taint.key == NOT_READY && taint.effect == "NoSchedule") {
        taints.push(Taint { key: NOT_READY.into(), effect: "NoSchedule".into(), ..Taint::default() });
    }
}

/// Validates a new node.
pub fn validate(errors: &mut ErrorList, node: &Node) {
    metadata::validate_cluster_scoped_object_meta(errors, &node.metadata, formats::dns_subdomain);
    validate_taints(errors, node);
    validate_resources(errors, node);
    if let Some(spec) = &node.spec {
        validate_cidrs(errors, spec);
    }
}

/// Validates a node that replaces `old`.
pub fn validate_update(errors: &mut ErrorList, new: &Node, old: &Node) {
    metadata::validate_object_meta_update(errors, &new.metadata, &old.metadata);
    validate_resources(errors, new);
    validate_addresses(errors, new);
    let (nothing, path) = (NodeSpec::default(), FieldPath::root("spec"));
    let (new_spec, old_spec) = (new.spec.as_ref().unwrap_or(&nothing), old.spec.as_ref().unwrap_or(&nothing));
    let cidrs = |spec: &NodeSpec| spec.pod_cidrs.clone().unwrap_or_default();
    let (new_cidrs, old_cidrs) = (cidrs(new_spec), cidrs(old_spec));
    let changes = match (old_cidrs.len(), new_cidrs.len()) {
        (0, _) => 0,
        (old, new) if old != new => 1,
        _ => old_cidrs.iter().zip(&new_cidrs).filter(|(old, new)| old != new).count(),
    };
    for _ in 0..changes {
        errors.forbidden(path.child("podCIDRs"), CIDR_CHANGE);
    }
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    if !text(&old_spec.provider_id).is_empty() && text(&old_spec.provider_id) != text(&new_spec.provider_id) {
        errors.forbidden(path.child("providerID"), PROVIDER_CHANGE);
    }
    validate_config_sources(errors, new);
    validate_taints(errors, new);
    if text(&new_spec.external_id) != text(&old_spec.external_id) {
        errors.forbidden(path.child("externalID"), "may not be updated");
    }
}

/// Returns the warnings about deprecated fields.
pub fn warnings(node: &Node) -> Vec<String> {
    let mut warnings = Vec::new();
    let Some(spec) = &node.spec else { return warnings };
    if spec.config_source.is_some() {
        warnings.push("spec.configSource: the feature is removed".into());
    }
    if spec.external_id.as_ref().is_some_and(|id| !id.is_empty()) {
        warnings.push("spec.externalID: this field is deprecated, and is unused by Kubernetes".into());
    }
    warnings
}

/// Validates the taints. The paths of errors are those of Kubernetes, which has them in the metadata.
fn validate_taints(errors: &mut ErrorList, node: &Node) {
    let (metadata, mut seen) = (FieldPath::root("metadata"), BTreeSet::new());
    let list = metadata.child("taints");
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
    for (i, taint) in taints.iter().enumerate() {
        let path = list.index(i);
        errors.invalid_each(path.child("key"), &taint.key, formats::qualified_name(&taint.key));
        let value = taint.value.as_deref().unwrap_or_default();
        let violations = formats::label_value(value);
        if !violations.is_empty() {
            errors.invalid(path.child("value"), value, violations.join(";"));
        }
        errors.require_one_of(path.child("effect"), &taint.effect, &["NoSchedule", "PreferNoSchedule", "NoExecute"]);
        if !seen.insert((&taint.effect, &taint.key)) {
            errors.duplicate_with_detail(path, taint, "taints must be unique by key and effect pair");
        }
    }
}

fn validate_resources(errors: &mut ErrorList, node: &Node) {
    let (Some(status), path) = (&node.status, FieldPath::root("status")) else { return };
    for (field, list) in [("capacity", &status.capacity), ("allocatable", &status.allocatable)] {
        let path = path.child(field);
        for (name, quantity) in list.iter().flatten() {
            resource_lists::validate_quantity(errors, path.child(name), name, quantity);
        }
    }
}

fn validate_cidrs(errors: &mut ErrorList, spec: &NodeSpec) {
    let (path, cidrs) = (FieldPath::root("spec"), spec.pod_cidrs.as_deref().unwrap_or_default());
    let list = path.child("podCIDRs");
    for (i, cidr) in cidrs.iter().enumerate() {
        addresses::validate_network(errors, list.index(i), cidr, &[]);
    }
    if cidrs.len() < 2 {
        return;
    }
    let networks: Vec<Network> = cidrs.iter().filter_map(|cidr| addresses::parse_network(cidr)).collect();
    let count = |is_v4: bool| networks.iter().filter(|network| network.base().is_ipv4() == is_v4).count();
    if count(true) != 1 || count(false) != 1 || cidrs.len() > 2 {
        errors.invalid(list, cidrs, "may specify no more than one CIDR for each IP family");
    }
    for (i, cidr) in cidrs.iter().enumerate() {
        if cidrs.iter().take(i).any(|earlier| earlier == cidr) {
            errors.duplicate(list.index(i), cidr);
        }
    }
}

fn validate_addresses(errors: &mut ErrorList, node: &Node) {
    let (path, mut seen) = (FieldPath::root("status"), BTreeSet::new());
    let list = path.child("addresses");
    for (i, address) in node.status.iter().flat_map(|status| status.addresses.iter().flatten()).enumerate() {
        if !seen.insert((&address.type_, &address.address)) {
            errors.duplicate(list.index(i), address);
        }
    }
}

fn validate_config_sources(errors: &mut ErrorList, node: &Node) {
    if let Some(source) = node.spec.as_ref().and_then(|spec| spec.config_source.as_ref()) {
        let spec = FieldPath::root("spec");
        validate_config_source(errors, spec.child("configSource"), source, false);
    }
    let (status, config) = (FieldPath::root("status"), node.status.as_ref().and_then(|status| status.config.as_ref()));
    let (path, Some(config)) = (status.child("config"), config) else { return };
    for (field, source) in
        [("assigned", &config.assigned), ("active", &config.active), ("lastKnownGood", &config.last_known_good)]
    {
        if let Some(source) = source {
            validate_config_source(errors, path.child(field), source, true);
        }
    }
}

/// Validates a reference to a ConfigMap; one in a status names the very object.
fn validate_config_source(errors: &mut ErrorList, path: FieldPath<'_>, source: &NodeConfigSource, is_status: bool) {
    let Some(map) = &source.config_map else {
        errors.invalid(path, source, "exactly one reference subfield must be non-nil");
        return;
    };
    let ConfigMapNodeConfigSource { kubelet_config_key, name, namespace, resource_version, uid } = map;
    let path = path.child("configMap");
    for (field, value) in [("uid", uid), ("resourceVersion", resource_version)] {
        let is_set = value.as_ref().is_some_and(|value| !value.is_empty());
        if is_status && !is_set {
            errors.required(path.child(field), &format!("{field} must be set in status"));
        } else if !is_status && is_set {
            errors.forbidden(path.child(field), format!("{field} must not be set in spec"));
        }
    }
    let fields: [(_, _, metadata::NameFormat); 3] = [
        ("namespace", namespace, formats::dns_label),
        ("name", name, formats::dns_subdomain),
        ("kubeletConfigKey", kubelet_config_key, formats::config_map_key),
    ];
    for (field, value, format) in fields {
        if value.is_empty() {
            errors.required(path.child(field), &format!("{field} must be set"));
        } else {
            errors.invalid_each(path.child(field), value, format(value));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn node(fields: Value) -> Node {
        let mut node: Node = serde_json::from_value(fields).expect("a node");
        node.metadata.name = Some("n".into());
        set_defaults(&mut node);
        node
    }

    fn causes(validate: impl Fn(&mut ErrorList)) -> Vec<String> {
        let mut errors = ErrorList::default();
        validate(&mut errors);
        errors.into_causes().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn addresses_of_pods_have_one_range_per_family() {
        let families = "may specify no more than one CIDR for each IP family";
        for (cidrs, want) in [
            (json!(["10.0.0.0/24", "fd00::/64"]), vec![]),
            (
                json!(["10.0.0.0/24", "10.1.0.0/24"]),
                vec![format!("spec.podCIDRs: Invalid value: [\"10.0.0.0/24\",\"10.1.0.0/24\"]: {families}")],
            ),
            (
                json!(["10.0.0.0"]),
                vec![
                    "spec.podCIDRs[0]: Invalid value: \"10.0.0.0\": must be a valid CIDR value, (e.g. 10.9.8.0/24 or \
                     2001:db8::/64)"
                        .to_string(),
                ],
            ),
        ] {
            let node = node(json!({"spec": {"podCIDRs": cidrs}}));
            assert_eq!(causes(|errors| validate(errors, &node)), want, "{cidrs}");
        }
    }

    #[test]
    fn resources_of_nodes_are_valid_quantities() {
        let node = node(json!({"status": {"capacity": {"cpu": "-1", "pods": "1500m", "example.com/x": "500m"}}}));
        let of = |field: &str| {
            [
                format!("status.{field}.cpu: Invalid value: \"-1\": must be greater than or equal to 0"),
                format!("status.{field}.example.com/x: Invalid value: \"500m\": must be an integer"),
                format!("status.{field}.pods: Invalid value: \"1500m\": must be an integer"),
            ]
        };
        assert_eq!(causes(|errors| validate(errors, &node)), [of("capacity"), of("allocatable")].concat());
    }

    #[test]
    fn deprecated_fields_of_nodes_warn_and_stay() {
        let old = node(json!({"spec": {"externalID": "a"}}));
        assert_eq!(warnings(&old), ["spec.externalID: this field is deprecated, and is unused by Kubernetes"]);
        let new = node(json!({}));
        let want = ["spec.externalID: Forbidden: may not be updated"];
        assert_eq!(causes(|errors| validate_update(errors, &new, &old)), want);
    }
}
