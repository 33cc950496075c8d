//! The environment of a command: arguments, variables, working directory and three streams. Shell and applets share
//! this interface; neither depends on the other.
//!
//! A terminal's input may end (Ctrl-D) and continue: a reader reports the end once, and the next read waits again.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::future::poll_fn;
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use wasip2::io::streams::{InputStream, StreamError};
use wstd::io::AsyncOutputStream;
use wstd::runtime::AsyncPollable;

use crate::pipe::{self, ReadEnd, WriteEnd};

/// A command's future; everything runs on one thread.
pub type Running = Pin<Box<dyn Future<Output = i32>>>;

/// A command: takes its process and returns its exit code.
pub type Command = fn(Proc) -> Running;

/// One running command. Cloning shares streams and copies the rest, as `fork` would.
#[derive(Clone)]
pub struct Proc {
    /// The arguments; `args[0]` is the name that the command was called by.
    pub args: Vec<String>,
    /// Exported variables.
    pub env: BTreeMap<String, String>,
    /// The working directory, absolute and normalised.
    pub cwd: PathBuf,
    pub stdin: Reader,
    pub stdout: Writer,
    pub stderr: Writer,
}

impl Proc {
    /// Returns the process that the host started, with its arguments, environment and streams.
    pub fn from_host() -> Proc {
        let cwd = wasip2::cli::environment::initial_cwd().unwrap_or_else(|| "/".into());
        Proc {
            args: std::env::args().collect(),
            env: std::env::vars().collect(),
            cwd: normalize(Path::new("/"), &cwd),
            stdin: Reader::from_host(),
            stdout: Writer::host_stdout(),
            stderr: Writer::host_stderr(),
        }
    }

    /// Resolves a path relative to the working directory.
    pub fn path(&self, path: &str) -> PathBuf {
        normalize(&self.cwd, path)
    }

    /// Returns the name for messages: the last part of `args[0]`.
    pub fn name(&self) -> &str {
        let arg0 = self.args.first().map_or("", String::as_str);
        arg0.rsplit('/').next().unwrap_or(arg0)
    }

    /// Writes `name: message` to standard error.
    pub async fn print_error(&self, message: impl std::fmt::Display) {
        let line = format!("{}: {message}\n", self.name());
        let _ = self.stderr.write_all(line.as_bytes()).await;
    }

    /// Opens an operand for reading; `-` is standard input.
    pub fn open(&self, operand: &str) -> io::Result<Reader> {
        if operand == "-" {
            return Ok(self.stdin.clone());
        }
        let path = self.path(operand);
        if let Some(device) = Reader::open_device(&path) {
            return Ok(device);
        }
        if path.is_dir() {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "Is a directory"));
        }
        Ok(Reader::from_file(File::open(path)?))
    }
}

