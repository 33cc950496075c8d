//! The pod's phase from its containers (K1–K7; kubelet's getPhase).

use super::container::{Container, Stage};
use super::pod::{PodState, Sandbox};
use super::{RestartPolicy, Role};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Pending,
    Running,
    Succeeded,
    Failed,
}

impl Phase {
    pub(super) fn name(self) -> &'static str {
        match self {
            Phase::Pending => "Pending",
            Phase::Running => "Running",
            Phase::Succeeded => "Succeeded",
            Phase::Failed => "Failed",
        }
    }
}

/// What a container counts as.
enum Counts {
    /// It has not run yet.
    Waiting,
    Running,
    /// It has run, and runs no more or not now.
    Stopped {
        code: i32,
    },
}

fn counts(container: &Container) -> Counts {
    if let Some(ended) = container.ended() {
        return Counts::Stopped { code: ended.code };
    }
    match (&container.stage, &container.previous) {
        (Stage::Running { .. } | Stage::Stopping { .. }, _) => Counts::Running,
        (_, Some(previous)) => Counts::Stopped { code: previous.code },
        (_, None) => Counts::Waiting,
    }
}

pub(super) fn of(pod: &PodState) -> Phase {
    let phase = from_containers(pod);
    // What is final is not said while something may still run.
    match phase {
        Phase::Succeeded | Phase::Failed if pod.sandbox != Sandbox::Gone => before_the_end(pod),
        phase => phase,
    }
}

fn before_the_end(pod: &PodState) -> Phase {
    if pod.apps.iter().any(|c| !matches!(counts(c), Counts::Waiting)) { Phase::Running } else { Phase::Pending }
}

fn from_containers(pod: &PodState) -> Phase {
    let over = pod.sandbox == Sandbox::Gone;
    let all = |role: Role| pod.containers().filter(move |c| c.role == role).map(counts);
    let init_pending = all(Role::Init).any(|c| !matches!(c, Counts::Stopped { .. }));
    let init_failed = all(Role::Init).any(|c| matches!(c, Counts::Stopped { code } if code != 0));
    if init_failed && (pod.policy == RestartPolicy::Never || over) {
        return Phase::Failed;
    }
    let waiting = all(Role::App).any(|c| matches!(c, Counts::Waiting));
    if over && (init_pending || waiting) {
        // Ended from outside before everything had begun.
        return Phase::Failed;
    }
    if init_pending || init_failed || waiting {
        return Phase::Pending;
    }
    if all(Role::App).any(|c| matches!(c, Counts::Running)) {
        return Phase::Running;
    }
    let succeeded = all(Role::App).all(|c| matches!(c, Counts::Stopped { code: 0 }));
    match (over, pod.policy, succeeded) {
        (false, RestartPolicy::Always, _) | (false, RestartPolicy::OnFailure, false) => Phase::Running,
        (_, _, true) => Phase::Succeeded,
        (_, _, false) => Phase::Failed,
    }
}
