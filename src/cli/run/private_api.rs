//! The API of a run, on a private socket: `wasmpod exec` and the other client commands reach the run's pods by it.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;

use crate::apiserver::auth::Authorizer;
use crate::apiserver::health::HealthCheck;
use crate::apiserver::{Api, router};
use crate::cli::api_server::ApiServer;
use crate::clock::Clock;
use crate::embedded::Node;
use crate::store::ObjectStore;

/// The name of the node.
pub const NODE_NAME: &str = "wasmpod";

/// Serves the API of `node`, which is called [`NODE_NAME`]. Returns `None` if there is no place for the socket.
pub fn start(node: &Node, clock: Clock, store: Arc<ObjectStore>) -> Option<ApiServer> {
    let api = Api {
        control: node.control().clone(),
        nodes: HashMap::from([(NODE_NAME.to_string(), node.handle().clone())]),
        clock,
        live: vec![HealthCheck::ping()],
        ready: vec![HealthCheck::ping()],
        store: Some(store),
    };
    // Without credentials, nothing but the private socket is served.
    let authorizer = Authorizer { credentials: None, names: Vec::new() };
    let server = ApiServer::start_private("run", router(Arc::new(api), Arc::new(authorizer)))?;
    if let Some(socket) = server.socket() {
        announce(socket.path());
    }
    Some(server)
}

/// Names the socket: on a terminal, and in verbose logs.
fn announce(socket: &Path) {
    let socket = socket.display();
    if !std::io::stderr().is_terminal() {
        return tracing::info!(%socket, "serving the API of this run");
    }
    match std::env::var_os("KUBECONFIG").is_some_and(|files| !files.is_empty()) {
        // Client commands use the kubeconfig's server by default.
        true => stderrln!("`wasmpod exec --socket {socket} POD -- COMMAND` runs programs in these pods"),
        false => stderrln!("`wasmpod exec POD -- COMMAND` runs programs in these pods ({socket})"),
    }
}
