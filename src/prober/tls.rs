//! TLS to a pod without verifying its certificate, as kubelet does for probes.
//!
//! Nothing secret is sent, and only the pod can read bytes on its in-memory network.

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

use super::HttpError;
use crate::network::ConnectionStream;

/// The configuration, created with the first HTTPS probe.
static CONFIG: LazyLock<Result<Arc<ClientConfig>, Error>> = LazyLock::new(|| {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AcceptAny))
        .with_no_client_auth();
    Ok(Arc::new(config))
});

/// Performs the TLS handshake over `stream`. Errors have Go's words.
pub(super) async fn connect(stream: ConnectionStream, host: &str) -> Result<TlsStream<RecordedHeader>, HttpError> {
    let unable = |error: &dyn std::error::Error| HttpError::NoResponse(format!("tls: {error}"));
    let config = CONFIG.as_ref().map_err(|error| unable(error))?;
    let name = ServerName::try_from(host.to_string()).map_err(|error| unable(&error))?;
    let stream = RecordedHeader { io: stream, header: Vec::new() };
    let connected = TlsConnector::from(config.clone()).connect(name, stream).into_fallible().await;
    connected.map_err(|(error, RecordedHeader { header, .. })| match header.as_slice() {
        b"HTTP/" => HttpError::NotTls,
        // Neither an alert nor a handshake, or an impossible version.
        [kind, high, ..] if header.len() == RECORD_HEADER_BYTES && (!matches!(kind, 21 | 22) || *high >= 16) => {
            HttpError::NoResponse("tls: first record does not look like a TLS handshake".into())
        }
        _ => HttpError::NoResponse(go_message(&error)),
    })
}

/// The length of a TLS record's header, from which Go recognizes servers without TLS.
const RECORD_HEADER_BYTES: usize = 5;

/// A connection that records the first record header of the server.
pub(super) struct RecordedHeader {
    io: ConnectionStream,
    header: Vec<u8>,
}

impl AsyncRead for RecordedHeader {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        let missing = RECORD_HEADER_BYTES.saturating_sub(self.header.len());
        self.header.extend(buf.filled().iter().skip(before).take(missing));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for RecordedHeader {
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

/// Returns Go's message for an error of the handshake.
fn go_message(error: &io::Error) -> String {
    let source = error.get_ref().and_then(|source| source.downcast_ref::<Error>());
    match source {
        Some(Error::AlertReceived(alert)) => format!("remote error: tls: {alert:?}"),
        Some(other) => format!("tls: {other}"),
        None if error.kind() == io::ErrorKind::UnexpectedEof => "EOF".into(),
        None => error.to_string(),
    }
}

/// Accepts every certificate.
#[derive(Debug)]
struct AcceptAny;

impl ServerCertVerifier for AcceptAny {
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
