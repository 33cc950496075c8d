//! Serves connections: TLS and plain HTTP on one port, distinguished by the first byte, or plain HTTP on a Unix socket.
//!
//! On a port, plain HTTP is allowed only over loopback. Clients that do not complete a handshake or a request's
//! header in time are disconnected, and so are those that do not read their watch. The number of connections is
//! limited; further clients wait in the kernel's queue. On shutdown, open requests may finish within a grace period.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::unread_watches::UnreadWatches;

/// Maximum number of open connections.
const MAX_CONNECTIONS: usize = 4096;
/// Maximum time for each of the first byte, the TLS handshake and a request's header.
const HEADER_TIMEOUT: Duration = Duration::from_secs(15);
/// Interval and timeout of HTTP/2 keep-alive pings, which detect clients that disappeared.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// Maximum number of concurrent requests on an HTTP/2 connection.
const MAX_STREAMS: u32 = 256;
/// Maximum number of response bytes to buffer per request while its client does not read.
const MAX_SEND_BUFFER_BYTES: usize = 64 * 1024;
/// Maximum size of an HTTP/1 request's header; larger ones get 431.
const MAX_HEADER_BYTES: usize = 64 * 1024;
/// Maximum size of an HTTP/2 request's header; a larger one closes the connection.
const MAX_HTTP2_HEADER_BYTES: u32 = 1024 * 1024;

/// The transport of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// TLS.
    Tls,
    /// Plain HTTP over loopback.
    Plain,
    /// Plain HTTP over a Unix socket that only this process's user can open.
    PrivateSocket,
}

/// The source of connections.
pub enum Listener {
    /// A port: TLS, and plain HTTP over loopback.
    Tcp(TcpListener, Arc<rustls::ServerConfig>),
    /// A Unix socket that only this process's user can open.
    PrivateSocket(UnixListener),
}

/// A connection before its first byte.
enum AcceptedStream {
    Tcp(TcpStream, TlsAcceptor),
    PrivateSocket(UnixStream),
}

impl Listener {
    /// Accepts a connection. Cancel-safe.
    async fn accept(&self) -> std::io::Result<AcceptedStream> {
        match self {
            Listener::Tcp(listener, tls) => {
                let (stream, _) = listener.accept().await?;
                Ok(AcceptedStream::Tcp(stream, TlsAcceptor::from(tls.clone())))
            }
            Listener::PrivateSocket(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok(AcceptedStream::PrivateSocket(stream))
            }
        }
    }
}

/// Serves `router` on `listener` until `shutdown` is cancelled; open requests then have `grace` to finish.
pub async fn serve(listener: Listener, router: Router, shutdown: CancellationToken, grace: Duration) {
    let connections = TaskTracker::new();
    let graceful = GracefulShutdown::new();
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let kill = CancellationToken::new();
    loop {
        let accepted = async {
            // The semaphore is never closed.
            let permit = permits.clone().acquire_owned().await.ok();
            (listener.accept().await, permit)
        };
        let (stream, permit) = tokio::select! {
            (accepted, permit) = accepted => match accepted {
                Ok(stream) => (stream, permit),
                Err(error) => {
                    // Most likely out of file descriptors: retry once a connection may have closed.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
            () = shutdown.cancelled() => break,
        };
        let connection = AcceptedConnection { router: router.clone(), watcher: graceful.watcher(), kill: kill.clone() };
        connections.spawn(async move {
            connection.run(stream).await;
            drop(permit);
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(grace, graceful.shutdown()).await;
    kill.cancel();
    connections.close();
    connections.wait().await;
}

struct AcceptedConnection {
    router: Router,
    watcher: hyper_util::server::graceful::Watcher,
    kill: CancellationToken,
}

/// First byte of a TLS connection: the type of a handshake record.
const TLS_HANDSHAKE_RECORD: u8 = 22;

impl AcceptedConnection {
    async fn run(self, stream: AcceptedStream) {
        let kill = self.kill.clone();
        let serve = async {
            match stream {
                AcceptedStream::Tcp(stream, tls) => self.serve_tcp(stream, tls).await,
                AcceptedStream::PrivateSocket(stream) => {
                    serve_http(self.router, self.watcher, stream, Transport::PrivateSocket).await;
                }
            }
        };
        tokio::select! {
            () = serve => {}
            () = kill.cancelled() => {}
        }
    }

    async fn serve_tcp(self, mut stream: TcpStream, tls: TlsAcceptor) {
        // Small responses are sent without delay.
        let _ = stream.set_nodelay(true);
        let mut first = [0];
        let Ok(Ok(1)) = tokio::time::timeout(HEADER_TIMEOUT, stream.peek(&mut first)).await else { return };
        if first == [TLS_HANDSHAKE_RECORD] {
            match tokio::time::timeout(HEADER_TIMEOUT, tls.accept(stream)).await {
                Ok(Ok(stream)) => serve_http(self.router, self.watcher, stream, Transport::Tls).await,
                Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
                Err(_timeout) => {}
            }
            return;
        }
        if is_loopback(&stream) {
            serve_http(self.router, self.watcher, stream, Transport::Plain).await;
        } else {
            let text = "plain HTTP is allowed only on this machine: use https\n";
            let head = "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close";
            let _ =
                stream.write_all(format!("{head}\r\nContent-Length: {}\r\n\r\n{text}", text.len()).as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    }
}

/// Returns whether both ends of the connection are loopback addresses.
fn is_loopback(stream: &TcpStream) -> bool {
    let loopback =
        |address: std::io::Result<std::net::SocketAddr>| address.is_ok_and(|a| a.ip().to_canonical().is_loopback());
    loopback(stream.peer_addr()) && loopback(stream.local_addr())
}

async fn serve_http<S>(router: Router, watcher: hyper_util::server::graceful::Watcher, stream: S, transport: Transport)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let watches = Arc::<UnreadWatches>::default();
    let observed = watches.clone();
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(transport);
        let (response, watches) = (router.clone().oneshot(request.map(Body::new)), observed.clone());
        async move { response.await.map(|response| watches.observe(response)) }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).max_buf_size(MAX_HEADER_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .max_concurrent_streams(MAX_STREAMS)
        .max_send_buf_size(MAX_SEND_BUFFER_BYTES)
        .max_header_list_size(MAX_HTTP2_HEADER_BYTES);
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned();
    tokio::select! {
        result = watcher.watch(connection) => if let Err(error) = result {
            tracing::debug!(%error, "connection ended with an error");
        },
        () = watches.wait_for_unread() => tracing::debug!("closing a connection whose client does not read its watch"),
    }
}
