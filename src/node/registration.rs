//! The node's own object: its capacity, system information and conditions.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Node, NodeAddress, NodeCondition, NodeSpec, NodeStatus, NodeSystemInfo, ObjectReference,
};

use super::eviction::Pressures;
use super::{NodeConfig, NodeContext};
use crate::control::{Reason, Status, Subresource};
use crate::events::EventType;
use crate::model::{pods, version};

/// The taint of nodes that are not ready.
const NOT_READY: &str = "node.kubernetes.io/not-ready";

/// Returns the Node object of the node with this `config`.
fn node_object(config: &NodeConfig, now: Timestamp) -> Node {
    let (architecture, os) = (version::architecture(), "linux");
    let mut node = Node::default();
    node.metadata.name = Some(config.name.clone());
    let labels = [
        ("kubernetes.io/hostname", config.name.as_str()),
        ("kubernetes.io/arch", architecture),
        ("kubernetes.io/os", os),
    ];
    node.metadata.labels = Some(labels.map(|(key, value)| (key.to_string(), value.to_string())).into());
    node.spec = Some(NodeSpec::default());
    let address = |kind: &str, address: &str| NodeAddress { type_: kind.into(), address: address.into() };
    let capacity = config.capacity.to_resource_list();
    node.status = Some(NodeStatus {
        addresses: Some(vec![address("InternalIP", &config.host_ip), address("Hostname", &config.name)]),
        allocatable: Some(capacity.clone()),
        capacity: Some(capacity),
        conditions: Some(conditions(&[], &Pressures::default(), now)),
        node_info: Some(NodeSystemInfo {
            architecture: architecture.into(),
            operating_system: os.into(),
            os_image: os_image(),
            kernel_version: read_trimmed("/proc/sys/kernel/osrelease"),
            boot_id: read_trimmed("/proc/sys/kernel/random/boot_id"),
            machine_id: read_trimmed("/etc/machine-id"),
            kubelet_version: version::GIT_VERSION.into(),
            container_runtime_version: concat!("wasmpod://", env!("CARGO_PKG_VERSION")).into(),
            ..NodeSystemInfo::default()
        }),
        ..NodeStatus::default()
    });
    node
}

/// Creates the node's object, or brings the one of an earlier life up to date. The node is ready at once, so that it loses the
/// taint of new nodes, as by Kubernetes' node lifecycle controller. What others have set stays: a cordoned node stays
/// cordoned.
pub(super) async fn register(context: &NodeContext) -> Result<(), Status> {
    let now = context.clock.now().wall;
    let wanted = node_object(&context.config, now);
    let nodes = context.control.api::<Node>("");
    let mut node = match nodes.create(wanted.clone()).await {
        Err(status) if status.reason == Reason::AlreadyExists => nodes.get(&context.config.name).await?,
        created => created?,
    };
    let mut registered = Node::clone(&node);
    registered.metadata.labels.get_or_insert_default().extend(wanted.metadata.labels.into_iter().flatten());
    if let Some(spec) = &mut registered.spec {
        spec.taints.iter_mut().for_each(|taints| taints.retain(|taint| taint.key != NOT_READY));
        spec.taints.take_if(|taints| taints.is_empty());
    }
    if registered != *node {
        node = nodes.replace(registered, Subresource::Main).await?;
    }
    let before = node.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let status = wanted
        .status
        .map(|status| NodeStatus { conditions: Some(conditions(before, &Pressures::default(), now)), ..status });
    if status == node.status {
        return Ok(());
    }
    nodes.replace(Node { status, ..Node::clone(&node) }, Subresource::Status).await.map(drop)
}

/// Sets the node's conditions for its pressures, and records an event about each that changes.
pub(super) async fn report_pressures(context: &NodeContext, pressures: &Pressures) {
    let now = context.clock.now().wall;
    let reported = async {
        let nodes = context.control.api::<Node>("");
        let mut node = Node::clone(&*nodes.get(&context.config.name).await?);
        let status = node.status.get_or_insert_default();
        let before = status.conditions.take().unwrap_or_default();
        let after = conditions(&before, pressures, now);
        for condition in after.iter().filter(|condition| has_changed(condition, &before)) {
            if let Some(reason) = pressure_event(&condition.type_, condition.status == "True") {
                record_status(context, reason);
            }
        }
        status.conditions = Some(after);
        nodes.replace(node, Subresource::Status).await
    };
    if let Err(error) = reported.await {
        tracing::warn!(%error, "cannot report the node's conditions");
    }
}

fn has_changed(condition: &NodeCondition, before: &[NodeCondition]) -> bool {
    before.iter().any(|old| old.type_ == condition.type_ && old.status != condition.status)
}

/// Returns the reason of the event about a pressure that begins or ends.
fn pressure_event(condition: &str, begins: bool) -> Option<&'static str> {
    match (condition, begins) {
        ("MemoryPressure", true) => Some("NodeHasInsufficientMemory"),
        ("MemoryPressure", false) => Some("NodeHasSufficientMemory"),
        ("DiskPressure", true) => Some("NodeHasDiskPressure"),
        ("DiskPressure", false) => Some("NodeHasNoDiskPressure"),
        _ => None,
    }
}

/// Records that the node has a new status, as kubelet does. Its UID in events is its name.
fn record_status(context: &NodeContext, reason: &str) {
    let name = &context.config.name;
    let object = ObjectReference {
        kind: Some("Node".into()),
        name: Some(name.clone()),
        uid: Some(name.clone()),
        ..ObjectReference::default()
    };
    let message = format!("Node {name} status is now: {reason}");
    context.recorder.record_about(object, EventType::Normal, reason, message);
}

/// Returns the node's conditions; transition times of unchanged ones come from `before`.
fn conditions(before: &[NodeCondition], pressures: &Pressures, now: Timestamp) -> Vec<NodeCondition> {
    let condition = |kind: &str, holds: bool, reason: &str, message: &str| {
        let status = if holds { "True" } else { "False" };
        let same = before.iter().find(|c| c.type_ == kind && c.status == status);
        NodeCondition {
            type_: kind.into(),
            status: status.into(),
            reason: Some(reason.into()),
            message: Some(message.into()),
            last_heartbeat_time: Some(pods::api_time(now)),
            last_transition_time: same.and_then(|c| c.last_transition_time.clone()).or(Some(pods::api_time(now))),
        }
    };
    let memory = match pressures.memory.is_active() {
        true => ("KubeletHasInsufficientMemory", "kubelet has insufficient memory available"),
        false => ("KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    };
    let disk = match pressures.disk.is_active() {
        true => ("KubeletHasDiskPressure", "kubelet has disk pressure"),
        false => ("KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    };
    vec![
        condition("MemoryPressure", pressures.memory.is_active(), memory.0, memory.1),
        condition("DiskPressure", pressures.disk.is_active(), disk.0, disk.1),
        // As a kubelet without a threshold for `pid.available`, which is its default.
        condition("PIDPressure", false, "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        condition("Ready", true, "KubeletReady", "kubelet is posting ready status"),
    ]
}

fn os_image() -> String {
    let text = read_trimmed("/etc/os-release");
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.unwrap_or("unknown").trim_matches('"').to_string()
}

/// Reads a small system file; empty if it cannot be read.
fn read_trimmed(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim().to_string()
}
