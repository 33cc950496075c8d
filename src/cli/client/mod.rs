//! A minimal client of the Kubernetes API, for the commands that query and change a running node.
//!
//! Opens a connection per request. Trusts the kubeconfig's certificate authority only. A request that the server
//! rejects ends the command with the server's message. `server` chooses the server.

mod kubeconfig;
mod server;
mod watch;
mod websocket;

use std::error::Error;
use std::io::{self, ErrorKind};
use std::iter;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::HeaderValue;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio_tungstenite::tungstenite::{self, error::ProtocolError};
use tokio_util::task::AbortOnDropHandle;

use super::args::ConnectionArgs;
use super::exit::{Outcome, RequestFailed};
use crate::control::Resource;
use server::Server;
pub use websocket::{WebSocket, WebSocketReceiver, WebSocketSender};

/// The maximum time until a response begins.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(15);
/// The maximum time until a session begins: its program may have to be compiled first.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(60);
/// The maximum size of a response that is read at once.
const MAX_RESPONSE_BYTES: usize = 256 * 1024 * 1024;

/// The media type of objects.
pub const JSON: &str = "application/json";
/// The media type of logs.
pub const TEXT: &str = "text/plain, */*";

/// A client of one server.
pub struct Client {
    server: Server,
    namespace: String,
}

/// Runs the requests of a command.
pub fn block_on<T: Into<Outcome>>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<Outcome> {
    run(work).map(Into::into)
}

/// Runs requests and returns their result.
pub fn run<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the async runtime")?;
    let result = runtime.block_on(work);
    // A thread that reads standard input blocks until the next line; do not wait for it.
    runtime.shutdown_background();
    result
}

impl Client {
    /// Creates a client of the server that `connection` selects. Does not connect yet.
    pub fn new(connection: &ConnectionArgs) -> anyhow::Result<Client> {
        let (server, namespace) = Server::choose(connection)?;
        Ok(Client { server, namespace })
    }

    /// Returns `/api/v1/namespaces/NAMESPACE/pods`, or the path of one pod.
    pub fn pods_path(&self, pod: Option<&str>) -> String {
        let path = format!("{}/pods", self.namespace_path());
        match pod {
            Some(name) => format!("{path}/{}", path_segment(name)),
            None => path,
        }
    }

    /// Returns `/api/v1/namespaces/NAMESPACE`.
    pub fn namespace_path(&self) -> String {
        format!("/api/v1/namespaces/{}", path_segment(self.namespace()))
    }

    /// Returns the path of the objects of `resource` in `namespace`, or of the one called `name`.
    pub fn path(&self, resource: &Resource, namespace: &str, name: Option<&str>) -> String {
        let list = match resource.is_namespaced() {
            true => format!("{}/namespaces/{}/{}", resource.root_path(), path_segment(namespace), resource.plural()),
            false => format!("{}/{}", resource.root_path(), resource.plural()),
        };
        name.map_or(list.clone(), |name| format!("{list}/{}", path_segment(name)))
    }

    /// Returns the namespace of requests.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Returns the whole response, in a media type of `accept`.
    pub async fn get_bytes(&self, path: &str, accept: &str) -> anyhow::Result<Bytes> {
        self.stream(path, accept).await?.read(&self.server).await
    }

    /// Returns the whole response, decoded from JSON.
    pub async fn get_json<T: DeserializeOwned>(&self, path: &str, accept: &str) -> anyhow::Result<T> {
        let body = self.get_bytes(path, accept).await?;
        self.decode(&body)
    }

    fn decode<T: DeserializeOwned>(&self, body: &[u8]) -> anyhow::Result<T> {
        let server = self.server.name();
        let decoded = serde_json::from_slice(body);
        Ok(decoded.map_err(|error| RequestFailed(format!("cannot decode the response of {server}: {error}")))?)
    }

    /// Returns an object, or `None` if it does not exist.
    pub async fn get_existing(&self, path: &str) -> anyhow::Result<Option<Value>> {
        let (code, response) = self.respond(self.request(Method::GET, path, JSON)?).await?;
        match code {
            StatusCode::NOT_FOUND => Ok(None),
            code => self.decode(&self.accepted(code, response).await?.read(&self.server).await?).map(Some),
        }
    }

