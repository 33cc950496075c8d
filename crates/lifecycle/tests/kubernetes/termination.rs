//! Termination of pods: grace periods, hooks, kills, deadlines (K66–K70).

use super::script::Script;
use super::simulation::{Intervention, Simulation};

#[test]
fn pre_stop_hook_uses_up_grace_but_leaves_two_seconds() {
    let pod = |hook| {
        let simulation = Simulation::new("containers: [{name: c, lifecycle: {preStop: {}}}]");
        simulation
            .with("c", Script::runs_forever().ignores_sigterm().pre_stop(hook, None))
            .at(8.0, Intervention::Delete(10))
            .until(60.0)
    };
    assert_eq!(pod(3.0).actions()[1..], ["8.0 preStop c", "11.0 terminate c", "18.0 kill c", "18.0 tear down"]);
    assert_eq!(pod(9.0).actions()[1..], ["8.0 preStop c", "17.0 terminate c", "19.0 kill c", "19.0 tear down"]);
    assert_eq!(pod(60.0).actions()[1..], ["8.0 preStop c", "18.0 terminate c", "20.0 kill c", "20.0 tear down"]);
}

#[test]
fn container_with_a_changed_image_stops_in_the_same_steps() {
    let simulation =
        Simulation::new("terminationGracePeriodSeconds: 10, containers: [{name: c, lifecycle: {preStop: {}}}]");
    let simulation = simulation
        .with("c", Script::runs_forever().ignores_sigterm().pre_stop(60.0, None))
        .at(8.0, Intervention::SetImage("c", "other"))
        .until(25.0);
    assert_eq!(simulation.actions()[1..], ["8.0 preStop c", "18.0 terminate c", "20.0 kill c", "20.0 start c"]);
    assert_eq!(simulation.events("Killing"), ["8.0 Normal x1 Container c definition changed, will be restarted"]);
}

#[test]
fn container_stops_by_event_hook_signal_and_kill() {
    let simulation = Simulation::new("containers: [{name: c, lifecycle: {preStop: {}}}]");
    let simulation = simulation
        .with("c", Script::runs_forever().ignores_sigterm().pre_stop(1.0, None))
        .at(5.0, Intervention::Delete(4))
        .until(60.0);
    assert_eq!(simulation.events("Killing"), ["5.0 Normal x1 Stopping container c"]);
    let expected = ["0.0 start c", "5.0 preStop c", "6.0 terminate c", "9.0 kill c", "9.0 tear down"];
    assert_eq!(simulation.actions(), expected);
    assert_eq!((simulation.phase(), simulation.state("c").0.as_str()), ("Failed", "terminated 137 Error"));

    let obedient = Simulation::new("containers: [{name: c}]").with("c", Script::runs_forever().stops_after(1.5, 0));
    let obedient = obedient.at(5.0, Intervention::Delete(30)).until(60.0);
    assert_eq!(
        obedient.actions(),
        ["0.0 start c", "5.0 terminate c", "6.5 tear down"],
        "a container that exits is not killed"
    );
    assert_eq!(obedient.phase(), "Succeeded");
}

#[test]
fn wall_clock_jumps_do_not_affect_grace_periods() {
    let simulation = Simulation::new("containers: [{name: c}]")
        .with("c", Script::runs_forever().ignores_sigterm())
        .at(5.0, Intervention::Delete(10));
    let simulation = simulation
        .at(6.0, Intervention::SetWallClock("1970-01-01T00:00:00Z"))
        .at(9.0, Intervention::SetWallClock("2038-01-19T00:00:00Z"));
    assert_eq!(simulation.until(60.0).actions(), ["0.0 start c", "5.0 terminate c", "15.0 kill c", "15.0 tear down"]);
}

#[test]
fn deleted_pod_is_removed_once_terminal_and_reported() {
    let spec = "initContainers: [{name: i}], containers: [{name: a}, {name: b}]";
    let simulation = Simulation::new(spec)
        .with("i", Script::runs_forever().stops_after(2.0, 0))
        .at(5.0, Intervention::Delete(30))
        .until(60.0);
    assert_eq!((simulation.removed_at(), simulation.phase()), (Some(7.0), "Failed"), "the apps have never run");
    assert_eq!(simulation.phases(), "Pending Failed");

    let hanging = Simulation::new("containers: [{name: c}]").with("c", Script::runs_forever().start_hangs());
    let hanging = hanging.at(5.0, Intervention::Delete(3)).until(60.0);
    assert_eq!((hanging.removed_at(), hanging.phase()), (Some(8.0), "Failed"), "a hanging start is killed");

    let never = Simulation::new("containers: [{name: c}]")
        .with_failing_setup(99, Some("no"))
        .at(5.0, Intervention::Delete(30))
        .until(60.0);
    assert_eq!((never.removed_at(), never.phase()), (Some(5.0), "Failed"), "nothing to stop");
}

