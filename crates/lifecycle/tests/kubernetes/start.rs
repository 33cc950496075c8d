//! How containers start and terminate, and their hooks (K35, K38, K41, K42, K45, K47).

use super::script::{Script, probe_failure};
use super::simulation::{Intervention, Simulation};

#[test]
fn image_errors_are_shown_as_waiting_reasons() {
    for reason in ["ErrImageNeverPull", "InvalidImageName", "ImageInspectError"] {
        let simulation = Simulation::new("containers: [{name: c}]");
        let simulation = simulation.with("c", Script::runs_forever().fails_to_start(9, reason, "why")).until(60.0);
        assert_eq!(
            (simulation.state("c").0, simulation.waiting_message("c")),
            (format!("waiting {reason}"), "why".into())
        );
    }
    let simulation = Simulation::new("containers: [{name: c}]");
    let simulation = simulation.with("c", Script::runs_forever().fails_to_start(9, "ErrImagePull", "why")).until(5.0);
    let states = ["0.0 waiting ContainerCreating", "0.0 waiting ErrImagePull", "1.0 waiting ImagePullBackOff"];
    assert_eq!(simulation.states("c"), states);
}

#[test]
fn image_pull_backoff_emits_events() {
    let simulation = Simulation::new("containers: [{name: c, image: web}]");
    let simulation = simulation.with("c", Script::runs_forever().fails_to_start(1, "ErrImagePull", "none")).until(60.0);
    assert_eq!(simulation.events("BackOff"), ["1.0 Normal x1 Back-off pulling image \"web\""]);
    assert_eq!(simulation.events("Failed"), ["1.0 Warning x1 Error: ImagePullBackOff"]);
}

#[test]
fn containers_start_after_the_sandbox_in_order_of_their_roles() {
    let spec = "initContainers: [{name: i}, {name: j}], containers: [{name: a}, {name: b}], \
                ephemeralContainers: [{name: e}]";
    let simulation = Simulation::new(spec)
        .with_failing_setup(1, None)
        .with("i", Script::exits(1.0, 0))
        .with("j", Script::exits(1.0, 0));
    let order = ["0.5 start e", "0.5 start i", "1.5 start j", "2.5 start a", "2.5 start b"];
    assert_eq!(simulation.until(9.0).actions(), order);
}

#[test]
fn failed_creation_is_a_waiting_reason_and_no_restart() {
    for reason in ["CreateContainerConfigError", "CreateContainerError", "RunContainerError"] {
        let simulation = Simulation::new("restartPolicy: Never, containers: [{name: c}, {name: d}]");
        let simulation = simulation.with("c", Script::runs_forever().fails_to_start(1, reason, "why")).until(0.5);
        assert_eq!(
            (simulation.state("c").0, simulation.waiting_message("c")),
            (format!("waiting {reason}"), "why".into())
        );
        assert_eq!(
            (simulation.phase(), simulation.state("d").0.as_str()),
            ("Pending", "running"),
            "the other container runs"
        );
        let simulation = simulation.until(9.0);
        assert_eq!((simulation.phase(), simulation.container("c").restart_count), ("Running", 0));
    }
    let hook = Simulation::new("containers: [{name: c, lifecycle: {postStart: {}}}]");
    let hook = hook.with("c", Script::runs_forever().post_start(0.0, Some("no"))).until(0.5);
    assert_eq!((hook.state("c").0.as_str(), hook.waiting_message("c").as_str()), ("waiting PostStartHookError", "no"));
}

