//! The network of a pod: its address, its listeners, and connections between its containers.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::task::Waker;

use parking_lot::Mutex;

use super::NetError;
use super::connecting::{Connecting, WaitingConnection};
use super::pipe::{PipeMonitor, Receiver, Sender, monitored_pipe};
use super::services::PodServices;

/// The maximum of listeners in a pod.
const MAX_LISTENERS: usize = 1024;

/// The ports for sockets that name none; Linux' default range.
const EPHEMERAL_PORTS: std::ops::Range<u16> = 32768..61000;

/// One end of a connection.
pub struct Connection {
    /// This end's address.
    pub local: SocketAddr,
    /// The other end's address.
    pub peer: SocketAddr,
    /// The bytes that the other end sends.
    pub receiver: Receiver,
    /// The bytes that the other end receives.
    pub sender: Sender,
    /// Observe whether the connection is in use, one per direction.
    pub(super) monitors: [PipeMonitor; 2],
}

/// The connections of a listener that wait to be accepted.
pub(super) struct Backlog {
    pub(super) queue: VecDeque<Connection>,
    pub(super) limit: usize,
    pub(super) closed: bool,
    /// The tasks that wait to accept.
    pub(super) waiting: Vec<Waker>,
    /// The connections that wait for space in `queue`, the oldest first.
    pub(super) connecting: VecDeque<WaitingConnection>,
}

/// Called with the address of each listener that opens.
pub type ListenObserver = Arc<dyn Fn(SocketAddr) + Send + Sync>;

pub(super) type Port = Arc<Mutex<Backlog>>;

#[derive(Default)]
struct Ports {
    listeners: HashMap<SocketAddr, Port>,
    next_ephemeral: u16,
}

/// The names, Services and observer of a pod's network.
#[derive(Default)]
pub struct PodNetworkOptions {
    /// The names that it resolves beside `localhost` and Services.
    pub names: Vec<(String, IpAddr)>,
    /// Called whenever a listener opens.
    pub on_listen: Option<ListenObserver>,
    /// The Services whose names it resolves.
    pub services: Option<PodServices>,
}

/// The network that the containers of one pod share.
pub struct PodNetwork {
    ip: IpAddr,
    /// Its names are in lower case.
    options: PodNetworkOptions,
    /// Protects the table of listeners.
    ports: Mutex<Ports>,
}

impl PodNetwork {
    /// Returns the network of a pod with address `ip`.
    pub fn new(ip: IpAddr) -> Arc<PodNetwork> {
        PodNetwork::with_options(ip, PodNetworkOptions::default())
    }

    /// Returns the network of a pod with address `ip` and these options.
    pub fn with_options(ip: IpAddr, mut options: PodNetworkOptions) -> Arc<PodNetwork> {
        options.names.iter_mut().for_each(|(name, _)| name.make_ascii_lowercase());
        Arc::new(PodNetwork { ip, options, ports: Mutex::default() })
    }

    /// Returns the pod's address.
    pub fn ip(&self) -> IpAddr {
        self.ip
    }

    /// Returns whether packets to `ip` stay in this pod.
    pub fn owns(&self, ip: IpAddr) -> bool {
        ip.is_loopback() || ip == self.ip
    }

    /// Returns the addresses of `name`; empty if it has none.
    pub fn resolve(&self, name: &str) -> Vec<IpAddr> {
        if let Ok(ip) = name.trim_matches(['[', ']']).parse() {
            return vec![ip];
        }
        let lower_case = name.to_ascii_lowercase();
        let name = lower_case.trim_end_matches('.');
        if name == "localhost" || name.ends_with(".localhost") {
            return vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        }
        let own: Vec<IpAddr> =
            self.options.names.iter().filter(|(known, _)| known == name).map(|(_, ip)| *ip).collect();
        match &self.options.services {
            Some(services) if own.is_empty() => services.resolve(&lower_case),
            _ => own,
        }
    }

    /// Checks that a socket may listen on `address`, and picks a port if it names none.
    pub(super) fn bind_address(&self, address: SocketAddr) -> Result<SocketAddr, NetError> {
        if !address.ip().is_unspecified() && !self.owns(address.ip()) {
            return Err(NetError::AddressNotAvailable);
        }
        let mut ports = self.ports.lock();
        if address.port() == 0 {
            return ports.free_port(address.ip());
        }
        if ports.conflicts(address) { Err(NetError::AddressInUse) } else { Ok(address) }
    }

    pub(super) fn listen(&self, address: SocketAddr, backlog: usize) -> Result<Port, NetError> {
        let mut ports = self.ports.lock();
        if ports.conflicts(address) {
            return Err(NetError::AddressInUse);
        }
        if ports.listeners.len() >= MAX_LISTENERS {
            return Err(NetError::TooManySockets);
        }
        let port = Arc::new(Mutex::new(Backlog {
            queue: VecDeque::new(),
            limit: backlog,
            closed: false,
            waiting: Vec::new(),
            connecting: VecDeque::new(),
        }));
        ports.listeners.insert(address, port.clone());
        drop(ports);
        if let Some(observer) = &self.options.on_listen {
            observer(address);
        }
        Ok(port)
    }

    /// Whether listeners on `port` exist, all of them on loopback, where neither the node nor its gateway reaches them.
    pub fn listens_only_on_loopback(&self, port: u16) -> bool {
        let ports = self.ports.lock();
        let mut listeners = ports.listeners.keys().filter(|address| address.port() == port).peekable();
        listeners.peek().is_some() && listeners.all(|address| address.ip().is_loopback())
    }

