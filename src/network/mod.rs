//! Networks in memory: one per pod, shared by its containers, cut off from everything else.
//!
//! Owns addresses, ports, listeners and byte pipes. Knows no WASI: `runtime` puts guests'
//! sockets over [`Endpoint`], probes and port forwards will connect through [`PodNetwork`].
//! Nothing here touches a host socket. Every queue and buffer is bounded.

mod addresses;
mod endpoint;
mod pipe;
mod pod;

pub use addresses::{Address, Addresses};
pub use endpoint::{Accepted, Endpoint, Listener};
pub use pipe::{Receiver, Sender};
pub use pod::{Connection, PodNetwork};

/// What goes wrong between sockets, as POSIX names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NetError {
    #[error("connection refused")]
    ConnectionRefused,
    #[error("network is unreachable")]
    Unreachable,
    #[error("address already in use")]
    AddressInUse,
    #[error("cannot assign requested address")]
    AddressNotAvailable,
    #[error("no free port")]
    NoFreePort,
    #[error("no free pod address")]
    NoFreeAddress,
    #[error("too many sockets")]
    TooManySockets,
}

#[cfg(test)]
mod tests;
