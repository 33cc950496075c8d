//! The Kubernetes API beside an axum handler that serves the same bytes, which are prepared.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use wasmpod::Node;
use wasmpod::NodeBuilder;
use wasmpod::apiserver::auth::Authorizer;
use wasmpod::apiserver::credentials::Credentials;
use wasmpod::apiserver::{Api, router, server};
use wasmpod::clock::Clock;
use wasmpod::control::{Body as Object, Key, Preconditions, Update};
use wasmpod::k8s_openapi::api::core::v1::Pod;

use super::figures::{Figure, percentile};
use super::native::{field, millis};
use super::start::program;

/// Pods in the list.
const PODS: usize = 1000;
/// Changes that the watch reports; fewer than the store's history holds.
const CHANGES: usize = 3000;

const ANYTHING: &str = "*/*";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
/// What kubectl asks `/apis` for.
const DISCOVERY: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// Name of the served node.
const NODE: &str = "bench";

/// A server under test, and the token for it.
#[derive(Clone)]
pub struct Target {
    pub address: SocketAddr,
    pub token: String,
    /// The media types that requests accept.
    pub accept: &'static str,
}

/// A served node, and the runtime of all servers.
pub struct Bench {
    pub tokio: tokio::runtime::Runtime,
    pub node: Node,
    pub ours: Target,
}

impl Bench {
    fn new() -> Bench {
        Bench::serve(Node::builder().scheduler(false))
    }

    /// Starts a node and serves its API, with sessions into its pods, over plain HTTP on loopback.
    pub fn serve(node: NodeBuilder) -> Bench {
        let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads");
        let directory = tempfile::tempdir().expect("a directory");
        let (node, ours) = tokio.block_on(async {
            let node = node.name(NODE).start().expect("a node");
            let credentials = Arc::new(Credentials::load_or_create(directory.path(), &[], &[]).expect("credentials"));
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let address = listener.local_addr().expect("an address");
            let token = credentials.token().to_string();
            let api = Api {
                control: node.control().clone(),
                nodes: HashMap::from([(NODE.to_string(), node.handle().clone())]),
                clock: Clock::system(),
                live: Vec::new(),
                ready: Vec::new(),
                store: None,
            };
            let tls = credentials.tls.clone();
            let app = router(Arc::new(api), Arc::new(Authorizer { credentials: Some(credentials), names: Vec::new() }));
            tokio::spawn(server::serve(
                server::Listener::Tcp(listener, tls),
                app,
                CancellationToken::new(),
                Duration::ZERO,
            ));
            (node, Target { address, token, accept: ANYTHING })
        });
        Bench { tokio, node, ours }
    }

    pub fn stop(self) {
        self.tokio.block_on(self.node.stop());
    }

    fn fill(&self) {
        self.tokio.block_on(async {
            for i in 0..PODS {
                let yaml = format!(
                    "{{metadata: {{name: web-{i}, labels: {{app: web}}}}, spec: {{containers: [
                      {{name: web, image: nginx, ports: [{{containerPort: 80}}], resources: {{limits: {{memory: 64Mi}}}}}}]}}}}"
                );
                let pod: Pod = serde_yaml::from_str(&yaml).expect("a pod");
                self.node.control().create(Object::from(pod)).await.expect("created");
            }
        });
    }

    /// Starts a server that only serves prepared responses.
    fn native(&self, app: Router) -> Target {
        let address = self.tokio.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let address = listener.local_addr().expect("an address");
            tokio::spawn(async { axum::serve(listener, app).await });
            address
        });
        Target { address, token: String::new(), accept: ANYTHING }
    }
}

impl Target {
    /// Sends a request and returns the connection.
    fn open(&self, path: &str) -> BufReader<TcpStream> {
        let mut stream = TcpStream::connect(self.address).expect("connected");
        stream.set_nodelay(true).expect("no delay");
        stream.write_all(&self.head(path)).expect("sent");
        BufReader::with_capacity(256 * 1024, stream)
    }

    fn head(&self, path: &str) -> Vec<u8> {
        let Target { address, token, accept } = self;
        let head = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n");
        (head + "Accept: " + accept + "\r\n\r\n").into_bytes()
    }

    /// Returns the body of a response.
    fn body(&self, path: &str) -> Vec<u8> {
        let mut reader = self.open(path);
        let mut body = vec![0; length(&mut reader)];
        reader.read_exact(&mut body).expect("a body");
        body
    }

