//! The ports of this machine that lead to the pods of a run: `--publish`, `--publish-all` and `hostPort`.
//!
//! They are opened before anything starts, so that a taken port stops the run at once, and stay open while pods are
//! replaced.

use std::collections::BTreeSet;
use std::iter;
use std::net::{IpAddr, SocketAddr};

use anyhow::anyhow;
use k8s_openapi::api::core::v1::Pod;
use tokio::sync::mpsc;

use crate::cli::args::{PublishArgs, PublishedPortArg};
use crate::cli::exit::bad_input;
use crate::embedded::engine;
use crate::gateway::{BindError, Gateway, Reservation};
use crate::model::host_ports::{HostPort, container_ports, host_ports};
use crate::node::{OpenedListener, PortConfig, PublishedPort};

/// Notices of listeners that may wait to be printed; further ones are dropped.
pub const MAX_QUEUED_LISTENERS: usize = 64;
/// The ports of listeners that name none, which nobody wants to publish.
const EPHEMERAL_PORTS: std::ops::Range<u16> = 32768..61000;
/// The first port that any user may open.
const FIRST_UNPRIVILEGED: u16 = 1024;

/// The open ports of a run.
pub struct RunPorts {
    config: PortConfig,
    publish_all: bool,
    open: Vec<OpenPort>,
    opened: mpsc::Receiver<OpenedListener>,
    hinted: BTreeSet<(String, u16)>,
    /// Whether there is a single pod, so that `--publish` needs no name.
    is_single: bool,
}

/// A port of this machine that leads to a pod.
struct OpenPort {
    pod: PodName,
    port: u16,
    reservation: Reservation,
    /// The port of the pod's spec, if it is the reason.
    host_port: Option<HostPort>,
}

/// The namespace and the name of a pod, or the prefix of its generated name.
#[derive(Debug, Clone, PartialEq, Eq)]
struct PodName {
    namespace: String,
    name: String,
}

impl RunPorts {
    /// Opens the ports of `pods`.
    pub fn open(args: &PublishArgs, pods: &[Pod]) -> anyhow::Result<RunPorts> {
        let (sender, opened) = mpsc::channel(MAX_QUEUED_LISTENERS);
        let gateway = Gateway::new(engine()?.threads());
        let config = PortConfig { opened: Some(sender), ..PortConfig::new(gateway, args.address) };
        let mut ports = RunPorts {
            config,
            publish_all: args.all,
            open: Vec::new(),
            opened,
            hinted: BTreeSet::new(),
            is_single: pods.len() == 1,
        };
        for arg in &args.ports {
            let pod = find_pod(arg, pods)?;
            let reservation = open_exact(&ports.config.gateway, arg, args.address)?;
            ports.publish(pod, arg.port, reservation);
        }
        for pod in pods {
            ports.open_declared(pod)?;
        }
        if args.all && ports.open.is_empty() {
            stderrln!("warning: --publish-all: the pods declare no TCP port; use --publish HOSTPORT:PORT");
        }
        Ok(ports)
    }

    /// Returns how the node of the run offers its ports.
    pub fn config(&self) -> PortConfig {
        self.config.clone()
    }

    /// Returns a line for each open port: `web: http://127.0.0.1:8080`.
    pub fn addresses(&self) -> Vec<String> {
        self.open.iter().map(OpenPort::line).collect()
    }

    /// Opens the ports of changed manifests and closes those that no pod has any more. Returns lines to print.
    pub fn update(&mut self, pods: &[Pod]) -> Vec<String> {
        self.is_single = pods.len() == 1;
        self.open.retain(|open| {
            let pod = pods.iter().find(|pod| PodName::of(pod) == open.pod);
            let is_declared = |port: &HostPort| pod.is_some_and(|pod| host_ports(pod).contains(port));
            open.host_port.as_ref().is_none_or(is_declared)
        });
        let before = self.addresses();
        let mut lines = Vec::new();
        for pod in pods {
            lines.extend(self.open_declared(pod).err().map(|error| format!("error: {error}")));
        }
        lines.extend(self.addresses().into_iter().filter(|line| !before.contains(line)));
        lines
    }