#[test]
fn terminated_state_keeps_code_reason_message_and_times() {
    let simulation = Simulation::new("restartPolicy: Never, containers: [{name: c}]");
    let script = Script::exits(1.0, 137).with_reason("OOMKilled", Some("it wanted more"));
    let simulation = simulation.with("c", script).until(9.0);
    assert_eq!((simulation.phase(), simulation.state("c").0.as_str()), ("Failed", "terminated 137 OOMKilled"));
    let terminated =
        simulation.container("c").state.as_ref().and_then(|state| state.terminated.clone()).expect("terminated");
    assert_eq!(terminated.message.as_deref(), Some("it wanted more"));
    let at = |time: &Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>| {
        time.as_ref().map(|time| time.0.to_string()).unwrap_or_default()
    };
    assert_eq!(
        [at(&terminated.started_at), at(&terminated.finished_at)],
        ["2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"]
    );
    assert_eq!(terminated.container_id, simulation.container("c").container_id);
}

#[test]
fn post_start_hook_delays_later_starts_and_kills_on_failure() {
    let spec = "terminationGracePeriodSeconds: 2, containers: [{name: a, lifecycle: {postStart: {}}}, {name: b}]";
    let slow = Simulation::new(spec).with("a", Script::runs_forever().post_start(3.0, None)).until(9.0);
    assert_eq!(slow.actions(), ["0.0 start a", "0.0 postStart a", "3.0 start b"]);
    assert_eq!(slow.states("a"), ["0.0 waiting ContainerCreating", "3.0 running"]);

    let fails = Script::runs_forever().ignores_sigterm().post_start(1.0, Some("Exec lifecycle hook failed"));
    let fails = Simulation::new(spec).with("a", fails).until(3.5);
    assert_eq!(fails.events("FailedPostStartHook")[0], "1.0 Warning x1 PostStartHook failed");
    assert_eq!(fails.events("Killing")[0], "1.0 Normal x1 FailedPostStartHook");
    assert_eq!(fails.actions()[2..4], ["1.0 terminate a", "3.0 kill a"]);
    assert_eq!(fails.state("a"), ("waiting PostStartHookError".into(), "terminated 137 Error".into()));

    let fails = Script::runs_forever().ignores_sigterm().post_start(1.0, Some("Exec lifecycle hook failed"));
    let once = Simulation::new(&format!("restartPolicy: Never, {spec}")).with("a", fails).until(9.0);
    assert_eq!(once.state("a").0, "terminated 137 Error", "a pod that never restarts has no waiting container");
}

#[test]
fn failed_pre_stop_hook_emits_an_event_and_stop_continues() {
    let simulation = Simulation::new("containers: [{name: c, lifecycle: {preStop: {}}}]");
    let simulation = simulation
        .with("c", Script::runs_forever().pre_stop(2.0, Some("no")))
        .at(5.0, Intervention::Delete(30))
        .until(60.0);
    assert_eq!(simulation.actions(), ["0.0 start c", "5.0 preStop c", "7.0 terminate c", "7.0 tear down"]);
    assert_eq!(simulation.events("FailedPreStopHook"), ["7.0 Warning x1 PreStopHook failed"]);
}

#[test]
fn unrunnable_program_waits_with_its_error_and_last_state() {
    let broken = || Script::exits(0.0, 128).with_reason("StartError", Some("no /nope"));
    let simulation = Simulation::new("containers: [{name: c}]").with("c", broken()).until(0.5);
    let states = ("waiting RunContainerError".to_string(), "terminated 128 StartError".to_string());
    assert_eq!((simulation.state("c"), simulation.waiting_message("c").as_str()), (states, "no /nope"));
    assert_eq!(simulation.until(5.0).state("c").0, "waiting CrashLoopBackOff");
    let once = Simulation::new("restartPolicy: Never, containers: [{name: c}]").with("c", broken()).until(5.0);
    assert_eq!(once.state("c"), ("terminated 128 StartError".into(), String::new()), "no restart is pending");
    let hook = "containers: [{name: c, lifecycle: {postStart: {}}}]";
    let hook = Simulation::new(hook).with("c", broken()).until(0.5);
    assert_eq!(hook.when("postStart c"), [0.0; 0], "the program never ran");
}

