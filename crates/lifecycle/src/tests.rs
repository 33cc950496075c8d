//! Short scenarios, driven input by input.

mod suspension;

use std::time::Duration;

use super::*;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodStatus};

/// A pod and its state.
struct Story {
    pod: Pod,
    state: PodState,
    now: Now,
}

const CONTAINER: fn(&str) -> String = |name| format!("{{name: {name}, image: busybox}}");

impl Story {
    fn new(policy: &str, init: &[&str], apps: &[&str]) -> Story {
        let list = |names: &[&str]| names.iter().map(|n| CONTAINER(n)).collect::<Vec<_>>().join(", ");
        let yaml = format!(
            "{{metadata: {{name: p, namespace: ns, uid: u, generation: 1}}, spec: {{restartPolicy: {policy}, \
             initContainers: [{}], containers: [{}]}}}}",
            list(init),
            list(apps)
        );
        let pod: Pod = serde_yaml::from_str(&yaml).expect("a pod");
        let now = Now { mono: MonoTime::ORIGIN, wall: "2026-01-01T00:00:00Z".parse().expect("a time") };
        Story { state: PodState::new(&pod), pod, now }
    }

    /// Returns the actions that `input` leads to, without reports and events. Wake-ups at once and the removal of the
    /// sandbox are performed.
    fn step(&mut self, input: Input) -> Vec<Action> {
        let mut done = Vec::new();
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            for action in self.state.step(input, self.now) {
                match action {
                    Action::ReportStatus | Action::RecordEvent(_) => {}
                    Action::WakeAt(at) if at == self.now.mono => inputs.push(Input::Tick),
                    Action::TearDownSandbox => {
                        done.push(Action::TearDownSandbox);
                        inputs.push(Input::SandboxRemoved);
                    }
                    action => done.push(action),
                }
            }
            self.pod.status = Some(self.state.status(&self.pod, "127.0.0.1", self.now.wall));
        }
        done
    }

    fn after(&mut self, seconds: u64) -> &mut Story {
        let passed = Duration::from_secs(seconds);
        self.now.mono += passed;
        self.now.wall = self.now.wall.saturating_add(passed).expect("in range");
        self
    }

    /// Returns a pod whose sandbox is ready and whose first containers are starting.
    fn set_up(policy: &str, init: &[&str], apps: &[&str]) -> Story {
        let mut story = Story::new(policy, init, apps);
        assert_eq!(story.step(Input::Tick), [Action::SetUpSandbox]);
        story.step(Input::SandboxReady { ip: "10.0.0.1".into() });
        story
    }

    fn started(&mut self, role: ContainerRole, index: usize, number: u32) -> Vec<Action> {
        let attempt = attempt(role, index, number);
        self.step(Input::Started { attempt, container_id: format!("wasmpod://{number}"), image_id: "i".into() })
    }

    fn exited(&mut self, role: ContainerRole, index: usize, number: u32, code: i32) -> Vec<Action> {
        let reason = if code == 0 { "Completed" } else { "Error" }.to_string();
        let outcome = ExitStatus { code, reason, message: None };
        self.step(Input::Exited { attempt: attempt(role, index, number), outcome })
    }

    fn status(&self) -> &PodStatus {
        self.pod.status.as_ref().expect("a status")
    }

    fn phase(&self) -> &str {
        wasmpod_model::pods::phase(&self.pod)
    }

    fn condition(&self, kind: &str) -> (String, Option<String>, Option<String>) {
        let all = self.status().conditions.as_ref().expect("conditions");
        let condition = all.iter().find(|c| c.type_ == kind).expect("the condition");
        (condition.status.clone(), condition.reason.clone(), condition.message.clone())
    }

    fn container(&self, name: &str) -> &ContainerStatus {
        let status = self.status();
        let init = status.init_container_statuses.iter().flatten();
        init.chain(status.container_statuses.iter().flatten()).find(|c| c.name == name).expect("the container")
    }

    /// Returns `state` and `lastState` as `waiting CrashLoopBackOff`, `running` or `terminated 1`.
    fn states(&self, name: &str) -> (String, String) {
        let text = |state: &Option<k8s_openapi::api::core::v1::ContainerState>| {
            let Some(state) = state else { return String::new() };
            match (&state.waiting, &state.running, &state.terminated) {
                (Some(w), _, _) => format!("waiting {}", w.reason.clone().unwrap_or_default()),
                (_, Some(_), _) => "running".into(),
                (_, _, Some(t)) => format!("terminated {}", t.exit_code),
                _ => String::new(),
            }
        };
        let container = self.container(name);
        (text(&container.state), text(&container.last_state))
    }
}

