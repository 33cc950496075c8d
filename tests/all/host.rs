//! Runs `wasmpod`, or another program, as a child process: to its end, or followed line by line
//! while it lives.
//!
//! Promises that no child outlives its test and that a wait which lasts too long fails with all
//! that the child has said.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// The longest that anything here may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// Where Cargo builds: guests and third-party programs are there too.
pub fn target() -> PathBuf {
    let set = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    set.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target"))
}

/// The program under test.
pub fn binary() -> PathBuf {
    let set = std::env::var_os("WASMPOD_BIN").map(PathBuf::from);
    existing(set.unwrap_or_else(|| target().join("release/wasmpod")))
}

/// A guest that `make guests` built for `platform` (`wasm32-wasip1` or `-wasip2`).
pub fn guest(platform: &str, name: &str) -> PathBuf {
    existing(target().join(format!("guests/{platform}/release/{name}.wasm")))
}

/// `path`, or a failure that says how to get it.
pub fn existing(path: PathBuf) -> PathBuf {
    assert!(path.exists(), "{} is not there: run `make test`, which builds all that the tests need", path.display());
    path
}

/// A file of the repository's `tests` folder.
pub fn test_file(path: &str) -> PathBuf {
    existing(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(path))
}

/// A home of the tests' own, kept from run to run, so that guests are compiled once.
pub fn home() -> PathBuf {
    let home = target().join("test-home");
    std::fs::create_dir_all(&home).expect("the tests' home is made");
    home
}

/// A program with arguments.
pub struct Wasmpod {
    command: Command,
    stdin: Option<Vec<u8>>,
    unread: Option<std::io::PipeWriter>,
}

/// What a run has left.
#[derive(Debug)]
pub struct Done {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    pub took: Duration,
}

/// `wasmpod run`; arguments follow.
pub fn run() -> Wasmpod {
    warm_up();
    bare_run()
}

/// Compiles the guest that most tests use. Tests that begin at once would all compile it.
pub fn warm_up() {
    static WARM: LazyLock<()> = LazyLock::new(|| {
        let yaml = pod("warm", "restartPolicy: Never, containers: [{name: c, image: busybox, command: ['true']}]");
        let done = bare_run().manifest(&yaml).done();
        assert_eq!(done.code, 0, "the simplest pod does not run: {done:?}");
    });
    LazyLock::force(&WARM);
}

fn bare_run() -> Wasmpod {
    command("run")
}

/// `wasmpod` with a command; arguments follow.
pub fn command(name: &str) -> Wasmpod {
    let home = home();
    let mut command = Command::new(binary());
    command.arg(name).env("HOME", &home).env("XDG_CACHE_HOME", home.join("cache"));
    command.env("XDG_STATE_HOME", home.join("state")).env_remove("WASMPOD_LOG");
    Wasmpod { command, stdin: None, unread: None }
}

/// Finds a program of this machine; the test fails with `way_out` if the PATH has none.
pub fn on_path(name: &str, way_out: &str) -> PathBuf {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&paths).map(|path| path.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{name} is not on the PATH: {way_out}"))
}

/// The program at `path`, with the tests' home.
pub fn program(path: PathBuf) -> Wasmpod {
    let mut command = Command::new(existing(path));
    command.env("HOME", home());
    Wasmpod { command, stdin: None, unread: None }
}

/// A pod's manifest, its spec in flow style.
pub fn pod(name: &str, spec: &str) -> String {
    format!("{{apiVersion: v1, kind: Pod, metadata: {{name: {name}}}, spec: {{{spec}}}}}\n")
}

/// A pod that is not restarted, with a shell script in each container.
pub fn scripts(name: &str, containers: &[(&str, &str)]) -> String {
    let container = |(name, script): &(&str, &str)| {
        format!("{{name: {name}, image: busybox, command: [sh, -c, {}]}}", Value::from(*script))
    };
    let all: Vec<String> = containers.iter().map(container).collect();
    pod(name, &format!("restartPolicy: Never, containers: [{}]", all.join(", ")))
}

impl Wasmpod {
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Wasmpod {
        self.command.arg(arg);
        self
    }

    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Wasmpod {
        self.command.args(args);
        self
    }

    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Wasmpod {
        self.command.env(name, value);
        self
    }

    /// The folder in which it is called.
    pub fn dir(mut self, dir: &Path) -> Wasmpod {
        self.command.current_dir(dir);
        self
    }

    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Wasmpod {
        self.stdin = Some(bytes.into());
        self
    }

    /// Reads `yaml` from standard input.
    pub fn manifest(self, yaml: &str) -> Wasmpod {
        self.arg("-").stdin(yaml)
    }

    /// Runs it with a standard output that nobody reads any more.
    pub fn done_unread(mut self) -> Done {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        self.unread = Some(writer);
        self.start().done()
    }

    /// Starts it, to be followed.
    pub fn start(mut self) -> Running {
        let stdin = if self.stdin.is_some() { Stdio::piped() } else { Stdio::null() };
        self.command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        if let Some(writer) = self.unread {
            self.command.stdout(writer);
        }
        let began = Instant::now();
        let mut child = self.command.spawn().expect("the program starts");
        if let (Some(mut input), Some(bytes)) = (child.stdin.take(), self.stdin) {
            // A program may end without having read everything.
            std::thread::spawn(move || input.write_all(&bytes));
        }
        let said = Arc::new(Said::default());
        let out = child.stdout.take().map(|pipe| said.clone().listen(pipe, |all| &mut all.stdout));
        let err = child.stderr.take().map(|pipe| said.clone().listen(pipe, |all| &mut all.stderr));
        let readers = out.into_iter().chain(err).collect();
        // Closes our copy of the pipes' other ends.
        drop(self.command);
        Running { child, said, readers, began }
    }

