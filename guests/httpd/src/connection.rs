//! One connection: reads requests, writes responses and logs them.
//!
//! Guarantees that every client is bounded in memory and time, and that termination never interrupts a response.

use std::io::{self, Read};
use std::path::Path;
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

use wstd::io::{AsyncOutputStream, AsyncRead, AsyncWrite};
use wstd::net::TcpStream;

use crate::request::{MAX_HEAD, Request};
use crate::response::{Body, Response, reason_phrase, respond};
use crate::timeouts::{Timeouts, WaitOutcome};
use crate::{OpenConnections, date};

/// Timeouts in seconds: between requests, the same while the server is crowded, for a request's head, and for a write
/// that the client does not read.
const IDLE_TIMEOUT: u64 = 75;
const CROWDED_IDLE_TIMEOUT: u64 = 5;
const HEAD_TIMEOUT: u64 = 30;
const WRITE_TIMEOUT: u64 = 60;

const BLOCK: usize = 64 * 1024;

/// The state that all connections share.
pub struct Site {
    pub root: Box<Path>,
    pub log: AsyncOutputStream,
    pub timeouts: Rc<Timeouts>,
    pub open: Rc<OpenConnections>,
}

/// How reading a request's head ended.
enum Head {
    /// The length of the head in the buffer.
    Complete(usize),
    /// The client disconnected or never sent anything.
    Gone,
    TooSlow,
    TooLong,
    /// The bytes can't become a request.
    Bad,
}

/// Serves one client until either side closes the connection.
pub async fn serve(site: Rc<Site>, mut stream: TcpStream) {
    let mut buf = Vec::new();
    loop {
        let head = match read_head(&site, &mut stream, &mut buf).await {
            Head::Complete(length) => length,
            Head::Gone => return,
            Head::TooSlow => return refuse(&site, &mut stream, 408).await,
            Head::TooLong => return refuse(&site, &mut stream, 431).await,
            Head::Bad => return refuse(&site, &mut stream, 400).await,
        };
        let bytes: Vec<u8> = buf.drain(..head).collect();
        let Some(request) = Request::parse(&bytes) else {
            return refuse(&site, &mut stream, 400).await;
        };
        let response = respond(&site.root, &request);
        let keep = request.keeps_alive()
            && response.status != 400
            && !site.timeouts.is_terminating()
            && !site.open.is_crowded();
        let status = response.status;
        let written = write(&site.timeouts, &mut stream, response, request.method == "HEAD", keep).await;
        let line = format!("{} {} {}", request.method, request.target, request.version);
        let agent = request.header("user-agent").unwrap_or("-");
        let referer = request.header("referer").unwrap_or("-");
        site.log_request(&stream, &line, status, *written.as_ref().unwrap_or(&0), referer, agent).await;
        if written.is_err() || !keep {
            return;
        }
    }
}

/// Answers a request that can't be read, before the connection is closed.
async fn refuse(site: &Site, stream: &mut TcpStream, status: u16) {
    let sent = write(&site.timeouts, stream, Response::status_page(status), false, false).await.unwrap_or(0);
    site.log_request(stream, "-", status, sent, "-", "-").await;
}

/// Reads until an empty line. Termination closes the connection between requests but not within one.
async fn read_head(site: &Site, stream: &mut TcpStream, buf: &mut Vec<u8>) -> Head {
    let mut block = vec![0; 4096];
    let mut seen = 0;
    loop {
        // Some clients send an empty line after a request.
        if buf.starts_with(b"\r\n") {
            buf.drain(..2);
            seen = 0;
        }
        if let Some(end) = end_of_head(buf, seen) {
            return if end > MAX_HEAD { Head::TooLong } else { Head::Complete(end) };
        }
        if buf.len() > MAX_HEAD {
            return Head::TooLong;
        }
        if !Request::may_become_request(buf) {
            return Head::Bad;
        }
        seen = buf.len();
        let read = if buf.is_empty() {
            let idle = if site.open.is_crowded() { CROWDED_IDLE_TIMEOUT } else { IDLE_TIMEOUT };
            match site.timeouts.until_termination(Some(idle), stream.read(&mut block)).await {
                WaitOutcome::Done(read) => Some(read),
                WaitOutcome::TimedOut | WaitOutcome::Terminating => return Head::Gone,
            }
        } else {
            site.timeouts.within(HEAD_TIMEOUT, stream.read(&mut block)).await
        };
        match read {
            Some(Ok(0) | Err(_)) => return Head::Gone,
            Some(Ok(n)) => buf.extend_from_slice(block.get(..n).unwrap_or_default()),
            None => return Head::TooSlow,
        }
    }
}

