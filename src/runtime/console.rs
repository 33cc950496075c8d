//! The standard streams of a container's main program: its log, and the clients that are attached.
//!
//! A client that does not read slows the program down once its pipe is full; without clients, output blocks only a
//! program that finishes lines faster than the [`LinePace`].

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::io::AsyncWrite;
use tokio::time::Sleep;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use super::line_pace::LinePace;
use super::session::{Input, SessionInput, SessionPipes, SessionStreams};
use super::terminal::{Screen, Terminal};
use crate::clock::Clock;
use crate::logs::{Log, LogStreamType};
use crate::network::{Sender, pipe};

/// Bytes that a guest may write at once. Each may be a line, and a write delays other guests.
const MAX_WRITE: usize = 8 * 1024;

/// The standard input and the terminal of a container, as its spec defines them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ConsoleOptions {
    /// Whether the program has a standard input (`stdin`); otherwise it is empty.
    pub stdin: bool,
    /// Whether the first client's disconnection ends the standard input (`stdinOnce`).
    pub stdin_once: bool,
    /// Whether the program has a terminal (`tty`).
    pub tty: bool,
}

/// The standard streams of a container's main program.
pub struct Console {
    log: Arc<Log>,
    clock: Clock,
    options: ConsoleOptions,
    stdin: Option<StdinPipe>,
    terminal: Option<Arc<Terminal>>,
    viewers: Arc<Viewers>,
    pace: LinePace,
}

struct StdinPipe {
    sender: Arc<Sender>,
    input: Input,
}

/// The attached clients.
#[derive(Default)]
pub(super) struct Viewers {
    /// Whether any client is attached, so that others pay for nothing but this flag.
    attached: AtomicBool,
    /// Protects the clients' pipes.
    viewers: Mutex<Vec<Viewer>>,
}

struct Viewer {
    stdout: Option<Sender>,
    stderr: Option<Sender>,
}

impl Viewer {
    fn sender(&self, stream: LogStreamType) -> Option<&Sender> {
        match stream {
            LogStreamType::Stdout => self.stdout.as_ref(),
            LogStreamType::Stderr => self.stderr.as_ref(),
        }
    }

    /// Returns whether the client still reads.
    fn is_connected(&self) -> bool {
        self.stdout.iter().chain(&self.stderr).any(|sender| sender.capacity().is_some())
    }
}

impl Viewers {
    fn attach(&self, viewer: Viewer) {
        self.viewers.lock().push(viewer);
        self.attached.store(true, Ordering::Release);
    }

    fn is_attached(&self) -> bool {
        self.attached.load(Ordering::Acquire)
    }

    /// Returns how many bytes all clients can take now.
    pub(super) fn capacity(&self, stream: LogStreamType) -> usize {
        if !self.is_attached() {
            return MAX_WRITE;
        }
        let mut viewers = self.viewers.lock();
        viewers.retain(Viewer::is_connected);
        self.attached.store(!viewers.is_empty(), Ordering::Release);
        let capacities = viewers.iter().filter_map(|viewer| viewer.sender(stream)?.capacity());
        capacities.min().unwrap_or(MAX_WRITE)
    }

    /// Returns ready if all clients can take bytes.
    pub(super) fn poll_writable(&self, stream: LogStreamType, cx: &Context<'_>) -> Poll<()> {
        if !self.is_attached() {
            return Poll::Ready(());
        }
        let viewers = self.viewers.lock();
        for sender in viewers.iter().filter_map(|viewer| viewer.sender(stream)) {
            ready!(sender.poll_writable(cx));
        }
        Poll::Ready(())
    }

    /// Sends `bytes` to all clients.
    pub(super) fn send(&self, stream: LogStreamType, bytes: &Bytes) {
        if self.is_attached() {
            self.viewers.lock().iter().filter_map(|viewer| viewer.sender(stream)).for_each(|sender| {
                sender.send(bytes.clone());
            });
        }
    }

    /// Ends the output for all clients.
    pub(super) fn finish(&self) {
        self.viewers.lock().clear();
    }
}

