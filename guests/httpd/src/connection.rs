//! One connection: reads requests, writes answers, logs each. Promises bounds in memory and time
//! whatever the client does, and never to break off an answer because the pod ends.

use std::io::{self, Read};
use std::path::Path;
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

use wstd::io::{AsyncOutputStream, AsyncRead, AsyncWrite};
use wstd::net::TcpStream;

use crate::answer::{Answer, Body, answer, reason};
use crate::patience::{Patience, Waited};
use crate::request::{LONGEST_HEAD, Request};
use crate::{Open, date};

/// Seconds that a connection may stay silent, with room for others and without, that a head may take, and that a client may
/// leave what we write unread.
const IDLE: u64 = 75;
const CROWDED: u64 = 5;
const HEAD: u64 = 30;
const UNREAD: u64 = 60;

const BLOCK: usize = 64 * 1024;

/// What all connections share.
pub struct Site {
    pub root: Box<Path>,
    pub log: AsyncOutputStream,
    pub patience: Rc<Patience>,
    pub open: Rc<Open>,
}

/// How waiting for a request ended.
enum Head {
    /// The head's length in the buffer.
    Complete(usize),
    /// The client went away, or never spoke.
    Gone,
    TooSlow,
    TooLong,
    /// It can't become a request.
    Bad,
}

/// Serves one client until either side is done.
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
        let answer = answer(&site.root, &request);
        let keep = request.keeps_alive() && answer.status != 400 && !site.patience.ending() && !site.open.crowded();
        let status = answer.status;
        let written = write(&site.patience, &mut stream, answer, request.method == "HEAD", keep).await;
        let line = format!("{} {} {}", request.method, request.target, request.version);
        let agent = request.header("user-agent").unwrap_or("-");
        let referer = request.header("referer").unwrap_or("-");
        site.note(&stream, &line, status, *written.as_ref().unwrap_or(&0), referer, agent).await;
        if written.is_err() || !keep {
            return;
        }
    }
}

/// Ends a connection whose request can't be read.
async fn refuse(site: &Site, stream: &mut TcpStream, status: u16) {
    let sent = write(&site.patience, stream, Answer::page(status), false, false).await.unwrap_or(0);
    site.note(stream, "-", status, sent, "-", "-").await;
}

/// Reads until an empty line. Between requests the pod's end closes the connection; inside of one
/// it does not.
async fn read_head(site: &Site, stream: &mut TcpStream, buf: &mut Vec<u8>) -> Head {
    let mut block = vec![0; 4096];
    let mut seen = 0;
    loop {
        // Some clients send an empty line behind a request.
        if buf.starts_with(b"\r\n") {
            buf.drain(..2);
            seen = 0;
        }
        if let Some(end) = end_of_head(buf, seen) {
            return if end > LONGEST_HEAD { Head::TooLong } else { Head::Complete(end) };
        }
        if buf.len() > LONGEST_HEAD {
            return Head::TooLong;
        }
        if !Request::may_begin(buf) {
            return Head::Bad;
        }
        seen = buf.len();
        let read = if buf.is_empty() {
            let idle = if site.open.crowded() { CROWDED } else { IDLE };
            match site.patience.within_life(Some(idle), stream.read(&mut block)).await {
                Waited::Done(read) => Some(read),
                Waited::TooLong | Waited::Ending => return Head::Gone,
            }
        } else {
            site.patience.within(HEAD, stream.read(&mut block)).await
        };
        match read {
            Some(Ok(0) | Err(_)) => return Head::Gone,
            Some(Ok(n)) => buf.extend_from_slice(block.get(..n).unwrap_or_default()),
            None => return Head::TooSlow,
        }
    }
}

/// Where the empty line ends; `seen` bytes were looked at before.
fn end_of_head(buf: &[u8], seen: usize) -> Option<usize> {
    let from = seen.saturating_sub(3);
    let fresh = buf.get(from..)?;
    let crlf = fresh.windows(4).position(|w| w == b"\r\n\r\n").map(|at| from + at + 4);
    let bare = fresh.windows(2).position(|w| w == b"\n\n").map(|at| from + at + 2);
    [crlf, bare].into_iter().flatten().min()
}

/// Writes an answer; gives the bytes of its body.
async fn write(
    patience: &Rc<Patience>,
    stream: &mut TcpStream,
    answer: Answer,
    head_only: bool,
    keep: bool,
) -> io::Result<u64> {
    let Answer { status, headers, body, length } = answer;
    let mut head = format!(
        "HTTP/1.1 {status} {}\r\nServer: wasmpod\r\nDate: {}\r\nConnection: {}\r\n",
        reason(status),
        date::http(now()),
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
    send(patience, stream, head.as_bytes()).await?;
    let mut sent = if head_only { 0 } else { length };
    if let (Body::File(mut file), false) = (body, head_only) {
        let mut block = vec![0; BLOCK.min(length as usize)];
        let mut left = length;
        while left > 0 {
            let most = block.len().min(left as usize);
            let n = file.read(block.get_mut(..most).unwrap_or_default())?;
            if n == 0 {
                // The file shrank: only closing tells the client.
                sent = length - left;
                flush(patience, stream).await?;
                return Err(io::Error::other(format!("short by {sent}")));
            }
            send(patience, stream, block.get(..n).unwrap_or_default()).await?;
            left -= n as u64;
        }
    }
    flush(patience, stream).await?;
    Ok(sent)
}

async fn send(patience: &Rc<Patience>, stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    patience.within(UNREAD, stream.write_all(bytes)).await.unwrap_or(Err(io::ErrorKind::TimedOut.into()))
}

async fn flush(patience: &Rc<Patience>, stream: &mut TcpStream) -> io::Result<()> {
    patience.within(UNREAD, stream.flush()).await.unwrap_or(Err(io::ErrorKind::TimedOut.into()))
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs() as i64)
}

/// The client's address. wstd tells it only as debug text: `... address: (10, 0, 0, 1) ...`.
fn peer(stream: &TcpStream) -> String {
    let text = stream.peer_addr().unwrap_or_default();
    let inner = text.rsplit_once("address: (").and_then(|(_, rest)| rest.split_once(')')).map_or("", |(a, _)| a);
    let parts: Vec<&str> = inner.split(", ").collect();
    if parts.len() == 4 { parts.join(".") } else { "-".into() }
}

impl Site {
    /// One line in nginx's combined format. A log that nobody reads must not stop the answers.
    async fn note(&self, client: &TcpStream, line: &str, status: u16, bytes: u64, referer: &str, agent: &str) {
        let peer = peer(client);
        let quiet = |text: &str| text.replace(['"', '\\'], "'").replace(|c: char| c.is_control(), "?");
        let text = format!(
            "{peer} - - [{}] \"{}\" {status} {bytes} \"{}\" \"{}\" \"-\"\n",
            date::log(now()),
            quiet(line),
            quiet(referer),
            quiet(agent),
        );
        let _ = self.log.write_all(text.as_bytes()).await;
        let _ = self.log.flush().await;
    }
}
