//! The signals that stop a command: Ctrl-C, SIGTERM and a closed terminal.

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::exit::Outcome;

/// Listeners for the signals that stop a command.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    /// Starts listening.
    pub fn listen() -> anyhow::Result<Signals> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Signals {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    /// Waits for the next signal that stops a server: it outlives the terminal from which it was started. Cancel-safe.
    pub async fn next_for_server(&mut self) -> Outcome {
        loop {
            match self.next().await {
                Outcome::HungUp => {}
                outcome => return outcome,
            }
        }
    }

    /// Waits for the next signal and returns the outcome it stands for. Cancel-safe.
    pub async fn next(&mut self) -> Outcome {
        tokio::select! {
            _ = self.interrupt.recv() => Outcome::Interrupted,
            _ = self.terminate.recv() => Outcome::Terminated,
            _ = self.hangup.recv() => Outcome::HungUp,
        }
    }
}