fn attempt(role: ContainerRole, index: usize, number: u32) -> Attempt {
    Attempt { container: ContainerRef { role, index }, number }
}

fn start(role: ContainerRole, index: usize, number: u32) -> Action {
    Action::Start(attempt(role, index, number))
}

#[test]
fn init_containers_run_in_order_before_apps() {
    let mut story = Story::new("Always", &["a", "b"], &["x", "y"]);
    story.step(Input::Tick);
    assert_eq!(story.step(Input::SandboxReady { ip: "10.0.0.1".into() }), [start(ContainerRole::Init, 0, 1)]);
    assert_eq!(story.started(ContainerRole::Init, 0, 1), []);
    assert_eq!(story.exited(ContainerRole::Init, 0, 1, 0), [start(ContainerRole::Init, 1, 1)]);
    story.started(ContainerRole::Init, 1, 1);
    assert_eq!(story.condition("Initialized").2.as_deref(), Some("containers with incomplete status: [b]"));
    assert_eq!(story.exited(ContainerRole::Init, 1, 1, 0), [start(ContainerRole::App, 0, 1)]);
    assert_eq!(story.condition("Initialized").0, "True");
    assert_eq!(story.phase(), "Pending");
    assert_eq!(
        story.started(ContainerRole::App, 0, 1),
        [start(ContainerRole::App, 1, 1)],
        "once the container before it runs"
    );
}

#[test]
fn phase_follows_the_containers() {
    for (policy, init, codes, phase) in [
        ("Always", None, [Some(0), Some(0)], "Running"),
        ("Always", None, [Some(1), None], "Running"),
        ("OnFailure", None, [Some(0), Some(0)], "Succeeded"),
        ("OnFailure", None, [Some(0), Some(1)], "Running"),
        ("Never", None, [Some(0), Some(0)], "Succeeded"),
        ("Never", None, [Some(0), Some(1)], "Failed"),
        ("Never", None, [Some(1), None], "Running"),
        ("Never", Some(1), [None, None], "Failed"),
        ("Always", Some(1), [None, None], "Pending"),
    ] {
        let mut story = Story::set_up(policy, if init.is_some() { &["i"] } else { &[] }, &["a", "b"]);
        if let Some(code) = init {
            story.started(ContainerRole::Init, 0, 1);
            story.exited(ContainerRole::Init, 0, 1, code);
        } else {
            for (index, code) in codes.into_iter().enumerate() {
                story.started(ContainerRole::App, index, 1);
                if let Some(code) = code {
                    story.exited(ContainerRole::App, index, 1, code);
                }
            }
        }
        assert_eq!(story.phase(), phase, "{policy} {init:?} {codes:?}");
    }
}

#[test]
fn failed_init_container_ends_a_pod_that_never_restarts() {
    let mut story = Story::set_up("Never", &["i"], &["a"]);
    story.started(ContainerRole::Init, 0, 1);
    assert_eq!(story.exited(ContainerRole::Init, 0, 1, 1), [Action::TearDownSandbox]);
    assert_eq!(story.states("a").0, "waiting PodInitializing");
    assert_eq!(story.condition("Ready"), ("False".into(), Some("PodFailed".into()), None));
    assert_eq!(story.condition("PodReadyToStartContainers").0, "False");
}

#[test]
fn pod_whose_starts_are_abandoned_ends_at_once() {
    let mut story = Story::set_up("Always", &[], &["a"]);
    let (a, grace) = (attempt(ContainerRole::App, 0, 1), Duration::from_secs(30));
    let deadline = story.now.mono + grace;
    let deleted = story.step(Input::Deleted { grace });
    assert_eq!(deleted, [Action::AbandonStart(a), Action::WakeAt(deadline)]);
    let waiting = WaitingReason { reason: "ContainerCreating".into(), message: String::new() };
    let ended = story.step(Input::StartFailed { attempt: a, waiting });
    assert_eq!(ended, [Action::TearDownSandbox, Action::RemovePod]);
}

