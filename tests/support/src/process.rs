//! Runs `wasmpod`, or another program, as a child process: to its exit, or followed while it runs.
//!
//! No child outlives its test, and a wait that takes too long fails with all that the child has printed.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{Terminal, binary, container_status, existing, home, pod};

/// Longer than any wait for a child takes on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A program and its arguments.
pub struct TestCommand {
    command: Command,
    stdin: Option<Vec<u8>>,
    stdout: Option<std::io::PipeWriter>,
}

/// The result of a finished process.
#[derive(Debug)]
pub struct ProcessOutput {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    pub took: Duration,
}

/// Returns `wasmpod run`, to which arguments may be added.
pub fn run() -> TestCommand {
    warm_up();
    command("run")
}

/// Compiles the guest that most tests use, which tests that start together would each compile otherwise.
pub fn warm_up() {
    static WARM: LazyLock<()> = LazyLock::new(|| {
        let yaml = pod("warm", "restartPolicy: Never, containers: [{name: c, image: busybox, command: ['true']}]");
        let output = command("run").manifest(&yaml).output();
        assert_eq!(output.code, 0, "the simplest pod does not run: {output:?}");
    });
    LazyLock::force(&WARM);
}

/// Returns `wasmpod NAME`, to which arguments may be added.
pub fn command(name: &str) -> TestCommand {
    let home = home();
    let mut command = Command::new(binary());
    command.arg(name).env("HOME", &home).env("XDG_CACHE_HOME", home.join("cache"));
    command.env("XDG_STATE_HOME", home.join("state")).env_remove("XDG_RUNTIME_DIR").env_remove("WASMPOD_LOG");
    // The service manager of the tests is none of theirs.
    for name in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "STATE_DIRECTORY", "LOGS_DIRECTORY", "CACHE_DIRECTORY"] {
        command.env_remove(name);
    }
    TestCommand { command, stdin: None, stdout: None }
}

/// Returns the path of a program of this machine.
///
/// # Panics
/// If the program is not on the PATH, with `remedy`.
pub fn on_path(name: &str, remedy: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|directory| directory.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{name} is not on the PATH: {remedy}"))
}

/// Returns the program at `path`, to which arguments may be added.
pub fn program(path: PathBuf) -> TestCommand {
    let mut command = Command::new(existing(path));
    command.env("HOME", home());
    TestCommand { command, stdin: None, stdout: None }
}

impl TestCommand {
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> TestCommand {
        self.command.arg(arg);
        self
    }

    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> TestCommand {
        self.command.args(args);
        self
    }

    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> TestCommand {
        self.command.env(name, value);
        self
    }

    /// Limits the files that the process may have open, as `ulimit -n` does.
    pub fn limit_open_files(self, files: u64) -> TestCommand {
        let mut limited = Command::new("/bin/sh");
        limited.args(["-c", &format!("ulimit -n {files}; exec \"$0\" \"$@\"")]);
        limited.arg(self.command.get_program()).args(self.command.get_args());
        for (name, value) in self.command.get_envs() {
            match value {
                Some(value) => limited.env(name, value),
                None => limited.env_remove(name),
            };
        }
        if let Some(directory) = self.command.get_current_dir() {
            limited.current_dir(directory);
        }
        TestCommand { command: limited, ..self }
    }

    /// Sets the working directory.
    pub fn dir(mut self, dir: &Path) -> TestCommand {
        self.command.current_dir(dir);
        self
    }

