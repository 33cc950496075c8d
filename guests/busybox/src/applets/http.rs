//! The client side of HTTP/1.1 that wget and curl share: URLs, requests, responses and their bodies. No TLS.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::rc::Rc;

use wstd::io::{AsyncRead, AsyncWrite};
use wstd::net::TcpStream;

use super::nc::{ConnectError, connect};
use super::sleep::within;
use crate::proc::{Writer, strerror};

const MAX_LINE: usize = 64 * 1024;
const MAX_HEADERS: usize = 1000;

// ---------------------------------------------------------------- addresses

#[derive(Clone, Debug, PartialEq)]
pub struct Url {
    pub host: String,
    pub port: u16,
    /// Path and query.
    pub path: String,
    /// User name and password, `user:password`.
    pub credentials: Option<String>,
}

/// Why text is not the address of an HTTP resource.
#[derive(Debug, PartialEq)]
pub enum UrlError {
    /// The scheme is not `http`.
    Scheme(String),
    NoHost,
    BadPort,
}

impl Url {
    /// Parses a URL, whose scheme may be missing.
    ///
    /// # Errors
    /// The scheme, host or port is not valid.
    pub fn parse(text: &str) -> Result<Url, UrlError> {
        let rest = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
            Some((scheme, _)) if !scheme.contains(['/', '?', '#']) => {
                return Err(UrlError::Scheme(scheme.to_ascii_lowercase()));
            }
            _ => text,
        };
        let cut = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(cut);
        let (credentials, authority) = match authority.rsplit_once('@') {
            Some((credentials, authority)) => (Some(percent_decode(credentials)), authority),
            None => (None, authority),
        };
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| UrlError::BadPort)?),
            _ => (authority, 80),
        };
        let path = path.split('#').next().unwrap_or_default();
        let path = if path.starts_with('/') { path.to_string() } else { format!("/{path}") };
        let host = host.trim_matches(['[', ']']).to_string();
        if host.is_empty() { Err(UrlError::NoHost) } else { Ok(Url { host, port, path, credentials }) }
    }

    /// Returns the host with its port, if that is not the usual one.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == 80 { host } else { format!("{host}:{}", self.port) }
    }

    /// Returns the address that a `Location` header of a response from here names.
    pub fn join(&self, location: &str) -> String {
        let path = self.path.split('?').next().unwrap_or_default();
        if location.contains("://") {
            location.to_string()
        } else if let Some(rest) = location.strip_prefix("//") {
            format!("http://{rest}")
        } else if location.starts_with('/') {
            format!("http://{}{location}", self.authority())
        } else if location.starts_with('?') {
            format!("http://{}{path}{location}", self.authority())
        } else {
            let directory = path.rfind('/').map_or("/", |at| &path[..=at]);
            format!("http://{}{directory}{location}", self.authority())
        }
    }
}

