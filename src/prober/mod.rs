//! One question to a container over its pod's network: an HTTP request, a connection, a gRPC health check.
//!
//! Owns how a kubelet asks and how it words the answers (KUBERNETES.md K60, K61; Go's HTTP client in
//! errors). When to ask, how often, and what follows are `lifecycle`'s; exec probes are `node`'s.
//! No host socket is opened, no name of the host's looked up, no task spawned: whoever drops an
//! attempt has cancelled it.

mod check;
mod first_line;
mod grpc;
mod http;
mod tls;
mod url;

#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

pub use check::{Check, Grpc, HttpGet, Tcp};

use crate::clock::Clock;
use crate::network::{Connection, NetError, PodNetwork};

/// What an attempt has found. The text is the probe's output as a kubelet has it, and may be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeVerdict {
    /// It is well.
    Success(String),
    /// It is well, and there is something to tell (`ProbeWarning`; of a hook, `LifecycleHTTPFallback`).
    Warning(String),
    /// It is not: what `Unhealthy` tells behind `Readiness probe failed: `.
    Failure(String),
    /// It could not be found out; such an attempt says nothing about the container.
    Error(String),
}

/// Asks once. An answer that is not there after `timeout`, by `clock`, is a failure.
pub async fn attempt(network: &Arc<PodNetwork>, check: &Check, timeout: Duration, clock: Clock) -> ProbeVerdict {
    let deadline = clock.instant(clock.mono().saturating_add(timeout));
    match check {
        // Boxed, so that those who ask for a connection alone don't carry the room for protocols about.
        Check::Http(get) => Box::pin(http::attempt(network, get, deadline)).await,
        Check::Grpc(grpc) => Box::pin(grpc::attempt(network, grpc, timeout, deadline, clock)).await,
        // A connection in memory is there at once or refused.
        Check::Tcp(tcp) => match dialed(&tcp.host, tcp.port, |peer| network.dial_and_close(peer)) {
            Ok(()) => ProbeVerdict::Success(String::new()),
            Err(why) => ProbeVerdict::Failure(why),
        },
    }
}

/// Connects, or says in Go's words why not.
fn dial(network: &PodNetwork, host: &str, port: u16) -> Result<Connection, String> {
    dialed(host, port, |peer| network.dial(peer))
}

/// What comes of `dial`ling; or in Go's words why it failed.
fn dialed<T>(host: &str, port: u16, dial: impl Fn(SocketAddr) -> Result<T, NetError>) -> Result<T, String> {
    let Ok(ip) = host.parse::<IpAddr>() else {
        return Err(format!("dial tcp: lookup {host}: no such host"));
    };
    let peer = (ip, port).into();
    dial(peer).map_err(|error| format!("dial tcp {peer}: connect: {error}"))
}
