//! The server that a client talks to: its address, how connections to it are opened, and messages about failures.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;

use hyper::Uri;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use super::kubeconfig::{ClusterAccess, is_kubeconfig_set};
use crate::cli::args::ConnectionArgs;
use crate::cli::exit::{RequestFailed, bad_input};
use crate::cli::private_socket::{LiveSocket, live_sockets};

/// A connection to a server.
pub trait Connection: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Connection for T {}

/// A server.
pub enum Server {
    /// That of a kubeconfig.
    Cluster(Box<ClusterServer>),
    /// A private socket of this user.
    Socket(PathBuf),
}

impl Server {
    /// Returns the server that `connection` selects: by its flags, else that of `$KUBECONFIG`, else the only one that
    /// runs on this machine, else that of the default kubeconfig. Returns it with the namespace of requests. Does not
    /// connect yet.
    ///
    /// # Errors
    ///
    /// Fails if several servers run, with their names, or if a kubeconfig cannot be used.
    pub fn choose(connection: &ConnectionArgs) -> anyhow::Result<(Server, String)> {
        let socket = match &connection.socket {
            Some(socket) => Some(socket.clone()),
            None if connection.kubeconfig.is_some() || is_kubeconfig_set() => None,
            None => only_socket(live_sockets())?,
        };
        if let Some(socket) = socket {
            return Ok((Server::Socket(socket), connection.namespace.clone().unwrap_or_else(|| "default".into())));
        }
        let access = ClusterAccess::load(connection)?;
        let namespace = access.namespace.clone();
        Ok((Server::Cluster(Box::new(ClusterServer::new(access)?)), namespace))
    }

    /// Returns the address, for messages.
    pub fn name(&self) -> Cow<'_, str> {
        match self {
            Server::Cluster(server) => Cow::Borrowed(&server.access.server),
            Server::Socket(path) => path.to_string_lossy(),
        }
    }

    /// Returns the value of the `Host` header.
    pub fn authority(&self) -> &str {
        match self {
            Server::Cluster(server) => server.uri.authority().map(|authority| authority.as_str()).unwrap_or_default(),
            Server::Socket(_) => "localhost",
        }
    }

    /// Returns the path that precedes those of the API; empty for most servers.
    pub fn base_path(&self) -> &str {
        match self {
            Server::Cluster(server) => server.uri.path().trim_end_matches('/'),
            Server::Socket(_) => "",
        }
    }

    /// Returns the bearer token, unless the server needs none.
    pub fn token(&self) -> Option<&str> {
        match self {
            Server::Cluster(server) => server.access.token.as_deref(),
            Server::Socket(_) => None,
        }
    }

    /// Opens a connection.
    pub async fn connect(&self) -> anyhow::Result<Box<dyn Connection>> {
        match self {
            Server::Cluster(server) => server.connect().await,
            Server::Socket(path) => match UnixStream::connect(path).await {
                Ok(stream) => Ok(Box::new(stream)),
                Err(error) => Err(self.unreachable(&error)),
            },
        }
    }

    /// Returns the error of a server that does not answer.
    pub fn unreachable(&self, error: &dyn std::fmt::Display) -> anyhow::Error {
        match self {
            Server::Cluster(server) => server.unreachable(error),
            Server::Socket(path) => {
                let path = path.display();
                RequestFailed(format!("cannot connect to {path}: {error}; is its `wasmpod run` still running?")).into()
            }
        }
    }

    /// Returns the message for a server that does not accept the token.
    pub fn unauthorized(&self) -> String {
        match self {
            Server::Cluster(server) => {
                let ClusterAccess { server, origin, .. } = &server.access;
                let hint = "use --kubeconfig to choose the kubeconfig of that node";
                format!("{server} rejected the token of {}; {hint}", origin.display())
            }
            Server::Socket(path) => {
                format!("{} needs a token; use --kubeconfig to choose a kubeconfig", path.display())
            }
        }
    }
}

/// Returns the only one of the running servers.
fn only_socket(mut sockets: Vec<LiveSocket>) -> anyhow::Result<Option<PathBuf>> {
    if sockets.len() > 1 {
        let lines =
            sockets.iter().map(|socket| format!("\n  --socket {}  ({})", socket.path.display(), socket.command));
        let message = "several servers are running; choose one of them, or a kubeconfig with --kubeconfig:";
        return Err(bad_input(format!("{message}{}", lines.collect::<String>())));
    }
    Ok(sockets.pop().map(|socket| socket.path))
}

/// The API server of a kubeconfig.
pub struct ClusterServer {
    access: ClusterAccess,
    uri: Uri,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl ClusterServer {
    fn new(access: ClusterAccess) -> anyhow::Result<ClusterServer> {
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
        Ok(ClusterServer { access, uri, tls })
    }

    async fn connect(&self) -> anyhow::Result<Box<dyn Connection>> {
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

    fn unreachable(&self, error: &dyn std::fmt::Display) -> anyhow::Error {
        let (server, origin) = (&self.access.server, self.access.origin.display());
        RequestFailed(format!("cannot connect to {server} (from {origin}): {error}; is `wasmpod serve` running?"))
            .into()
    }

    fn untrusted(&self, error: &std::io::Error) -> anyhow::Error {
        let (server, origin) = (&self.access.server, self.access.origin.display());
        let is_tls_error = error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>());
        let hint = match is_tls_error {
            true => "does this kubeconfig belong to that server?",
            false => "is `wasmpod serve` running?",
        };
        RequestFailed(format!("cannot verify {server} with {origin}: {error}; {hint}")).into()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_running_server_is_chosen_and_several_are_listed() {
        let socket =
            |name: &str| LiveSocket { path: format!("/run/{name}.sock").into(), command: format!("wasmpod {name}") };
        assert_eq!(only_socket(Vec::new()).expect("none"), None);
        assert_eq!(only_socket(vec![socket("a")]).expect("one"), Some("/run/a.sock".into()));
        let error = only_socket(vec![socket("a"), socket("b")]).expect_err("several").to_string();
        let expected = "several servers are running; choose one of them, or a kubeconfig with --kubeconfig:\n  \
                        --socket /run/a.sock  (wasmpod a)\n  --socket /run/b.sock  (wasmpod b)";
        assert_eq!(error, expected);
    }
}