#[test]
fn terminal_phase_never_changes() {
    let mut story = Story::set_up("Never", &[], &["a"]);
    story.started(ContainerRole::App, 0, 1);
    story.exited(ContainerRole::App, 0, 1, 0);
    assert_eq!(story.phase(), "Succeeded");
    for input in [Input::Tick, Input::SandboxReady { ip: "10.0.0.9".into() }] {
        assert_eq!(story.step(input), []);
    }
    assert_eq!(story.exited(ContainerRole::App, 0, 1, 5), []);
    assert_eq!(story.phase(), "Succeeded");
}

#[test]
fn crashing_container_shows_terminated_then_back_off() {
    let mut story = Story::set_up("Always", &[], &["c"]);
    story.started(ContainerRole::App, 0, 1);
    assert_eq!(story.states("c"), ("running".into(), String::new()));
    // The first restart is at once; until it runs, the status shows the termination.
    assert_eq!(story.after(1).exited(ContainerRole::App, 0, 1, 1), [start(ContainerRole::App, 0, 2)]);
    assert_eq!((story.states("c").0.as_str(), story.container("c").restart_count), ("terminated 1", 0));
    story.started(ContainerRole::App, 0, 2);
    assert_eq!(story.states("c"), ("running".into(), "terminated 1".into()));
    assert_eq!(story.container("c").restart_count, 1);
    // The second restart waits ten seconds from the exit.
    let now = story.after(1).now.mono;
    assert_eq!(story.exited(ContainerRole::App, 0, 2, 2), [Action::WakeAt(now + Duration::from_secs(1))]);
    assert_eq!(story.states("c"), ("terminated 2".into(), "terminated 1".into()));
    let restart_at = now + Duration::from_secs(10);
    assert_eq!(story.after(1).step(Input::Tick), [Action::WakeAt(restart_at)]);
    assert_eq!(story.states("c"), ("waiting CrashLoopBackOff".into(), "terminated 2".into()));
    let waiting = story.container("c").state.as_ref().and_then(|s| s.waiting.as_ref()).expect("waiting");
    let message = "back-off 10s restarting failed container=c pod=p_ns(u)";
    assert_eq!(waiting.message.as_deref(), Some(message));
    assert_eq!(story.phase(), "Running");
    assert_eq!(story.after(8).step(Input::Tick), [Action::WakeAt(restart_at)]);
    assert_eq!(story.after(1).step(Input::Tick), [start(ContainerRole::App, 0, 3)]);
}

#[test]
fn conditions_list_unready_containers() {
    let mut story = Story::set_up("Always", &[], &["b", "a"]);
    let kinds: Vec<_> = story.status().conditions.iter().flatten().map(|c| c.type_.as_str()).collect();
    assert_eq!(kinds, ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"]);
    let unready = "containers with unready status: [b a]".to_string();
    assert_eq!(story.condition("Ready"), ("False".into(), Some("ContainersNotReady".into()), Some(unready)));
    story.started(ContainerRole::App, 0, 1);
    assert_eq!(story.condition("ContainersReady").2.as_deref(), Some("containers with unready status: [a]"));
    story.started(ContainerRole::App, 1, 1);
    assert_eq!(story.condition("Ready"), ("True".into(), None, None));
    let names: Vec<_> = story.status().container_statuses.iter().flatten().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["a", "b"], "sorted by name (K11)");
}

#[test]
fn completed_pod_is_initialized_and_not_ready() {
    let mut story = Story::set_up("Never", &["i"], &["a"]);
    story.started(ContainerRole::Init, 0, 1);
    story.exited(ContainerRole::Init, 0, 1, 0);
    story.started(ContainerRole::App, 0, 1);
    story.exited(ContainerRole::App, 0, 1, 0);
    for (kind, status) in [("Initialized", "True"), ("Ready", "False"), ("ContainersReady", "False")] {
        assert_eq!(story.condition(kind), (status.into(), Some("PodCompleted".into()), None), "{kind}");
    }
}

