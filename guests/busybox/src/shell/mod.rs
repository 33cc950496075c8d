//! The shell: a POSIX shell in the manner of busybox ash, on one thread of one WASI component.
//!
//! `lexer`, `grammar` and `input` turn text into syntax trees; `interpreter` walks them; `simple` and `external` run
//! simple commands; `expand` (with `word`, `brace`, `pattern`, `glob`, `arith`) expands words; `redirect` keeps
//! descriptors; `builtins` and the modules that it names hold the builtins.
//!
//! There are no processes: a subshell is a clone of [`Shell`], the stages of a pipeline are futures that are polled
//! together, a background job is a task. `process` numbers shells and jobs and delivers signals between them.
//!
//! The host's termination request arrives at process 1 as SIGTERM; a pod cannot choose another signal, since its
//! stopSignal is not supported. Commands live inside the shell, so no kernel terminates them: a signal interrupts the
//! foreground command at once, its status is 128+n, then the trap runs and the script continues. (In POSIX the trap
//! waits for the command's end, which may be `sleep 3600`.) Without a trap the shell runs its EXIT trap and exits with
//! 128+n. `trap '' TERM` ignores the signal.
//!
//! On a terminal, an interactive shell edits lines (`edit`), and Ctrl-C arrives as SIGINT at the shell that the host
//! started (`interrupt`): without a trap an interactive shell returns to its prompt, and a script exits with 130.

mod arith;
mod brace;
mod builtins;
mod compound;
mod control;
mod declare;
mod edit;
mod escape;
mod expand;
mod external;
mod filesystem;
mod getopts;
mod glob;
mod grammar;
mod history;
mod input;
mod interpreter;
mod interrupt;
mod invocation;
mod jobs;
mod lexer;
mod options;
mod parameter;
mod pattern;
mod print;
mod printf;
mod process;
mod prompt;
mod read;
mod read_keys;
mod redirect;
mod signal;
mod simple;
mod test;
mod trap;
mod variables;
mod word;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

use brush_parser::ast;

use crate::proc::{Command, Proc, Running};

pub use signal::{TERM, name as signal_name, number as signal_number};

use edit::History;
use interpreter::YieldTimer;
use jobs::Jobs;
use options::Options;
use process::Process;
use redirect::Descriptors;
use trap::Traps;
use variables::Variables;

/// Whether `name` is a name of this shell.
pub fn is_shell(name: &str) -> bool {
    matches!(name, "sh" | "ash" | "bash" | "-sh" | "-ash")
}

/// Runs `sh` as a command within this process, for example for the applet `env`.
pub fn run_as_command(proc: Proc) -> Running {
    Box::pin(invocation::run(proc, Process::new()))
}

/// The builtins that are applets, too.
pub const APPLETS: [&str; 9] = ["[", "[[", "echo", "false", "kill", "printf", "pwd", "test", "true"];

/// Runs a builtin as an applet (`env test -f x`, a probe's `test`).
pub fn find_applet(name: &str) -> Option<Command> {
    APPLETS.contains(&name).then_some(run_builtin_applet)
}

fn run_builtin_applet(proc: Proc) -> Running {
    Box::pin(async move {
        let mut shell = Shell::new(&proc, Process::new());
        let outcome = match builtins::find(proc.name()) {
            Some(builtin) => shell.run_builtin(builtin, proc.args).await,
            None => Ok(127),
        };
        shell.conclude(outcome).await
    })
}

/// Runs `sh` as process 1, which receives the termination request.
pub async fn main(proc: Proc) -> i32 {
    let process = Process::new();
    let notified = process.clone();
    wstd::runtime::spawn(async move {
        let name = lifecycle::termination().await;
        notified.signal(signal_number(&name).unwrap_or(TERM));
    })
    .detach();
    invocation::run(proc, process).await
}

/// Why control continues elsewhere after a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Leaves this many loops.
    Break(usize),
    /// Continues the loop this many levels out.
    Continue(usize),
    Return(i32),
    Exit(i32),
    /// Returns to the prompt, after an error in an interactive shell.
    Abandon,
    /// Returns to the prompt, after Ctrl-C in an interactive shell.
    Interrupt,
}

/// The exit status of a command, or where control continues instead.
pub type Outcome = Result<i32, Flow>;

/// A shell execution environment.
#[derive(Clone)]
pub struct Shell {
    pub variables: Variables,
    pub functions: BTreeMap<String, Rc<ast::FunctionBody>>,
    /// `$0`, the prefix of messages.
    pub name: String,
    pub positional: Vec<String>,
    pub cwd: PathBuf,
    pub descriptors: Descriptors,
    pub options: Options,
    /// `$?`.
    pub status: i32,
    /// `$$`, which subshells share.
    pub pid: u32,
    /// The process that receives the signals of this environment.
    process: Rc<Process>,
    jobs: Jobs,
    traps: Traps,
    context: CommandContext,
    yield_timer: YieldTimer,
    /// Position of `getopts` within a group of options.
    option_offset: usize,
    aliases: BTreeMap<String, String>,
    umask: u32,
    /// The lines that were entered; subshells share it.
    history: Rc<RefCell<History>>,
}

