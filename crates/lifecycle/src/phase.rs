//! The pod's phase, computed from its containers (K1–K7; kubelet's `getPhase`).

use super::container::{Container, SidecarGate};
use super::pod::{PodState, SandboxState};
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

/// The state of a container, as far as the phase depends on it.
enum ContainerState {
    /// Has not run yet.
    Waiting,
    Running,
    /// Has run and does not run now.
    Stopped {
        code: i32,
        restarts: bool,
    },
}

fn state_of(container: &Container) -> ContainerState {
    let stopped = |last: &Terminated| ContainerState::Stopped {
        code: last.code,
        restarts: container.restart_decision(last) != RestartDecision::None,
    };
    if let Some(last) = container.last_termination() {
        return stopped(last);
    }
    match (&container.stage, &container.history.previous) {
        (Stage::Running { .. } | Stage::Stopping { published: true, .. }, _) => ContainerState::Running,
        (_, Some(previous)) => stopped(previous),
        (_, None) => ContainerState::Waiting,
    }
}

/// Returns the phase for the status; `reported` is the phase that the status has now.
pub(super) fn pod_phase(pod: &PodState, reported: Option<&str>) -> Phase {
    if pod.sandbox == SandboxState::Gone {
        return match (pod.is_failing(), containers_phase(pod, true)) {
            (false, Phase::Succeeded) => Phase::Succeeded,
            // The pod was ended from outside, or before all containers had started.
            (true, _) | (false, Phase::Failed | Phase::Pending | Phase::Running) => Phase::Failed,
        };
    }
    match (containers_phase(pod, false), reported) {
        // A final phase waits until nothing may run any more.
        (Phase::Succeeded | Phase::Failed, Some("Pending")) => Phase::Pending,
        (Phase::Succeeded | Phase::Failed, _) => Phase::Running,
        (phase @ (Phase::Pending | Phase::Running), _) => phase,
    }
}

/// Returns the phase of the containers. `is_ending`: no container restarts, since the pod is ending.
pub(super) fn containers_phase(pod: &PodState, is_ending: bool) -> Phase {
    let has_begun = |c: &Container| !matches!(state_of(c), ContainerState::Waiting);
    let (init, apps) = (&pod.containers.init, &pod.containers.apps);
    let any_app_has_begun = apps.iter().any(has_begun);
    let mut pending = false;
    for container in init {
        match (container.kind(), state_of(container)) {
            (ContainerKind::Sidecar, _) => {
                pending |= container.sidecar_gate == SidecarGate::Blocked && !any_app_has_begun;
            }
            (_, ContainerState::Stopped { code: 0, .. }) => {}
            (_, ContainerState::Stopped { restarts, .. }) if is_ending || !restarts => return Phase::Failed,
            (_, ContainerState::Stopped { .. } | ContainerState::Waiting | ContainerState::Running) => pending = true,
        }
    }
    if pending || !apps.iter().all(has_begun) {
        return Phase::Pending;
    }
    let any_sidecar_live = init.iter().any(|c| c.kind() == ContainerKind::Sidecar && c.is_live());
    let mut failed = false;
    for container in apps {
        match state_of(container) {
            ContainerState::Waiting | ContainerState::Running => return Phase::Running,
            ContainerState::Stopped { restarts: true, .. } if !is_ending => return Phase::Running,
            ContainerState::Stopped { code, .. } => failed |= code != 0,
        }
    }
    match (any_sidecar_live, failed) {
        (true, _) => Phase::Running,
        (false, true) => Phase::Failed,
        (false, false) => Phase::Succeeded,
    }
}