    /// Waits for a program that listens on a port that is not published, and returns a hint. Cancel-safe.
    pub async fn next_hint(&mut self) -> String {
        loop {
            match self.opened.recv().await {
                Some(listener) => {
                    if let Some(hint) = self.hint(&listener) {
                        return hint;
                    }
                }
                None => std::future::pending().await,
            }
        }
    }

    fn hint(&mut self, listener: &OpenedListener) -> Option<String> {
        let OpenedListener { namespace, pod, address } = listener;
        let port = address.port();
        let is_published = |open: &OpenPort| open.port == port && open.pod.matches(namespace, pod);
        if is_internal(*address) || self.open.iter().any(is_published) || !self.hinted.insert((pod.clone(), port)) {
            return None;
        }
        let prefix = if self.is_single { String::new() } else { format!("{pod}:") };
        Some(unpublished_hint(pod, &prefix, port))
    }

    /// Opens the pod's host ports, and with `--publish-all` the other ports that it declares.
    fn open_declared(&mut self, pod: &Pod) -> anyhow::Result<()> {
        let name = PodName::of(pod);
        for port in host_ports(pod).into_iter().filter(HostPort::is_tcp) {
            // The scheduler decides which of two pods gets a port; the other one waits.
            if !self.open.iter().any(|open| open.host_port.as_ref().is_some_and(|other| other.conflicts_with(&port))) {
                self.open_host_port(name.clone(), port)?;
            }
        }
        if !self.publish_all {
            return Ok(());
        }
        let ports = pod.spec.iter().flat_map(container_ports).filter(|port| is_tcp(port));
        for port in ports.filter_map(|port| u16::try_from(port.container_port).ok()) {
            if !self.open.iter().any(|open| open.pod == name && open.port == port) {
                let opened = open_nearby(&self.config.gateway, self.config.address, port);
                let reservation = opened.map_err(|error| bad_input(format!("--publish-all: port {port}: {error}")))?;
                self.publish(name.clone(), port, reservation);
            }
        }
        Ok(())
    }

    fn open_host_port(&mut self, pod: PodName, host_port: HostPort) -> anyhow::Result<()> {
        let reserved = self.config.gateway.reserve(self.config.host_address(&host_port));
        let reservation = reserved.map_err(|error| {
            let remedy = match error {
                BindError::Reserved => "change hostPort or --publish",
                BindError::InUse => "free it or change hostPort",
                BindError::PermissionDenied => "change hostPort to 1024 or above",
                BindError::Other(_) => "change hostIP to an address of this machine",
            };
            bad_input(format!("pod {}: host port {}: {error}; {remedy}", pod.name, host_port.port))
        })?;
        self.open.push(OpenPort { pod, port: host_port.container_port, reservation, host_port: Some(host_port) });
        Ok(())
    }

    fn publish(&mut self, pod: PodName, port: u16, reservation: Reservation) {
        let PodName { namespace, name } = pod.clone();
        self.config.published.add(PublishedPort { namespace, pod: name, address: reservation.address(), port });
        self.open.push(OpenPort { pod, port, reservation, host_port: None });
    }
}

impl OpenPort {
    fn line(&self) -> String {
        address_line(&self.pod.name, self.port, self.reservation.address())
    }
}

impl PodName {
    fn of(pod: &Pod) -> PodName {
        let set = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        PodName {
            namespace: set(&pod.metadata.namespace).unwrap_or_else(|| "default".into()),
            name: set(&pod.metadata.name).or_else(|| set(&pod.metadata.generate_name)).unwrap_or_default(),
        }
    }

