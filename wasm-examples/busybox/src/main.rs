//! A shell and applets in one component, called by `argv[0]` or as `busybox APPLET`.
//!
//! Owns the process's end: exact exit codes, and 143 for an applet that is asked to terminate.
//! (The shell acts on that request itself.)

mod applets;
mod lifecycle;
mod proc;
mod shell;

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use proc::Proc;

/// The status of a process that ended by SIGTERM.
const TERMINATED: i32 = 143;

fn main() {
    let proc = Proc::of_host();
    wstd::runtime::block_on(async move {
        let code = run(proc).await;
        // Ended here and not behind `block_on`, which would wait for background jobs.
        wasip2::cli::exit::exit_with_code((code & 0xff) as u8);
    });
}

async fn run(mut proc: Proc) -> i32 {
    if proc.name() == "busybox" {
        if proc.args.len() < 2 || proc.args.get(1).is_some_and(|arg| arg == "--list") {
            let mut names = applets::NAMES.to_vec();
            names.extend(["ash", "sh"]);
            names.sort_unstable();
            let list = names.join("\n") + "\n";
            let _ = proc.stdout.write_all(list.as_bytes()).await;
            return 0;
        }
        proc.args.remove(0);
    }
    let name = proc.name().to_string();
    if shell::is_shell(&name) {
        return shell::main(proc).await;
    }
    let Some(command) = applets::find(&name) else {
        let line = format!("{name}: applet not found\n");
        let _ = proc.stderr.write_all(line.as_bytes()).await;
        return 127;
    };
    let mut applet = command(proc);
    let mut notice = pin!(lifecycle::termination());
    poll_fn(|cx| match applet.as_mut().poll(cx) {
        Poll::Ready(code) => Poll::Ready(code),
        Poll::Pending => notice.as_mut().poll(cx).map(|()| TERMINATED),
    })
    .await
}