    /// Returns the requests per second over one connection during about `time`.
    fn rate(&self, path: &str, time: Duration) -> f64 {
        let mut reader = self.open(path);
        let head = self.head(path);
        let mut body = Vec::new();
        let start = Instant::now();
        let mut count = 0;
        while start.elapsed() < time {
            body.resize(length(&mut reader), 0);
            reader.read_exact(&mut body).expect("a body");
            count += 1;
            reader.get_mut().write_all(&head).expect("sent");
        }
        f64::from(count) / start.elapsed().as_secs_f64()
    }

    /// Returns the milliseconds that each of `count` requests takes over one connection, with pauses between them.
    fn latencies(&self, path: &str, count: usize) -> Vec<f64> {
        let mut reader = self.open(path);
        let head = self.head(path);
        let mut body = Vec::new();
        let mut times = Vec::with_capacity(count);
        let mut start = Instant::now();
        for _ in 0..count {
            body.resize(length(&mut reader), 0);
            reader.read_exact(&mut body).expect("a body");
            times.push(millis(start.elapsed()));
            std::thread::sleep(Duration::from_millis(2));
            start = Instant::now();
            reader.get_mut().write_all(&head).expect("sent");
        }
        times
    }

    /// Returns the events per second of a watch that sends `count` events.
    fn events(&self, path: &str, count: usize) -> f64 {
        let start = Instant::now();
        let mut reader = self.open(path);
        let (mut seen, mut before) = (0, 0);
        while seen < count {
            let piece = reader.fill_buf().expect("events");
            assert!(!piece.is_empty(), "the watch ended after {seen} events");
            // An event ends with a bare newline; HTTP's own lines end with two characters.
            for byte in piece {
                seen += usize::from(*byte == b'\n' && before != b'\r');
                before = *byte;
            }
            let taken = piece.len();
            reader.consume(taken);
        }
        count as f64 / start.elapsed().as_secs_f64()
    }
}

/// Reads the head of a response and returns the length of its body.
pub fn length(reader: &mut impl BufRead) -> usize {
    let mut length = 0;
    let mut line = String::new();
    loop {
        line.clear();
        reader.read_line(&mut line).expect("a head");
        match line.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.parse().expect("a length")
            }
            Some(_) => {}
            None if line.trim().is_empty() => return length,
            None => assert!(line.contains(" 200 ") || line.contains(" 201 "), "{line}"),
        }
    }
}

/// Returns the medians of several rounds in turn, so that both sides run under the same load.
pub fn in_turn(mut ours: impl FnMut() -> f64, mut native: impl FnMut() -> f64) -> (f64, f64) {
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        a.push(ours());
        b.push(native());
    }
    (percentile(&mut a, 0.5), percentile(&mut b, 0.5))
}

pub fn requests() -> Vec<Figure> {
    let bench = Bench::new();
    bench.fill();
    let (one, all) = ("/api/v1/namespaces/default/pods/web-7", "/api/v1/pods");
    let prepared = |path: &str| Bytes::from(bench.ours.body(path));
    let (pod, list) = (prepared(one), prepared(all));
    let app = Router::new()
        .route("/one", get(move || async move { ([("content-type", "application/json")], pod) }))
        .route("/all", get(move || async move { ([("content-type", "application/json")], list) }));
    let native = bench.native(app);
    let second = Duration::from_millis(700);
    let (ours_get, native_get) = in_turn(|| bench.ours.rate(one, second), || native.rate("/one", second));
    let (ours_list, native_list) = in_turn(|| bench.ours.rate(all, second), || native.rate("/all", second));
    let mut figures = vec![
        Figure::new("api_get", ours_get, "1/s").at_least_part_of(0.7, native_get),
        Figure::new("api_list_1000", ours_list, "1/s").at_least_part_of(0.5, native_list),
    ];
    figures.push(list_in_protobuf(&bench, all));
    figures.push(watch_events(&bench));
    figures
}

/// Measures a list in protobuf beside the same in JSON.
fn list_in_protobuf(bench: &Bench, path: &str) -> Figure {
    let second = Duration::from_millis(700);
    let protobuf = Target { accept: PROTOBUF, ..bench.ours.clone() };
    let (protobuf, json) = in_turn(|| protobuf.rate(path, second), || bench.ours.rate(path, second));
    Figure::new("api_list_1000_protobuf", protobuf, "1/s").at_least_part_of(1.0, json)
}

/// Measures what clients read before their first request for an object.
pub fn documents() -> Vec<Figure> {
    let bench = Bench::new();
    let discovery = Target { accept: DISCOVERY, ..bench.ours.clone() };
    let mut discovery = discovery.latencies("/apis", 200);
    let mut openapi = bench.ours.latencies("/openapi/v3/apis/apps/v1", 50);
    bench.stop();
    vec![
        Figure::new("discovery_ms", percentile(&mut discovery, 0.5), "ms"),
        Figure::new("openapi_v3_apps_ms", percentile(&mut openapi, 0.5), "ms"),
    ]
}

