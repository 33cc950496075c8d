//! Pure decisions about pods: what happens next, and what there is to show.
//!
//! Facts go in as [`Event`]s, [`Action`]s come out; `node` performs them and reports back as facts.
//! Nothing here starts anything or reads a clock; time comes in as [`Now`]. One step looks at the
//! whole state, so a lost or repeated wake-up does no harm, and a fact about an attempt that is no
//! longer the current one is dropped by comparison.
//!
//! ```text
//!              ┌──────────────── retry ───────────────┐
//!              ▼                                      │
//!   container  Waiting ──▶ Starting ──▶ Running ──▶ Exited ──▶ BackOff
//!                  ▲          │           │            ▲          │
//!                  └─trouble──┘           ▼            │          │
//!                                      Stopping ───────┤     (next attempt)
//!                                                      │
//!                               outdated ──▶ Due ◀─────┘
//!                                             └──▶ (next attempt, at once)
//! ```
//!
//! Phase, conditions and readiness are computed from the state ([`PodState::status`]), never stored.

mod backoff;
mod conditions;
mod container;
mod phase;
mod pod;
mod restore;
mod status;

use std::time::Duration;

use jiff::Timestamp;

pub use backoff::go_duration;
pub use container::{Ended, Trouble};
pub use pod::{Action, Event, PodState};

/// This moment: monotonic for intervals, wall for what is shown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Now {
    /// Time since some fixed moment of this process.
    pub mono: Duration,
    /// The time of day, which may jump.
    pub wall: Timestamp,
}

/// Whether a container is one of those that run before the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// One of `spec.initContainers`: they run one after the other, before all others.
    Init,
    /// One of `spec.containers`: they run side by side once every init container has succeeded.
    App,
}

/// A container of a pod: its role and its place in the spec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContainerRef {
    /// Which list of the spec it stands in.
    pub role: Role,
    /// Its place in that list, from 0.
    pub index: usize,
}

/// One run of a container. Counted from 1 over the pod's life on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Attempt {
    /// The container that it is a run of.
    pub container: ContainerRef,
    /// Grows with each attempt of the container.
    pub number: u32,
}

/// What happens to a container that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartPolicy {
    /// It runs again however it ended; an init container only if it failed.
    Always,
    /// It runs again if it failed: its exit code is not 0.
    OnFailure,
    /// It does not run again.
    Never,
}

impl RestartPolicy {
    /// The policy called `name`; the default is `Always`.
    pub fn named(name: Option<&str>) -> RestartPolicy {
        match name {
            Some("Never") => RestartPolicy::Never,
            Some("OnFailure") => RestartPolicy::OnFailure,
            _ => RestartPolicy::Always,
        }
    }

    /// Whether a container that ended with `code` runs again. An init container that succeeded
    /// never does.
    pub fn restarts(self, role: Role, code: i32) -> bool {
        match (self, role) {
            (RestartPolicy::Never, _) => false,
            (RestartPolicy::OnFailure, _) | (RestartPolicy::Always, Role::Init) => code != 0,
            (RestartPolicy::Always, Role::App) => true,
        }
    }
}

#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;
