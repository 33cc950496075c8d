//! The pod's phase from its containers (K1–K7; kubelet's getPhase).

use super::container::{Container, SidecarGate};
use super::pod::{PodState, Sandbox};
use super::policy::{ContainerKind, RestartDecision};
use super::stage::{Stage, Terminated};

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
        again: bool,
    },
}

fn counts(container: &Container) -> Counts {
    let stopped = |ended: &Terminated| Counts::Stopped {
        code: ended.code,
        again: container.after(ended) != RestartDecision::Nothing,
    };
    if let Some(ended) = container.ended() {
        return stopped(ended);
    }
    match (&container.stage, &container.previous) {
        (Stage::Running { .. } | Stage::Stopping { shown: true, .. }, _) => Counts::Running,
        (_, Some(previous)) => stopped(previous),
        (_, None) => Counts::Waiting,
    }
}

/// The phase to show, where `reported` is what was shown before.
pub(super) fn of(pod: &PodState, reported: Option<&str>) -> Phase {
    if pod.sandbox == Sandbox::Gone {
        return match (pod.failing.is_some(), from_containers(pod, true)) {
            (false, Phase::Succeeded) => Phase::Succeeded,
            // Ended from outside, or before everything had begun.
            (true, _) | (false, Phase::Failed | Phase::Pending | Phase::Running) => Phase::Failed,
        };
    }
    match (from_containers(pod, false), reported) {
        // What is final is not said while something may still run.
        (Phase::Succeeded | Phase::Failed, Some("Pending")) => Phase::Pending,
        (Phase::Succeeded | Phase::Failed, _) => Phase::Running,
        (phase @ (Phase::Pending | Phase::Running), _) => phase,
    }
}

/// What the containers come to. `ends`: the pod is at its end, so that nothing runs again.
pub(super) fn from_containers(pod: &PodState, ends: bool) -> Phase {
    let begun = |c: &Container| !matches!(counts(c), Counts::Waiting);
    let any_app = pod.apps.iter().any(begun);
    let mut pending = false;
    for container in &pod.init {
        match (container.kind(), counts(container)) {
            (ContainerKind::Sidecar, _) => pending |= container.release == SidecarGate::Blocked && !any_app,
            (_, Counts::Stopped { code: 0, .. }) => {}
            (_, Counts::Stopped { again, .. }) if ends || !again => return Phase::Failed,
            (_, Counts::Stopped { .. } | Counts::Waiting | Counts::Running) => pending = true,
        }
    }
    if pending || !pod.apps.iter().all(begun) {
        return Phase::Pending;
    }
    let sidecar_lives = pod.init.iter().any(|c| c.kind() == ContainerKind::Sidecar && c.is_live());
    let mut failed = false;
    for container in &pod.apps {
        match counts(container) {
            Counts::Waiting | Counts::Running => return Phase::Running,
            Counts::Stopped { again: true, .. } if !ends => return Phase::Running,
            Counts::Stopped { code, .. } => failed |= code != 0,
        }
    }
    match (sidecar_lives, failed) {
        (true, _) => Phase::Running,
        (false, true) => Phase::Failed,
        (false, false) => Phase::Succeeded,
    }
}
