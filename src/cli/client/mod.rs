//! A thin client of the Kubernetes API that `wasmpod serve` answers: asks, and hands on what comes.
//!
//! One connection per request. Only the authority that the kubeconfig names is trusted; a refusal
//! of the server ends the command with the server's own words.

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

use super::args::Connection;
use super::exit::{Outcome, Refused, bad_input};
use kubeconfig::Access;

/// A server that does not answer within this time is not there.
const PATIENCE: Duration = Duration::from_secs(15);
/// No answer that is taken whole is larger.
const MAX_ANSWER: usize = 256 * 1024 * 1024;

/// What the client takes: an object.
pub const JSON: &str = "application/json";
/// What the client takes: a log.
pub const TEXT: &str = "text/plain, */*";

/// Asks one server.
pub struct Client {
    access: Access,
    server: Uri,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

/// Runs what a command asks for.
pub fn ask(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    runtime.block_on(work).map(|()| Outcome::Success)
}

impl Client {
    /// A client for the server that `connection` means. Asks nothing yet.
    pub fn of(connection: &Connection) -> anyhow::Result<Client> {
        let access = Access::of(connection)?;
        let fault = |why: &str| bad_input(format!("{}: server {:?} {why}", access.origin.display(), access.server));
        let server: Uri = access.server.parse().map_err(|_| fault("is no address"))?;
        let host = server.host().ok_or_else(|| fault("names no host"))?.trim_matches(['[', ']']);
        let tls = match server.scheme_str() {
            Some("https") => {
                let name = access.server_name.as_deref().unwrap_or(host).to_string();
                Some((authorities(&access)?, ServerName::try_from(name).map_err(|_| fault("is no host name"))?))
            }
            Some("http") => None,
            _ => return Err(fault("is neither http nor https")),
        };
        Ok(Client { access, server, tls })
    }

    /// `/api/v1/namespaces/NAMESPACE/pods`, or with `pod` one of them.
    pub fn pods(&self, pod: Option<&str>) -> String {
        let path = format!("{}/pods", self.namespace_path());
        match pod {
            Some(name) => format!("{path}/{}", segment(name)),
            None => path,
        }
    }

    /// `/api/v1/namespaces/NAMESPACE`
    pub fn namespace_path(&self) -> String {
        format!("/api/v1/namespaces/{}", segment(self.namespace()))
    }

    /// The namespace that is asked for.
    pub fn namespace(&self) -> &str {
        &self.access.namespace
    }

    /// The whole answer, as one of the media types of `accept`.
    pub async fn get(&self, path: &str, accept: &str) -> anyhow::Result<Bytes> {
        let answer = self.stream(path, accept).await?;
        let whole = Limited::new(answer.body, MAX_ANSWER).collect().await;
        Ok(whole.map_err(|error| Refused(format!("{}: the answer broke off: {error}", self.access.server)))?.to_bytes())
    }

    /// The whole answer, read from JSON.
    pub async fn read<T: DeserializeOwned>(&self, path: &str, accept: &str) -> anyhow::Result<T> {
        let answer = self.get(path, accept).await?;
        let read = serde_json::from_slice(&answer);
        Ok(read.map_err(|error| Refused(format!("{} answered strangely: {error}", self.access.server)))?)
    }

    /// The answer as it comes.
    pub async fn stream(&self, path: &str, accept: &str) -> anyhow::Result<Answer> {
        let answer = tokio::time::timeout(PATIENCE, self.request(path, accept)).await;
        let (response, connection) = match answer {
            Ok(answer) => answer?,
            Err(_late) => return Err(self.unreachable(&"no answer")),
        };
        let code = response.status();
        let answer = Answer { body: response.into_body(), _connection: connection };
        if code.is_success() {
            return Ok(answer);
        }
        let text = Limited::new(answer.body, MAX_ANSWER).collect().await.map(|body| body.to_bytes());
        Err(self.refusal(code, &text.unwrap_or_default()))
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
        let request = request.body(Empty::new()).context("the request can't be written")?;
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
        let Access { server, origin, .. } = &self.access;
        Refused(format!("cannot reach {server} (of {}): {error}: is `wasmpod serve` running?", origin.display())).into()
    }

    fn untrusted(&self, error: &std::io::Error) -> anyhow::Error {
        let Access { server, origin, .. } = &self.access;
        let ours = error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>());
        let way_out = if ours { ": is this kubeconfig of that server?" } else { ": is `wasmpod serve` running?" };
        Refused(format!("no trust in {server} by {}: {error}{way_out}", origin.display())).into()
    }

    fn refusal(&self, code: StatusCode, body: &[u8]) -> anyhow::Error {
        #[derive(Deserialize)]
        struct Status {
            message: String,
        }
        let Access { server, origin, .. } = &self.access;
        if code == StatusCode::UNAUTHORIZED {
            let message = format!(
                "{server} does not know the token of {}: that kubeconfig is of another node (--kubeconfig names the right one)",
                origin.display()
            );
            return Refused(message).into();
        }
        let message = match serde_json::from_slice::<Status>(body) {
            Ok(status) => status.message,
            Err(_) => format!("{server} answers {code}: {}", String::from_utf8_lossy(body).trim()),
        };
        Refused(message).into()
    }
}

/// An answer on its way; its connection lasts as long as it is kept.
pub struct Answer {
    body: Incoming,
    _connection: AbortOnDropHandle<()>,
}

impl Answer {
    /// The next piece, `None` at the end.
    pub async fn chunk(&mut self) -> anyhow::Result<Option<Bytes>> {
        while let Some(frame) = self.body.frame().await {
            let frame = frame.map_err(|error| Refused(format!("the server has gone: {error}")))?;
            if let Ok(bytes) = frame.into_data() {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }
}

/// A part of a path: names that are none stay one part.
fn segment(name: &str) -> impl std::fmt::Display {
    const KEPT: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');
    utf8_percent_encode(name, &KEPT)
}

fn authorities(access: &Access) -> anyhow::Result<TlsConnector> {
    let fault = |why: &str| bad_input(format!("{}: certificate-authority {why}", access.origin.display()));
    let pem = access.ca.as_deref().ok_or_else(|| fault("is missing: without it no server can be trusted"))?;
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|_| fault("holds no certificate"))?;
        roots.add(certificate).map_err(|error| fault(&format!("can't be used: {error}")))?;
    }
    if roots.is_empty() {
        return Err(fault("holds no certificate"));
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
            tracing::debug!(%error, "the connection ended");
        }
    }));
    Ok((sender.send_request(request).await?, connection))
}
