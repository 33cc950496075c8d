//! Pods that stop with their node, and go on when it runs again.

use super::*;

/// Returns the actions of a suspension beside wake-ups.
fn suspend(story: &mut Story, suspension: Suspension) -> Vec<Action> {
    let actions = story.step(Input::Suspended(suspension)).into_iter();
    actions.filter(|action| !matches!(action, Action::WakeAt(_))).collect()
}

/// Returns a running pod whose container has a preStop hook.
fn with_pre_stop() -> Story {
    let mut story = Story::new("Always", &[], &["c"]);
    let spec = story.pod.spec.as_mut().expect("a spec");
    let hook = serde_json::json!({"preStop": {"sleep": {"seconds": 1}}});
    spec.containers[0].lifecycle = Some(serde_json::from_value(hook).expect("a hook"));
    story.state = PodState::new(&story.pod);
    story.step(Input::Tick);
    story.step(Input::SandboxReady { ip: "10.0.0.1".into() });
    story.started(ContainerRole::App, 0, 1);
    story
}

#[test]
fn suspended_pod_stops_in_order_and_restores_as_lost() {
    let mut story = with_pre_stop();
    let (stored, attempt) = (story.pod.clone(), attempt(ContainerRole::App, 0, 1));
    let graceful = Suspension::Graceful { max_grace: Duration::from_secs(10) };
    assert_eq!(suspend(&mut story, graceful), [Action::PreStop(attempt)]);
    assert!(story.state.is_suspended());
    let finished = story.after(1).step(Input::PreStopFinished { attempt, failed: false });
    assert_eq!(finished[0], Action::Terminate(attempt));
    // Repeating it gives no more time.
    story.after(8).step(Input::Suspended(graceful));
    assert_eq!(story.after(1).step(Input::Tick), [Action::Kill(attempt)]);
    assert_eq!(story.exited(ContainerRole::App, 0, 1, 137), [Action::TearDownSandbox]);
    assert!(story.state.is_terminated() && story.state.is_suspended());

    let mut restored = Story { state: PodState::restore(&stored, story.now), pod: stored, now: story.now };
    assert_eq!(restored.step(Input::Tick), [Action::SetUpSandbox]);
    assert_eq!(restored.step(Input::SandboxReady { ip: "10.0.0.2".into() }), [start(ContainerRole::App, 0, 2)]);
    restored.started(ContainerRole::App, 0, 2);
    assert_eq!((restored.phase(), restored.container("c").restart_count), ("Running", 1));
}

#[test]
fn immediate_suspension_skips_hooks_and_kills_soon() {
    let mut story = with_pre_stop();
    let attempt = attempt(ContainerRole::App, 0, 1);
    assert_eq!(suspend(&mut story, Suspension::Immediate), [Action::Terminate(attempt)]);
    story.now.mono += Duration::from_millis(500);
    assert_eq!(story.step(Input::Tick), [Action::Kill(attempt)]);
}

#[test]
fn pods_that_end_already_are_not_suspended() {
    let graceful = Suspension::Graceful { max_grace: Duration::from_secs(1) };
    let mut deleted = with_pre_stop();
    deleted.step(Input::Deleted { grace: Duration::from_secs(30) });
    suspend(&mut deleted, graceful);
    assert!(!deleted.state.is_suspended());
    assert_eq!(deleted.after(1).step(Input::Tick)[0], Action::Terminate(attempt(ContainerRole::App, 0, 1)));
    assert_eq!(deleted.exited(ContainerRole::App, 0, 1, 143), [Action::TearDownSandbox, Action::RemovePod]);

    let mut complete = Story::set_up("Never", &[], &["c"]);
    complete.started(ContainerRole::App, 0, 1);
    complete.exited(ContainerRole::App, 0, 1, 0);
    suspend(&mut complete, graceful);
    assert!(!complete.state.is_suspended());
    assert_eq!(complete.phase(), "Succeeded");
}

#[test]
fn suspended_pod_starts_nothing_and_can_be_deleted() {
    let mut story = Story::new("Always", &[], &["c"]);
    assert_eq!(suspend(&mut story, Suspension::Immediate), [Action::TearDownSandbox]);
    assert_eq!(story.after(60).step(Input::Tick), []);
    let grace = Duration::from_secs(1);
    let evicted =
        Input::Evicted { reason: "Evicted".into(), message: String::new(), grace: Some(grace), disrupts: true };
    assert_eq!(story.step(evicted), []);
    assert!(story.state.is_suspended() && !story.state.is_failing());
    assert_eq!(story.step(Input::Deleted { grace }), [Action::RemovePod]);
    assert!(!story.state.is_suspended());
}
