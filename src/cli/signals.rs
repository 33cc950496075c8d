//! Ctrl-C and SIGTERM.

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::exit::Outcome;

/// Signals that ask this process to end.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    pub fn listen() -> anyhow::Result<Signals> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Signals { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// Waits for one; tells how the command ends then.
    pub async fn next(&mut self) -> Outcome {
        tokio::select! {
            _ = self.interrupt.recv() => Outcome::Interrupted,
            _ = self.terminate.recv() => Outcome::Terminated,
        }
    }
}
