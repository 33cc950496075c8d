//! A plain HTTP client of a node, over loopback.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use wasmpod_test_support::api_server::Response;
use wasmpod_test_support::{ServedNode, connect};

/// Returns the path of the page of a pod.
pub fn page_of(pod: &str) -> String {
    format!("/api/v1/namespaces/default/pods/{pod}:80/proxy/")
}

/// The address and token of a node.
#[derive(Clone)]
pub struct Client {
    pub port: u16,
    token: String,
}

impl Client {
    pub fn new(node: &ServedNode) -> Client {
        let port = node.url.rsplit(':').next().and_then(|port| port.parse().ok());
        Client { port: port.expect("a port"), token: node.token() }
    }

    /// Returns the head of a request up to its last header.
    pub fn head(&self, method: &str, path: &str) -> String {
        let Client { port, token } = self;
        format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n")
    }

    /// Sends a request without a body on a connection of its own.
    pub fn open(&self, method: &str, path: &str) -> TcpStream {
        let mut stream = connect(self.port);
        write!(stream, "{}Connection: close\r\n\r\n", self.head(method, path)).expect("sent");
        stream
    }

    /// Returns the code and the text of the response to a request without a body.
    pub fn get(&self, path: &str) -> (u16, String) {
        let response = Response::read(self.open("GET", path));
        (response.code, response.text())
    }

    /// Sends a request with a body of JSON and returns its code and text.
    pub fn send(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let mut stream = connect(self.port);
        let head = self.head(method, path);
        let length = body.len();
        let headers = format!("Content-Type: application/json\r\nContent-Length: {length}\r\nConnection: close");
        write!(stream, "{head}{headers}\r\n\r\n{body}").expect("sent");
        let response = Response::read(stream);
        (response.code, response.text())
    }

    /// Returns how long each request for a page of `pod` takes that fits into `window`, one after another on one
    /// connection.
    pub fn page_latencies(&self, pod: &str, window: Duration) -> Vec<Duration> {
        let mut stream = BufReader::new(connect(self.port));
        let request = format!("{}\r\n", self.head("GET", &page_of(pod)));
        let (start, mut latencies) = (Instant::now(), Vec::new());
        while start.elapsed() < window {
            let sent = Instant::now();
            stream.get_mut().write_all(request.as_bytes()).expect("sent");
            read_page(&mut stream);
            latencies.push(sent.elapsed());
        }
        latencies
    }
}

fn read_page(stream: &mut BufReader<TcpStream>) {
    let (mut head, mut line) = (String::new(), String::new());
    while line != "\r\n" {
        line.clear();
        assert!(stream.read_line(&mut line).expect("a header") > 0, "the connection ended: {head}");
        head.push_str(&line.to_lowercase());
    }
    assert!(head.starts_with("http/1.1 200 "), "{head}");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok());
    let mut body = vec![0; length.unwrap_or_else(|| panic!("no length: {head}"))];
    stream.read_exact(&mut body).expect("a body");
}
