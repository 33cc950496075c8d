//! Applies inputs to a pod's state: one method per input.

use k8s_openapi::api::core::v1::{Container as ContainerObject, Pod};

use super::action::{Action, EventRecord};
use super::container::{Container, SidecarGate};
use super::input::{Input, ResizeResult, Suspension};
use super::pace::{IMMEDIATE_GRACE_PERIOD, MAX_SANDBOX_RETRY, MIN_GRACE_PERIOD, MIN_SANDBOX_RETRY};
use super::pod::{PodFailure, PodState, ResizeCondition, SandboxState, SuspendedPod, seconds};
use super::policy::RestartDecision;
use super::probes::{ProbeKind, ProbeResult};
use super::stage::{ExitStatus, HookState, Stage, Terminated, TerminationCause, WaitingReason};
use super::stop::StopOrder;
use super::time::{MonoTime, Now};
use super::{Attempt, ContainerRef, ContainerRole};
use wasmpod_model::pods;

impl PodState {
    /// Applies `input` and returns the actions that only this input calls for, mostly events.
    pub(super) fn observe(&mut self, input: Input, now: Now) -> Vec<Action> {
        let mut actions = Vec::new();
        for container in self.containers.values_mut() {
            if container.sidecar_gate == SidecarGate::Announced {
                container.sidecar_gate = SidecarGate::Open;
            }
        }
        match input {
            Input::Tick => {}
            Input::PodUpdated(pod) => self.on_pod_updated(&pod, now),
            Input::SandboxReady { ip } => self.on_sandbox_ready(ip, now),
            Input::SandboxFailed { message } => self.on_sandbox_failed(message, now),
            Input::Started { attempt, container_id, image_id } => {
                self.on_started(attempt, container_id, image_id, now, &mut actions);
            }
            Input::StartFailed { attempt, waiting } => self.on_start_failed(attempt, waiting, now),
            Input::PostStartFinished { attempt, failure } => {
                self.on_post_start_finished(attempt, failure, now, &mut actions);
            }
            Input::PreStopFinished { attempt, failed } => self.on_pre_stop_finished(attempt, failed, &mut actions),
            Input::ProbeFinished { attempt, kind, result } => {
                self.on_probe_finished(attempt, kind, &result, now, &mut actions);
            }
            Input::CannotRun { attempt, container_id, image_id, outcome } => {
                if let Some(container) = self.containers.with_attempt(attempt) {
                    container.set_cannot_run(container_id, image_id, outcome, now);
                }
                self.apply_restart_all_rule(attempt, now);
            }
            Input::Exited { attempt, outcome } => self.on_exited(attempt, outcome, now, &mut actions),
            Input::Restart { container, grace } => {
                if self.is_active() {
                    self.replace(container, now.mono + grace);
                }
            }
            Input::Evicted { reason, message, grace, disrupts } => {
                if self.is_active() {
                    let deadline = now.mono + grace.unwrap_or(self.ending.grace);
                    self.ending.failure = Some(PodFailure { reason, message, deadline, disrupts });
                }
            }
            Input::Suspended(suspension) => self.on_suspended(suspension, now),
            Input::Resized(result) => self.on_resized(result, &mut actions),
            Input::Deleted { grace } => self.on_deleted(now.mono + grace, &mut actions),
            Input::SandboxRemoved => {
                if let SandboxState::TearingDown { forced } = self.sandbox {
                    self.sandbox = SandboxState::Down { reported: !forced };
                }
            }
        }
        actions
    }

    /// Applies the fields of the spec that may change.
    fn on_pod_updated(&mut self, pod: &Pod, now: Now) {
        let empty = Default::default();
        let spec = pod.spec.as_ref().unwrap_or(&empty);
        let deadline = now.mono + self.ending.grace;
        for (container, object) in self.with_objects(pod) {
            let image = object.image.as_deref().unwrap_or_default();
            if container.spec.image != image {
                container.spec.image = image.into();
                // A container that has finished does not run again for another image.
                if container.final_exit_code().is_none() {
                    container.replace(deadline);
                }
            }
        }
        if self.sandbox != SandboxState::Gone {
            let known = &mut self.containers.ephemeral;
            for object in spec.ephemeral_containers.iter().flatten() {
                if !known.iter().any(|container| container.spec.name == object.name) {
                    known.push(Container::ephemeral(object));
                }
            }
        }
        self.active.limit = seconds(spec.active_deadline_seconds);
    }