    pub(super) fn close(&self, address: SocketAddr, port: &Port) {
        let mut ports = self.ports.lock();
        if ports.listeners.get(&address).is_some_and(|p| Arc::ptr_eq(p, port)) {
            ports.listeners.remove(&address);
        }
    }

    /// Returns a local address for a socket that connects to `peer`.
    pub(super) fn local_address_for(&self, peer: IpAddr) -> Result<SocketAddr, NetError> {
        let ip = if peer.is_loopback() { peer } else { self.ip };
        self.ports.lock().free_port(ip)
    }

    /// Connects to a listener of this pod. A connection to a full backlog waits for space in it, as on Linux; if too many
    /// wait already, it is refused.
    pub fn connect(&self, local: SocketAddr, peer: SocketAddr) -> Result<Connecting, NetError> {
        let port = self.listener_at(peer)?;
        let (client, server) = connection_pair(local, peer);
        let mut backlog = port.lock();
        if backlog.closed {
            return Err(NetError::ConnectionRefused);
        }
        if backlog.is_full() {
            let established = backlog.add_connecting(server)?;
            drop(backlog);
            return Ok(Connecting::waiting(client, established, port));
        }
        let waiting = backlog.push(server);
        drop(backlog);
        waiting.into_iter().for_each(Waker::wake);
        Ok(Connecting::established(client))
    }

    /// Connects and closes before the listener wakes, so that a server never waits for bytes of this connection. Waits
    /// for nothing: a full backlog refuses.
    pub fn connect_and_close(&self, local: SocketAddr, peer: SocketAddr) -> Result<(), NetError> {
        let port = self.listener_at(peer)?;
        let (client, server) = connection_pair(local, peer);
        drop(client);
        let mut backlog = port.lock();
        if backlog.closed || backlog.is_full() {
            return Err(NetError::ConnectionRefused);
        }
        let waiting = backlog.push(server);
        drop(backlog);
        waiting.into_iter().for_each(Waker::wake);
        Ok(())
    }

    /// Returns the listener that a connection to `peer` reaches.
    fn listener_at(&self, peer: SocketAddr) -> Result<Port, NetError> {
        let peer = specified(peer);
        if !self.owns(peer.ip()) {
            let is_service = self.options.services.as_ref().is_some_and(|services| services.refuse(peer));
            return Err(if is_service { NetError::ConnectionRefused } else { NetError::Unreachable });
        }
        self.ports.lock().listener_for(peer).ok_or(NetError::ConnectionRefused)
    }
}

impl Backlog {
    pub(super) fn is_full(&self) -> bool {
        // Those that wait already come first.
        self.queue.len() >= self.limit || !self.connecting.is_empty()
    }

    /// Adds a connection to be accepted. Returns the tasks to wake.
    fn push(&mut self, server: Connection) -> Vec<Waker> {
        self.queue.push_back(server);
        std::mem::take(&mut self.waiting)
    }
}

/// Returns the client's and the server's end of a new connection.
fn connection_pair(local: SocketAddr, peer: SocketAddr) -> (Connection, Connection) {
    let peer = specified(peer);
    let (up_sender, up_receiver, up_monitor) = monitored_pipe();
    let (down_sender, down_receiver, down_monitor) = monitored_pipe();
    let monitors = [up_monitor, down_monitor];
    let client = Connection { local, peer, receiver: down_receiver, sender: up_sender, monitors: monitors.clone() };
    let server = Connection { local: peer, peer: local, receiver: up_receiver, sender: down_sender, monitors };
    (client, server)
}

/// Returns `peer` with loopback in place of an unspecified address, as on Linux.
fn specified(peer: SocketAddr) -> SocketAddr {
    let ip = match peer.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, peer.port())
}

/// Returns the unspecified address of the same family.
fn unspecified(like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

impl Ports {
    /// Returns the listener that a connection to `peer` reaches: the one on the exact address, otherwise the one on any
    /// address.
    fn listener_for(&self, peer: SocketAddr) -> Option<Port> {
        let any = SocketAddr::new(unspecified(peer.ip()), peer.port());
        self.listeners.get(&peer).or_else(|| self.listeners.get(&any)).cloned()
    }

    fn conflicts(&self, address: SocketAddr) -> bool {
        let same_family = |other: &SocketAddr| other.is_ipv4() == address.is_ipv4() && other.port() == address.port();
        let overlaps = |other: &SocketAddr| {
            other.ip() == address.ip() || other.ip().is_unspecified() || address.ip().is_unspecified()
        };
        self.listeners.keys().any(|other| same_family(other) && overlaps(other))
    }

    fn free_port(&mut self, ip: IpAddr) -> Result<SocketAddr, NetError> {
        for _ in EPHEMERAL_PORTS {
            let port = EPHEMERAL_PORTS.start + self.next_ephemeral % (EPHEMERAL_PORTS.end - EPHEMERAL_PORTS.start);
            self.next_ephemeral = self.next_ephemeral.wrapping_add(1);
            let address = SocketAddr::new(ip, port);
            if self.listeners.is_empty() || !self.conflicts(address) {
                return Ok(address);
            }
        }
        Err(NetError::NoFreePort)
    }
}
