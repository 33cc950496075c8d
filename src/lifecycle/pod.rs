//! A pod: facts in, actions out.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use super::container::{Container, Stage, Trouble};
use super::phase::{self, Phase};
use super::{Attempt, ContainerRef, Now, RestartPolicy, Role};
use crate::model::pods;

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Time has passed, or somebody wants to know.
    Tick,
    /// The pod's network and volumes are there.
    SetUp {
        /// The pod's address, as `status.podIP` shows it.
        ip: String,
    },
    /// They are not; tried again.
    SetUpFailed {
        /// Why not, as waiting containers show it.
        message: String,
    },
    /// The attempt has begun.
    Started {
        /// Which; dropped if it is not the current one.
        attempt: Attempt,
        /// The ID that the status shows (`wasmpod://…`).
        container_id: String,
        /// The image's ID that the status shows.
        image_id: String,
    },
    /// The attempt could not begin; the container is tried again later.
    StartFailed {
        /// Which; dropped if it is not the current one.
        attempt: Attempt,
        /// Why not.
        trouble: Trouble,
    },
    /// The attempt is over, whether its program ran or could not.
    Exited {
        /// Which; dropped if it is not the current one.
        attempt: Attempt,
        /// The exit code that Kubernetes shows: 128 + n for signal n.
        code: i32,
        /// The reason that goes with it: `Completed`, `Error`, …
        reason: String,
        /// What there is to say beside code and reason.
        message: Option<String>,
    },
    /// What a container runs is outdated: it is to begin again at once, whatever policy and back-off
    /// say. An init container takes with it all that come after it.
    Restart {
        /// Which.
        container: ContainerRef,
        /// How long from now what runs may take to end; then it is killed.
        grace: Duration,
    },
    /// Somebody deletes the pod; a later one may only shorten the time.
    Deleted {
        /// How long from now; what still runs then is killed.
        grace: Duration,
    },
}

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Make the pod's network and volumes.
    SetUp,
    /// Begin this attempt.
    Start(Attempt),
    /// Ask the attempt to end; a kill follows when its time is up.
    AskToExit(Attempt),
    /// End the attempt wherever it is.
    Kill(Attempt),
    /// Come back at this monotonic time, or before.
    WakeAt(Duration),
    /// Nothing will run any more: give network and volumes back.
    TearDown,
    /// Everything is over and reported: remove the object for good.
    Remove,
}

/// What the containers share.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Sandbox {
    Missing,
    SettingUp,
    Failed {
        message: String,
        retry_at: Duration,
    },
    Ready,
    /// Given back; nothing starts any more.
    Gone,
}

/// A deletion under way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Deletion {
    pub(super) by: Duration,
}

/// Everything that decides what a pod does next.
#[derive(Debug, Clone, PartialEq)]
pub struct PodState {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) uid: String,
    pub(super) policy: RestartPolicy,
    pub(super) init: Vec<Container>,
    pub(super) apps: Vec<Container>,
    pub(super) sandbox: Sandbox,
    pub(super) ip: Option<String>,
    pub(super) started_at: Option<Timestamp>,
    pub(super) deletion: Option<Deletion>,
}

/// A sandbox that could not be made is tried again after so long (K34).
const RETRY: Duration = Duration::from_secs(10);
/// An end is shown for so long before the wait that follows it: a kubelet looks once a second (K34).
const END_SHOWN: Duration = Duration::from_secs(1);
/// The longest that a container which is asked to end keeps its pod when there is no deletion.
const DEFAULT_GRACE: Duration = Duration::from_secs(30);

impl PodState {
    /// A pod that has not begun.
    pub fn new(pod: &Pod) -> PodState {
        let spec = pod.spec.clone().unwrap_or_default();
        let container = |role| {
            move |c: &k8s_openapi::api::core::v1::Container| {
                Container::new(&c.name, role, c.image.as_deref().unwrap_or_default())
            }
        };
        PodState {
            name: pods::name(pod).into(),
            namespace: pods::namespace(pod).into(),
            uid: pods::uid(pod).into(),
            policy: RestartPolicy::named(spec.restart_policy.as_deref()),
            init: pods::init_containers(&spec).iter().map(container(Role::Init)).collect(),
            apps: spec.containers.iter().map(container(Role::App)).collect(),
            sandbox: Sandbox::Missing,
            ip: None,
            started_at: None,
            deletion: None,
        }
    }

