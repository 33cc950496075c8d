//! `wasmpod port-forward`: listens on this machine and forwards connections to ports of a pod.

mod ports;
mod tunnel;

use std::convert::Infallible;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use k8s_openapi::api::core::v1::Pod;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::args::PortForwardArgs;
use super::client::{self, Client};
use super::exit::{Outcome, RequestFailed, bad_input};
use super::report;
use super::signals::Signals;
use super::target_pod::pod_name;
use crate::model::pods;
use ports::ForwardedPort;

/// Maximum connections that are forwarded at once; less than a pod's sessions. More of them wait to be accepted.
const MAX_CONNECTIONS: usize = 100;
/// Time between attempts to accept connections.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Forwards until a signal arrives.
pub fn main(args: PortForwardArgs) -> anyhow::Result<Outcome> {
    client::block_on(async move {
        let addresses = addresses(&args.address)?;
        let client = Client::new(&args.connection)?;
        let name = pod_name(&args.pod).to_string();
        let pod: Pod = client.get_json(&client.pods_path(Some(&name)), client::JSON).await?;
        let ports = args.ports.iter().map(|argument| ForwardedPort::parse(argument, &pod));
        let ports = ports.collect::<Result<Vec<_>, _>>().map_err(|error| bad_input(error.to_string()))?;
        let phase = pods::phase(&pod);
        if phase != "Running" {
            let message = format!("unable to forward port because pod is not running. Current status={phase}");
            return Err(RequestFailed(message).into());
        }
        let lost = tunnel::lost_connection(&client, &name).await?;
        let forwarder = Forwarder { client, pod: name, permits: Semaphore::new(MAX_CONNECTIONS) };
        let mut signals = Signals::listen()?;
        let mut listeners = FuturesUnordered::new();
        for port in ports {
            for listener in listen(&addresses, port.local).await? {
                print_line(&format!("Forwarding from {} -> {}", listener.local_addr()?, port.remote))?;
                listeners.push(forwarder.accept_all(listener, port.remote));
            }
        }
        tokio::select! {
            _ = signals.next() => Ok(Outcome::Success),
            () = lost => Err(RequestFailed("lost connection to pod".into()).into()),
            Some(never) = listeners.next() => match never {},
        }
    })
}

/// Returns the IP addresses of `--address`, and whether each may be missing, as one of `localhost`.
fn addresses(arguments: &[String]) -> anyhow::Result<Vec<(IpAddr, bool)>> {
    let mut addresses = Vec::new();
    for argument in arguments {
        match argument.parse() {
            Ok(address) => addresses.push((address, false)),
            Err(_) if argument == "localhost" => {
                addresses.extend([(Ipv4Addr::LOCALHOST.into(), false), (Ipv6Addr::LOCALHOST.into(), true)]);
            }
            Err(_) => return Err(bad_input(format!("--address {argument:?}: expected an IP address or localhost"))),
        }
    }
    Ok(addresses)
}

/// Listens on a port of all addresses: the same one if any free port is wanted.
async fn listen(addresses: &[(IpAddr, bool)], mut port: u16) -> anyhow::Result<Vec<TcpListener>> {
    let mut listeners = Vec::new();
    for (address, is_optional) in addresses {
        match TcpListener::bind(SocketAddr::new(*address, port)).await {
            Ok(listener) => {
                port = listener.local_addr()?.port();
                listeners.push(listener);
            }
            Err(error) if *is_optional => tracing::debug!(%address, port, %error, "cannot listen"),
            Err(error) => {
                let address = SocketAddr::new(*address, port);
                let message = format!("cannot listen on {address}: {error}; use `:PORT` to choose a free port");
                return Err(bad_input(message));
            }
        }
    }
    Ok(listeners)
}

fn print_line(line: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// Forwards connections to a pod.
struct Forwarder {
    client: Client,
    pod: String,
    /// The connections that may be opened.
    permits: Semaphore,
}

impl Forwarder {
    /// Forwards all connections of a listener. Dropping the future closes them.
    async fn accept_all(&self, listener: TcpListener, remote: u16) -> Infallible {
        let local = listener.local_addr().map(|address| address.port()).unwrap_or_default();
        let mut connections = FuturesUnordered::new();
        loop {
            tokio::select! {
                (accepted, permit) = self.accept(&listener) => match accepted {
                    Ok(connection) => connections.push(self.forward(connection, local, remote, permit)),
                    Err(error) => {
                        // Most likely out of file descriptors: retry once a connection may have closed.
                        stderrln!("warning: cannot accept a connection: {error}");
                        tokio::time::sleep(ACCEPT_RETRY).await;
                    }
                },
                Some(()) = connections.next() => {}
            }
        }
    }

    /// Accepts a connection once there is room for it. Cancel-safe.
    async fn accept(&self, listener: &TcpListener) -> (std::io::Result<TcpStream>, Option<SemaphorePermit<'_>>) {
        // The semaphore is never closed.
        let permit = self.permits.acquire().await.ok();
        (listener.accept().await.map(|(connection, _)| connection), permit)
    }

    /// Forwards a connection until it ends. Reports errors in kubectl's words.
    async fn forward(&self, connection: TcpStream, local: u16, remote: u16, _permit: Option<SemaphorePermit<'_>>) {
        // A closed standard output does not end the connections.
        let _ = print_line(&format!("Handling connection for {local}"));
        match tunnel::forward(&self.client, &self.pod, remote, connection).await {
            Ok(()) => {}
            // A client may drop its connection at any time.
            Err(error) if error.is::<std::io::Error>() => tracing::debug!(%error, "a connection has ended"),
            Err(error) => {
                let error = report::error_chain(&error);
                stderrln!("error: an error occurred forwarding {local} -> {remote}: {error}");
            }
        }
    }
}
