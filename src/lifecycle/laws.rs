//! Laws that hold for every sequence of events.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use proptest::prelude::*;

use super::*;
use crate::model::pods;

/// What the world does next; attempts are picked among those that are under way.
#[derive(Debug, Clone)]
enum Move {
    Wait(u64),
    SetUpSucceeds,
    SetUpFails,
    Starts(usize),
    FailsToStart(usize),
    Exits(usize, i32),
    /// A fact about an attempt that is over.
    Stale(usize),
    /// An init or app container's program has changed.
    Restart(Role, usize),
    Delete(u64),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        4 => (0u64..400).prop_map(Move::Wait),
        3 => Just(Move::SetUpSucceeds),
        1 => Just(Move::SetUpFails),
        8 => (0usize..4).prop_map(Move::Starts),
        1 => (0usize..4).prop_map(Move::FailsToStart),
        6 => (0usize..4, prop_oneof![Just(0), Just(1), Just(137)]).prop_map(|(i, code)| Move::Exits(i, code)),
        1 => (0usize..4).prop_map(Move::Stale),
        2 => (prop_oneof![Just(Role::Init), Just(Role::App)], 0usize..3).prop_map(|(role, i)| Move::Restart(role, i)),
        1 => (0u64..40).prop_map(Move::Delete),
    ];
    prop::collection::vec(one, 1..60)
}

fn pod(policy: &str, init: usize, apps: usize) -> Pod {
    let list = |prefix: &str, n: usize| {
        (0..n).map(|i| format!("{{name: {prefix}{i}, image: x}}")).collect::<Vec<_>>().join(", ")
    };
    let yaml = format!(
        "{{metadata: {{name: p, namespace: ns, uid: u, generation: 1}}, spec: {{restartPolicy: {policy}, \
         initContainers: [{}], containers: [{}]}}}}",
        list("i", init),
        list("a", apps)
    );
    serde_yaml::from_str(&yaml).expect("a pod")
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
    torn_down: bool,
    terminal: Option<String>,
    init_done: BTreeSet<usize>,
}

impl Play {
    fn new(pod: Pod) -> Play {
        let now = Now { mono: Duration::ZERO, wall: jiff::Timestamp::UNIX_EPOCH };
        Play {
            state: PodState::new(&pod),
            pod,
            now,
            setting_up: false,
            live: BTreeMap::new(),
            over: BTreeSet::new(),
            deleted: false,
            torn_down: false,
            terminal: None,
            init_done: BTreeSet::new(),
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
                self.step(Event::Tick);
            }
            Move::SetUpSucceeds if self.setting_up => {
                self.setting_up = false;
                self.step(Event::SetUp { ip: "10.0.0.1".into() });
            }
            Move::SetUpFails if self.setting_up => {
                self.setting_up = false;
                self.step(Event::SetUpFailed { message: "no".into() });
            }
            Move::SetUpSucceeds | Move::SetUpFails => {}
            Move::Starts(n) => {
                if let Some(attempt) = pick(false, *n, &self.live) {
                    self.live.insert(attempt, true);
                    self.step(Event::Started {
                        attempt,
                        container_id: format!("{attempt:?}"),
                        image_id: String::new(),
                    });
                }
            }
            Move::FailsToStart(n) => {
                if let Some(attempt) = pick(false, *n, &self.live) {
                    self.end(attempt);
                    let trouble = Trouble { reason: "ErrImagePull".into(), message: String::new() };
                    self.step(Event::StartFailed { attempt, trouble });
                }
            }
            Move::Exits(n, code) => {
                if let Some(attempt) = pick(true, *n, &self.live) {
                    self.end(attempt);
                    if *code == 0 && attempt.container.role == Role::Init {
                        self.init_done.insert(attempt.container.index);
                    }
                    self.step(Event::Exited { attempt, code: *code, reason: String::new(), message: None });
                }
            }
            Move::Stale(n) => {
                let over: Vec<Attempt> = self.over.iter().copied().collect();
                if let Some(attempt) = over.get(n % over.len().max(1)) {
                    let before = self.state.clone();
                    self.step(Event::Exited { attempt: *attempt, code: 7, reason: String::new(), message: None });
                    let codes = format!("{:?}", self.state);
                    assert!(!codes.contains("code: 7"), "a stale fact was believed: {before:?}");
                }
            }
            Move::Restart(role, index) => {
                if *role == Role::Init && !self.deleted && !self.torn_down {
                    // It runs again, and so does what came after it.
                    self.init_done.retain(|done| done < index);
                }
                let container = ContainerRef { role: *role, index: *index };
                self.step(Event::Restart { container, grace: Duration::from_secs(1) });
            }
            Move::Delete(grace) => {
                self.deleted = true;
                self.step(Event::Deleted { grace: Duration::from_secs(*grace) });
            }
        }
    }

    fn end(&mut self, attempt: Attempt) {
        self.live.remove(&attempt);
        self.over.insert(attempt);
    }

    fn step(&mut self, event: Event) {
        for action in self.state.step(event, self.now) {
            self.check(action);
        }
        self.pod.status = Some(self.state.status(&self.pod, "127.0.0.1", self.now.wall));
        self.check_status();
    }

    fn check(&mut self, action: Action) {
        match action {
            Action::SetUp => {
                assert!(!self.setting_up && !self.deleted && !self.torn_down, "set up twice or too late");
                self.setting_up = true;
            }
            Action::Start(attempt) => {
                assert!(!self.deleted && !self.torn_down, "a start after the deletion or the end");
                assert!(!self.over.contains(&attempt), "an attempt starts once");
                let same = self.live.keys().any(|a| a.container == attempt.container);
                assert!(!same, "one attempt of a container at a time");
                let alone = attempt.container.role == Role::App || self.live.is_empty();
                assert!(alone, "an init container runs alone, also when it runs again");
                let before = match attempt.container.role {
                    Role::Init => attempt.container.index,
                    Role::App => self.state.init.len(),
                };
                assert!((0..before).all(|i| self.init_done.contains(&i)), "init containers first, in order");
                self.live.insert(attempt, false);
            }
            Action::AskToExit(attempt) | Action::Kill(attempt) => {
                assert!(self.live.contains_key(&attempt), "only what is alive can be ended");
            }
            Action::WakeAt(_) => {}
            Action::TearDown => {
                assert!(self.live.is_empty() && !self.torn_down, "the end comes once, after everything has ended");
                self.torn_down = true;
            }
            Action::Remove => assert!(self.deleted && self.torn_down, "removed only when deleted and over"),
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
        policy in prop_oneof![Just("Always"), Just("OnFailure"), Just("Never")],
        init in 0usize..3,
        apps in 1usize..3,
        moves in moves(),
    ) {
        let mut play = Play::new(pod(policy, init, apps));
        play.step(Event::Tick);
        for next in &moves {
            play.play(next);
        }
        // A deletion brings every pod to its end, once what was asked or killed has gone.
        play.deleted = true;
        play.step(Event::Deleted { grace: Duration::from_secs(1) });
        if play.setting_up {
            play.play(&Move::SetUpSucceeds);
        }
        for _ in 0..8 {
            play.play(&Move::Starts(0));
            play.play(&Move::Wait(2));
            play.play(&Move::Exits(0, 137));
        }
        prop_assert!(play.torn_down, "{:?}", play.state);
    }
}
