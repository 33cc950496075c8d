//! The termination notice of an instance: the node sends it, the guest reads it.

use std::sync::OnceLock;

use tokio::sync::Notify;

/// The termination notice of one instance.
#[derive(Default)]
pub struct TerminationNotice {
    signal: OnceLock<Box<str>>,
    changed: Notify,
}

impl TerminationNotice {
    /// Sends the notice with `signal`. It cannot be withdrawn; later calls have no effect.
    pub fn notify(&self, signal: &str) {
        // The first signal wins.
        let _ = self.signal.set(signal.into());
        self.changed.notify_waiters();
    }

    pub fn signal(&self) -> Option<&str> {
        self.signal.get().map(AsRef::as_ref)
    }

    /// Waits for the notice and returns its signal.
    pub async fn wait(&self) -> &str {
        loop {
            let changed = self.changed.notified();
            if let Some(signal) = self.signal() {
                return signal;
            }
            changed.await;
        }
    }
}
