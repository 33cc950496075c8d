//! A pod takes facts in.

use k8s_openapi::api::core::v1::Pod;

use super::container::{Container, SidecarGate};
use super::input::{Action, EventRecord, Input, ResizeResult};
use super::pod::{Deletion, Failing, PodState, Sandbox};
use super::policy::RestartDecision;
use super::probes::{ProbeKind, ProbeResult};
use super::stage::{ExitStatus, Stage, Terminated, TerminationCause, WaitingReason};
use super::stop::{FLOOR, Hook, Order, begin_stop};
use super::{Attempt, ContainerRef, ContainerRole, Now};
use wasmpod_model::pods;

use std::time::Duration;

/// Volumes and network that could not be made are tried again after this and twice as long each time.
const FIRST_RETRY: Duration = Duration::from_millis(500);
/// But no longer than this.
const LAST_RETRY: Duration = Duration::from_secs(122);

impl PodState {
    fn container(&mut self, at: ContainerRef) -> Option<&mut Container> {
        match at.role {
            ContainerRole::Init => self.init.get_mut(at.index),
            ContainerRole::App => self.apps.get_mut(at.index),
            ContainerRole::Ephemeral => self.ephemeral.get_mut(at.index),
        }
    }

    /// The name of the container at that place. Ephemeral ones stand as they came, which is not how the
    /// spec has them: a strategic merge puts the newest first.
    pub fn name_of(&self, at: ContainerRef) -> Option<&str> {
        let list = match at.role {
            ContainerRole::Init => &self.init,
            ContainerRole::App => &self.apps,
            ContainerRole::Ephemeral => &self.ephemeral,
        };
        list.get(at.index).map(|container| container.name.as_str())
    }

    /// The container that `attempt` is the current attempt of.
    fn current(&mut self, attempt: Attempt) -> Option<&mut Container> {
        self.container(attempt.container).filter(|c| c.attempt == attempt.number)
    }

    /// Takes a fact in; what comes out is what there is to tell about it.
    pub(super) fn observe(&mut self, event: Input, now: Now) -> Vec<Action> {
        let mut told = Vec::new();
        for (_, container) in self.with_places() {
            if container.release == SidecarGate::Announced {
                container.release = SidecarGate::Open;
            }
        }
        match event {
            Input::Tick => {}
            Input::PodUpdated(pod) => self.changed(&pod, now),
            Input::SandboxReady { ip } => {
                if matches!(self.sandbox, Sandbox::SettingUp { .. }) {
                    self.sandbox = Sandbox::Ready { since: now.mono };
                    self.ip = Some(ip);
                }
            }
            Input::SandboxFailed { message } => {
                if let Sandbox::SettingUp { failures } = self.sandbox {
                    let wait = FIRST_RETRY.saturating_mul(1 << failures.min(16)).min(LAST_RETRY);
                    let retry_at = now.mono + wait;
                    self.sandbox = Sandbox::Failed { message, failures: failures + 1, retry_at };
                }
            }
            Input::Started { attempt, container_id, image_id } => {
                if let Some(container) = self.current(attempt) {
                    container.started(container_id, image_id, now);
                    if matches!(container.stage, Stage::PostStart { .. }) {
                        told.push(Action::PostStart(attempt));
                    }
                }
            }
            Input::StartFailed { attempt, trouble } => {
                let again = self.again(now.mono);
                if let Some(container) = self.current(attempt) {
                    container.start_failed(trouble, again, now);
                }
            }
            Input::PostStartFinished { attempt, failed } => self.post_started(attempt, failed, now, &mut told),
            Input::PreStopFinished { attempt, failed } => {
                if let Some(container) = self.current(attempt) {
                    let runs = matches!(&container.stage, Stage::Stopping { stop, .. } if stop.hook == Hook::Runs);
                    if failed && runs {
                        told.push(EventRecord::warning(
                            attempt.container,
                            "FailedPreStopHook",
                            "PreStopHook failed".into(),
                        ));
                    }
                    if let Stage::Stopping { stop, .. } = &mut container.stage {
                        stop.hook_is_over();
                    }
                }
            }
            Input::ProbeFinished { attempt, kind, probed } => self.probed(attempt, kind, &probed, now, &mut told),
            Input::CannotRun { attempt, container_id, image_id, outcome } => {
                if let Some(container) = self.current(attempt) {
                    container.never_ran(container_id, image_id, outcome, now);
                }
                self.restart_all(attempt, now);
            }
            Input::Exited { attempt, outcome } => self.exited(attempt, outcome, now, &mut told),
            Input::Restart { container, grace } => {
                if self.goes_on() {
                    self.replace(container, now.mono + grace);
                }
            }
            Input::Evicted { reason, message, grace, disrupts } => {
                if self.goes_on() {
                    let by = now.mono + grace.unwrap_or(self.grace);
                    self.failing = Some(Failing { reason, message, by, disrupts });
                }
            }
            Input::Resized(resize) => self.resized(resize, &mut told),
            Input::Deleted { grace } => {
                let by = now.mono + grace;
                if self.deletion.is_some_and(|earlier| by < earlier.by) {
                    // A kubelet breaks its ends off and begins them anew.
                    for (at, container) in self.with_places().filter(|(_, c)| matches!(c.stage, Stage::Stopping { .. }))
                    {
                        told.push(EventRecord::normal(at, "Killing", format!("Stopping container {}", container.name)));
                    }
                }
                let by = self.deletion.map_or(by, |earlier| earlier.by.min(by));
                self.deletion = Some(Deletion { by });
            }
            Input::SandboxRemoved => {
                if let Sandbox::TearingDown { cut } = self.sandbox {
                    self.sandbox = Sandbox::Down { told: !cut };
                }
            }
        }
        told
    }