    /// Returns init and app containers with their objects in `pod`.
    fn with_objects<'a>(&'a mut self, pod: &'a Pod) -> impl Iterator<Item = (&'a mut Container, &'a ContainerObject)> {
        let spec = pod.spec.as_ref();
        let init = self.containers.init.iter_mut().zip(spec.map(pods::init_containers).unwrap_or_default());
        let apps = self.containers.apps.iter_mut();
        init.chain(apps.zip(spec.map(|spec| spec.containers.as_slice()).unwrap_or_default()))
    }

    fn on_sandbox_ready(&mut self, ip: String, now: Now) {
        if matches!(self.sandbox, SandboxState::SettingUp { .. }) {
            self.sandbox = SandboxState::Ready { since: now.mono };
            self.ip = Some(ip);
        }
    }

    fn on_sandbox_failed(&mut self, message: Option<String>, now: Now) {
        if let SandboxState::SettingUp { failures } = self.sandbox {
            let wait = MIN_SANDBOX_RETRY.saturating_mul(1 << failures.min(16)).min(MAX_SANDBOX_RETRY);
            self.sandbox = SandboxState::Failed { message, failures: failures + 1, retry_at: now.mono + wait };
        }
    }

    fn on_started(
        &mut self,
        attempt: Attempt,
        container_id: String,
        image_id: String,
        now: Now,
        actions: &mut Vec<Action>,
    ) {
        let Some(container) = self.containers.with_attempt(attempt) else { return };
        container.set_started(container_id, image_id, now);
        if matches!(container.stage, Stage::PostStart { .. }) {
            actions.push(Action::PostStart(attempt));
        }
    }

    fn on_start_failed(&mut self, attempt: Attempt, waiting: WaitingReason, now: Now) {
        let retry_at = self.start_retry_at(now.mono);
        if let Some(container) = self.containers.with_attempt(attempt) {
            container.set_start_failed(waiting, retry_at, now);
        }
    }

    fn on_post_start_finished(
        &mut self,
        attempt: Attempt,
        failure: Option<String>,
        now: Now,
        actions: &mut Vec<Action>,
    ) {
        let deadline = now.mono + self.ending.grace;
        let Some(container) = self.containers.with_attempt(attempt) else { return };
        let Stage::PostStart { since, exited } = &mut container.stage else { return };
        let (since, exited) = (*since, exited.take());
        match (failure, exited) {
            (None, None) => container.set_running(since),
            (None, Some(terminated)) => container.set_terminated(terminated),
            (Some(message), exited) => {
                let at = attempt.container;
                actions.push(EventRecord::warning(at, "FailedPostStartHook", "PostStartHook failed".into()));
                let waiting = WaitingReason { reason: "PostStartHookError".into(), message };
                let cause = TerminationCause::FailedStart(waiting);
                let message = "FailedPostStartHook".to_string();
                match exited {
                    Some(terminated) => {
                        actions.push(EventRecord::normal(at, "Killing", message));
                        container.set_terminated(Terminated { cause, ..terminated });
                    }
                    None => {
                        let min_grace = MIN_GRACE_PERIOD;
                        let order = StopOrder { deadline, min_grace, runs_hook: true, message, cause };
                        container.begin_stop(at, order, now, actions);
                    }
                }
            }
        }
        self.apply_restart_all_rule(attempt, now);
    }

    fn on_pre_stop_finished(&mut self, attempt: Attempt, failed: bool, actions: &mut Vec<Action>) {
        let Some(container) = self.containers.with_attempt(attempt) else { return };
        let Stage::Stopping { stop, .. } = &mut container.stage else { return };
        if failed && stop.hook == HookState::Running {
            actions.push(failed_pre_stop_hook(attempt.container));
        }
        stop.finish_hook();
    }

    fn on_probe_finished(
        &mut self,
        attempt: Attempt,
        kind: ProbeKind,
        result: &ProbeResult,
        now: Now,
        actions: &mut Vec<Action>,
    ) {
        let Some(container) = self.containers.with_attempt(attempt) else { return };
        actions.extend(probe_event(attempt.container, kind, result));
        if !container.probes.record(kind, result) {
            return;
        }
        if kind == ProbeKind::Readiness {
            actions.push(Action::ReportStatus);
        }
        if kind == ProbeKind::Startup && container.has_started() {
            // The status shows the start before anything follows from it.
            container.sidecar_gate = SidecarGate::Announced;
            container.probes.request_readiness(now.mono);
            actions.extend([Action::ReportStatus, Action::WakeAt(now.mono)]);
        }
    }

    fn on_exited(&mut self, attempt: Attempt, outcome: ExitStatus, now: Now, actions: &mut Vec<Action>) {
        let Some(container) = self.containers.with_attempt(attempt) else { return };
        if matches!(&container.stage, Stage::Stopping { stop, .. } if stop.hook == HookState::Running) {
            // The hook ended with its container.
            actions.push(failed_pre_stop_hook(attempt.container));
        }
        container.set_exited(outcome, now);
        self.apply_restart_all_rule(attempt, now);
    }

    /// Suspends an active pod. One that is ending or complete only gets less time.
    fn on_suspended(&mut self, suspension: Suspension, now: Now) {
        let (grace, runs_hooks) = match suspension {
            Suspension::Graceful { max_grace } => (self.ending.grace.min(max_grace), true),
            Suspension::Immediate => (IMMEDIATE_GRACE_PERIOD, false),
        };
        let deadline = now.mono + grace;
        if self.is_active() && !self.is_complete() {
            self.ending.suspension = Some(SuspendedPod { deadline, runs_hooks });
        } else {
            self.ending.shorten(deadline);
        }
    }

    fn on_deleted(&mut self, deadline: MonoTime, actions: &mut Vec<Action>) {
        let earlier = self.ending.deletion_deadline;
        if earlier.is_some_and(|earlier| deadline < earlier) {
            // A kubelet cancels the stops under way and begins them anew.
            for (at, container) in self.containers.iter().filter(|(_, c)| matches!(c.stage, Stage::Stopping { .. })) {
                let message = format!("Stopping container {}", container.spec.name);
                actions.push(EventRecord::normal(at, "Killing", message));
            }
        }
        self.ending.deletion_deadline = Some(earlier.map_or(deadline, |earlier| earlier.min(deadline)));
    }

    /// Applies the result of a resize, and records an event if it is new.
    fn on_resized(&mut self, result: ResizeResult, actions: &mut Vec<Action>) {
        let previous = self.resize.take();
        match result {
            ResizeResult::Done(pod) => self.apply_resize(&pod, actions),
            ResizeResult::Pending { reason, message } => {
                let is_known = previous.is_some_and(|p| (p.reason, &p.message) == (reason, &message));
                if !is_known {
                    let event = if reason == "Deferred" { "ResizeDeferred" } else { "ResizeInfeasible" };
                    actions.push(EventRecord::warning(None, event, format!("Pod resize {reason}: {message}")));
                }
                self.resize = Some(ResizeCondition { type_: "PodResizePending", reason, message });
            }
            ResizeResult::Failed { message } => {
                if previous.is_none_or(|p| p.message != message) {
                    actions.push(EventRecord::warning(None, "ResizeError", format!("Pod resize error: {message}")));
                }
                self.resize = Some(ResizeCondition { type_: "PodResizeInProgress", reason: "Error", message });
            }
        }
    }

    /// Applies the resources of `pod`.
    fn apply_resize(&mut self, pod: &Pod, actions: &mut Vec<Action>) {
        let mut has_changed = false;
        for (container, object) in self.with_objects(pod) {
            if container.spec.resources != object.resources {
                has_changed = true;
                container.spec.resources.clone_from(&object.resources);
                // Restarts with other resources do not count (K29).
                container.reset_backoff();
            }
        }
        if has_changed {
            let resources = resources_json(pod);
            let started = format!("Pod resize started: {resources}");
            actions.push(EventRecord::normal(None, "ResizeStarted", started));
            let completed = format!("Pod resize completed: {resources}");
            actions.push(EventRecord::normal(None, "ResizeCompleted", completed));
        }
    }

    /// Replaces the container at `at`, and with an init container all that come after it.
    fn replace(&mut self, at: ContainerRef, deadline: MonoTime) {
        let (init, apps) = (&mut self.containers.init, &mut self.containers.apps);
        match at.role {
            ContainerRole::App => apps.get_mut(at.index).into_iter().for_each(|c| c.replace(deadline)),
            ContainerRole::Init => init.iter_mut().skip(at.index).chain(apps).for_each(|c| c.replace(deadline)),
            // Ephemeral containers never restart.
            ContainerRole::Ephemeral => {}
        }
    }

    /// Restarts all containers if a restart rule says so for the exit of `attempt` (K53).
    fn apply_restart_all_rule(&mut self, attempt: Attempt, now: Now) {
        let deadline = now.mono + self.ending.grace;
        let restarts_all = |c: &mut Container| matches!(&c.stage, Stage::Exited(last) if c.restart_decision(last) == RestartDecision::RestartAll);
        if self.containers.with_attempt(attempt).is_some_and(restarts_all) && self.is_active() {
            // The container that exited keeps its back-off, or a pod whose container always exits so would never pause.
            let others = self.containers.iter_mut().filter(|(at, _)| *at != attempt.container);
            others.filter(|(at, _)| at.role != ContainerRole::Ephemeral).for_each(|(_, c)| c.replace(deadline));
        }
    }
}

