//! This process's terminal during a session: raw mode, and its size.

use std::io;

use anyhow::Context;
use crossterm::terminal;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::streams::terminal_size::TerminalSize;

/// The terminal in raw mode: keys are passed on as they are pressed. Dropping it restores the previous mode.
pub struct RawTerminal(());

impl RawTerminal {
    /// Enables raw mode.
    pub fn enable() -> io::Result<RawTerminal> {
        terminal::enable_raw_mode().map(|()| RawTerminal(()))
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        // A terminal that is gone needs no restoring.
        let _ = terminal::disable_raw_mode();
    }
}

/// The terminal's size and its changes.
pub struct TerminalSizes {
    changes: Signal,
    /// Whether the first size was returned.
    has_started: bool,
}

impl TerminalSizes {
    /// Starts listening for changes.
    pub fn listen() -> anyhow::Result<TerminalSizes> {
        let changes =
            signal(SignalKind::window_change()).context("cannot listen for changes of the terminal's size")?;
        Ok(TerminalSizes { changes, has_started: false })
    }

    /// Returns the current size at the first call, and then each change. Cancel-safe.
    pub async fn next(&mut self) -> TerminalSize {
        loop {
            if self.has_started && self.changes.recv().await.is_none() {
                std::future::pending::<()>().await;
            }
            self.has_started = true;
            // Some terminals do not know their size.
            if let Ok((width, height)) = terminal::size()
                && width > 0
                && height > 0
            {
                return TerminalSize { width, height };
            }
        }
    }
}
