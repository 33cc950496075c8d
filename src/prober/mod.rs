//! Checks a container once over its pod's network: an HTTP request, a TCP connection or a gRPC health check.
//!
//! Owns kubelet's requests and the wording of its results (K60, K61), errors of Go's HTTP client included.
//! When to probe and what follows is left to `lifecycle`, exec probes to `node`. A probe request opens no host
//! socket, resolves no name on the host and spawns no task: dropping it cancels it.

mod check;
mod grpc;
mod http;
mod status_line;
mod tls;
mod url;

#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

pub use check::{Check, CheckError, GrpcCheck, HttpCheck, TcpCheck};

use crate::clock::Clock;
use crate::lifecycle::ProbeResult;
use crate::network::{Connection, NetError, PodNetwork};

/// The result of a probe request. The text is the probe's output as a kubelet has it, and may be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckResult {
    /// The check passed.
    Success(String),
    /// The check passed with a warning (`ProbeWarning`; of a hook, `LifecycleHTTPFallback`).
    Warning(String),
    /// The check failed, for the reason in `Readiness probe failed: <reason>`.
    Failure(String),
    /// The check could not be made; it says nothing about the container.
    Error(String),
}

/// Drops the output of a check that passed, which nothing of a probe depends on.
impl From<CheckResult> for ProbeResult {
    fn from(result: CheckResult) -> ProbeResult {
        match result {
            CheckResult::Success(_) => ProbeResult::Success,
            CheckResult::Warning(message) => ProbeResult::Warning(message),
            CheckResult::Failure(message) => ProbeResult::Failure(message),
            CheckResult::Error(message) => ProbeResult::Error(message),
        }
    }
}

/// An HTTP request without a usable response, in the words of Go's client.
enum HttpError {
    /// No response arrived.
    NoResponse(String),
    /// The server answered a TLS handshake in plain HTTP.
    NotTls,
    /// The body ended early.
    BrokenBody(String),
}

impl HttpError {
    fn no_response(error: impl std::fmt::Display) -> HttpError {
        HttpError::NoResponse(error.to_string())
    }
}

/// A connection that failed, in the words of Go's dialer.
#[derive(Debug, thiserror::Error)]
enum DialError {
    #[error("dial tcp: lookup {host}: no such host")]
    NoSuchHost { host: String },
    #[error("dial tcp {peer}: connect: {error}")]
    Connect { peer: SocketAddr, error: NetError },
}

/// Sends one probe request. Without an answer within `timeout`, by `clock`, it fails.
pub async fn run_check(network: &Arc<PodNetwork>, check: &Check, timeout: Duration, clock: Clock) -> CheckResult {
    let deadline = clock.instant(clock.mono() + timeout);
    match check {
        // Boxed, so that the future of a TCP check stays small.
        Check::Http(get) => Box::pin(http::run_check(network, get, deadline)).await,
        Check::Grpc(grpc) => Box::pin(grpc::run_check(network, grpc, timeout, deadline, clock)).await,
        // A connection in memory is established or refused at once; a full backlog refuses it.
        Check::Tcp(tcp) => match dial_and_close(network, &tcp.host, tcp.port) {
            Ok(()) => CheckResult::Success(String::new()),
            Err(error) => CheckResult::Failure(error.to_string()),
        },
    }
}

async fn dial(network: &PodNetwork, host: &str, port: u16) -> Result<Connection, DialError> {
    let peer = peer(host, port)?;
    network.dial(peer).await.map_err(|error| DialError::Connect { peer, error })
}

/// Connects to the address and closes the connection at once.
fn dial_and_close(network: &PodNetwork, host: &str, port: u16) -> Result<(), DialError> {
    let peer = peer(host, port)?;
    network.dial_and_close(peer).map_err(|error| DialError::Connect { peer, error })
}

/// Returns the address of `host`, which has to be an IP.
fn peer(host: &str, port: u16) -> Result<SocketAddr, DialError> {
    let ip = host.parse::<IpAddr>().map_err(|_| DialError::NoSuchHost { host: host.into() })?;
    Ok((ip, port).into())
}