#[test]
fn deletion_terminates_then_kills_then_removes() {
    let mut story = Story::set_up("Always", &[], &["a", "b"]);
    story.started(ContainerRole::App, 0, 1);
    let grace = Duration::from_secs(30);
    let deadline = story.now.mono + grace;
    let (a, b) = (attempt(ContainerRole::App, 0, 1), attempt(ContainerRole::App, 1, 1));
    // b is still starting: it is terminated as soon as it runs, unless its start can be abandoned.
    let actions = [Action::Terminate(a), Action::WakeAt(deadline), Action::AbandonStart(b), Action::WakeAt(deadline)];
    assert_eq!(story.step(Input::Deleted { grace }), actions);
    let actions = [Action::WakeAt(deadline), Action::Terminate(b), Action::WakeAt(deadline)];
    assert_eq!(story.started(ContainerRole::App, 1, 1), actions);
    assert_eq!(story.exited(ContainerRole::App, 1, 1, 143), [Action::WakeAt(deadline)]);
    assert_eq!(story.after(30).step(Input::Tick), [Action::Kill(a)]);
    assert_eq!(story.step(Input::Tick), [], "killed once");
    assert_eq!(story.exited(ContainerRole::App, 0, 1, 137), [Action::TearDownSandbox, Action::RemovePod]);
    assert_eq!(story.phase(), "Failed");
    assert_eq!(story.step(Input::Tick), [Action::RemovePod], "until the object is removed");
}

#[test]
fn second_deletion_only_shortens_the_deadline() {
    let mut story = Story::set_up("Always", &[], &["a"]);
    story.started(ContainerRole::App, 0, 1);
    story.step(Input::Deleted { grace: Duration::from_secs(30) });
    let grace = Duration::from_secs(2);
    let deadline = story.now.mono + grace;
    assert_eq!(story.step(Input::Deleted { grace }), [Action::WakeAt(deadline)]);
    assert_eq!(story.step(Input::Deleted { grace: Duration::from_secs(60) }), [Action::WakeAt(deadline)]);
}

#[test]
fn failed_start_is_retried_after_relist_then_at_each_sync() {
    let mut story = Story::set_up("Never", &[], &["a"]);
    let waiting = WaitingReason { reason: "CreateContainerConfigError".into(), message: "no".into() };
    let fails = |story: &mut Story, number| {
        story.step(Input::StartFailed { attempt: attempt(ContainerRole::App, 0, number), waiting: waiting.clone() })
    };
    assert_eq!(fails(&mut story, 1), [Action::WakeAt(MonoTime::from_origin(Duration::from_secs(1)))]);
    assert_eq!(story.states("a").0, "waiting CreateContainerConfigError");
    assert_eq!(story.after(1).step(Input::Tick), [start(ContainerRole::App, 0, 2)]);
    assert_eq!(fails(&mut story, 1), [], "a late input about the first attempt");
    assert_eq!(fails(&mut story, 2), [Action::WakeAt(MonoTime::from_origin(Duration::from_millis(13_500)))]);
    assert_eq!(story.container("a").restart_count, 0);
}

#[test]
fn image_pull_backoff_doubles() {
    let mut story = Story::set_up("Always", &[], &["a"]);
    let mut pulls = Vec::new();
    let mut reasons = Vec::new();
    let mut number = 1;
    for second in 0..80 {
        for action in story.step(Input::Tick).into_iter().chain((second == 0).then(|| start(ContainerRole::App, 0, 1)))
        {
            if action == start(ContainerRole::App, 0, number) {
                pulls.push(second);
                let waiting = WaitingReason { reason: "ErrImagePull".into(), message: "none".into() };
                story.step(Input::StartFailed { attempt: attempt(ContainerRole::App, 0, number), waiting });
                number += 1;
            }
        }
        let state = story.container("a").state.clone().and_then(|s| s.waiting).expect("waiting");
        let shown = (state.reason.expect("a reason"), state.message.expect("a message"));
        if reasons.last() != Some(&shown) {
            reasons.push(shown);
        }
        story.after(1);
    }
    assert_eq!(pulls, [0, 10, 30, 70], "10, 20, 40 seconds between");
    let pull = ("ErrImagePull".to_string(), "none".to_string());
    let words = r#"Back-off pulling image "busybox": ErrImagePull: none"#;
    assert_eq!(reasons[..2], [pull, ("ImagePullBackOff".into(), words.into())]);
}

