//! How a running container is brought to its end (K47, K51, K66, K67).
//!
//! ```text
//!   PreStop ──(hook over, or time up)──▶ Turn ──(whom it serves have ended, or time up)──▶ Asked ──▶ Killed
//! ```
//!
//! One grace period is for all of it. What is left of it when the container is asked is its time to
//! end, and a moment at least, so that a slow hook does not turn every end into a kill.

use std::time::Duration;

use super::Attempt;
use super::container::Cut;
use super::event::{Action, Note};

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
    pub(super) cut: Cut,
}

/// An end under way.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stop {
    by: Duration,
    floor: Duration,
    step: Step,
    /// Whether its preStop hook runs, which may outlast its time.
    pub(super) hook: Hook,
    pub(super) cut: Cut,
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
        let mut actions = vec![Note::normal(attempt.container, "Killing", order.message)];
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
            actions.push(Action::AskToExit(attempt));
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
