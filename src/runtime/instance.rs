//! A running instance, and what ends it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::Context;

use futures_util::task::AtomicWaker;
use tokio::sync::oneshot;

use super::Runtime;
use super::exit::Exit;
use super::termination::TerminationNotice;
use crate::budget::Account;
use crate::clock::Clock;
use crate::network::{Endpoint, IDLE};

/// How an instance is being ended.
#[derive(Default)]
pub(super) struct KillSwitch {
    /// 0 while nobody ends it, else a [`By`].
    by: AtomicU8,
    /// The task that runs the instance.
    task: AtomicWaker,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum StopReason {
    Kill = 1,
    /// The default action of a request to end.
    Request = 2,
}

impl KillSwitch {
    /// Ends it wherever it is; one that computes notices at the next tick.
    pub(super) fn kill(&self) {
        self.set(StopReason::Kill);
    }

    /// Where to wake the instance's task.
    pub(super) fn watch(&self, cx: &Context<'_>) {
        self.task.register(cx.waker());
    }

    fn set(&self, by: StopReason) {
        // The first one counts, so that a kill that follows a finished request changes nothing.
        let _ = self.by.compare_exchange(0, by as u8, Ordering::SeqCst, Ordering::SeqCst);
        self.task.wake();
    }

    pub(super) fn by(&self) -> Option<StopReason> {
        match self.by.load(Ordering::SeqCst) {
            0 => None,
            1 => Some(StopReason::Kill),
            _ => Some(StopReason::Request),
        }
    }
}

/// A running instance of a program. Dropping it kills the instance.
pub struct Instance {
    pub(super) control: InstanceHandle,
    pub(super) begun: oneshot::Receiver<()>,
    pub(super) exit: oneshot::Receiver<Exit>,
}

/// Ends an instance from elsewhere.
#[derive(Clone)]
pub struct InstanceHandle {
    pub(super) end: Arc<KillSwitch>,
    pub(super) notice: Arc<TerminationNotice>,
    /// The program's; what was exec'd does not end with its listeners.
    pub(super) endpoint: Option<Arc<Endpoint>>,
    pub(super) account: Arc<Account>,
    pub(super) clock: Clock,
    pub(super) runtime: Arc<Runtime>,
    pub(super) handles_termination: bool,
}

impl InstanceHandle {
    fn end(&self, by: StopReason) {
        self.end.set(by);
        // A guest that computes looks at the next tick, which is now.
        self.runtime.engine().increment_epoch();
    }

    /// Ends the instance wherever it is.
    pub fn kill(&self) {
        self.end(StopReason::Kill);
    }

    /// Asks the instance to end, as `signal` (`SIGTERM`, say) would. One that does not handle that refuses new connections, may finish
    /// the accepted ones, and ends. One that waits for its CPU quota gets some of it at once.
    pub fn terminate(&self, signal: &str) {
        if self.endpoint.is_some() {
            self.account.forgive();
            self.end.task.wake();
        }
        if self.handles_termination {
            self.notice.notify(signal);
            return;
        }
        let Some(endpoint) = self.endpoint.clone() else { return self.end(StopReason::Request) };
        endpoint.drain();
        let control = self.clone();
        self.runtime.spawn(async move {
            endpoint.quiet(IDLE / control.clock.speed()).await;
            control.end(StopReason::Request);
        });
    }
}

impl Instance {
    /// What ends it.
    pub fn control(&self) -> InstanceHandle {
        self.control.clone()
    }

    /// Waits until the program is instantiated and runs; false if it ended before that.
    pub async fn begun(&mut self) -> bool {
        (&mut self.begun).await.is_ok()
    }

    /// Waits for the end. Cancel-safe.
    pub async fn exited(&mut self) -> Exit {
        // The sender is gone without a word only if the guests' runtime was shut down.
        (&mut self.exit).await.unwrap_or(Exit::Killed)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.control.kill();
    }
}
