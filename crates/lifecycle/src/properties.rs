//! Properties that hold for every sequence of inputs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use proptest::prelude::*;

use super::*;
use wasmpod_model::pods;

/// The next thing that happens to the pod; attempts are picked among the live ones.
#[derive(Debug, Clone)]
enum Move {
    Wait(u64),
    SetUpSucceeds,
    SetUpFails,
    Starts(usize),
    FailsToStart(usize),
    NeverRuns(usize),
    Exits(usize, i32),
    /// An input about an attempt that has terminated.
    Stale(usize),
    /// The definition of an init or app container has changed.
    Restart(ContainerRole, usize),
    /// A postStart hook finishes, successfully or not.
    PostStarts(usize, bool),
    /// A preStop hook finishes, successfully or not.
    PreStops(usize, bool),
    /// A probe finishes, successfully or not.
    Probes(usize, bool),
    /// An ephemeral container is added.
    Debug,
    Evict,
    /// The node stops, gracefully or at once.
    Suspend(bool),
    Delete(u64),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let next = prop_oneof![
        4 => (0u64..400).prop_map(Move::Wait),
        3 => Just(Move::SetUpSucceeds),
        1 => Just(Move::SetUpFails),
        8 => (0usize..4).prop_map(Move::Starts),
        1 => (0usize..4).prop_map(Move::FailsToStart),
        1 => (0usize..4).prop_map(Move::NeverRuns),
        6 => (0usize..4, prop_oneof![Just(0), Just(1), Just(137)]).prop_map(|(i, code)| Move::Exits(i, code)),
        1 => (0usize..4).prop_map(Move::Stale),
        2 => (prop_oneof![Just(ContainerRole::Init), Just(ContainerRole::App)], 0usize..3).prop_map(|(role, i)| Move::Restart(role, i)),
        4 => (0usize..4, any::<bool>()).prop_map(|(i, succeeds)| Move::PostStarts(i, succeeds)),
        2 => (0usize..4, any::<bool>()).prop_map(|(i, succeeds)| Move::PreStops(i, succeeds)),
        6 => (0usize..4, prop::bool::weighted(0.7)).prop_map(|(i, succeeds)| Move::Probes(i, succeeds)),
        1 => Just(Move::Debug),
        1 => Just(Move::Evict),
        1 => any::<bool>().prop_map(Move::Suspend),
        1 => (0u64..40).prop_map(Move::Delete),
    ];
    prop::collection::vec(next, 1..60)
}

/// Fields of a container beside its name.
const EXTRAS: [&str; 4] = [
    "",
    ", lifecycle: {postStart: {sleep: {seconds: 1}}, preStop: {sleep: {seconds: 1}}}",
    ", startupProbe: {periodSeconds: 1, failureThreshold: 2}, livenessProbe: {periodSeconds: 2, failureThreshold: 1}",
    ", readinessProbe: {periodSeconds: 3}, restartPolicy: OnFailure, restartPolicyRules: \
     [{action: RestartAllContainers, exitCodes: {operator: In, values: [1]}}]",
];

/// The spec of a generated pod.
#[derive(Debug, Clone)]
struct Shape {
    policy: &'static str,
    /// For each init container, whether it is a sidecar, and the index of its extras.
    init: Vec<(bool, usize)>,
    /// The index of each app container's extras.
    apps: Vec<usize>,
    deadline: Option<u64>,
}

fn shapes() -> impl Strategy<Value = Shape> {
    let policy = prop_oneof![Just("Always"), Just("OnFailure"), Just("Never")];
    let init = prop::collection::vec((any::<bool>(), 0usize..3), 0..3);
    let apps = prop::collection::vec(0usize..EXTRAS.len(), 1..3);
    let deadline = prop_oneof![3 => Just(None), 1 => (1u64..600).prop_map(Some)];
    (policy, init, apps, deadline).prop_map(|(policy, init, apps, deadline)| Shape { policy, init, apps, deadline })
}

