//! Accepts the connections of a published port and connects them to the pod.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Target, Targets, relay};
use crate::network::Connection;

/// The delay after an accept that failed, usually because the process has no free file descriptor.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// What the task of one port needs.
pub(super) struct Accepting {
    /// Weak, so that the port is free as soon as its owner drops it, before this task ends.
    pub(super) listener: Weak<TcpListener>,
    pub(super) targets: Arc<Targets>,
    pub(super) connections: Arc<Semaphore>,
    pub(super) tasks: TaskTracker,
    /// Ends this task.
    pub(super) stop: CancellationToken,
    /// Ends the connections, which outlive the port: the pod's programs close them.
    pub(super) stop_connections: CancellationToken,
}

impl Accepting {
    /// Accepts connections until stopped.
    pub(super) async fn run(self) {
        let stop = self.stop.clone();
        stop.run_until_cancelled(self.accept_all()).await;
    }

    async fn accept_all(&self) {
        // Without a permit, clients wait in the listener's backlog. The semaphore is never closed.
        while let Ok(permit) = self.connections.clone().acquire_owned().await {
            match self.accept().await {
                Some(Ok((client, _))) => {
                    let relayed = connect(client, self.targets.current(), permit);
                    self.tasks.spawn(self.stop_connections.clone().run_until_cancelled_owned(relayed));
                }
                Some(Err(error)) => {
                    tracing::warn!(%error, "cannot accept a connection to a published port; retrying");
                    tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
                }
                None => return,
            }
        }
    }

    /// Accepts a connection; `None` once the listener is closed.
    async fn accept(&self) -> Option<std::io::Result<(TcpStream, SocketAddr)>> {
        poll_fn(|cx| match self.listener.upgrade() {
            Some(listener) => listener.poll_accept(cx).map(Some),
            None => Poll::Ready(None),
        })
        .await
    }
}

/// Connects `client` to the pod and relays until both are finished. Resets the connection if nothing accepts it.
async fn connect(client: TcpStream, target: Option<Target>, permit: OwnedSemaphorePermit) {
    match dial(target).await {
        Some(pod) => relay::relay(client, pod).await,
        None => relay::reset(&client),
    }
    drop(permit);
}

/// Connects to the target. `None` if it does not listen, or if there is none at the moment.
async fn dial(target: Option<Target>) -> Option<Connection> {
    let target = target?;
    let network = target.network.upgrade()?;
    let connected = network.dial(SocketAddr::new(network.ip(), target.port)).await;
    if connected.is_err() && network.listens_only_on_loopback(target.port) {
        (target.on_loopback_only)();
    }
    connected.ok()
}