    /// Whether the pod is not at its end.
    fn goes_on(&self) -> bool {
        let over = matches!(self.sandbox, Sandbox::TearingDown { .. } | Sandbox::Down { .. } | Sandbox::Gone);
        self.deletion.is_none() && self.failing.is_none() && !over
    }

    fn replace(&mut self, at: ContainerRef, by: Duration) {
        match at.role {
            ContainerRole::App => self.apps.get_mut(at.index).into_iter().for_each(|c| c.replace(by)),
            ContainerRole::Init => {
                self.init.iter_mut().skip(at.index).chain(&mut self.apps).for_each(|c| c.replace(by))
            }
            // What somebody looks at with it is his own affair.
            ContainerRole::Ephemeral => {}
        }
    }

    /// Takes in what may change of a pod's spec.
    fn changed(&mut self, pod: &Pod, now: Now) {
        let empty = Default::default();
        let spec = pod.spec.as_ref().unwrap_or(&empty);
        let by = now.mono + self.grace;
        let lists = [(&mut self.init, pods::init_containers(spec)), (&mut self.apps, &spec.containers)];
        for (known, wanted) in lists {
            for (container, wanted) in known.iter_mut().zip(wanted) {
                let image = wanted.image.as_deref().unwrap_or_default();
                if container.image != image {
                    container.image = image.into();
                    // What has done its work is not done again for that.
                    if container.finished().is_none() {
                        container.replace(by);
                    }
                }
            }
        }
        if self.sandbox != Sandbox::Gone {
            for wanted in spec.ephemeral_containers.iter().flatten() {
                if !self.ephemeral.iter().any(|known| known.name == wanted.name) {
                    self.ephemeral.push(Container::ephemeral(wanted));
                }
            }
        }
        let seconds = spec.active_deadline_seconds.and_then(|s| u64::try_from(s).ok());
        self.active = seconds.map(Duration::from_secs);
    }

    /// Takes in what became of a wish for other resources, and tells what is new about it.
    fn resized(&mut self, resize: ResizeResult, told: &mut Vec<Action>) {
        let before = self.unresized.take();
        match resize {
            ResizeResult::Done(pod) => {
                let empty = Default::default();
                let spec = pod.spec.as_ref().unwrap_or(&empty);
                let mut changed = false;
                let lists = [(&mut self.init, pods::init_containers(spec)), (&mut self.apps, &spec.containers)];
                for (container, wanted) in lists.into_iter().flat_map(|(known, wanted)| known.iter_mut().zip(wanted)) {
                    if container.resources != wanted.resources {
                        changed = true;
                        container.resources.clone_from(&wanted.resources);
                        // Other resources are another past for its back-off (K29).
                        container.forget();
                    }
                }
                if changed {
                    told.push(EventRecord::normal(
                        None,
                        "ResizeStarted",
                        format!("Pod resize started: {}", asked(&pod)),
                    ));
                    told.push(EventRecord::normal(
                        None,
                        "ResizeCompleted",
                        format!("Pod resize completed: {}", asked(&pod)),
                    ));
                }
            }
            ResizeResult::Pending { reason, message } => {
                let known = before.is_some_and(|(_, known, words)| (known, &words) == (reason, &message));
                if !known {
                    let event = if reason == "Deferred" { "ResizeDeferred" } else { "ResizeInfeasible" };
                    told.push(EventRecord::warning(None, event, format!("Pod resize {reason}: {message}")));
                }
                self.unresized = Some(("PodResizePending", reason, message));
            }
            ResizeResult::Failed { message } => {
                if before.is_none_or(|(_, _, words)| words != message) {
                    told.push(EventRecord::warning(None, "ResizeError", format!("Pod resize error: {message}")));
                }
                self.unresized = Some(("PodResizeInProgress", "Error", message));
            }
        }
    }

