//! The facts on which decisions are based.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;

use super::probes::{ProbeKind, ProbeResult};
use super::stage::{ExitStatus, WaitingReason};
use super::{Attempt, ContainerRef};

/// Something that happened. Inputs about an attempt that is no longer the current one are dropped.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// Time has passed.
    Tick,
    /// The pod's spec has changed: images, ephemeral containers or the active deadline.
    PodUpdated(Box<Pod>),
    /// The pod's network and volumes are set up.
    SandboxReady {
        /// The pod's address, for `status.podIP`.
        ip: String,
    },
    /// The pod's network and volumes could not be set up; the pod retries.
    SandboxFailed {
        /// The message that waiting containers show; `None` where only an event reports the failure.
        message: Option<String>,
    },
    /// The attempt's program runs.
    Started {
        /// The attempt.
        attempt: Attempt,
        /// The container ID for the status (`wasmpod://…`).
        container_id: String,
        /// The image ID for the status.
        image_id: String,
    },
    /// The attempt could not be created; the container retries later.
    StartFailed {
        /// The attempt.
        attempt: Attempt,
        /// The reason that the waiting container shows.
        waiting: WaitingReason,
    },
    /// The attempt was created, but its program cannot run.
    CannotRun {
        /// The attempt.
        attempt: Attempt,
        /// The container ID for the status (`wasmpod://…`).
        container_id: String,
        /// The image ID for the status.
        image_id: String,
        /// The exit that the status shows.
        outcome: ExitStatus,
    },
    /// The attempt's postStart hook has finished.
    PostStartFinished {
        /// The attempt.
        attempt: Attempt,
        /// The error of a hook that failed; the container is stopped for it.
        failure: Option<String>,
    },
    /// The attempt's preStop hook has finished.
    PreStopFinished {
        /// The attempt.
        attempt: Attempt,
        /// Whether the hook failed; the container is stopped in either case.
        failed: bool,
    },
    /// A probe of the attempt has finished.
    ProbeFinished {
        /// The attempt.
        attempt: Attempt,
        /// The probe.
        kind: ProbeKind,
        /// The probe's result.
        result: ProbeResult,
    },
    /// The attempt's program has exited.
    Exited {
        /// The attempt.
        attempt: Attempt,
        /// The exit code, reason and message.
        outcome: ExitStatus,
    },
    /// The container's definition is outdated: it restarts at once, whatever its policy and back-off. An init
    /// container takes all that come after it along.
    Restart {
        /// The container.
        container: ContainerRef,
        /// The time that a live attempt has to exit before it is killed.
        grace: Duration,
    },
    /// The node ends the pod, which fails.
    Evicted {
        /// The pod's `status.reason`: `Evicted`, `Terminated`, …
        reason: String,
        /// The pod's `status.message`.
        message: String,
        /// The time that the containers have to exit; `None` for the pod's own grace period.
        grace: Option<Duration>,
        /// Whether the pod becomes a disruption target (K25), rather than exceeding a limit of its own.
        disrupts: bool,
    },
    /// The node stops, and the pod goes on when it runs again. A pod that is ending already ends within the time.
    Suspended(Suspension),
    /// The node has checked the resources that the pod's spec requests.
    Resized(ResizeResult),
    /// The pod is being deleted; a later deletion may only shorten the time.
    Deleted {
        /// The time that the containers have to exit before they are killed.
        grace: Duration,
    },
    /// The pod's network and volumes are released.
    SandboxRemoved,
}

/// How the containers of a pod stop while its node does not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suspension {
    /// As in a deletion: with preStop hooks and the pod's own grace period.
    Graceful {
        /// The maximum grace period.
        max_grace: Duration,
    },
    /// At once: without preStop hooks, and within half a second.
    Immediate,
}

/// The result of a request for other resources (K26).
#[derive(Debug, Clone, PartialEq)]
pub enum ResizeResult {
    /// The containers have the resources of this pod's spec.
    Done(Box<Pod>),
    /// The node lacks the resources.
    Pending {
        /// `Deferred` if other pods may free them, `Infeasible` if the node never has them.
        reason: &'static str,
        /// The resource that the node lacks.
        message: String,
    },
    /// The node has the resources but cannot apply them now.
    Failed {
        /// The error.
        message: String,
    },
}
