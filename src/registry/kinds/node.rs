//! Nodes: what runs pods; a node of wasmpod is this process.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use serde_json::Value;

use crate::model::selector::{SelectableField, bool_text};
use crate::registry::columns::{self, Column, age, non_empty_or};
use crate::registry::fields::ErrorList;
use crate::registry::kinds::node_rules;
use crate::registry::strategy::{KindInfo, Strategy, SubresourceInfo};

impl Strategy for Node {
    const INFO: KindInfo = KindInfo {
        short_names: &["no"],
        subresources: &[SubresourceInfo::status("Node")],
        is_acted_on: true,
        ..KindInfo::new("node", "XwShjMxG9Fs=")
    };
    const COLUMNS: &'static [Column] = &[
        Column::NAME,
        Column::text("Status", "Whether the node is ready, and whether pods may be bound to it."),
        Column::text("Roles", "The node's roles, from its labels."),
        Column::AGE,
        Column::text("Version", "Version of the node agent."),
        Column::wide("Internal-IP", "Address of the node within the cluster."),
        Column::wide("External-IP", "Address of the node outside the cluster."),
        Column::wide("OS-Image", "The node's operating system."),
        Column::wide("Kernel-Version", "Version of the kernel."),
        Column::wide("Container-Runtime", "Container runtime of the node."),
    ];
    const FIELDS: &'static [SelectableField<Self>] =
        &[("spec.unschedulable", |n| Some(bool_text(n.spec.as_ref().and_then(|spec| spec.unschedulable)).into()))];

    fn cells(&self, now: Timestamp) -> Vec<Value> {
        let info = self.status.as_ref().and_then(|status| status.node_info.as_ref());
        let known = |text: Option<&str>| Value::from(non_empty_or(text, "<unknown>"));
        vec![
            columns::name(&self.metadata),
            state(self).into(),
            roles(self).into(),
            age(&self.metadata, now).into(),
            info.map(|info| info.kubelet_version.as_str()).unwrap_or_default().into(),
            address(self, "InternalIP").into(),
            address(self, "ExternalIP").into(),
            known(info.map(|info| info.os_image.as_str())),
            known(info.map(|info| info.kernel_version.as_str())),
            known(info.map(|info| info.container_runtime_version.as_str())),
        ]
    }

    fn set_defaults(&mut self) {
        node_rules::set_defaults(self);
    }

    fn prepare_for_create(&mut self) {
        node_rules::add_not_ready_taint(self);
    }

    fn validate(&self, errors: &mut ErrorList) {
        node_rules::validate(errors, self);
    }

    fn warnings_on_create(&self) -> Vec<String> {
        node_rules::warnings(self)
    }

    fn prepare_for_update(&mut self, old: &Self) {
        self.status.clone_from(&old.status);
    }

    fn validate_update(&self, old: &Self, errors: &mut ErrorList) {
        node_rules::validate(errors, self);
        node_rules::validate_update(errors, self, old);
    }

    fn prepare_for_status_update(&mut self, old: &Self) {
        self.spec.clone_from(&old.spec);
    }

    fn validate_status_update(&self, old: &Self, errors: &mut ErrorList) {
        node_rules::validate_update(errors, self, old);
    }
}

/// Returns the STATUS cell: `Ready,SchedulingDisabled`.
fn state(node: &Node) -> String {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let ready = conditions.iter().find(|condition| condition.type_ == "Ready");
    let mut state = match ready.map(|condition| condition.status == "True") {
        Some(true) => "Ready",
        Some(false) => "NotReady",
        None => "Unknown",
    }
    .to_string();
    if node.spec.as_ref().is_some_and(|spec| spec.unschedulable == Some(true)) {
        state += ",SchedulingDisabled";
    }
    state
}

/// Returns the ROLES cell: `control-plane,worker`.
fn roles(node: &Node) -> String {
    let labels = node.metadata.labels.iter().flatten();
    let role = |(key, value): (&'_ String, &'_ String)| match key.strip_prefix("node-role.kubernetes.io/") {
        Some(role) => Some(role.to_string()),
        None => Some(value.clone()).filter(|_| key == "kubernetes.io/role"),
    };
    let roles: BTreeSet<String> = labels.filter_map(role).filter(|role| !role.is_empty()).collect();
    if roles.is_empty() { "<none>".into() } else { Vec::from_iter(roles).join(",") }
}

fn address<'n>(node: &'n Node, kind: &str) -> &'n str {
    let addresses = node.status.as_ref().and_then(|status| status.addresses.as_deref()).unwrap_or_default();
    non_empty_or(
        addresses.iter().find(|address| address.type_ == kind).map(|address| address.address.as_str()),
        "<none>",
    )
}
