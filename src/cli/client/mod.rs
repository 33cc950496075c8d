//! A minimal client of the Kubernetes API, for the commands that query a running node.
//!
//! Opens a connection per request. Trusts the kubeconfig's certificate authority only. A request that the server
//! rejects ends the command with the server's message.

mod kubeconfig;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Request, Response, StatusCode, Uri, header};
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;

use super::args::ConnectionArgs;
use super::exit::{Outcome, RequestFailed, bad_input};
use kubeconfig::ClusterAccess;

/// The maximum time until a response begins.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(15);
/// The maximum size of a response that is read at once.
const MAX_RESPONSE_BYTES: usize = 256 * 1024 * 1024;

/// The media type of objects.
pub const JSON: &str = "application/json";
/// The media type of logs.
pub const TEXT: &str = "text/plain, */*";

/// A client of one server.
pub struct Client {
    access: ClusterAccess,
    server: Uri,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

/// Runs the requests of a command.
pub fn block_on(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<Outcome> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the async runtime")?;
    runtime.block_on(work).map(|()| Outcome::Success)
}

impl Client {
    /// Creates a client from the kubeconfig that `connection` selects. Does not connect yet.
    pub fn new(connection: &ConnectionArgs) -> anyhow::Result<Client> {
        let access = ClusterAccess::load(connection)?;
        let invalid =
            |problem: &str| bad_input(format!("{}: server {:?} {problem}", access.origin.display(), access.server));
        let server: Uri = access.server.parse().map_err(|_| invalid("is not a valid URL"))?;
        let host = server.host().ok_or_else(|| invalid("has no host"))?.trim_matches(['[', ']']);
        let tls = match server.scheme_str() {
            Some("https") => {
                let name = access.server_name.as_deref().unwrap_or(host).to_string();
                Some((
                    tls_connector(&access)?,
                    ServerName::try_from(name).map_err(|_| invalid("has a host name that is not valid"))?,
                ))
            }
            Some("http") => None,
            _ => return Err(invalid("is neither http nor https")),
        };
        Ok(Client { access, server, tls })
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

    /// Returns the namespace of requests.
    pub fn namespace(&self) -> &str {
        &self.access.namespace
    }

    /// Returns the whole response, in a media type of `accept`.
    pub async fn get_bytes(&self, path: &str, accept: &str) -> anyhow::Result<Bytes> {
        let response = self.stream(path, accept).await?;
        let body = Limited::new(response.body, MAX_RESPONSE_BYTES).collect().await;
        let server = &self.access.server;
        let body = body.map_err(|error| RequestFailed(format!("cannot read the response of {server}: {error}")))?;
        Ok(body.to_bytes())
    }

    /// Returns the whole response, decoded from JSON.
    pub async fn get_json<T: DeserializeOwned>(&self, path: &str, accept: &str) -> anyhow::Result<T> {
        let body = self.get_bytes(path, accept).await?;
        let server = &self.access.server;
        let decoded = serde_json::from_slice(&body);
        Ok(decoded.map_err(|error| RequestFailed(format!("cannot decode the response of {server}: {error}")))?)
    }

    /// Sends a request and returns the response, whose body may still arrive.
    pub async fn stream(&self, path: &str, accept: &str) -> anyhow::Result<StreamingResponse> {
        let response = tokio::time::timeout(RESPONSE_TIMEOUT, self.request(path, accept)).await;
        let (response, connection) = match response {
            Ok(response) => response?,
            Err(_elapsed) => return Err(self.unreachable(&"no response")),
        };
        let code = response.status();
        let response = StreamingResponse { body: response.into_body(), _connection: connection };
        if code.is_success() {
            return Ok(response);
        }
        let text = Limited::new(response.body, MAX_RESPONSE_BYTES).collect().await.map(|body| body.to_bytes());
        Err(self.rejection(code, &text.unwrap_or_default()))
    }

    async fn request(&self, path: &str, accept: &str) -> anyhow::Result<(Response<Incoming>, AbortOnDropHandle<()>)> {
        let failed = |error: &dyn std::fmt::Display| self.unreachable(error);
        let authority = self.server.authority().map(|a| a.as_str()).unwrap_or_default();
        let base = self.server.path().trim_end_matches('/');
        let mut request = Request::get(format!("{base}{path}"))
            .header(header::HOST, authority)
            .header(header::ACCEPT, accept)
            .header(header::USER_AGENT, concat!("wasmpod/", env!("CARGO_PKG_VERSION")));
        if let Some(token) = &self.access.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Empty::new()).context("cannot build the request")?;
        let host = self.server.host().unwrap_or_default().trim_matches(['[', ']']);
        let port = self.server.port_u16().unwrap_or(if self.tls.is_some() { 443 } else { 80 });
        let stream = TcpStream::connect((host, port)).await.map_err(|error| failed(&error))?;
        match &self.tls {
            Some((tls, name)) => {
                let stream = tls.connect(name.clone(), stream).await.map_err(|error| self.untrusted(&error))?;
                send(stream, request).await
            }
            None => send(stream, request).await,
        }
        .map_err(|error| failed(&error))
    }

