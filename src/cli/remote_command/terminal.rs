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
    next: NextSize,
}

/// The size that [`TerminalSizes::next`] returns.
#[derive(Debug, Clone, Copy)]
enum NextSize {
    /// One more than the current one in both directions.
    Larger,
    Current,
    /// The current one after a change.
    Changed,
}

impl TerminalSizes {
    /// Starts listening for changes. To make a running program draw its screen again (`redraws`), the first size differs
    /// from the second, as in kubectl.
    pub fn listen(redraws: bool) -> anyhow::Result<TerminalSizes> {
        let changes =
            signal(SignalKind::window_change()).context("cannot listen for changes of the terminal's size")?;
        Ok(TerminalSizes { changes, next: if redraws { NextSize::Larger } else { NextSize::Current } })
    }

    /// Returns the current size at once, and then each change. Cancel-safe.
    pub async fn next(&mut self) -> TerminalSize {
        loop {
            let (more, next) = match self.next {
                NextSize::Larger => (1, NextSize::Current),
                NextSize::Current => (0, NextSize::Changed),
                NextSize::Changed if self.changes.recv().await.is_none() => std::future::pending().await,
                NextSize::Changed => (0, NextSize::Changed),
            };
            self.next = next;
            // Some terminals do not know their size.
            if let Ok((width, height)) = terminal::size()
                && width > 0
                && height > 0
            {
                return TerminalSize { width: width.saturating_add(more), height: height.saturating_add(more) };
            }
        }
    }
}
