//! Back-off: when failed starts, crashed containers and image pulls are retried (K27–K34).

use super::script::Script;
use super::simulation::{Intervention, Simulation};
use wasmpod_lifecycle::{ContainerRef, ContainerRole};

/// The start times of a container that crashes after a second each time.
const STARTS: [f64; 9] = [0.0, 1.0, 12.0, 33.0, 74.0, 155.0, 316.0, 617.0, 918.0];

fn crashes(code: i32) -> Simulation {
    Simulation::new("containers: [{name: c}]").with("c", Script::exits(1.0, code))
}

#[test]
fn restart_backoff_doubles_from_ten_seconds_to_five_minutes() {
    for code in [0, 1, 137] {
        let simulation = crashes(code).until(1000.0);
        assert_eq!(simulation.when("start c"), STARTS, "exit {code}");
        assert_eq!(simulation.container("c").restart_count, 8);
    }
}

#[test]
fn wall_clock_jumps_do_not_affect_restart_backoff() {
    let simulation = crashes(1)
        .at(0.5, Intervention::SetWallClock("1970-01-01T00:00:00Z"))
        .at(5.0, Intervention::SetWallClock("2026-01-01T00:00:00Z"));
    let simulation = simulation
        .at(20.0, Intervention::SetWallClock("1999-12-31T23:59:59Z"))
        .at(100.0, Intervention::SetWallClock("2038-01-19T00:00:00Z"));
    assert_eq!(simulation.until(1000.0).when("start c"), STARTS);
}

#[test]
fn run_over_ten_minutes_resets_restart_backoff() {
    for (ran, starts) in [(600.0, [12.0, 632.0]), (601.0, [12.0, 613.0])] {
        let runs = Script::runs_forever().exits_in_turn(&[(1.0, 1), (1.0, 1), (ran, 1), (999.0, 1)]);
        let simulation = Simulation::new("containers: [{name: c}]").with("c", runs).until(700.0);
        assert_eq!(simulation.when("start c")[2..], starts, "after {ran} s");
    }
}

#[test]
fn changed_container_restarts_without_backoff() {
    let image = crashes(1).at(5.0, Intervention::SetImage("c", "other")).until(20.0);
    assert_eq!(image.when("start c"), [0.0, 1.0, 5.0, 16.0], "at once, then after ten seconds");
    let program = ContainerRef { role: ContainerRole::App, index: 0 };
    let outdated = crashes(1).at(5.0, Intervention::ReplaceProgram(program)).until(20.0);
    assert_eq!(outdated.when("start c"), [0.0, 1.0, 5.0, 16.0]);
    let resized = crashes(1).at(5.0, Intervention::Resize("c", "64Mi")).until(20.0);
    assert_eq!(resized.when("start c"), [0.0, 1.0, 5.0, 16.0]);
}

#[test]
fn waiting_message_states_backoff_as_go_duration() {
    let waits = crashes(1).until(700.0).waiting_messages("c");
    let message = |wait: &str| format!("back-off {wait} restarting failed container=c pod=p_ns(u)");
    assert_eq!(waits, ["10s", "20s", "40s", "1m20s", "2m40s", "5m0s"].map(message));
}

#[test]
fn each_restart_backoff_begins_with_a_warning() {
    let simulation = crashes(1).until(33.0);
    let events = simulation.events("BackOff");
    let message = "Back-off restarting failed container c in pod p_ns(u)";
    assert_eq!(events.first(), Some(&format!("2.0 Warning x1 {message}")));
    assert!(events.iter().any(|line| line.starts_with("13.0 Warning ")), "{events:?}");
    assert!(events.iter().all(|line| line.ends_with(message)), "{events:?}");
}

#[test]
fn max_restart_backoff_caps_the_delays() {
    assert_eq!(crashes(1).max_backoff(1).until(8.5).when("start c"), [0.0, 1.0, 3.0, 5.0, 7.0]);
    let simulation = crashes(1).max_backoff(15).until(70.0);
    assert_eq!(simulation.when("start c"), [0.0, 1.0, 12.0, 28.0, 44.0, 60.0]);
    assert_eq!(simulation.waiting_messages("c").last().map(|text| &text[..12]), Some("back-off 15s"));
}

#[test]
fn image_pull_backoff_doubles_from_ten_seconds_to_five_minutes() {
    let simulation = Simulation::new("containers: [{name: c, image: web}]");
    let simulation =
        simulation.with("c", Script::runs_forever().fails_to_start(20, "ErrImagePull", "none")).until(1000.0);
    assert_eq!(simulation.when("start c"), [0.0, 10.0, 30.0, 70.0, 150.0, 310.0, 610.0, 910.0]);
    assert_eq!(simulation.state("c").0, "waiting ImagePullBackOff");
    assert_eq!(simulation.waiting_message("c"), "Back-off pulling image \"web\": ErrImagePull: none");

    let simulation = simulation.at(1000.0, Intervention::SetImage("c", "site")).until(1013.0);
    assert_eq!(simulation.when("start c")[8..], [1000.0, 1012.5], "each image has its own back-off");
}

#[test]
fn failed_start_is_retried_after_a_second_then_at_each_sync() {
    let simulation = Simulation::new("containers: [{name: c}]");
    let simulation =
        simulation.with("c", Script::runs_forever().fails_to_start(3, "CreateContainerConfigError", "no")).until(60.0);
    assert_eq!(
        simulation.when("start c"),
        [0.0, 1.0, 13.5, 26.0],
        "a sync period of ten seconds plus half of the kubelet's jitter"
    );
    let states = ["0.0 waiting ContainerCreating", "0.0 waiting CreateContainerConfigError", "26.0 running"];
    assert_eq!(
        (simulation.states("c"), simulation.container("c").restart_count),
        (states.map(String::from).to_vec(), 0)
    );

    let volumes = Simulation::new("containers: [{name: c}]").with_failing_setup(4, None).until(60.0);
    assert_eq!(volumes.when("start c"), [7.5], "volumes are retried after 0.5, 1, 2 and 4 seconds");
}

#[test]
fn failed_start_after_a_kill_is_relisted_after_a_second() {
    let missing = |script: Script| Simulation::new("containers: [{name: c, image: web}]").with("c", script);
    let simulation = missing(Script::runs_forever().stops_after(0.2, 0))
        .at(4.9, Intervention::FailNextStart("c", "ErrImagePull", "none"));
    let simulation = simulation.at(5.0, Intervention::SetImage("c", "site")).until(14.0);
    assert_eq!(simulation.events("BackOff"), ["6.2 Normal x1 Back-off pulling image \"site\""]);
    assert!(
        simulation.states("c").ends_with(&["5.2 waiting ErrImagePull", "6.2 waiting ImagePullBackOff"].map(Into::into))
    );
    assert_eq!(simulation.when("start c"), [0.0, 5.2], "the image is pulled again after ten seconds");
    // If the container exits by itself, the kubelet has seen the exit before it tries to restart.
    let simulation = missing(Script::exits(5.0, 1))
        .at(4.9, Intervention::FailNextStart("c", "CreateContainerConfigError", "no"))
        .until(18.0);
    assert_eq!(simulation.when("start c")[1..], [5.0, 17.5]);
}
