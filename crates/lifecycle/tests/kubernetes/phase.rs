//! The pod's phase (K1–K7; kubelet's getPhase).

use super::play::{Act, Play};
use super::script::{Script, no};

#[test]
fn pod_is_pending_until_init_completes_and_every_app_started() {
    let init = Play::new("initContainers: [{name: i}], containers: [{name: a}]").until(10.0);
    assert_eq!(init.phases(), "Pending", "its init container runs on");

    let spec = "initContainers: [{name: s, restartPolicy: Always, startupProbe: {periodSeconds: 1, \
                failureThreshold: 99}}], containers: [{name: a}]";
    let sidecar = Play::new(spec).with("s", Script::stays().probes(|_, _| no())).until(10.0);
    assert_eq!(sidecar.phases(), "Pending", "its sidecar has not started");

    let app = Play::new("containers: [{name: a}, {name: b}]");
    let app = app.with("b", Script::stays().fails_to_start(9, "CreateContainerConfigError", "no")).until(10.0);
    assert_eq!(app.phases(), "Pending", "one app waits and has never run");
    assert_eq!(app.state("a").0, "running");
}

#[test]
fn pod_is_running_while_any_container_runs() {
    let play = Play::new("restartPolicy: Never, containers: [{name: a}, {name: b}]");
    let play = play.with("a", Script::ends(1.0, 0)).with("b", Script::ends(3.0, 1)).until(2.0);
    assert_eq!(play.phases(), "Pending Running");
    assert_eq!(play.state("a").0, "terminated 0 Completed");
}

#[test]
fn pod_is_running_while_its_containers_await_restart() {
    for code in [0, 1] {
        let play = Play::new("containers: [{name: c}]").with("c", Script::ends(1.0, code)).until(30.0);
        assert_eq!(play.phases(), "Pending Running");
        assert_eq!(play.state("c").0, "waiting CrashLoopBackOff");
    }
}

#[test]
fn pod_succeeds_when_all_apps_exit_with_zero() {
    let spec = "restartPolicy: OnFailure, initContainers: [{name: s, restartPolicy: Always}], \
                containers: [{name: a}, {name: b}]";
    let play = Play::new(spec).with("s", Script::stays().asked(0.5, 143));
    let play = play.with("a", Script::ends(1.0, 0)).with("b", Script::stays().then(&[(1.0, 7), (1.0, 0)])).until(9.0);
    assert_eq!(play.phases(), "Pending Running Succeeded");
    assert_eq!(play.state("s").0, "terminated 143 Error");
}

#[test]
fn pod_fails_when_a_container_failed_and_none_will_restart() {
    let play = Play::new("restartPolicy: Never, containers: [{name: a}, {name: b}]");
    let play = play.with("a", Script::ends(1.0, 0)).with("b", Script::ends(2.0, 1)).until(9.0);
    assert_eq!(play.phases(), "Pending Running Failed");
    assert_eq!(play.done(), ["0.0 start a", "0.0 start b", "2.0 tear down"]);
}

#[test]
fn failed_init_container_fails_a_pod_that_never_restarts() {
    let pod = |policy: &str| Play::new(&format!("restartPolicy: {policy}, {BOTH}")).with("i", Script::ends(1.0, 1));
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
    let evict = || Act::Evict { reason: "Evicted", message: "no room", grace: Some(4) };
    let play = Play::new("restartPolicy: Never, containers: [{name: a}, {name: b}]");
    let play = play.with("a", Script::ends(1.0, 1)).with("b", Script::stays().deaf()).at(2.0, evict()).until(5.0);
    assert_eq!(play.phases(), "Pending Running", "one container still runs");
    let play = play.until(6.0);
    assert_eq!(play.phases(), "Pending Running Failed");

    let play = play.at(7.0, Act::Image("a", "other")).at(8.0, evict()).at(9.0, Act::NodeRestarts);
    let play = play.at(10.0, Act::Delete(30)).until(60.0);
    assert_eq!(play.phases(), "Pending Running Failed");
    assert_eq!(play.removed(), Some(10.0));
    assert_eq!(play.when("start a"), [0.0]);
}

#[test]
fn pod_is_pending_while_a_failed_post_start_hook_stops_it() {
    let spec = "terminationGracePeriodSeconds: 2, containers: [{name: c, lifecycle: {postStart: {}}}]";
    let play = Play::new(spec).with("c", Script::stays().deaf().post_start(1.0, Some("no"))).until(2.0);
    assert_eq!((play.phase(), play.state("c").0.as_str()), ("Pending", "waiting ContainerCreating"));
}