#[test]
fn restored_pod_continues_and_marks_running_containers_lost() {
    let mut story = Story::set_up("Always", &["i"], &["a", "b"]);
    story.started(ContainerRole::Init, 0, 1);
    story.exited(ContainerRole::Init, 0, 1, 0);
    for (index, number) in [(0, 1), (1, 1)] {
        story.started(ContainerRole::App, index, number);
    }
    story.after(1).exited(ContainerRole::App, 0, 1, 1);
    story.started(ContainerRole::App, 0, 2);
    story.after(1).exited(ContainerRole::App, 0, 2, 1);
    story.after(1).step(Input::Tick);
    assert_eq!(story.states("a").0, "waiting CrashLoopBackOff");

    let mut restored =
        Story { pod: story.pod.clone(), state: PodState::restore(&story.pod, story.now), now: story.now };
    assert_eq!(restored.step(Input::Tick), [Action::SetUpSandbox]);
    assert_eq!(restored.step(Input::SandboxReady { ip: "10.0.0.2".into() }).len(), 2);
    assert_eq!(restored.states("a"), story.states("a"));
    assert_eq!(restored.container("a").restart_count, story.container("a").restart_count);
    assert_eq!(restored.states("b").0, "terminated 137");
    assert_eq!(restored.states("i").0, "terminated 0");
    // The back-off ends when it would have ended without the restart of the node.
    for story in [&mut story, &mut restored] {
        assert_eq!(story.after(8).step(Input::Tick).iter().filter(|a| matches!(a, Action::Start(_))).count(), 0);
        let starts = story.after(1).step(Input::Tick);
        assert_eq!(starts.iter().filter(|a| matches!(a, Action::Start(_))).count(), 1, "{starts:?}");
    }
}

/// Returns a change of a container, whose live attempt has one second to exit.
fn changed(role: ContainerRole, index: usize) -> Input {
    Input::Restart { container: ContainerRef { role, index }, grace: Duration::from_secs(1) }
}

#[test]
fn outdated_container_restarts_at_once_under_any_policy() {
    for policy in ["Always", "OnFailure", "Never"] {
        let mut story = Story::set_up(policy, &[], &["c", "d"]);
        story.started(ContainerRole::App, 0, 1);
        story.started(ContainerRole::App, 1, 1);
        for number in 1..5 {
            // However often: there is no back-off.
            let deadline = story.after(1).now.mono + Duration::from_secs(1);
            let c = attempt(ContainerRole::App, 0, number);
            assert_eq!(
                story.step(changed(ContainerRole::App, 0)),
                [Action::Terminate(c), Action::WakeAt(deadline)],
                "{policy}"
            );
            assert_eq!(
                story.step(changed(ContainerRole::App, 0)),
                [Action::WakeAt(deadline)],
                "another change, but one restart"
            );
            assert_eq!(
                story.exited(ContainerRole::App, 0, number, 0),
                [start(ContainerRole::App, 0, number + 1)],
                "{policy}"
            );
            story.started(ContainerRole::App, 0, number + 1);
            assert_eq!(story.states("c"), ("running".into(), "terminated 0".into()));
            assert_eq!(story.container("c").restart_count, i32::try_from(number).expect("small"));
        }
        assert_eq!(story.container("d").restart_count, 0, "the other container keeps running");
    }
}

#[test]
fn outdated_container_is_killed_at_its_deadline() {
    let mut story = Story::set_up("Always", &[], &["c"]);
    story.started(ContainerRole::App, 0, 1);
    story.step(changed(ContainerRole::App, 0));
    assert_eq!(story.after(1).step(Input::Tick), [Action::Kill(attempt(ContainerRole::App, 0, 1))]);
    assert_eq!(story.exited(ContainerRole::App, 0, 1, 137), [start(ContainerRole::App, 0, 2)]);
}

