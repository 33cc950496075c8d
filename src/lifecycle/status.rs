//! What there is to show: the pod's status from its state (K8, K9, K11, K12).

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus, HostIP,
    Pod, PodIP, PodStatus,
};

use super::Role;
use super::backoff::go_duration;
use super::conditions;
use super::container::{Container, Ended, Stage};
use super::pod::{PodState, Sandbox};
use crate::model::pods;

impl PodState {
    /// The status of `pod` as this state shows it. What other parties wrote (foreign conditions,
    /// the QoS class) stays.
    pub fn status(&self, pod: &Pod, host_ip: &str, now: Timestamp) -> PodStatus {
        let previous = pod.status.as_ref();
        let generation = pod.metadata.generation;
        let mut status = previous.cloned().unwrap_or_default();
        status.observed_generation = generation;
        status.start_time = self.started_at.map(pods::time);
        status.host_ip = Some(host_ip.into());
        status.host_ips = Some(vec![HostIP { ip: host_ip.into() }]);
        status.pod_ip = self.ip.clone();
        status.pod_ips = self.ip.clone().map(|ip| vec![PodIP { ip }]);
        let init = self.init.iter().map(|c| self.container_status(c)).collect::<Vec<_>>();
        status.init_container_statuses = (!init.is_empty()).then_some(init);
        let mut apps: Vec<_> = self.apps.iter().map(|c| self.container_status(c)).collect();
        apps.sort_by(|a, b| a.name.cmp(&b.name));
        status.container_statuses = Some(apps);
        let phase = self.phase();
        status.phase = Some(phase.name().into());
        status.conditions = Some(conditions::of(self, phase, &status, previous, generation, now));
        status
    }

    fn container_status(&self, container: &Container) -> ContainerStatus {
        let (state, last) = self.states(container);
        let running = state.running.is_some();
        let succeeded = state.terminated.as_ref().is_some_and(|t| t.exit_code == 0);
        ContainerStatus {
            name: container.name.clone(),
            image: container.image.clone(),
            image_id: container.image_id.clone(),
            container_id: (!container.container_id.is_empty()).then(|| container.container_id.clone()),
            ready: match container.role {
                Role::Init => succeeded,
                Role::App => running,
            },
            started: Some(running),
            restart_count: i32::try_from(container.restarts).unwrap_or(i32::MAX),
            state: Some(state),
            last_state: Some(last),
            ..ContainerStatus::default()
        }
    }

    /// `state` and `lastState`.
    fn states(&self, container: &Container) -> (ContainerState, ContainerState) {
        let previous = container.previous.as_ref();
        let before = |ended: Option<&Ended>| ended.map(terminated).unwrap_or_default();
        match &container.stage {
            Stage::Waiting { trouble: None } => (self.not_begun(), before(previous)),
            Stage::Waiting { trouble: Some((trouble, _)) } => {
                (waiting(&trouble.reason, Some(trouble.message.clone())), before(previous))
            }
            Stage::Starting { .. } => match &container.replaces {
                Some(replaced) => (terminated(replaced), before(previous)),
                None => (self.not_begun(), before(previous)),
            },
            Stage::Running { started_at } | Stage::Stopping { started_at, .. } => {
                let started_at = Some(pods::time(*started_at));
                let running = Some(ContainerStateRunning { started_at });
                (ContainerState { running, ..ContainerState::default() }, before(previous))
            }
            Stage::Exited(ended) | Stage::Due(ended) => (terminated(ended), before(previous)),
            // A pod that was ended meanwhile waits for nothing.
            Stage::BackOff { ended, .. } if self.sandbox == Sandbox::Gone => (terminated(ended), before(previous)),
            Stage::BackOff { ended, delay } => {
                let message = format!(
                    "back-off {} restarting failed container={} pod={}_{}({})",
                    go_duration(*delay),
                    container.name,
                    self.name,
                    self.namespace,
                    self.uid
                );
                (waiting("CrashLoopBackOff", Some(message)), terminated(ended))
            }
        }
    }

    fn not_begun(&self) -> ContainerState {
        if let Sandbox::Failed { message, .. } = &self.sandbox {
            return waiting("ContainerCreating", Some(message.clone()));
        }
        waiting(if self.init.is_empty() { "ContainerCreating" } else { "PodInitializing" }, None)
    }
}

fn waiting(reason: &str, message: Option<String>) -> ContainerState {
    let waiting = Some(ContainerStateWaiting { reason: Some(reason.into()), message });
    ContainerState { waiting, ..ContainerState::default() }
}

fn terminated(ended: &Ended) -> ContainerState {
    let terminated = Some(ContainerStateTerminated {
        exit_code: ended.code,
        reason: Some(ended.reason.clone()),
        message: ended.message.clone(),
        started_at: ended.started_at.map(pods::time),
        finished_at: Some(pods::time(ended.finished_at)),
        container_id: Some(ended.container_id.clone()),
        signal: None,
    });
    ContainerState { terminated, ..ContainerState::default() }
}