fn pod(shape: &Shape) -> Pod {
    let extras = |i: usize| EXTRAS[i];
    let init = shape.init.iter().enumerate().map(|(i, (sidecar, extra))| {
        // A plain init container has neither probes nor hooks (K52).
        let extra = if *sidecar { format!(", restartPolicy: Always{}", extras(*extra)) } else { String::new() };
        format!("{{name: i{i}, image: x{extra}}}")
    });
    let apps = shape.apps.iter().enumerate().map(|(i, extra)| format!("{{name: a{i}, image: x{}}}", extras(*extra)));
    let deadline = shape.deadline.map_or(String::new(), |d| format!("activeDeadlineSeconds: {d}, "));
    let yaml = format!(
        "{{metadata: {{name: p, namespace: ns, uid: u, generation: 1}}, spec: {{restartPolicy: {}, {deadline}\
         initContainers: [{}], containers: [{}]}}}}",
        shape.policy,
        init.collect::<Vec<_>>().join(", "),
        apps.collect::<Vec<_>>().join(", ")
    );
    serde_yaml::from_str(&yaml).expect("a pod")
}

fn outcome(code: i32) -> ExitStatus {
    ExitStatus { code, reason: String::new(), message: None }
}

fn nth<T: Copy + Ord>(all: &BTreeSet<T>, n: usize) -> Option<T> {
    all.iter().nth(n % all.len().max(1)).copied()
}

/// Applies moves, keeps the state that the node would keep, and checks every step.
struct Scenario {
    pod: Pod,
    state: PodState,
    now: Now,
    setting_up: bool,
    /// The live attempts, and whether each one runs.
    live: BTreeMap<Attempt, bool>,
    terminated: BTreeSet<Attempt>,
    deleted: bool,
    evicted: bool,
    torn_down: bool,
    terminal_phase: Option<String>,
    /// The init containers that have succeeded and the sidecars that have started.
    init_done: BTreeSet<usize>,
    sidecars: Vec<bool>,
    /// The attempts whose postStart or preStop hook runs, and the probes that run.
    post_starts: BTreeSet<Attempt>,
    pre_stops: BTreeSet<Attempt>,
    probes: BTreeSet<(Attempt, ProbeKind)>,
}

impl Scenario {
    fn new(shape: &Shape) -> Scenario {
        let pod = pod(shape);
        let now = Now { mono: MonoTime::ORIGIN, wall: jiff::Timestamp::UNIX_EPOCH };
        Scenario {
            state: PodState::new(&pod),
            pod,
            now,
            setting_up: false,
            live: BTreeMap::new(),
            terminated: BTreeSet::new(),
            deleted: false,
            evicted: false,
            torn_down: false,
            terminal_phase: None,
            init_done: BTreeSet::new(),
            sidecars: shape.init.iter().map(|(sidecar, _)| *sidecar).collect(),
            post_starts: BTreeSet::new(),
            pre_stops: BTreeSet::new(),
            probes: BTreeSet::new(),
        }
    }

    fn apply(&mut self, next: &Move) {
        match *next {
            Move::Wait(seconds) => self.wait(Duration::from_secs(seconds)),
            Move::SetUpSucceeds => self.finish_set_up(Input::SandboxReady { ip: "10.0.0.1".into() }),
            Move::SetUpFails => self.finish_set_up(Input::SandboxFailed { message: Some("no".into()) }),
            Move::Starts(n) => self.start(n),
            Move::FailsToStart(n) => self.fail_start(n),
            Move::NeverRuns(n) => self.fail_run(n),
            Move::Exits(n, code) => self.exit(n, code),
            Move::PostStarts(n, succeeds) => self.finish_post_start(n, succeeds),
            Move::PreStops(n, succeeds) => self.finish_pre_stop(n, succeeds),
            Move::Probes(n, succeeds) => self.finish_probe(n, succeeds),
            Move::Debug => self.add_ephemeral_container(),
            Move::Evict => self.evict(),
            Move::Suspend(gracefully) => self.suspend(gracefully),
            Move::Stale(n) => self.repeat_exit(n),
            Move::Restart(role, index) => self.restart(ContainerRef { role, index }),
            Move::Delete(grace) => self.delete(Duration::from_secs(grace)),
        }
    }