    /// Takes a fact in and says what follows from everything that is known.
    pub fn step(&mut self, event: Event, now: Now) -> Vec<Action> {
        self.observe(event, now);
        self.decide(now)
    }

    /// Whether the pod has run its course: nothing will start any more.
    pub fn is_over(&self) -> bool {
        self.sandbox == Sandbox::Gone
    }

    /// How often container `name` was restarted.
    pub fn restarts(&self, name: &str) -> u32 {
        self.containers().find(|c| c.name == name).map_or(0, |c| c.restarts)
    }

    pub(super) fn containers(&self) -> impl Iterator<Item = &Container> {
        self.init.iter().chain(&self.apps)
    }

    fn container(&mut self, at: ContainerRef) -> Option<&mut Container> {
        match at.role {
            Role::Init => self.init.get_mut(at.index),
            Role::App => self.apps.get_mut(at.index),
        }
    }

    /// The container that `attempt` is the current attempt of.
    fn current(&mut self, attempt: Attempt) -> Option<&mut Container> {
        self.container(attempt.container).filter(|c| c.attempt == attempt.number)
    }

    fn observe(&mut self, event: Event, now: Now) {
        match event {
            Event::Tick => {}
            Event::SetUp { ip } => {
                if self.sandbox == Sandbox::SettingUp {
                    self.sandbox = Sandbox::Ready;
                    self.ip = Some(ip);
                }
            }
            Event::SetUpFailed { message } => {
                if self.sandbox == Sandbox::SettingUp {
                    self.sandbox = Sandbox::Failed { message, retry_at: now.mono + RETRY };
                }
            }
            Event::Started { attempt, container_id, image_id } => {
                if let Some(container) = self.current(attempt) {
                    container.started(container_id, image_id, now);
                }
            }
            Event::StartFailed { attempt, trouble } => {
                if let Some(container) = self.current(attempt) {
                    container.start_failed(trouble, now);
                }
            }
            Event::Exited { attempt, code, reason, message } => {
                if let Some(container) = self.current(attempt) {
                    container.exited(code, reason, message, now);
                }
            }
            Event::Restart { container, grace } => {
                if self.deletion.is_none() && self.sandbox != Sandbox::Gone {
                    self.replace(container, now.mono + grace);
                }
            }
            Event::Deleted { grace } => {
                let by = now.mono + grace;
                let by = self.deletion.map_or(by, |earlier| earlier.by.min(by));
                self.deletion = Some(Deletion { by });
            }
        }
    }

    fn replace(&mut self, at: ContainerRef, by: Duration) {
        match at.role {
            Role::App => self.apps.get_mut(at.index).into_iter().for_each(|c| c.replace(by)),
            Role::Init => self.init.iter_mut().skip(at.index).chain(&mut self.apps).for_each(|c| c.replace(by)),
        }
    }

    fn decide(&mut self, now: Now) -> Vec<Action> {
        if self.sandbox == Sandbox::Gone {
            return if self.deletion.is_some() { vec![Action::Remove] } else { vec![] };
        }
        self.started_at.get_or_insert(now.wall);
        if self.deletion.is_some() || self.has_run_its_course() {
            return self.end(now);
        }
        match self.sandbox {
            Sandbox::Missing => {
                self.sandbox = Sandbox::SettingUp;
                vec![Action::SetUp]
            }
            Sandbox::Failed { retry_at, .. } if now.mono >= retry_at => {
                self.sandbox = Sandbox::SettingUp;
                vec![Action::SetUp]
            }
            Sandbox::Failed { retry_at, .. } => vec![Action::WakeAt(retry_at)],
            Sandbox::SettingUp | Sandbox::Gone => vec![],
            Sandbox::Ready => self.advance(now),
        }
    }

    /// Runs what may run: the first init container that has not succeeded, or all apps. What is
    /// outdated makes way before.
    fn advance(&mut self, now: Now) -> Vec<Action> {
        let policy = self.policy;
        let mut actions = Vec::new();
        for (at, container) in self.with_places() {
            if let Some(by) = container.replace_by {
                actions.extend(stop(container, at, by, now));
            }
        }
        let succeeded = |c: &Container| matches!(&c.stage, Stage::Exited(ended) if ended.code == 0);
        match self.init.iter().position(|c| !succeeded(c)) {
            Some(turn) => {
                // An init container that runs again waits until all that came after it have ended.
                let held = self.init.iter().skip(turn + 1).chain(&self.apps).any(Container::is_live);
                if let Some(container) = self.init.get_mut(turn).filter(|_| !held) {
                    actions.extend(advance(container, ContainerRef { role: Role::Init, index: turn }, policy, now));
                }
            }
            None => {
                for (index, container) in self.apps.iter_mut().enumerate() {
                    actions.extend(advance(container, ContainerRef { role: Role::App, index }, policy, now));
                }
            }
        }
        actions
    }

