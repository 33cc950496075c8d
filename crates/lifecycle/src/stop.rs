//! How a running container is brought to its end (K47, K51, K66, K67).
//!
//! ```text
//!   PreStop ──(hook over, or time up)──▶ Turn ──(whom it serves have ended, or time up)──▶ Asked ──▶ Killed
//! ```
//!
//! One grace period is for all of it. What is left of it when the container is asked is its time to
//! end, and a moment at least, so that a slow hook does not turn every end into a kill.

use std::time::Duration;

use super::container::Container;
use super::input::{Action, EventRecord};
use super::policy::ContainerKind;
use super::stage::{Stage, TerminationCause};
use super::{Attempt, ContainerRef, Now};

/// The least between the request to end and the kill.
pub(super) const FLOOR: Duration = Duration::from_secs(2);

/// That a container is to end, and how.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Order {
    /// When its grace period is over.
    pub(super) by: Duration,
    /// The least between the request and the kill.
    pub(super) floor: Duration,
    /// What its `Killing` event says.
    pub(super) message: String,
    /// What the attempt ends of.
    pub(super) cut: TerminationCause,
}

/// An end under way.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stop {
    by: Duration,
    floor: Duration,
    step: Step,
    /// Whether its preStop hook runs, which may outlast its time.
    pub(super) hook: Hook,
    pub(super) cut: TerminationCause,
}

/// A preStop hook of an end under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hook {
    Runs,
    /// There is none, or it is over.
    Over,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Step {
    /// Its preStop hook runs.
    PreStop,
    /// It waits for those that it serves.
    Turn,
    Asked {
        at: Duration,
    },
    Killed,
}

impl Stop {
    /// Begins the end of `attempt`, with its preStop hook where it has one and time for it.
    pub(super) fn begin(order: Order, attempt: Attempt, has_hook: bool, now: Duration) -> (Stop, Vec<Action>) {
        let mut actions = vec![EventRecord::normal(attempt.container, "Killing", order.message)];
        let (mut step, mut hook) = (Step::Turn, Hook::Over);
        if has_hook && order.by > now {
            actions.push(Action::PreStop(attempt));
            (step, hook) = (Step::PreStop, Hook::Runs);
        }
        (Stop { by: order.by, floor: order.floor, step, hook, cut: order.cut }, actions)
    }

    /// Its time may only get shorter.
    pub(super) fn shorten(&mut self, by: Duration) {
        self.by = self.by.min(by);
    }

    /// Its preStop hook is over.
    pub(super) fn hook_is_over(&mut self) {
        self.hook = Hook::Over;
        if self.step == Step::PreStop {
            self.step = Step::Turn;
        }
    }

    /// Goes on as far as it can now. `turn`: whether all that it serves have ended.
    pub(super) fn drive(&mut self, attempt: Attempt, turn: bool, now: Duration, actions: &mut Vec<Action>) {
        let waits = match self.step {
            Step::PreStop => true,
            Step::Turn => !turn,
            Step::Asked { .. } | Step::Killed => false,
        };
        if waits && now < self.by {
            return actions.push(Action::WakeAt(self.by));
        }
        if matches!(self.step, Step::PreStop | Step::Turn) {
            self.step = Step::Asked { at: now };
            actions.push(Action::Terminate(attempt));
        }
        let Step::Asked { at } = self.step else { return };
        let kill_at = self.by.max(at + self.floor);
        if now < kill_at {
            return actions.push(Action::WakeAt(kill_at));
        }
        self.step = Step::Killed;
        actions.push(Action::Kill(attempt));
    }
}

/// Why a container has to end now, if it has to.
pub(super) fn order(container: &Container, ending: Option<Duration>, grace: Duration, now: Now) -> Option<Order> {
    let name = &container.name;
    if let Some(by) = ending {
        return Some(Order {
            by,
            floor: FLOOR,
            message: format!("Stopping container {name}"),
            cut: TerminationCause::Nothing,
        });
    }
    if let Some(by) = container.replace_by {
        let message = told_of(container, "definition changed", true);
        // Who was given less than the least has no more.
        let floor = FLOOR.min(by.saturating_sub(now.mono));
        return Some(Order { by, floor, message, cut: TerminationCause::Nothing });
    }
    let (kind, own) = container.probes.failed().filter(|_| matches!(container.stage, Stage::Running { .. }))?;
    let what = format!("failed {} probe", kind.word().to_ascii_lowercase());
    let message = told_of(container, &what, container.policy.restarts_failures());
    Some(Order {
        by: now.mono + own.unwrap_or(grace),
        floor: FLOOR,
        message,
        cut: TerminationCause::Probe { at_once: false },
    })
}

/// Why a container is ended, as its `Killing` event says it. Of sidecars, a kubelet does not say what follows.
fn told_of(container: &Container, why: &str, restarts: bool) -> String {
    let name = &container.name;
    match (container.kind(), restarts) {
        (ContainerKind::Init | ContainerKind::Sidecar, _) => format!("Init container {name} {why}"),
        (_, true) => format!("Container {name} {why}, will be restarted"),
        (_, false) => format!("Container {name} {why}"),
    }
}

/// Begins the end of what lives of a container, or makes one under way shorter.
pub(super) fn begin_stop(
    container: &mut Container,
    at: ContainerRef,
    order: Order,
    now: Now,
    actions: &mut Vec<Action>,
) {
    let attempt = Attempt { container: at, number: container.attempt };
    let (since, shown) = match &mut container.stage {
        Stage::Starting => {
            // It may hang before it runs; what is not there yet can't be killed, so this is said again.
            let action = if now.mono >= order.by { Action::Kill(attempt) } else { Action::WakeAt(order.by) };
            return actions.push(action);
        }
        Stage::Stopping { stop, .. } => return stop.shorten(order.by),
        // Whoever brings a pod to its end does not wait for hooks.
        Stage::PostStart { since, ended: None } => {
            let (since, shown) = (*since, order.cut == TerminationCause::Nothing);
            if shown {
                container.show();
            }
            (since, shown)
        }
        Stage::PostStart { ended, .. } => {
            let Some(ended) = ended.take() else { return };
            return container.is_over(ended);
        }
        Stage::Running { since } => (*since, true),
        Stage::Waiting { .. } | Stage::Exited(_) | Stage::BackOff { .. } | Stage::RestartPending(_) => return,
    };
    let (stop, begun) = Stop::begin(order, attempt, container.hooks.pre_stop, now.mono);
    container.stage = Stage::Stopping { since, stop, shown };
    actions.extend(begun);
}