    fn post_started(&mut self, attempt: Attempt, failed: Option<String>, now: Now, told: &mut Vec<Action>) {
        let by = now.mono + self.grace;
        let Some(container) = self.current(attempt) else { return };
        let Stage::PostStart { since, ended } = &mut container.stage else { return };
        let (since, ended) = (*since, ended.take());
        match (failed, ended) {
            (None, None) => container.runs(since),
            (None, Some(ended)) => container.is_over(ended),
            (Some(message), ended) => {
                told.push(EventRecord::warning(
                    attempt.container,
                    "FailedPostStartHook",
                    "PostStartHook failed".into(),
                ));
                let cut = TerminationCause::Start(WaitingReason { reason: "PostStartHookError".into(), message });
                let message = "FailedPostStartHook".to_string();
                match ended {
                    Some(ended) => {
                        told.push(EventRecord::normal(attempt.container, "Killing", message));
                        container.is_over(Terminated { cause: cut, ..ended });
                    }
                    None => {
                        let order = Order { by, floor: FLOOR, message, cut };
                        begin_stop(container, attempt.container, order, now, told);
                    }
                }
            }
        }
        self.restart_all(attempt, now);
    }

    fn probed(&mut self, attempt: Attempt, kind: ProbeKind, probed: &ProbeResult, now: Now, told: &mut Vec<Action>) {
        let Some(container) = self.current(attempt) else { return };
        let (at, word) = (attempt.container, kind.word());
        match probed {
            ProbeResult::Success => {}
            ProbeResult::Warning(text) => {
                told.push(EventRecord::warning(at, "ProbeWarning", format!("{word} probe warning: {text}")));
            }
            ProbeResult::Failure(text) => {
                told.push(EventRecord::warning(at, "Unhealthy", format!("{word} probe failed: {text}")));
            }
            ProbeResult::Error(text) => {
                let message = format!("{word} probe errored and resulted in unknown state: {text}");
                told.push(EventRecord::warning(at, "Unhealthy", message));
            }
        }
        if !container.probes.observe(kind, probed) {
            return;
        }
        if kind == ProbeKind::Readiness {
            told.push(Action::ReportStatus);
        }
        if kind == ProbeKind::Startup && container.has_started() {
            // That it has started is shown before anything follows from it.
            container.release = SidecarGate::Announced;
            container.probes.want_readiness(now.mono);
            told.extend([Action::ReportStatus, Action::WakeAt(now.mono)]);
        }
    }

    fn exited(&mut self, attempt: Attempt, outcome: ExitStatus, now: Now, told: &mut Vec<Action>) {
        let Some(container) = self.current(attempt) else { return };
        if matches!(&container.stage, Stage::Stopping { stop, .. } if stop.hook == Hook::Runs) {
            // It ended with its container.
            told.push(EventRecord::warning(attempt.container, "FailedPreStopHook", "PreStopHook failed".into()));
        }
        container.exited(outcome, now);
        self.restart_all(attempt, now);
    }

    /// Has all containers begin again where a rule says so of how `attempt` has ended (K53).
    fn restart_all(&mut self, attempt: Attempt, now: Now) {
        let by = now.mono + self.grace;
        let ended = |c: &mut Container| matches!(&c.stage, Stage::Exited(ended) if c.after(ended) == RestartDecision::RestartAll);
        if self.current(attempt).is_some_and(ended) && self.goes_on() {
            // The one that ended keeps its back-off, or a pod that always ends so would never rest.
            let others =
                self.with_places().filter(|(at, _)| *at != attempt.container && at.role != ContainerRole::Ephemeral);
            others.for_each(|(_, c)| c.replace(by));
        }
    }
}

/// The resources that a pod's containers ask for, as JSON.
fn asked(pod: &Pod) -> String {
    let spec = pod.spec.as_ref();
    let containers = spec.map(|spec| spec.containers.as_slice()).unwrap_or_default().iter();
    let containers: Vec<_> =
        containers.map(|c| serde_json::json!({ "name": c.name, "resources": c.resources })).collect();
    serde_json::json!({ "containers": containers, "generation": pod.metadata.generation }).to_string()
}
