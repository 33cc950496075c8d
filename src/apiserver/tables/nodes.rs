//! Nodes: `NAME STATUS ROLES AGE VERSION`, and with `-o wide` addresses and versions.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use super::{ColumnDefinition, Tabular, age, non_empty_or};

impl Tabular for Node {
    const COLUMNS: &'static [ColumnDefinition] = &[
        ColumnDefinition::NAME,
        ColumnDefinition::text("Status", "Whether the node is ready, and whether pods may be bound to it."),
        ColumnDefinition::text("Roles", "The node's roles, from its labels."),
        ColumnDefinition::AGE,
        ColumnDefinition::text("Version", "Version of the node agent."),
        ColumnDefinition::wide("Internal-IP", "Address of the node within the cluster."),
        ColumnDefinition::wide("External-IP", "Address of the node outside the cluster."),
        ColumnDefinition::wide("OS-Image", "The node's operating system."),
        ColumnDefinition::wide("Kernel-Version", "Version of the kernel."),
        ColumnDefinition::wide("Container-Runtime", "Container runtime of the node."),
    ];

    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn cells(&self, now: Timestamp) -> Vec<Value> {
        let info = self.status.as_ref().and_then(|status| status.node_info.as_ref());
        let known = |text: Option<&str>| Value::from(non_empty_or(text, "<unknown>"));
        vec![
            non_empty_or(self.metadata.name.as_deref(), "").into(),
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
