//! What there is to show: the pod's status from its state (K8–K12, K26, K30).

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Container as Spec, ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting,
    ContainerStatus, HostIP, Pod, PodIP, PodStatus,
};

use std::time::Duration;

use super::backoff::go_duration;
use super::conditions;
use super::container::Container;
use super::phase;
use super::pod::{PodState, Sandbox};
use super::policy::{ContainerKind, RestartDecision};
use super::stage::{Stage, Terminated, TerminationCause};
use wasmpod_model::pods;

/// What is said of a container of which nothing is known (K10).
pub(super) const LOST: &str = "The container could not be located when the pod was terminated";

impl PodState {
    /// The status of `pod` as this state shows it. What other parties wrote (foreign conditions,
    /// the QoS class) stays.
    pub fn status(&self, pod: &Pod, host_ip: &str, now: Timestamp) -> PodStatus {
        let previous = pod.status.as_ref();
        // A kubelet takes in nothing of a pod that is over.
        let last = previous.and_then(|status| status.observed_generation).filter(|_| self.sandbox == Sandbox::Gone);
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
        let mut init = list(&self.init, spec.map(pods::init_containers).unwrap_or_default());
        let mut apps = list(&self.apps, spec.map(|spec| spec.containers.as_slice()).unwrap_or_default());
        if self.sandbox == Sandbox::Gone {
            lose(&mut init, &mut apps);
        }
        status.init_container_statuses = (!init.is_empty()).then_some(init);
        apps.sort_by(|a, b| a.name.cmp(&b.name));
        status.container_statuses = Some(apps);
        let mut ephemeral = list(&self.ephemeral, &[]);
        ephemeral.sort_by(|a, b| a.name.cmp(&b.name));
        status.ephemeral_container_statuses = (!ephemeral.is_empty()).then_some(ephemeral);
        let phase = phase::of(self, previous.and_then(|s| s.phase.as_deref()));
        status.phase = Some(phase.name().into());
        if let Some(failing) = self.failing.as_ref().filter(|_| self.sandbox == Sandbox::Gone) {
            status.reason = Some(failing.reason.clone());
            status.message = Some(failing.message.clone());
        }
        status.conditions = Some(conditions::of(self, spec, &status, previous, generation, now));
        status
    }

    fn container_status(&self, container: &Container, spec: Option<&Spec>) -> ContainerStatus {
        let (state, last) = self.states(container);
        let started = container.has_started();
        let succeeded = state.terminated.as_ref().is_some_and(|t| t.exit_code == 0);
        let resources = container.resources.clone().filter(|_| container.running().is_some());
        ContainerStatus {
            name: container.name.clone(),
            image: container.image.clone(),
            image_id: container.image_id.clone(),
            container_id: (!container.container_id.is_empty()).then(|| container.container_id.clone()),
            ready: match container.kind() {
                ContainerKind::Init => succeeded,
                ContainerKind::Sidecar | ContainerKind::App => container.is_ready(),
                ContainerKind::Ephemeral => false,
            },
            started: (container.kind() != ContainerKind::Ephemeral).then_some(started),
            restart_count: i32::try_from(container.restarts).unwrap_or(i32::MAX),
            allocated_resources: resources.as_ref().and_then(|r| r.requests.clone()),
            resources,
            state: Some(state),
            last_state: Some(last),
            stop_signal: spec.and_then(|spec| spec.lifecycle.as_ref()?.stop_signal.clone()),
            ..ContainerStatus::default()
        }
    }

