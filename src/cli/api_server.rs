//! The API server of a node that a command runs.

use std::time::Duration;

use axum::Router;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::private_socket::PrivateSocket;
use crate::apiserver::server::{self, Listener};

/// Open requests may take this long to finish after the node has stopped.
const REQUEST_DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// A running API server.
pub struct ApiServer {
    /// The task that serves. It ends only when the server is stopped; anything else is a panic.
    pub task: JoinHandle<()>,
    stop: CancellationToken,
    /// Removed at the end.
    socket: Option<PrivateSocket>,
}

impl ApiServer {
    /// Serves `router` on `listener`.
    pub fn start(listener: Listener, router: Router) -> ApiServer {
        let stop = CancellationToken::new();
        let task = tokio::spawn(server::serve(listener, router, stop.clone(), REQUEST_DRAIN_TIMEOUT));
        ApiServer { task, stop, socket: None }
    }

    /// Serves `router` on the private socket of this process, which runs `command`. Returns `None` if it cannot be
    /// created: the command does its work all the same.
    pub fn start_private(command: &str, router: Router) -> Option<ApiServer> {
        match PrivateSocket::create(command) {
            Ok((socket, listener)) => {
                let server = ApiServer::start(Listener::PrivateSocket(listener), router);
                Some(ApiServer { socket: Some(socket), ..server })
            }
            Err(error) => {
                tracing::info!(%error, "cannot create a private socket: client commands do not find this process");
                None
            }
        }
    }

    /// Returns the private socket that is served.
    pub fn socket(&self) -> Option<&PrivateSocket> {
        self.socket.as_ref()
    }

    /// Accepts no more requests. Open ones may finish.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits until open requests have finished, at most for `timeout`, which defaults to a second.
    pub async fn stopped(self, timeout: Option<Duration>) {
        let _ = tokio::time::timeout(timeout.unwrap_or(REQUEST_DRAIN_TIMEOUT), self.task).await;
    }
}