impl Console {
    /// Creates the streams of a program that logs to `log`.
    pub fn new(log: Arc<Log>, clock: Clock, options: ConsoleOptions) -> Arc<Console> {
        let viewers = Arc::<Viewers>::default();
        let terminal = options.tty.then(|| Terminal::new(Screen::Viewers(viewers.clone())));
        let stdin = (options.stdin && !options.tty).then(|| {
            let (sender, receiver) = pipe();
            StdinPipe { sender: Arc::new(sender), input: Input::Pipe(Arc::new(receiver)) }
        });
        Arc::new(Console { log, clock, options, stdin, terminal, viewers, pace: LinePace::new() })
    }

    /// Connects a client, which sees the output from now on.
    pub fn attach(&self, streams: SessionStreams) -> SessionPipes {
        let (stdout_sender, stdout) = streams.stdout.then(pipe).unzip();
        let wants_stderr = streams.stderr && self.terminal.is_none();
        let (stderr_sender, stderr) = wants_stderr.then(pipe).unzip();
        self.viewers.attach(Viewer { stdout: stdout_sender, stderr: stderr_sender });
        let stdin = if streams.stdin { self.attach_stdin() } else { None };
        SessionPipes { stdin, stdout, stderr, terminal: self.terminal.clone() }
    }

    fn attach_stdin(&self) -> Option<SessionInput> {
        let once = self.options.stdin_once;
        match (&self.stdin, &self.terminal) {
            (_, Some(terminal)) if self.options.stdin => Some(SessionInput::terminal(terminal.clone(), once)),
            (Some(stdin), _) => Some(SessionInput::pipe(stdin.sender.clone(), once)),
            (None, _) => None,
        }
    }

    /// Returns the source of standard input, if there is one.
    pub(super) fn input(&self) -> Option<Input> {
        match (&self.stdin, &self.terminal) {
            (_, Some(terminal)) if self.options.stdin => Some(Input::Terminal(terminal.clone())),
            (Some(stdin), _) => Some(stdin.input.clone()),
            (None, _) => None,
        }
    }

    /// Returns the terminal, if there is one.
    pub(super) fn terminal(&self) -> Option<&Arc<Terminal>> {
        self.terminal.as_ref()
    }

    /// Returns the destination of standard output or standard error.
    pub(super) fn output(self: &Arc<Console>, stream: LogStreamType) -> ConsoleOutput {
        ConsoleOutput { console: self.clone(), stream, paced: None }
    }

    /// Appends a line of the host to the program's standard error.
    pub(super) fn report(&self, message: &str) {
        self.write(LogStreamType::Stderr, Bytes::from(format!("{message}\n")));
    }

    fn write(&self, stream: LogStreamType, bytes: Bytes) {
        self.pace.charge(self.log.write(stream, &bytes, self.clock.wall()));
        match &self.terminal {
            Some(terminal) => _ = terminal.write(&bytes),
            None => self.viewers.send(stream, &bytes),
        }
    }

    /// Ends the output.
    pub(super) fn close(&self) {
        self.log.close(self.clock.wall());
        self.viewers.finish();
    }

    /// Returns the stream whose clients must take the output: a terminal shows both on one.
    fn viewed_stream(&self, stream: LogStreamType) -> LogStreamType {
        if self.terminal.is_some() { LogStreamType::Stdout } else { stream }
    }
}

/// Standard output or standard error of a program with a console.
pub(super) struct ConsoleOutput {
    console: Arc<Console>,
    stream: LogStreamType,
    /// The wait of a program that is ahead of its pace.
    paced: Option<Pin<Box<Sleep>>>,
}

impl Clone for ConsoleOutput {
    fn clone(&self) -> ConsoleOutput {
        self.console.output(self.stream)
    }
}

impl ConsoleOutput {
    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(until) = self.console.pace.wait_until() {
            let sleep = self.paced.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
            ready!(sleep.as_mut().poll(cx));
            self.paced = None;
        }
        self.console.viewers.poll_writable(self.console.viewed_stream(self.stream), cx)
    }

    fn capacity(&self) -> usize {
        if self.console.pace.wait_until().is_some() {
            return 0;
        }
        self.console.viewers.capacity(self.console.viewed_stream(self.stream)).min(MAX_WRITE)
    }
}

