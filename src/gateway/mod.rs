//! Published ports: listeners on the host whose connections go to a port of a pod.
//!
//! The only module that opens host sockets for pods, and only where a port is published. A port is first reserved, which
//! opens its listener, and then published to a target, which a later pod may replace without closing the listener.
//! While a port has no target, its connections are reset. Which ports to publish is up to the callers.

mod listener;
mod relay;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::network::PodNetwork;

/// The maximum of connections that a gateway relays at once. Further clients wait in the listeners' backlogs.
pub const MAX_CONNECTIONS: usize = 2048;

/// The backlog of a listener, of which Linux uses at most `net.core.somaxconn`.
const BACKLOG: u32 = 4096;

/// Open ports by address; those that were closed are removed later.
type OpenPorts = HashMap<SocketAddr, Weak<Port>>;

/// The published ports of a node. Dropping it ends all connections.
pub struct Gateway {
    /// Protects the table of open ports.
    ports: Mutex<OpenPorts>,
    /// A permit for each connection.
    connections: Arc<Semaphore>,
    tokio: Handle,
    tasks: TaskTracker,
    stop: CancellationToken,
    _stop_on_drop: DropGuard,
}

/// Why a port cannot be reserved.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// This gateway holds the address already.
    #[error("already published")]
    Reserved,
    /// Another socket holds the address.
    #[error("address already in use")]
    InUse,
    /// The port is below 1024, and this user may not open it.
    #[error("permission denied")]
    PermissionDenied,
    /// Any other reason, such as an address that this machine does not have.
    #[error(transparent)]
    Other(io::Error),
}

/// Where the connections of a published port go.
#[derive(Clone)]
pub struct Target {
    /// The network of the pod.
    pub network: Weak<PodNetwork>,
    /// The port of the pod.
    pub port: u16,
    /// Called for each connection that is reset because the program listens on loopback only.
    pub on_loopback_only: Arc<dyn Fn() + Send + Sync>,
}

/// An open port. It is closed when its last reservation and publication are dropped.
struct Port {
    address: SocketAddr,
    /// Holds the listener, which the task only borrows.
    _listener: Arc<TcpListener>,
    targets: Arc<Targets>,
    /// Ends the task that accepts connections.
    _stop_on_drop: DropGuard,
}

/// The targets of a port; the newest receives the connections.
#[derive(Default)]
struct Targets {
    /// Protects the targets, each with its number.
    published: Mutex<Vec<(u64, Target)>>,
}

/// Keeps a port open, whether or not it is published.
pub struct Reservation(Arc<Port>);

/// Publishes a target on a port until it is dropped.
pub struct Publication {
    port: Arc<Port>,
    number: u64,
}

impl Gateway {
    /// Creates a gateway that accepts and relays connections on `tokio`. They are fastest on the guests' threads: a
    /// request then reaches the program without waking another thread.
    pub fn new(tokio: Handle) -> Gateway {
        let stop = CancellationToken::new();
        Gateway {
            ports: Mutex::default(),
            connections: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
            tokio,
            tasks: TaskTracker::new(),
            _stop_on_drop: stop.clone().drop_guard(),
            stop,
        }
    }

    /// Opens a listener at `address`, where port 0 selects a free port.
    pub fn reserve(&self, address: SocketAddr) -> Result<Reservation, BindError> {
        let mut ports = self.ports.lock();
        match find(&ports, address) {
            Some(_) => Err(BindError::Reserved),
            None => self.open(&mut ports, address).map(Reservation),
        }
    }

    /// Sends the connections to `address` to `target` until the publication is dropped. The newest of several targets
    /// receives them. Opens the listener if the address is neither reserved nor published; see [`Gateway::reserve`].
    pub fn publish(&self, address: SocketAddr, target: Target) -> Result<Publication, BindError> {
        let mut ports = self.ports.lock();
        let port = match find(&ports, address) {
            Some(port) => port,
            None => self.open(&mut ports, address)?,
        };
        let number = port.targets.add(target);
        Ok(Publication { port, number })
    }

    /// Accepts no more connections, ends the open ones and waits for their tasks.
    pub async fn shut_down(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn open(&self, ports: &mut OpenPorts, address: SocketAddr) -> Result<Arc<Port>, BindError> {
        let listener = {
            let _context = self.tokio.enter();
            Arc::new(listen(address)?)
        };
        let address = listener.local_addr().map_err(BindError::Other)?;
        let targets = Arc::new(Targets::default());
        let stop = self.stop.child_token();
        let accepting = listener::Accepting {
            listener: Arc::downgrade(&listener),
            targets: targets.clone(),
            connections: self.connections.clone(),
            tasks: self.tasks.clone(),
            stop: stop.clone(),
            stop_connections: self.stop.clone(),
        };
        self.tasks.spawn_on(accepting.run(), &self.tokio);
        let port = Arc::new(Port { address, _listener: listener, targets, _stop_on_drop: stop.drop_guard() });
        ports.retain(|_, port| port.strong_count() > 0);
        ports.insert(address, Arc::downgrade(&port));
        Ok(port)
    }
}

fn find(ports: &OpenPorts, address: SocketAddr) -> Option<Arc<Port>> {
    ports.get(&address).and_then(Weak::upgrade)
}

/// Opens a listener.
fn listen(address: SocketAddr) -> Result<TcpListener, BindError> {
    let open = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // Connections that were closed a moment ago do not hold the address.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    open().map_err(|error: io::Error| match error.kind() {
        io::ErrorKind::AddrInUse => BindError::InUse,
        io::ErrorKind::PermissionDenied => BindError::PermissionDenied,
        _ => BindError::Other(error),
    })
}

impl Reservation {
    /// Returns the address of the listener.
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }
}

impl Publication {
    /// Returns the address of the listener.
    pub fn address(&self) -> SocketAddr {
        self.port.address
    }
}

impl Drop for Publication {
    fn drop(&mut self) {
        self.port.targets.remove(self.number);
    }
}

impl Targets {
    fn add(&self, target: Target) -> u64 {
        let mut published = self.published.lock();
        let number = published.last().map_or(0, |(number, _)| number + 1);
        published.push((number, target));
        number
    }

    fn remove(&self, number: u64) {
        self.published.lock().retain(|(other, _)| *other != number);
    }

    /// Returns the newest target.
    fn current(&self) -> Option<Target> {
        self.published.lock().last().map(|(_, target)| target.clone())
    }
}

#[cfg(test)]
mod tests;
