//! A pod: everything that decides what it does next, and that decision.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use super::container::{Container, RESYNC, SidecarGate};
use super::input::{Action, EventRecord, Input};
use super::policy::{ContainerKind, RestartDecision, RestartPolicy};
use super::probes::NextProbe;
use super::stage::{Shown, Stage, WaitingReason};
use super::stop::{begin_stop, order};
use super::{Attempt, ContainerRef, ContainerRole, Now};
use wasmpod_model::pods;

/// What the containers share.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Sandbox {
    Missing,
    SettingUp {
        /// Times in a row that it could not be made before.
        failures: u32,
    },
    Failed {
        message: Option<String>,
        failures: u32,
        retry_at: Duration,
    },
    Ready {
        since: Duration,
    },
    /// Nothing runs any more. `cut` where something was brought to its end for that.
    TearingDown {
        cut: bool,
    },
    /// Given back; what the pod came to is told next.
    Down {
        told: bool,
    },
    /// Told; nothing starts any more.
    Gone,
}

/// A deletion under way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Deletion {
    pub(super) by: Duration,
}

/// Why the node ends the pod, which fails for it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Failing {
    pub(super) reason: String,
    pub(super) message: String,
    pub(super) by: Duration,
    pub(super) disrupts: bool,
}

/// The reason of a pod that ran for too long (K70).
pub(super) const DEADLINE: &str = "DeadlineExceeded";
const DEADLINE_MESSAGE: &str = "Pod was active on the node longer than the specified deadline";

/// Everything that decides what a pod does next.
#[derive(Debug, Clone, PartialEq)]
pub struct PodState {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) uid: String,
    pub(super) init: Vec<Container>,
    pub(super) apps: Vec<Container>,
    pub(super) ephemeral: Vec<Container>,
    pub(super) sandbox: Sandbox,
    pub(super) ip: Option<String>,
    pub(super) started_at: Option<Timestamp>,
    /// When it began, for intervals.
    pub(super) begun: Option<Duration>,
    /// How long it may be active.
    pub(super) active: Option<Duration>,
    /// How long it was active before that begin, as far as its stored status tells.
    pub(super) was_active: Duration,
    /// How long its containers may take to end.
    pub(super) grace: Duration,
    pub(super) deletion: Option<Deletion>,
    pub(super) failing: Option<Failing>,
    /// When sidecars have to have ended, since what they served has run its course.
    pub(super) rest_by: Option<Duration>,
    /// Why it has not the resources that it asks for: the condition's type, reason and message.
    pub(super) unresized: Option<(&'static str, &'static str, String)>,
    /// How much of a period its probes come earlier, in 1/256.
    pub(super) probe_part: u8,
}

/// An end is shown for so long before the wait that follows it: a kubelet looks once a second (K34).
const END_SHOWN: Duration = Duration::from_secs(1);
/// A pod that has just got its network and volumes is looked at again after so long, as by a kubelet; so is one
/// of which a container was killed.
pub(super) const SECOND_LOOK: Duration = Duration::from_secs(1);

impl PodState {
    /// A pod that has not begun.
    pub fn new(pod: &Pod) -> PodState {
        let spec = pod.spec.clone().unwrap_or_default();
        let policy = RestartPolicy::named(spec.restart_policy.as_deref());
        let seconds = |s: Option<i64>| s.and_then(|s| u64::try_from(s).ok()).map(Duration::from_secs);
        PodState {
            name: pods::name(pod).into(),
            namespace: pods::namespace(pod).into(),
            uid: pods::uid(pod).into(),
            init: pods::init_containers(&spec).iter().map(|c| Container::new(c, ContainerRole::Init, policy)).collect(),
            apps: spec.containers.iter().map(|c| Container::new(c, ContainerRole::App, policy)).collect(),
            ephemeral: spec.ephemeral_containers.iter().flatten().map(Container::ephemeral).collect(),
            sandbox: Sandbox::Missing,
            ip: None,
            started_at: None,
            begun: None,
            active: seconds(spec.active_deadline_seconds),
            was_active: Duration::ZERO,
            grace: seconds(spec.termination_grace_period_seconds).unwrap_or(Duration::from_secs(30)),
            deletion: None,
            failing: None,
            rest_by: None,
            unresized: None,
            probe_part: 0,
        }
    }

