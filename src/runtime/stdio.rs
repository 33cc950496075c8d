//! Standard streams of guests.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use super::capture::Capture;
use super::console::{Console, ConsoleOptions};
use super::session::SessionStdio;
use super::terminal::Terminal;
use crate::clock::Clock;
use crate::logs::{Log, LogStreamType};

/// Source and destination of a guest's standard streams.
#[derive(Clone)]
pub enum Stdio {
    /// The container's log and the attached clients.
    Console(Arc<Console>),
    /// Standard input is empty, output is captured.
    Capture(Arc<Capture>),
    /// The streams of a client.
    Session(Arc<SessionStdio>),
    /// The streams of this process, for a program run from the command line.
    Inherit,
}

impl Stdio {
    /// Returns streams without input whose output goes to `log`.
    pub fn to_log(log: Arc<Log>, clock: Clock) -> Stdio {
        Stdio::Console(Console::new(log, clock, ConsoleOptions::default()))
    }

    /// Connects the guest's standard streams. Returns its terminal, if it has one.
    pub(super) fn connect(&self, wasi: &mut WasiCtxBuilder) -> Option<Arc<Terminal>> {
        match self {
            Stdio::Console(console) => {
                wasi.stdout(console.output(LogStreamType::Stdout));
                wasi.stderr(console.output(LogStreamType::Stderr));
                console.input().map(|input| wasi.stdin(input));
                console.terminal().cloned()
            }
            Stdio::Capture(capture) => {
                wasi.stdout(CaptureWriter(capture.clone()));
                wasi.stderr(CaptureWriter(capture.clone()));
                None
            }
            Stdio::Session(session) => {
                session.stdin.clone().map(|stdin| wasi.stdin(stdin));
                session.stdout.clone().map(|stdout| wasi.stdout(stdout));
                session.stderr.clone().map(|stderr| wasi.stderr(stderr));
                session.terminal.clone()
            }
            Stdio::Inherit => {
                wasi.inherit_stdio();
                None
            }
        }
    }

    /// Appends a message about the guest's end to its standard error.
    pub(super) fn report(&self, message: &str) {
        match self {
            Stdio::Console(console) => console.report(message),
            Stdio::Capture(capture) => capture.write(format!("{message}\n").as_bytes()),
            Stdio::Session(session) => session.report(message),
            // The caller reports the exit itself.
            Stdio::Inherit => {}
        }
    }

    /// Marks the end of the output.
    pub(super) fn close(&self) {
        match self {
            Stdio::Console(console) => console.close(),
            Stdio::Session(session) => session.finish(),
            Stdio::Capture(_) | Stdio::Inherit => {}
        }
    }
}

/// Captures output without ever blocking the guest: a full capture drops what follows.
#[derive(Clone)]
struct CaptureWriter(Arc<Capture>);

/// Bytes that a guest may write at once.
const MAX_WRITE: usize = 64 * 1024;

impl IsTerminal for CaptureWriter {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for CaptureWriter {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for CaptureWriter {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.0.write(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(MAX_WRITE)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for CaptureWriter {
    async fn ready(&mut self) {}
}

impl AsyncWrite for CaptureWriter {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.write(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
