//! curl's errors: its messages and exit codes.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::applets::http::{HttpError, UrlError};
use crate::applets::nc::{ConnectError, ConnectFailure};
use crate::proc::strerror;

/// Why a transfer fails.
pub enum CurlError {
    Url(UrlError),
    CannotResolve(String),
    CannotConnect {
        host: String,
        port: u16,
        after: Duration,
    },
    /// `-m` or `--connect-timeout`, while bytes were received.
    TimedOut {
        connecting: bool,
        after: Duration,
        received: u64,
    },
    /// The status, with `-f`.
    HttpStatus(u16),
    TooManyRedirects(usize),
    /// The file to write, and why it cannot be.
    CannotOpen(String, io::Error),
    Http(HttpError),
}

impl CurlError {
    pub fn exit_code(&self) -> i32 {
        match self {
            CurlError::Url(UrlError::Scheme(_)) => 1,
            CurlError::Url(UrlError::NoHost | UrlError::BadPort) => 3,
            CurlError::CannotResolve(_) => 6,
            CurlError::CannotConnect { .. } => 7,
            CurlError::TimedOut { .. } => 28,
            CurlError::HttpStatus(_) => 22,
            CurlError::TooManyRedirects(_) => 47,
            CurlError::CannotOpen(..) => 23,
            CurlError::Http(error) => match error {
                HttpError::Connect(ConnectError::BadAddress(_)) => 6,
                HttpError::Connect(ConnectError::CannotConnect(..)) => 7,
                HttpError::TimedOut => 28,
                HttpError::BadResponse(_) => 1,
                HttpError::Write(_) => 23,
                HttpError::NoResponse => 52,
                HttpError::Truncated => 18,
                HttpError::Send(_) => 55,
                HttpError::Receive(_) | HttpError::BadChunkLength => 56,
            },
        }
    }

    /// Whether `--retry` repeats the transfer.
    pub fn is_transient(&self) -> bool {
        match self {
            CurlError::TimedOut { .. } | CurlError::CannotResolve(_) => true,
            CurlError::HttpStatus(status) => is_transient_status(*status),
            CurlError::Http(HttpError::TimedOut) => true,
            _ => false,
        }
    }

    /// Whether `--retry-connrefused` repeats the transfer.
    pub fn is_refused(&self) -> bool {
        matches!(self, CurlError::CannotConnect { .. })
    }
}

/// Whether `--retry` repeats a transfer with this status.
pub fn is_transient_status(status: u16) -> bool {
    matches!(status, 408 | 429 | 500 | 502 | 503 | 504)
}

impl From<HttpError> for CurlError {
    fn from(error: HttpError) -> CurlError {
        CurlError::Http(error)
    }
}

/// Returns curl's error for a connection that was not established in `after`.
pub fn connect_error(error: HttpError, host: &str, port: u16, after: Duration) -> CurlError {
    match error {
        HttpError::Connect(ConnectError::BadAddress(host)) => CurlError::CannotResolve(host),
        HttpError::Connect(ConnectError::CannotConnect(_, ConnectFailure::TimedOut)) => {
            CurlError::TimedOut { connecting: true, after, received: 0 }
        }
        HttpError::Connect(_) => CurlError::CannotConnect { host: host.to_string(), port, after },
        other => CurlError::Http(other),
    }
}

impl fmt::Display for CurlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CurlError::Url(UrlError::Scheme(scheme)) if scheme == "https" => {
                f.write_str("Protocol \"https\" not supported: TLS is not supported yet; use http")
            }
            CurlError::Url(UrlError::Scheme(scheme)) => write!(f, "Protocol \"{scheme}\" not supported"),
            CurlError::Url(UrlError::NoHost) => f.write_str("URL rejected: No host part in the URL"),
            CurlError::Url(UrlError::BadPort) => {
                f.write_str("URL rejected: Port number was not a decimal number between 0 and 65535")
            }
            CurlError::CannotResolve(host) => write!(f, "Could not resolve host: {host}"),
            CurlError::CannotConnect { host, port, after } => {
                let after = after.as_millis();
                write!(f, "Failed to connect to {host} port {port} after {after} ms: Could not connect to server")
            }
            CurlError::TimedOut { connecting: true, after, .. } => {
                write!(f, "Connection timed out after {} milliseconds", after.as_millis())
            }
            CurlError::TimedOut { connecting: false, after, received } => {
                let after = after.as_millis();
                write!(f, "Operation timed out after {after} milliseconds with {received} bytes received")
            }
            CurlError::HttpStatus(status) => write!(f, "The requested URL returned error: {status}"),
            CurlError::TooManyRedirects(most) => write!(f, "Maximum ({most}) redirects followed"),
            CurlError::CannotOpen(name, error) => write!(f, "Failed to open the file {name}: {}", strerror(error)),
            CurlError::Http(error) => match error {
                HttpError::NoResponse => f.write_str("Empty reply from server"),
                HttpError::Truncated => f.write_str("transfer closed with outstanding read data remaining"),
                HttpError::BadResponse(_) => f.write_str("Received HTTP/0.9 when not allowed"),
                HttpError::Write(_) => f.write_str("Failure writing output to destination"),
                HttpError::Send(error) => write!(f, "Send failure: {}", strerror(error)),
                HttpError::Receive(error) => write!(f, "Recv failure: {}", strerror(error)),
                other => other.fmt(f),
            },
        }
    }
}
