//! The server that a client talks to: its address, how connections to it are opened, and messages about failures.

use std::sync::Arc;

use hyper::Uri;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::kubeconfig::ClusterAccess;
use crate::cli::exit::{RequestFailed, bad_input};

/// A connection to a server.
pub trait Connection: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Connection for T {}

/// The API server of a kubeconfig.
pub struct Server {
    access: ClusterAccess,
    uri: Uri,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Server {
    /// Returns the server of a kubeconfig. Does not connect yet.
    pub fn new(access: ClusterAccess) -> anyhow::Result<Server> {
        let invalid =
            |problem: &str| bad_input(format!("{}: server {:?} {problem}", access.origin.display(), access.server));
        let uri: Uri = access.server.parse().map_err(|_| invalid("is not a valid URL"))?;
        let host = uri.host().ok_or_else(|| invalid("has no host"))?.trim_matches(['[', ']']);
        let tls = match uri.scheme_str() {
            Some("https") => {
                let name = access.server_name.as_deref().unwrap_or(host).to_string();
                let name = ServerName::try_from(name).map_err(|_| invalid("has a host name that is not valid"))?;
                Some((tls_connector(&access)?, name))
            }
            Some("http") => None,
            _ => return Err(invalid("is neither http nor https")),
        };
        Ok(Server { access, uri, tls })
    }

    /// Returns the address, for messages.
    pub fn name(&self) -> &str {
        &self.access.server
    }

    /// Returns the value of the `Host` header.
    pub fn authority(&self) -> &str {
        self.uri.authority().map(|authority| authority.as_str()).unwrap_or_default()
    }

    /// Returns the path that precedes those of the API; empty for most servers.
    pub fn base_path(&self) -> &str {
        self.uri.path().trim_end_matches('/')
    }

    /// Returns the bearer token.
    pub fn token(&self) -> Option<&str> {
        self.access.token.as_deref()
    }

    /// Opens a connection.
    pub async fn connect(&self) -> anyhow::Result<Box<dyn Connection>> {
        let host = self.uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let port = self.uri.port_u16().unwrap_or(if self.tls.is_some() { 443 } else { 80 });
        let stream = TcpStream::connect((host, port)).await.map_err(|error| self.unreachable(&error))?;
        // The keys of a terminal session and the ends of streams are sent without delay.
        let _ = stream.set_nodelay(true);
        match &self.tls {
            Some((tls, name)) => {
                let stream = tls.connect(name.clone(), stream).await.map_err(|error| self.untrusted(&error))?;
                Ok(Box::new(stream))
            }
            None => Ok(Box::new(stream)),
        }
    }

    /// Returns the error of a server that does not answer.
    pub fn unreachable(&self, error: &dyn std::fmt::Display) -> anyhow::Error {
        let (server, origin) = (self.name(), self.access.origin.display());
        RequestFailed(format!("cannot connect to {server} (from {origin}): {error}; is `wasmpod serve` running?"))
            .into()
    }

    fn untrusted(&self, error: &std::io::Error) -> anyhow::Error {
        let (server, origin) = (self.name(), self.access.origin.display());
        let is_tls_error = error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>());
        let hint = match is_tls_error {
            true => "does this kubeconfig belong to that server?",
            false => "is `wasmpod serve` running?",
        };
        RequestFailed(format!("cannot verify {server} with {origin}: {error}; {hint}")).into()
    }

    /// Returns the message for a server that does not accept the token.
    pub fn unauthorized(&self) -> String {
        let origin = self.access.origin.display();
        let server = self.name();
        format!("{server} rejected the token of {origin}; use --kubeconfig to choose the kubeconfig of that node")
    }
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
