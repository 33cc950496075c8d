//! External commands: applets, shells and scripts. Paths such as /bin/echo name applets where no
//! such file exists, because the image of a wasmpod container need not hold them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::applets;
use crate::proc::{Command, Proc, Reader, Running};

use super::process::{Interrupted, Process};
use super::{Flow, Outcome, Shell, invocation};

/// What a command name stands for.
pub enum External {
    Applet(Command),
    Shell,
    /// A file with commands, or with an interpreter in its first line.
    Script(PathBuf),
}

/// Why nothing can be run: exit status and message.
pub struct NotRunnable(pub i32, pub &'static str);

const NOT_FOUND: NotRunnable = NotRunnable(127, "not found");

impl Shell {
    /// Runs an external command and awaits its end.
    pub async fn external(&mut self, words: Vec<String>, assignments: Vec<(String, String)>) -> Outcome {
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
        // `sh -c ./script`: the script may have a trap where this shell has none, and would be
        // process 1 itself had the shell replaced itself by it, as ash does for a last command.
        loop {
            while let Some(number) = process.next_signal() {
                shell.signal(number);
            }
            if let Ok(status) = process.interruptible(&mut running).await {
                return Err(Flow::Exit(status & 0xff));
            }
        }
    }

    /// `exec command`: the command takes this shell's place, and its signals.
    pub async fn replace(&mut self, words: Vec<String>) -> Outcome {
        let process = self.process.clone();
        let running = match self.start(words, Vec::new(), Some(&process)) {
            Ok(running) => running,
            Err((name, NotRunnable(status, why))) => {
                self.print_error(&[name.as_str(), ": ", why].concat()).await;
                return Err(Flow::Exit(status));
            }
        };
        // The traps go with the shell that set them.
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
        let proc = self.proc(words, env);
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

    fn proc(&self, args: Vec<String>, env: BTreeMap<String, String>) -> Proc {
        Proc {
            args,
            env,
            cwd: self.cwd.clone(),
            stdin: self.descriptors.reader(0),
            stdout: self.descriptors.writer(1),
            stderr: self.descriptors.writer(2),
        }
    }

    /// The words of a script's `#!` line, if it names anything but a shell.
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

    /// Finds what `name` would run, functions and builtins apart.
    pub fn find_external(&self, name: &str) -> Result<External, NotRunnable> {
        if name.is_empty() {
            return Err(NOT_FOUND);
        }
        if !name.contains('/') {
            if let Some(found) = provided(name) {
                return Ok(found);
            }
            let path = self.variables.get("PATH").unwrap_or_default();
            let files = path.split(':').map(|dir| self.cwd.join(dir).join(name));
            return match files.into_iter().find(|file| file.is_file()) {
                Some(file) => script(file),
                None => Err(NOT_FOUND),
            };
        }
        let path = crate::proc::normalize(&self.cwd, name);
        if path.is_dir() {
            return Err(NotRunnable(126, "Permission denied"));
        }
        if path.is_file() {
            return script(path);
        }
        let directory = path.parent().map(text).unwrap_or_default();
        match directory.trim_start_matches("/usr").trim_start_matches("/local") {
            "/bin" | "/sbin" => provided(basename(name)).ok_or(NOT_FOUND),
            _ => Err(NOT_FOUND),
        }
    }
}

/// A command on its way.
struct Started {
    future: Running,
    /// A shell acts on signals itself: its process.
    shell: Option<Rc<Process>>,
}

impl Future for Started {
    type Output = i32;

    fn poll(mut self: std::pin::Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> std::task::Poll<i32> {
        self.future.as_mut().poll(cx)
    }
}

/// What this binary itself provides under a name.
fn provided(name: &str) -> Option<External> {
    if super::is_shell(name) {
        return Some(External::Shell);
    }
    if name == "busybox" {
        return Some(External::Applet(crate::run));
    }
    applets::find(name).or_else(|| super::applet(name)).map(External::Applet)
}

/// A file that can be run: readable, and not a binary, which nothing here could execute.
fn script(path: PathBuf) -> Result<External, NotRunnable> {
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

/// The whole of a script file as input.
pub fn open_script(path: &Path) -> std::io::Result<Reader> {
    std::fs::File::open(path).map(Reader::file)
}
