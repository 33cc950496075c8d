//! A pod's state from its stored status: what a node knows after it was restarted.
//!
//! Nothing survives a restart of the node but what the status says. A container that ran is lost
//! (K10); one that had ended is where it was. Law: restoring and going on is the same as having
//! gone on, but for what was lost.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerState, ContainerStateTerminated, ContainerStatus, Pod};

use super::Now;
use super::backoff::Backoff;
use super::container::{Container, SidecarGate};
use super::pod::{PodState, Sandbox};
use super::stage::{Stage, Terminated, TerminationCause};
use super::status::LOST;
use wasmpod_model::pods;

impl PodState {
    /// The state that `pod`'s status tells of.
    pub fn restore(pod: &Pod, now: Now) -> PodState {
        let mut state = PodState::new(pod);
        let Some(status) = &pod.status else { return state };
        state.started_at = status.start_time.as_ref().map(|t| t.0);
        state.was_active = state.started_at.map(|at| ago(at, now)).unwrap_or_default();
        let init = status.init_container_statuses.iter().flatten();
        let ephemeral = status.ephemeral_container_statuses.iter().flatten();
        for status in init.chain(status.container_statuses.iter().flatten()).chain(ephemeral) {
            let mut known = state.init.iter_mut().chain(&mut state.apps).chain(&mut state.ephemeral);
            if let Some(container) = known.find(|c| c.name == status.name) {
                restore(container, status, now);
            }
        }
        if pods::is_terminal(pod) {
            let shown = |name: &str| status.ephemeral_container_statuses.iter().flatten().any(|s| s.name == name);
            state.sandbox = Sandbox::Gone;
            // What came after its end never began.
            state.ephemeral.retain(|c| shown(&c.name));
            state.ip = status.pod_ip.clone();
        }
        state
    }
}

fn restore(container: &mut Container, status: &ContainerStatus, now: Now) {
    container.restarts = u32::try_from(status.restart_count).unwrap_or(0);
    container.image_id = status.image_id.clone();
    container.container_id = status.container_id.clone().unwrap_or_default();
    let empty = ContainerState::default();
    let state = status.state.as_ref().unwrap_or(&empty);
    let last = status.last_state.as_ref().and_then(|s| s.terminated.as_ref()).map(|t| ended(t, now));
    if let Some(terminated) = &state.terminated {
        container.previous = last;
        container.stage = Stage::Exited(ended(terminated, now));
    } else if let Some(running) = &state.running {
        container.previous = last;
        container.stage = Stage::Exited(Terminated {
            code: 137,
            reason: "ContainerStatusUnknown".into(),
            message: Some(LOST.into()),
            started_at: running.started_at.as_ref().map(|t| t.0),
            finished_at: now.wall,
            finished: now.mono,
            container_id: container.container_id.clone(),
            cause: TerminationCause::Nothing,
        });
    } else if let Some(last) = last {
        // It waited for its next attempt.
        container.stage = Stage::Exited(last);
    }
    if status.started == Some(true) {
        container.release = SidecarGate::Open;
    }
    // An attempt's number only has to differ from those that came before.
    container.attempt = if container.container_id.is_empty() { 0 } else { container.restarts + 1 };
    container.backoff = backoff(container, now);
}

fn ended(terminated: &ContainerStateTerminated, now: Now) -> Terminated {
    let finished_at = terminated.finished_at.as_ref().map_or(now.wall, |t| t.0);
    Terminated {
        code: terminated.exit_code,
        reason: terminated.reason.clone().unwrap_or_default(),
        message: terminated.message.clone(),
        started_at: terminated.started_at.as_ref().map(|t| t.0),
        finished_at,
        finished: mono(finished_at, now),
        container_id: terminated.container_id.clone().unwrap_or_default(),
        cause: TerminationCause::Nothing,
    }
}

/// The monotonic time of a wall time that is past; a wall clock that jumped makes it now.
fn mono(at: Timestamp, now: Now) -> Duration {
    now.mono.saturating_sub(ago(at, now))
}

fn ago(at: Timestamp, now: Now) -> Duration {
    Duration::try_from(now.wall.duration_since(at)).unwrap_or_default()
}

/// The back-off after so many restarts; the count stands in for the history that was lost.
fn backoff(container: &Container, now: Now) -> Backoff {
    let mut backoff = Backoff::default();
    let since = container.ended().and_then(|e| e.started_at).map_or(now.mono, |at| mono(at, now));
    for _ in 0..container.restarts.min(8) {
        backoff.restarted(since, since);
    }
    backoff
}
