//! TLS to a pod without asking who it is: a kubelet doesn't verify certificates of probes either.
//!
//! Nothing secret is sent, and bytes in memory are read by the pod alone.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

use super::http::Fault;
use crate::network::Stream;

/// Made with the first HTTPS probe.
static CONFIG: LazyLock<Result<Arc<ClientConfig>, Error>> = LazyLock::new(|| {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
        .with_no_client_auth();
    Ok(Arc::new(config))
});

/// Speaks TLS over `stream`, or says in Go's words why not.
pub(super) async fn connect(stream: Stream, host: &str) -> Result<TlsStream<Beginning>, Fault> {
    let unable = |error: &dyn std::error::Error| Fault::Unanswered(format!("tls: {error}"));
    let config = CONFIG.as_ref().map_err(|error| unable(error))?;
    let name = ServerName::try_from(host.to_string()).map_err(|error| unable(&error))?;
    let beginning = Beginning { io: stream, heard: Vec::new() };
    let connected = TlsConnector::from(config.clone()).connect(name, beginning).into_fallible().await;
    connected.map_err(|(error, Beginning { heard, .. })| match heard.as_slice() {
        b"HTTP/" => Fault::Plain,
        // Neither an alert nor a handshake, or a version that there can't be.
        [kind, high, ..] if heard.len() == RECORD_HEADER && (!matches!(kind, 21 | 22) || *high >= 16) => {
            Fault::Unanswered("tls: first record does not look like a TLS handshake".into())
        }
        _ => Fault::Unanswered(told(&error)),
    })
}

/// So many bytes are before what a record holds; Go judges a server by the first ones.
const RECORD_HEADER: usize = 5;

/// A connection that keeps how the other side begins.
pub(super) struct Beginning {
    io: Stream,
    heard: Vec<u8>,
}

impl AsyncRead for Beginning {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        let missing = RECORD_HEADER.saturating_sub(self.heard.len());
        self.heard.extend(buf.filled().iter().skip(before).take(missing));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Beginning {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

fn told(error: &io::Error) -> String {
    let source = error.get_ref().and_then(|source| source.downcast_ref::<Error>());
    match source {
        Some(Error::AlertReceived(alert)) => format!("remote error: tls: {alert:?}"),
        Some(other) => format!("tls: {other}"),
        None if error.kind() == io::ErrorKind::UnexpectedEof => "EOF".into(),
        None => error.to_string(),
    }
}

/// Takes every certificate for good.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
