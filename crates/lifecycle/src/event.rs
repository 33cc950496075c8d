//! What goes into a decision and what comes out of it.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;

use super::probes::{ProbeKind, Probed};
use super::stage::{Outcome, Trouble};
use super::{Attempt, ContainerRef};

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Time has passed, or somebody wants to know.
    Tick,
    /// The pod's object is another now: images, ephemeral containers, resources, deadline.
    Changed(Box<Pod>),
    /// The pod's network and volumes are there.
    SetUp {
        /// The pod's address, as `status.podIP` shows it.
        ip: String,
    },
    /// They are not; tried again.
    SetUpFailed {
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
        trouble: Trouble,
    },
    /// The attempt's postStart hook is over.
    PostStarted {
        /// Which; dropped if it is not the current one.
        attempt: Attempt,
        /// Why it failed, if it did; the container is ended for that.
        failed: Option<String>,
    },
    /// The attempt's preStop hook is over.
    PreStopped {
        /// Which; dropped if it is not the current one.
        attempt: Attempt,
        /// Whether it failed; the end goes on.
        failed: bool,
    },
    /// The attempt was made, but its program could not run.
    NeverRan {
        /// Which; dropped if it is not the current one.
        attempt: Attempt,
        /// The ID that the status shows (`wasmpod://…`).
        container_id: String,
        /// The image's ID that the status shows.
        image_id: String,
        /// How that is told.
        outcome: Outcome,
    },
    /// A probe of the attempt is over.
    Probed {
        /// Which; dropped if it is not the current one.
        attempt: Attempt,
        /// Which of its probes.
        kind: ProbeKind,
        /// How it went.
        probed: Probed,
    },
    /// The attempt's program ran, and is over.
    Exited {
        /// Which; dropped if it is not the current one.
        attempt: Attempt,
        /// How.
        outcome: Outcome,
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
    Resized(Resize),
    /// Somebody deletes the pod; a later one may only shorten the time.
    Deleted {
        /// How long from now; what still runs then is killed.
        grace: Duration,
    },
    /// Network and volumes were given back.
    TornDown,
}

/// What became of a wish for other resources (K26).
#[derive(Debug, Clone, PartialEq)]
pub enum Resize {
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
    Report,
    /// Make the pod's network and volumes.
    SetUp,
    /// Begin this attempt.
    Start(Attempt),
    /// Run its postStart hook.
    PostStart(Attempt),
    /// Make an attempt of this probe.
    Probe(Attempt, ProbeKind),
    /// Run its preStop hook.
    PreStop(Attempt),
    /// Ask the attempt to end; a kill follows when its time is up.
    AskToExit(Attempt),
    /// End the attempt wherever it is.
    Kill(Attempt),
    /// Come back at this monotonic time, or before.
    WakeAt(Duration),
    /// Record that something happened.
    Tell(Note),
    /// Nothing will run any more: give network and volumes back.
    TearDown,
    /// Everything is over and reported: remove the object for good.
    Remove,
}

/// What becomes a Kubernetes Event about the pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Which container it is about; `None` for the whole pod.
    pub container: Option<ContainerRef>,
    /// Whether somebody may have to do something.
    pub warning: bool,
    /// `Killing`, `BackOff`, `Unhealthy`, …
    pub reason: &'static str,
    /// In Kubernetes' words.
    pub message: String,
}

impl Note {
    pub(super) fn normal(container: impl Into<Option<ContainerRef>>, reason: &'static str, message: String) -> Action {
        Action::Tell(Note { container: container.into(), warning: false, reason, message })
    }

    pub(super) fn warning(container: impl Into<Option<ContainerRef>>, reason: &'static str, message: String) -> Action {
        Action::Tell(Note { container: container.into(), warning: true, reason, message })
    }
}
