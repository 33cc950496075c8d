//! Pure decisions about pods: what happens next, and what there is to show.
//!
//! Facts go in as [`Event`]s, [`Action`]s come out; `node` performs them and reports back as facts.
//! Nothing here starts anything or reads a clock; time comes in as [`Now`]. One step looks at the
//! whole state, so a lost or repeated wake-up does no harm, and a fact about an attempt that is no
//! longer the current one is dropped by comparison.
//!
//! ```text
//!              ┌─────────────────────── retry ───────────────────────┐
//!              ▼                                                     │
//!   container  Waiting ──▶ Starting ──▶ PostStart ──▶ Running ──▶ Exited ──▶ BackOff
//!                  ▲          │             │            │           ▲          │
//!                  └─trouble──┘             └─▶ Stopping ◀┘          │          │
//!                                                  └─────────────────┤     (next attempt)
//!                                                                    │
//!                                             outdated ──▶ Due ◀─────┘
//!                                                           └──▶ (next attempt, at once)
//!
//!   pod        Missing ──▶ SettingUp ──▶ Ready ──▶ TearingDown ──▶ Down ──▶ Gone
//!                 ▲            │
//!                 └── Failed ◀─┘
//! ```
//!
//! An attempt whose program can't be run goes from `Starting` to `Exited`, and so does one from `PostStart`
//! that ends before its hook does.
//!
//! Phase, conditions and readiness are computed from the state ([`PodState::status`]), never stored.

mod backoff;
mod conditions;
mod container;
mod input;
mod observe;
mod phase;
mod pod;
mod policy;
mod probes;
mod restore;
mod stage;
mod status;
mod stop;

use std::time::Duration;

use jiff::Timestamp;

pub use backoff::go_duration;
pub use input::{Action, EventRecord, Input, ResizeResult};
pub use pod::PodState;
pub use policy::{ContainerKind, RestartPolicy};
pub use probes::{ProbeKind, ProbeResult};
pub use stage::{ExitStatus, Terminated, WaitingReason};

/// This moment: monotonic for intervals, wall for what is shown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Now {
    /// Time since some fixed moment of this process.
    pub mono: Duration,
    /// The time of day, which may jump.
    pub wall: Timestamp,
}

/// Which list of a pod's spec a container stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ContainerRole {
    /// One of `spec.initContainers`: they begin one after the other, before all others.
    Init,
    /// One of `spec.containers`: they run side by side once every init container has succeeded.
    App,
    /// One of `spec.ephemeralContainers`: added later, to look into the pod.
    Ephemeral,
}

/// A container of a pod: its list and its place there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContainerRef {
    /// Which list of the spec it stands in.
    pub role: ContainerRole,
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

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