    /// Sends a change and returns the object of the response. Prints the server's warnings.
    pub async fn write(&self, method: Method, path: &str, media_type: &str, body: &Value) -> anyhow::Result<Value> {
        let mut request = self.request(method, path, JSON)?;
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_str(media_type)?);
        *request.body_mut() = Full::from(body.to_string());
        let (code, response) = self.respond(request).await?;
        self.decode(&self.accepted(code, response).await?.read(&self.server).await?)
    }

    /// Sends a request and returns the response, whose body may still arrive.
    pub async fn stream(&self, path: &str, accept: &str) -> anyhow::Result<StreamingResponse> {
        let (code, response) = self.respond(self.request(Method::GET, path, accept)?).await?;
        self.accepted(code, response).await
    }

    /// Returns the response of an accepted request.
    ///
    /// # Errors
    ///
    /// Fails with the server's message if the code is not that of success.
    async fn accepted(&self, code: StatusCode, response: StreamingResponse) -> anyhow::Result<StreamingResponse> {
        match code.is_success() {
            true => Ok(response),
            false => Err(self.rejection(code, &response.read(&self.server).await.unwrap_or_default())),
        }
    }

    /// Sends a request. Prints the warnings of the response.
    async fn respond(&self, request: Request<Full<Bytes>>) -> anyhow::Result<(StatusCode, StreamingResponse)> {
        let (response, connection) = self.send(request, RESPONSE_TIMEOUT).await?;
        for warning in response.headers().get_all(header::WARNING) {
            if let Some(text) = warning.to_str().ok().and_then(warning_text) {
                stderrln!("Warning: {text}");
            }
        }
        let code = response.status();
        Ok((code, StreamingResponse { body: response.into_body(), _connection: connection }))
    }

    /// Returns a request without a body.
    fn request(&self, method: Method, path: &str, accept: &str) -> anyhow::Result<Request<Full<Bytes>>> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.server.base_path()))
            .header(header::HOST, self.server.authority())
            .header(header::ACCEPT, accept)
            .header(header::USER_AGENT, concat!("wasmpod/", env!("CARGO_PKG_VERSION")));
        if let Some(token) = self.server.token() {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        request.body(Full::default()).context("cannot build the request")
    }

    /// Sends a request on a connection of its own.
    async fn send(
        &self,
        request: Request<Full<Bytes>>,
        timeout: Duration,
    ) -> anyhow::Result<(Response<Incoming>, AbortOnDropHandle<()>)> {
        let exchange = async {
            let connection = self.server.connect().await?;
            let (mut sender, connection) =
                http1::handshake(TokioIo::new(connection)).await.map_err(|error| self.server.unreachable(&error))?;
            let connection = AbortOnDropHandle::new(tokio::spawn(async move {
                if let Err(error) = connection.with_upgrades().await {
                    tracing::debug!(%error, "the connection was closed");
                }
            }));
            let response = sender.send_request(request).await.map_err(|error| self.server.unreachable(&error))?;
            Ok((response, connection))
        };
        match tokio::time::timeout(timeout, exchange).await {
            Ok(response) => response,
            Err(_elapsed) => Err(self.server.unreachable(&"no response")),
        }
    }

    fn rejection(&self, code: StatusCode, body: &[u8]) -> anyhow::Error {
        #[derive(Deserialize)]
        struct StatusMessage {
            message: String,
        }
        if code == StatusCode::UNAUTHORIZED {
            return RequestFailed(self.server.unauthorized()).into();
        }
        let message = match serde_json::from_slice::<StatusMessage>(body) {
            Ok(status) => status.message,
            Err(_) => {
                format!("{} responded with {code}: {}", self.server.name(), String::from_utf8_lossy(body).trim())
            }
        };
        RequestFailed(message).into()
    }
}

/// A response whose body is read in chunks. Dropping it closes the connection.
pub struct StreamingResponse {
    body: Incoming,
    _connection: AbortOnDropHandle<()>,
}

impl StreamingResponse {
    /// Returns the next chunk, or `None` at the end.
    pub async fn next_chunk(&mut self) -> anyhow::Result<Option<Bytes>> {
        while let Some(frame) = self.body.frame().await {
            let frame = frame.map_err(|error| connection_lost(&error))?;
            if let Ok(bytes) = frame.into_data() {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }

    /// Returns the whole body.
    async fn read(self, server: &Server) -> anyhow::Result<Bytes> {
        let body = Limited::new(self.body, MAX_RESPONSE_BYTES).collect().await;
        let name = server.name();
        let body = body.map_err(|error| RequestFailed(format!("cannot read the response of {name}: {error}")))?;
        Ok(body.to_bytes())
    }
}

/// Returns the error of a connection that ended too early.
fn connection_lost(error: &(dyn Error + 'static)) -> RequestFailed {
    let causes = iter::successors(Some(error), |error: &&(dyn Error + 'static)| (*error).source());
    let is_end = |error: &(dyn Error + 'static)| match error.downcast_ref::<io::Error>() {
        Some(error) => matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset),
        None => matches!(
            error.downcast_ref(),
            Some(tungstenite::Error::Protocol(ProtocolError::ResetWithoutClosingHandshake))
        ),
    };
    match causes.into_iter().any(is_end) {
        true => RequestFailed("the server has closed the connection; is it still running?".into()),
        false => RequestFailed(format!("the connection to the server was lost: {error}")),
    }
}

/// Returns the text of a `Warning` header: `299 - "text"`.
fn warning_text(header: &str) -> Option<String> {
    let quoted = header.splitn(3, ' ').nth(2)?.strip_prefix('"')?;
    let mut text = String::new();
    let mut characters = quoted.chars();
    loop {
        match characters.next()? {
            '"' => return Some(text),
            '\\' => text.extend(characters.next()),
            character => text.push(character),
        }
    }
}

/// Encodes a name as a segment of a path.
fn path_segment(name: &str) -> impl std::fmt::Display {
    const KEPT: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');
    utf8_percent_encode(name, &KEPT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_unquoted() {
        assert_eq!(warning_text(r#"299 - "a \"b\" \\ c""#).as_deref(), Some(r#"a "b" \ c"#));
        assert_eq!(warning_text("299"), None);
    }
}
