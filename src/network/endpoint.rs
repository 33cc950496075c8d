//! One container's place in its pod's network: what it listens on and what it has accepted.
//!
//! An end to the container begins here: [`Endpoint::drain`] refuses new connections,
//! [`Endpoint::quiet`] waits for the accepted ones.

use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::pipe::Watch;
use super::pod::{Connection, PodNetwork, Port};
use super::{NetError, Receiver, Sender};

/// More than this is cut.
const MAX_BACKLOG: usize = 4096;
/// An accepted connection on which nothing moved for so long counts as finished.
pub const IDLE: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Owned {
    draining: bool,
    listeners: Vec<Weak<Listening>>,
    accepted: Vec<[Watch; 2]>,
}

/// See the module's documentation.
pub struct Endpoint {
    network: Arc<PodNetwork>,
    /// Protects what this container has open.
    owned: Mutex<Owned>,
}

struct Listening {
    address: SocketAddr,
    port: Port,
    endpoint: Arc<Endpoint>,
}

/// A listening socket. Dropping it closes it.
#[derive(Clone)]
pub struct Listener(Arc<Listening>);

/// What [`Listener::accept`] found.
pub enum Accepted {
    /// The one that waited longest; [`Endpoint::quiet`] counts it from now on.
    Connection(Box<Connection>),
    /// Nobody is waiting.
    None,
    /// The container is asked to end; nothing more will be accepted.
    Closed,
}

impl Endpoint {
    /// A container's place in `network`.
    pub fn new(network: Arc<PodNetwork>) -> Arc<Endpoint> {
        Arc::new(Endpoint { network, owned: Mutex::default() })
    }

    /// The network that the container shares with its pod's others.
    pub fn network(&self) -> &Arc<PodNetwork> {
        &self.network
    }

    /// The address that listening on `address` would get.
    pub fn bindable(&self, address: SocketAddr) -> Result<SocketAddr, NetError> {
        self.network.bindable(address)
    }

    /// Listens on `address`.
    pub fn listen(self: &Arc<Endpoint>, address: SocketAddr, backlog: usize) -> Result<Listener, NetError> {
        let port = self.network.listen(address, backlog.clamp(1, MAX_BACKLOG))?;
        let listening = Arc::new(Listening { address, port, endpoint: self.clone() });
        let mut owned = self.owned.lock();
        if owned.draining {
            return Err(NetError::AddressNotAvailable);
        }
        owned.listeners.retain(|l| l.strong_count() > 0);
        owned.listeners.push(Arc::downgrade(&listening));
        Ok(Listener(listening))
    }

    /// Connects to `peer` in this pod, from `local` or a free port.
    pub fn connect(&self, local: Option<SocketAddr>, peer: SocketAddr) -> Result<Connection, NetError> {
        let local = match local {
            Some(local) => local,
            None => self.network.local_for(peer.ip())?,
        };
        self.network.connect(local, peer)
    }

    /// Refuses new connections from now on; those that wait to be accepted are dropped.
    pub fn drain(&self) {
        let mut owned = self.owned.lock();
        owned.draining = true;
        let listeners: Vec<_> = owned.listeners.drain(..).filter_map(|l| l.upgrade()).collect();
        drop(owned);
        listeners.iter().for_each(|l| l.close());
    }

    /// Waits until no accepted connection is in use; one on which nothing moved for `idle` is not
    /// ([`IDLE`], in the time by which the container lives).
    pub async fn quiet(&self, idle: Duration) {
        while let Some(last) = self.last_use() {
            let until = last + idle;
            if until <= Instant::now() {
                return;
            }
            // Looks again soon: a connection may close long before it would count as idle.
            tokio::time::sleep_until(until.min(Instant::now() + Duration::from_millis(5))).await;
        }
    }

    /// When bytes last moved on an open accepted connection; `None` when none is open.
    fn last_use(&self) -> Option<Instant> {
        let mut owned = self.owned.lock();
        owned.accepted.retain(|watches| watches.iter().any(Watch::is_open));
        owned.accepted.iter().flatten().map(Watch::used).max()
    }
}

impl Listening {
    fn close(&self) {
        self.endpoint.network.close(self.address, &self.port);
        let mut backlog = self.port.lock();
        backlog.closed = true;
        let dropped = (std::mem::take(&mut backlog.queue), std::mem::take(&mut backlog.waiting));
        drop(backlog);
        drop(dropped);
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.close();
    }
}

impl Listener {
    /// The address as [`Endpoint::listen`] was given it.
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// Ready when [`Listener::accept`] has a connection. Once the container is asked to end, never
    /// again: who waits for connections is ended while it waits, and sees no error.
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

    /// The next connection, if one waits.
    pub fn accept(&self) -> Accepted {
        let mut backlog = self.0.port.lock();
        let Some(connection) = backlog.queue.pop_front() else {
            return if backlog.closed { Accepted::Closed } else { Accepted::None };
        };
        drop(backlog);
        let mut owned = self.0.endpoint.owned.lock();
        // Closed ones are forgotten whenever as many again have come.
        if owned.accepted.len() >= 64 && owned.accepted.len().is_power_of_two() {
            owned.accepted.retain(|watches| watches.iter().any(Watch::is_open));
        }
        owned.accepted.push(connection.watches.clone());
        Accepted::Connection(Box::new(connection))
    }
}

impl Connection {
    /// The two ends of the pipes.
    pub fn split(self) -> (Receiver, Sender) {
        (self.receiver, self.sender)
    }
}
