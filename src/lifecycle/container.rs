//! One container: its stage, and how it moves.

use std::time::Duration;

use jiff::Timestamp;

use super::backoff::Backoff;
use super::{Now, Role};

/// An attempt that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
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
}

/// Why a container can't start now; it is tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// `ErrImagePull`, `CreateContainerConfigError`, …
    pub reason: String,
    /// The trouble in words, as the waiting container shows it.
    pub message: String,
}

/// Where a container stands. What belongs to a stage lives in it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Stage {
    /// Its turn has not come, or the last start failed and is tried again at `retry_at`.
    Waiting {
        trouble: Option<(Trouble, Duration)>,
    },
    /// The node was told to start it. `stop` when it is to end as soon as it has begun.
    Starting {
        stop: bool,
    },
    Running {
        started_at: Timestamp,
    },
    /// Asked to end; killed at `kill_at`.
    Stopping {
        started_at: Timestamp,
        kill_at: Duration,
        killed: bool,
    },
    Exited(Ended),
    /// Ended, and waits for its next attempt.
    BackOff {
        ended: Ended,
        delay: Duration,
    },
    /// Ended, and begins again as soon as its turn has come, whatever policy and back-off say.
    Due(Ended),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Container {
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) image: String,
    pub(super) stage: Stage,
    /// The current attempt's number; 0 before the first.
    pub(super) attempt: u32,
    /// Attempts that began, less the first.
    pub(super) restarts: u32,
    /// The attempt before the one that the stage tells of.
    pub(super) previous: Option<Ended>,
    /// The one that the current start will replace.
    pub(super) replaces: Option<Ended>,
    pub(super) backoff: Backoff,
    pub(super) image_id: String,
    pub(super) container_id: String,
    /// Starts that failed in a row.
    pub(super) failures: u32,
    /// When the current attempt has to have made way for the next one, where it has to.
    pub(super) replace_by: Option<Duration>,
}

/// Starts that fail for reasons which may pass are tried again after so long (K34).
const RETRY: Duration = Duration::from_secs(10);
/// Images that can't be had are asked for ever less often, up to this (K33).
const MAX_IMAGE_RETRY: Duration = Duration::from_secs(300);

impl Container {
    pub(super) fn new(name: &str, role: Role, image: &str) -> Container {
        Container {
            name: name.into(),
            role,
            image: image.into(),
            stage: Stage::Waiting { trouble: None },
            attempt: 0,
            restarts: 0,
            previous: None,
            replaces: None,
            backoff: Backoff::default(),
            image_id: String::new(),
            container_id: String::new(),
            failures: 0,
            replace_by: None,
        }
    }

    /// Whether something of it may be running.
    pub(super) fn is_live(&self) -> bool {
        match self.stage {
            Stage::Starting { .. } | Stage::Running { .. } | Stage::Stopping { .. } => true,
            Stage::Waiting { .. } | Stage::Exited(_) | Stage::BackOff { .. } | Stage::Due(_) => false,
        }
    }

    /// How its last attempt ended, if it is over.
    pub(super) fn ended(&self) -> Option<&Ended> {
        match &self.stage {
            Stage::Exited(ended) | Stage::BackOff { ended, .. } | Stage::Due(ended) => Some(ended),
            Stage::Starting { .. } => self.replaces.as_ref(),
            Stage::Waiting { .. } | Stage::Running { .. } | Stage::Stopping { .. } => None,
        }
    }

    /// What it has run is outdated: whatever lives makes way by `by`, and another attempt follows.
    pub(super) fn replace(&mut self, by: Duration) {
        let stage = std::mem::replace(&mut self.stage, Stage::Waiting { trouble: None });
        self.stage = match stage {
            Stage::Starting { .. } | Stage::Running { .. } | Stage::Stopping { .. } => {
                self.replace_by = Some(self.replace_by.map_or(by, |earlier| earlier.min(by)));
                stage
            }
            // Its trouble may have gone with what was outdated.
            Stage::Waiting { .. } => Stage::Waiting { trouble: None },
            Stage::Exited(ended) | Stage::BackOff { ended, .. } | Stage::Due(ended) => Stage::Due(ended),
        };
    }

    /// Begins the next attempt; returns its number.
    pub(super) fn begin(&mut self, now: Now) -> u32 {
        let stage = std::mem::replace(&mut self.stage, Stage::Starting { stop: false });
        match stage {
            Stage::Exited(ended) | Stage::BackOff { ended, .. } => {
                self.backoff.restarted(ended.finished, now.mono);
                self.replaces = Some(ended);
            }
            Stage::Due(ended) => {
                // The past of what was outdated is no longer held against it.
                self.backoff = Backoff::default();
                self.replaces = Some(ended);
            }
            Stage::Waiting { .. } | Stage::Starting { .. } | Stage::Running { .. } | Stage::Stopping { .. } => {}
        }
        self.replace_by = None;
        self.attempt += 1;
        self.attempt
    }

    /// The attempt runs.
    pub(super) fn started(&mut self, container_id: String, image_id: String, now: Now) {
        let Stage::Starting { stop } = self.stage else { return };
        if let Some(replaced) = self.replaces.take() {
            self.previous = Some(replaced);
            self.restarts += 1;
        }
        self.failures = 0;
        self.container_id = container_id;
        self.image_id = image_id;
        self.stage = if stop {
            Stage::Stopping { started_at: now.wall, kill_at: now.mono, killed: false }
        } else {
            Stage::Running { started_at: now.wall }
        };
    }

    /// The attempt could not begin.
    pub(super) fn start_failed(&mut self, trouble: Trouble, now: Now) {
        let Stage::Starting { .. } = self.stage else { return };
        let wait = if trouble.reason.contains("Image") {
            RETRY.saturating_mul(1 << self.failures.min(10)).min(MAX_IMAGE_RETRY)
        } else {
            RETRY
        };
        self.failures += 1;
        if let Some(replaced) = self.replaces.take() {
            self.previous = Some(replaced);
        }
        self.stage = match self.replace_by.take() {
            Some(_) => Stage::Waiting { trouble: None },
            None => Stage::Waiting { trouble: Some((trouble, now.mono + wait)) },
        };
    }

    /// The attempt is over.
    pub(super) fn exited(&mut self, code: i32, reason: String, message: Option<String>, now: Now) {
        let started_at = match self.stage {
            Stage::Running { started_at } | Stage::Stopping { started_at, .. } => Some(started_at),
            // Whoever reports an end has reported the start before.
            Stage::Starting { .. }
            | Stage::Waiting { .. }
            | Stage::Exited(_)
            | Stage::BackOff { .. }
            | Stage::Due(_) => return,
        };
        let ended = Ended {
            code,
            reason,
            message,
            started_at,
            finished_at: now.wall,
            finished: now.mono,
            container_id: self.container_id.clone(),
        };
        self.stage = match self.replace_by.take() {
            Some(_) => Stage::Due(ended),
            None => Stage::Exited(ended),
        };
    }
}