fn percent_decode(text: &str) -> String {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((byte, behind)) = rest.split_first() {
        let digit = |at: usize| behind.get(at).and_then(|b| char::from(*b).to_digit(16));
        match (byte, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                rest = behind.get(2..).unwrap_or_default();
            }
            _ => {
                out.push(*byte);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

// ---------------------------------------------------------------- messages

pub struct Request {
    pub method: String,
    /// The lines between the request line and the body, without `Content-Length`.
    pub headers: Vec<String>,
    pub body: Option<Vec<u8>>,
}

impl Request {
    /// Returns the first line and the headers, with their empty line.
    pub fn head(&self, url: &Url) -> String {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, url.path);
        for header in &self.headers {
            head += &format!("{header}\r\n");
        }
        if let Some(body) = &self.body {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        head + "\r\n"
    }
}

/// Whether `header` is a line of this name.
pub fn is_named(header: &str, name: &str) -> bool {
    header.split([':', ';']).next().is_some_and(|found| found.trim().eq_ignore_ascii_case(name))
}

/// Returns the header of basic authentication.
pub fn basic_authorization(credentials: &str) -> String {
    format!("Authorization: Basic {}", super::digest::encode_text(credentials.as_bytes()))
}

pub struct Response {
    pub status: u16,
    pub first_line: String,
    /// The header lines as received.
    pub lines: Vec<String>,
}

impl Response {
    /// Returns the value of the first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let line = self.lines.iter().find(|line| line.contains(':') && is_named(line, name))?;
        line.split_once(':').map(|(_, value)| value.trim())
    }

    /// Returns the target of a redirection.
    pub fn redirect(&self) -> Option<&str> {
        matches!(self.status, 301 | 302 | 303 | 307 | 308).then(|| self.header("location")).flatten()
    }
}

// ---------------------------------------------------------------- transfer

/// Why an exchange fails. Displays as busybox's messages.
pub enum HttpError {
    Connect(ConnectError),
    Send(io::Error),
    Receive(io::Error),
    TimedOut,
    /// The connection ended before the head of the response.
    NoResponse,
    /// What is wrong with the head of the response.
    BadResponse(String),
    BadChunkLength,
    Truncated,
    /// The target could not be written.
    Write(io::Error),
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HttpError::Connect(error) => error.fmt(f),
            HttpError::Send(error) | HttpError::Write(error) => write!(f, "write error: {}", strerror(error)),
            HttpError::Receive(error) => write!(f, "read error: {}", strerror(error)),
            HttpError::TimedOut => f.write_str("download timed out"),
            HttpError::NoResponse => f.write_str("error getting response"),
            HttpError::BadResponse(reason) => write!(f, "bad response: {reason}"),
            HttpError::BadChunkLength => f.write_str("bad chunk length"),
            HttpError::Truncated => f.write_str("connection closed prematurely"),
        }
    }
}

/// A connection and the bytes read ahead.
pub struct Connection {
    stream: TcpStream,
    buf: Vec<u8>,
    /// The longest wait for bytes.
    seconds: f64,
    /// Bytes of bodies that were read.
    received: Rc<Cell<u64>>,
}

impl Connection {
    /// Connects to the first address of `host` that answers.
    ///
    /// # Errors
    /// `Connect`.
    pub async fn open(host: &str, port: u16, seconds: f64) -> Result<(Connection, IpAddr), HttpError> {
        let (stream, ip) = connect(host, port, seconds).await.map_err(HttpError::Connect)?;
        Ok((Connection { stream, buf: vec![], seconds, received: Rc::default() }, ip))
    }

    /// Returns the number of bytes of bodies, which grows while they are copied.
    pub fn received(&self) -> Rc<Cell<u64>> {
        self.received.clone()
    }

