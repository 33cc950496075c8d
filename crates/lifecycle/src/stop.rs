//! How a running container is stopped (K47, K51, K66, K67).
//!
//! ```text
//!   PreStop ──(hook finished or deadline)──▶ AwaitTurn ──(served containers exited or deadline)──▶ Terminating ──▶ Killed
//! ```
//!
//! One grace period covers all steps. The program has what is left of it to exit once it is asked to, and at least
//! [`MIN_GRACE_PERIOD`], so that a slow hook does not turn every stop into a kill.

use std::time::Duration;

use super::action::{Action, EventRecord};
use super::container::Container;
use super::pace::MIN_GRACE_PERIOD;
use super::pod::Ending;
use super::policy::ContainerKind;
use super::stage::{HookState, Stage, Stop, StopStep, TerminationCause};
use super::time::{MonoTime, Now};
use super::{Attempt, ContainerRef};

/// The request to stop a container.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct StopOrder {
    /// The end of the grace period.
    pub(super) deadline: MonoTime,
    /// The minimum between the request to terminate and the kill.
    pub(super) min_grace: Duration,
    /// Whether the preStop hook runs.
    pub(super) runs_hook: bool,
    /// The message of the `Killing` event.
    pub(super) message: String,
    pub(super) cause: TerminationCause,
}

impl Stop {
    /// Begins to stop `attempt`, with its preStop hook if it has one and the time to run it.
    fn begin(order: StopOrder, attempt: Attempt, has_hook: bool, now: MonoTime, actions: &mut Vec<Action>) -> Stop {
        actions.push(EventRecord::normal(attempt.container, "Killing", order.message));
        let (mut step, mut hook) = (StopStep::AwaitTurn, HookState::Finished);
        if has_hook && order.runs_hook && order.deadline > now {
            actions.push(Action::PreStop(attempt));
            (step, hook) = (StopStep::PreStop, HookState::Running);
        }
        Stop { deadline: order.deadline, min_grace: order.min_grace, step, hook, cause: order.cause }
    }

    /// Moves the deadline forward; it never moves back.
    fn shorten(&mut self, deadline: MonoTime) {
        self.deadline = self.deadline.min(deadline);
    }

    pub(super) fn finish_hook(&mut self) {
        self.hook = HookState::Finished;
        if self.step == StopStep::PreStop {
            self.step = StopStep::AwaitTurn;
        }
    }

    /// Takes all steps that are due. `is_turn`: whether all containers that this one serves have exited.
    pub(super) fn reconcile(&mut self, attempt: Attempt, is_turn: bool, now: MonoTime, actions: &mut Vec<Action>) {
        let waits = match self.step {
            StopStep::PreStop => true,
            StopStep::AwaitTurn => !is_turn,
            StopStep::Terminating { .. } | StopStep::Killed => false,
        };
        if waits && now < self.deadline {
            return actions.push(Action::WakeAt(self.deadline));
        }
        if matches!(self.step, StopStep::PreStop | StopStep::AwaitTurn) {
            self.step = StopStep::Terminating { since: now };
            actions.push(Action::Terminate(attempt));
        }
        let StopStep::Terminating { since } = self.step else { return };
        let kill_at = self.deadline.max(since + self.min_grace);
        if now < kill_at {
            return actions.push(Action::WakeAt(kill_at));
        }
        self.step = StopStep::Killed;
        actions.push(Action::Kill(attempt));
    }
}

impl Container {
    /// Returns the request to stop this container, if it has to stop now: with its `pod`, or for itself.
    pub(super) fn stop_order(&self, pod: &Ending, now: Now) -> Option<StopOrder> {
        let failed_probe = self.probes.failed_probe().filter(|_| matches!(self.stage, Stage::Running { .. }));
        let cause = match failed_probe {
            Some(_) => TerminationCause::FailedProbe { restarts_at_once: false },
            None => TerminationCause::Normal,
        };
        let order = |deadline, message| StopOrder {
            deadline,
            min_grace: MIN_GRACE_PERIOD,
            runs_hook: true,
            message,
            cause: cause.clone(),
        };
        if let Some(deadline) = pod.deadline() {
            let runs_hook = pod.runs_hooks();
            let min_grace = if runs_hook { MIN_GRACE_PERIOD } else { Duration::ZERO };
            let message = format!("Stopping container {}", self.spec.name);
            return Some(StopOrder { min_grace, runs_hook, ..order(deadline, message) });
        }
        if let Some(deadline) = self.attempt.replace_deadline {
            // A grace period below the minimum is kept.
            let min_grace = MIN_GRACE_PERIOD.min(deadline - now.mono);
            let message = self.killing_message("definition changed", true);
            return Some(StopOrder { min_grace, cause: TerminationCause::Normal, ..order(deadline, message) });
        }
        let (kind, own) = failed_probe?;
        let reason = format!("failed {} probe", kind.name().to_ascii_lowercase());
        let message = self.killing_message(&reason, self.spec.policy.restarts_failures());
        Some(order(now.mono + own.unwrap_or(pod.grace), message))
    }

    /// Returns the message of the `Killing` event. For init containers, a kubelet does not mention the restart.
    fn killing_message(&self, reason: &str, restarts: bool) -> String {
        let name = &self.spec.name;
        match (self.kind(), restarts) {
            (ContainerKind::Init | ContainerKind::Sidecar, _) => format!("Init container {name} {reason}"),
            (_, true) => format!("Container {name} {reason}, will be restarted"),
            (_, false) => format!("Container {name} {reason}"),
        }
    }

    /// Begins to stop a live attempt, or moves the deadline of a stop under way forward.
    pub(super) fn begin_stop(&mut self, at: ContainerRef, order: StopOrder, now: Now, actions: &mut Vec<Action>) {
        let attempt = self.current_attempt(at);
        let (since, published) = match &mut self.stage {
            Stage::Starting => {
                // The start may hang. An attempt that does not exist yet cannot be killed, so this repeats.
                let kill = now.mono >= order.deadline;
                let action = if kill { Action::Kill(attempt) } else { Action::WakeAt(order.deadline) };
                return actions.extend([Action::AbandonStart(attempt), action]);
            }
            Stage::Stopping { stop, .. } => return stop.shorten(order.deadline),
            // A pod that is ending does not wait for postStart hooks.
            Stage::PostStart { since, exited: None } => {
                let (since, publishes) = (*since, order.cause == TerminationCause::Normal);
                if publishes {
                    self.publish();
                }
                (since, publishes)
            }
            Stage::PostStart { exited, .. } => {
                let Some(terminated) = exited.take() else { return };
                return self.set_terminated(terminated);
            }
            Stage::Running { since } => (*since, true),
            Stage::Waiting { .. } | Stage::Exited(_) | Stage::BackOff { .. } | Stage::RestartPending(_) => return,
        };
        let stop = Stop::begin(order, attempt, self.spec.hooks.pre_stop, now.mono, actions);
        self.stage = Stage::Stopping { since, stop, published };
    }
}
