//! The network of a pod: its address, its listeners, and connections between its containers.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::task::Waker;

use parking_lot::Mutex;

use super::NetError;
use super::pipe::{PipeMonitor, Receiver, Sender, monitored_pipe};

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
    pub(super) waiting: Vec<Waker>,
}

pub(super) type Port = Arc<Mutex<Backlog>>;

#[derive(Default)]
struct Ports {
    listeners: HashMap<SocketAddr, Port>,
    next_ephemeral: u16,
}

/// The network that the containers of one pod share.
pub struct PodNetwork {
    ip: IpAddr,
    /// The names beside `localhost`, in lower case.
    names: Vec<(String, IpAddr)>,
    /// Protects the table of listeners.
    ports: Mutex<Ports>,
}

impl PodNetwork {
    /// Returns the network of a pod with address `ip`.
    pub fn new(ip: IpAddr) -> Arc<PodNetwork> {
        PodNetwork::with_names(ip, Vec::new())
    }

    /// Returns the network of a pod with address `ip`, which resolves `names` beside `localhost`.
    pub fn with_names(ip: IpAddr, names: Vec<(String, IpAddr)>) -> Arc<PodNetwork> {
        let names = names.into_iter().map(|(name, ip)| (name.to_ascii_lowercase(), ip)).collect();
        Arc::new(PodNetwork { ip, names, ports: Mutex::default() })
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
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        if name == "localhost" || name.ends_with(".localhost") {
            return vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        }
        self.names.iter().filter(|(known, _)| *known == name).map(|(_, ip)| *ip).collect()
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
        let backlog = Backlog { queue: VecDeque::new(), limit: backlog, closed: false, waiting: Vec::new() };
        let port = Arc::new(Mutex::new(backlog));
        ports.listeners.insert(address, port.clone());
        Ok(port)
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

    /// Connects to a listener of this pod, without waiting: a full backlog refuses.
    pub fn connect(&self, local: SocketAddr, peer: SocketAddr) -> Result<Connection, NetError> {
        let (connection, waiting) = self.enqueue(local, peer)?;
        waiting.into_iter().for_each(Waker::wake);
        Ok(connection)
    }

    /// Connects and closes before the listener wakes, so that a server never waits for bytes of this connection.
    pub fn connect_and_close(&self, local: SocketAddr, peer: SocketAddr) -> Result<(), NetError> {
        let (connection, waiting) = self.enqueue(local, peer)?;
        drop(connection);
        waiting.into_iter().for_each(Waker::wake);
        Ok(())
    }

    /// Puts a connection into a listener's backlog. Returns the client's end and the tasks to wake.
    fn enqueue(&self, local: SocketAddr, peer: SocketAddr) -> Result<(Connection, Vec<Waker>), NetError> {
        // An unspecified address means loopback, as on Linux.
        let peer_ip = match peer.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        if !self.owns(peer_ip) {
            return Err(NetError::Unreachable);
        }
        let peer = SocketAddr::new(peer_ip, peer.port());
        let port = self.ports.lock().listener_for(peer).ok_or(NetError::ConnectionRefused)?;
        let (up_sender, up_receiver, up_monitor) = monitored_pipe();
        let (down_sender, down_receiver, down_monitor) = monitored_pipe();
        let monitors = [up_monitor, down_monitor];
        let client = Connection { local, peer, receiver: down_receiver, sender: up_sender, monitors: monitors.clone() };
        let server = Connection { local: peer, peer: local, receiver: up_receiver, sender: down_sender, monitors };
        let mut backlog = port.lock();
        if backlog.closed || backlog.queue.len() >= backlog.limit {
            return Err(NetError::ConnectionRefused);
        }
        backlog.queue.push_back(server);
        let waiting = std::mem::take(&mut backlog.waiting);
        drop(backlog);
        Ok((client, waiting))
    }
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
