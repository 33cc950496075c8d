//! The service manager's watchdog, which restarts a process that no longer works.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, header};
use tower::ServiceExt;

use super::service_manager::ServiceNotifier;
use crate::node::Handle;

/// Reports to the service manager that this process works, as long as the API and the node's agent answer, until
/// cancelled.
pub async fn feed(notifier: Arc<ServiceNotifier>, timeout: Duration, api: Router, node: Handle) {
    // Twice per timeout, as sd_watchdog_enabled(3) recommends.
    let period = timeout / 2;
    loop {
        let checked = tokio::time::timeout(period, is_live(&api, &node));
        let (answer, ()) = tokio::join!(checked, tokio::time::sleep(period));
        match answer {
            Ok(true) => notifier.watchdog(),
            Ok(false) => tracing::error!("a health check failed; the service manager's watchdog will restart the node"),
            Err(_elapsed) => {
                tracing::error!("a health check got no answer; the service manager's watchdog will restart the node");
            }
        }
    }
}

/// Returns whether the API and the node's agent answer.
///
/// The request passes through no socket: clients that hold all connections are no reason to restart the node.
async fn is_live(api: &Router, node: &Handle) -> bool {
    let Ok(request) = Request::get("/livez").header(header::HOST, "localhost").body(Body::empty()) else {
        return false;
    };
    let Ok(response) = api.clone().oneshot(request).await;
    response.status().is_success() && node.ping().await
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::os::unix::net::UnixDatagram;

    use axum::http::StatusCode;
    use axum::routing::get;

    use super::*;
    use crate::embedded::Node;

    #[tokio::test]
    async fn watchdog_is_fed_while_api_and_node_answer() {
        let node = Node::in_memory().expect("a node");
        let handle = node.handle().clone();
        let api = |code: StatusCode| Router::new().route("/livez", get(move || async move { code }));
        assert!(is_live(&api(StatusCode::OK), &handle).await);
        assert!(!is_live(&api(StatusCode::INTERNAL_SERVER_ERROR), &handle).await);

        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("bound");
        socket.set_nonblocking(true).expect("set");
        let socket = tokio::net::UnixDatagram::from_std(socket).expect("a socket");
        let variable = |name: &str| (name == "NOTIFY_SOCKET").then(|| OsString::from(&path));
        let notifier = Arc::new(ServiceNotifier::from_environment(variable));
        let feeding = feed(notifier, Duration::from_millis(20), api(StatusCode::OK), handle.clone());
        let mut buffer = [0; 64];
        tokio::select! {
            () = feeding => unreachable!("it runs until cancelled"),
            count = socket.recv(&mut buffer) => {
                assert_eq!(&buffer[..count.expect("a message")], b"WATCHDOG=1\n");
            }
        }
        node.stop().await;
        assert!(!is_live(&api(StatusCode::OK), &handle).await, "the agent has ended");
    }
}
