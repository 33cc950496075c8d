//! A fake node: plays a pod in virtual time. What is to come waits in a queue by its time; nothing sleeps.
//!
//! It does what the node's worker does: performs the actions that `lifecycle` asks for, hands back what came of them, and
//! writes the status whenever it says something new.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{EphemeralContainer, Pod, PodCondition, PodStatus};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::script::Script;
use wasmpod_lifecycle::{Action, Attempt, ContainerRef, EventRecord, ExitStatus, Input, Now, PodState, ResizeResult};
use wasmpod_model::pods;

/// What befalls a pod.
pub enum Act {
    /// Somebody deletes it, with so many seconds of grace.
    Delete(u64),
    /// The node ends it.
    Evict { reason: &'static str, message: &'static str, grace: Option<u64> },
    /// Somebody sets a condition of his own.
    Condition(&'static str, &'static str),
    /// Somebody gives a container another image.
    Image(&'static str, &'static str),
    /// Somebody adds a container to look into the pod; a strategic merge puts it before those that are there.
    Debug(&'static str),
    /// Somebody sets another deadline.
    Deadline(i64),
    /// The next start of a container fails.
    Breaks(&'static str, &'static str, &'static str),
    /// Somebody gives a container another memory limit, for which there is room.
    Resize(&'static str, &'static str),
    /// There is no room for what somebody asks for.
    ResizePending(&'static str, &'static str),
    /// There is, but it can't be given now.
    ResizeFails(&'static str),
    /// A container's program has changed; it may take a second to make way.
    Outdated(ContainerRef),
    /// The wall clock is set.
    ClockSays(&'static str),
    /// The node is restarted: what ran is lost.
    NodeRestarts,
}

enum Coming {
    Act(Act),
    Fact(Input),
    /// The attempt begins, well or not.
    Begins(Attempt),
    /// The attempt ends by itself or because it was asked to.
    Ends(Attempt, i32, &'static str, Option<&'static str>),
}

/// See the module's documentation.
pub struct Play {
    pub(super) pod: Pod,
    state: PodState,
    mono: Duration,
    /// The wall time at the beginning, as the clock says now that it was.
    wall_at_start: Timestamp,
    scripts: BTreeMap<String, Script>,
    /// Set-ups fail so before one succeeds.
    set_ups: VecDeque<Option<String>>,
    queue: BTreeMap<(Duration, u64), Coming>,
    queued: u64,
    wake: Option<Duration>,
    begun: bool,
    /// Attempts that run: since when.
    live: BTreeMap<Attempt, Duration>,
    /// How often each container's program has begun to run.
    runs: BTreeMap<ContainerRef, usize>,
    /// Each status that said something new.
    pub(super) shown: Vec<(Duration, PodStatus)>,
    pub(super) told: Vec<(Duration, EventRecord)>,
    pub(super) done: Vec<(Duration, String)>,
    pub(super) removed: Option<Duration>,
}

/// More steps at one moment than any pod needs.
const RESTLESS: usize = 1000;

pub fn secs(seconds: f64) -> Duration {
    Duration::from_millis((seconds * 1000.0).round() as u64)
}

impl Play {
    /// A pod with this spec, in YAML's short form.
    pub fn new(spec: &str) -> Play {
        let yaml = format!("{{metadata: {{name: p, namespace: ns, uid: u, generation: 1}}, spec: {{{spec}}}}}");
        let pod: Pod = serde_yaml::from_str(&yaml).expect("a pod");
        Play {
            state: PodState::new(&pod),
            pod,
            mono: Duration::ZERO,
            wall_at_start: "2026-01-01T00:00:00Z".parse().expect("a time"),
            scripts: BTreeMap::new(),
            set_ups: VecDeque::new(),
            queue: BTreeMap::new(),
            queued: 0,
            wake: None,
            begun: false,
            live: BTreeMap::new(),
            runs: BTreeMap::new(),
            shown: Vec::new(),
            told: Vec::new(),
            done: Vec::new(),
            removed: None,
        }
    }

    /// How container `name` behaves.
    pub fn with(mut self, name: &str, script: Script) -> Play {
        self.scripts.insert(name.into(), script);
        self
    }

    /// Network and volumes can't be had so often at first.
    pub fn set_up_fails(mut self, times: usize, message: Option<&str>) -> Play {
        self.set_ups.extend(vec![message.map(Into::into); times]);
        self
    }

    /// Its containers wait for no restart longer than so many seconds.
    pub fn waits_up_to(self, seconds: u64) -> Play {
        Play { state: self.state.with_waits_up_to(Duration::from_secs(seconds)), ..self }
    }

    /// At this second, that happens.
    pub fn at(mut self, second: f64, act: Act) -> Play {
        self.come(secs(second), Coming::Act(act));
        self
    }

    /// Plays up to this second, and what happens in it.
    pub fn until(mut self, second: f64) -> Play {
        if !self.begun {
            self.begun = true;
            self.step(Input::Tick);
        }
        let (end, mut rests) = (secs(second), 0);
        while self.removed.is_none() {
            self.report();
            let fact = self.queue.keys().next().copied();
            let next = fact.map(|(at, _)| at).into_iter().chain(self.wake).min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            rests = if next > self.mono { 0 } else { rests + 1 };
            assert!(rests < RESTLESS, "the pod never comes to rest at {next:?}");
            self.mono = self.mono.max(next);
            match fact.filter(|(at, _)| *at <= self.mono).and_then(|key| self.queue.remove(&key)) {
                Some(coming) => self.take(coming),
                None => self.step(Input::Tick),
            }
        }
        self.mono = end;
        self
    }

    fn now(&self) -> Now {
        Now { mono: self.mono, wall: self.wall_at_start.saturating_add(self.mono).expect("a time") }
    }

    fn come(&mut self, at: Duration, coming: Coming) {
        self.queued += 1;
        self.queue.insert((at, self.queued), coming);
    }

    fn come_now(&mut self, event: Input) -> Option<Input> {
        self.come(self.mono, Coming::Fact(event));
        None
    }

    fn name(&self, at: ContainerRef) -> String {
        self.state.name_of(at).expect("a container").into()
    }

    fn script(&self, attempt: Attempt) -> Script {
        self.scripts.get(&self.name(attempt.container)).cloned().unwrap_or_default()
    }

    fn does(&mut self, what: &str, attempt: Attempt) {
        let name = self.name(attempt.container);
        self.done.push((self.mono, format!("{what} {name}")));
    }

    fn take(&mut self, coming: Coming) {
        match coming {
            Coming::Act(act) => self.act(act),
            Coming::Fact(event) => self.step(event),
            Coming::Begins(attempt) => self.begins(attempt),
            Coming::Ends(attempt, code, reason, message) => {
                if self.live.remove(&attempt).is_some() {
                    let outcome = ExitStatus { code, reason: reason.into(), message: message.map(Into::into) };
                    self.step(Input::Exited { attempt, outcome });
                }
            }
        }
    }

    fn begins(&mut self, attempt: Attempt) {
        let mut script = self.script(attempt);
        if !script.troubles.is_empty() {
            let trouble = script.troubles.remove(0);
            self.scripts.insert(self.name(attempt.container), script);
            return self.step(Input::StartFailed { attempt, trouble });
        }
        let runs = self.runs.entry(attempt.container).or_insert(0);
        let run = script.runs.get(*runs).or(script.runs.last()).expect("a run").clone();
        *runs += 1;
        if run.reason == "StartError" {
            return self.never_ran(attempt, run.code, run.reason, run.message);
        }
        self.live.insert(attempt, self.mono);
        if let Some(after) = run.after {
            self.come(self.mono + secs(after), Coming::Ends(attempt, run.code, run.reason, run.message));
        }
        self.started(attempt);
    }

    fn started(&mut self, attempt: Attempt) {
        let container_id = format!("wasmpod://{}-{}", self.name(attempt.container), attempt.number);
        self.step(Input::Started { attempt, container_id, image_id: "sha256:1".into() });
    }

    fn never_ran(&mut self, attempt: Attempt, code: i32, reason: &str, message: Option<&str>) {
        let container_id = format!("wasmpod://{}-{}", self.name(attempt.container), attempt.number);
        let outcome = ExitStatus { code, reason: reason.into(), message: message.map(Into::into) };
        self.step(Input::CannotRun { attempt, container_id, image_id: "sha256:1".into(), outcome });
    }

    fn act(&mut self, act: Act) {
        let after = |seconds| Duration::from_secs(seconds);
        match act {
            Act::Delete(grace) => {
                let by = pods::time(self.now().wall.saturating_add(after(grace)).expect("a time"));
                self.pod.metadata.deletion_timestamp = Some(by);
                self.pod.metadata.deletion_grace_period_seconds = i64::try_from(grace).ok();
                self.step(Input::Deleted { grace: after(grace) });
            }
            Act::Evict { reason, message, grace } => {
                let (reason, message) = (reason.into(), message.into());
                self.step(Input::Evicted { reason, message, grace: grace.map(after), disrupts: true });
            }
            Act::Condition(kind, status) => {
                let conditions = self.pod.status.get_or_insert_default().conditions.get_or_insert_default();
                conditions.retain(|c| c.type_ != kind);
                conditions.push(PodCondition { type_: kind.into(), status: status.into(), ..PodCondition::default() });
            }
            Act::Image(name, image) => self.changed(|pod| {
                let spec = pod.spec.get_or_insert_default();
                let all = spec.init_containers.iter_mut().flatten().chain(&mut spec.containers);
                all.filter(|c| c.name == name).for_each(|c| c.image = Some(image.into()));
            }),
            Act::Breaks(name, reason, message) => {
                let script = self.scripts.remove(name).unwrap_or_default().fails_to_start(1, reason, message);
                self.scripts.insert(name.into(), script);
            }
            Act::Resize(name, memory) => {
                self.changed(|pod| {
                    let spec = pod.spec.get_or_insert_default();
                    for container in spec.containers.iter_mut().filter(|c| c.name == name) {
                        let limits = container.resources.get_or_insert_default().limits.get_or_insert_default();
                        limits.insert("memory".into(), Quantity(memory.into()));
                    }
                });
                self.step(Input::Resized(ResizeResult::Done(Box::new(self.pod.clone()))));
            }
            Act::ResizePending(reason, message) => {
                self.step(Input::Resized(ResizeResult::Pending { reason, message: message.into() }));
            }
            Act::ResizeFails(message) => self.step(Input::Resized(ResizeResult::Failed { message: message.into() })),
            Act::Debug(name) => self.changed(|pod| {
                let added = EphemeralContainer { name: name.into(), ..EphemeralContainer::default() };
                pod.spec.get_or_insert_default().ephemeral_containers.get_or_insert_default().insert(0, added);
            }),
            Act::Deadline(seconds) => {
                self.changed(|pod| pod.spec.get_or_insert_default().active_deadline_seconds = Some(seconds));
            }
            Act::Outdated(container) => self.step(Input::Restart { container, grace: after(1) }),
            Act::ClockSays(wall) => {
                let wall: Timestamp = wall.parse().expect("a time");
                let passed = SignedDuration::try_from(self.mono).expect("short");
                self.wall_at_start = wall.checked_sub(passed).expect("a time");
            }
            Act::NodeRestarts => {
                self.live.clear();
                self.queue.retain(|_, coming| matches!(coming, Coming::Act(_)));
                self.state = PodState::restore(&self.pod, self.now());
                self.step(Input::Tick);
            }
        }
    }

    fn changed(&mut self, change: impl FnOnce(&mut Pod)) {
        change(&mut self.pod);
        self.pod.metadata.generation = self.pod.metadata.generation.map(|g| g + 1);
        self.step(Input::PodUpdated(Box::new(self.pod.clone())));
    }

    fn step(&mut self, event: Input) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            self.wake = None;
            for action in self.state.step(event, self.now()) {
                events.extend(self.perform(action));
            }
        }
    }

    fn perform(&mut self, action: Action) -> Option<Input> {
        match action {
            Action::ReportStatus => self.report(),
            Action::SetUpSandbox => {
                return Some(match self.set_ups.pop_front() {
                    Some(message) => Input::SandboxFailed { message },
                    None => Input::SandboxReady { ip: "10.0.0.1".into() },
                });
            }
            Action::Start(attempt) => {
                self.does("start", attempt);
                let script = self.script(attempt);
                if !script.hangs {
                    self.come(self.mono + secs(script.start), Coming::Begins(attempt));
                }
            }
            Action::PostStart(attempt) => {
                self.does("postStart", attempt);
                let hook = self.script(attempt).post_start;
                let event = Input::PostStartFinished { attempt, failed: hook.fails.map(Into::into) };
                self.come(self.mono + secs(hook.takes), Coming::Fact(event));
            }
            Action::PreStop(attempt) => {
                self.does("preStop", attempt);
                let hook = self.script(attempt).pre_stop;
                let event = Input::PreStopFinished { attempt, failed: hook.fails.is_some() };
                self.come(self.mono + secs(hook.takes), Coming::Fact(event));
            }
            Action::Probe(attempt, kind) => {
                self.does(&format!("{} probe", kind.word().to_lowercase()), attempt);
                if let Some(since) = self.live.get(&attempt) {
                    let ran = (self.mono - *since).as_secs_f64();
                    let probed = (self.script(attempt).probes)(kind, ran);
                    self.come(self.mono, Coming::Fact(Input::ProbeFinished { attempt, kind, probed }));
                }
            }
            Action::Terminate(attempt) => {
                self.does("ask", attempt);
                if let Some((after, code)) = self.script(attempt).asked {
                    let reason = if code == 0 { "Completed" } else { "Error" };
                    self.come(self.mono + secs(after), Coming::Ends(attempt, code, reason, None));
                }
            }
            Action::Kill(attempt) => {
                self.does("kill", attempt);
                if !self.live.contains_key(&attempt) && self.script(attempt).hangs {
                    let outcome = ExitStatus { code: 137, reason: "Error".into(), message: None };
                    let (container_id, image_id) = ("wasmpod://x".into(), "i".into());
                    let never = Input::CannotRun { attempt, container_id, image_id, outcome };
                    return self.come_now(never);
                }
                self.come(self.mono, Coming::Ends(attempt, 137, "Error", None));
            }
            Action::WakeAt(at) => self.wake = Some(self.wake.map_or(at, |wake| wake.min(at))),
            Action::RecordEvent(note) => self.told.push((self.mono, note)),
            Action::TearDownSandbox => {
                self.done.push((self.mono, "tear down".into()));
                return Some(Input::SandboxRemoved);
            }
            Action::RemovePod => {
                self.report();
                self.removed = Some(self.mono);
            }
        }
        None
    }

    fn report(&mut self) {
        let status = self.state.status(&self.pod, "192.0.2.1", self.now().wall);
        if self.shown.last().is_none_or(|(_, last)| *last != status) {
            self.shown.push((self.mono, status.clone()));
        }
        self.pod.status = Some(status);
    }
}
