//! Laws that hold for every sequence of events.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use proptest::prelude::*;

use super::*;
use wasmpod_model::pods;

/// What the world does next; attempts are picked among those that are under way.
#[derive(Debug, Clone)]
enum Move {
    Wait(u64),
    SetUpSucceeds,
    SetUpFails,
    Starts(usize),
    FailsToStart(usize),
    NeverRuns(usize),
    Exits(usize, i32),
    /// A fact about an attempt that is over.
    Stale(usize),
    /// An init or app container's program has changed.
    Restart(ContainerRole, usize),
    /// A postStart hook ends, well or not.
    PostStarts(usize, bool),
    /// A preStop hook ends.
    PreStops(usize, bool),
    /// A probe ends, well or not.
    Probes(usize, bool),
    /// Somebody adds a container to look into the pod.
    Debug,
    Evict,
    Delete(u64),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        4 => (0u64..400).prop_map(Move::Wait),
        3 => Just(Move::SetUpSucceeds),
        1 => Just(Move::SetUpFails),
        8 => (0usize..4).prop_map(Move::Starts),
        1 => (0usize..4).prop_map(Move::FailsToStart),
        1 => (0usize..4).prop_map(Move::NeverRuns),
        6 => (0usize..4, prop_oneof![Just(0), Just(1), Just(137)]).prop_map(|(i, code)| Move::Exits(i, code)),
        1 => (0usize..4).prop_map(Move::Stale),
        2 => (prop_oneof![Just(ContainerRole::Init), Just(ContainerRole::App)], 0usize..3).prop_map(|(role, i)| Move::Restart(role, i)),
        4 => (0usize..4, any::<bool>()).prop_map(|(i, well)| Move::PostStarts(i, well)),
        2 => (0usize..4, any::<bool>()).prop_map(|(i, well)| Move::PreStops(i, well)),
        6 => (0usize..4, prop::bool::weighted(0.7)).prop_map(|(i, well)| Move::Probes(i, well)),
        1 => Just(Move::Debug),
        1 => Just(Move::Evict),
        1 => (0u64..40).prop_map(Move::Delete),
    ];
    prop::collection::vec(one, 1..60)
}

/// What a container has beside its name.
const EXTRAS: [&str; 4] = [
    "",
    ", lifecycle: {postStart: {sleep: {seconds: 1}}, preStop: {sleep: {seconds: 1}}}",
    ", startupProbe: {periodSeconds: 1, failureThreshold: 2}, livenessProbe: {periodSeconds: 2, failureThreshold: 1}",
    ", readinessProbe: {periodSeconds: 3}, restartPolicy: OnFailure, restartPolicyRules: \
     [{action: RestartAllContainers, exitCodes: {operator: In, values: [1]}}]",
];

/// How a pod is made: for each init container whether it is a sidecar, and each container's extras.
#[derive(Debug, Clone)]
struct Shape {
    policy: &'static str,
    init: Vec<(bool, usize)>,
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

/// Plays moves, keeps what the node would keep, and checks every step.
struct Play {
    pod: Pod,
    state: PodState,
    now: Now,
    setting_up: bool,
    /// Attempts that were started and have not ended: whether they run.
    live: BTreeMap<Attempt, bool>,
    over: BTreeSet<Attempt>,
    deleted: bool,
    evicted: bool,
    torn_down: bool,
    terminal: Option<String>,
    /// Init containers that have succeeded, sidecars that have started.
    init_done: BTreeSet<usize>,
    sidecars: Vec<bool>,
    /// Attempts whose postStart or preStop hook runs, and probes that do.
    post_starts: BTreeSet<Attempt>,
    pre_stops: BTreeSet<Attempt>,
    probes: BTreeSet<(Attempt, ProbeKind)>,
}

impl Play {
    fn new(shape: &Shape) -> Play {
        let pod = pod(shape);
        let now = Now { mono: Duration::ZERO, wall: jiff::Timestamp::UNIX_EPOCH };
        Play {
            state: PodState::new(&pod),
            pod,
            now,
            setting_up: false,
            live: BTreeMap::new(),
            over: BTreeSet::new(),
            deleted: false,
            evicted: false,
            torn_down: false,
            terminal: None,
            init_done: BTreeSet::new(),
            sidecars: shape.init.iter().map(|(sidecar, _)| *sidecar).collect(),
            post_starts: BTreeSet::new(),
            pre_stops: BTreeSet::new(),
            probes: BTreeSet::new(),
        }
    }