/// What surrounds the running command.
#[derive(Clone, Default)]
struct CommandContext {
    /// Nesting depth.
    nesting: usize,
    /// Number of enclosing loops of the running function.
    loops: usize,
    /// Greater than 0 where `set -e` does not apply (conditions, `!`, before `&&` and `||`).
    tested: usize,
    /// The status of the last command substitution of the command being expanded.
    substitution_status: Option<i32>,
    /// In a trap's action: the previous `$?`, which `exit` without a number returns.
    status_before_trap: Option<i32>,
}

impl Shell {
    fn new(proc: &Proc, process: Rc<Process>) -> Shell {
        let mut variables = Variables::from_environment(&proc.env);
        let cwd = proc.cwd.to_string_lossy().into_owned();
        for (name, value, export) in [
            ("IFS", " \t\n", false),
            ("OPTIND", "1", false),
            ("PS1", "\\w \\$ ", false),
            ("PS2", "> ", false),
            ("PS4", "+ ", false),
            ("PPID", "0", false),
            ("PWD", cwd.as_str(), true),
        ] {
            let known = variables.get(name).is_some() && name.starts_with("PS");
            if !known {
                let variable = variables.attributes(name);
                variable.value = Some(value.to_string());
                variable.exported = export;
            }
        }
        if variables.get("PATH").is_none() {
            let path = "/sbin:/usr/sbin:/bin:/usr/bin";
            variables.attributes("PATH").value = Some(path.into());
        }
        let (stdin, stdout) = (proc.stdin.clone(), proc.stdout.clone());
        Shell {
            variables,
            functions: BTreeMap::new(),
            name: proc.args.first().cloned().unwrap_or_else(|| "sh".into()),
            positional: Vec::new(),
            cwd: proc.cwd.clone(),
            descriptors: Descriptors::standard(stdin, stdout, proc.stderr.clone()),
            options: Options::default(),
            status: 0,
            pid: process.pid,
            process,
            jobs: Jobs::default(),
            traps: Traps::default(),
            context: CommandContext::default(),
            yield_timer: YieldTimer::default(),
            option_offset: 0,
            aliases: BTreeMap::new(),
            umask: 0o022,
            history: Rc::default(),
        }
    }

    /// Returns a subshell environment: a copy with its own changes and reset traps.
    fn subshell(&self) -> Shell {
        let process = Process::new();
        process.ignore_like(&self.process);
        let mut shell = self.clone();
        shell.process = process;
        shell.jobs.forget();
        shell.traps.enter_subshell();
        shell
    }

    /// Writes `name: message` to standard error.
    async fn print_error(&self, message: &str) {
        let line = [self.name.as_str(), ": ", message, "\n"].concat();
        let _ = self.descriptors.writer(2).write_all(line.as_bytes()).await;
    }

    /// Writes to standard output. Like SIGPIPE, a reader that is gone ends the shell.
    async fn print(&self, text: &str) -> Result<(), Flow> {
        self.print_bytes(text.as_bytes()).await
    }

    async fn print_bytes(&self, bytes: &[u8]) -> Result<(), Flow> {
        if bytes.is_empty() {
            return Ok(());
        }
        match self.descriptors.writer(1).write_all(bytes).await {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Err(Flow::Exit(141)),
            _ => Ok(()),
        }
    }

    /// Like [`Shell::print_bytes`]; a closed or failing output is an error of `builtin`.
    async fn print_or_fail(&self, builtin: &str, bytes: &[u8]) -> Outcome {
        let written = match self.descriptors.get(1) {
            _ if bytes.is_empty() => Ok(()),
            Some(redirect::Stream::Reader(_)) | None => Err("Bad file descriptor".to_string()),
            Some(_) => match self.descriptors.writer(1).write_all(bytes).await {
                Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {
                    return Err(Flow::Exit(141));
                }
                written => written.map_err(|error| crate::proc::strerror(&error)),
            },
        };
        match written {
            Ok(()) => Ok(0),
            Err(why) => {
                self.print_error(&[builtin, ": write error: ", &why].concat()).await;
                Ok(1)
            }
        }
    }

    /// Sets a variable; the error for a readonly one ends the shell.
    async fn assign(&mut self, name: &str, value: &str) -> expand::Expansion<()> {
        if !word::is_name(name) {
            return Err(self.report_failure(&format!("{name}: bad variable name")).await);
        }
        match self.variables.set(name, value) {
            Ok(()) => {
                if self.options.allexport {
                    self.variables.attributes(name).exported = true;
                }
                if name == "OPTIND" {
                    self.option_offset = 0;
                }
                Ok(())
            }
            Err(error) => Err(self.report_failure(&error.to_string()).await),
        }
    }
}
