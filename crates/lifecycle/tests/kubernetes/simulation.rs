//! A simulated node that runs one pod in virtual time. A queue holds what is scheduled; nothing sleeps.
//!
//! It works as the node's worker does: it performs the actions that `lifecycle` returns, hands back their results as
//! inputs, and publishes the status whenever it changes.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{EphemeralContainer, Pod, PodCondition, PodStatus};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::script::Script;
use wasmpod_lifecycle::{
    Action, Attempt, ContainerRef, EventRecord, ExitStatus, Input, MonoTime, Now, PodState, ProbeKind, ResizeResult,
};
use wasmpod_model::pods;

/// A change that a user, the node or the machine makes to the pod.
pub enum Intervention {
    /// A user deletes the pod, with so many seconds of grace.
    Delete(u64),
    /// The node evicts the pod.
    Evict { reason: &'static str, message: &'static str, grace: Option<u64> },
    /// Another controller sets a condition.
    SetCondition(&'static str, &'static str),
    /// A user changes a container's image.
    SetImage(&'static str, &'static str),
    /// A user adds an ephemeral container. As after a strategic merge, it precedes the existing ones.
    AddEphemeral(&'static str),
    /// A user changes the active deadline.
    SetDeadline(i64),
    /// The next start of a container fails with a reason and a message.
    FailNextStart(&'static str, &'static str, &'static str),
    /// A user changes a container's memory limit, and the node grants it.
    Resize(&'static str, &'static str),
    /// The node has no room for a resize, for a reason and with a message.
    ResizePending(&'static str, &'static str),
    /// The node cannot perform a resize for which it has room.
    ResizeFailed(&'static str),
    /// A container's program changes; the container has a second to stop.
    ReplaceProgram(ContainerRef),
    /// The wall clock is set.
    SetWallClock(&'static str),
    /// The node restarts and loses all guests.
    RestartNode,
}

/// An event in the queue.
enum Scheduled {
    Intervention(Intervention),
    Input(Input),
    /// The start of the attempt succeeds or fails.
    Begin(Attempt),
    /// The attempt exits with a code, a reason and a message.
    Exit(Attempt, i32, &'static str, Option<&'static str>),
}

/// A simulated node that runs one pod in virtual time.
pub struct Simulation {
    pub(super) pod: Pod,
    state: PodState,
    mono: Duration,
    /// The wall time at the beginning, according to the wall clock as it is set now.
    wall_at_start: Timestamp,
    scripts: BTreeMap<String, Script>,
    /// The messages of the sandbox set-ups that fail before the first success.
    failing_setups: VecDeque<Option<String>>,
    queue: BTreeMap<(Duration, u64), Scheduled>,
    /// The number of all entries that the queue has had, which keeps entries of the same time in order.
    queued: u64,
    wake_at: Option<Duration>,
    has_begun: bool,
    /// The running attempts and their start times.
    running: BTreeMap<Attempt, Duration>,
    /// The number of times that each container has begun to run.
    runs: BTreeMap<ContainerRef, usize>,
    /// Each status that differs from the previous one.
    pub(super) statuses: Vec<(Duration, PodStatus)>,
    pub(super) events: Vec<(Duration, EventRecord)>,
    /// The performed actions in words: `start c`.
    pub(super) actions: Vec<(Duration, String)>,
    pub(super) removed_at: Option<Duration>,
}

/// More steps at one moment than any pod needs.
const MAX_STEPS_AT_ONCE: usize = 1000;

pub fn secs(seconds: f64) -> Duration {
    Duration::from_millis((seconds * 1000.0).round() as u64)
}

impl Simulation {
    /// Returns a simulation of a pod with this spec, in YAML's flow style.
    pub fn new(spec: &str) -> Simulation {
        let yaml = format!("{{metadata: {{name: p, namespace: ns, uid: u, generation: 1}}, spec: {{{spec}}}}}");
        let pod: Pod = serde_yaml::from_str(&yaml).expect("a pod");
        Simulation {
            state: PodState::new(&pod),
            pod,
            mono: Duration::ZERO,
            wall_at_start: "2026-01-01T00:00:00Z".parse().expect("a time"),
            scripts: BTreeMap::new(),
            failing_setups: VecDeque::new(),
            queue: BTreeMap::new(),
            queued: 0,
            wake_at: None,
            has_begun: false,
            running: BTreeMap::new(),
            runs: BTreeMap::new(),
            statuses: Vec::new(),
            events: Vec::new(),
            actions: Vec::new(),
            removed_at: None,
        }
    }

    /// Has container `name` behave by a script.
    pub fn with(mut self, name: &str, script: Script) -> Simulation {
        self.scripts.insert(name.into(), script);
        self
    }

    /// Has the first `times` set-ups of the sandbox fail.
    pub fn with_failing_setup(mut self, times: usize, message: Option<&str>) -> Simulation {
        self.failing_setups.extend(vec![message.map(Into::into); times]);
        self
    }

    /// Sets the maximum restart back-off.
    pub fn max_backoff(self, seconds: u64) -> Simulation {
        Simulation { state: self.state.with_max_backoff(Duration::from_secs(seconds)), ..self }
    }

    /// Schedules an intervention at this second.
    pub fn at(mut self, second: f64, intervention: Intervention) -> Simulation {
        self.schedule(secs(second), Scheduled::Intervention(intervention));
        self
    }

    /// Runs the simulation through this second.
    pub fn until(mut self, second: f64) -> Simulation {
        if !self.has_begun {
            self.has_begun = true;
            self.step(Input::Tick);
        }
        let (end, mut steps) = (secs(second), 0);
        while self.removed_at.is_none() {
            self.publish_status();
            let first = self.queue.keys().next().copied();
            let next = first.map(|(at, _)| at).into_iter().chain(self.wake_at).min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            steps = if next > self.mono { 0 } else { steps + 1 };
            assert!(steps < MAX_STEPS_AT_ONCE, "the pod does not settle at {next:?}");
            self.mono = self.mono.max(next);
            match first.filter(|(at, _)| *at <= self.mono).and_then(|key| self.queue.remove(&key)) {
                Some(scheduled) => self.handle(scheduled),
                None => self.step(Input::Tick),
            }
        }
        self.mono = end;
        self
    }

    fn now(&self) -> Now {
        Now {
            mono: MonoTime::from_origin(self.mono),
            wall: self.wall_at_start.saturating_add(self.mono).expect("a time"),
        }
    }

    fn schedule(&mut self, at: Duration, scheduled: Scheduled) {
        self.queued += 1;
        self.queue.insert((at, self.queued), scheduled);
    }

    fn schedule_input(&mut self, seconds: f64, input: Input) {
        self.schedule(self.mono + secs(seconds), Scheduled::Input(input));
    }

    fn name(&self, at: ContainerRef) -> String {
        self.state.name_of(at).expect("a container").into()
    }

    fn script(&self, attempt: Attempt) -> Script {
        self.scripts.get(&self.name(attempt.container)).cloned().unwrap_or_default()
    }

    fn record(&mut self, action: &str, attempt: Attempt) {
        let name = self.name(attempt.container);
        self.actions.push((self.mono, format!("{action} {name}")));
    }

    fn handle(&mut self, scheduled: Scheduled) {
        match scheduled {
            Scheduled::Intervention(intervention) => self.intervene(intervention),
            Scheduled::Input(input) => self.step(input),
            Scheduled::Begin(attempt) => self.begin(attempt),
            Scheduled::Exit(attempt, code, reason, message) => {
                if self.running.remove(&attempt).is_some() {
                    let outcome = ExitStatus { code, reason: reason.into(), message: message.map(Into::into) };
                    self.step(Input::Exited { attempt, outcome });
                }
            }
        }
    }

    fn begin(&mut self, attempt: Attempt) {
        let mut script = self.script(attempt);
        if !script.start_failures.is_empty() {
            let waiting = script.start_failures.remove(0);
            self.scripts.insert(self.name(attempt.container), script);
            return self.step(Input::StartFailed { attempt, waiting });
        }
        let runs = self.runs.entry(attempt.container).or_insert(0);
        let run = script.runs.get(*runs).or(script.runs.last()).expect("a run").clone();
        *runs += 1;
        if run.reason == "StartError" {
            return self.report_cannot_run(attempt, run.code, run.reason, run.message);
        }
        self.running.insert(attempt, self.mono);
        if let Some(after) = run.after {
            self.schedule(self.mono + secs(after), Scheduled::Exit(attempt, run.code, run.reason, run.message));
        }
        self.report_started(attempt);
    }

    fn report_started(&mut self, attempt: Attempt) {
        let container_id = format!("wasmpod://{}-{}", self.name(attempt.container), attempt.number);
        self.step(Input::Started { attempt, container_id, image_id: "sha256:1".into() });
    }

    fn report_cannot_run(&mut self, attempt: Attempt, code: i32, reason: &str, message: Option<&str>) {
        let container_id = format!("wasmpod://{}-{}", self.name(attempt.container), attempt.number);
        let outcome = ExitStatus { code, reason: reason.into(), message: message.map(Into::into) };
        self.step(Input::CannotRun { attempt, container_id, image_id: "sha256:1".into(), outcome });
    }

    fn intervene(&mut self, intervention: Intervention) {
        match intervention {
            Intervention::Delete(grace) => self.delete(grace),
            Intervention::Evict { reason, message, grace } => {
                let (reason, message) = (reason.into(), message.into());
                self.step(Input::Evicted { reason, message, grace: grace.map(Duration::from_secs), disrupts: true });
            }
            Intervention::SetCondition(kind, status) => self.set_condition(kind, status),
            Intervention::SetImage(name, image) => self.update_pod(|pod| {
                let spec = pod.spec.get_or_insert_default();
                let all = spec.init_containers.iter_mut().flatten().chain(&mut spec.containers);
                all.filter(|c| c.name == name).for_each(|c| c.image = Some(image.into()));
            }),
            Intervention::FailNextStart(name, reason, message) => {
                let script = self.scripts.remove(name).unwrap_or_default().fails_to_start(1, reason, message);
                self.scripts.insert(name.into(), script);
            }
            Intervention::Resize(name, memory) => self.resize(name, memory),
            Intervention::ResizePending(reason, message) => {
                self.step(Input::Resized(ResizeResult::Pending { reason, message: message.into() }));
            }
            Intervention::ResizeFailed(message) => {
                self.step(Input::Resized(ResizeResult::Failed { message: message.into() }))
            }
            Intervention::AddEphemeral(name) => self.update_pod(|pod| {
                let added = EphemeralContainer { name: name.into(), ..EphemeralContainer::default() };
                pod.spec.get_or_insert_default().ephemeral_containers.get_or_insert_default().insert(0, added);
            }),
            Intervention::SetDeadline(seconds) => {
                self.update_pod(|pod| pod.spec.get_or_insert_default().active_deadline_seconds = Some(seconds));
            }
            Intervention::ReplaceProgram(container) => {
                self.step(Input::Restart { container, grace: Duration::from_secs(1) });
            }
            Intervention::SetWallClock(wall) => self.set_wall_clock(wall.parse().expect("a time")),
            Intervention::RestartNode => self.restart_node(),
        }
    }

    fn delete(&mut self, grace_seconds: u64) {
        let grace = Duration::from_secs(grace_seconds);
        let deletion = pods::api_time(self.now().wall.saturating_add(grace).expect("a time"));
        self.pod.metadata.deletion_timestamp = Some(deletion);
        self.pod.metadata.deletion_grace_period_seconds = i64::try_from(grace_seconds).ok();
        self.step(Input::Deleted { grace });
    }

    fn set_condition(&mut self, kind: &str, status: &str) {
        let conditions = self.pod.status.get_or_insert_default().conditions.get_or_insert_default();
        conditions.retain(|c| c.type_ != kind);
        conditions.push(PodCondition { type_: kind.into(), status: status.into(), ..PodCondition::default() });
    }

    fn resize(&mut self, name: &str, memory: &str) {
        self.update_pod(|pod| {
            let spec = pod.spec.get_or_insert_default();
            for container in spec.containers.iter_mut().filter(|c| c.name == name) {
                let limits = container.resources.get_or_insert_default().limits.get_or_insert_default();
                limits.insert("memory".into(), Quantity(memory.into()));
            }
        });
        self.step(Input::Resized(ResizeResult::Done(Box::new(self.pod.clone()))));
    }

    fn set_wall_clock(&mut self, wall: Timestamp) {
        let passed = SignedDuration::try_from(self.mono).expect("short");
        self.wall_at_start = wall.checked_sub(passed).expect("a time");
    }

    fn restart_node(&mut self) {
        self.running.clear();
        self.queue.retain(|_, scheduled| matches!(scheduled, Scheduled::Intervention(_)));
        self.state = PodState::restore(&self.pod, self.now());
        self.step(Input::Tick);
    }

    fn update_pod(&mut self, change: impl FnOnce(&mut Pod)) {
        change(&mut self.pod);
        self.pod.metadata.generation = self.pod.metadata.generation.map(|g| g + 1);
        self.step(Input::PodUpdated(Box::new(self.pod.clone())));
    }

    fn step(&mut self, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            self.wake_at = None;
            for action in self.state.step(input, self.now()) {
                inputs.extend(self.perform(action));
            }
        }
    }

    fn perform(&mut self, action: Action) -> Option<Input> {
        match action {
            Action::ReportStatus => self.publish_status(),
            Action::SetUpSandbox => return Some(self.set_up_sandbox()),
            Action::Start(attempt) => self.start(attempt),
            // A kubelet's start goes on.
            Action::AbandonStart(_) => {}
            Action::PostStart(attempt) => self.run_post_start(attempt),
            Action::PreStop(attempt) => self.run_pre_stop(attempt),
            Action::Probe(attempt, kind) => self.run_probe(attempt, kind),
            Action::Terminate(attempt) => self.terminate(attempt),
            Action::Kill(attempt) => self.kill(attempt),
            Action::WakeAt(at) => {
                let at = at.since_origin();
                self.wake_at = Some(self.wake_at.map_or(at, |wake| wake.min(at)));
            }
            Action::RecordEvent(event) => self.events.push((self.mono, event)),
            Action::TearDownSandbox => {
                self.actions.push((self.mono, "tear down".into()));
                return Some(Input::SandboxRemoved);
            }
            Action::RemovePod => {
                self.publish_status();
                self.removed_at = Some(self.mono);
            }
        }
        None
    }

    fn set_up_sandbox(&mut self) -> Input {
        match self.failing_setups.pop_front() {
            Some(message) => Input::SandboxFailed { message },
            None => Input::SandboxReady { ip: "10.0.0.1".into() },
        }
    }

    fn start(&mut self, attempt: Attempt) {
        self.record("start", attempt);
        let script = self.script(attempt);
        if !script.start_hangs {
            self.schedule(self.mono + secs(script.start_takes), Scheduled::Begin(attempt));
        }
    }

    fn run_post_start(&mut self, attempt: Attempt) {
        self.record("postStart", attempt);
        let hook = self.script(attempt).post_start;
        let input = Input::PostStartFinished { attempt, failure: hook.fails.map(Into::into) };
        self.schedule_input(hook.takes, input);
    }

    fn run_pre_stop(&mut self, attempt: Attempt) {
        self.record("preStop", attempt);
        let hook = self.script(attempt).pre_stop;
        let input = Input::PreStopFinished { attempt, failed: hook.fails.is_some() };
        self.schedule_input(hook.takes, input);
    }

    fn run_probe(&mut self, attempt: Attempt, kind: ProbeKind) {
        self.record(&format!("{} probe", kind.name().to_lowercase()), attempt);
        if let Some(since) = self.running.get(&attempt) {
            let ran = (self.mono - *since).as_secs_f64();
            let result = (self.script(attempt).probes)(kind, ran);
            self.schedule_input(0.0, Input::ProbeFinished { attempt, kind, result });
        }
    }

    fn terminate(&mut self, attempt: Attempt) {
        self.record("terminate", attempt);
        if let Some((after, code)) = self.script(attempt).stop {
            let reason = if code == 0 { "Completed" } else { "Error" };
            self.schedule(self.mono + secs(after), Scheduled::Exit(attempt, code, reason, None));
        }
    }

    fn kill(&mut self, attempt: Attempt) {
        self.record("kill", attempt);
        if !self.running.contains_key(&attempt) && self.script(attempt).start_hangs {
            let outcome = ExitStatus { code: 137, reason: "Error".into(), message: None };
            let (container_id, image_id) = ("wasmpod://x".into(), "i".into());
            return self.schedule_input(0.0, Input::CannotRun { attempt, container_id, image_id, outcome });
        }
        self.schedule(self.mono, Scheduled::Exit(attempt, 137, "Error", None));
    }

    fn publish_status(&mut self) {
        let status = self.state.status(&self.pod, "192.0.2.1", self.now().wall);
        if self.statuses.last().is_none_or(|(_, last)| *last != status) {
            self.statuses.push((self.mono, status.clone()));
        }
        self.pod.status = Some(status);
    }
}
