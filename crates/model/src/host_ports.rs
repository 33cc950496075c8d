//! The host ports of a pod, and when two of them conflict.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::{ContainerPort, Pod, PodSpec};

use crate::pods;

/// The host address that stands for all addresses, and is the default of `hostIP`.
const ALL_ADDRESSES: &str = "0.0.0.0";

/// A port of a container that the pod's node offers under a port of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    /// `hostIP`; empty if it is not set.
    pub host_ip: String,
    /// `hostPort`.
    pub port: u16,
    /// `containerPort`.
    pub container_port: u16,
    /// `protocol`: `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
}

impl HostPort {
    /// Returns the host port of `port`, if it has one.
    pub fn new(port: &ContainerPort) -> Option<HostPort> {
        let number = |port: i32| u16::try_from(port).ok().filter(|port| *port != 0);
        Some(HostPort {
            host_ip: port.host_ip.clone().unwrap_or_default(),
            port: number(port.host_port?)?,
            container_port: number(port.container_port)?,
            protocol: port.protocol.clone().unwrap_or_else(|| "TCP".into()),
        })
    }

    /// Whether the protocol is TCP.
    pub fn is_tcp(&self) -> bool {
        self.protocol == "TCP"
    }

    /// Returns the address of `hostIP`; `None` if it is not set.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host_ip.parse().ok()
    }

    /// Whether a node cannot offer both ports: they have the same protocol and number, and the same address unless one
    /// has all addresses (`HostPortInfo.CheckConflict` of `kube-scheduler/framework`).
    pub fn conflicts_with(&self, other: &HostPort) -> bool {
        let (own, others) = (self.checked_ip(), other.checked_ip());
        let overlaps = own == others || own == ALL_ADDRESSES || others == ALL_ADDRESSES;
        self.protocol == other.protocol && self.port == other.port && overlaps
    }

    fn checked_ip(&self) -> &str {
        if self.host_ip.is_empty() { ALL_ADDRESSES } else { &self.host_ip }
    }
}

/// Returns the host ports of the pod's containers and sidecars; init containers that end have none
/// (`GetHostPorts` of `pkg/scheduler/util`).
pub fn host_ports(pod: &Pod) -> Vec<HostPort> {
    let spec = pod.spec.iter();
    spec.flat_map(container_ports).filter_map(HostPort::new).collect()
}

/// Returns the ports of the containers and sidecars.
pub fn container_ports(spec: &PodSpec) -> impl Iterator<Item = &ContainerPort> {
    let sidecars = pods::init_containers(spec).iter().filter(|c| c.restart_policy.as_deref() == Some("Always"));
    sidecars.chain(&spec.containers).flat_map(|container| container.ports.iter().flatten())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports(spec: &str) -> Vec<HostPort> {
        host_ports(&serde_yaml::from_str(&format!("{{spec: {spec}}}")).expect("a pod"))
    }

    #[test]
    fn host_ports_are_those_of_containers_and_sidecars() {
        let found = ports(
            "{initContainers: [{name: i, ports: [{containerPort: 1, hostPort: 1}]},
               {name: s, restartPolicy: Always, ports: [{containerPort: 2, hostPort: 20}]}],
              containers: [{name: c, ports: [{containerPort: 3}, {containerPort: 4, hostPort: 40, protocol: UDP}]}]}",
        );
        let numbers: Vec<_> = found.iter().map(|p| (p.port, p.container_port, p.is_tcp())).collect();
        assert_eq!(numbers, [(20, 2, true), (40, 4, false)]);
    }

    #[test]
    fn host_ports_conflict_by_protocol_number_and_address() {
        let port = |text: &str| {
            let parts: Vec<&str> = text.split('/').collect();
            HostPort {
                host_ip: parts[0].into(),
                port: parts[1].parse().expect("a number"),
                container_port: 80,
                protocol: parts[2].into(),
            }
        };
        for (a, b, expected) in [
            ("/80/TCP", "/80/TCP", true),
            ("/80/TCP", "/81/TCP", false),
            ("/80/TCP", "/80/UDP", false),
            ("/80/TCP", "127.0.0.1/80/TCP", true),
            ("0.0.0.0/80/TCP", "10.0.0.1/80/TCP", true),
            ("127.0.0.1/80/TCP", "127.0.0.1/80/TCP", true),
            ("127.0.0.1/80/TCP", "10.0.0.1/80/TCP", false),
        ] {
            assert_eq!(port(a).conflicts_with(&port(b)), expected, "{a} and {b}");
            assert_eq!(port(b).conflicts_with(&port(a)), expected, "{b} and {a}");
        }
    }
}