#[test]
fn second_deletion_only_shortens_the_grace_period() {
    let pod = || {
        Simulation::new("containers: [{name: c}]")
            .with("c", Script::runs_forever().ignores_sigterm())
            .at(5.0, Intervention::Delete(30))
    };
    assert_eq!(pod().at(7.0, Intervention::Delete(2)).until(60.0).removed_at(), Some(9.0));
    assert_eq!(pod().at(7.0, Intervention::Delete(60)).until(60.0).removed_at(), Some(35.0));
    let hook = Simulation::new("containers: [{name: c, lifecycle: {preStop: {}}}]");
    let hook =
        hook.with("c", Script::runs_forever().ignores_sigterm().pre_stop(60.0, None)).at(5.0, Intervention::Delete(30));
    let hook = hook.at(7.0, Intervention::Delete(1)).until(60.0);
    assert_eq!(hook.actions()[1..], ["5.0 preStop c", "8.0 terminate c", "10.0 kill c", "10.0 tear down"]);
}

#[test]
fn kill_succeeds_in_time_without_failure_events() {
    let simulation = Simulation::new("containers: [{name: c}, {name: d}]");
    let simulation =
        simulation.with("c", Script::runs_forever().ignores_sigterm()).with("d", Script::runs_forever().start_hangs());
    let simulation =
        simulation.at(5.0, Intervention::Evict { reason: "Evicted", message: "no room", grace: Some(2) }).until(60.0);
    assert_eq!(simulation.actions().last().map(String::as_str), Some("7.0 tear down"));
    assert_eq!([simulation.events("ExceededGracePeriod"), simulation.events("FailedKillPod")], [[""; 0]; 2]);
}

const DEADLINE_MESSAGE: &str = "Pod was active on the node longer than the specified deadline";

#[test]
fn exceeded_active_deadline_stops_and_fails_the_pod() {
    let pod = || Simulation::new("activeDeadlineSeconds: 6, terminationGracePeriodSeconds: 2, containers: [{name: c}]");
    let simulation = pod().with("c", Script::runs_forever().ignores_sigterm()).until(60.0);
    assert_eq!(simulation.events("DeadlineExceeded")[0], format!("6.0 Normal x1 {DEADLINE_MESSAGE}"));
    assert_eq!(simulation.actions(), ["0.0 start c", "6.0 terminate c", "8.0 kill c", "8.0 tear down"]);
    assert_eq!(simulation.phases(), "Pending Running Failed");
    let status = simulation.status();
    assert_eq!(
        (status.reason.as_deref(), status.message.as_deref()),
        (Some("DeadlineExceeded"), Some(DEADLINE_MESSAGE))
    );
    assert_eq!(simulation.condition("Ready"), "False PodFailed");
    assert_eq!(simulation.conditions("Ready")[2], "6.0 False PodFailed", "as soon as the pod is certain to fail");

    let crashing = pod().with("c", Script::exits(1.0, 1)).until(60.0);
    assert_eq!((crashing.when("start c"), crashing.phase()), (vec![0.0, 1.0], "Failed"), "in back-off, too");
    let done = pod().with("c", Script::exits(1.0, 0));
    let done = done.at(0.0, Intervention::SetDeadline(60)).until(30.0);
    assert_eq!(done.phase(), "Running", "the deadline was moved");
    assert_eq!(done.until(90.0).status().reason.as_deref(), Some("DeadlineExceeded"));
}

#[test]
fn active_deadline_survives_node_restart_and_clock_jumps() {
    let pod = || Simulation::new("activeDeadlineSeconds: 20, containers: [{name: c}]");
    let restarted = pod().at(8.0, Intervention::RestartNode).until(60.0);
    assert_eq!(restarted.events("DeadlineExceeded")[0], format!("20.0 Normal x1 {DEADLINE_MESSAGE}"));
    let jumps = pod()
        .at(2.0, Intervention::SetWallClock("2038-01-19T00:00:00Z"))
        .at(4.0, Intervention::SetWallClock("1970-01-01T00:00:00Z"));
    assert_eq!(jumps.until(60.0).events("DeadlineExceeded")[0], format!("20.0 Normal x1 {DEADLINE_MESSAGE}"));
}

#[test]
fn shortened_deletion_repeats_the_killing_event() {
    let simulation = Simulation::new("containers: [{name: c}]").with("c", Script::runs_forever().ignores_sigterm());
    let simulation = simulation
        .at(1.0, Intervention::Delete(30))
        .at(3.0, Intervention::Delete(5))
        .at(4.0, Intervention::Delete(20))
        .until(20.0);
    assert_eq!(
        simulation.events("Killing"),
        ["1.0 Normal x1 Stopping container c", "3.0 Normal x2 Stopping container c"]
    );
    assert_eq!(simulation.removed_at(), Some(8.0), "only the shorter grace period counts");
}