fn failed_pre_stop_hook(container: ContainerRef) -> Action {
    EventRecord::warning(container, "FailedPreStopHook", "PreStopHook failed".into())
}

/// Returns the event about a probe's result, if it is not a plain success.
fn probe_event(container: ContainerRef, kind: ProbeKind, result: &ProbeResult) -> Option<Action> {
    let kind = kind.name();
    let (reason, message) = match result {
        ProbeResult::Success => return None,
        ProbeResult::Warning(text) => ("ProbeWarning", format!("{kind} probe warning: {text}")),
        ProbeResult::Failure(text) => ("Unhealthy", format!("{kind} probe failed: {text}")),
        ProbeResult::Error(text) => {
            ("Unhealthy", format!("{kind} probe errored and resulted in unknown state: {text}"))
        }
    };
    Some(EventRecord::warning(container, reason, message))
}

/// Returns the resources of a pod's containers as JSON, as a kubelet writes them into events.
fn resources_json(pod: &Pod) -> String {
    let spec = pod.spec.as_ref();
    let containers = spec.map(|spec| spec.containers.as_slice()).unwrap_or_default().iter();
    let containers: Vec<_> =
        containers.map(|c| serde_json::json!({ "name": c.name, "resources": c.resources })).collect();
    serde_json::json!({ "containers": containers, "generation": pod.metadata.generation }).to_string()
}