    /// Passes `bytes` on standard input.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> TestCommand {
        self.stdin = Some(bytes.into());
        self
    }

    /// Passes `yaml` on standard input, and `-` to have it read.
    pub fn manifest(self, yaml: &str) -> TestCommand {
        self.arg("-").stdin(yaml)
    }

    /// Starts the process.
    pub fn start(mut self) -> RunningProcess {
        let stdin = if self.stdin.is_some() { Stdio::piped() } else { Stdio::null() };
        self.command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        if let Some(stdout) = self.stdout {
            self.command.stdout(stdout);
        }
        let started = Instant::now();
        let mut child = self.command.spawn().expect("the program starts");
        if let (Some(mut input), Some(bytes)) = (child.stdin.take(), self.stdin) {
            // A program may exit without having read everything.
            std::thread::spawn(move || input.write_all(&bytes));
        }
        let captured = Arc::new(CapturedOutput::default());
        let out = child.stdout.take().map(|pipe| captured.clone().read(pipe, |streams| &mut streams.stdout));
        let err = child.stderr.take().map(|pipe| captured.clone().read(pipe, |streams| &mut streams.stderr));
        let readers = out.into_iter().chain(err).collect();
        // Closes our copy of the pipes' other ends.
        drop(self.command);
        RunningProcess { child, captured, readers, started }
    }

    /// Starts the process in a session of its own on `terminal`, whose output is the process's standard output.
    pub fn start_in(self, terminal: &Terminal) -> RunningProcess {
        let mut command = Command::new(on_path("setsid", "install util-linux"));
        command.arg("--ctty").arg(self.command.get_program()).args(self.command.get_args());
        for (name, value) in self.command.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.stdin(terminal.program_side()).stdout(terminal.program_side()).stderr(terminal.program_side());
        let started = Instant::now();
        let child = command.spawn().expect("the program starts");
        let captured = Arc::new(CapturedOutput::default());
        let readers = vec![captured.clone().read(terminal.output(), |streams| &mut streams.stdout)];
        RunningProcess { child, captured, readers, started }
    }

    /// Runs the process to its exit.
    pub fn output(self) -> ProcessOutput {
        self.start().output()
    }

    /// Runs the process with a standard output whose reader has gone.
    pub fn output_with_closed_stdout(mut self) -> ProcessOutput {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        self.stdout = Some(writer);
        self.output()
    }
}

/// The bytes of a child's output streams.
#[derive(Default)]
struct Streams {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    /// The number of streams that the child has closed.
    closed: usize,
}

impl Streams {
    /// Returns the last part of both streams, for messages.
    fn tail(&self) -> String {
        let tail = |bytes: &[u8]| String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(4000)..]).into_owned();
        format!("stdout: {}\nstderr: {}", tail(&self.stdout), tail(&self.stderr))
    }
}

/// A child's output streams, read by threads.
#[derive(Default)]
struct CapturedOutput {
    streams: Mutex<Streams>,
    /// Notified when bytes arrive and when a stream closes.
    changed: Condvar,
}

