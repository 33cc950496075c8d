//! Ctrl-C: delivers it as SIGINT to the shell that the host started.
//!
//! That shell ends its foreground command, or passes the signal on to a shell that runs in the foreground. Background
//! jobs do not receive it.

use std::cell::Cell;
use std::rc::Rc;

use super::process::Process;
use super::signal;

/// Delivers each Ctrl-C to `process`, unless an outer shell receives them. Without this, Ctrl-C ends the whole program.
pub fn deliver_to(process: &Rc<Process>) {
    thread_local!(static DELIVERED: Cell<bool> = const { Cell::new(false) });
    if terminal::size().is_none() || DELIVERED.replace(true) {
        return;
    }
    terminal::handle_interrupts(true);
    let process = process.clone();
    wstd::runtime::spawn(async move {
        loop {
            terminal::interrupted().await;
            process.signal(signal::INT);
        }
    })
    .detach();
}
