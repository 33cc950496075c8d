//! Where a container stands, and what an attempt of it came to.

use std::time::Duration;

use jiff::Timestamp;

use super::stop::Stop;

/// An attempt that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terminated {
    /// The exit code that Kubernetes shows: 128 + n for signal n.
    pub code: i32,
    /// `Completed`, `Error`, `OOMKilled`, `StartError` or, when it was lost, `ContainerStatusUnknown`.
    pub reason: String,
    /// What there is to say beside code and reason.
    pub message: Option<String>,
    /// When it began; `None` for one that never ran.
    pub started_at: Option<Timestamp>,
    /// When it was over, as the status shows it.
    pub finished_at: Timestamp,
    /// The same moment, for intervals.
    pub finished: Duration,
    /// As the status shows it (`wasmpod://…`); empty where none is known.
    pub container_id: String,
    /// What it ended of.
    pub(super) cause: TerminationCause,
}

/// What an attempt ended of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TerminationCause {
    /// It ended by itself or with its pod.
    Nothing,
    /// A probe failed that restarts it. `at_once` where nothing holds the restart up.
    Probe { at_once: bool },
    /// It could not be run, or its postStart hook failed; the container waits with that for its next attempt.
    Start(WaitingReason),
}

/// How an attempt ended, as Kubernetes tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExitStatus {
    /// The exit code: 128 + n for signal n.
    pub code: i32,
    /// The reason that goes with it: `Completed`, `Error`, …
    pub reason: String,
    /// What there is to say beside code and reason.
    pub message: Option<String>,
}

/// Why a container can't start now; it is tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingReason {
    /// `ErrImagePull`, `CreateContainerConfigError`, …
    pub reason: String,
    /// The trouble in words, as the waiting container shows it.
    pub message: String,
}

/// When an attempt began.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct StartTime {
    pub(super) wall: Timestamp,
    pub(super) mono: Duration,
}

/// Where a container stands. What belongs to a stage lives in it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Stage {
    /// Its turn has not come, or the last start failed and is tried again at the given time.
    Waiting {
        trouble: Option<(WaitingReason, Duration)>,
    },
    /// The node was told to start it.
    Starting,
    /// It runs, and its postStart hook does; nothing of it is shown yet, not even that it has `ended`.
    PostStart {
        since: StartTime,
        ended: Option<Terminated>,
    },
    Running {
        since: StartTime,
    },
    /// Brought to its end.
    Stopping {
        since: StartTime,
        stop: Stop,
        shown: bool,
    },
    Exited(Terminated),
    /// Ended, and waits for its next attempt.
    BackOff {
        ended: Terminated,
        delay: Duration,
        shown: Shown,
    },
    /// Ended, and begins again as soon as its turn has come, whatever policy and back-off say.
    RestartPending(Terminated),
}

/// What of a back-off has been told.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Shown {
    /// Whether the status shows the wait, rather than the end before it.
    pub(super) waits: bool,
    /// When the next event about it is due.
    pub(super) tell_at: Duration,
}
