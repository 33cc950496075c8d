//! Standard streams that a client is connected to: bounded pipes between its session and an instance, or a terminal.
//!
//! Unlike a log, a session slows its instance down: a guest that writes more than its client reads waits, as a process
//! does that writes to a full pipe.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use wasmtime_wasi::cli::{IsTerminal, StdinStream, StdoutStream};
use wasmtime_wasi::p2::{InputStream, OutputStream, Pollable, StreamError, StreamResult};

use super::terminal::{Screen, Terminal};
use crate::network::{Receiver, Sender, pipe};

/// The streams that a client wants to be connected to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SessionStreams {
    /// Whether the client sends standard input.
    pub stdin: bool,
    /// Whether the client receives standard output.
    pub stdout: bool,
    /// Whether the client receives standard error; never with a terminal, which has one output.
    pub stderr: bool,
    /// Whether the instance gets a terminal.
    pub tty: bool,
}

/// The instance's ends of a session's streams.
pub struct SessionStdio {
    pub(super) stdin: Option<Input>,
    pub(super) stdout: Option<Output>,
    pub(super) stderr: Option<Output>,
    pub(super) terminal: Option<Arc<Terminal>>,
}

/// The client's ends of a session's streams.
#[derive(Default)]
pub struct SessionPipes {
    /// Standard input of the instance.
    pub stdin: Option<SessionInput>,
    /// Standard output of the instance.
    pub stdout: Option<Receiver>,
    /// Standard error of the instance.
    pub stderr: Option<Receiver>,
    /// The instance's terminal, if it has one.
    pub terminal: Option<Arc<Terminal>>,
}

/// Standard input of an instance, as the client sends it. Dropping it ends the input, unless later clients may continue
/// it.
pub struct SessionInput {
    destination: Destination,
    ends_input: bool,
}

enum Destination {
    Pipe(Arc<Sender>),
    Terminal(Arc<Terminal>),
}

impl SessionInput {
    /// Returns input that goes into a pipe.
    pub(super) fn pipe(sender: Arc<Sender>, ends_input: bool) -> SessionInput {
        SessionInput { destination: Destination::Pipe(sender), ends_input }
    }

    /// Returns input that is typed into a terminal.
    pub(super) fn terminal(terminal: Arc<Terminal>, ends_input: bool) -> SessionInput {
        SessionInput { destination: Destination::Terminal(terminal), ends_input }
    }

    /// Sends `bytes`, waiting for room. Returns false if the instance reads no more.
    pub async fn send(&self, mut bytes: Bytes) -> bool {
        let sender = match &self.destination {
            Destination::Pipe(sender) => sender,
            Destination::Terminal(terminal) => {
                terminal.type_bytes(&bytes);
                return true;
            }
        };
        while !bytes.is_empty() {
            poll_fn(|cx| sender.poll_writable(cx)).await;
            let Some(capacity) = sender.capacity() else { return false };
            let part = bytes.split_to(capacity.min(bytes.len()));
            if !sender.send(part) {
                return false;
            }
        }
        true
    }

    /// Ends the input, unless later clients may continue it.
    pub fn finish(&self) {
        match &self.destination {
            _ if !self.ends_input => {}
            Destination::Pipe(sender) => sender.finish(),
            Destination::Terminal(terminal) => terminal.hang_up(),
        }
    }
}

impl Drop for SessionInput {
    fn drop(&mut self) {
        self.finish();
    }
}

impl SessionStdio {
    /// Creates the streams of a session, and returns both ends.
    pub fn new(streams: SessionStreams) -> (Arc<SessionStdio>, SessionPipes) {
        if streams.tty { SessionStdio::with_terminal(streams) } else { SessionStdio::with_pipes(streams) }
    }

    fn with_pipes(streams: SessionStreams) -> (Arc<SessionStdio>, SessionPipes) {
        let (stdin, input) = streams.stdin.then(input_pipe).unzip();
        let (stdout_output, stdout) = streams.stdout.then(output_pipe).unzip();
        let (stderr_output, stderr) = streams.stderr.then(output_pipe).unzip();
        let stdio = SessionStdio { stdin: input, stdout: stdout_output, stderr: stderr_output, terminal: None };
        (Arc::new(stdio), SessionPipes { stdin, stdout, stderr, terminal: None })
    }

    fn with_terminal(streams: SessionStreams) -> (Arc<SessionStdio>, SessionPipes) {
        let (sender, screen) = pipe();
        let terminal = Terminal::new(Screen::Client(sender));
        let output = Output::Terminal(terminal.clone());
        let stdio = SessionStdio {
            stdin: streams.stdin.then(|| Input::Terminal(terminal.clone())),
            stdout: Some(output.clone()),
            stderr: Some(output),
            terminal: Some(terminal.clone()),
        };
        let stdin = streams.stdin.then(|| SessionInput::terminal(terminal.clone(), true));
        let pipes = SessionPipes { stdin, stdout: Some(screen), stderr: None, terminal: Some(terminal) };
        (Arc::new(stdio), pipes)
    }

    /// Appends a message about the instance's end to its standard error, if the client has room for it.
    pub(super) fn report(&self, message: &str) {
        if let Some(stderr) = self.stderr.as_ref().filter(|stderr| stderr.capacity() > Some(message.len())) {
            stderr.send(format!("{message}\n").into());
        }
    }