    /// `state` and `lastState`.
    fn states(&self, container: &Container) -> (ContainerState, ContainerState) {
        let last = container.previous.as_ref().map(terminated).unwrap_or_default();
        match &container.stage {
            Stage::Waiting { trouble } => match trouble {
                Some((trouble, _)) => (waiting(&trouble.reason, Some(trouble.message.clone())), last),
                None => (self.not_begun(), last),
            },
            // What has not been shown as running yet shows what was before.
            Stage::Starting | Stage::PostStart { .. } | Stage::Stopping { shown: false, .. } => {
                match (&container.replaces, &container.retries) {
                    (Some(replaced), _) => self.between(container, &replaced.ended, replaced.waited),
                    (None, Some(trouble)) => (waiting(&trouble.reason, Some(trouble.message.clone())), last),
                    (None, None) => (self.not_begun(), last),
                }
            }
            Stage::Running { since } | Stage::Stopping { since, shown: true, .. } => {
                let running = Some(ContainerStateRunning { started_at: Some(pods::api_time(since.wall)) });
                (ContainerState { running, ..ContainerState::default() }, last)
            }
            Stage::Exited(ended) | Stage::RestartPending(ended) => self.between(container, ended, None),
            Stage::BackOff { ended, delay, shown } => {
                self.between(container, ended, Some(*delay).filter(|_| shown.waits))
            }
        }
    }

    /// A container between an attempt that ended and the next, for which it waits `delay`, if it does.
    fn between(
        &self,
        container: &Container,
        ended: &Terminated,
        delay: Option<Duration>,
    ) -> (ContainerState, ContainerState) {
        // What is deleted, and what runs no more, waits for nothing.
        let again = container.after(ended) != RestartDecision::Nothing && container.policy.shows_waits(ended.code);
        let waits = self.deletion.is_none() && again;
        match (delay, &ended.cause) {
            (Some(delay), _) if waits => {
                let (delay, name) = (go_duration(delay), &container.name);
                let message = format!("back-off {delay} restarting failed container={name} pod={}", self.place());
                (waiting("CrashLoopBackOff", Some(message)), terminated(ended))
            }
            (None, TerminationCause::Start(trouble)) if waits => {
                (waiting(&trouble.reason, Some(trouble.message.clone())), terminated(ended))
            }
            (_, _) => (terminated(ended), container.previous.as_ref().map(terminated).unwrap_or_default()),
        }
    }

    fn not_begun(&self) -> ContainerState {
        let reason = if self.init.is_empty() { "ContainerCreating" } else { "PodInitializing" };
        match &self.sandbox {
            Sandbox::Failed { message: Some(message), .. } => waiting(reason, Some(message.clone())),
            _ => waiting(reason, None),
        }
    }
}

/// At a pod's end nothing waits any more: of what had begun, or could have, nobody knows how it ended (K10).
/// A kubelet's `TerminatePod`.
fn lose(init: &mut [ContainerStatus], apps: &mut [ContainerStatus]) {
    let has_ended = |state: &Option<ContainerState>| state.as_ref().is_some_and(|s| s.terminated.is_some());
    let waits = |c: &ContainerStatus| c.state.as_ref().is_none_or(|state| state.waiting.is_some());
    let has_begun = |c: &ContainerStatus| !waits(c) || has_ended(&c.last_state);
    let initialized = init.is_empty() || apps.iter().any(has_begun);
    // The first init container could have begun in any case.
    let attempted = init.iter().rposition(has_begun).map_or(1, |last| last + 1);
    let could = init.iter_mut().take(attempted).chain(apps.iter_mut().filter(|_| initialized));
    could.filter(|c| !has_ended(&c.state)).for_each(|c| c.state = Some(lost()));
}

fn lost() -> ContainerState {
    let terminated = Some(ContainerStateTerminated {
        exit_code: 137,
        reason: Some("ContainerStatusUnknown".into()),
        message: Some(LOST.into()),
        ..ContainerStateTerminated::default()
    });
    ContainerState { terminated, ..ContainerState::default() }
}

fn waiting(reason: &str, message: Option<String>) -> ContainerState {
    let waiting = Some(ContainerStateWaiting { reason: Some(reason.into()), message });
    ContainerState { waiting, ..ContainerState::default() }
}

fn terminated(ended: &Terminated) -> ContainerState {
    let terminated = Some(ContainerStateTerminated {
        exit_code: ended.code,
        reason: Some(ended.reason.clone()),
        message: ended.message.clone(),
        started_at: ended.started_at.map(pods::api_time),
        finished_at: Some(pods::api_time(ended.finished_at)),
        container_id: Some(ended.container_id.clone()),
        signal: None,
    });
    ContainerState { terminated, ..ContainerState::default() }
}
