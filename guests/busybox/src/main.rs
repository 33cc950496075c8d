//! A shell and applets in one component, called by `argv[0]` or as `busybox APPLET`.
//!
//! Owns the end of the process: exact exit codes, and 143 for an applet that is asked to terminate. (The shell handles
//! that request itself.)

mod applets;
mod console;
mod pipe;
mod proc;
mod shell;

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use proc::{Proc, Running};

/// The exit status of a process that SIGTERM terminated.
const TERMINATED: i32 = 128 + shell::TERM;

fn main() {
    let proc = Proc::from_host();
    wstd::runtime::block_on(async move {
        let code = start(proc).await;
        // Exits here instead of returning from `block_on`, which would wait for background jobs.
        wasip2::cli::exit::exit_with_code((code & 0xff) as u8);
    });
}

/// Runs the command that the host started.
async fn start(mut proc: Proc) -> i32 {
    // When the host runs the file itself, the name is the file's name.
    if let Some(name) = proc.args.first_mut() {
        *name = name.strip_suffix(".wasm").unwrap_or(name).to_string();
    }
    let called = strip_busybox(proc);
    if shell::is_shell(called.name()) {
        return shell::main(called).await;
    }
    let mut command = run(called);
    let mut notice = pin!(lifecycle::termination());
    poll_fn(|cx| match command.as_mut().poll(cx) {
        Poll::Ready(code) => Poll::Ready(code),
        Poll::Pending => notice
            .as_mut()
            .poll(cx)
            .map(|signal| shell::signal_number(&signal).map_or(TERMINATED, |number| 128 + number)),
    })
    .await
}

/// Removes `busybox` from `busybox APPLET ARGS`.
fn strip_busybox(mut proc: Proc) -> Proc {
    if proc.name() == "busybox" && proc.args.get(1).is_some_and(|arg| arg != "--list") {
        proc.args.remove(0);
    }
    proc
}

/// Runs an applet or a shell by the name in `args[0]`.
pub fn run(proc: Proc) -> Running {
    let proc = strip_busybox(proc);
    let name = proc.name();
    if shell::is_shell(name) {
        return shell::run_as_command(proc);
    }
    if let Some(command) = applets::find(name).or_else(|| shell::find_applet(name)) {
        return command(proc);
    }
    Box::pin(async move {
        if proc.name() != "busybox" {
            let line = [proc.name(), ": applet not found\n"].concat();
            let _ = proc.stderr.write_all(line.as_bytes()).await;
            return 127;
        }
        let mut names: Vec<&str> = applets::names().chain(shell::APPLETS).chain(["ash", "busybox", "sh"]).collect();
        names.sort_unstable();
        names.dedup();
        let list = names.join("\n") + "\n";
        i32::from(proc.stdout.write_all(list.as_bytes()).await.is_err())
    })
}
