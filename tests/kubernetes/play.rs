//! A fake node: plays a pod in virtual time. What is to come waits in a queue by its time; nothing sleeps.
//!
//! It does what the node's worker does: performs the actions that `lifecycle` asks for, hands back what came of them, and
//! writes the status whenever it says something new.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, EphemeralContainer, Pod, PodCondition, PodStatus};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::script::Script;
use crate::lifecycle::{Action, Attempt, ContainerRef, Event, Note, Now, PodState, Resize, Role};
use crate::model::pods;

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
    /// Somebody adds a container to look into the pod.
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
    Fact(Event),
    /// The attempt begins, well or not.
    Begins(Attempt),
    /// The attempt ends by itself or because it was asked to.
    Ends(Attempt, i32, &'static str, Option<&'static str>),
}

/// See the module's documentation.
pub struct Play {
    pod: Pod,
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
    shown: Vec<(Duration, PodStatus)>,
    told: Vec<(Duration, Note)>,
    done: Vec<(Duration, String)>,
    removed: Option<Duration>,
}

/// More steps at one moment than any pod needs.
const RESTLESS: usize = 1000;

pub fn secs(seconds: f64) -> Duration {
    Duration::from_millis((seconds * 1000.0).round() as u64)
}

fn clock(at: Duration) -> String {
    format!("{:.1}", at.as_secs_f64())
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

    /// At this second, that happens.
    pub fn at(mut self, second: f64, act: Act) -> Play {
        self.come(secs(second), Coming::Act(act));
        self
    }

    /// Plays up to this second, and what happens in it.
    pub fn until(mut self, second: f64) -> Play {
        if !self.begun {
            self.begun = true;
            self.step(Event::Tick);
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
                None => self.step(Event::Tick),
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

    fn name(&self, at: ContainerRef) -> String {
        let spec = self.pod.spec.as_ref().expect("a spec");
        match at.role {
            Role::Init => pods::init_containers(spec)[at.index].name.clone(),
            Role::App => spec.containers[at.index].name.clone(),
            Role::Ephemeral => spec.ephemeral_containers.as_ref().expect("some")[at.index].name.clone(),
        }
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
                    let (reason, message) = (reason.to_string(), message.map(Into::into));
                    self.step(Event::Exited { attempt, code, reason, message });
                }
            }
        }
    }

    fn begins(&mut self, attempt: Attempt) {
        let mut script = self.script(attempt);
        if !script.troubles.is_empty() {
            let trouble = script.troubles.remove(0);
            self.scripts.insert(self.name(attempt.container), script);
            return self.step(Event::StartFailed { attempt, trouble });
        }
        let runs = self.runs.entry(attempt.container).or_insert(0);
        let run = script.runs.get(*runs).or(script.runs.last()).expect("a run").clone();
        *runs += 1;
        self.live.insert(attempt, self.mono);
        if let Some(after) = run.after {
            self.come(self.mono + secs(after), Coming::Ends(attempt, run.code, run.reason, run.message));
        }
        self.started(attempt);
    }

    fn started(&mut self, attempt: Attempt) {
        let container_id = format!("wasmpod://{}-{}", self.name(attempt.container), attempt.number);
        self.step(Event::Started { attempt, container_id, image_id: "sha256:1".into() });
    }

    fn act(&mut self, act: Act) {
        let after = |seconds| Duration::from_secs(seconds);
        match act {
            Act::Delete(grace) => {
                let by = pods::time(self.now().wall.saturating_add(after(grace)).expect("a time"));
                self.pod.metadata.deletion_timestamp = Some(by);
                self.pod.metadata.deletion_grace_period_seconds = i64::try_from(grace).ok();
                self.step(Event::Deleted { grace: after(grace) });
            }
            Act::Evict { reason, message, grace } => {
                let (reason, message) = (reason.into(), message.into());
                self.step(Event::Evicted { reason, message, grace: grace.map(after) });
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
                self.step(Event::Resized(Resize::Done(Box::new(self.pod.clone()))));
            }
            Act::ResizePending(reason, message) => {
                self.step(Event::Resized(Resize::Pending { reason, message: message.into() }));
            }
            Act::ResizeFails(message) => self.step(Event::Resized(Resize::Failed { message: message.into() })),
            Act::Debug(name) => self.changed(|pod| {
                let added = EphemeralContainer { name: name.into(), ..EphemeralContainer::default() };
                pod.spec.get_or_insert_default().ephemeral_containers.get_or_insert_default().push(added);
            }),
            Act::Deadline(seconds) => {
                self.changed(|pod| pod.spec.get_or_insert_default().active_deadline_seconds = Some(seconds));
            }
            Act::Outdated(container) => self.step(Event::Restart { container, grace: after(1) }),
            Act::ClockSays(wall) => {
                let wall: Timestamp = wall.parse().expect("a time");
                let passed = SignedDuration::try_from(self.mono).expect("short");
                self.wall_at_start = wall.checked_sub(passed).expect("a time");
            }
            Act::NodeRestarts => {
                self.live.clear();
                self.queue.retain(|_, coming| matches!(coming, Coming::Act(_)));
                self.state = PodState::restore(&self.pod, self.now());
                self.step(Event::Tick);
            }
        }
    }

    fn changed(&mut self, change: impl FnOnce(&mut Pod)) {
        change(&mut self.pod);
        self.pod.metadata.generation = self.pod.metadata.generation.map(|g| g + 1);
        self.step(Event::Changed(Box::new(self.pod.clone())));
    }

    fn step(&mut self, event: Event) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            self.wake = None;
            for action in self.state.step(event, self.now()) {
                events.extend(self.perform(action));
            }
        }
    }

    fn perform(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::Report => self.report(),
            Action::SetUp => {
                return Some(match self.set_ups.pop_front() {
                    Some(message) => Event::SetUpFailed { message },
                    None => Event::SetUp { ip: "10.0.0.1".into() },
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
                let event = Event::PostStarted { attempt, failed: hook.fails.map(Into::into) };
                self.come(self.mono + secs(hook.takes), Coming::Fact(event));
            }
            Action::PreStop(attempt) => {
                self.does("preStop", attempt);
                let hook = self.script(attempt).pre_stop;
                let event = Event::PreStopped { attempt, failed: hook.fails.is_some() };
                self.come(self.mono + secs(hook.takes), Coming::Fact(event));
            }
            Action::Probe(attempt, kind) => {
                self.does(&format!("{} probe", kind.word().to_lowercase()), attempt);
                if let Some(since) = self.live.get(&attempt) {
                    let ran = (self.mono - *since).as_secs_f64();
                    let probed = (self.script(attempt).probes)(kind, ran);
                    self.come(self.mono, Coming::Fact(Event::Probed { attempt, kind, probed }));
                }
            }
            Action::AskToExit(attempt) => {
                self.does("ask", attempt);
                if let Some((after, code)) = self.script(attempt).asked {
                    let reason = if code == 0 { "Completed" } else { "Error" };
                    self.come(self.mono + secs(after), Coming::Ends(attempt, code, reason, None));
                }
            }
            Action::Kill(attempt) => {
                self.does("kill", attempt);
                if !self.live.contains_key(&attempt) && self.script(attempt).hangs {
                    // It never ran: its end is told with its beginning.
                    self.live.insert(attempt, self.mono);
                    let begins = Event::Started { attempt, container_id: "wasmpod://x".into(), image_id: "i".into() };
                    self.come(self.mono, Coming::Fact(begins));
                }
                self.come(self.mono, Coming::Ends(attempt, 137, "Error", None));
            }
            Action::WakeAt(at) => self.wake = Some(self.wake.map_or(at, |wake| wake.min(at))),
            Action::Tell(note) => self.told.push((self.mono, note)),
            Action::TearDown => {
                self.done.push((self.mono, "tear down".into()));
                return Some(Event::TornDown);
            }
            Action::Remove => {
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

    /// The status as it was last written.
    pub fn status(&self) -> &PodStatus {
        self.shown.last().map(|(_, status)| status).expect("a status")
    }

    /// The phases in their order.
    pub fn phases(&self) -> String {
        distinct(self.shown.iter().map(|(_, status)| status.phase.clone().unwrap_or_default())).join(" ")
    }

    /// The last phase.
    pub fn phase(&self) -> &str {
        self.status().phase.as_deref().expect("a phase")
    }

    /// The status of a container now.
    pub fn container(&self, name: &str) -> &ContainerStatus {
        of(self.status(), name).unwrap_or_else(|| panic!("no container {name}"))
    }

    /// What container `name` showed, one after the other: `0.0 waiting ContainerCreating`, `1.0 terminated 1 Error`.
    pub fn states(&self, name: &str) -> Vec<String> {
        let shown = |(at, status): &(Duration, PodStatus)| Some((*at, word(&of(status, name)?.state)));
        let mut all: Vec<(Duration, String)> = self.shown.iter().filter_map(shown).collect();
        all.dedup_by(|later, earlier| later.1 == earlier.1);
        all.into_iter().map(|(at, word)| format!("{} {word}", clock(at))).collect()
    }

    /// What it shows now, of `state` and of `lastState`.
    pub fn state(&self, name: &str) -> (String, String) {
        let container = self.container(name);
        (word(&container.state), word(&container.last_state))
    }

    /// Why it waits, in words.
    pub fn waits_for(&self, name: &str) -> String {
        let waiting = self.container(name).state.as_ref().and_then(|state| state.waiting.as_ref());
        waiting.and_then(|waiting| waiting.message.clone()).unwrap_or_default()
    }

    /// All that it has said while it waited, one after the other.
    pub fn messages(&self, name: &str) -> Vec<String> {
        let waiting =
            |(_, status): &(Duration, PodStatus)| of(status, name)?.state.as_ref()?.waiting.as_ref()?.message.clone();
        distinct(self.shown.iter().filter_map(waiting))
    }

    /// A condition now: `True`, or `False ContainersNotReady: containers with …`.
    pub fn condition(&self, kind: &str) -> String {
        condition(self.status(), kind)
    }

    /// What a condition said, one after the other: `0.0 False ContainersNotReady: …`.
    pub fn conditions(&self, kind: &str) -> Vec<String> {
        let mut all: Vec<_> = self.shown.iter().map(|(at, status)| (*at, condition(status, kind))).collect();
        all.dedup_by(|later, earlier| later.1 == earlier.1);
        all.into_iter().map(|(at, what)| format!("{} {what}", clock(at))).collect()
    }

    /// When `what` was done, as `start c`.
    pub fn when(&self, what: &str) -> Vec<f64> {
        self.done.iter().filter(|(_, done)| done == what).map(|(at, _)| at.as_secs_f64()).collect()
    }

    /// All that was done beside probes, as `8.0 ask c`.
    pub fn done(&self) -> Vec<String> {
        let all = self.done.iter().filter(|(_, done)| !done.contains("probe "));
        all.map(|(at, done)| format!("{} {done}", clock(*at))).collect()
    }

    /// The events of `reason`, as `5.0 Warning x2 no`: counted as long as they say the same.
    pub fn told(&self, reason: &str) -> Vec<String> {
        let mut counts: BTreeMap<(Option<ContainerRef>, &str), usize> = BTreeMap::new();
        let notes = self.told.iter().filter(|(_, note)| note.reason == reason);
        let lines = notes.map(|(at, note)| {
            let count = counts.entry((note.container, &note.message)).or_default();
            *count += 1;
            let severity = if note.warning { "Warning" } else { "Normal" };
            format!("{} {severity} x{count} {}", clock(*at), note.message)
        });
        lines.collect()
    }

    /// When its object was removed for good.
    pub fn removed(&self) -> Option<f64> {
        self.removed.map(|at| at.as_secs_f64())
    }

    /// The pod as it is now.
    pub fn pod(&self) -> &Pod {
        &self.pod
    }

    /// Whether every status that was shown keeps `law`.
    pub fn always(&self, law: impl Fn(&PodStatus) -> bool) -> bool {
        self.shown.iter().all(|(_, status)| law(status))
    }
}

fn distinct(all: impl Iterator<Item = String>) -> Vec<String> {
    let mut all: Vec<String> = all.collect();
    all.dedup();
    all
}

/// The status of container `name`, whatever its list.
pub fn of<'s>(status: &'s PodStatus, name: &str) -> Option<&'s ContainerStatus> {
    let lists = [&status.init_container_statuses, &status.container_statuses, &status.ephemeral_container_statuses];
    lists.into_iter().flatten().flatten().find(|container| container.name == name)
}

fn word(state: &Option<ContainerState>) -> String {
    let Some(state) = state else { return String::new() };
    if let Some(waiting) = &state.waiting {
        return format!("waiting {}", waiting.reason.as_deref().unwrap_or_default());
    }
    if let Some(ended) = &state.terminated {
        return format!("terminated {} {}", ended.exit_code, ended.reason.as_deref().unwrap_or_default());
    }
    if state.running.is_some() { "running".into() } else { String::new() }
}

fn condition(status: &PodStatus, kind: &str) -> String {
    let found = status.conditions.iter().flatten().find(|c| c.type_ == kind);
    let Some(found) = found else { return "none".into() };
    let why = match (&found.reason, &found.message) {
        (None, _) => String::new(),
        (Some(reason), None) => format!(" {reason}"),
        (Some(reason), Some(message)) => format!(" {reason}: {message}"),
    };
    format!("{}{why}", found.status)
}