/// Returns the end of the empty line; the first `seen` bytes were searched before.
fn end_of_head(buf: &[u8], seen: usize) -> Option<usize> {
    let from = seen.saturating_sub(3);
    let fresh = buf.get(from..)?;
    let crlf = fresh.windows(4).position(|w| w == b"\r\n\r\n").map(|at| from + at + 4);
    let bare = fresh.windows(2).position(|w| w == b"\n\n").map(|at| from + at + 2);
    [crlf, bare].into_iter().flatten().min()
}

/// Writes a response; returns the number of bytes of its body.
async fn write(
    timeouts: &Rc<Timeouts>,
    stream: &mut TcpStream,
    response: Response,
    head_only: bool,
    keep: bool,
) -> io::Result<u64> {
    let Response { status, headers, body, length } = response;
    let mut head = format!(
        "HTTP/1.1 {status} {}\r\nServer: wasmpod\r\nDate: {}\r\nConnection: {}\r\n",
        reason_phrase(status),
        date::format_http(unix_seconds()),
        if keep { "keep-alive" } else { "close" },
    );
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    if !matches!(body, Body::Nothing) {
        head += &format!("Content-Length: {length}\r\n");
    }
    head += "\r\n";
    if let (Body::Text(text), false) = (&body, head_only) {
        head += text;
    }
    send(timeouts, stream, head.as_bytes()).await?;
    let mut sent = if head_only { 0 } else { length };
    if let (Body::File(mut file), false) = (body, head_only) {
        let mut block = vec![0; BLOCK.min(length as usize)];
        let mut left = length;
        while left > 0 {
            let most = block.len().min(left as usize);
            let n = file.read(block.get_mut(..most).unwrap_or_default())?;
            if n == 0 {
                // The file shrank: only closing the connection can report that.
                sent = length - left;
                flush(timeouts, stream).await?;
                return Err(io::Error::other(format!("short by {sent}")));
            }
            send(timeouts, stream, block.get(..n).unwrap_or_default()).await?;
            left -= n as u64;
        }
    }
    flush(timeouts, stream).await?;
    Ok(sent)
}

async fn send(timeouts: &Rc<Timeouts>, stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    timeouts.within(WRITE_TIMEOUT, stream.write_all(bytes)).await.unwrap_or(Err(io::ErrorKind::TimedOut.into()))
}

async fn flush(timeouts: &Rc<Timeouts>, stream: &mut TcpStream) -> io::Result<()> {
    timeouts.within(WRITE_TIMEOUT, stream.flush()).await.unwrap_or(Err(io::ErrorKind::TimedOut.into()))
}

fn unix_seconds() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs() as i64)
}

/// Returns the client's address, which wstd offers only as debug text: `... address: (10, 0, 0, 1) ...`.
fn peer_address(stream: &TcpStream) -> String {
    let text = stream.peer_addr().unwrap_or_default();
    let inner = text.rsplit_once("address: (").and_then(|(_, rest)| rest.split_once(')')).map_or("", |(a, _)| a);
    let parts: Vec<&str> = inner.split(", ").collect();
    if parts.len() == 4 { parts.join(".") } else { "-".into() }
}

impl Site {
    /// Writes a line in nginx's combined format. A failing log must not stop the responses.
    async fn log_request(&self, client: &TcpStream, line: &str, status: u16, bytes: u64, referer: &str, agent: &str) {
        let peer = peer_address(client);
        let quiet = |text: &str| text.replace(['"', '\\'], "'").replace(|c: char| c.is_control(), "?");
        let text = format!(
            "{peer} - - [{}] \"{}\" {status} {bytes} \"{}\" \"{}\" \"-\"\n",
            date::format_log(unix_seconds()),
            quiet(line),
            quiet(referer),
            quiet(agent),
        );
        let _ = self.log.write_all(text.as_bytes()).await;
        let _ = self.log.flush().await;
    }
}
