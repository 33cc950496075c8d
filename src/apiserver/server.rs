//! Connections: one port, on which the first byte tells TLS from plain HTTP.
//!
//! Plain HTTP is answered on loopback only. A client that sends nothing, or half of something,
//! is let go after a while; how many may be connected is bounded, and who comes then waits in the
//! kernel's queue. What is open when the server ends may finish within a bound.

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
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

/// Clients that may be connected at once.
const MAX_CONNECTIONS: usize = 4096;
/// A client has so long to say what it wants: the first byte, the handshake, a request's head.
const PATIENCE: Duration = Duration::from_secs(15);
/// A client that is gone without a word is noticed after about this time.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// Requests of one HTTP/2 connection that are answered at the same time.
const MAX_STREAMS: u32 = 256;
/// Bytes of an answer that lie ready per request while its client does not read.
const SEND_BUFFER: usize = 64 * 1024;
/// Heads of requests are small; a longer one is refused with 431.
const MAX_HEAD: usize = 64 * 1024;
/// Over HTTP/2 a head that is larger than this costs its client the connection; one below is refused in words.
const MAX_HEAD_LIST: u32 = 1024 * 1024;

/// How a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Encrypted.
    Tls,
    /// As plain text, from this machine.
    Plain,
}

/// Serves `router` on `listener` until `end` is cancelled; then gives open requests `grace`.
pub async fn serve(
    listener: TcpListener,
    tls: Arc<rustls::ServerConfig>,
    router: Router,
    end: CancellationToken,
    grace: Duration,
) {
    let connections = TaskTracker::new();
    let graceful = GracefulShutdown::new();
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let kill = CancellationToken::new();
    loop {
        let accepted = async {
            // The semaphore is never closed.
            let place = room.clone().acquire_owned().await.ok();
            (listener.accept().await, place)
        };
        let (stream, place) = tokio::select! {
            (accepted, place) = accepted => match accepted {
                Ok((stream, _)) => (stream, place),
                Err(error) => {
                    // Out of descriptors, most likely: somebody must leave first.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
            () = end.cancelled() => break,
        };
        let connection = Connection {
            router: router.clone(),
            tls: TlsAcceptor::from(tls.clone()),
            watcher: graceful.watcher(),
            kill: kill.clone(),
        };
        connections.spawn(async move {
            connection.talk(stream).await;
            drop(place);
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(grace, graceful.shutdown()).await;
    kill.cancel();
    connections.close();
    connections.wait().await;
}

struct Connection {
    router: Router,
    tls: TlsAcceptor,
    watcher: hyper_util::server::graceful::Watcher,
    kill: CancellationToken,
}

/// What a TLS connection begins with: a handshake record.
const TLS_HANDSHAKE: u8 = 22;

impl Connection {
    async fn talk(self, stream: TcpStream) {
        let kill = self.kill.clone();
        tokio::select! {
            () = self.answer(stream) => {}
            () = kill.cancelled() => {}
        }
    }

    async fn answer(self, mut stream: TcpStream) {
        // A small answer goes out at once; larger ones are written in one go anyway.
        let _ = stream.set_nodelay(true);
        let mut first = [0];
        let Ok(Ok(1)) = tokio::time::timeout(PATIENCE, stream.peek(&mut first)).await else { return };
        if first == [TLS_HANDSHAKE] {
            match tokio::time::timeout(PATIENCE, self.tls.accept(stream)).await {
                Ok(Ok(stream)) => serve_http(self.router, self.watcher, stream, Transport::Tls).await,
                Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
                Err(_late) => {}
            }
            return;
        }
        if is_of_this_machine(&stream) {
            serve_http(self.router, self.watcher, stream, Transport::Plain).await;
        } else {
            let text = "plain HTTP is answered on this machine only: use https\n";
            let head = "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close";
            let _ =
                stream.write_all(format!("{head}\r\nContent-Length: {}\r\n\r\n{text}", text.len()).as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    }
}

/// Both ends are loopback addresses: what comes here crossed no wire.
fn is_of_this_machine(stream: &TcpStream) -> bool {
    let loopback =
        |address: std::io::Result<std::net::SocketAddr>| address.is_ok_and(|a| a.ip().to_canonical().is_loopback());
    loopback(stream.peer_addr()) && loopback(stream.local_addr())
}

async fn serve_http<S>(router: Router, watcher: hyper_util::server::graceful::Watcher, stream: S, transport: Transport)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(transport);
        router.clone().oneshot(request.map(Body::new))
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(PATIENCE).max_buf_size(MAX_HEAD);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .max_concurrent_streams(MAX_STREAMS)
        .max_send_buf_size(SEND_BUFFER)
        .max_header_list_size(MAX_HEAD_LIST);
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned();
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "a connection ended");
    }
}