    fn unreachable(&self, error: &dyn std::fmt::Display) -> anyhow::Error {
        let ClusterAccess { server, origin, .. } = &self.access;
        let origin = origin.display();
        RequestFailed(format!("cannot connect to {server} (from {origin}): {error}; is `wasmpod serve` running?"))
            .into()
    }

    fn untrusted(&self, error: &std::io::Error) -> anyhow::Error {
        let ClusterAccess { server, origin, .. } = &self.access;
        let origin = origin.display();
        let is_tls_error = error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>());
        let hint = match is_tls_error {
            true => "does this kubeconfig belong to that server?",
            false => "is `wasmpod serve` running?",
        };
        RequestFailed(format!("cannot verify {server} with {origin}: {error}; {hint}")).into()
    }

    fn rejection(&self, code: StatusCode, body: &[u8]) -> anyhow::Error {
        #[derive(Deserialize)]
        struct StatusMessage {
            message: String,
        }
        let ClusterAccess { server, origin, .. } = &self.access;
        if code == StatusCode::UNAUTHORIZED {
            let message = format!(
                "{server} rejected the token of {}; use --kubeconfig to choose the kubeconfig of that node",
                origin.display()
            );
            return RequestFailed(message).into();
        }
        let message = match serde_json::from_slice::<StatusMessage>(body) {
            Ok(status) => status.message,
            Err(_) => format!("{server} responded with {code}: {}", String::from_utf8_lossy(body).trim()),
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
            let frame =
                frame.map_err(|error| RequestFailed(format!("the connection to the server was lost: {error}")))?;
            if let Ok(bytes) = frame.into_data() {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }
}

/// Encodes a name as a segment of a path.
fn path_segment(name: &str) -> impl std::fmt::Display {
    const KEPT: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');
    utf8_percent_encode(name, &KEPT)
}

fn tls_connector(access: &ClusterAccess) -> anyhow::Result<TlsConnector> {
    let invalid = |problem: &str| bad_input(format!("{}: certificate-authority {problem}", access.origin.display()));
    let pem = access.ca.as_deref().ok_or_else(|| invalid("is missing; it is needed to verify the server"))?;
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|_| invalid("contains no valid certificate"))?;
        roots.add(certificate).map_err(|error| invalid(&format!("cannot be used: {error}")))?;
    }
    if roots.is_empty() {
        return Err(invalid("contains no valid certificate"));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(TlsConnector::from(Arc::new(builder.with_root_certificates(roots).with_no_client_auth())))
}

async fn send<S>(
    stream: S,
    request: Request<Empty<Bytes>>,
) -> hyper::Result<(Response<Incoming>, AbortOnDropHandle<()>)>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = AbortOnDropHandle::new(tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "the connection was closed");
        }
    }));
    Ok((sender.send_request(request).await?, connection))
}
