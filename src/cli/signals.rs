//! Ctrl-C, SIGTERM and a terminal that is closed.

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::exit::Outcome;

/// Signals that ask this process to end.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    pub fn listen() -> anyhow::Result<Signals> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Signals {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    /// Waits for one; tells how the command ends then.
    pub async fn next(&mut self) -> Outcome {
        tokio::select! {
            _ = self.interrupt.recv() => Outcome::Interrupted,
            _ = self.terminate.recv() => Outcome::Terminated,
            _ = self.hangup.recv() => Outcome::HungUp,
        }
    }
}
