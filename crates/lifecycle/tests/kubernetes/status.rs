//! Container statuses (K8–K12) and the columns of `kubectl get` (K15).

use jiff::Timestamp;

use super::observations::container_status;
use super::script::{Script, probe_failure};
use super::simulation::{Intervention, Simulation};
use wasmpod_model::pod_row::PodRow;

#[test]
fn unstarted_containers_are_creating_or_await_init_containers() {
    let simulation = Simulation::new("containers: [{name: a}, {name: b}]");
    let simulation = simulation
        .with("a", Script::runs_forever().starts_after(9.0))
        .with("b", Script::runs_forever().starts_after(9.0))
        .until(5.0);
    assert_eq!(
        [simulation.state("a").0, simulation.state("b").0],
        ["waiting ContainerCreating", "waiting ContainerCreating"]
    );

    let simulation = Simulation::new("initContainers: [{name: i}, {name: j}], containers: [{name: a}]").until(5.0);
    assert_eq!(simulation.states("i"), ["0.0 waiting PodInitializing", "0.0 running"]);
    assert_eq!(
        [simulation.state("j").0, simulation.state("a").0],
        ["waiting PodInitializing", "waiting PodInitializing"]
    );

    let simulation = Simulation::new("initContainers: [{name: i}], containers: [{name: a}]");
    let simulation = simulation.with_failing_setup(99, Some("no address")).until(5.0);
    assert_eq!(simulation.state("a").0, "waiting PodInitializing", "whatever delays the pod");
}

#[test]
fn failed_start_is_a_waiting_reason_and_keeps_last_state() {
    let failure = Intervention::FailNextStart("c", "CreateContainerConfigError", "configmap \"x\" not found");
    let simulation =
        Simulation::new("containers: [{name: c}]").with("c", Script::exits(5.0, 3)).at(1.0, failure).until(6.0);
    let states = ("waiting CreateContainerConfigError".into(), "terminated 3 Error".into());
    assert_eq!((simulation.state("c"), simulation.waiting_message("c")), (states, "configmap \"x\" not found".into()));

    let simulation = Simulation::new("containers: [{name: c}]").with("c", Script::exits(1.0, 3)).until(8.0);
    assert_eq!(simulation.state("c"), ("waiting CrashLoopBackOff".into(), "terminated 3 Error".into()));
}

#[test]
fn last_state_is_dropped_when_a_container_has_ended_for_good() {
    let fails_once = || Script::runs_forever().exits_in_turn(&[(1.0, 3), (1.0, 0)]);
    let app = "restartPolicy: OnFailure, containers: [{name: c}]";
    let init = "initContainers: [{name: c}], containers: [{name: app}]";
    for spec in [app, init] {
        let simulation = Simulation::new(spec).with("c", fails_once()).until(20.0);
        assert_eq!(simulation.state("c"), ("terminated 0 Completed".into(), String::new()), "{spec}");
    }
}

#[test]
fn lost_container_terminated_with_137_and_counts_as_restart() {
    let simulation = Simulation::new("containers: [{name: c}]").at(5.0, Intervention::RestartNode).until(6.0);
    assert_eq!(simulation.state("c"), ("running".into(), "terminated 137 ContainerStatusUnknown".into()));
    assert_eq!(simulation.container("c").restart_count, 1);
    let lost = simulation.container("c").last_state.as_ref().and_then(|last| last.terminated.as_ref());
    let why = "The container could not be located when the pod was terminated";
    assert_eq!(lost.and_then(|lost| lost.message.as_deref()), Some(why));

    let simulation =
        Simulation::new("restartPolicy: Never, containers: [{name: c}]").at(5.0, Intervention::RestartNode).until(9.0);
    assert_eq!(
        (simulation.phase(), simulation.state("c").0.as_str()),
        ("Failed", "terminated 137 ContainerStatusUnknown")
    );
    assert_eq!(simulation.when("start c"), [0.0]);
}

#[test]
fn apps_are_listed_by_name_and_init_containers_in_spec_order() {
    let simulation =
        Simulation::new("initContainers: [{name: z}, {name: y}], containers: [{name: b}, {name: c}, {name: a}]");
    let simulation = simulation.until(1.0);
    let names = |list: &Option<Vec<k8s_openapi::api::core::v1::ContainerStatus>>| -> Vec<String> {
        list.iter().flatten().map(|container| container.name.clone()).collect()
    };
    assert_eq!(names(&simulation.status().container_statuses), ["a", "b", "c"]);
    assert_eq!(names(&simulation.status().init_container_statuses), ["z", "y"]);
}

#[test]
fn started_and_ready_follow_startup_probe_and_init_success() {
    let spec = "initContainers: [{name: i}], containers: [{name: c, startupProbe: {periodSeconds: 1, \
                failureThreshold: 99}}, {name: d}]";
    let slow = Script::runs_forever()
        .probes(|_, ran| if ran < 4.0 { probe_failure() } else { wasmpod_lifecycle::ProbeResult::Success });
    let simulation = Simulation::new(spec).with("i", Script::exits(2.0, 0)).with("c", slow);
    let started_and_ready =
        |simulation: &Simulation, name: &str| (simulation.container(name).started, simulation.container(name).ready);
    let simulation = simulation.until(1.0);
    assert_eq!(
        [started_and_ready(&simulation, "i"), started_and_ready(&simulation, "c")],
        [(Some(true), false), (Some(false), false)],
        "i runs"
    );
    let simulation = simulation.until(5.0);
    assert_eq!(
        [started_and_ready(&simulation, "i"), started_and_ready(&simulation, "c")],
        [(Some(false), true), (Some(false), false)],
        "c runs"
    );
    assert_eq!(
        started_and_ready(&simulation, "d"),
        (Some(true), true),
        "without a startup probe, a running container has started"
    );
    let simulation = simulation.until(6.0);
    assert_eq!(started_and_ready(&simulation, "c"), (Some(true), true));
    assert!(
        simulation.always(|status| container_status(status, "c").is_none_or(|c| !c.ready || c.started == Some(true)))
    );
}

