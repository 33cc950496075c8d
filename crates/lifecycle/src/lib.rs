//! Pure decisions about pods: what happens next, and what the status shows.
//!
//! Facts go in as [`Input`]s and [`Action`]s come out; `node` performs the actions and reports back as inputs.
//! This crate starts nothing and reads no clock: time comes in as [`Now`]. Each step decides from the whole state,
//! so lost or repeated wake-ups do no harm. Facts about an attempt that is no longer the current one are dropped.
//!
//! ```text
//!              ┌────────────────────── retry ────────────────────────┐
//!              │                                                     │
//!              ▼                                                     │ next attempt
//!   container  Waiting ──▶ Starting ──▶ PostStart ──▶ Running ──▶ Exited ──▶ BackOff ──▶ Starting
//!                 ▲           │             │            │           ▲
//!                 └─ failed ──┤             └▶ Stopping ◀┘           │
//!                             │                   └──────────────────┤
//!                             └───────── cannot run ─────────────────┘
//!
//!              any stage ── definition changed, restart rule ──▶ RestartPending ──▶ Starting, at once
//!
//!   pod        Missing ──▶ SettingUp ──▶ Ready ──▶ TearingDown ──▶ Down ──▶ Gone
//!                             │  ▲
//!                             ▼  │
//!                            Failed
//! ```
//!
//! A live attempt of a container whose definition changed is stopped first. An attempt that exits before its
//! postStart hook has finished stays in `PostStart` until the hook has.
//!
//! Phase, conditions and readiness are computed from the state ([`PodState::status`]), never stored.

mod action;
mod backoff;
mod conditions;
mod container;
mod containers;
mod input;
mod observe;
mod pace;
mod phase;
mod pod;
mod policy;
mod probes;
mod reconcile;
mod restore;
mod stage;
mod start;
mod status;
mod stop;
mod time;
mod transitions;

pub use action::{Action, EventRecord};
pub use backoff::format_go_duration;
pub use input::{Input, ResizeResult, Suspension};
pub use pod::PodState;
pub use policy::{ContainerKind, RestartPolicy};
pub use probes::{ProbeKind, ProbeResult};
pub use stage::{ExitStatus, Terminated, WaitingReason};
pub use time::{MonoTime, Now};

/// The list of the pod's spec that a container belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ContainerRole {
    /// `spec.initContainers`: started one after the other, before all others.
    Init,
    /// `spec.containers`: run side by side once every init container has succeeded.
    App,
    /// `spec.ephemeralContainers`: added to a running pod to inspect it.
    Ephemeral,
}

/// A container of a pod, by its position in the spec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContainerRef {
    /// The list of the spec.
    pub role: ContainerRole,
    /// The position in that list, from 0. Ephemeral containers count in the order in which they were added.
    pub index: usize,
}

/// One run of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Attempt {
    /// The container that runs.
    pub container: ContainerRef,
    /// The attempt's number; grows with each attempt of the container on this node.
    pub number: u32,
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
