//! A running instance and the handles that end it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::Context;

use futures_util::task::AtomicWaker;
use tokio::sync::oneshot;

use super::Runtime;
use super::exit::Exit;
use super::termination_notice::TerminationNotice;
use crate::budget::Account;
use crate::clock::Clock;
use crate::network::{Endpoint, IDLE_TIMEOUT};

/// Stops an instance: records the reason and wakes the instance's task.
#[derive(Default)]
pub(super) struct KillSwitch {
    /// 0 until triggered, then a [`StopReason`].
    reason: AtomicU8,
    task: AtomicWaker,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum StopReason {
    Kill = 1,
    /// The default action of a termination signal.
    Request = 2,
    /// Ctrl-C on its terminal.
    Interrupt = 3,
}

impl KillSwitch {
    /// Ends it wherever it is; one that computes notices at the next tick.
    pub(super) fn kill(&self) {
        self.trigger(StopReason::Kill);
    }

    /// Registers the instance's task, which [`KillSwitch::trigger`] wakes.
    pub(super) fn register_waker(&self, cx: &Context<'_>) {
        self.task.register(cx.waker());
    }

    pub(super) fn trigger(&self, reason: StopReason) {
        // The first reason counts: a kill after a finished request changes nothing.
        let _ = self.reason.compare_exchange(0, reason as u8, Ordering::SeqCst, Ordering::SeqCst);
        self.task.wake();
    }

    pub(super) fn reason(&self) -> Option<StopReason> {
        match self.reason.load(Ordering::SeqCst) {
            0 => None,
            1 => Some(StopReason::Kill),
            2 => Some(StopReason::Request),
            _ => Some(StopReason::Interrupt),
        }
    }
}

/// A running instance of a program. Dropping it kills the instance.
pub struct Instance {
    pub(super) handle: InstanceHandle,
    pub(super) started: oneshot::Receiver<()>,
    pub(super) exit: oneshot::Receiver<Exit>,
}

/// Ends an instance; can be cloned and sent to other tasks.
#[derive(Clone)]
pub struct InstanceHandle {
    pub(super) kill_switch: Arc<KillSwitch>,
    pub(super) notice: Arc<TerminationNotice>,
    /// Endpoint to drain on termination; `None` for exec'd instances, which do not own the listeners.
    pub(super) endpoint: Option<Arc<Endpoint>>,
    pub(super) account: Arc<Account>,
    pub(super) clock: Clock,
    pub(super) runtime: Arc<Runtime>,
    pub(super) handles_termination: bool,
}

impl InstanceHandle {
    fn stop(&self, reason: StopReason) {
        self.kill_switch.trigger(reason);
        // A computing guest checks the switch at the next tick, so tick now.
        self.runtime.engine().increment_epoch();
    }

    /// Ends the instance wherever it is.
    pub fn kill(&self) {
        self.stop(StopReason::Kill);
    }

    /// Asks the instance to end, as the signal named `signal` (for example `SIGTERM`) would. A program that does not handle
    /// termination refuses new connections, may finish the accepted ones, and then ends. A program that is throttled by its
    /// CPU quota may run at once.
    pub fn terminate(&self, signal: &str) {
        if self.endpoint.is_some() {
            self.account.forgive_cpu_debt();
            self.kill_switch.task.wake();
        }
        if self.handles_termination {
            self.notice.notify(signal);
            return;
        }
        let Some(endpoint) = self.endpoint.clone() else { return self.stop(StopReason::Request) };
        endpoint.drain();
        let handle = self.clone();
        self.runtime.spawn(async move {
            endpoint.wait_until_idle(IDLE_TIMEOUT / handle.clock.speed()).await;
            handle.stop(StopReason::Request);
        });
    }
}

impl Instance {
    /// Returns a handle that ends the instance.
    pub fn handle(&self) -> InstanceHandle {
        self.handle.clone()
    }

    /// Waits until the program is instantiated and runs. Returns false if it ended before that.
    pub async fn wait_for_start(&mut self) -> bool {
        (&mut self.started).await.is_ok()
    }

    /// Waits for the instance to end. Cancel-safe.
    pub async fn wait_for_exit(&mut self) -> Exit {
        // The sender is dropped without sending only if the guests' runtime was shut down.
        (&mut self.exit).await.unwrap_or(Exit::Killed)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.handle.kill();
    }
}