#[test]
fn change_ends_and_resets_the_backoff() {
    let mut story = Story::set_up("Always", &[], &["c"]);
    for number in 1..3 {
        story.started(ContainerRole::App, 0, number);
        story.after(1).exited(ContainerRole::App, 0, number, 1);
    }
    story.after(1).step(Input::Tick);
    assert_eq!(story.states("c").0, "waiting CrashLoopBackOff");
    assert_eq!(story.step(changed(ContainerRole::App, 0)), [start(ContainerRole::App, 0, 3)]);
    story.started(ContainerRole::App, 0, 3);
    story.after(1).exited(ContainerRole::App, 0, 3, 1);
    story.after(1).step(Input::Tick);
    let waiting = story.container("c").state.as_ref().and_then(|s| s.waiting.as_ref()).expect("waiting");
    let message = waiting.message.as_deref().expect("a message");
    assert!(message.starts_with("back-off 10s "), "the first back-off again: {message}");
}

#[test]
fn outdated_init_container_waits_for_later_ones_to_exit() {
    let mut story = Story::set_up("Never", &["i", "j"], &["a", "b"]);
    for index in 0..2 {
        story.started(ContainerRole::Init, index, 1);
        story.exited(ContainerRole::Init, index, 1, 0);
        story.started(ContainerRole::App, index, 1);
    }
    for index in 0..2 {
        story.started(ContainerRole::App, index, 1);
    }
    let actions = story.step(changed(ContainerRole::Init, 1));
    let terminates = |action: &&Action| matches!(action, Action::Terminate(_));
    assert_eq!(actions.iter().filter(terminates).count(), 2, "{actions:?}");
    story.exited(ContainerRole::App, 0, 1, 143);
    assert_eq!(story.exited(ContainerRole::App, 1, 1, 143), [start(ContainerRole::Init, 1, 2)]);
    story.started(ContainerRole::Init, 1, 2);
    assert_eq!(story.exited(ContainerRole::Init, 1, 2, 0), [start(ContainerRole::App, 0, 2)]);
    assert_eq!(story.started(ContainerRole::App, 0, 2), [start(ContainerRole::App, 1, 2)]);
    assert_eq!(story.container("i").restart_count, 0, "the init container before it does not restart");
}

#[test]
fn change_of_a_terminated_or_deleted_pod_starts_nothing() {
    let mut story = Story::set_up("Never", &[], &["a"]);
    story.started(ContainerRole::App, 0, 1);
    story.exited(ContainerRole::App, 0, 1, 0);
    assert_eq!(story.step(changed(ContainerRole::App, 0)), []);
    let mut story = Story::set_up("Always", &[], &["a"]);
    story.started(ContainerRole::App, 0, 1);
    story.step(Input::Deleted { grace: Duration::from_secs(30) });
    story.step(changed(ContainerRole::App, 0));
    assert_eq!(story.exited(ContainerRole::App, 0, 1, 143), [Action::TearDownSandbox, Action::RemovePod]);
}

#[test]
fn probe_failure_backoff_counts_from_the_attempt_before() {
    let yaml = "{metadata: {name: p, namespace: ns, uid: u}, spec: {terminationGracePeriodSeconds: 1, containers: [
        {name: c, image: x, livenessProbe: {periodSeconds: 2, failureThreshold: 1}}]}}";
    let mut story = Story { pod: serde_yaml::from_str(yaml).expect("a pod"), ..Story::new("Always", &[], &["c"]) };
    story.state = PodState::new(&story.pod);
    story.step(Input::Tick);
    story.step(Input::SandboxReady { ip: "10.0.0.1".into() });
    let mut starts = vec![];
    for second in 0..40 {
        let mut actions = story.step(Input::Tick);
        if second == 0 {
            actions.push(start(ContainerRole::App, 0, 1));
        }
        while let Some(action) = actions.pop() {
            actions.extend(match action {
                Action::Start(attempt) => {
                    starts.push(second);
                    story.started(ContainerRole::App, 0, attempt.number)
                }
                Action::Probe(attempt, kind) => {
                    story.step(Input::ProbeFinished { attempt, kind, result: ProbeResult::Failure("no".into()) })
                }
                Action::Kill(attempt) => story.exited(ContainerRole::App, 0, attempt.number, 137),
                _ => vec![],
            });
        }
        story.after(1);
    }
    // Each attempt is probed after two seconds and takes two to exit. Two restarts follow at once, the third after ten
    // seconds.
    assert_eq!(starts, [0, 4, 6, 18], "{:?}", story.states("c"));
}
