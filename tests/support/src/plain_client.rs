//! A client of a served node over plain HTTP, which the node may be killed under.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use super::ServedNode;

/// Longer than the node takes for a response on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A client that opens a connection for each request, without TLS.
pub struct PlainClient {
    /// Address and port of the node.
    pub address: String,
    token: String,
}

impl PlainClient {
    pub fn new(node: &ServedNode) -> PlainClient {
        PlainClient { address: node.url.replace("https://", ""), token: node.token() }
    }

    /// Sends a request and returns the status code and the body, or `None` if the node is gone before the response is
    /// complete. The body of a PATCH is a merge patch; `null` is none.
    pub fn send(&self, method: &str, path: &str, body: &Value) -> Option<(u16, Value)> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (code, body) = self.send_text(method, path, &body)?;
        // A body that was cut is not JSON.
        Some((code, serde_json::from_str(&body).ok()?))
    }

    /// Sends a request and returns the status code and the text of the body, or `None` if the node is gone.
    pub fn send_text(&self, method: &str, path: &str, body: &str) -> Option<(u16, String)> {
        let PlainClient { address, token } = self;
        let mut stream = TcpStream::connect(address).ok()?;
        stream.set_read_timeout(Some(TIMEOUT)).expect("a timeout");
        let content_type = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\
             Content-Type: {content_type}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).ok()?;
        let mut response = String::new();
        stream.read_to_string(&mut response).ok()?;
        let (head, body) = response.split_once("\r\n\r\n")?;
        let code = head.split(' ').nth(1)?.parse().ok()?;
        Some((code, body.to_string()))
    }

    /// Sends a request to a node that runs, and returns the body of the response.
    ///
    /// # Panics
    /// If the node is gone, or the response is an error.
    #[track_caller]
    pub fn request(&self, method: &str, path: &str, body: &Value) -> Value {
        let (code, answer) = self.send(method, path, body).expect("a response");
        assert!(code < 300, "{method} {path}: {code} {answer}");
        answer
    }
}