    /// Runs it to its end.
    pub fn done(self) -> Done {
        self.start().done()
    }
}

#[derive(Default)]
struct Texts {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    /// Outputs that were closed.
    ended: usize,
}

/// What a child has said so far.
#[derive(Default)]
struct Said {
    texts: Mutex<Texts>,
    more: Condvar,
}

impl Said {
    fn texts(&self) -> MutexGuard<'_, Texts> {
        self.texts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listen(
        self: Arc<Said>,
        from: impl Read + Send + 'static,
        which: fn(&mut Texts) -> &mut Vec<u8>,
    ) -> JoinHandle<()> {
        std::thread::spawn(move || {
            let mut from = BufReader::new(from);
            loop {
                let taken = match from.fill_buf() {
                    Ok([]) | Err(_) => break,
                    Ok(bytes) => {
                        which(&mut self.texts()).extend_from_slice(bytes);
                        bytes.len()
                    }
                };
                from.consume(taken);
                self.more.notify_all();
            }
            self.texts().ended += 1;
            self.more.notify_all();
        })
    }
}

/// How far an output was searched, and how often the text was found.
#[derive(Clone, Copy, Default)]
struct Searched {
    to: usize,
    found: usize,
}

impl Searched {
    fn search(&mut self, bytes: &[u8], text: &str) -> usize {
        while let Some(at) = bytes[self.to..].windows(text.len()).position(|window| window == text.as_bytes()) {
            self.to += at + text.len();
            self.found += 1;
        }
        // A part of the text may have come already.
        self.to = self.to.max((bytes.len() + 1).saturating_sub(text.len()));
        self.found
    }
}

/// The ends of both outputs.
fn shown(texts: &Texts) -> String {
    let end = |bytes: &[u8]| String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(4000)..]).into_owned();
    format!("stdout: {}\nstderr: {}", end(&texts.stdout), end(&texts.stderr))
}

/// A child that lives. Dropped, it is killed.
pub struct Running {
    child: Child,
    said: Arc<Said>,
    readers: Vec<JoinHandle<()>>,
    began: Instant,
}

impl Running {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until standard output or standard error contains `text`.
    pub fn wait_for(&self, text: &str) {
        self.wait_for_all(text, 1);
    }

    /// Waits until the outputs together contain `text` so often.
    pub fn wait_for_all(&self, text: &str, times: usize) {
        let until = Instant::now() + DEADLINE;
        let mut searched = [Searched::default(); 2];
        let mut texts = self.said.texts();
        loop {
            let [out, err] = &mut searched;
            if out.search(&texts.stdout, text) + err.search(&texts.stderr, text) >= times {
                return;
            }
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited in vain for {text:?}\n{}", shown(&texts));
            texts = self.said.more.wait_timeout(texts, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// What it has said on standard error so far.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.said.texts().stderr).into_owned()
    }

    /// Presses Ctrl-C.
    pub fn interrupt(&self) {
        self.signal(Signal::INT);
    }

    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(pid, signal).expect("the process lives");
    }

    /// Waits for its end.
    pub fn done(mut self) -> Done {
        let status = self.wait();
        // The pipes may outlive the child for the moment that a descendant needs to die; it has none.
        for reader in self.readers.drain(..) {
            reader.join().expect("the reader ends");
        }
        let texts = self.said.texts();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let code = status.code().unwrap_or(-1);
        Done { code, stdout: text(&texts.stdout), stderr: text(&texts.stderr), took: self.began.elapsed() }
    }

    fn wait(&mut self) -> ExitStatus {
        let until = Instant::now() + DEADLINE;
        let mut texts = self.said.texts();
        // Its end closes the pipes.
        while texts.ended < self.readers.len() {
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "it does not end\n{}", shown(&texts));
            texts = self.said.more.wait_timeout(texts, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(texts);
        self.child.wait().expect("the child is ours")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Ended already in most cases.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Done {
    /// Fails unless it ended with `code`.
    #[track_caller]
    pub fn expect(self, code: i32) -> Done {
        let texts = Texts { stdout: self.stdout.as_bytes().into(), stderr: self.stderr.as_bytes().into(), ended: 2 };
        assert_eq!(self.code, code, "exit code\n{}", shown(&texts));
        self
    }

    /// The lines that `source` (`pod/container`) wrote, in their order, from both outputs.
    pub fn log(&self, source: &str) -> String {
        let prefix = format!("{source} | ");
        let lines = self.stdout.lines().chain(self.stderr.lines());
        lines.filter_map(|line| line.strip_prefix(&prefix)).map(|line| format!("{line}\n")).collect()
    }

    /// The object that `--output json` printed.
    #[track_caller]
    pub fn object(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}\nstdout: {}\nstderr: {}", self.stdout, self.stderr))
    }

    /// The exit code and the reason of `container`'s end in the printed pod.
    #[track_caller]
    pub fn ended(&self, container: &str) -> (i64, String) {
        let ended = &status(&self.object(), container)["state"]["terminated"];
        let code = ended["exitCode"].as_i64().unwrap_or_else(|| panic!("{container} has not ended: {}", self.stderr));
        (code, ended["reason"].as_str().unwrap_or_default().to_string())
    }
}

/// The status of `container` in a printed pod.
#[track_caller]
pub fn status(pod: &Value, container: &str) -> Value {
    let of = |field: &str| pod["status"][field].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut all = of("initContainerStatuses").iter().chain(of("containerStatuses"));
    all.find(|status| status["name"] == container)
        .cloned()
        .unwrap_or_else(|| panic!("no status of {container}: {pod:#}"))
}
