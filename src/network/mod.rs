//! In-memory networks: one per pod, shared by its containers and isolated from everything else.
//!
//! Owns addresses, ports, listeners, byte pipes and the names of Services. Knows no WASI: `runtime` builds guests' sockets on [`Endpoint`], and
//! probes and published ports connect through [`PodNetwork::dial`]. Opens no host sockets. Every queue and buffer is
//! bounded.

mod addresses;
mod connecting;
mod endpoint;
mod pipe;
mod pod;
mod services;
mod stream;

pub use addresses::{Address, AddressPool};
pub use connecting::Connecting;
pub use endpoint::{Accepted, Endpoint, IDLE_TIMEOUT, Listener};
pub use pipe::{Receiver, Sender, pipe};
pub use pod::{Connection, ListenObserver, PodNetwork, PodNetworkOptions};
pub use services::{PodServices, RefusalObserver, ServiceName, ServiceTable};
pub use stream::ConnectionStream;

/// An error of a socket operation, named as in POSIX.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NetError {
    /// No socket listens at the address, too many connections wait for it, or it is a Service's (`ECONNREFUSED`).
    #[error("connection refused")]
    ConnectionRefused,
    /// The address is not the pod's (`ENETUNREACH`).
    #[error("network is unreachable")]
    Unreachable,
    /// Another socket of the pod listens at the address (`EADDRINUSE`).
    #[error("address already in use")]
    AddressInUse,
    /// The address is not the pod's, or the container is terminating (`EADDRNOTAVAIL`).
    #[error("cannot assign requested address")]
    AddressNotAvailable,
    /// Listeners hold all ephemeral ports.
    #[error("no free port")]
    NoFreePort,
    /// Pods hold all addresses of the pool.
    #[error("no free pod address")]
    NoFreeAddress,
    /// The pod has the maximum number of listeners.
    #[error("too many sockets")]
    TooManySockets,
}

#[cfg(test)]
mod tests;
