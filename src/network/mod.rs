//! Networks in memory: one per pod, shared by its containers, cut off from everything else.
//!
//! Owns addresses, ports, listeners and byte pipes. Knows no WASI: `runtime` puts guests'
//! sockets over [`Endpoint`], the node (its probes) connects through [`PodNetwork::dial`].
//! Nothing here touches a host socket. Every queue and buffer is bounded.

mod addresses;
mod endpoint;
mod pipe;
mod pod;
mod stream;

pub use addresses::{Address, Addresses};
pub use endpoint::{Accepted, Endpoint, IDLE, Listener};
pub use pipe::{Receiver, Sender};
pub use pod::{Connection, PodNetwork};
pub use stream::Stream;

/// What goes wrong between sockets, as POSIX names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NetError {
    /// Nobody listens there, or the listener takes no more (`ECONNREFUSED`).
    #[error("connection refused")]
    ConnectionRefused,
    /// The address lies outside the pod (`ENETUNREACH`).
    #[error("network is unreachable")]
    Unreachable,
    /// Another listener of the pod is there (`EADDRINUSE`).
    #[error("address already in use")]
    AddressInUse,
    /// The address is not the pod's, or the container is asked to end (`EADDRNOTAVAIL`).
    #[error("cannot assign requested address")]
    AddressNotAvailable,
    /// Listeners hold all ports that are given to sockets which name none.
    #[error("no free port")]
    NoFreePort,
    /// Pods hold all addresses of the block.
    #[error("no free pod address")]
    NoFreeAddress,
    /// The pod has as many listeners as it may.
    #[error("too many sockets")]
    TooManySockets,
}

#[cfg(test)]
mod tests;