    /// Ends the output: the client reads what is queued, then the end.
    pub(super) fn finish(&self) {
        self.stdout.iter().chain(&self.stderr).for_each(Output::finish);
    }
}

/// Returns both ends of standard input without a terminal.
pub(super) fn input_pipe() -> (SessionInput, Input) {
    let (sender, receiver) = pipe();
    (SessionInput::pipe(Arc::new(sender), true), Input::Pipe(Arc::new(receiver)))
}

fn output_pipe() -> (Output, Receiver) {
    let (sender, receiver) = pipe();
    (Output::Pipe(Arc::new(sender)), receiver)
}

/// Standard input of an instance; all clones read the same.
#[derive(Clone)]
pub(super) enum Input {
    Pipe(Arc<Receiver>),
    Terminal(Arc<Terminal>),
}

/// Standard output or standard error of an instance; all clones write to the same.
#[derive(Clone)]
pub(super) enum Output {
    Pipe(Arc<Sender>),
    Terminal(Arc<Terminal>),
}

impl Input {
    fn poll_readable(&self, cx: &Context<'_>) -> Poll<()> {
        match self {
            Input::Pipe(receiver) => receiver.poll_readable(cx),
            Input::Terminal(terminal) => terminal.poll_readable(cx),
        }
    }

    fn read(&self, max: usize) -> Option<Bytes> {
        match self {
            Input::Pipe(receiver) => receiver.read(max),
            Input::Terminal(terminal) => terminal.read(max),
        }
    }
}

impl Output {
    fn poll_writable(&self, cx: &Context<'_>) -> Poll<()> {
        match self {
            Output::Pipe(sender) => sender.poll_writable(cx),
            Output::Terminal(terminal) => terminal.poll_writable(cx),
        }
    }

    fn capacity(&self) -> Option<usize> {
        match self {
            Output::Pipe(sender) => sender.capacity(),
            Output::Terminal(terminal) => terminal.capacity(),
        }
    }

    fn send(&self, bytes: Bytes) -> bool {
        match self {
            Output::Pipe(sender) => sender.send(bytes),
            Output::Terminal(terminal) => terminal.write(&bytes),
        }
    }

    fn finish(&self) {
        match self {
            Output::Pipe(sender) => sender.finish(),
            Output::Terminal(terminal) => terminal.finish(),
        }
    }
}

impl IsTerminal for Input {
    fn is_terminal(&self) -> bool {
        matches!(self, Input::Terminal(_))
    }
}

impl StdinStream for Input {
    fn async_stream(&self) -> Box<dyn AsyncRead + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn InputStream> {
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Input {
    async fn ready(&mut self) {
        poll_fn(|cx| self.poll_readable(cx)).await;
    }
}

impl InputStream for Input {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        if size == 0 {
            return Ok(Bytes::new());
        }
        Input::read(self, size).ok_or(StreamError::Closed)
    }
}

impl AsyncRead for Input {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_readable(cx));
        if let Some(bytes) = Input::read(&self, buffer.remaining()) {
            buffer.put_slice(&bytes);
        }
        Poll::Ready(Ok(()))
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        matches!(self, Output::Terminal(_))
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {
        poll_fn(|cx| self.poll_writable(cx)).await;
    }
}

impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if self.send(bytes) { Ok(()) } else { Err(StreamError::Closed) }
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.capacity().ok_or(StreamError::Closed)
    }
}

impl AsyncWrite for Output {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_writable(cx));
        let capacity = self.capacity().ok_or(io::ErrorKind::BrokenPipe)?;
        let part = bytes.get(..capacity).unwrap_or(bytes);
        if !self.send(Bytes::copy_from_slice(part)) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        Poll::Ready(Ok(part.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Output::finish(&self);
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn full_output_makes_the_writer_wait() {
        let streams = SessionStreams { stdout: true, ..SessionStreams::default() };
        let (stdio, pipes) = SessionStdio::new(streams);
        let (output, receiver) = (stdio.stdout.clone().expect("stdout"), pipes.stdout.expect("stdout"));
        while let Some(capacity @ 1..) = output.capacity() {
            assert!(output.send(Bytes::from(vec![0; capacity])));
        }
        let is_writable = || poll_fn(|cx| Poll::Ready(output.poll_writable(cx).is_ready()));
        assert!(!is_writable().await);
        receiver.read(1);
        assert!(is_writable().await);
        stdio.finish();
        assert!(output.capacity().is_none());
    }

    #[tokio::test]
    async fn dropped_input_ends_the_instances_input() {
        let (_, pipes) = SessionStdio::new(SessionStreams::default());
        assert!(pipes.stdin.is_none(), "none was asked for");
        let (stdio, pipes) = SessionStdio::new(SessionStreams { stdin: true, ..SessionStreams::default() });
        let (stdin, input) = (pipes.stdin.expect("stdin"), stdio.stdin.clone().expect("stdin"));
        assert!(stdin.send(Bytes::from_static(b"ab")).await);
        drop(stdin);
        assert_eq!((input.read(9), input.read(9)), (Some(Bytes::from_static(b"ab")), None));
    }
}
