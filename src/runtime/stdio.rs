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
use crate::clock::Clock;
use crate::logs::{Log, LogStreamType};

/// Source and destination of a guest's standard streams.
#[derive(Clone)]
pub enum Stdio {
    /// Standard input is empty, output goes to the container's log.
    Log(Arc<Log>),
    /// Standard input is empty, output is captured.
    Capture(Arc<Capture>),
    /// The streams of this process, for a program run from the command line.
    Inherit,
}

impl Stdio {
    /// Connects the guest's standard streams.
    pub(super) fn connect(&self, wasi: &mut WasiCtxBuilder, clock: Clock) {
        match self {
            Stdio::Log(log) => {
                wasi.stdout(OutputWriter::Log(log.clone(), LogStreamType::Stdout, clock));
                wasi.stderr(OutputWriter::Log(log.clone(), LogStreamType::Stderr, clock));
            }
            Stdio::Capture(capture) => {
                wasi.stdout(OutputWriter::Capture(capture.clone()));
                wasi.stderr(OutputWriter::Capture(capture.clone()));
            }
            Stdio::Inherit => {
                wasi.inherit_stdio();
            }
        }
    }

    /// Appends a message about the guest's end to its standard error.
    pub(super) fn report(&self, message: &str, clock: Clock) {
        match self {
            Stdio::Log(log) => log.write(LogStreamType::Stderr, format!("{message}\n").as_bytes(), clock.wall()),
            Stdio::Capture(capture) => capture.write(format!("{message}\n").as_bytes()),
            // The caller reports the exit itself.
            Stdio::Inherit => {}
        }
    }

    /// Marks the end of the output.
    pub(super) fn close(&self, clock: Clock) {
        match self {
            Stdio::Log(log) => log.close(clock.wall()),
            Stdio::Capture(_) | Stdio::Inherit => {}
        }
    }
}

/// Receives output without ever blocking the guest: a full log drops old lines, a full capture new ones.
#[derive(Clone)]
enum OutputWriter {
    Log(Arc<Log>, LogStreamType, Clock),
    Capture(Arc<Capture>),
}

impl OutputWriter {
    fn append(&self, bytes: &[u8]) {
        match self {
            OutputWriter::Log(log, stream, clock) => log.write(*stream, bytes, clock.wall()),
            OutputWriter::Capture(capture) => capture.write(bytes),
        }
    }
}

/// Bytes that a guest may write at once.
const MAX_WRITE: usize = 64 * 1024;

impl IsTerminal for OutputWriter {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for OutputWriter {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for OutputWriter {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.append(&bytes);
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
impl Pollable for OutputWriter {
    async fn ready(&mut self) {}
}

impl AsyncWrite for OutputWriter {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.append(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