    fn wait(&mut self, time: Duration) {
        self.now.mono += time;
        self.now.wall = self.now.wall.saturating_add(time).expect("in range");
        self.step(Input::Tick);
    }

    fn finish_set_up(&mut self, result: Input) {
        if std::mem::take(&mut self.setting_up) {
            self.step(result);
        }
    }

    /// Returns the `n`th live attempt that runs, or that is still starting.
    fn live_attempt(&self, n: usize, is_running: bool) -> Option<Attempt> {
        let matching = self.live.iter().filter(|(_, runs)| **runs == is_running).map(|(attempt, _)| *attempt);
        nth(&matching.collect(), n)
    }

    fn start(&mut self, n: usize) {
        let Some(attempt) = self.live_attempt(n, false) else { return };
        self.live.insert(attempt, true);
        self.step(Input::Started { attempt, container_id: format!("{attempt:?}"), image_id: String::new() });
    }

    fn fail_start(&mut self, n: usize) {
        let Some(attempt) = self.live_attempt(n, false) else { return };
        self.end(attempt);
        let waiting = WaitingReason { reason: "ErrImagePull".into(), message: String::new() };
        self.step(Input::StartFailed { attempt, waiting });
    }

    fn fail_run(&mut self, n: usize) {
        let Some(attempt) = self.live_attempt(n, false) else { return };
        self.end(attempt);
        let (container_id, image_id) = (format!("{attempt:?}"), String::new());
        let outcome = ExitStatus { reason: "StartError".into(), ..outcome(128) };
        self.step(Input::CannotRun { attempt, container_id, image_id, outcome });
    }

    fn exit(&mut self, n: usize, code: i32) {
        let Some(attempt) = self.live_attempt(n, true) else { return };
        self.end(attempt);
        if code == 0 && attempt.container.role == ContainerRole::Init && !self.is_sidecar(attempt) {
            self.init_done.insert(attempt.container.index);
        }
        self.step(Input::Exited { attempt, outcome: outcome(code) });
    }

    fn finish_post_start(&mut self, n: usize, succeeds: bool) {
        let Some(attempt) = nth(&self.post_starts, n) else { return };
        self.post_starts.remove(&attempt);
        self.step(Input::PostStartFinished { attempt, failure: (!succeeds).then(|| "no".into()) });
    }

    fn finish_pre_stop(&mut self, n: usize, succeeds: bool) {
        let Some(attempt) = nth(&self.pre_stops, n) else { return };
        self.pre_stops.remove(&attempt);
        self.step(Input::PreStopFinished { attempt, failed: !succeeds });
    }

    fn finish_probe(&mut self, n: usize, succeeds: bool) {
        let Some((attempt, kind)) = nth(&self.probes, n) else { return };
        self.probes.remove(&(attempt, kind));
        let result = if succeeds { ProbeResult::Success } else { ProbeResult::Failure("no".into()) };
        self.step(Input::ProbeFinished { attempt, kind, result });
    }

    fn add_ephemeral_container(&mut self) {
        let list = self.pod.spec.get_or_insert_default().ephemeral_containers.get_or_insert_default();
        let name = format!("e{}", list.len());
        list.insert(0, serde_yaml::from_str(&format!("{{name: {name}, image: x}}")).expect("a container"));
        self.step(Input::PodUpdated(Box::new(self.pod.clone())));
    }

    fn evict(&mut self) {
        self.evicted |= !self.torn_down;
        let (reason, message) = ("Evicted".into(), "out of memory".into());
        self.step(Input::Evicted { reason, message, grace: None, disrupts: true });
    }