impl IsTerminal for ConsoleOutput {
    fn is_terminal(&self) -> bool {
        self.console.terminal.is_some()
    }
}

impl StdoutStream for ConsoleOutput {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for ConsoleOutput {
    async fn ready(&mut self) {
        poll_fn(|cx| self.poll_writable(cx)).await;
    }
}

impl OutputStream for ConsoleOutput {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.console.write(self.stream, bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(self.capacity())
    }
}

impl AsyncWrite for ConsoleOutput {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_writable(cx));
        let part = bytes.get(..self.capacity()).unwrap_or(bytes);
        if part.is_empty() && !bytes.is_empty() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.console.write(self.stream, Bytes::copy_from_slice(part));
        Poll::Ready(Ok(part.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const BOTH: SessionStreams = SessionStreams { stdin: true, stdout: true, stderr: true, tty: false };

    fn read(input: &Input) -> Option<Bytes> {
        match input {
            Input::Pipe(receiver) => receiver.read(9),
            Input::Terminal(terminal) => terminal.read(9),
        }
    }

    fn console(options: ConsoleOptions) -> Arc<Console> {
        Console::new(Log::new(), Clock::system(), options)
    }

    #[tokio::test(start_paused = true)]
    async fn newlines_without_end_are_paced() {
        let console = console(ConsoleOptions::default());
        let mut output = console.output(LogStreamType::Stdout);
        let start = tokio::time::Instant::now();
        let mut written = 0;
        while start.elapsed() < Duration::from_secs(10) {
            output.ready().await;
            let newlines = vec![b'\n'; output.check_write().expect("open")];
            written += newlines.len();
            output.write(newlines.into()).expect("open");
        }
        assert!((5_000_000..5_200_000).contains(&written), "{written}");
        // A line of any length costs the same.
        output.ready().await;
        let text = vec![b'x'; output.check_write().expect("open")];
        output.write(text.into()).expect("open");
        assert!(output.check_write().expect("open") > 0);
    }

    #[test]
    fn clients_see_output_from_their_attachment_on() {
        let console = console(ConsoleOptions::default());
        console.write(LogStreamType::Stdout, Bytes::from_static(b"before"));
        let (first, second) = (console.attach(BOTH), console.attach(BOTH));
        console.write(LogStreamType::Stdout, Bytes::from_static(b"out"));
        console.write(LogStreamType::Stderr, Bytes::from_static(b"err"));
        for client in [&first, &second] {
            let read = |receiver: &Option<crate::network::Receiver>| receiver.as_ref().and_then(|r| r.read(9));
            assert_eq!(read(&client.stdout), Some(Bytes::from_static(b"out")));
            assert_eq!(read(&client.stderr), Some(Bytes::from_static(b"err")));
        }
        console.close();
        assert_eq!(first.stdout.as_ref().and_then(|r| r.read(9)), None, "the end");
    }

    #[test]
    fn full_client_blocks_output_until_it_reads_or_leaves() {
        let console = console(ConsoleOptions::default());
        let client = console.attach(BOTH);
        let output = console.output(LogStreamType::Stdout);
        while output.capacity() > 0 {
            console.write(LogStreamType::Stdout, Bytes::from(vec![0; output.capacity()]));
        }
        assert!(console.output(LogStreamType::Stderr).capacity() > 0, "the other stream is not affected");
        drop(client);
        assert_eq!(output.capacity(), MAX_WRITE);
    }

    #[test]
    fn stdin_ends_with_the_first_client_only_if_once() {
        for once in [false, true] {
            let console = console(ConsoleOptions { stdin: true, stdin_once: once, tty: false });
            let input = console.input().expect("stdin");
            drop(console.attach(BOTH));
            assert_eq!(read(&input).is_none(), once);
        }
        assert!(console(ConsoleOptions::default()).attach(BOTH).stdin.is_none());
    }
}
