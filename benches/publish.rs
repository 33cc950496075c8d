//! Requests to a web server in a pod through a published port, beside an axum handler on loopback that serves the same
//! bytes.
//!
//! The server in the pod answers from memory and logs nothing: the figures measure the gateway, the pod's network and the
//! host's calls for sockets, not files or logs. Clients and the native server each have threads of their own, as in
//! processes of their own.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Handle};
use tokio::task::JoinSet;
use wasmpod::Node;

use super::figures::{Figure, percentile};
use super::start::guest;

/// The time of one measurement.
const ROUND: Duration = Duration::from_millis(700);
/// Measurements of each side, in turn.
const ROUNDS: usize = 5;

/// Measures requests over one connection and over 32.
pub fn figures() -> Vec<Figure> {
    let [tokio, natives] = [(), ()].map(|()| Builder::new_multi_thread().enable_all().build().expect("threads"));
    let figures = tokio.block_on(async {
        let node = Node::builder().image("resident", guest("resident")).start().expect("a node");
        let pod = published_server(&node).await;
        let native = native_server(natives.handle(), body(pod).await);
        let mut figures = Vec::new();
        for clients in [1, 32] {
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            for _ in 0..ROUNDS {
                ours.push(rate(pod, clients).await);
                theirs.push(rate(native, clients).await);
            }
            let (ours, theirs) = (percentile(&mut ours, 0.5), percentile(&mut theirs, 0.5));
            let name = format!("publish_http_c{clients}");
            figures.push(Figure::new(&name, ours, "1/s").at_least_part_of(0.5, theirs));
        }
        node.stop().await;
        figures
    });
    natives.shutdown_background();
    figures
}

/// Starts the web server with a host port and returns its address.
async fn published_server(node: &Node) -> SocketAddr {
    let free = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = free.local_addr().expect("an address");
    drop(free);
    let manifest = format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: web}}, spec: {{containers: [{{name: c, image: resident, \
         ports: [{{containerPort: 8080, hostPort: {}}}], \
         readinessProbe: {{tcpSocket: {{port: 8080}}, periodSeconds: 1}}}}]}}}}",
        address.port()
    );
    node.apply(manifest).await.expect("applied");
    node.wait_ready("web").await.expect("ready");
    address
}

/// Starts a server on `tokio` that answers with `body`.
fn native_server(tokio: &Handle, body: Bytes) -> SocketAddr {
    let _context = tokio.enter();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("nonblocking");
    let listener = TcpListener::from_std(listener).expect("a listener");
    let address = listener.local_addr().expect("an address");
    let app = Router::new().route("/", get(move || async move { ([("content-type", "text/html")], body) }));
    tokio::spawn(async { axum::serve(listener, app).await });
    address
}

/// Returns the requests per second over so many connections at once.
async fn rate(address: SocketAddr, clients: usize) -> f64 {
    let start = Instant::now();
    let mut all = JoinSet::new();
    for _ in 0..clients {
        all.spawn(async move {
            let mut client = Client::connect(address).await;
            let mut count = 0;
            while start.elapsed() < ROUND {
                client.get().await;
                count += 1;
            }
            count
        });
    }
    let count: u32 = all.join_all().await.into_iter().sum();
    f64::from(count) / start.elapsed().as_secs_f64()
}

async fn body(address: SocketAddr) -> Bytes {
    Client::connect(address).await.get().await
}

/// A connection that is kept open between requests.
struct Client {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Client {
    async fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).await.expect("connected");
        stream.set_nodelay(true).expect("no delay");
        Client { stream, received: Vec::new() }
    }

    /// Sends a request and returns the body of its response.
    async fn get(&mut self) -> Bytes {
        self.stream.write_all(b"GET / HTTP/1.1\r\nHost: web\r\n\r\n").await.expect("sent");
        self.received.clear();
        loop {
            assert!(self.stream.read_buf(&mut self.received).await.expect("a response") > 0, "closed");
            if let Some(body) = complete_body(&self.received) {
                return Bytes::copy_from_slice(body);
            }
        }
    }
}

/// Returns the body of a response that has arrived completely.
fn complete_body(received: &[u8]) -> Option<&[u8]> {
    let end = received.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&received[..end]).expect("a head").to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 200 "), "{head}");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.expect("a length").trim().parse().expect("a length");
    (received.len() >= end + length).then(|| &received[end..end + length])
}
