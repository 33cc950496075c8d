//! The pod's status, computed from its state (K8–K12, K26, K30).

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Container as Spec, ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting,
    ContainerStatus, HostIP, Pod, PodIP, PodStatus,
};

use super::backoff::format_go_duration;
use super::conditions;
use super::container::Container;
use super::phase;
use super::pod::{PodState, SandboxState};
use super::policy::{ContainerKind, RestartDecision};
use super::stage::{Stage, Terminated, TerminationCause, WaitingReason};
use wasmpod_model::pods;

/// The message of a container that was lost (K10).
pub(super) const LOST: &str = "The container could not be located when the pod was terminated";

impl PodState {
    /// Returns the status of `pod`. Fields and conditions that others set (foreign conditions, the QoS class) stay.
    pub fn status(&self, pod: &Pod, host_ip: &str, now: Timestamp) -> PodStatus {
        let previous = pod.status.as_ref();
        // A kubelet observes no changes of a terminated pod.
        let last = previous.and_then(|status| status.observed_generation).filter(|_| self.is_terminated());
        let generation = last.or(pod.metadata.generation);
        let spec = pod.spec.as_ref();
        let mut status = previous.cloned().unwrap_or_default();
        status.observed_generation = generation;
        status.start_time = self.started_at.map(pods::api_time);
        status.host_ip = Some(host_ip.into());
        status.host_ips = Some(vec![HostIP { ip: host_ip.into() }]);
        status.pod_ip = self.ip.clone();
        status.pod_ips = self.ip.clone().map(|ip| vec![PodIP { ip }]);
        let list = |all: &[Container], specs: &[Spec]| -> Vec<ContainerStatus> {
            all.iter().enumerate().map(|(index, c)| self.container_status(c, specs.get(index))).collect()
        };
        let mut init = list(&self.containers.init, spec.map(pods::init_containers).unwrap_or_default());
        let mut apps = list(&self.containers.apps, spec.map(|spec| spec.containers.as_slice()).unwrap_or_default());
        if self.is_terminated() {
            mark_lost(&mut init, &mut apps);
        }
        status.init_container_statuses = (!init.is_empty()).then_some(init);
        apps.sort_by(|a, b| a.name.cmp(&b.name));
        status.container_statuses = Some(apps);
        let mut ephemeral = list(&self.containers.ephemeral, &[]);
        ephemeral.sort_by(|a, b| a.name.cmp(&b.name));
        status.ephemeral_container_statuses = (!ephemeral.is_empty()).then_some(ephemeral);
        let phase = phase::pod_phase(self, previous.and_then(|s| s.phase.as_deref()));
        status.phase = Some(phase.name().into());
        if let Some(failure) = self.ending.failure.as_ref().filter(|_| self.is_terminated()) {
            status.reason = Some(failure.reason.clone());
            status.message = Some(failure.message.clone());
        }
        status.conditions = Some(conditions::pod_conditions(self, spec, &status, previous, generation, now));
        status
    }

    fn container_status(&self, container: &Container, spec: Option<&Spec>) -> ContainerStatus {
        let (state, last) = self.states(container);
        let started = container.has_started();
        let succeeded = state.terminated.as_ref().is_some_and(|t| t.exit_code == 0);
        let resources = container.spec.resources.clone().filter(|_| container.running_since().is_some());
        let container_id = &container.attempt.container_id;
        ContainerStatus {
            name: container.spec.name.clone(),
            image: container.spec.image.clone(),
            image_id: container.attempt.image_id.clone(),
            container_id: (!container_id.is_empty()).then(|| container_id.clone()),
            ready: match container.kind() {
                ContainerKind::Init => succeeded,
                ContainerKind::Sidecar | ContainerKind::App => container.is_ready(),
                ContainerKind::Ephemeral => false,
            },
            started: (container.kind() != ContainerKind::Ephemeral).then_some(started),
            restart_count: i32::try_from(container.history.restarts).unwrap_or(i32::MAX),
            allocated_resources: resources.as_ref().and_then(|r| r.requests.clone()),
            resources,
            state: Some(state),
            last_state: Some(last),
            stop_signal: spec.and_then(|spec| spec.lifecycle.as_ref()?.stop_signal.clone()),
            ..ContainerStatus::default()
        }
    }

