//! How containers begin and end (K35, K41, K42, K45, K47).

use super::play::{Act, Play};
use super::script::{Script, no};

#[test]
fn image_errors_are_shown_as_waiting_reasons() {
    for reason in ["ErrImageNeverPull", "InvalidImageName", "ImageInspectError"] {
        let play = Play::new("containers: [{name: c}]");
        let play = play.with("c", Script::stays().fails_to_start(9, reason, "why")).until(60.0);
        assert_eq!((play.state("c").0, play.waits_for("c")), (format!("waiting {reason}"), "why".into()));
    }
    let play = Play::new("containers: [{name: c}]");
    let play = play.with("c", Script::stays().fails_to_start(9, "ErrImagePull", "why")).until(5.0);
    let shown = ["0.0 waiting ContainerCreating", "0.0 waiting ErrImagePull", "1.0 waiting ImagePullBackOff"];
    assert_eq!(play.states("c"), shown);
}

#[test]
fn image_pull_backoff_emits_events() {
    let play = Play::new("containers: [{name: c, image: web}]");
    let play = play.with("c", Script::stays().fails_to_start(1, "ErrImagePull", "none")).until(60.0);
    assert_eq!(play.told("BackOff"), ["1.0 Normal x1 Back-off pulling image \"web\""]);
    assert_eq!(play.told("Failed"), ["1.0 Warning x1 Error: ImagePullBackOff"]);
}

#[test]
fn containers_start_after_the_sandbox_in_order_of_their_roles() {
    let spec = "initContainers: [{name: i}, {name: j}], containers: [{name: a}, {name: b}], \
                ephemeralContainers: [{name: e}]";
    let play = Play::new(spec).set_up_fails(1, None).with("i", Script::ends(1.0, 0)).with("j", Script::ends(1.0, 0));
    let order = ["0.5 start e", "0.5 start i", "1.5 start j", "2.5 start a", "2.5 start b"];
    assert_eq!(play.until(9.0).done(), order);
}

#[test]
fn failed_creation_is_a_waiting_reason_and_no_restart() {
    for reason in ["CreateContainerConfigError", "CreateContainerError", "RunContainerError"] {
        let play = Play::new("restartPolicy: Never, containers: [{name: c}, {name: d}]");
        let play = play.with("c", Script::stays().fails_to_start(1, reason, "why")).until(0.5);
        assert_eq!((play.state("c").0, play.waits_for("c")), (format!("waiting {reason}"), "why".into()));
        assert_eq!((play.phase(), play.state("d").0.as_str()), ("Pending", "running"), "its neighbour runs");
        let play = play.until(9.0);
        assert_eq!((play.phase(), play.container("c").restart_count), ("Running", 0));
    }
    let hook = Play::new("containers: [{name: c, lifecycle: {postStart: {}}}]");
    let hook = hook.with("c", Script::stays().post_start(0.0, Some("no"))).until(0.5);
    assert_eq!((hook.state("c").0.as_str(), hook.waits_for("c").as_str()), ("waiting PostStartHookError", "no"));
}

#[test]
fn terminated_state_keeps_code_reason_message_and_times() {
    let play = Play::new("restartPolicy: Never, containers: [{name: c}]");
    let script = Script::ends(1.0, 137).saying("OOMKilled", Some("it wanted more"));
    let play = play.with("c", script).until(9.0);
    assert_eq!((play.phase(), play.state("c").0.as_str()), ("Failed", "terminated 137 OOMKilled"));
    let ended = play.container("c").state.as_ref().and_then(|state| state.terminated.clone()).expect("it ended");
    assert_eq!(ended.message.as_deref(), Some("it wanted more"));
    let at = |time: &Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>| {
        time.as_ref().map(|time| time.0.to_string()).unwrap_or_default()
    };
    assert_eq!([at(&ended.started_at), at(&ended.finished_at)], ["2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"]);
    assert_eq!(ended.container_id, play.container("c").container_id);
}

#[test]
fn post_start_hook_delays_later_starts_and_kills_on_failure() {
    let spec = "terminationGracePeriodSeconds: 2, containers: [{name: a, lifecycle: {postStart: {}}}, {name: b}]";
    let slow = Play::new(spec).with("a", Script::stays().post_start(3.0, None)).until(9.0);
    assert_eq!(slow.done(), ["0.0 start a", "0.0 postStart a", "3.0 start b"]);
    assert_eq!(slow.states("a"), ["0.0 waiting ContainerCreating", "3.0 running"]);

    let fails = Script::stays().deaf().post_start(1.0, Some("Exec lifecycle hook failed"));
    let fails = Play::new(spec).with("a", fails).until(3.5);
    assert_eq!(fails.told("FailedPostStartHook")[0], "1.0 Warning x1 PostStartHook failed");
    assert_eq!(fails.told("Killing")[0], "1.0 Normal x1 FailedPostStartHook");
    assert_eq!(fails.done()[2..4], ["1.0 ask a", "3.0 kill a"]);
    assert_eq!(fails.state("a"), ("waiting PostStartHookError".into(), "terminated 137 Error".into()));

    let fails = Script::stays().deaf().post_start(1.0, Some("Exec lifecycle hook failed"));
    let once = Play::new(&format!("restartPolicy: Never, {spec}")).with("a", fails).until(9.0);
    assert_eq!(once.state("a").0, "terminated 137 Error", "what runs no more waits for nothing");
}