    /// Whether a running pod has this name, or one that was generated from it.
    fn matches(&self, namespace: &str, name: &str) -> bool {
        let is_generated = self.name.ends_with('-') && name.starts_with(&self.name);
        self.namespace == namespace && (self.name == name || is_generated)
    }
}

/// Returns the line that shows where a port leads to.
pub fn address_line(name: &str, port: u16, address: SocketAddr) -> String {
    let scheme = if port == 443 { "https" } else { "http" };
    format!("{name}: {scheme}://{address}")
}

/// Returns the hint about a listener that cannot be reached from outside.
pub fn unpublished_hint(name: &str, prefix: &str, port: u16) -> String {
    let host_port = if port < FIRST_UNPRIVILEGED { port + 8000 } else { port };
    format!("{name} listens on {port} inside its pod; publish it with --publish {prefix}{host_port}:{port}")
}

/// Whether a listener is meant for the pod itself.
pub fn is_internal(address: SocketAddr) -> bool {
    address.ip().is_loopback() || EPHEMERAL_PORTS.contains(&address.port())
}

fn is_tcp(port: &k8s_openapi::api::core::v1::ContainerPort) -> bool {
    port.protocol.as_deref().is_none_or(|protocol| protocol == "TCP")
}

/// Returns the pod that a `--publish` is about.
fn find_pod(arg: &PublishedPortArg, pods: &[Pod]) -> anyhow::Result<PodName> {
    let names: Vec<PodName> = pods.iter().map(PodName::of).collect();
    let listed = names.iter().map(|pod| pod.name.as_str()).collect::<Vec<_>>().join(", ");
    let text = &arg.text;
    match (&arg.pod, names.as_slice()) {
        (None, [single]) => Ok(single.clone()),
        (None, _) => Err(bad_input(format!(
            "--publish {text}: there are several pods ({listed}); name one, such as --publish {}:{text}",
            names.first().map_or("POD", |pod| &pod.name)
        ))),
        (Some(name), _) => {
            let found = names.iter().find(|pod| pod.name == *name).cloned();
            found.ok_or_else(|| bad_input(format!("--publish {text}: there is no pod {name}; the pods are: {listed}")))
        }
    }
}

/// Opens the port of a `--publish`.
pub fn open_exact(gateway: &Gateway, arg: &PublishedPortArg, default_ip: IpAddr) -> anyhow::Result<Reservation> {
    let address = SocketAddr::new(arg.host_ip.unwrap_or(default_ip), arg.host_port);
    gateway.reserve(address).map_err(|error| publish_error(arg, &error))
}

fn publish_error(arg: &PublishedPortArg, error: &BindError) -> anyhow::Error {
    let PublishedPortArg { text, port, host_port, .. } = arg;
    let remedy = match error {
        BindError::Reserved | BindError::InUse => "choose another host port, or 0 for a free one".into(),
        BindError::PermissionDenied => {
            format!("choose a host port of 1024 or above, such as {}:{port}", host_port.saturating_add(8000))
        }
        BindError::Other(_) => "choose an address of this machine".to_string(),
    };
    bad_input(anyhow!("--publish {text}: {error}; {remedy}").to_string())
}

/// Opens `port` or the nearest one above that can be opened; instead of those below 1024, ones above 8000.
fn open_nearby(gateway: &Gateway, ip: IpAddr, port: u16) -> Result<Reservation, BindError> {
    let mut last = BindError::InUse;
    for candidate in nearby(port) {
        match gateway.reserve(SocketAddr::new(ip, candidate)) {
            Err(error @ (BindError::Reserved | BindError::InUse | BindError::PermissionDenied)) => last = error,
            result => return result,
        }
    }
    Err(last)
}

/// Returns the ports to try, in their order.
fn nearby(port: u16) -> impl Iterator<Item = u16> {
    let next = if port < FIRST_UNPRIVILEGED { port + 8000 } else { port.saturating_add(1) };
    iter::once(port).chain(next..=u16::MAX)
}

#[cfg(test)]
mod tests;