    /// The same with probes that come `part` (in 1/256) of their periods earlier, so that pods which
    /// begin together are not probed together for ever.
    #[must_use]
    pub fn with_probes_earlier(self, part: u8) -> PodState {
        PodState { probe_part: part, ..self }
    }

    /// The same with containers that wait for no restart longer than `most` (K32).
    #[must_use]
    pub fn with_waits_up_to(mut self, most: Duration) -> PodState {
        self.with_places().for_each(|(_, container)| container.backoff = container.backoff.up_to(most));
        self
    }

    /// Takes a fact in and says what follows from everything that is known.
    pub fn step(&mut self, event: Input, now: Now) -> Vec<Action> {
        let mut actions = self.observe(event, now);
        self.decide(now, &mut actions);
        actions
    }

    /// [`PodState::step`], and whether the status may be another than before. Of most steps of a pod that
    /// is probed it is known that they change nothing, so that nobody has to make a status to find out.
    pub fn step_with_news(&mut self, event: Input, now: Now) -> (Vec<Action>, bool) {
        let steady = matches!(event, Input::Tick | Input::ProbeFinished { .. }) && self.is_steady();
        let actions = self.step(event, now);
        let shows = |action: &Action| !matches!(action, Action::WakeAt(_) | Action::Probe(..));
        let news = !steady || !self.is_steady() || actions.iter().any(shows);
        (actions, news)
    }

    /// Whether the pod has run its course: nothing will start any more.
    pub fn is_over(&self) -> bool {
        self.sandbox == Sandbox::Gone
    }

    /// Whether what there is to show stays as it is while time passes: all containers run or have run their
    /// course, and nothing waits to be told.
    fn is_steady(&self) -> bool {
        let rests = |c: &Container| matches!(c.stage, Stage::Running { .. }) || c.finished().is_some();
        let steady = |c: &Container| rests(c) && c.release != SidecarGate::Announced;
        matches!(self.sandbox, Sandbox::Ready { .. }) && self.containers().all(steady)
    }

    /// Whether the node ends the pod.
    pub fn is_failing(&self) -> bool {
        self.failing.is_some()
    }

    /// How often container `name` was restarted.
    pub fn restarts(&self, name: &str) -> u32 {
        self.containers().find(|c| c.name == name).map_or(0, |c| c.restarts)
    }

    /// The containers that run and that nobody has asked to end.
    pub fn unasked(&self) -> impl Iterator<Item = ContainerRef> {
        let places = |role, all: &[Container]| -> Vec<ContainerRef> {
            let unasked = |c: &Container| c.is_live() && !matches!(c.stage, Stage::Stopping { .. });
            let live = all.iter().enumerate().filter(|(_, c)| unasked(c));
            live.map(|(index, _)| ContainerRef { role, index }).collect()
        };
        let init = places(ContainerRole::Init, &self.init);
        init.into_iter()
            .chain(places(ContainerRole::App, &self.apps))
            .chain(places(ContainerRole::Ephemeral, &self.ephemeral))
    }

    pub(super) fn containers(&self) -> impl Iterator<Item = &Container> {
        self.init.iter().chain(&self.apps).chain(&self.ephemeral)
    }

    pub(super) fn with_places(&mut self) -> impl Iterator<Item = (ContainerRef, &mut Container)> {
        let place = |role| move |(index, c)| (ContainerRef { role, index }, c);
        let init = self.init.iter_mut().enumerate().map(place(ContainerRole::Init));
        let apps = self.apps.iter_mut().enumerate().map(place(ContainerRole::App));
        init.chain(apps).chain(self.ephemeral.iter_mut().enumerate().map(place(ContainerRole::Ephemeral)))
    }

    /// The pod as messages name it: `name_namespace(uid)`.
    pub(super) fn place(&self) -> String {
        format!("{}_{}({})", self.name, self.namespace, self.uid)
    }

