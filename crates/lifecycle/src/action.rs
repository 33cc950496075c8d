//! The actions that a decision asks for.

use super::probes::ProbeKind;
use super::time::MonoTime;
use super::{Attempt, ContainerRef};

/// Something for the node to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Write the status as it is now, before the actions that follow.
    ReportStatus,
    /// Set up the pod's network and volumes.
    SetUpSandbox,
    /// Start the attempt.
    Start(Attempt),
    /// Give up a start that still waits, for its program to be compiled, since the attempt has to stop.
    AbandonStart(Attempt),
    /// Run the attempt's postStart hook.
    PostStart(Attempt),
    /// Run the probe once.
    Probe(Attempt, ProbeKind),
    /// Run the attempt's preStop hook.
    PreStop(Attempt),
    /// Ask the attempt to exit; a kill follows at its deadline.
    Terminate(Attempt),
    /// Kill the attempt.
    Kill(Attempt),
    /// Send a tick at this time or before.
    WakeAt(MonoTime),
    /// Record a Kubernetes Event about the pod.
    RecordEvent(EventRecord),
    /// Release network and volumes: nothing will run any more.
    TearDownSandbox,
    /// Remove the object for good: the pod has terminated and its status is written.
    RemovePod,
}

/// The content of a Kubernetes Event about the pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRecord {
    /// The container that the event is about; `None` for the whole pod.
    pub container: Option<ContainerRef>,
    /// Whether the event's type is `Warning` rather than `Normal`.
    pub warning: bool,
    /// `Killing`, `BackOff`, `Unhealthy`, …
    pub reason: &'static str,
    /// The message, in Kubernetes' words.
    pub message: String,
}

impl EventRecord {
    pub(super) fn normal(container: impl Into<Option<ContainerRef>>, reason: &'static str, message: String) -> Action {
        Action::RecordEvent(EventRecord { container: container.into(), warning: false, reason, message })
    }

    pub(super) fn warning(container: impl Into<Option<ContainerRef>>, reason: &'static str, message: String) -> Action {
        Action::RecordEvent(EventRecord { container: container.into(), warning: true, reason, message })
    }
}
