//! The signals that stop a command, and those that a server obeys besides.

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::exit::Outcome;

/// Listeners for the signals that stop a command: Ctrl-C, SIGTERM and a closed terminal.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    /// Starts listening.
    pub fn listen() -> anyhow::Result<Signals> {
        Ok(Signals {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hangup: listen(SignalKind::hangup())?,
        })
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

/// A signal to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerSignal {
    /// SIGTERM or Ctrl-C: stop gracefully.
    Stop,
    /// SIGUSR2: stop at once, for an upgrade.
    Upgrade,
    /// SIGHUP: read the configuration again. A server outlives the terminal from which it was started.
    Reload,
}

/// Listeners for the signals to a server.
pub struct ServerSignals {
    stop: Signals,
    upgrade: Signal,
}

impl ServerSignals {
    /// Starts listening.
    pub fn listen() -> anyhow::Result<ServerSignals> {
        Ok(ServerSignals { stop: Signals::listen()?, upgrade: listen(SignalKind::user_defined2())? })
    }

    /// Waits for the next signal. Cancel-safe.
    pub async fn next(&mut self) -> ServerSignal {
        tokio::select! {
            outcome = self.stop.next() => match outcome {
                Outcome::HungUp => ServerSignal::Reload,
                _ => ServerSignal::Stop,
            },
            _ = self.upgrade.recv() => ServerSignal::Upgrade,
        }
    }

    /// Waits for the next signal that stops the server. Cancel-safe.
    pub async fn next_stop(&mut self) {
        while self.next().await == ServerSignal::Reload {}
    }
}

fn listen(kind: SignalKind) -> anyhow::Result<Signal> {
    signal(kind).context("cannot listen for signals")
}