    /// When a start that failed `now` is tried again.
    pub(super) fn again(&self, now: Duration) -> Duration {
        match self.sandbox {
            Sandbox::Ready { since } if now < since + SECOND_LOOK => since + SECOND_LOOK,
            _ => now + RESYNC,
        }
    }

    fn decide(&mut self, now: Now, actions: &mut Vec<Action>) {
        match self.sandbox {
            Sandbox::Gone => return actions.extend(self.deletion.map(|_| Action::RemovePod)),
            Sandbox::TearingDown { .. } => return,
            Sandbox::Down { told } => return self.come_to_rest(told, now, actions),
            Sandbox::Missing | Sandbox::SettingUp { .. } | Sandbox::Failed { .. } | Sandbox::Ready { .. } => {}
        }
        if self.begun.is_none() {
            self.begun = Some(now.mono);
            self.started_at.get_or_insert(now.wall);
            actions.push(Action::ReportStatus);
        }
        let part = self.probe_part;
        self.with_places().for_each(|(_, c)| c.probes.begin(now.mono, part));
        self.keep_the_deadline(now, actions);
        let ending = self.ending(now);
        let held = ending.is_none() && self.is_held();
        self.stop(ending, held, now, actions);
        match ending {
            Some(_) => self.end(actions),
            None if held => {}
            None => self.go_on(now, actions),
        }
        self.probe(now, actions);
    }

    fn keep_the_deadline(&mut self, now: Now, actions: &mut Vec<Action>) {
        let left = self.active.map(|active| active.saturating_sub(self.was_active));
        let Some(deadline) = self.begun.zip(left).map(|(begun, left)| begun + left) else { return };
        if self.failing.is_some() || self.deletion.is_some() || self.has_run_its_course() {
            return;
        }
        if now.mono < deadline {
            return actions.push(Action::WakeAt(deadline));
        }
        let (reason, message) = (DEADLINE.to_string(), DEADLINE_MESSAGE.to_string());
        self.failing = Some(Failing { reason, message, by: now.mono + self.grace, disrupts: false });
        self.tell_deadline(actions);
        actions.push(Action::ReportStatus);
    }

    /// A kubelet says it again at every look at a pod whose time is over.
    fn tell_deadline(&self, actions: &mut Vec<Action>) {
        if self.failing.as_ref().is_some_and(|failing| failing.reason == DEADLINE) {
            actions.push(EventRecord::normal(None, DEADLINE, DEADLINE_MESSAGE.into()));
        }
    }

    /// When everything has to have ended, if the pod is at its end.
    fn ending(&mut self, now: Now) -> Option<Duration> {
        let deletion = self.deletion.map(|deletion| deletion.by);
        let failing = self.failing.as_ref().map(|failing| failing.by);
        let rest = self.has_run_its_course().then(|| self.rest_by.unwrap_or(now.mono + self.grace));
        self.rest_by = rest;
        deletion.into_iter().chain(failing).chain(rest).min()
    }

    /// Whether no container but sidecars runs or will run again (K4–K6, K50). The last one that has failed a probe
    /// for good ends as the pod does, as in a kubelet.
    pub(super) fn has_run_its_course(&self) -> bool {
        let failed = |c: &Container| c.kind() == ContainerKind::Init && c.finished().is_some_and(|code| code != 0);
        let over = |c: &Container| c.finished().is_some() || c.has_failed_for_good();
        self.init.iter().any(failed) || (!self.apps.is_empty() && self.apps.iter().all(over))
    }

    /// Whether a postStart hook runs, or what it failed for is being ended: a kubelet does nothing else meanwhile.
    fn is_held(&self) -> bool {
        let holds = |c: &Container| matches!(c.stage, Stage::PostStart { .. } | Stage::Stopping { shown: false, .. });
        self.containers().any(holds)
    }

