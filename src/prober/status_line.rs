//! Checks the status line of a response as Go's client does, before hyper sees it.
//!
//! Errors have the words of Go's client.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes of a status line that are checked; the rest of a longer line is not.
const MAX_LINE_BYTES: usize = 64 * 1024;

/// A connection that holds a response back until its status line is complete. Reading fails if Go's client
/// would reject the line.
pub(super) struct CheckedStatusLine<S> {
    io: S,
    state: ReadState,
}

enum ReadState {
    /// No request was sent yet; bytes that the server sends before are read later, as the response.
    BeforeRequest(Option<Waker>),
    /// The status line is incomplete.
    Reading(Vec<u8>),
    /// The status line is valid; `position` bytes of those held back were passed on.
    Passed { held: Vec<u8>, position: usize },
}

impl<S> CheckedStatusLine<S> {
    pub fn new(io: S) -> CheckedStatusLine<S> {
        CheckedStatusLine { io, state: ReadState::BeforeRequest(None) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for CheckedStatusLine<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            match &mut this.state {
                ReadState::BeforeRequest(waker) => {
                    *waker = Some(cx.waker().clone());
                    return Poll::Pending;
                }
                ReadState::Reading(held) => {
                    let mut block = [0; 1024];
                    let mut read = ReadBuf::new(&mut block);
                    ready!(Pin::new(&mut this.io).poll_read(cx, &mut read))?;
                    held.extend_from_slice(read.filled());
                    let ended = read.filled().is_empty() || held.len() >= MAX_LINE_BYTES;
                    if ended || held.contains(&b'\n') {
                        check_status_line(held).map_err(io::Error::other)?;
                        this.state = ReadState::Passed { held: std::mem::take(held), position: 0 };
                    }
                }
                ReadState::Passed { held, position } => {
                    let rest = held.get(*position..).unwrap_or_default();
                    if rest.is_empty() {
                        return Pin::new(&mut this.io).poll_read(cx, buf);
                    }
                    let part = rest.get(..rest.len().min(buf.remaining())).unwrap_or_default();
                    buf.put_slice(part);
                    *position += part.len();
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for CheckedStatusLine<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if let ReadState::BeforeRequest(waker) = &mut self.state {
            waker.take().into_iter().for_each(Waker::wake);
            self.state = ReadState::Reading(Vec::new());
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

/// A status line that Go's client rejects, in its words.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum StatusLineError {
    #[error("EOF")]
    Empty,
    #[error("{}", transport_broken(&format!("malformed HTTP {part} {value}")))]
    Malformed {
        part: &'static str,
        /// The value as Go's `%q` writes it.
        value: String,
    },
}

/// Checks the beginning of a response as Go's client does (`ReadResponse` in `net/http`).
fn check_status_line(held: &[u8]) -> Result<(), StatusLineError> {
    if held.is_empty() {
        return Err(StatusLineError::Empty);
    }
    let line = held.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let is_complete = line.len() < held.len();
    let line = line.strip_suffix(b"\r").filter(|_| is_complete).unwrap_or(line);
    let malformed = |part, value: &[u8]| Err(StatusLineError::Malformed { part, value: quote(value) });
    let mut parts = line.splitn(2, |byte| *byte == b' ');
    let (version, Some(status)) = (parts.next().unwrap_or_default(), parts.next()) else {
        return malformed("response", line);
    };
    let status = status.iter().position(|byte| *byte != b' ').and_then(|at| status.get(at..)).unwrap_or_default();
    let code = status.split(|byte| *byte == b' ').next().unwrap_or_default();
    let number = std::str::from_utf8(code).ok().and_then(|code| code.parse::<i32>().ok());
    if code.len() != 3 || number.is_none_or(|number| number < 0) {
        return malformed("status code", code);
    }
    match version {
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit() => {
            Ok(())
        }
        _ => malformed("version", version),
    }
}

/// Returns Go's message for an error while a response is read.
pub(super) fn transport_broken(cause: &str) -> String {
    format!("net/http: HTTP/1.x transport connection broken: {cause}")
}

/// Writes bytes as Go's `%q` does.
fn quote(bytes: &[u8]) -> String {
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
    fn status_lines_are_checked_as_by_go() {
        for (response, error) in [
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
            let expected = error.map_or(Ok(()), |error| Err(transport_broken(error)));
            let result = check_status_line(response).map_err(|error| error.to_string());
            assert_eq!(result, expected, "{:?}", String::from_utf8_lossy(response));
        }
        assert_eq!(check_status_line(b""), Err(StatusLineError::Empty));
        assert_eq!(StatusLineError::Empty.to_string(), "EOF");
    }
}
