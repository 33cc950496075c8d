//! Streams into running pods: `exec`, `attach` and `portforward` over WebSocket.
//!
//! Checks the request and starts what it asks for before the connection is upgraded, so that most errors are HTTP
//! responses; what remains is reported on the upgraded connection, as an API server does that talks to a kubelet.

use std::sync::Arc;

use axum::extract::ws::WebSocketUpgrade;
use axum::http::request::Parts;
use axum::response::Response;
use k8s_openapi::api::core::v1::Pod;

use super::logs::resolve_container;
use super::port_forward::{self, Framing};
use super::reads::ResourceRequest;
use super::remote_command;
use super::resource::method_not_allowed;
use super::websocket::{offered_protocols, upgrade};
use crate::control::{Reason, Status};
use crate::model::pods;
use crate::network::PodNetwork;
use crate::node::{Handle, SessionError};
use crate::runtime::SessionStreams;
use crate::streams::channel::ChannelProtocol;

/// The running pod that a stream leads to.
pub(super) struct StreamTarget<'r> {
    pub(super) pod: Arc<Pod>,
    node: &'r Handle,
}

impl StreamTarget<'_> {
    fn uid(&self) -> &str {
        pods::node_uid(&self.pod)
    }

    /// Returns the network of the pod while it runs.
    pub(super) fn network(&self) -> Option<Arc<PodNetwork>> {
        self.node.pod_network(self.uid())
    }
}

impl ResourceRequest<'_> {
    /// Responds to a request for a stream into pod `name`.
    pub async fn connect(&self, name: &str, subresource: &str, parts: &mut Parts) -> Result<Response, Status> {
        match subresource {
            "exec" => self.exec(name, parts).await,
            "attach" => self.attach(name, parts).await,
            "portforward" => self.port_forward(name, parts).await,
            _ => Err(method_not_allowed()),
        }
    }

    pub(super) async fn stored_pod(&self, name: &str) -> Result<Arc<Pod>, Status> {
        self.api.control.get(&self.key(name)).await?.decode().map_err(Status::internal)
    }

    pub(super) fn stream_target(&self, pod: Arc<Pod>) -> Result<StreamTarget<'_>, Status> {
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or_default();
        if node.is_empty() {
            let message = format!("pod {} does not have a host assigned", pods::name(&pod));
            return Err(Status::new(Reason::BadRequest, message));
        }
        let node = self.api.nodes.get(node).ok_or_else(|| Status::not_found("nodes", node))?;
        Ok(StreamTarget { pod, node })
    }

    async fn exec(&self, name: &str, parts: &mut Parts) -> Result<Response, Status> {
        let pod = self.stored_pod(name).await?;
        let container = resolve_container(&pod, self.params.get("container"))?.to_string();
        let streams = self.session_streams()?;
        let command: Vec<String> = self.params.all("command").map(String::from).collect();
        if command.is_empty() {
            return Err(Status::new(Reason::BadRequest, "you must specify at least one command for the container"));
        }
        let target = self.stream_target(pod)?;
        let (upgrade, protocol) = remote_command_upgrade(parts).await?;
        let session = admit(target.node.exec(target.uid(), &container, &command, streams).await)?;
        Ok(upgrade.on_upgrade(move |socket| remote_command::exec(socket, protocol, command, session)))
    }

    async fn attach(&self, name: &str, parts: &mut Parts) -> Result<Response, Status> {
        let pod = self.stored_pod(name).await?;
        let container = resolve_container(&pod, self.params.get("container"))?.to_string();
        // The end of the output tells the end of the program, so that it is always attached.
        let streams = SessionStreams { stdout: true, ..self.session_streams()? };
        let target = self.stream_target(pod)?;
        let (upgrade, protocol) = remote_command_upgrade(parts).await?;
        let session = admit(target.node.attach(target.uid(), &container, streams))?;
        Ok(upgrade.on_upgrade(move |socket| remote_command::attach(socket, protocol, session)))
    }

    async fn port_forward(&self, name: &str, parts: &mut Parts) -> Result<Response, Status> {
        let target = self.stream_target(self.stored_pod(name).await?)?;
        let (framing, protocol) = Framing::negotiate(&offered_protocols(&parts.headers), &self.params)?;
        let upgrade = upgrade(parts).await?.protocols([protocol]);
        let session = admit(target.node.port_forward(target.uid()))?;
        let pod = name.to_string();
        Ok(upgrade.on_upgrade(move |socket| port_forward::serve(socket, framing, pod, session)))
    }

    /// Returns the streams that the parameters of exec and attach request.
    fn session_streams(&self) -> Result<SessionStreams, Status> {
        let flag = |name| self.params.flag(name);
        let tty = flag("tty");
        // A terminal has one output.
        let (stdin, stdout, stderr) = (flag("stdin"), flag("stdout"), flag("stderr") && !tty);
        if !stdin && !stdout && !stderr {
            let message = "you must specify at least 1 of stdin, stdout, stderr";
            return Err(Status::new(Reason::BadRequest, message));
        }
        Ok(SessionStreams { stdin, stdout, stderr, tty })
    }
}

/// Returns the error 429 at once if the pod has too many sessions. Other errors are reported after the upgrade.
fn admit<T>(session: Result<T, SessionError>) -> Result<Result<T, SessionError>, Status> {
    match session {
        Err(error @ SessionError::TooManySessions) => {
            Err(Status::new(Reason::TooManyRequests, error.to_string()).with_retry_after(1))
        }
        session => Ok(session),
    }
}

async fn remote_command_upgrade(parts: &mut Parts) -> Result<(WebSocketUpgrade, ChannelProtocol), Status> {
    let protocol = ChannelProtocol::negotiate(&offered_protocols(&parts.headers));
    let upgrade = upgrade(parts).await?;
    let protocol = protocol.map_err(|error| Status::new(Reason::Forbidden, error.to_string()))?;
    Ok((upgrade.protocols([protocol.name()]), protocol))
}