    /// Sends bytes of a request.
    ///
    /// # Errors
    /// `Send`.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<(), HttpError> {
        let sent = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        }
        .await;
        sent.map_err(HttpError::Send)
    }

    /// Reads more bytes; false at the end.
    async fn read_more(&mut self) -> Result<bool, HttpError> {
        let mut buf = vec![0; 32 * 1024];
        let read = within(self.seconds, pin!(self.stream.read(&mut buf))).await;
        match read {
            None => Err(HttpError::TimedOut),
            Some(Err(error)) => Err(HttpError::Receive(error)),
            Some(Ok(n)) => {
                self.buf.extend_from_slice(buf.get(..n).unwrap_or_default());
                Ok(n > 0)
            }
        }
    }

    async fn read_line(&mut self) -> Result<String, HttpError> {
        loop {
            if let Some(end) = self.buf.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.buf.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line).trim_end().to_string());
            }
            if self.buf.len() > MAX_LINE {
                return Err(HttpError::BadResponse("a line is too long".into()));
            }
            if !self.read_more().await? {
                return Err(HttpError::NoResponse);
            }
        }
    }

    /// Reads the head of a response, which may be a provisional one.
    ///
    /// # Errors
    /// The connection fails, or the head is not valid.
    pub async fn read_head(&mut self) -> Result<Response, HttpError> {
        let first_line = self.read_line().await?;
        let mut words = first_line.split_whitespace();
        let version = words.next().unwrap_or_default();
        let status: u16 = words.next().and_then(|w| w.parse().ok()).unwrap_or(0);
        if !version.starts_with("HTTP/") || status == 0 {
            return Err(HttpError::BadResponse(first_line));
        }
        let mut lines = Vec::new();
        loop {
            let line = self.read_line().await?;
            if line.is_empty() {
                return Ok(Response { status, first_line, lines });
            }
            lines.push(line);
            if lines.len() > MAX_HEADERS {
                return Err(HttpError::BadResponse("too many headers".into()));
            }
        }
    }

    /// Copies the body of a response; returns its length.
    ///
    /// # Errors
    /// The connection or the target fails.
    pub async fn copy_body(&mut self, response: &Response, to: &Writer) -> Result<u64, HttpError> {
        if matches!(response.status, 204 | 304) {
            return Ok(0);
        }
        let chunked = response.header("transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked"));
        if chunked {
            return self.copy_chunks(to).await;
        }
        let length = response.header("content-length").and_then(|v| v.parse().ok());
        self.copy_bytes(length, to).await
    }

    /// Copies `count` bytes, or all until the end.
    async fn copy_bytes(&mut self, count: Option<u64>, to: &Writer) -> Result<u64, HttpError> {
        let mut left = count;
        let mut total = 0;
        while left != Some(0) {
            if self.buf.is_empty() && !self.read_more().await? {
                match left {
                    None => break,
                    Some(_) => return Err(HttpError::Truncated),
                }
            }
            let now = left.map_or(self.buf.len(), |l| self.buf.len().min(l as usize));
            to.write_all(self.buf.get(..now).unwrap_or_default()).await.map_err(HttpError::Write)?;
            self.buf.drain(..now);
            total += now as u64;
            self.received.set(self.received.get() + now as u64);
            left = left.map(|l| l - now as u64);
        }
        Ok(total)
    }

    /// Copies a body in chunks, whose lengths precede them.
    async fn copy_chunks(&mut self, to: &Writer) -> Result<u64, HttpError> {
        let mut total = 0;
        loop {
            let line = self.read_line().await?;
            let length = line.split(';').next().unwrap_or_default().trim();
            match u64::from_str_radix(length, 16) {
                Ok(0) => return Ok(total),
                Ok(length) => {
                    total += self.copy_bytes(Some(length), to).await?;
                    self.read_line().await?;
                }
                Err(_) => return Err(HttpError::BadChunkLength),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).expect("a valid URL")
    }

    #[test]
    fn urls_have_host_port_path_and_credentials() {
        let parsed = url("http://us%40er:p@example.org:8080/a/b?c=d#e");
        assert_eq!(parsed.credentials.as_deref(), Some("us@er:p"));
        assert_eq!((parsed.host.as_str(), parsed.port, parsed.path.as_str()), ("example.org", 8080, "/a/b?c=d"));
        assert_eq!(url("localhost?x=http://y").path, "/?x=http://y");
        assert_eq!((url("http://[::1]:81").authority(), url("a").authority()), ("[::1]:81".into(), "a".into()));
        assert_eq!(Url::parse("https://a"), Err(UrlError::Scheme("https".into())));
        assert_eq!(Url::parse("http://"), Err(UrlError::NoHost));
        assert_eq!(Url::parse("http://a:x/"), Err(UrlError::BadPort));
    }

    #[test]
    fn locations_are_relative_to_the_address() {
        let from = url("http://h:81/a/b?c");
        for (location, expected) in [
            ("http://x/y", "http://x/y"),
            ("//x/y", "http://x/y"),
            ("/y", "http://h:81/y"),
            ("y", "http://h:81/a/y"),
            ("?d", "http://h:81/a/b?d"),
        ] {
            assert_eq!(from.join(location), expected);
        }
    }
}