/// Joins and resolves `.` and `..` by name, as a shell's logical `cd` does.
pub fn normalize(base: &Path, path: &str) -> PathBuf {
    let mut out = PathBuf::from("/");
    for part in base.join(path).components() {
        match part {
            Component::Normal(name) => out.push(name),
            Component::ParentDir => {
                out.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    out
}

/// Returns POSIX's message for an error (`No such file or directory`).
pub fn strerror(error: &io::Error) -> String {
    use io::ErrorKind::*;
    match error.kind() {
        NotFound => "No such file or directory".into(),
        PermissionDenied => "Permission denied".into(),
        AlreadyExists => "File exists".into(),
        IsADirectory => "Is a directory".into(),
        NotADirectory => "Not a directory".into(),
        DirectoryNotEmpty => "Directory not empty".into(),
        ReadOnlyFilesystem => "Read-only file system".into(),
        BrokenPipe => "Broken pipe".into(),
        InvalidInput => "Invalid argument".into(),
        ConnectionRefused => "Connection refused".into(),
        _ => {
            let text = error.to_string();
            text.split(" (os error").next().unwrap_or(&text).to_string()
        }
    }
}

// ---------------------------------------------------------------- readers

/// The reading end of a stream. Clones share the position, as duplicated descriptors do.
#[derive(Clone)]
pub struct Reader(Rc<Source>);

struct Source {
    /// Bytes that `read_line` took from the stream but did not consume.
    ahead: RefCell<VecDeque<u8>>,
    kind: SourceKind,
}

enum SourceKind {
    Empty,
    Zeros,
    Random,
    Host(HostInput),
    File(Rc<RefCell<File>>),
    Pipe(ReadEnd),
    Bytes(RefCell<VecDeque<u8>>),
}

impl Reader {
    fn new(kind: SourceKind) -> Reader {
        Reader(Rc::new(Source { ahead: RefCell::default(), kind }))
    }

    /// Returns a reader that is always at its end, like /dev/null.
    pub fn empty() -> Reader {
        Reader::new(SourceKind::Empty)
    }

    /// Returns the reader of a device that every Unix has; WASI's file systems have none.
    pub fn open_device(path: &Path) -> Option<Reader> {
        match path.to_str()? {
            "/dev/null" => Some(Reader::empty()),
            "/dev/zero" => Some(Reader::new(SourceKind::Zeros)),
            "/dev/random" | "/dev/urandom" => Some(Reader::new(SourceKind::Random)),
            "/dev/tty" => Reader::terminal(),
            _ => None,
        }
    }

    /// Returns standard input of the host; always the same reader, so that no bytes are lost between two.
    pub fn from_host() -> Reader {
        thread_local!(static STDIN: OnceCell<Reader> = const { OnceCell::new() });
        STDIN.with(|stdin| stdin.get_or_init(|| Reader::new(SourceKind::Host(HostInput::stdin()))).clone())
    }

    /// Returns the terminal's input, wherever standard input of the command comes from.
    pub fn terminal() -> Option<Reader> {
        Some(Reader::from_host()).filter(Reader::is_terminal)
    }

    /// Whether this is the terminal's input.
    pub fn is_terminal(&self) -> bool {
        matches!(self.0.kind, SourceKind::Host(_)) && wasip2::cli::terminal_stdin::get_terminal_stdin().is_some()
    }

    /// Returns bytes that were read but not used; they are read next.
    pub fn unread(&self, bytes: &[u8]) {
        let mut ahead = self.0.ahead.borrow_mut();
        for byte in bytes.iter().rev() {
            ahead.push_front(*byte);
        }
    }

    pub fn from_file(file: File) -> Reader {
        Reader::new(SourceKind::File(Rc::new(RefCell::new(file))))
    }

    /// Returns a reader of fixed bytes (here-documents).
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Reader {
        Reader::new(SourceKind::Bytes(RefCell::new(VecDeque::from(bytes.into()))))
    }

    /// Reads at least one byte; 0 means the end.
    pub async fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        yield_sometimes().await;
        {
            let mut ahead = self.0.ahead.borrow_mut();
            if !ahead.is_empty() {
                return ahead.read(buf);
            }
        }
        match &self.0.kind {
            SourceKind::Empty => Ok(0),
            SourceKind::Zeros => {
                buf.fill(0);
                Ok(buf.len())
            }
            SourceKind::Random => {
                let bytes = wasip2::random::random::get_random_bytes(buf.len().min(4096) as u64);
                buf.iter_mut().zip(&bytes).for_each(|(to, from)| *to = *from);
                Ok(bytes.len())
            }
            SourceKind::Host(stream) => stream.read(buf).await,
            SourceKind::File(file) => file.borrow_mut().read(buf),
            SourceKind::Pipe(end) => end.read(buf).await,
            SourceKind::Bytes(bytes) => bytes.borrow_mut().read(buf),
        }
    }

    /// Reads to the end.
    pub async fn read_to_end(&self) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        let mut buf = vec![0; 16 * 1024];
        loop {
            match self.read(&mut buf).await? {
                0 => return Ok(out),
                n => out.extend_from_slice(&buf[..n]),
            }
        }
    }

    /// Reads one line with its newline; empty at the end. The bytes after the newline stay for the next reader of this
    /// stream in this process.
    pub async fn read_line(&self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        let mut buf = vec![0; 4096];
        loop {
            let n = self.read(&mut buf).await?;
            if n == 0 {
                return Ok(line);
            }
            if let Some(end) = buf[..n].iter().position(|b| *b == b'\n') {
                line.extend_from_slice(&buf[..=end]);
                self.unread(&buf[end + 1..n]);
                return Ok(line);
            }
            line.extend_from_slice(&buf[..n]);
        }
    }
}

/// An input stream of the host. Unlike wstd's stream, it stays registered with the runtime only while a read waits:
/// commands that are interrupted drop their reads.
struct HostInput {
    // Dropped before the stream, whose child it is.
    readiness: OnceCell<AsyncPollable>,
    stream: InputStream,
}

impl HostInput {
    fn stdin() -> HostInput {
        HostInput { readiness: OnceCell::new(), stream: wasip2::cli::stdin::get_stdin() }
    }

    async fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        let readiness = self.readiness.get_or_init(|| AsyncPollable::new(self.stream.subscribe()));
        loop {
            readiness.wait_for().await;
            match self.stream.read(buf.len() as u64) {
                Ok(bytes) if bytes.is_empty() => {}
                Ok(bytes) => return bytes.as_slice().read(buf),
                Err(StreamError::Closed) => return Ok(0),
                Err(StreamError::LastOperationFailed(error)) => return Err(io::Error::other(error.to_debug_string())),
            }
        }
    }
}

