//! The terminal of WASI 0.2 (`wasmpod:terminal/terminal`) for async programs on `wstd`.
//!
//! Without a terminal, [`size`] returns `None`, the modes have no effect and the futures never resolve.

#[allow(missing_docs)]
mod bindings {
    wit_bindgen::generate!({
        path: ["wit", "../../wit/terminal"],
        world: "wasmpod:terminal/imports",
        with: { "wasi:io/poll@0.2.12": wasip2::io::poll },
        generate_all,
    });
}

use std::cell::Cell;

use bindings::wasmpod::terminal::terminal;
use wstd::runtime::AsyncPollable;

pub use terminal::Size;

thread_local! {
    /// The mode, which the host does not report.
    static RAW: Cell<bool> = const { Cell::new(false) };
}

/// Returns the size of the terminal; `None` if standard input is not a terminal.
pub fn size() -> Option<Size> {
    terminal::get_size()
}

/// Resolves when the size has changed since the last call of [`size`].
pub async fn resized() {
    AsyncPollable::new(terminal::subscribe_size()).wait_for().await;
}

/// Whether the terminal is in raw mode.
pub fn is_raw() -> bool {
    RAW.get()
}

/// Switches to raw mode, in which each byte is sent as it is typed and nothing is echoed, or back. Returns the
/// previous mode.
pub fn set_raw(raw: bool) -> bool {
    terminal::set_raw_mode(raw);
    RAW.replace(raw)
}

/// Raw mode while this value exists; dropping it restores the previous mode.
#[must_use = "dropping it restores the previous mode"]
pub struct RawMode {
    previous: bool,
}

impl RawMode {
    /// Switches to raw mode.
    pub fn enter() -> RawMode {
        RawMode { previous: set_raw(true) }
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        set_raw(self.previous);
    }
}

/// Chooses whether [`interrupted`] reports Ctrl-C; otherwise it ends the program. In raw mode, Ctrl-C is a byte like
/// others.
pub fn handle_interrupts(handle: bool) {
    terminal::handle_interrupts(handle);
}

/// Resolves when Ctrl-C is typed, or at once if it was typed since the last call.
pub async fn interrupted() {
    while !terminal::take_interrupt() {
        AsyncPollable::new(terminal::subscribe_interrupt()).wait_for().await;
    }
}