    fn suspend(&mut self, gracefully: bool) {
        let max_grace = Duration::from_secs(5);
        let suspension = if gracefully { Suspension::Graceful { max_grace } } else { Suspension::Immediate };
        self.step(Input::Suspended(suspension));
    }

    /// Reports the exit of a terminated attempt once more, which must change nothing.
    fn repeat_exit(&mut self, n: usize) {
        let Some(attempt) = nth(&self.terminated, n) else { return };
        let before = self.state.clone();
        self.step(Input::Exited { attempt, outcome: outcome(7) });
        let after = format!("{:?}", self.state);
        assert!(!after.contains("code: 7"), "a stale input was applied: {before:?}");
    }

    fn restart(&mut self, container: ContainerRef) {
        let is_ending =
            self.deleted || self.torn_down || self.state.is_failing() || self.state.ending.suspension.is_some();
        if container.role == ContainerRole::Init && !is_ending {
            // It runs again, and so do the init containers after it.
            self.init_done.retain(|done| *done < container.index);
        }
        self.step(Input::Restart { container, grace: Duration::from_secs(1) });
    }

    fn delete(&mut self, grace: Duration) {
        self.deleted = true;
        self.step(Input::Deleted { grace });
    }

    fn end(&mut self, attempt: Attempt) {
        self.live.remove(&attempt);
        self.terminated.insert(attempt);
        self.pre_stops.remove(&attempt);
        self.probes.retain(|(probed, _)| *probed != attempt);
    }

    fn is_sidecar(&self, attempt: Attempt) -> bool {
        attempt.container.role == ContainerRole::Init && self.sidecars[attempt.container.index]
    }

    fn step(&mut self, input: Input) {
        let mut tears_down = false;
        // A restart rule applies once the exit is published, which may be when a hook finishes.
        let may_restart_all =
            matches!(&input, Input::Exited { .. } | Input::CannotRun { .. } | Input::PostStartFinished { .. });
        let (actions, may_have_changed) = self.state.step_and_check_status(input, self.now);
        if may_restart_all && self.state.containers.values().any(|c| matches!(c.stage, stage::Stage::RestartPending(_)))
        {
            // A rule restarts all containers.
            self.init_done.clear();
        }
        for (index, container) in self.state.containers.init.iter().enumerate() {
            if container.sidecar_gate == super::container::SidecarGate::Open {
                self.init_done.insert(index);
            }
        }
        for action in actions {
            tears_down |= action == Action::TearDownSandbox;
            self.check(action);
        }
        if tears_down {
            return self.step(Input::SandboxRemoved);
        }
        if self.state.is_suspended() {
            // The node reports nothing, so that the stored status continues the pod.
            let restored = PodState::restore(&self.pod, self.now);
            return assert!(!restored.is_terminated(), "a suspended pod goes on: {:?}", self.pod.status);
        }
        let status = Some(self.state.status(&self.pod, "127.0.0.1", self.now.wall));
        assert!(may_have_changed || status == self.pod.status, "a step reported as unchanged changes the status");
        self.pod.status = status;
        self.check_status();
    }

    fn check(&mut self, action: Action) {
        match action {
            Action::SetUpSandbox => self.check_set_up(),
            Action::Start(attempt) => self.check_start(attempt),
            Action::Terminate(attempt) | Action::Kill(attempt) => {
                assert!(self.live.contains_key(&attempt), "only live attempts are stopped");
            }
            Action::PostStart(attempt) => {
                let is_first = self.post_starts.insert(attempt);
                assert!(self.live.contains_key(&attempt) && is_first, "a live attempt runs its hook once");
            }
            Action::PreStop(attempt) => {
                let is_first = self.pre_stops.insert(attempt);
                assert!(self.live.contains_key(&attempt) && is_first, "a live attempt runs its hook once");
            }
            Action::Probe(attempt, kind) => self.check_probe(attempt, kind),
            Action::WakeAt(_) | Action::ReportStatus | Action::RecordEvent(_) | Action::AbandonStart(_) => {}
            Action::TearDownSandbox => self.check_tear_down(),
            Action::RemovePod => {
                assert!(self.deleted && self.torn_down, "only deleted and terminated pods are removed")
            }
        }
    }