    fn play(&mut self, next: &Move) {
        let pick = |wanted: bool, n: usize, live: &BTreeMap<Attempt, bool>| {
            let those: Vec<Attempt> = live.iter().filter(|(_, runs)| **runs == wanted).map(|(a, _)| *a).collect();
            (!those.is_empty()).then(|| those[n % those.len()])
        };
        match next {
            Move::Wait(seconds) => {
                let passed = Duration::from_secs(*seconds);
                self.now.mono += passed;
                self.now.wall = self.now.wall.saturating_add(passed).expect("in range");
                self.step(Input::Tick);
            }
            Move::SetUpSucceeds if self.setting_up => {
                self.setting_up = false;
                self.step(Input::SandboxReady { ip: "10.0.0.1".into() });
            }
            Move::SetUpFails if self.setting_up => {
                self.setting_up = false;
                self.step(Input::SandboxFailed { message: Some("no".into()) });
            }
            Move::SetUpSucceeds | Move::SetUpFails => {}
            Move::Starts(n) => {
                if let Some(attempt) = pick(false, *n, &self.live) {
                    self.live.insert(attempt, true);
                    self.step(Input::Started {
                        attempt,
                        container_id: format!("{attempt:?}"),
                        image_id: String::new(),
                    });
                }
            }
            Move::FailsToStart(n) => {
                if let Some(attempt) = pick(false, *n, &self.live) {
                    self.end(attempt);
                    let trouble = WaitingReason { reason: "ErrImagePull".into(), message: String::new() };
                    self.step(Input::StartFailed { attempt, trouble });
                }
            }
            Move::NeverRuns(n) => {
                if let Some(attempt) = pick(false, *n, &self.live) {
                    self.end(attempt);
                    let (container_id, image_id) = (format!("{attempt:?}"), String::new());
                    let outcome = ExitStatus { reason: "StartError".into(), ..outcome(128) };
                    self.step(Input::CannotRun { attempt, container_id, image_id, outcome });
                }
            }
            Move::Exits(n, code) => {
                if let Some(attempt) = pick(true, *n, &self.live) {
                    self.end(attempt);
                    if *code == 0 && attempt.container.role == ContainerRole::Init && !self.is_sidecar(attempt) {
                        self.init_done.insert(attempt.container.index);
                    }
                    self.step(Input::Exited { attempt, outcome: outcome(*code) });
                }
            }
            Move::PostStarts(n, well) => {
                if let Some(attempt) = nth(&self.post_starts, *n) {
                    self.post_starts.remove(&attempt);
                    self.step(Input::PostStartFinished { attempt, failed: (!well).then(|| "no".into()) });
                }
            }
            Move::PreStops(n, well) => {
                if let Some(attempt) = nth(&self.pre_stops, *n) {
                    self.pre_stops.remove(&attempt);
                    self.step(Input::PreStopFinished { attempt, failed: !well });
                }
            }
            Move::Probes(n, well) => {
                if let Some((attempt, kind)) = nth(&self.probes, *n) {
                    self.probes.remove(&(attempt, kind));
                    let probed = if *well { ProbeResult::Success } else { ProbeResult::Failure("no".into()) };
                    self.step(Input::ProbeFinished { attempt, kind, probed });
                }
            }
            Move::Debug => {
                let spec = self.pod.spec.get_or_insert_default();
                let list = spec.ephemeral_containers.get_or_insert_default();
                let name = format!("e{}", list.len());
                list.insert(0, serde_yaml::from_str(&format!("{{name: {name}, image: x}}")).expect("a container"));
                self.step(Input::PodUpdated(Box::new(self.pod.clone())));
            }
            Move::Evict => {
                self.evicted |= !self.torn_down;
                self.step(Input::Evicted {
                    reason: "Evicted".into(),
                    message: "no room".into(),
                    grace: None,
                    disrupts: true,
                });
            }
            Move::Stale(n) => {
                let over: Vec<Attempt> = self.over.iter().copied().collect();
                if let Some(attempt) = over.get(n % over.len().max(1)) {
                    let before = self.state.clone();
                    self.step(Input::Exited { attempt: *attempt, outcome: outcome(7) });
                    let codes = format!("{:?}", self.state);
                    assert!(!codes.contains("code: 7"), "a stale fact was believed: {before:?}");
                }
            }
            Move::Restart(role, index) => {
                if *role == ContainerRole::Init && !self.deleted && !self.torn_down && self.state.failing.is_none() {
                    // It runs again, and so does what came after it.
                    self.init_done.retain(|done| done < index);
                }
                let container = ContainerRef { role: *role, index: *index };
                self.step(Input::Restart { container, grace: Duration::from_secs(1) });
            }
            Move::Delete(grace) => {
                self.deleted = true;
                self.step(Input::Deleted { grace: Duration::from_secs(*grace) });
            }
        }
    }

    fn end(&mut self, attempt: Attempt) {
        self.live.remove(&attempt);
        self.over.insert(attempt);
        self.pre_stops.remove(&attempt);
        self.probes.retain(|(probed, _)| *probed != attempt);
    }

    fn is_sidecar(&self, attempt: Attempt) -> bool {
        attempt.container.role == ContainerRole::Init && self.sidecars[attempt.container.index]
    }