#[test]
fn failed_pre_stop_hook_emits_an_event_and_stop_continues() {
    let play = Play::new("containers: [{name: c, lifecycle: {preStop: {}}}]");
    let play = play.with("c", Script::stays().pre_stop(2.0, Some("no"))).at(5.0, Act::Delete(30)).until(60.0);
    assert_eq!(play.done(), ["0.0 start c", "5.0 preStop c", "7.0 ask c", "7.0 tear down"]);
    assert_eq!(play.told("FailedPreStopHook"), ["7.0 Warning x1 PreStopHook failed"]);
}

#[test]
fn unrunnable_program_waits_with_its_error_and_last_state() {
    let broken = || Script::ends(0.0, 128).saying("StartError", Some("no /nope"));
    let play = Play::new("containers: [{name: c}]").with("c", broken()).until(0.5);
    let shown = ("waiting RunContainerError".to_string(), "terminated 128 StartError".to_string());
    assert_eq!((play.state("c"), play.waits_for("c").as_str()), (shown, "no /nope"));
    assert_eq!(play.until(5.0).state("c").0, "waiting CrashLoopBackOff");
    let once = Play::new("restartPolicy: Never, containers: [{name: c}]").with("c", broken()).until(5.0);
    assert_eq!(once.state("c"), ("terminated 128 StartError".into(), String::new()), "nothing is waited for");
    let hook = "containers: [{name: c, lifecycle: {postStart: {}}}]";
    let hook = Play::new(hook).with("c", broken()).until(0.5);
    assert_eq!(hook.when("postStart c"), [0.0; 0], "what never ran has no hooks");
}

#[test]
fn every_app_starts_once_before_any_restarts() {
    let spec = "containers: [{name: a, lifecycle: {postStart: {}}}, {name: b}, {name: d}]";
    let play = Play::new(spec).with("a", Script::stays().post_start(1.0, Some("no"))).with("b", Script::stays());
    let play = play.with("b", Script::stays().starts_after(2.0)).until(3.5);
    let began: Vec<String> = play.done().into_iter().filter(|done| done.contains("start ")).collect();
    assert_eq!(began, ["0.0 start a", "1.0 start b", "3.0 start d", "3.0 start a"]);
}

#[test]
fn exit_during_post_start_hook_is_seen_when_the_hook_returns() {
    let spec = "containers: [{name: c, lifecycle: {postStart: {}}}]";
    let crash = Script::ends(1.0, 3).post_start(2.0, Some("exited with 137"));
    let play = Play::new(spec).with("c", crash).until(1.5);
    assert_eq!(play.state("c").0, "waiting ContainerCreating", "not yet");
    assert_eq!(play.phase(), "Pending");
    let play = play.until(2.5);
    assert_eq!(play.state("c"), ("waiting PostStartHookError".into(), "terminated 3 Error".into()));
    assert_eq!(play.told("FailedPostStartHook"), ["2.0 Warning x1 PostStartHook failed"]);
    assert_eq!(play.told("Killing"), ["2.0 Normal x1 FailedPostStartHook"]);
    let well = Play::new(&format!("restartPolicy: Never, {spec}"));
    let well = well.with("c", Script::ends(1.0, 0).post_start(2.0, None)).until(9.0);
    assert_eq!(well.states("c"), ["0.0 waiting ContainerCreating", "2.0 terminated 0 Completed"]);
    assert_eq!(well.phase(), "Succeeded");
}

#[test]
fn deletion_aborts_a_post_start_hook() {
    let spec = "containers: [{name: c, lifecycle: {postStart: {}}}]";
    let slow = || Script::stays().asked(2.0, 0).post_start(20.0, None);
    let play = Play::new(spec).with("c", slow()).at(3.0, Act::Delete(30)).until(4.0);
    assert_eq!((play.phase(), play.state("c").0.as_str()), ("Running", "running"), "shown as what it is");
    assert_eq!(play.told("FailedPostStartHook"), ["3.0 Warning x1 PostStartHook failed"]);
    assert_eq!(play.told("Killing"), ["3.0 Normal x1 FailedPostStartHook", "3.0 Normal x1 Stopping container c"]);
    let ended = Play::new(spec).with("c", Script::ends(1.0, 3).post_start(20.0, None));
    let ended = ended.at(3.0, Act::Delete(30)).until(9.0);
    assert_eq!(ended.removed(), Some(3.0), "nothing lives that could be waited for");
}

#[test]
fn running_post_start_hook_delays_other_starts_and_stops() {
    let spec = "containers: [{name: a}, {name: b, lifecycle: {postStart: {}}}]";
    let play = Play::new(spec).with("a", Script::ends(2.0, 1)).with("b", Script::stays().post_start(8.0, None));
    let play = play.until(9.0);
    assert_eq!(play.done(), ["0.0 start a", "0.0 start b", "0.0 postStart b", "8.0 start a"]);
    let spec = "containers: [{name: a, livenessProbe: {periodSeconds: 1, failureThreshold: 1}}, \
                {name: b, lifecycle: {postStart: {}}}]";
    let deadly = Script::stays().probes(|_, _| no());
    let play = Play::new(spec).with("a", deadly).with("b", Script::stays().post_start(8.0, None)).until(7.9);
    assert_eq!(play.done(), ["0.0 start a", "0.0 start b", "0.0 postStart b"]);
    assert_eq!(play.until(8.5).done()[3..5], ["8.0 ask a", "8.0 start a"]);
}