/// Measures requests for a pod while guests occupy all processors.
pub fn under_spin() -> Vec<Figure> {
    const SPINNING: usize = 8;
    let bench = Bench::serve(Node::builder());
    bench.tokio.block_on(async {
        for i in 0..SPINNING {
            let pod = format!(
                "{{apiVersion: v1, kind: Pod, metadata: {{name: spin-{i}}}, spec: {{containers: [{{name: c, \
                 image: busybox, command: [sh, -c, 'while true; do :; done']}}]}}}}"
            );
            bench.node.apply(pod).await.expect("applied");
        }
        for i in 0..SPINNING {
            bench.node.wait_ready(&format!("spin-{i}")).await.expect("ready");
        }
    });
    let mut times = bench.ours.latencies("/api/v1/namespaces/default/pods/spin-0", 2000);
    let figure = Figure::new("api_p99_under_spin", percentile(&mut times, 0.99), "ms").at_most(5.0);
    bench.stop();
    vec![figure]
}

/// Measures a watch of past changes.
fn watch_events(bench: &Bench) -> Figure {
    let control = bench.node.control();
    let from = bench.tokio.block_on(async {
        let from = control.revision().await.expect("a revision");
        for i in 0..CHANGES {
            let key = Key::pod("default", &format!("web-{}", i % PODS));
            let status = serde_yaml::from_str(&format!("{{phase: Pending, message: 'change {i}'}}")).expect("a status");
            control.update(&key, Update::PodStatus(Box::new(status)), Preconditions::default()).await.expect("updated");
        }
        from
    });
    let path = format!("/api/v1/pods?watch=1&resourceVersion={from}");
    let events = prepared_events(&bench.ours, &path);
    let stream = move || {
        let events = events.clone();
        async move { Body::from_stream(futures_util::stream::iter(events.into_iter().map(Ok::<_, Infallible>))) }
    };
    let native = bench.native(Router::new().route("/events", get(stream)));
    let (ours, native) = in_turn(|| bench.ours.events(&path, CHANGES), || native.events("/events", CHANGES));
    Figure::new("api_watch_events", ours, "1/s").at_least_part_of(0.4, native)
}

/// Returns the events of our own watch, one by one.
fn prepared_events(target: &Target, path: &str) -> Vec<Bytes> {
    let mut events = Vec::new();
    for line in target.open(path).lines().map(|line| line.expect("a line")).filter(|line| line.starts_with('{')) {
        events.push(Bytes::from(line + "\n"));
        if events.len() == CHANGES {
            break;
        }
    }
    events
}

/// Measures the memory of idle watchers.
pub fn watchers() -> Vec<Figure> {
    const WATCHERS: usize = 1000;
    let bench = Bench::new();
    bench.fill();
    let resident = || field(&std::fs::read_to_string("/proc/self/status").expect("a status"), "VmRSS:");
    let from = bench.tokio.block_on(bench.node.control().revision()).expect("a revision");
    let path = format!("/api/v1/pods?watch=1&resourceVersion={from}");
    let begin = || {
        let stream = bench.ours.open(&path).into_inner();
        let mut reader = BufReader::with_capacity(512, stream);
        // After its head, the watch has begun.
        length(&mut reader);
        reader
    };
    let _warm = begin();
    let before = resident();
    let all: Vec<_> = (0..WATCHERS).map(|_| begin()).collect();
    let grown = resident() - before;
    drop(all);
    vec![Figure::new("watchers_1000_memory_kib", grown, "KiB")]
}

/// Measures the memory of an idle `wasmpod serve`.
pub fn idle_serve() -> Vec<Figure> {
    let directory = tempfile::tempdir().expect("a directory");
    let mut child = Command::new(program())
        .args(["serve", "--listen", "127.0.0.1:0", "--state-dir"])
        .arg(directory.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("wasmpod starts");
    let mut stderr = BufReader::new(child.stderr.take().expect("standard error"));
    let mut line = String::new();
    stderr.read_line(&mut line).expect("the address");
    assert!(line.contains("https://"), "{line}");
    // Includes threads and pools that start late.
    std::thread::sleep(Duration::from_secs(2));
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).expect("a status");
    child.kill().expect("killed");
    child.wait().expect("exited");
    vec![Figure::new("serve_idle_rss_mib", field(&status, "VmRSS:") / 1024.0, "MiB").at_most(24.0)]
}