/// Returns STATUS, READY and RESTARTS.
fn columns(simulation: &Simulation, second: i64) -> [String; 3] {
    let pod_row = PodRow::from_pod(simulation.pod());
    let now: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
    let now = now + jiff::SignedDuration::from_secs(second);
    [pod_row.status.clone(), pod_row.ready_cell(), pod_row.restarts_cell(now)]
}

#[test]
fn pod_columns_match_kubectl_get() {
    let two = "initContainers: [{name: i}, {name: s, restartPolicy: Always}], containers: [{name: c}]";
    let simulation = Simulation::new(two).with("i", Script::exits(2.0, 0)).until(1.0);
    assert_eq!(columns(&simulation, 1), ["Init:0/2", "0/2", "0"]);
    let simulation = simulation.until(3.0);
    assert_eq!(columns(&simulation, 3), ["Running", "2/2", "0"], "READY counts the sidecar");
    let simulation =
        simulation.with("c", Script::runs_forever().ignores_sigterm()).at(4.0, Intervention::Delete(30)).until(5.0);
    assert_eq!(columns(&simulation, 5), ["Terminating", "2/2", "0"]);

    let init = |policy: &str, code| {
        let spec = format!("restartPolicy: {policy}, initContainers: [{{name: i}}], containers: [{{name: c}}]");
        Simulation::new(&spec).with("i", Script::exits(1.0, code))
    };
    assert_eq!(columns(&init("Always", 1).until(8.0), 8), ["Init:CrashLoopBackOff", "0/1", "1 (6s ago)"]);
    let signalled = init("Never", 3).with("i", Script::exits(1.0, 3).with_reason("", None)).until(8.0);
    assert_eq!(columns(&signalled, 8)[0], "Init:ExitCode:3", "without a reason");
    assert_eq!(columns(&init("Never", 3).until(8.0), 8)[0], "Init:Error");

    let ends = |policy: &str, runs: &[(f64, i32)]| {
        let spec = format!("restartPolicy: {policy}, containers: [{{name: c}}]");
        Simulation::new(&spec).with("c", Script::runs_forever().exits_in_turn(runs))
    };
    assert_eq!(columns(&ends("Never", &[(1.0, 0)]).until(3.0), 3), ["Completed", "0/1", "0"]);
    assert_eq!(columns(&ends("Never", &[(1.0, 2)]).until(3.0), 3), ["Error", "0/1", "0"]);
    assert_eq!(columns(&ends("Always", &[(1.0, 2)]).until(8.0), 8), ["CrashLoopBackOff", "0/1", "1 (6s ago)"]);
    let thrice = ends("Always", &[(1.0, 1), (1.0, 1), (1.0, 1), (999.0, 0)]).until(39.0);
    assert_eq!(columns(&thrice, 39), ["Running", "1/1", "3 (26s ago)"], "since the last termination");

    let half =
        Simulation::new("restartPolicy: Never, containers: [{name: a}, {name: c}]").with("a", Script::exits(1.0, 0));
    assert_eq!(columns(&half.until(8.0), 8), ["NotReady", "1/2", "0"]);
}

#[test]
fn waiting_container_is_lost_when_the_node_ends_its_pod() {
    let spec = "activeDeadlineSeconds: 5, containers: [{name: c}, {name: d}]";
    let simulation =
        Simulation::new(spec).with("c", Script::exits(1.0, 1)).with("d", Script::runs_forever().stops_after(1.0, 0));
    let simulation = simulation.until(5.5);
    assert_eq!(
        simulation.state("c"),
        ("waiting CrashLoopBackOff".into(), "terminated 1 Error".into()),
        "it is still waiting"
    );
    let simulation = simulation.until(9.0);
    let lost = "terminated 137 ContainerStatusUnknown".to_string();
    assert_eq!((simulation.phase(), simulation.state("c")), ("Failed", (lost.clone(), "terminated 1 Error".into())));
    let init = "activeDeadlineSeconds: 5, initContainers: [{name: i}, {name: j}], containers: [{name: c}]";
    let init = Simulation::new(init).with("i", Script::exits(1.0, 1)).until(9.0);
    assert_eq!((init.state("i").0, init.state("j").0), (lost, "waiting PodInitializing".into()));
    assert_eq!(init.state("c").0, "waiting PodInitializing", "the pod never started it");
}

#[test]
fn restart_counts_once_it_is_shown() {
    let spec = "containers: [{name: c, lifecycle: {postStart: {}}}]";
    let simulation = Simulation::new(spec).with("c", Script::exits(5.0, 1).post_start(2.0, None)).until(6.0);
    assert_eq!((simulation.state("c").0.as_str(), simulation.container("c").restart_count), ("terminated 1 Error", 0));
    let simulation = simulation.until(7.5);
    assert_eq!((simulation.state("c").0.as_str(), simulation.container("c").restart_count), ("running", 1));
}
