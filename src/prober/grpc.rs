//! Calls of gRPC's health protocol, over one HTTP/2 connection that ends with the attempt.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper::header::{HeaderValue, USER_AGENT};
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tonic::body::Body;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use super::check::{Grpc, Purpose, user_agent};
use super::{ProbeVerdict, dial};
use crate::clock::Clock;
use crate::lifecycle::go_duration;
use crate::network::{PodNetwork, Stream};

/// Before a refused connection is tried again; each time 1.6 times as long.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// Asks once for the service's health.
pub(super) async fn attempt(
    network: &PodNetwork,
    grpc: &Grpc,
    timeout: Duration,
    deadline: Instant,
    clock: Clock,
) -> ProbeVerdict {
    let spoke = Arc::new(AtomicBool::new(false));
    match timeout_at(deadline, ask(network, grpc, timeout, clock, &spoke)).await {
        Ok(verdict) => verdict,
        Err(_) => ProbeVerdict::Failure(late(grpc, timeout, &spoke)),
    }
}

fn address(grpc: &Grpc) -> String {
    let Grpc { host, port, .. } = grpc;
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// What is told of an attempt that took too long.
fn late(grpc: &Grpc, timeout: Duration, spoke: &AtomicBool) -> String {
    let timeout = go_duration(timeout);
    if spoke.load(Ordering::Relaxed) {
        return format!("timeout: health rpc did not complete within {timeout}");
    }
    let address = address(grpc);
    format!("timeout: failed to connect service {address:?} within {timeout}: context deadline exceeded")
}

async fn ask(
    network: &PodNetwork,
    grpc: &Grpc,
    timeout: Duration,
    clock: Clock,
    spoke: &Arc<AtomicBool>,
) -> ProbeVerdict {
    let mut pause = FIRST_RETRY;
    loop {
        // As in Go, who can't connect tries again until time is up, and then tells of that.
        if let Ok(connection) = dial(network, &grpc.host, grpc.port) {
            let stream = Watched { stream: connection.into(), spoke: spoke.clone() };
            match call(stream, grpc, timeout).await {
                Err(_) if !spoke.load(Ordering::Relaxed) => {}
                Ok(status) if status == "SERVING" => return ProbeVerdict::Success("service healthy".into()),
                Ok(status) => return ProbeVerdict::Failure(format!("service unhealthy (responded with {status:?})")),
                Err(status) => return ProbeVerdict::Failure(told(&status, timeout)),
            }
        }
        clock.sleep(pause).await;
        pause = pause.mul_f32(1.6);
    }
}

fn told(status: &Status, timeout: Duration) -> String {
    match status.code() {
        Code::Unimplemented => {
            let message = status.message();
            format!("error: this server does not implement the grpc health protocol (grpc.health.v1.Health): {message}")
        }
        Code::DeadlineExceeded => format!("timeout: health rpc did not complete within {}", go_duration(timeout)),
        code => {
            format!("error: health rpc probe failed: rpc error: code = {} desc = {}", named(code), status.message())
        }
    }
}

/// A code as Go's gRPC names it; tonic's `Debug` agrees but for one.
fn named(code: Code) -> String {
    match code {
        Code::Cancelled => "Canceled".into(),
        other => format!("{other:?}"),
    }
}

/// The service's status by its name in the protocol.
async fn call(stream: Watched, grpc: &Grpc, timeout: Duration) -> Result<String, Status> {
    let (spawn, mut spawned) = mpsc::unbounded_channel();
    let unavailable = |error: hyper::Error| Status::unavailable(error.to_string());
    let origin = Uri::builder().scheme("http").authority(address(grpc)).path_and_query("/").build();
    let origin = origin.map_err(|error| Status::internal(error.to_string()))?;
    let agent = HeaderValue::from_str(&user_agent(Purpose::Probe)).map_err(|e| Status::internal(e.to_string()))?;
    let mut exchange = pin!(async {
        let handshake = Builder::new(Inline(spawn)).handshake::<_, Body>(TokioIo::new(stream));
        let (sender, connection) = handshake.await.map_err(unavailable)?;
        let mut client = HealthClient::with_origin(Channel { sender, agent }, origin);
        let mut request = tonic::Request::new(HealthCheckRequest { service: grpc.service.clone() });
        request.set_timeout(timeout);
        let mut asked = pin!(client.check(request));
        let answer = tokio::select! {
            answer = &mut asked => answer?,
            _ = connection => asked.await?,
        };
        Ok(answer.into_inner().status().as_str_name().into())
    });
    // The connection's own tasks run here, not beside, so that they end with the attempt.
    let mut tasks: Vec<Task> = Vec::new();
    poll_fn(|cx| {
        if let Poll::Ready(answer) = exchange.as_mut().poll(cx) {
            return Poll::Ready(answer);
        }
        while let Poll::Ready(Some(task)) = spawned.poll_recv(cx) {
            tasks.push(task);
        }
        tasks.retain_mut(|task| task.as_mut().poll(cx).is_pending());
        Poll::Pending
    })
    .await
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// An executor that hands tasks to whoever polls the connection.
#[derive(Clone)]
struct Inline(mpsc::UnboundedSender<Task>);

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Inline {
    fn execute(&self, task: F) {
        // Refused once the attempt is over, when there is nothing left to do.
        let _ = self.0.send(Box::pin(task));
    }
}

/// One connection as tonic wants to see it.
struct Channel {
    sender: SendRequest<Body>,
    agent: HeaderValue,
}

impl tower::Service<Request<Body>> for Channel {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = hyper::Result<Response<Incoming>>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        self.sender.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        request.headers_mut().insert(USER_AGENT, self.agent.clone());
        Box::pin(self.sender.send_request(request))
    }
}

/// Notices whether the server speaks HTTP/2.
struct Watched {
    stream: Stream,
    spoke: Arc<AtomicBool>,
}

/// The fourth byte of the first frame, which must hold settings.
const SETTINGS: Option<&u8> = Some(&4);

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        let read = buffer.filled().get(before..).unwrap_or_default();
        if !self.spoke.load(Ordering::Relaxed) && read.get(3) == SETTINGS {
            self.spoke.store(true, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
