//! One container's sockets in its pod's network: its listeners and accepted connections.
//!
//! A container that terminates is drained first: [`Endpoint::drain`] refuses new connections, and
//! [`Endpoint::wait_until_idle`] waits for the accepted ones.

use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::connecting::Connecting;
use super::pipe::PipeMonitor;
use super::pod::{Connection, PodNetwork, Port};
use super::{NetError, Receiver, Sender};

/// The maximum backlog of a listener; larger requests are clamped.
const MAX_BACKLOG: usize = 4096;
/// The minimum backlog of a listener; smaller requests are clamped, so that a burst of connections need not wait.
const MIN_BACKLOG: usize = 128;
/// The time without traffic after which an accepted connection counts as idle.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(1);

#[derive(Default)]
struct OpenSockets {
    draining: bool,
    listeners: Vec<Weak<ListenerState>>,
    accepted: Vec<[PipeMonitor; 2]>,
}

/// The sockets of one container.
pub struct Endpoint {
    network: Arc<PodNetwork>,
    /// Protects the container's listeners and accepted connections.
    sockets: Mutex<OpenSockets>,
}

struct ListenerState {
    address: SocketAddr,
    port: Port,
    endpoint: Arc<Endpoint>,
}

/// A listening socket. Dropping the last clone closes it.
#[derive(Clone)]
pub struct Listener(Arc<ListenerState>);

/// The result of [`Listener::accept`].
pub enum Accepted {
    /// The connection that waited longest; [`Endpoint::wait_until_idle`] includes it from now on.
    Connection(Box<Connection>),
    /// No connection is waiting.
    Pending,
    /// The container is terminating and accepts no more connections.
    Closed,
}

impl Endpoint {
    /// Returns the endpoint of a container in `network`.
    pub fn new(network: Arc<PodNetwork>) -> Arc<Endpoint> {
        Arc::new(Endpoint { network, sockets: Mutex::default() })
    }

    /// Returns the network that the containers of the pod share.
    pub fn network(&self) -> &Arc<PodNetwork> {
        &self.network
    }

    /// Returns the address that listening on `address` would bind: port 0 becomes a free port.
    pub fn bind_address(&self, address: SocketAddr) -> Result<SocketAddr, NetError> {
        self.network.bind_address(address)
    }

    /// Listens on `address`, whose port must not be 0.
    pub fn listen(self: &Arc<Endpoint>, address: SocketAddr, backlog: usize) -> Result<Listener, NetError> {
        let port = self.network.listen(address, backlog.clamp(MIN_BACKLOG, MAX_BACKLOG))?;
        let listening = Arc::new(ListenerState { address, port, endpoint: self.clone() });
        let mut sockets = self.sockets.lock();
        if sockets.draining {
            return Err(NetError::AddressNotAvailable);
        }
        sockets.listeners.retain(|l| l.strong_count() > 0);
        sockets.listeners.push(Arc::downgrade(&listening));
        Ok(Listener(listening))
    }

    /// Connects to `peer` in this pod, from `local` or from a free port. A full backlog lets the connection wait.
    pub fn connect(&self, local: Option<SocketAddr>, peer: SocketAddr) -> Result<Connecting, NetError> {
        let local = match local {
            Some(local) => local,
            None => self.network.local_address_for(peer.ip())?,
        };
        self.network.connect(local, peer)
    }

    /// Refuses new connections from now on, and drops those that wait to be accepted.
    pub fn drain(&self) {
        let mut sockets = self.sockets.lock();
        sockets.draining = true;
        let listeners: Vec<_> = sockets.listeners.drain(..).filter_map(|l| l.upgrade()).collect();
        drop(sockets);
        listeners.iter().for_each(|l| l.close());
    }

    /// Waits until all accepted connections are closed or had no traffic for `idle`: [`IDLE_TIMEOUT`], converted to the
    /// system's time.
    pub async fn wait_until_idle(&self, idle: Duration) {
        while let Some(last) = self.last_use() {
            let until = last + idle;
            if until <= Instant::now() {
                return;
            }
            // Connections may close long before they count as idle, so this looks again soon.
            tokio::time::sleep_until(until.min(Instant::now() + Duration::from_millis(5))).await;
        }
    }

    /// Returns when bytes last moved on an open accepted connection; `None` if no connection is open.
    fn last_use(&self) -> Option<Instant> {
        let mut sockets = self.sockets.lock();
        sockets.accepted.retain(|monitors| monitors.iter().any(PipeMonitor::is_open));
        sockets.accepted.iter().flatten().map(PipeMonitor::last_used).max()
    }
}

impl ListenerState {
    fn close(&self) {
        self.endpoint.network.close(self.address, &self.port);
        let mut backlog = self.port.lock();
        backlog.closed = true;
        let dropped = (
            std::mem::take(&mut backlog.queue),
            std::mem::take(&mut backlog.waiting),
            std::mem::take(&mut backlog.connecting),
        );
        drop(backlog);
        drop(dropped);
    }
}

impl Drop for ListenerState {
    fn drop(&mut self) {
        self.close();
    }
}

impl Listener {
    /// Returns the address that the listener is bound to.
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// Returns ready if [`Listener::accept`] has a connection. Never becomes ready while the container is terminating: a
    /// server that waits for connections is stopped while it waits, and sees no error.
    pub fn poll_acceptable(&self, cx: &Context<'_>) -> Poll<()> {
        let mut backlog = self.0.port.lock();
        if !backlog.queue.is_empty() {
            return Poll::Ready(());
        }
        if !backlog.waiting.iter().any(|w| w.will_wake(cx.waker())) {
            backlog.waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Accepts the next connection, if one waits.
    pub fn accept(&self) -> Accepted {
        let mut backlog = self.0.port.lock();
        let Some(connection) = backlog.pop() else {
            return if backlog.closed { Accepted::Closed } else { Accepted::Pending };
        };
        drop(backlog);
        let mut sockets = self.0.endpoint.sockets.lock();
        // Closed connections are dropped whenever the list has doubled.
        if sockets.accepted.len() >= 64 && sockets.accepted.len().is_power_of_two() {
            sockets.accepted.retain(|monitors| monitors.iter().any(PipeMonitor::is_open));
        }
        sockets.accepted.push(connection.monitors.clone());
        Accepted::Connection(Box::new(connection))
    }
}

impl Connection {
    /// Returns the two directions of the connection.
    pub fn split(self) -> (Receiver, Sender) {
        (self.receiver, self.sender)
    }
}
