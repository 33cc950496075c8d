//! External commands: applets, shells and scripts. Paths such as /bin/echo name applets even without such a file,
//! because the image of a wasmpod container need not contain them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::applets;
use crate::proc::{Command, Proc, Reader, Running};

use super::process::{Interrupted, Process};
use super::{Flow, Outcome, Shell, invocation, signal};

/// The target of a command name.
pub enum External {
    Applet(Command),
    Shell,
    /// A file with shell commands, or with an interpreter in its first line.
    Script(PathBuf),
}

/// The exit status and message of a command that can't run.
pub struct NotRunnable(pub i32, pub &'static str);

const NOT_FOUND: NotRunnable = NotRunnable(127, "not found");

impl Shell {
    /// Runs an external command; returns its exit status.
    pub async fn run_external(&mut self, words: Vec<String>, assignments: Vec<(String, String)>) -> Outcome {
        let mut running = match self.start(words, assignments, None) {
            Ok(running) => running,
            Err((name, NotRunnable(status, why))) => {
                self.print_error(&[name.as_str(), ": ", why].concat()).await;
                return Ok(status);
            }
        };
        let process = self.process.clone();
        let number = match process.interruptible(&mut running).await {
            Ok(status) => return Ok(status & 0xff),
            Err(Interrupted(number)) => number,
        };
        let Some(shell) = running.shell.clone().filter(|_| !self.catches(number)) else {
            return Ok(128 + number);
        };
        // `sh -c ./script`: the script may have a trap where this shell has none. ash would replace itself by its last
        // command, so that the script would be process 1.
        loop {
            while let Some(number) = process.next_signal() {
                shell.signal(number);
            }
            if let Ok(status) = process.interruptible(&mut running).await {
                return match number {
                    // A command that handles Ctrl-C itself does not end this shell.
                    signal::INT if status != 128 + signal::INT => Ok(status & 0xff),
                    signal::INT => Err(self.default_action(number)),
                    _ => Err(Flow::Exit(status & 0xff)),
                };
            }
        }
    }

    /// Performs `exec command`: the command replaces this shell and receives its signals.
    pub async fn exec_external(&mut self, words: Vec<String>) -> Outcome {
        let process = self.process.clone();
        let running = match self.start(words, Vec::new(), Some(&process)) {
            Ok(running) => running,
            Err((name, NotRunnable(status, why))) => {
                self.print_error(&[name.as_str(), ": ", why].concat()).await;
                return Err(Flow::Exit(status));
            }
        };
        // The traps end with the shell that set them.
        self.traps.clear_for_exec();
        match running.shell.is_some() {
            true => Err(Flow::Exit(running.future.await)),
            false => match process.interruptible(running).await {
                Ok(status) => Err(Flow::Exit(status & 0xff)),
                Err(Interrupted(number)) => Err(Flow::Exit(128 + number)),
            },
        }
    }

    fn start(
        &self,
        words: Vec<String>,
        assignments: Vec<(String, String)>,
        replaced: Option<&Rc<Process>>,
    ) -> Result<Started, (String, NotRunnable)> {
        let name = words.first().cloned().unwrap_or_default();
        let found = match self.find_external(&name) {
            Ok(found) => found,
            Err(error) => return Err((name, error)),
        };
        let mut env = self.variables.environment();
        env.extend(assignments);
        let proc = self.child_process(words, env);
        let new = || {
            let process = Process::new();
            process.ignore_like(&self.process);
            process
        };
        let shell = |proc: Proc| -> Started {
            let process = replaced.cloned().unwrap_or_else(new);
            let shell = Some(process.clone());
            Started { future: Box::pin(invocation::run(proc, process)), shell }
        };
        match found {
            External::Applet(command) => Ok(Started { future: command(proc), shell: None }),
            External::Shell => Ok(shell(proc)),
            External::Script(path) => match self.interpreter_of(&path) {
                Some(words) => {
                    let name = words.first().map(|w| basename(w).to_string()).unwrap_or_default();
                    let Some(command) = applets::find(&name) else {
                        return Err((proc.args.first().cloned().unwrap_or_default(), NOT_FOUND));
                    };
                    let mut proc = proc;
                    proc.args.splice(0..1, words.into_iter().chain([text(&path)]));
                    Ok(Started { future: command(proc), shell: None })
                }
                None => {
                    let mut proc = proc;
                    proc.args.splice(0..1, ["sh".to_string(), text(&path)]);
                    Ok(shell(proc))
                }
            },
        }
    }

    fn child_process(&self, args: Vec<String>, env: BTreeMap<String, String>) -> Proc {
        Proc {
            args,
            env,
            cwd: self.cwd.clone(),
            stdin: self.descriptors.reader(0),
            stdout: self.descriptors.writer(1),
            stderr: self.descriptors.writer(2),
        }
    }

    /// Returns the words of a script's `#!` line, if it names another program than a shell.
    fn interpreter_of(&self, path: &Path) -> Option<Vec<String>> {
        let bytes = std::fs::read(path).ok()?;
        let line = bytes.split(|b| *b == b'\n').next()?.strip_prefix(b"#!")?;
        let line = String::from_utf8_lossy(line).into_owned();
        let mut words: Vec<String> = line.split_whitespace().map(str::to_string).collect();
        if words.len() > 1 && words.first().is_some_and(|word| basename(word) == "env") {
            words.remove(0);
        }
        let name = basename(words.first()?);
        match super::is_shell(name) || name == "dash" {
            true => None,
            false => Some(words),
        }
    }

    /// Finds the target of `name` except functions and builtins.
    pub fn find_external(&self, name: &str) -> Result<External, NotRunnable> {
        if name.is_empty() {
            return Err(NOT_FOUND);
        }
        if !name.contains('/') {
            if let Some(found) = find_provided(name) {
                return Ok(found);
            }
            let path = self.variables.get("PATH").unwrap_or_default();
            let files = path.split(':').map(|dir| self.cwd.join(dir).join(name));
            return match files.into_iter().find(|file| file.is_file()) {
                Some(file) => check_script(file),
                None => Err(NOT_FOUND),
            };
        }
        let path = crate::proc::normalize(&self.cwd, name);
        if path.is_dir() {
            return Err(NotRunnable(126, "Permission denied"));
        }
        if path.is_file() {
            return check_script(path);
        }
        let directory = path.parent().map(text).unwrap_or_default();
        match directory.trim_start_matches("/usr").trim_start_matches("/local") {
            "/bin" | "/sbin" => find_provided(basename(name)).ok_or(NOT_FOUND),
            _ => Err(NOT_FOUND),
        }
    }
}

/// A running command.
struct Started {
    future: Running,
    /// The process of a shell, which handles signals itself.
    shell: Option<Rc<Process>>,
}

impl Future for Started {
    type Output = i32;

    fn poll(mut self: std::pin::Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> std::task::Poll<i32> {
        self.future.as_mut().poll(cx)
    }
}

/// Returns what this binary provides under a name.
fn find_provided(name: &str) -> Option<External> {
    if super::is_shell(name) {
        return Some(External::Shell);
    }
    if name == "busybox" {
        return Some(External::Applet(crate::run));
    }
    applets::find(name).or_else(|| super::find_applet(name)).map(External::Applet)
}

/// Opens a file that can be run: readable, and not a binary, which the shell can't execute.
fn check_script(path: PathBuf) -> Result<External, NotRunnable> {
    use std::io::Read;
    let mut start = [0; 4];
    let read = std::fs::File::open(&path).and_then(|mut file| file.read(&mut start));
    match read {
        Err(_) => Err(NotRunnable(126, "Permission denied")),
        Ok(_) if start == *b"\0asm" || start == *b"\x7fELF" => Err(NotRunnable(126, "Exec format error")),
        Ok(_) => Ok(External::Script(path)),
    }
}

fn basename(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn text(path: impl AsRef<Path>) -> String {
    path.as_ref().to_string_lossy().into_owned()
}

/// Returns the whole script file as input.
pub fn open_script(path: &Path) -> std::io::Result<Reader> {
    std::fs::File::open(path).map(Reader::from_file)
}
