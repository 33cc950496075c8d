//! What a pod needs next, decided from its whole state.

use super::action::{Action, EventRecord};
use super::container::{Container, SidecarGate};
use super::pod::{DEADLINE_EXCEEDED, PodFailure, PodState, SandboxState};
use super::policy::ContainerKind;
use super::probes::NextProbe;
use super::stage::{Stage, TerminationCause};
use super::time::{MonoTime, Now};
use super::{ContainerRef, ContainerRole};

const DEADLINE_MESSAGE: &str = "Pod was active on the node longer than the specified deadline";

impl PodState {
    /// Appends the actions that the pod needs now.
    pub(super) fn reconcile(&mut self, now: Now, actions: &mut Vec<Action>) {
        match self.sandbox {
            SandboxState::Gone => return self.remove_if_deleted(actions),
            SandboxState::TearingDown { .. } => return,
            SandboxState::Down { reported } => return self.finish(reported, now, actions),
            SandboxState::Missing
            | SandboxState::SettingUp { .. }
            | SandboxState::Failed { .. }
            | SandboxState::Ready { .. } => {}
        }
        if self.active.started.is_none() {
            self.active.started = Some(now.mono);
            self.started_at.get_or_insert(now.wall);
            actions.push(Action::ReportStatus);
        }
        let stagger = self.probe_stagger;
        self.containers.values_mut().for_each(|c| c.probes.start_ticking(now.mono, stagger));
        self.enforce_active_deadline(now, actions);
        self.update_sidecar_deadline(now);
        let deadline = self.ending.deadline();
        let is_blocked = deadline.is_none() && self.is_blocked_by_hook();
        self.stop_containers(deadline, is_blocked, now, actions);
        match deadline {
            Some(_) => self.tear_down(actions),
            None if is_blocked => {}
            None => self.reconcile_sandbox(now, actions),
        }
        self.probe_containers(now, actions);
    }

    /// Fails the pod once it exceeds its active deadline.
    fn enforce_active_deadline(&mut self, now: Now, actions: &mut Vec<Action>) {
        let Some(deadline) = self.active.deadline() else { return };
        if !self.is_active() || self.is_complete() {
            return;
        }
        if now.mono < deadline {
            return actions.push(Action::WakeAt(deadline));
        }
        self.ending.failure = Some(PodFailure {
            reason: DEADLINE_EXCEEDED.into(),
            message: DEADLINE_MESSAGE.into(),
            deadline: now.mono + self.ending.grace,
            disrupts: false,
        });
        self.record_deadline_exceeded(actions);
        actions.push(Action::ReportStatus);
    }

    /// Records the event about the active deadline, if the pod exceeded it. A kubelet repeats the event in each sync.
    fn record_deadline_exceeded(&self, actions: &mut Vec<Action>) {
        if self.has_exceeded_deadline() {
            actions.push(EventRecord::normal(None, DEADLINE_EXCEEDED, DEADLINE_MESSAGE.into()));
        }
    }

    /// Sets the deadline of sidecars when the containers that they serve become complete.
    fn update_sidecar_deadline(&mut self, now: Now) {
        let grace_end = now.mono + self.ending.grace;
        let known = self.ending.sidecar_deadline;
        self.ending.sidecar_deadline = self.is_complete().then(|| known.unwrap_or(grace_end));
    }

    /// Returns whether a postStart hook runs, or a container is being stopped because its hook failed. A kubelet syncs
    /// nothing else meanwhile.
    fn is_blocked_by_hook(&self) -> bool {
        let blocks =
            |c: &Container| matches!(c.stage, Stage::PostStart { .. } | Stage::Stopping { published: false, .. });
        self.containers.values().any(blocks)
    }

    /// Stops the containers that must exit: all of them if the pod has a `deadline`, otherwise those that are replaced
    /// or have failed a probe.
    fn stop_containers(&mut self, deadline: Option<MonoTime>, is_blocked: bool, now: Now, actions: &mut Vec<Action>) {
        let any_served_live = self.containers.values().any(|c| c.kind() != ContainerKind::Sidecar && c.is_live());
        let last_sidecar = self.containers.init.iter().rposition(|c| c.kind() == ContainerKind::Sidecar && c.is_live());
        for (at, container) in self.containers.iter_mut() {
            if let Some(order) = container.stop_order(&self.ending, now).filter(|_| !is_blocked) {
                if deadline.is_some() && matches!(container.stage, Stage::PostStart { exited: None, .. }) {
                    // The end of the pod cancels the hook, and a kubelet then reports it as failed.
                    actions.push(EventRecord::warning(at, "FailedPostStartHook", "PostStartHook failed".into()));
                    actions.push(EventRecord::normal(at, "Killing", "FailedPostStartHook".into()));
                }
                container.begin_stop(at, order, now, actions);
            }
            let attempt = container.current_attempt(at);
            let awaits_turn = deadline.is_some() && container.kind() == ContainerKind::Sidecar;
            let is_turn = !awaits_turn || (!any_served_live && last_sidecar == Some(at.index));
            if let Stage::Stopping { stop, .. } = &mut container.stage {
                stop.reconcile(attempt, is_turn, now.mono, actions);
            }
        }
    }