// ---------------------------------------------------------------- writers

/// Which stream of the host.
#[derive(Clone, Copy)]
enum HostStream {
    Output,
    Error,
}

/// The writing end of a stream. Clones share it; a pipe ends when the last one is dropped.
#[derive(Clone)]
pub struct Writer(Rc<Sink>);

enum Sink {
    Null,
    Host(RefCell<Option<AsyncOutputStream>>, HostStream),
    File(Rc<RefCell<File>>),
    Pipe(WriteEnd),
    Capture(Rc<RefCell<Vec<u8>>>),
}

impl Writer {
    /// Returns a writer that discards everything, like /dev/null.
    pub fn null() -> Writer {
        Writer(Rc::new(Sink::Null))
    }

    pub fn host_stdout() -> Writer {
        let stream = AsyncOutputStream::new(wasip2::cli::stdout::get_stdout());
        Writer(Rc::new(Sink::Host(RefCell::new(Some(stream)), HostStream::Output)))
    }

    pub fn host_stderr() -> Writer {
        let stream = AsyncOutputStream::new(wasip2::cli::stderr::get_stderr());
        Writer(Rc::new(Sink::Host(RefCell::new(Some(stream)), HostStream::Error)))
    }

    pub fn from_file(file: File) -> Writer {
        Writer(Rc::new(Sink::File(Rc::new(RefCell::new(file)))))
    }

    /// Whether this is the terminal's output.
    pub fn is_terminal(&self) -> bool {
        match &*self.0 {
            Sink::Host(_, HostStream::Output) => wasip2::cli::terminal_stdout::get_terminal_stdout().is_some(),
            Sink::Host(_, HostStream::Error) => wasip2::cli::terminal_stderr::get_terminal_stderr().is_some(),
            Sink::Null | Sink::File(_) | Sink::Pipe(_) | Sink::Capture(_) => false,
        }
    }

    /// Returns a writer that collects its bytes (command substitution).
    pub fn capture() -> (Writer, Rc<RefCell<Vec<u8>>>) {
        let bytes = Rc::new(RefCell::new(Vec::new()));
        (Writer(Rc::new(Sink::Capture(bytes.clone()))), bytes)
    }

    /// Writes all bytes; the error is `BrokenPipe` once all readers are gone.
    pub async fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        yield_sometimes().await;
        match &*self.0 {
            Sink::Null => Ok(()),
            Sink::Host(slot, _) => {
                let taken = TakenStream::take(slot).await;
                let Some(stream) = &taken.stream else { return Ok(()) };
                stream.write_all(bytes).await?;
                stream.flush().await
            }
            Sink::File(file) => file.borrow_mut().write_all(bytes),
            Sink::Pipe(end) => end.write_all(bytes).await,
            Sink::Capture(sink) => {
                sink.borrow_mut().extend_from_slice(bytes);
                Ok(())
            }
        }
    }
}

/// A stream of the host, taken while it writes, so that the lines of two tasks do not mix. Returns when this is dropped,
/// even if the write was interrupted.
struct TakenStream<'a> {
    slot: &'a RefCell<Option<AsyncOutputStream>>,
    stream: Option<AsyncOutputStream>,
}

impl TakenStream<'_> {
    async fn take(slot: &RefCell<Option<AsyncOutputStream>>) -> TakenStream<'_> {
        loop {
            if let Some(stream) = slot.borrow_mut().take() {
                return TakenStream { slot, stream: Some(stream) };
            }
            yield_now().await;
        }
    }
}

impl Drop for TakenStream<'_> {
    fn drop(&mut self) {
        *self.slot.borrow_mut() = self.stream.take();
    }
}

/// Opens both ends of a file with one position (`<>`).
pub fn file_pair(file: File) -> (Reader, Writer) {
    let file = Rc::new(RefCell::new(file));
    (Reader::new(SourceKind::File(file.clone())), Writer(Rc::new(Sink::File(file))))
}

/// Lets the other tasks of this thread run once.
pub async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

/// Yields now and then. Streams that are always ready never wait: without this, `yes` would ignore the termination
/// request and starve all other tasks.
async fn yield_sometimes() {
    thread_local!(static BUSY: Cell<u32> = const { Cell::new(0) });
    const YIELD_EVERY: u32 = 64;
    let busy = BUSY.get() + 1;
    BUSY.set(busy % YIELD_EVERY);
    if busy == YIELD_EVERY {
        yield_now().await;
    }
}

/// Creates an in-memory pipe of 64 KiB.
pub fn pipe() -> (Reader, Writer) {
    let (reader, writer) = pipe::ends();
    (Reader::new(SourceKind::Pipe(reader)), Writer(Rc::new(Sink::Pipe(writer))))
}