impl CapturedOutput {
    fn streams(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads `pipe` in a thread, into the stream that `stream` selects.
    fn read(
        self: Arc<CapturedOutput>,
        pipe: impl Read + Send + 'static,
        stream: fn(&mut Streams) -> &mut Vec<u8>,
    ) -> JoinHandle<()> {
        std::thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            loop {
                let len = match pipe.fill_buf() {
                    Ok([]) | Err(_) => break,
                    Ok(bytes) => {
                        stream(&mut self.streams()).extend_from_slice(bytes);
                        bytes.len()
                    }
                };
                pipe.consume(len);
                self.changed.notify_all();
            }
            self.streams().closed += 1;
            self.changed.notify_all();
        })
    }

    /// Blocks until `condition` holds of the streams.
    ///
    /// # Panics
    /// After [`TIMEOUT`], with what was `awaited` and the end of both streams.
    #[track_caller]
    fn wait_until(&self, awaited: &str, mut condition: impl FnMut(&Streams) -> bool) {
        let deadline = Instant::now() + TIMEOUT;
        let mut streams = self.streams();
        while !condition(&streams) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited in vain for {awaited}\n{}", streams.tail());
            streams = self.changed.wait_timeout(streams, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Counts a text in a growing stream, reading no byte twice.
#[derive(Clone, Copy, Default)]
struct Search {
    position: usize,
    found: usize,
}

impl Search {
    fn count(&mut self, bytes: &[u8], text: &str) -> usize {
        while let Some(at) = bytes[self.position..].windows(text.len()).position(|window| window == text.as_bytes()) {
            self.position += at + text.len();
            self.found += 1;
        }
        // A part of the text may have arrived already.
        self.position = self.position.max((bytes.len() + 1).saturating_sub(text.len()));
        self.found
    }
}

/// A child process. Dropping it kills the process.
pub struct RunningProcess {
    child: Child,
    captured: Arc<CapturedOutput>,
    readers: Vec<JoinHandle<()>>,
    started: Instant,
}

impl RunningProcess {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until standard output or standard error contains `text`.
    #[track_caller]
    pub fn wait_for(&self, text: &str) {
        self.wait_for_all(text, 1);
    }

    /// Waits until both outputs together contain `text` so many `times`.
    #[track_caller]
    pub fn wait_for_all(&self, text: &str, times: usize) {
        let [mut out, mut err] = [Search::default(); 2];
        self.captured.wait_until(&format!("{text:?}"), |streams| {
            out.count(&streams.stdout, text) + err.count(&streams.stderr, text) >= times
        });
    }

    /// Returns what the process has printed on standard output.
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.captured.streams().stdout).into_owned()
    }

    /// Returns what the process has printed on standard error.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.captured.streams().stderr).into_owned()
    }

    /// Sends SIGINT, as Ctrl-C does.
    pub fn interrupt(&self) {
        self.signal(Signal::INT);
    }

    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process ID");
        kill_process(pid, signal).expect("the process is running");
    }

    /// Waits for the process to exit.
    #[track_caller]
    pub fn output(mut self) -> ProcessOutput {
        let status = self.wait();
        for reader in self.readers.drain(..) {
            reader.join().expect("the reader does not panic");
        }
        let streams = self.captured.streams();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let code = status.code().unwrap_or(-1);
        let (stdout, stderr) = (text(&streams.stdout), text(&streams.stderr));
        ProcessOutput { code, stdout, stderr, took: self.started.elapsed() }
    }

    #[track_caller]
    fn wait(&mut self) -> ExitStatus {
        // Exiting closes the streams.
        let readers = self.readers.len();
        self.captured.wait_until("the process to exit", |streams| streams.closed == readers);
        self.child.wait().expect("the child is ours")
    }
}

impl Drop for RunningProcess {
    fn drop(&mut self) {
        // In most cases the process has exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl ProcessOutput {
    /// Returns the output if the exit code is `code`.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> ProcessOutput {
        let streams =
            Streams { stdout: self.stdout.as_bytes().into(), stderr: self.stderr.as_bytes().into(), closed: 2 };
        assert_eq!(self.code, code, "exit code\n{}", streams.tail());
        self
    }

    /// Returns the lines of `source` (`pod/container`) in their order, from both outputs.
    pub fn log(&self, source: &str) -> String {
        let prefix = format!("{source} | ");
        let lines = self.stdout.lines().chain(self.stderr.lines());
        lines.filter_map(|line| line.strip_prefix(&prefix)).map(|line| format!("{line}\n")).collect()
    }

    /// Returns the object that `--output json` printed.
    #[track_caller]
    pub fn object(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}\nstdout: {}\nstderr: {}", self.stdout, self.stderr))
    }

    /// Returns the exit code and the reason of a terminated container of the printed pod.
    #[track_caller]
    pub fn termination(&self, container: &str) -> (i64, String) {
        let terminated = &container_status(&self.object(), container)["state"]["terminated"];
        let code = terminated["exitCode"].as_i64();
        let code = code.unwrap_or_else(|| panic!("{container} is not terminated: {}", self.stderr));
        (code, terminated["reason"].as_str().unwrap_or_default().to_string())
    }
}
