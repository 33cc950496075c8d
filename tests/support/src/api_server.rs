//! The Kubernetes API of a node in this process, and a plain HTTP client for it.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio_util::sync::CancellationToken;
use wasmpod::apiserver::auth::Authorizer;
use wasmpod::apiserver::credentials::Credentials;
use wasmpod::apiserver::health::HealthCheck;
use wasmpod::apiserver::{Api, router, server};
use wasmpod::clock::Clock;
use wasmpod::control::{Body, Key, Resource};
use wasmpod::controllers::static_pods::ensure_namespace;
use wasmpod::embedded::Node;
use wasmpod::k8s_openapi::api::core::v1::{Pod, ServiceAccount};

use crate::waiting::eventually;

/// An API server on loopback, over a node without a scheduler, so that no pod runs. Dropping it stops both.
pub struct ApiServer {
    tokio: tokio::runtime::Runtime,
    node: Option<Node>,
    pub address: SocketAddr,
    pub token: String,
    stop: CancellationToken,
}

impl ApiServer {
    pub fn start() -> ApiServer {
        let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let (tokio, directory) = (threads.expect("threads"), tempfile::tempdir().expect("a directory"));
        let (node, listener, credentials) = tokio.block_on(async {
            let node = Node::builder().scheduler(false).start().expect("a node");
            let credentials = Credentials::load_or_create(directory.path(), &[], &[]).expect("credentials");
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
            (node, listener, Arc::new(credentials))
        });
        let address = listener.local_addr().expect("an address");
        let token = credentials.token().to_string();
        let api = Api {
            control: node.control().clone(),
            nodes: HashMap::new(),
            clock: Clock::system(),
            live: vec![HealthCheck::ping()],
            ready: vec![HealthCheck::ping()],
            store: None,
        };
        let stop = CancellationToken::new();
        let app =
            router(Arc::new(api), Arc::new(Authorizer { credentials: Some(credentials.clone()), names: Vec::new() }));
        let grace = Duration::from_millis(200);
        tokio.spawn(server::serve(server::Listener::Tcp(listener, credentials.tls.clone()), app, stop.clone(), grace));
        ApiServer { tokio, node: Some(node), address, token, stop }
    }

    fn node(&self) -> &Node {
        self.node.as_ref().expect("only drop takes the node")
    }

    /// Creates a pod through the control plane, not over HTTP.
    pub fn create_pod(&self, yaml: &str) {
        let pod: Pod = serde_yaml::from_str(yaml).expect("a pod");
        self.tokio.block_on(self.node().control().create(Body::from(pod))).expect("created");
    }

    /// Creates a namespace, and waits for its account and certificates.
    pub fn create_namespace(&self, name: &str) {
        self.tokio.block_on(async {
            let control = self.node().control();
            ensure_namespace(&**control, name).await.expect("created");
            // What controllers give each namespace: afterwards, only the test writes.
            for (resource, content) in
                [(Resource::of::<ServiceAccount>(), "default"), (Resource::CONFIG_MAPS, "kube-root-ca.crt")]
            {
                let key = Key::new(resource, name, content);
                eventually(content, async || control.get(&key).await).await;
            }
        });
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("connected");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
        stream
    }

    /// Sends the head of a request with the token, and returns the connection.
    pub fn open(&self, method: &str, path: &str, headers: &str) -> TcpStream {
        let mut stream = self.connect();
        let (address, token) = (self.address, &self.token);
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n{headers}\r\n"
        );
        stream.write_all(head.as_bytes()).expect("sent");
        stream
    }

    /// Sends a request without a body.
    pub fn request(&self, method: &str, path: &str, headers: &str) -> Response {
        Response::read(self.open(method, path, headers))
    }

    pub fn get(&self, path: &str) -> Response {
        self.request("GET", path, "")
    }

    /// Sends a request with a body.
    pub fn send(&self, method: &str, path: &str, content_type: &str, body: &str) -> Response {
        let length = body.len();
        let headers = format!("Content-Type: {content_type}\r\nContent-Length: {length}\r\n");
        let mut stream = self.open(method, path, &headers);
        stream.write_all(body.as_bytes()).expect("sent");
        Response::read(stream)
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(node) = self.node.take() {
            self.tokio.block_on(node.stop());
        }
    }
}

/// A response of the server. Header names are in lower case.
pub struct Response {
    pub code: u16,
    pub headers: HashMap<String, String>,
    body: Vec<u8>,
}

impl Response {
    /// Reads a response to its end.
    pub fn read(stream: TcpStream) -> Response {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).expect("a status line");
        let code = line
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .unwrap_or_else(|| panic!("not a response: {line:?}"));
        let mut headers = HashMap::new();
        loop {
            line.clear();
            reader.read_line(&mut line).expect("a header");
            match line.trim_end().split_once(':') {
                Some((name, value)) => headers.insert(name.to_lowercase(), value.trim().to_string()),
                None => break,
            };
        }
        let mut body = Vec::new();
        if headers.get("transfer-encoding").is_some_and(|coding| coding == "chunked") {
            loop {
                line.clear();
                reader.read_line(&mut line).expect("a chunk's length");
                let length = usize::from_str_radix(line.trim(), 16).unwrap_or(0);
                let mut chunk = vec![0; length + 2];
                reader.read_exact(&mut chunk).expect("a chunk");
                if length == 0 {
                    break;
                }
                chunk.truncate(length);
                body.extend(chunk);
            }
        } else {
            reader.read_to_end(&mut body).expect("a body");
        }
        Response { code, headers, body }
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("not JSON ({error}): {}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Checks the code and the message of an error.
    #[track_caller]
    pub fn assert_error(&self, code: u16, message: &str) {
        assert_eq!((self.code, self.json()["message"].as_str()), (code, Some(message)));
    }

    /// Checks the code of an error and a part of its message.
    #[track_caller]
    pub fn assert_error_contains(&self, code: u16, part: &str) {
        let message = self.json()["message"].as_str().unwrap_or_default().to_string();
        assert_eq!((self.code, message.contains(part)), (code, true), "{}: {message}", self.code);
    }
}

/// Returns the events of a watch as they arrive.
pub fn watch_events(stream: TcpStream) -> impl Iterator<Item = Value> {
    let lines = BufReader::new(stream).lines().map_while(Result::ok);
    lines.filter(|line| line.starts_with('{')).map(|line| serde_json::from_str(&line).expect("an event"))
}