    /// Tears the sandbox down once no container is live.
    fn tear_down(&mut self, actions: &mut Vec<Action>) {
        if self.containers.values().any(Container::is_live) || matches!(self.sandbox, SandboxState::SettingUp { .. }) {
            return;
        }
        let ending = &self.ending;
        let forced = ending.deletion_deadline.is_some()
            || ending.failure.is_some()
            || ending.suspension.is_some()
            || self.containers.has_sidecars()
            || self.last_exit_followed_a_failed_probe();
        if !forced {
            // The status shows containers that exited on their own before the network goes.
            actions.push(Action::ReportStatus);
        }
        self.record_deadline_exceeded(actions);
        self.sandbox = SandboxState::TearingDown { forced };
        actions.push(Action::TearDownSandbox);
    }

    /// Returns whether the last container to exit was stopped for a failed probe. A kubelet stops the sandbox with it.
    fn last_exit_followed_a_failed_probe(&self) -> bool {
        let last =
            self.containers.values().filter_map(Container::last_termination).max_by_key(|last| last.finished_mono);
        last.is_some_and(|last| matches!(last.cause, TerminationCause::FailedProbe { .. }))
    }

    /// Reports that network and volumes are released, then finishes the pod.
    fn finish(&mut self, reported: bool, now: Now, actions: &mut Vec<Action>) {
        self.record_deadline_exceeded(actions);
        if reported {
            self.sandbox = SandboxState::Gone;
            self.remove_if_deleted(actions);
        } else {
            self.sandbox = SandboxState::Down { reported: true };
            actions.extend([Action::ReportStatus, Action::WakeAt(now.mono)]);
        }
    }

    fn remove_if_deleted(&self, actions: &mut Vec<Action>) {
        actions.extend(self.ending.deletion_deadline.map(|_| Action::RemovePod));
    }

    /// Sets up the sandbox, and starts the containers once it is ready.
    fn reconcile_sandbox(&mut self, now: Now, actions: &mut Vec<Action>) {
        match self.sandbox {
            SandboxState::Missing => {
                self.sandbox = SandboxState::SettingUp { failures: 0 };
                actions.push(Action::SetUpSandbox);
            }
            SandboxState::Failed { retry_at, failures, .. } if now.mono >= retry_at => {
                self.sandbox = SandboxState::SettingUp { failures };
                actions.push(Action::SetUpSandbox);
            }
            SandboxState::Failed { retry_at, .. } => actions.push(Action::WakeAt(retry_at)),
            SandboxState::Ready { .. } => self.start_containers(now, actions),
            SandboxState::SettingUp { .. }
            | SandboxState::TearingDown { .. }
            | SandboxState::Down { .. }
            | SandboxState::Gone => {}
        }
    }

    /// Starts the containers that may start, in a kubelet's order (K41): ephemeral containers, the init containers
    /// whose turn it is, the app containers.
    fn start_containers(&mut self, now: Now, actions: &mut Vec<Action>) {
        for (index, container) in self.containers.ephemeral.iter_mut().enumerate() {
            container.start_if_due(ContainerRef { role: ContainerRole::Ephemeral, index }, &self.id, now, actions);
        }
        let count = self.containers.init.len();
        if (0..count).all(|index| self.start_init(index, now, actions)) {
            self.start_apps(now, actions);
        }
    }

    /// Starts init container `index` if it may start. Returns whether the containers after it may.
    fn start_init(&mut self, index: usize, now: Now, actions: &mut Vec<Action>) -> bool {
        let (init, apps) = (&self.containers.init, &self.containers.apps);
        let later = init.get(index + 1..).unwrap_or_default();
        // An init container that runs again waits until all containers after it have exited.
        let is_blocked = later.iter().chain(apps).any(Container::is_live);
        // Init containers that have begun do not wait for an earlier sidecar again, unless no app container is live.
        let later_has_begun = later.iter().any(|c| c.attempt.number > 0) || is_blocked;
        let Some(container) = self.containers.init.get_mut(index) else { return false };
        let at = ContainerRef { role: ContainerRole::Init, index };
        if container.kind() == ContainerKind::Sidecar {
            container.start_if_due(at, &self.id, now, actions);
            return container.sidecar_gate == SidecarGate::Open && (later_has_begun || container.has_started());
        }
        let has_succeeded = matches!(&container.stage, Stage::Exited(last) if last.code == 0);
        if !has_succeeded && !is_blocked {
            container.start_if_due(at, &self.id, now, actions);
        }
        has_succeeded
    }

    /// Starts the app containers. All have their first attempt before any has its second.
    fn start_apps(&mut self, now: Now, actions: &mut Vec<Action>) {
        let any_unstarted = self.containers.apps.iter().any(|c| c.attempt.number == 0);
        for (index, container) in self.containers.apps.iter_mut().enumerate() {
            if any_unstarted && container.attempt.number > 0 && !container.is_live() {
                continue;
            }
            container.start_if_due(ContainerRef { role: ContainerRole::App, index }, &self.id, now, actions);
            // The containers after it wait until it has started, as in a kubelet.
            if container.stage == Stage::Starting {
                return;
            }
        }
    }

    fn probe_containers(&mut self, now: Now, actions: &mut Vec<Action>) {
        for (at, container) in self.containers.iter_mut() {
            let Some(since) = container.running_since() else { continue };
            let attempt = container.current_attempt(at);
            let is_stopping = matches!(container.stage, Stage::Stopping { .. });
            for (kind, next) in container.probes.poll(since.mono, is_stopping, now.mono) {
                match next {
                    NextProbe::Now => actions.push(Action::Probe(attempt, kind)),
                    NextProbe::At(at) => actions.push(Action::WakeAt(at)),
                    NextProbe::Never => {}
                }
            }
        }
    }
}
