//! The ports of the host that lead to pods: their `hostPort`s, and those that are published from outside.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use k8s_openapi::api::core::v1::Pod;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::events::{EventType, Recorder};
use crate::gateway::{BindError, Gateway, Publication, Target};
use crate::model::host_ports::{HostPort, host_ports};
use crate::model::pods;
use crate::network::{ListenObserver, PodNetwork};

/// How a node offers ports of its pods on the host.
#[derive(Clone)]
pub struct PortConfig {
    /// Opens the host's ports.
    pub gateway: Arc<Gateway>,
    /// The address of host ports without a `hostIP`; kubelet's is `0.0.0.0`.
    pub address: IpAddr,
    /// Ports that are published whatever the pods' specs say.
    pub published: Arc<PublishedPorts>,
    /// Receives the listeners that programs open. When it is full, they are dropped: they are hints for users.
    pub opened: Option<mpsc::Sender<OpenedListener>>,
}

/// The published ports of pods, which exist already or will be created.
#[derive(Default)]
pub struct PublishedPorts {
    /// Protects the ports.
    ports: Mutex<Vec<PublishedPort>>,
}

/// A port of a pod that is published at an address of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedPort {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name, or the prefix of its generated name.
    pub pod: String,
    /// The address on the host.
    pub address: SocketAddr,
    /// The port of the pod.
    pub port: u16,
}

/// A listener that a program of a pod opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedListener {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// The address inside the pod.
    pub address: SocketAddr,
}

/// A port that cannot be published.
#[derive(Debug, thiserror::Error)]
#[error("host port {port}")]
pub struct PublishError {
    /// The port of the host.
    pub port: u16,
    /// The reason.
    pub source: BindError,
}

impl PublishedPorts {
    /// Adds a port. It leads to the pods that start from now on.
    pub fn add(&self, port: PublishedPort) {
        self.ports.lock().push(port);
    }

    /// Returns the ports of `pod`.
    pub fn of(&self, pod: &Pod) -> Vec<PublishedPort> {
        let prefix = pod.metadata.generate_name.as_deref().unwrap_or_default();
        let is_named = |name: &str| name == pods::name(pod) || (!prefix.is_empty() && name == prefix);
        let ports = self.ports.lock();
        ports.iter().filter(|port| port.namespace == pods::namespace(pod) && is_named(&port.pod)).cloned().collect()
    }
}

impl PortConfig {
    /// Returns the configuration that opens pods' host ports at `address`, and nothing else.
    pub fn new(gateway: Gateway, address: IpAddr) -> PortConfig {
        PortConfig { gateway: Arc::new(gateway), address, published: Arc::default(), opened: None }
    }

    /// Returns the host's address for a host port.
    pub fn host_address(&self, port: &HostPort) -> SocketAddr {
        SocketAddr::new(port.ip().unwrap_or(self.address), port.port)
    }

    /// Returns the observer of a new pod's listeners.
    pub(super) fn observer(&self, pod: &Pod) -> Option<ListenObserver> {
        let opened = self.opened.clone()?;
        let (namespace, pod) = (pods::namespace(pod).to_string(), pods::name(pod).to_string());
        Some(Arc::new(move |address| {
            let listener = OpenedListener { namespace: namespace.clone(), pod: pod.clone(), address };
            if opened.try_send(listener).is_err() {
                tracing::debug!(pod, "dropping the notice of a listener: the reader cannot keep up");
            }
        }))
    }

    /// Publishes the pod's ports for as long as the result lives.
    pub(super) fn publish(
        &self,
        pod: &Arc<Pod>,
        network: &Arc<PodNetwork>,
        recorder: &Recorder,
    ) -> Result<Vec<Publication>, PublishError> {
        let host_ports = host_ports(pod).into_iter().filter(HostPort::is_tcp);
        let host_ports = host_ports.map(|port| (self.host_address(&port), port.container_port));
        let published = self.published.of(pod).into_iter().map(|port| (port.address, port.port));
        let publish = |(address, port): (SocketAddr, u16)| {
            let on_loopback_only = loopback_event(recorder.clone(), pod.clone(), port);
            let target = Target { network: Arc::downgrade(network), port, on_loopback_only };
            let failed = |source| PublishError { port: address.port(), source };
            self.gateway.publish(address, target).map_err(failed)
        };
        host_ports.chain(published).map(publish).collect()
    }
}

/// Returns a function that records, once, that clients cannot reach `port` since its program listens on loopback.
fn loopback_event(recorder: Recorder, pod: Arc<Pod>, port: u16) -> Arc<dyn Fn() + Send + Sync> {
    let is_recorded = AtomicBool::new(false);
    Arc::new(move || {
        if !is_recorded.swap(true, Ordering::Relaxed) {
            let message = format!(
                "container port {port} is published, but the program listens on 127.0.0.1 only; \
                 let it listen on 0.0.0.0"
            );
            recorder.record(&pod, None, EventType::Warning, "PortNotReachable", message);
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_ports_belong_to_pods_by_name_or_prefix() {
        let published = PublishedPorts::default();
        let port = |pod: &str, number| PublishedPort {
            namespace: "default".into(),
            pod: pod.into(),
            address: ([127, 0, 0, 1], number).into(),
            port: 80,
        };
        published.add(port("web", 1));
        published.add(port("job-", 2));
        for (metadata, expected) in [
            ("{name: web, namespace: default}", vec![1]),
            ("{name: web, namespace: other}", vec![]),
            ("{name: job-x7, generateName: job-, namespace: default}", vec![2]),
            ("{name: job-x7, namespace: default}", vec![]),
        ] {
            let pod: Pod = serde_yaml::from_str(&format!("{{metadata: {metadata}}}")).expect("a pod");
            let found: Vec<u16> = published.of(&pod).iter().map(|port| port.address.port()).collect();
            assert_eq!(found, expected, "{metadata}");
        }
    }

    #[tokio::test]
    async fn host_ports_use_the_configured_address_by_default() {
        let config = PortConfig::new(Gateway::new(tokio::runtime::Handle::current()), [10, 0, 0, 7].into());
        for (host_ip, expected) in [("", "10.0.0.7:80"), ("0.0.0.0", "0.0.0.0:80"), ("::1", "[::1]:80")] {
            let port = HostPort { host_ip: host_ip.into(), port: 80, container_port: 8080, protocol: "TCP".into() };
            assert_eq!(config.host_address(&port).to_string(), expected);
        }
    }
}