    fn step(&mut self, event: Input) {
        let mut again = false;
        // What a rule says of an end follows once the end is seen, which may be with that of a hook.
        let all = matches!(&event, Input::Exited { .. } | Input::CannotRun { .. } | Input::PostStartFinished { .. });
        let (actions, news) = self.state.step_with_news(event, self.now);
        if all && self.state.containers().any(|c| matches!(c.stage, stage::Stage::RestartPending(_))) {
            // A rule had all containers begin again.
            self.init_done.clear();
        }
        for (index, container) in self.state.init.iter().enumerate() {
            if container.release == super::container::SidecarGate::Open {
                self.init_done.insert(index);
            }
        }
        for action in actions {
            again |= action == Action::TearDownSandbox;
            self.check(action);
        }
        if again {
            return self.step(Input::SandboxRemoved);
        }
        let status = Some(self.state.status(&self.pod, "127.0.0.1", self.now.wall));
        assert!(news || status == self.pod.status, "a step without news that changes the status");
        self.pod.status = status;
        self.check_status();
    }

    fn check(&mut self, action: Action) {
        match action {
            Action::SetUpSandbox => {
                assert!(!self.setting_up && !self.deleted && !self.torn_down, "set up twice or too late");
                self.setting_up = true;
            }
            Action::Start(attempt) => {
                assert!(!self.deleted && !self.torn_down, "a start after the deletion or the end");
                assert!(!self.over.contains(&attempt), "an attempt starts once");
                let same = self.live.keys().any(|a| a.container == attempt.container);
                assert!(!same, "one attempt of a container at a time");
                assert!(!self.evicted, "a start after the eviction");
                let beside = |a: &Attempt| a.container.role == ContainerRole::Ephemeral || self.is_sidecar(*a);
                let alone = attempt.container.role != ContainerRole::Init || self.is_sidecar(attempt);
                assert!(alone || self.live.keys().all(beside), "an init container runs alone but for sidecars");
                let before = match attempt.container.role {
                    ContainerRole::Init => attempt.container.index,
                    ContainerRole::App => self.state.init.len(),
                    ContainerRole::Ephemeral => 0,
                };
                assert!((0..before).all(|i| self.init_done.contains(&i)), "init containers first, in order");
                self.live.insert(attempt, false);
            }
            Action::Terminate(attempt) | Action::Kill(attempt) => {
                assert!(self.live.contains_key(&attempt), "only what is alive can be ended");
            }
            Action::PostStart(attempt) => {
                assert!(
                    self.live.contains_key(&attempt) && self.post_starts.insert(attempt),
                    "one hook, of what lives"
                );
            }
            Action::PreStop(attempt) => {
                assert!(self.live.contains_key(&attempt) && self.pre_stops.insert(attempt), "one hook, of what lives");
            }
            Action::Probe(attempt, kind) => {
                assert!(self.live.get(&attempt) == Some(&true), "only what runs is probed");
                assert!(!self.post_starts.contains(&attempt), "nothing is probed before its postStart hook is over");
                assert!(self.probes.insert((attempt, kind)), "one attempt of a probe at a time");
            }
            Action::WakeAt(_) | Action::ReportStatus | Action::RecordEvent(_) => {}
            Action::TearDownSandbox => {
                assert!(self.live.is_empty() && !self.torn_down, "the end comes once, after everything has ended");
                self.torn_down = true;
            }
            Action::RemovePod => assert!(self.deleted && self.torn_down, "removed only when deleted and over"),
        }
    }

    fn check_status(&mut self) {
        let phase = pods::phase(&self.pod).to_string();
        if let Some(terminal) = &self.terminal {
            assert_eq!(&phase, terminal, "a final phase is final");
        } else if matches!(phase.as_str(), "Succeeded" | "Failed") {
            assert!(self.live.is_empty(), "{phase} while something may run");
            self.terminal = Some(phase);
        }
        for status in self.pod.status.iter().flat_map(|s| s.container_statuses.iter().flatten()) {
            assert!(!status.ready || status.started == Some(true), "ready implies started");
        }
    }
}

proptest! {
    #[test]
    fn no_sequence_of_events_breaks_the_laws(
        shape in shapes(),
        moves in moves(),
    ) {
        let mut play = Play::new(&shape);
        play.step(Input::Tick);
        for next in &moves {
            play.play(next);
        }
        // A deletion brings every pod to its end, once what was asked or killed has gone.
        play.deleted = true;
        play.step(Input::Deleted { grace: Duration::from_secs(1) });
        if play.setting_up {
            play.play(&Move::SetUpSucceeds);
        }
        for _ in 0..70 {
            play.play(&Move::Starts(0));
            play.play(&Move::Wait(2));
            play.play(&Move::Exits(0, 137));
        }
        prop_assert!(play.torn_down, "{:?}", play.state);
    }
}