    /// Brings to their end whatever has to end: everything by `ending`, or what makes way for its
    /// next attempt.
    fn stop(&mut self, ending: Option<Duration>, held: bool, now: Now, actions: &mut Vec<Action>) {
        let grace = self.grace;
        let served = self.containers().any(|c| c.kind() != ContainerKind::Sidecar && c.is_live());
        let last_sidecar = self.init.iter().rposition(|c| c.kind() == ContainerKind::Sidecar && c.is_live());
        for (at, container) in self.with_places() {
            if let Some(order) = order(container, ending, grace, now).filter(|_| !held) {
                if ending.is_some() && matches!(container.stage, Stage::PostStart { ended: None, .. }) {
                    // Its hook is broken off, and what follows on that is told before it is left alone.
                    actions.push(EventRecord::warning(at, "FailedPostStartHook", "PostStartHook failed".into()));
                    actions.push(EventRecord::normal(at, "Killing", "FailedPostStartHook".into()));
                }
                begin_stop(container, at, order, now, actions);
            }
            let attempt = Attempt { container: at, number: container.attempt };
            let serves = ending.is_some() && container.kind() == ContainerKind::Sidecar;
            let turn = !serves || (!served && last_sidecar == Some(at.index));
            if let Stage::Stopping { stop, .. } = &mut container.stage {
                stop.drive(attempt, turn, now.mono, actions);
            }
        }
    }

    /// Gives everything back once nothing lives.
    fn end(&mut self, actions: &mut Vec<Action>) {
        if self.containers().any(Container::is_live) || matches!(self.sandbox, Sandbox::SettingUp { .. }) {
            return;
        }
        let cut = self.deletion.is_some() || self.failing.is_some() || self.has_sidecars();
        if !cut {
            // What ended by itself is shown before the network goes.
            actions.push(Action::ReportStatus);
        }
        self.tell_deadline(actions);
        self.sandbox = Sandbox::TearingDown { cut };
        actions.push(Action::TearDownSandbox);
    }

    fn has_sidecars(&self) -> bool {
        self.init.iter().any(|c| c.kind() == ContainerKind::Sidecar)
    }

    /// Shows that network and volumes are gone, then what the pod came to.
    fn come_to_rest(&mut self, told: bool, now: Now, actions: &mut Vec<Action>) {
        self.tell_deadline(actions);
        if told {
            self.sandbox = Sandbox::Gone;
            actions.extend(self.deletion.map(|_| Action::RemovePod));
        } else {
            self.sandbox = Sandbox::Down { told: true };
            actions.extend([Action::ReportStatus, Action::WakeAt(now.mono)]);
        }
    }

    /// Runs what may run.
    fn go_on(&mut self, now: Now, actions: &mut Vec<Action>) {
        match self.sandbox {
            Sandbox::Missing => {
                self.sandbox = Sandbox::SettingUp { failures: 0 };
                actions.push(Action::SetUpSandbox);
            }
            Sandbox::Failed { retry_at, failures, .. } if now.mono >= retry_at => {
                self.sandbox = Sandbox::SettingUp { failures };
                actions.push(Action::SetUpSandbox);
            }
            Sandbox::Failed { retry_at, .. } => actions.push(Action::WakeAt(retry_at)),
            Sandbox::Ready { .. } => self.advance(now, actions),
            Sandbox::SettingUp { .. } | Sandbox::TearingDown { .. } | Sandbox::Down { .. } | Sandbox::Gone => {}
        }
    }

