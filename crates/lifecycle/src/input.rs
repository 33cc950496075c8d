//! What goes into a decision and what comes out of it.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;

use super::probes::{ProbeKind, ProbeResult};
use super::stage::{ExitStatus, WaitingReason};
use super::{Attempt, ContainerRef};

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// Time has passed, or somebody wants to know.
    Tick,
    /// The pod's object is another now: images, ephemeral containers, resources, deadline.
    PodUpdated(Box<Pod>),
    /// The pod's network and volumes are there.
    SandboxReady {
        /// The pod's address, as `status.podIP` shows it.
        ip: String,
    },
    /// They are not; tried again.
    SandboxFailed {
        /// Why not, as waiting containers show it; nothing where an event alone tells it.
        message: Option<String>,
    },
    /// The attempt has begun.
    Started {
        /// Which; dropped if it is not the current one.
        attempt: Attempt,
        /// The ID that the status shows (`wasmpod://…`).
        container_id: String,
        /// The image's ID that the status shows.
        image_id: String,
    },
    /// The attempt could not begin; the container is tried again later.
    StartFailed {
        /// Which; dropped if it is not the current one.
        attempt: Attempt,
        /// Why not.
        trouble: WaitingReason,
    },
    /// The attempt's postStart hook is over.
    PostStartFinished {
        /// Which; dropped if it is not the current one.
        attempt: Attempt,
        /// Why it failed, if it did; the container is ended for that.
        failed: Option<String>,
    },
    /// The attempt's preStop hook is over.
    PreStopFinished {
        /// Which; dropped if it is not the current one.
        attempt: Attempt,
        /// Whether it failed; the end goes on.
        failed: bool,
    },
    /// The attempt was made, but its program could not run.
    CannotRun {
        /// Which; dropped if it is not the current one.
        attempt: Attempt,
        /// The ID that the status shows (`wasmpod://…`).
        container_id: String,
        /// The image's ID that the status shows.
        image_id: String,
        /// How that is told.
        outcome: ExitStatus,
    },
    /// A probe of the attempt is over.
    ProbeFinished {
        /// Which; dropped if it is not the current one.
        attempt: Attempt,
        /// Which of its probes.
        kind: ProbeKind,
        /// How it went.
        probed: ProbeResult,
    },
    /// The attempt's program ran, and is over.
    Exited {
        /// Which; dropped if it is not the current one.
        attempt: Attempt,
        /// How.
        outcome: ExitStatus,
    },
    /// What a container runs is outdated: it is to begin again at once, whatever policy and back-off
    /// say. An init container takes with it all that come after it.
    Restart {
        /// Which.
        container: ContainerRef,
        /// How long from now what runs may take to end; then it is killed.
        grace: Duration,
    },
    /// The node ends the pod, which fails for that reason.
    Evicted {
        /// As the status shows it: `Evicted`, `Terminated`, …
        reason: String,
        /// Why, in words.
        message: String,
        /// How long from now its containers may take; `None` for the pod's own grace period.
        grace: Option<Duration>,
        /// Whether the pod is the target of a disruption (K25), rather than ended for limits of its own.
        disrupts: bool,
    },
    /// The node has looked at the resources that the pod's spec asks for.
    Resized(ResizeResult),
    /// Somebody deletes the pod; a later one may only shorten the time.
    Deleted {
        /// How long from now; what still runs then is killed.
        grace: Duration,
    },
    /// Network and volumes were given back.
    SandboxRemoved,
}

/// What became of a wish for other resources (K26).
#[derive(Debug, Clone, PartialEq)]
pub enum ResizeResult {
    /// The containers have what this pod's spec says.
    Done(Box<Pod>),
    /// The node has no room for it.
    Pending {
        /// `Deferred` until others make room, `Infeasible` for good.
        reason: &'static str,
        /// What there is not enough of.
        message: String,
    },
    /// There is room, but it can't be done now.
    Failed {
        /// Why not.
        message: String,
    },
}

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Show the status as it is now, before what follows.
    ReportStatus,
    /// Make the pod's network and volumes.
    SetUpSandbox,
    /// Begin this attempt.
    Start(Attempt),
    /// Run its postStart hook.
    PostStart(Attempt),
    /// Make an attempt of this probe.
    Probe(Attempt, ProbeKind),
    /// Run its preStop hook.
    PreStop(Attempt),
    /// Ask the attempt to end; a kill follows when its time is up.
    Terminate(Attempt),
    /// End the attempt wherever it is.
    Kill(Attempt),
    /// Come back at this monotonic time, or before.
    WakeAt(Duration),
    /// Record that something happened.
    RecordEvent(EventRecord),
    /// Nothing will run any more: give network and volumes back.
    TearDownSandbox,
    /// Everything is over and reported: remove the object for good.
    RemovePod,
}

/// What becomes a Kubernetes Event about the pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRecord {
    /// Which container it is about; `None` for the whole pod.
    pub container: Option<ContainerRef>,
    /// Whether somebody may have to do something.
    pub warning: bool,
    /// `Killing`, `BackOff`, `Unhealthy`, …
    pub reason: &'static str,
    /// In Kubernetes' words.
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