    fn with_places(&mut self) -> impl Iterator<Item = (ContainerRef, &mut Container)> {
        let init = self.init.iter_mut().enumerate().map(|(index, c)| (ContainerRef { role: Role::Init, index }, c));
        let apps = self.apps.iter_mut().enumerate().map(|(index, c)| (ContainerRef { role: Role::App, index }, c));
        init.chain(apps)
    }

    /// Whether no container runs or will run again (K4–K6).
    fn has_run_its_course(&self) -> bool {
        let finished = |c: &Container| match &c.stage {
            Stage::Exited(ended) => !self.policy.restarts(c.role, ended.code),
            _ => false,
        };
        let init_failed = self.init.iter().any(|c| finished(c) && c.ended().is_some_and(|e| e.code != 0));
        init_failed || (!self.apps.is_empty() && self.apps.iter().all(finished))
    }

    /// Ends what is alive, then the pod.
    fn end(&mut self, now: Now) -> Vec<Action> {
        let by = self.deletion.map_or(now.mono + DEFAULT_GRACE, |deletion| deletion.by);
        let mut actions = Vec::new();
        for (at, container) in self.with_places() {
            actions.extend(stop(container, at, by, now));
        }
        if !self.containers().any(Container::is_live) && self.sandbox != Sandbox::SettingUp {
            self.sandbox = Sandbox::Gone;
            actions.push(Action::TearDown);
            if self.deletion.is_some() {
                actions.push(Action::Remove);
            }
        }
        actions
    }

    pub(super) fn phase(&self) -> Phase {
        phase::of(self)
    }
}

/// Ends what lives of a container, by `by` at the latest.
fn stop(container: &mut Container, at: ContainerRef, by: Duration, now: Now) -> Vec<Action> {
    let attempt = Attempt { container: at, number: container.attempt };
    match &mut container.stage {
        Stage::Starting { stop } => {
            *stop = true;
            // It may hang before it runs; what is not there yet can't be killed, so this is said again.
            vec![if now.mono >= by { Action::Kill(attempt) } else { Action::WakeAt(by) }]
        }
        Stage::Running { started_at } => {
            let started_at = *started_at;
            container.stage = Stage::Stopping { started_at, kill_at: by, killed: false };
            vec![Action::AskToExit(attempt), Action::WakeAt(by)]
        }
        Stage::Stopping { kill_at, killed, .. } => {
            *kill_at = by.min(*kill_at);
            match (now.mono >= *kill_at, *killed) {
                (true, true) => vec![],
                (true, false) => {
                    *killed = true;
                    vec![Action::Kill(attempt)]
                }
                (false, _) => vec![Action::WakeAt(*kill_at)],
            }
        }
        Stage::Waiting { .. } | Stage::Exited(_) | Stage::BackOff { .. } | Stage::Due(_) => vec![],
    }
}

fn advance(container: &mut Container, at: ContainerRef, policy: RestartPolicy, now: Now) -> Option<Action> {
    let due = match &container.stage {
        Stage::Waiting { trouble: None } | Stage::Due(_) => now.mono,
        Stage::Waiting { trouble: Some((_, retry_at)) } => *retry_at,
        Stage::Starting { .. } | Stage::Running { .. } | Stage::Stopping { .. } => return None,
        Stage::Exited(ended) if !policy.restarts(container.role, ended.code) => return None,
        Stage::Exited(ended) => {
            let delay = container.backoff.delay(ended.finished);
            let (due, shown) = (ended.finished + delay, ended.finished + END_SHOWN);
            if now.mono < due.min(shown) {
                return Some(Action::WakeAt(due.min(shown)));
            }
            if now.mono < due {
                container.stage = Stage::BackOff { ended: ended.clone(), delay };
            }
            due
        }
        Stage::BackOff { ended, delay } => ended.finished + *delay,
    };
    if now.mono < due {
        return Some(Action::WakeAt(due));
    }
    let number = container.begin(now);
    Some(Action::Start(Attempt { container: at, number }))
}
