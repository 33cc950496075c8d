//! The node as an object: what it is made of, what it holds, that it is ready.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, NodeAddress, NodeCondition, NodeSpec, NodeStatus, NodeSystemInfo};

use super::{Config, Shared};
use crate::control::{Body, Key, Preconditions, Resource, Status, Subresource, Update};
use crate::model::{pods, version};

/// The object of the node that `config` describes.
pub(super) fn object(config: &Config, now: Timestamp) -> Node {
    let (processor, system) = (version::architecture(), "linux");
    let mut node = Node::default();
    node.metadata.name = Some(config.name.clone());
    let labels = [
        ("kubernetes.io/hostname", config.name.as_str()),
        ("kubernetes.io/arch", processor),
        ("kubernetes.io/os", system),
    ];
    node.metadata.labels = Some(labels.map(|(key, value)| (key.to_string(), value.to_string())).into());
    node.spec = Some(NodeSpec::default());
    let address = |kind: &str, address: &str| NodeAddress { type_: kind.into(), address: address.into() };
    let capacity = config.capacity.told();
    node.status = Some(NodeStatus {
        addresses: Some(vec![address("InternalIP", &config.host_ip), address("Hostname", &config.name)]),
        allocatable: Some(capacity.clone()),
        capacity: Some(capacity),
        conditions: Some(conditions(&[], false, now)),
        node_info: Some(NodeSystemInfo {
            architecture: processor.into(),
            operating_system: system.into(),
            os_image: os_image(),
            kernel_version: read("/proc/sys/kernel/osrelease"),
            boot_id: read("/proc/sys/kernel/random/boot_id"),
            machine_id: read("/etc/machine-id"),
            kubelet_version: version::GIT_VERSION.into(),
            container_runtime_version: concat!("wasmpod://", env!("CARGO_PKG_VERSION")).into(),
            ..NodeSystemInfo::default()
        }),
        ..NodeStatus::default()
    });
    node
}

/// Shows whether the node's memory is short.
pub(super) async fn tell_pressure(shared: &Shared, short: bool) {
    let key = Key::new(Resource::NODES, "", &shared.config.name);
    let now = shared.clock.now().wall;
    let told = async {
        let object = shared.control.get(&key).await?;
        let mut node = Node::clone(&*object.decode::<Node>().map_err(|error| Status::internal(error.to_string()))?);
        let status = node.status.get_or_insert_default();
        status.conditions = Some(conditions(status.conditions.as_deref().unwrap_or_default(), short, now));
        let update = Update::Replace { body: Body::Node(Box::new(node)), subresource: Subresource::Main };
        shared.control.update(&key, update, Preconditions::default()).await
    };
    if let Err(error) = told.await {
        tracing::warn!(%error, "the node's conditions could not be reported");
    }
}

/// That the node is ready, and whether its memory is short; since when, as far as `before` tells.
fn conditions(before: &[NodeCondition], short: bool, now: Timestamp) -> Vec<NodeCondition> {
    let condition = |kind: &str, holds: bool, reason: &str, message: &str| {
        let status = if holds { "True" } else { "False" };
        let same = before.iter().find(|c| c.type_ == kind && c.status == status);
        NodeCondition {
            type_: kind.into(),
            status: status.into(),
            reason: Some(reason.into()),
            message: Some(message.into()),
            last_heartbeat_time: Some(pods::time(now)),
            last_transition_time: same.and_then(|c| c.last_transition_time.clone()).or(Some(pods::time(now))),
        }
    };
    let (reason, message) = match short {
        true => ("KubeletHasInsufficientMemory", "kubelet has insufficient memory available"),
        false => ("KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    };
    vec![
        condition("MemoryPressure", short, reason, message),
        condition("Ready", true, "KubeletReady", "kubelet is posting ready status"),
    ]
}

fn os_image() -> String {
    let text = read("/etc/os-release");
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.unwrap_or("unknown").trim_matches('"').to_string()
}

/// A small file of the system's, empty where it is not there.
fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim().to_string()
}