    fn check_set_up(&mut self) {
        assert!(!self.setting_up && !self.deleted && !self.torn_down, "a sandbox is set up once, before the end");
        assert!(!self.state.is_suspended(), "a suspended pod sets up nothing");
        self.setting_up = true;
    }

    fn check_start(&mut self, attempt: Attempt) {
        assert!(!self.deleted && !self.torn_down, "nothing starts after the deletion or the end");
        assert!(!self.evicted, "nothing starts after the eviction");
        assert!(!self.state.is_suspended(), "nothing starts in a suspended pod");
        assert!(!self.terminated.contains(&attempt), "an attempt starts once");
        let is_live = self.live.keys().any(|a| a.container == attempt.container);
        assert!(!is_live, "a container has one live attempt");
        let may_run_beside = |a: &Attempt| a.container.role == ContainerRole::Ephemeral || self.is_sidecar(*a);
        let is_init = attempt.container.role == ContainerRole::Init && !self.is_sidecar(attempt);
        assert!(!is_init || self.live.keys().all(may_run_beside), "an init container runs beside sidecars only");
        let before = match attempt.container.role {
            ContainerRole::Init => attempt.container.index,
            ContainerRole::App => self.state.containers.init.len(),
            ContainerRole::Ephemeral => 0,
        };
        assert!((0..before).all(|i| self.init_done.contains(&i)), "init containers come first, in order");
        self.live.insert(attempt, false);
    }

    fn check_probe(&mut self, attempt: Attempt, kind: ProbeKind) {
        assert!(self.live.get(&attempt) == Some(&true), "only running attempts are probed");
        assert!(!self.post_starts.contains(&attempt), "probes wait for the postStart hook");
        assert!(self.probes.insert((attempt, kind)), "a probe runs once at a time");
    }

    fn check_tear_down(&mut self) {
        let is_first = !std::mem::replace(&mut self.torn_down, true);
        assert!(self.live.is_empty() && is_first, "the sandbox is torn down once, after all containers have exited");
    }

    fn check_status(&mut self) {
        let phase = pods::phase(&self.pod).to_string();
        if let Some(terminal) = &self.terminal_phase {
            assert_eq!(&phase, terminal, "a terminal phase never changes");
        } else if matches!(phase.as_str(), "Succeeded" | "Failed") {
            assert!(self.live.is_empty(), "{phase} while a container is live");
            self.terminal_phase = Some(phase);
        }
        for status in self.pod.status.iter().flat_map(|s| s.container_statuses.iter().flatten()) {
            assert!(!status.ready || status.started == Some(true), "ready implies started");
        }
    }
}

proptest! {
    #[test]
    fn properties_hold_for_every_input_sequence(
        shape in shapes(),
        moves in moves(),
    ) {
        let mut scenario = Scenario::new(&shape);
        scenario.step(Input::Tick);
        for next in &moves {
            scenario.apply(next);
        }
        // A deletion terminates every pod, once the containers that were stopped have exited.
        scenario.deleted = true;
        scenario.step(Input::Deleted { grace: Duration::from_secs(1) });
        if scenario.setting_up {
            scenario.apply(&Move::SetUpSucceeds);
        }
        for _ in 0..70 {
            scenario.apply(&Move::Starts(0));
            scenario.apply(&Move::Wait(2));
            scenario.apply(&Move::Exits(0, 137));
        }
        prop_assert!(scenario.torn_down, "{:?}", scenario.state);
    }
}
