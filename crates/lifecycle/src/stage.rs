//! The stage of a container, and how an attempt terminated.

use std::time::Duration;

use jiff::Timestamp;

use super::time::{MonoTime, Now};

/// An attempt that has terminated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terminated {
    /// The exit code that Kubernetes shows: 128 + n for signal n.
    pub code: i32,
    /// `Completed`, `Error`, `OOMKilled`, `StartError` or, for a lost container, `ContainerStatusUnknown`.
    pub reason: String,
    /// Details beside code and reason.
    pub message: Option<String>,
    /// The start; `None` if the program never ran.
    pub started_at: Option<Timestamp>,
    /// The end, for the status.
    pub finished_at: Timestamp,
    /// The end, for intervals.
    pub finished_mono: MonoTime,
    /// The container ID for the status (`wasmpod://…`); empty if unknown.
    pub container_id: String,
    /// The cause of the termination, which decides about the restart.
    pub(super) cause: TerminationCause,
}

/// The cause of a termination, as far as it changes the restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TerminationCause {
    /// The program exited on its own, or was stopped with its pod or for a new definition.
    Normal,
    /// A startup or liveness probe failed.
    FailedProbe {
        /// Whether the restart follows without back-off.
        restarts_at_once: bool,
    },
    /// The program could not run, or its postStart hook failed; the container shows this reason until its next attempt.
    FailedStart(WaitingReason),
}

/// The exit of an attempt, in Kubernetes' terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExitStatus {
    /// The exit code: 128 + n for signal n.
    pub code: i32,
    /// The matching reason: `Completed`, `Error`, …
    pub reason: String,
    /// Details beside code and reason.
    pub message: Option<String>,
}

/// The reason for which a container cannot start now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingReason {
    /// `ErrImagePull`, `CreateContainerConfigError`, …
    pub reason: String,
    /// Details, for the status of the waiting container.
    pub message: String,
}

/// The start of an attempt.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct StartTime {
    pub(super) wall: Timestamp,
    pub(super) mono: MonoTime,
}

impl From<Now> for StartTime {
    fn from(now: Now) -> StartTime {
        StartTime { wall: now.wall, mono: now.mono }
    }
}

/// The stage of a container. Data of one stage lives in its variant.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Stage {
    /// Waits for its turn, or for the retry of a start that failed.
    Waiting {
        retry: Option<StartRetry>,
    },
    /// The node starts the attempt.
    Starting,
    /// The program and its postStart hook run. The status shows neither the attempt nor that it has `exited`.
    PostStart {
        since: StartTime,
        exited: Option<Terminated>,
    },
    Running {
        since: StartTime,
    },
    /// Being stopped. `published`: whether the status shows the attempt.
    Stopping {
        since: StartTime,
        stop: Stop,
        published: bool,
    },
    Exited(Terminated),
    /// Has exited and waits `delay` for its next attempt.
    BackOff {
        last: Terminated,
        delay: Duration,
        report: BackoffReport,
    },
    /// Has exited, and restarts at its turn, whatever its policy and back-off.
    RestartPending(Terminated),
}

/// A start to be retried.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct StartRetry {
    pub(super) waiting: WaitingReason,
    pub(super) retry_at: MonoTime,
}

/// The progress of reporting a back-off.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct BackoffReport {
    /// Whether the status shows the back-off rather than the termination before it.
    pub(super) is_visible: bool,
    /// The time of the next event about it.
    pub(super) next_event_at: MonoTime,
}

/// A stop under way; `stop.rs` drives it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stop {
    /// The end of the grace period.
    pub(super) deadline: MonoTime,
    /// The minimum between the request to terminate and the kill.
    pub(super) min_grace: Duration,
    pub(super) step: StopStep,
    /// The preStop hook, which may outlast its step.
    pub(super) hook: HookState,
    pub(super) cause: TerminationCause,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum StopStep {
    /// The preStop hook runs.
    PreStop,
    /// A sidecar waits until the containers that it serves have exited.
    AwaitTurn,
    /// The program was asked to exit.
    Terminating {
        since: MonoTime,
    },
    Killed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HookState {
    Running,
    /// The hook has finished, or the container has none.
    Finished,
}
