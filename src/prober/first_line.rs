//! The first line of an answer, held back until it is whole and judged as Go's client judges it, in its words.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A line that is longer is judged by what is there of it.
const LONGEST: usize = 64 * 1024;

/// A connection on which an answer is read. A first line that Go's client would refuse fails the read
/// with the client's words.
pub(super) struct FirstLine<S> {
    io: S,
    stage: Stage,
}

enum Stage {
    /// Nothing has been asked yet: what a hasty server says meanwhile is read later, as an answer.
    Unasked(Option<Waker>),
    Reading(Vec<u8>),
    /// It is fine; so much of what was held back has been handed on.
    Passed {
        held: Vec<u8>,
        at: usize,
    },
}

impl<S> FirstLine<S> {
    pub fn of(io: S) -> FirstLine<S> {
        FirstLine { io, stage: Stage::Unasked(None) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for FirstLine<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            match &mut this.stage {
                Stage::Unasked(waker) => {
                    *waker = Some(cx.waker().clone());
                    return Poll::Pending;
                }
                Stage::Reading(held) => {
                    let mut block = [0; 1024];
                    let mut read = ReadBuf::new(&mut block);
                    ready!(Pin::new(&mut this.io).poll_read(cx, &mut read))?;
                    held.extend_from_slice(read.filled());
                    let ended = read.filled().is_empty() || held.len() >= LONGEST;
                    if ended || held.contains(&b'\n') {
                        judge(held).map_err(io::Error::other)?;
                        this.stage = Stage::Passed { held: std::mem::take(held), at: 0 };
                    }
                }
                Stage::Passed { held, at } => {
                    let rest = held.get(*at..).unwrap_or_default();
                    if rest.is_empty() {
                        return Pin::new(&mut this.io).poll_read(cx, buf);
                    }
                    let part = rest.get(..rest.len().min(buf.remaining())).unwrap_or_default();
                    buf.put_slice(part);
                    *at += part.len();
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for FirstLine<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if let Stage::Unasked(waker) = &mut self.stage {
            waker.take().into_iter().for_each(Waker::wake);
            self.stage = Stage::Reading(Vec::new());
        }
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// What Go's client has against an answer that begins so (`ReadResponse` in `net/http`).
fn judge(held: &[u8]) -> Result<(), String> {
    if held.is_empty() {
        return Err("EOF".into());
    }
    let line = held.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let whole = line.len() < held.len();
    let line = line.strip_suffix(b"\r").filter(|_| whole).unwrap_or(line);
    let bad = |what: &str, part: &[u8]| Err(broken(&format!("malformed HTTP {what} {}", quoted(part))));
    let mut parts = line.splitn(2, |byte| *byte == b' ');
    let (version, Some(status)) = (parts.next().unwrap_or_default(), parts.next()) else {
        return bad("response", line);
    };
    let status = status.iter().position(|byte| *byte != b' ').and_then(|at| status.get(at..)).unwrap_or_default();
    let code = status.split(|byte| *byte == b' ').next().unwrap_or_default();
    let number = std::str::from_utf8(code).ok().and_then(|code| code.parse::<i32>().ok());
    if code.len() != 3 || number.is_none_or(|number| number < 0) {
        return bad("status code", code);
    }
    match version {
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit() => {
            Ok(())
        }
        _ => bad("version", version),
    }
}

/// What goes wrong while an answer is read.
pub(super) fn broken(why: &str) -> String {
    format!("net/http: HTTP/1.x transport connection broken: {why}")
}

/// Bytes as Go's `%q` writes them.
fn quoted(bytes: &[u8]) -> String {
    let mut text = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' | '\\' => text.extend(['\\', c]),
                '\n' => text += "\\n",
                '\r' => text += "\\r",
                '\t' => text += "\\t",
                '\x07' => text += "\\a",
                '\x08' => text += "\\b",
                '\x0b' => text += "\\v",
                '\x0c' => text += "\\f",
                '\0'..' ' | '\x7f' => text += &format!("\\x{:02x}", u32::from(c)),
                c if c != ' ' && (c.is_control() || c.is_whitespace()) => text += &format!("\\u{:04x}", u32::from(c)),
                c => text.push(c),
            }
        }
        chunk.invalid().iter().for_each(|byte| text += &format!("\\x{byte:02x}"));
    }
    text + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_lines_are_judged_as_go_judges_them() {
        for (answer, fault) in [
            (&b"HTTP/1.1 200 OK\r\n"[..], None),
            (b"HTTP/1.0 404", None),
            (b"HTTP/1.1  200 two blanks\n", None),
            (b"HTTP/9.9 999\n", None),
            (b"garbage\r\nmore\r\n", Some(r#"malformed HTTP response "garbage""#)),
            (b"garbage", Some(r#"malformed HTTP response "garbage""#)),
            (b"cut\r", Some(r#"malformed HTTP response "cut\r""#)),
            (b"\r\n", Some(r#"malformed HTTP response """#)),
            (
                b"\x15\x03\x01\x00\x02\x02\x16\"\xc3\xa9\xc2\xa0",
                Some("malformed HTTP response \"\\x15\\x03\\x01\\x00\\x02\\x02\\x16\\\"é\\u00a0\""),
            ),
            (b"\xff\n", Some(r#"malformed HTTP response "\xff""#)),
            (b"220 mail.example ESMTP\r\n", Some(r#"malformed HTTP status code "mail.example""#)),
            (b"HTTP/1.1 20 OK\n", Some(r#"malformed HTTP status code "20""#)),
            (b"HTTP/1.1 abc OK\n", Some(r#"malformed HTTP status code "abc""#)),
            (b"HTTP/1.1 -20 OK\n", Some(r#"malformed HTTP status code "-20""#)),
            (b"HTTP/1.1 \n", Some(r#"malformed HTTP status code """#)),
            (b"HTTP/1 200 OK\n", Some(r#"malformed HTTP version "HTTP/1""#)),
            (b"ICY 200 OK\n", Some(r#"malformed HTTP version "ICY""#)),
        ] {
            let wanted = fault.map_or(Ok(()), |fault| Err(broken(fault)));
            assert_eq!(judge(answer), wanted, "{:?}", String::from_utf8_lossy(answer));
        }
        assert_eq!(judge(b""), Err("EOF".into()));
    }
}
