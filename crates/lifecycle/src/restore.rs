//! Restores a pod's state from its stored status after a restart of the node.
//!
//! Only the status survives a restart. A container that ran is lost (K10); one that had terminated continues where it
//! was, as if the node had not restarted.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerState, ContainerStateTerminated, ContainerStatus, Pod};

use super::backoff::Backoff;
use super::container::{Container, SidecarGate};
use super::pod::{PodState, SandboxState};
use super::stage::{Stage, Terminated, TerminationCause};
use super::status::LOST;
use super::time::{MonoTime, Now};
use wasmpod_model::pods;

impl PodState {
    /// Returns the state that `pod`'s status describes.
    pub fn restore(pod: &Pod, now: Now) -> PodState {
        let mut state = PodState::new(pod);
        let Some(status) = &pod.status else { return state };
        state.started_at = status.start_time.as_ref().map(|t| t.0);
        state.active.before = state.started_at.map(|at| elapsed_since(at, now)).unwrap_or_default();
        let init = status.init_container_statuses.iter().flatten();
        let ephemeral = status.ephemeral_container_statuses.iter().flatten();
        for status in init.chain(status.container_statuses.iter().flatten()).chain(ephemeral) {
            if let Some(container) = state.containers.find_mut(&status.name) {
                restore_container(container, status, now);
            }
        }
        if pods::is_terminal(pod) {
            let has_status = |name: &str| status.ephemeral_container_statuses.iter().flatten().any(|s| s.name == name);
            state.sandbox = SandboxState::Gone;
            // Ephemeral containers that were added to the terminated pod have never started.
            state.containers.ephemeral.retain(|c| has_status(&c.spec.name));
            state.ip = status.pod_ip.clone();
        }
        state
    }
}

fn restore_container(container: &mut Container, status: &ContainerStatus, now: Now) {
    container.history.restarts = u32::try_from(status.restart_count).unwrap_or(0);
    container.attempt.image_id = status.image_id.clone();
    container.attempt.container_id = status.container_id.clone().unwrap_or_default();
    let empty = ContainerState::default();
    let state = status.state.as_ref().unwrap_or(&empty);
    let last = status.last_state.as_ref().and_then(|s| s.terminated.as_ref()).map(|t| terminated(t, now));
    if let Some(state) = &state.terminated {
        container.history.previous = last;
        container.stage = Stage::Exited(terminated(state, now));
    } else if let Some(running) = &state.running {
        container.history.previous = last;
        container.stage = Stage::Exited(Terminated {
            code: 137,
            reason: "ContainerStatusUnknown".into(),
            message: Some(LOST.into()),
            started_at: running.started_at.as_ref().map(|t| t.0),
            finished_at: now.wall,
            finished_mono: now.mono,
            container_id: container.attempt.container_id.clone(),
            cause: TerminationCause::Normal,
        });
    } else if let Some(last) = last {
        // The container was in back-off.
        container.stage = Stage::Exited(last);
    }
    if status.started == Some(true) {
        container.sidecar_gate = SidecarGate::Open;
    }
    // The number only has to differ from those of earlier attempts.
    let was_created = !container.attempt.container_id.is_empty();
    container.attempt.number = if was_created { container.history.restarts + 1 } else { 0 };
    container.history.backoff = backoff(container, now);
}

fn terminated(terminated: &ContainerStateTerminated, now: Now) -> Terminated {
    let finished_at = terminated.finished_at.as_ref().map_or(now.wall, |t| t.0);
    Terminated {
        code: terminated.exit_code,
        reason: terminated.reason.clone().unwrap_or_default(),
        message: terminated.message.clone(),
        started_at: terminated.started_at.as_ref().map(|t| t.0),
        finished_at,
        finished_mono: mono_time(finished_at, now),
        container_id: terminated.container_id.clone().unwrap_or_default(),
        cause: TerminationCause::Normal,
    }
}

/// Returns the monotonic time of an earlier wall time; a time in the future, after the wall clock was set back, counts
/// as now.
fn mono_time(at: Timestamp, now: Now) -> MonoTime {
    now.mono - elapsed_since(at, now)
}

fn elapsed_since(at: Timestamp, now: Now) -> Duration {
    Duration::try_from(now.wall.duration_since(at)).unwrap_or_default()
}

/// Returns the back-off after the container's number of restarts, since their times are lost.
fn backoff(container: &Container, now: Now) -> Backoff {
    let mut backoff = Backoff::default();
    let started_at = container.last_termination().and_then(|last| last.started_at);
    let since = started_at.map_or(now.mono, |at| mono_time(at, now));
    for _ in 0..container.history.restarts.min(8) {
        backoff.record_restart(since, since);
    }
    backoff
}
