//! Where a guest's standard streams lead.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use jiff::Timestamp;
use tokio::io::AsyncWrite;
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::logs::{Log, Stream};

/// Where a guest's standard streams lead.
#[derive(Clone)]
pub enum Stdio {
    /// Standard input is at its end, output goes to the container's log.
    Log(Arc<Log>),
    /// The streams of this process: a program run by hand.
    Inherit,
}

impl Stdio {
    /// Connects the guest.
    pub(super) fn connect(&self, wasi: &mut WasiCtxBuilder) {
        match self {
            Stdio::Log(log) => {
                wasi.stdout(LogWriter { log: log.clone(), stream: Stream::Stdout });
                wasi.stderr(LogWriter { log: log.clone(), stream: Stream::Stderr });
            }
            Stdio::Inherit => {
                wasi.inherit_stdio();
            }
        }
    }

    /// Tells whoever reads the output what became of the guest.
    pub(super) fn report(&self, message: &str) {
        match self {
            Stdio::Log(log) => log.write(Stream::Stderr, format!("{message}\n").as_bytes(), Timestamp::now()),
            // The caller has the exit and words of its own for it.
            Stdio::Inherit => {}
        }
    }

    /// The guest has ended.
    pub(super) fn close(&self) {
        match self {
            Stdio::Log(log) => log.close(Timestamp::now()),
            Stdio::Inherit => {}
        }
    }
}

/// Writes to a log. Never waits: the log drops old lines rather than stop a guest.
#[derive(Clone)]
struct LogWriter {
    log: Arc<Log>,
    stream: Stream,
}

/// What a guest may write at once.
const PERMIT: usize = 64 * 1024;

impl IsTerminal for LogWriter {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for LogWriter {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for LogWriter {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.log.write(self.stream, &bytes, Timestamp::now());
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(PERMIT)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for LogWriter {
    async fn ready(&mut self) {}
}

impl AsyncWrite for LogWriter {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.log.write(self.stream, bytes, Timestamp::now());
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