#[test]
fn every_app_starts_once_before_any_restarts() {
    let spec = "containers: [{name: a, lifecycle: {postStart: {}}}, {name: b}, {name: d}]";
    let simulation = Simulation::new(spec)
        .with("a", Script::runs_forever().post_start(1.0, Some("no")))
        .with("b", Script::runs_forever());
    let simulation = simulation.with("b", Script::runs_forever().starts_after(2.0)).until(3.5);
    let began: Vec<String> = simulation.actions().into_iter().filter(|done| done.contains("start ")).collect();
    assert_eq!(began, ["0.0 start a", "1.0 start b", "3.0 start d", "3.0 start a"]);
}

#[test]
fn exit_during_post_start_hook_is_seen_when_the_hook_returns() {
    let spec = "containers: [{name: c, lifecycle: {postStart: {}}}]";
    let crash = Script::exits(1.0, 3).post_start(2.0, Some("exited with 137"));
    let simulation = Simulation::new(spec).with("c", crash).until(1.5);
    assert_eq!(simulation.state("c").0, "waiting ContainerCreating", "the exit is not seen yet");
    assert_eq!(simulation.phase(), "Pending");
    let simulation = simulation.until(2.5);
    assert_eq!(simulation.state("c"), ("waiting PostStartHookError".into(), "terminated 3 Error".into()));
    assert_eq!(simulation.events("FailedPostStartHook"), ["2.0 Warning x1 PostStartHook failed"]);
    assert_eq!(simulation.events("Killing"), ["2.0 Normal x1 FailedPostStartHook"]);
    let well = Simulation::new(&format!("restartPolicy: Never, {spec}"));
    let well = well.with("c", Script::exits(1.0, 0).post_start(2.0, None)).until(9.0);
    assert_eq!(well.states("c"), ["0.0 waiting ContainerCreating", "2.0 terminated 0 Completed"]);
    assert_eq!(well.phase(), "Succeeded");
}

#[test]
fn deletion_aborts_a_post_start_hook() {
    let spec = "containers: [{name: c, lifecycle: {postStart: {}}}]";
    let slow = || Script::runs_forever().stops_after(2.0, 0).post_start(20.0, None);
    let simulation = Simulation::new(spec).with("c", slow()).at(3.0, Intervention::Delete(30)).until(4.0);
    assert_eq!((simulation.phase(), simulation.state("c").0.as_str()), ("Running", "running"), "it is running");
    assert_eq!(simulation.events("FailedPostStartHook"), ["3.0 Warning x1 PostStartHook failed"]);
    assert_eq!(
        simulation.events("Killing"),
        ["3.0 Normal x1 FailedPostStartHook", "3.0 Normal x1 Stopping container c"]
    );
    let ended = Simulation::new(spec).with("c", Script::exits(1.0, 3).post_start(20.0, None));
    let ended = ended.at(3.0, Intervention::Delete(30)).until(9.0);
    assert_eq!(ended.removed_at(), Some(3.0), "no process is left");
}

#[test]
fn running_post_start_hook_delays_other_starts_and_stops() {
    let spec = "containers: [{name: a}, {name: b, lifecycle: {postStart: {}}}]";
    let simulation =
        Simulation::new(spec).with("a", Script::exits(2.0, 1)).with("b", Script::runs_forever().post_start(8.0, None));
    let simulation = simulation.until(9.0);
    assert_eq!(simulation.actions(), ["0.0 start a", "0.0 start b", "0.0 postStart b", "8.0 start a"]);
    let spec = "containers: [{name: a, livenessProbe: {periodSeconds: 1, failureThreshold: 1}}, \
                {name: b, lifecycle: {postStart: {}}}]";
    let deadly = Script::runs_forever().probes(|_, _| probe_failure());
    let simulation =
        Simulation::new(spec).with("a", deadly).with("b", Script::runs_forever().post_start(8.0, None)).until(7.9);
    assert_eq!(simulation.actions(), ["0.0 start a", "0.0 start b", "0.0 postStart b"]);
    assert_eq!(simulation.until(8.5).actions()[3..5], ["8.0 terminate a", "8.0 start a"]);
}
