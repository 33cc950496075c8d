//! gRPC health checks, over one HTTP/2 connection that ends with the probe request.

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

use super::check::{GrpcCheck, Purpose, user_agent};
use super::{CheckResult, dial};
use crate::clock::Clock;
use crate::lifecycle::format_go_duration;
use crate::network::{ConnectionStream, PodNetwork};

/// The delay before a refused connection is tried again; each further delay is 1.6 times as long.
const FIRST_RETRY_DELAY: Duration = Duration::from_secs(1);

/// Checks the service's health once.
pub(super) async fn run_check(
    network: &PodNetwork,
    grpc: &GrpcCheck,
    timeout: Duration,
    deadline: Instant,
    clock: Clock,
) -> CheckResult {
    let speaks_http2 = Arc::new(AtomicBool::new(false));
    match timeout_at(deadline, check_health(network, grpc, timeout, clock, &speaks_http2)).await {
        Ok(result) => result,
        Err(_) => CheckResult::Failure(timeout_message(grpc, timeout, &speaks_http2)),
    }
}

fn address(grpc: &GrpcCheck) -> String {
    let GrpcCheck { host, port, .. } = grpc;
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Returns kubelet's message for a probe request that took too long.
fn timeout_message(grpc: &GrpcCheck, timeout: Duration, speaks_http2: &AtomicBool) -> String {
    let timeout = format_go_duration(timeout);
    if speaks_http2.load(Ordering::Relaxed) {
        return format!("timeout: health rpc did not complete within {timeout}");
    }
    let address = address(grpc);
    format!("timeout: failed to connect service {address:?} within {timeout}: context deadline exceeded")
}

/// Connects and calls the service until it answers.
async fn check_health(
    network: &PodNetwork,
    grpc: &GrpcCheck,
    timeout: Duration,
    clock: Clock,
    speaks_http2: &Arc<AtomicBool>,
) -> CheckResult {
    let mut delay = FIRST_RETRY_DELAY;
    loop {
        // Like Go's client, a refused connection is retried until the deadline, which is then reported.
        if let Ok(connection) = dial(network, &grpc.host, grpc.port).await {
            let stream = SettingsDetector { stream: connection.into(), speaks_http2: speaks_http2.clone() };
            match call(stream, grpc, timeout).await {
                Err(_) if !speaks_http2.load(Ordering::Relaxed) => {}
                Ok(status) if status == "SERVING" => return CheckResult::Success("service healthy".into()),
                Ok(status) => return CheckResult::Failure(format!("service unhealthy (responded with {status:?})")),
                Err(status) => return CheckResult::Failure(error_message(&status, timeout)),
            }
        }
        clock.sleep(delay).await;
        delay = delay.mul_f32(1.6);
    }
}

/// Returns kubelet's message for a call that failed.
fn error_message(status: &Status, timeout: Duration) -> String {
    match status.code() {
        Code::Unimplemented => {
            let message = status.message();
            format!("error: this server does not implement the grpc health protocol (grpc.health.v1.Health): {message}")
        }
        Code::DeadlineExceeded => {
            format!("timeout: health rpc did not complete within {}", format_go_duration(timeout))
        }
        code => {
            format!("error: health rpc probe failed: rpc error: code = {} desc = {}", code_name(code), status.message())
        }
    }
}

/// Returns a code's name in Go; tonic's `Debug` differs in one.
fn code_name(code: Code) -> String {
    match code {
        Code::Cancelled => "Canceled".into(),
        other => format!("{other:?}"),
    }
}

/// Calls the service and returns the name of its status in the protocol.
async fn call(stream: SettingsDetector, grpc: &GrpcCheck, timeout: Duration) -> Result<String, Status> {
    let (spawn, mut spawned) = mpsc::unbounded_channel();
    let unavailable = |error: hyper::Error| Status::unavailable(error.to_string());
    let origin = Uri::builder().scheme("http").authority(address(grpc)).path_and_query("/").build();
    let origin = origin.map_err(|error| Status::internal(error.to_string()))?;
    let agent = HeaderValue::from_str(&user_agent(Purpose::Probe)).map_err(|e| Status::internal(e.to_string()))?;
    let mut exchange = pin!(async {
        let handshake = Builder::new(InlineExecutor(spawn)).handshake::<_, Body>(TokioIo::new(stream));
        let (sender, connection) = handshake.await.map_err(unavailable)?;
        let mut client = HealthClient::with_origin(Channel { sender, agent }, origin);
        let mut request = tonic::Request::new(HealthCheckRequest { service: grpc.service.clone() });
        request.set_timeout(timeout);
        let mut call = pin!(client.check(request));
        let response = tokio::select! {
            response = &mut call => response?,
            _ = connection => call.await?,
        };
        Ok(response.into_inner().status().as_str_name().into())
    });
    // The connection's own tasks are polled here, so that they end with the probe request.
    let mut tasks: Vec<Task> = Vec::new();
    poll_fn(|cx| {
        if let Poll::Ready(result) = exchange.as_mut().poll(cx) {
            return Poll::Ready(result);
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

/// An executor that hands tasks to the future that polls the connection.
#[derive(Clone)]
struct InlineExecutor(mpsc::UnboundedSender<Task>);

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for InlineExecutor {
    fn execute(&self, task: F) {
        // The receiver is gone once the probe request has ended, and nothing is left to do then.
        let _ = self.0.send(Box::pin(task));
    }
}

/// One connection as a tonic service.
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

/// A connection that detects whether the server speaks HTTP/2: its first frame must hold settings.
struct SettingsDetector {
    stream: ConnectionStream,
    speaks_http2: Arc<AtomicBool>,
}

/// The type of a settings frame, its fourth byte.
const SETTINGS_FRAME: Option<&u8> = Some(&4);

impl AsyncRead for SettingsDetector {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        let read = buffer.filled().get(before..).unwrap_or_default();
        if !self.speaks_http2.load(Ordering::Relaxed) && read.get(3) == SETTINGS_FRAME {
            self.speaks_http2.store(true, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for SettingsDetector {
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
