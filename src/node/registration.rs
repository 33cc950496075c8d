//! The node as an object: what it is made of, what it holds, that it is ready.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, NodeAddress, NodeCondition, NodeSpec, NodeStatus, NodeSystemInfo};

use super::Config;
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
        conditions: Some(vec![NodeCondition {
            type_: "Ready".into(),
            status: "True".into(),
            reason: Some("KubeletReady".into()),
            message: Some("kubelet is posting ready status".into()),
            last_heartbeat_time: Some(pods::time(now)),
            last_transition_time: Some(pods::time(now)),
        }]),
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

fn os_image() -> String {
    let text = read("/etc/os-release");
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.unwrap_or("unknown").trim_matches('"').to_string()
}

/// A small file of the system's, empty where it is not there.
fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim().to_string()
}