    /// Returns `state` and `lastState`.
    fn states(&self, container: &Container) -> (ContainerState, ContainerState) {
        let previous = container.history.previous.as_ref().map(terminated).unwrap_or_default();
        match &container.stage {
            Stage::Waiting { retry: Some(retry) } => (waiting_for(&retry.waiting), previous),
            Stage::Waiting { retry: None } => (self.not_started(), previous),
            // An attempt that is not published yet shows the state before it.
            Stage::Starting | Stage::PostStart { .. } | Stage::Stopping { published: false, .. } => {
                match (&container.attempt.replaces, &container.attempt.retries) {
                    (Some(replaced), _) => self.between_attempts(container, &replaced.terminated, replaced.delay),
                    (None, Some(reason)) => (waiting_for(reason), previous),
                    (None, None) => (self.not_started(), previous),
                }
            }
            Stage::Running { since } | Stage::Stopping { since, published: true, .. } => {
                let running = Some(ContainerStateRunning { started_at: Some(pods::api_time(since.wall)) });
                (ContainerState { running, ..ContainerState::default() }, previous)
            }
            Stage::Exited(last) | Stage::RestartPending(last) => self.between_attempts(container, last, None),
            Stage::BackOff { last, delay, report } => {
                self.between_attempts(container, last, Some(*delay).filter(|_| report.is_visible))
            }
        }
    }

    /// Returns `state` and `lastState` between the attempt that terminated as `last` and the next one, before which the
    /// status shows the back-off `delay`, if any.
    fn between_attempts(
        &self,
        container: &Container,
        last: &Terminated,
        delay: Option<Duration>,
    ) -> (ContainerState, ContainerState) {
        // Containers that do not restart, or whose pod is being deleted, do not wait.
        let restarts = container.restart_decision(last) != RestartDecision::None;
        let waits =
            self.ending.deletion_deadline.is_none() && restarts && container.spec.policy.shows_backoff(last.code);
        match (delay, &last.cause) {
            (Some(delay), _) if waits => {
                let (delay, name) = (format_go_duration(delay), &container.spec.name);
                let message = format!("back-off {delay} restarting failed container={name} pod={}", self.id);
                (waiting("CrashLoopBackOff", Some(message)), terminated(last))
            }
            (None, TerminationCause::FailedStart(reason)) if waits => (waiting_for(reason), terminated(last)),
            // Once its newest attempt has ended for good, a kubelet keeps no older one.
            (_, _) if !restarts => (terminated(last), ContainerState::default()),
            (_, _) => (terminated(last), container.history.previous.as_ref().map(terminated).unwrap_or_default()),
        }
    }

    fn not_started(&self) -> ContainerState {
        let reason = if self.containers.init.is_empty() { "ContainerCreating" } else { "PodInitializing" };
        match &self.sandbox {
            SandboxState::Failed { message: Some(message), .. } => waiting(reason, Some(message.clone())),
            _ => waiting(reason, None),
        }
    }
}

/// Marks the containers of a terminated pod that may have started and have no exit as lost (K10), as kubelet's
/// `TerminatePod` does.
fn mark_lost(init: &mut [ContainerStatus], apps: &mut [ContainerStatus]) {
    let has_terminated = |state: &Option<ContainerState>| state.as_ref().is_some_and(|s| s.terminated.is_some());
    let waits = |c: &ContainerStatus| c.state.as_ref().is_none_or(|state| state.waiting.is_some());
    let has_begun = |c: &ContainerStatus| !waits(c) || has_terminated(&c.last_state);
    let initialized = init.is_empty() || apps.iter().any(has_begun);
    // The first init container may have started in any case.
    let attempted = init.iter().rposition(has_begun).map_or(1, |last| last + 1);
    let may_have_started = init.iter_mut().take(attempted).chain(apps.iter_mut().filter(|_| initialized));
    may_have_started.filter(|c| !has_terminated(&c.state)).for_each(|c| c.state = Some(lost_container_state()));
}

fn lost_container_state() -> ContainerState {
    let terminated = Some(ContainerStateTerminated {
        exit_code: 137,
        reason: Some("ContainerStatusUnknown".into()),
        message: Some(LOST.into()),
        ..ContainerStateTerminated::default()
    });
    ContainerState { terminated, ..ContainerState::default() }
}

fn waiting_for(reason: &WaitingReason) -> ContainerState {
    waiting(&reason.reason, Some(reason.message.clone()))
}

fn waiting(reason: &str, message: Option<String>) -> ContainerState {
    let waiting = Some(ContainerStateWaiting { reason: Some(reason.into()), message });
    ContainerState { waiting, ..ContainerState::default() }
}

fn terminated(last: &Terminated) -> ContainerState {
    let terminated = Some(ContainerStateTerminated {
        exit_code: last.code,
        reason: Some(last.reason.clone()),
        message: last.message.clone(),
        started_at: last.started_at.map(pods::api_time),
        finished_at: Some(pods::api_time(last.finished_at)),
        container_id: Some(last.container_id.clone()),
        signal: None,
    });
    ContainerState { terminated, ..ContainerState::default() }
}