    /// In the order of K41: ephemeral containers, the init containers whose turn it is, the apps.
    fn advance(&mut self, now: Now, actions: &mut Vec<Action>) {
        let place = self.place();
        for (index, container) in self.ephemeral.iter_mut().enumerate() {
            advance(container, ContainerRef { role: ContainerRole::Ephemeral, index }, &place, now, actions);
        }
        for index in 0..self.init.len() {
            // An init container that runs again waits until all that came after it have ended.
            let held = self.init.iter().skip(index + 1).chain(&self.apps).any(Container::is_live);
            // What has begun behind a sidecar does not wait for it again; but when no app lives, all wait for the last.
            let begun = self.init.iter().skip(index + 1).any(|c| c.attempt > 0) || held;
            let Some(container) = self.init.get_mut(index) else { return };
            let at = ContainerRef { role: ContainerRole::Init, index };
            let done = if container.kind() == ContainerKind::Sidecar {
                advance(container, at, &place, now, actions);
                container.release == SidecarGate::Open && (begun || container.has_started())
            } else {
                let succeeded = matches!(&container.stage, Stage::Exited(ended) if ended.code == 0);
                if !succeeded && !held {
                    advance(container, at, &place, now, actions);
                }
                succeeded
            };
            if !done {
                return;
            }
        }
        // All have their first attempt before one has its second.
        let first = self.apps.iter().any(|c| c.attempt == 0);
        for (index, container) in self.apps.iter_mut().enumerate() {
            if first && container.attempt > 0 && !container.is_live() {
                continue;
            }
            advance(container, ContainerRef { role: ContainerRole::App, index }, &place, now, actions);
            // One that starts holds up those behind it, as in a kubelet.
            if container.stage == Stage::Starting {
                return;
            }
        }
    }

    fn probe(&mut self, now: Now, actions: &mut Vec<Action>) {
        for (at, container) in self.with_places() {
            let Some(since) = container.running() else { continue };
            let attempt = Attempt { container: at, number: container.attempt };
            let stopping = matches!(container.stage, Stage::Stopping { .. });
            for (kind, due) in container.probes.due(since.mono, stopping, now.mono) {
                match due {
                    NextProbe::Now => actions.push(Action::Probe(attempt, kind)),
                    NextProbe::At(at) => actions.push(Action::WakeAt(at)),
                    NextProbe::Never => {}
                }
            }
        }
    }
}

/// Starts a container that is due, or says when it will be.
fn advance(container: &mut Container, at: ContainerRef, pod: &str, now: Now, actions: &mut Vec<Action>) {
    let back_off = |name: &str| {
        EventRecord::warning(at, "BackOff", format!("Back-off restarting failed container {name} in pod {pod}"))
    };
    if let Stage::Exited(ended) = &container.stage {
        let delay = container.delay(ended, now.mono);
        if container.after(ended) == RestartDecision::Nothing {
            return;
        }
        if now.mono < ended.finished + delay {
            let shown = Shown { waits: false, tell_at: now.mono + RESYNC };
            container.stage = Stage::BackOff { ended: ended.clone(), delay, shown };
            actions.push(back_off(&container.name));
        }
    }
    let due = match &mut container.stage {
        Stage::Starting | Stage::PostStart { .. } | Stage::Running { .. } | Stage::Stopping { .. } => return,
        Stage::Waiting { trouble: None } | Stage::RestartPending(_) | Stage::Exited(_) => now.mono,
        Stage::Waiting { trouble: Some((_, again)) } if now.mono < *again => *again,
        Stage::Waiting { trouble: Some((trouble, again)) } => match container.image_backoff.until(now.mono) {
            Some(until) => {
                let words = format!("Back-off pulling image {:?}", container.image);
                actions.push(EventRecord::normal(at, "BackOff", words.clone()));
                actions.push(EventRecord::warning(at, "Failed", "Error: ImagePullBackOff".into()));
                if trouble.reason != "ImagePullBackOff" {
                    let message = format!("{words}: {}: {}", trouble.reason, trouble.message);
                    *trouble = WaitingReason { reason: "ImagePullBackOff".into(), message };
                }
                *again = until.min(now.mono + RESYNC);
                *again
            }
            None => now.mono,
        },
        Stage::BackOff { ended, delay, shown } => {
            let (due, wait) = (ended.finished + *delay, ended.finished + END_SHOWN);
            shown.waits = now.mono >= wait;
            if now.mono < due && now.mono >= shown.tell_at {
                shown.tell_at = now.mono + RESYNC;
                actions.push(back_off(&container.name));
            }
            if now.mono < due {
                let next = if shown.waits { shown.tell_at } else { wait };
                return actions.push(Action::WakeAt(due.min(next)));
            }
            due
        }
    };
    if now.mono < due {
        return actions.push(Action::WakeAt(due));
    }
    let number = container.begin(now);
    actions.push(Action::Start(Attempt { container: at, number }));
}
