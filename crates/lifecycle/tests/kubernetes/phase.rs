//! The pod's phase (K1–K7; kubelet's `getPhase`).

use super::script::{Script, probe_failure};
use super::simulation::{Intervention, Simulation};

#[test]
fn pod_is_pending_until_init_completes_and_every_app_started() {
    let init = Simulation::new("initContainers: [{name: i}], containers: [{name: a}]").until(10.0);
    assert_eq!(init.phases(), "Pending", "the init container is running");

    let spec = "initContainers: [{name: s, restartPolicy: Always, startupProbe: {periodSeconds: 1, \
                failureThreshold: 99}}], containers: [{name: a}]";
    let sidecar = Simulation::new(spec).with("s", Script::runs_forever().probes(|_, _| probe_failure())).until(10.0);
    assert_eq!(sidecar.phases(), "Pending", "the sidecar has not started");

    let app = Simulation::new("containers: [{name: a}, {name: b}]");
    let app = app.with("b", Script::runs_forever().fails_to_start(9, "CreateContainerConfigError", "no")).until(10.0);
    assert_eq!(app.phases(), "Pending", "one app is waiting for its first start");
    assert_eq!(app.state("a").0, "running");
}

#[test]
fn pod_is_running_while_any_container_runs() {
    let simulation = Simulation::new("restartPolicy: Never, containers: [{name: a}, {name: b}]");
    let simulation = simulation.with("a", Script::exits(1.0, 0)).with("b", Script::exits(3.0, 1)).until(2.0);
    assert_eq!(simulation.phases(), "Pending Running");
    assert_eq!(simulation.state("a").0, "terminated 0 Completed");
}

#[test]
fn pod_is_running_while_its_containers_await_restart() {
    for code in [0, 1] {
        let simulation = Simulation::new("containers: [{name: c}]").with("c", Script::exits(1.0, code)).until(30.0);
        assert_eq!(simulation.phases(), "Pending Running");
        assert_eq!(simulation.state("c").0, "waiting CrashLoopBackOff");
    }
}

#[test]
fn pod_succeeds_when_all_apps_exit_with_zero() {
    let spec = "restartPolicy: OnFailure, initContainers: [{name: s, restartPolicy: Always}], \
                containers: [{name: a}, {name: b}]";
    let simulation = Simulation::new(spec).with("s", Script::runs_forever().stops_after(0.5, 143));
    let simulation = simulation
        .with("a", Script::exits(1.0, 0))
        .with("b", Script::runs_forever().exits_in_turn(&[(1.0, 7), (1.0, 0)]))
        .until(9.0);
    assert_eq!(simulation.phases(), "Pending Running Succeeded");
    assert_eq!(simulation.state("s").0, "terminated 143 Error");
}

#[test]
fn pod_fails_when_a_container_failed_and_none_will_restart() {
    let simulation = Simulation::new("restartPolicy: Never, containers: [{name: a}, {name: b}]");
    let simulation = simulation.with("a", Script::exits(1.0, 0)).with("b", Script::exits(2.0, 1)).until(9.0);
    assert_eq!(simulation.phases(), "Pending Running Failed");
    assert_eq!(simulation.actions(), ["0.0 start a", "0.0 start b", "2.0 tear down"]);
}

#[test]
fn failed_init_container_fails_a_pod_that_never_restarts() {
    let pod =
        |policy: &str| Simulation::new(&format!("restartPolicy: {policy}, {BOTH}")).with("i", Script::exits(1.0, 1));
    const BOTH: &str = "initContainers: [{name: i}], containers: [{name: a}]";
    let never = pod("Never").until(9.0);
    assert_eq!(never.phases(), "Pending Failed");
    assert_eq!(never.state("a").0, "waiting PodInitializing");
    for policy in ["Always", "OnFailure"] {
        assert_eq!(pod(policy).until(9.0).phases(), "Pending", "{policy}");
    }
}

#[test]
fn final_phase_waits_for_all_containers_and_never_changes() {
    let evict = || Intervention::Evict { reason: "Evicted", message: "no room", grace: Some(4) };
    let simulation = Simulation::new("restartPolicy: Never, containers: [{name: a}, {name: b}]");
    let simulation = simulation
        .with("a", Script::exits(1.0, 1))
        .with("b", Script::runs_forever().ignores_sigterm())
        .at(2.0, evict())
        .until(5.0);
    assert_eq!(simulation.phases(), "Pending Running", "one container still runs");
    let simulation = simulation.until(6.0);
    assert_eq!(simulation.phases(), "Pending Running Failed");

    let simulation =
        simulation.at(7.0, Intervention::SetImage("a", "other")).at(8.0, evict()).at(9.0, Intervention::RestartNode);
    let simulation = simulation.at(10.0, Intervention::Delete(30)).until(60.0);
    assert_eq!(simulation.phases(), "Pending Running Failed");
    assert_eq!(simulation.removed_at(), Some(10.0));
    assert_eq!(simulation.when("start a"), [0.0]);
}

#[test]
fn pod_is_pending_while_a_failed_post_start_hook_stops_it() {
    let spec = "terminationGracePeriodSeconds: 2, containers: [{name: c, lifecycle: {postStart: {}}}]";
    let simulation = Simulation::new(spec)
        .with("c", Script::runs_forever().ignores_sigterm().post_start(1.0, Some("no")))
        .until(2.0);
    assert_eq!((simulation.phase(), simulation.state("c").0.as_str()), ("Pending", "waiting ContainerCreating"));
}
