//! Probes: when they are made and what follows (K56–K59, K62–K64). What they ask and hear is the room `prober`'s.

use super::play::{Act, Play};
use super::script::{Script, no};
use wasmpod_lifecycle::{ProbeKind, ProbeResult};

fn pod(probes: &str) -> Play {
    Play::new(&format!("terminationGracePeriodSeconds: 5, containers: [{{name: c, {probes}}}]"))
}

fn fails() -> Script {
    Script::stays().probes(|_, _| no())
}

#[test]
fn probes_default_to_ten_seconds_and_three_failures() {
    let play = pod("livenessProbe: {}").with("c", fails()).until(59.0);
    assert_eq!(play.when("liveness probe c")[..3], [10.0, 20.0, 30.0]);
    assert_eq!(play.when("ask c"), [30.0]);
    let play = pod("readinessProbe: {initialDelaySeconds: 5}");
    let play = play.with("c", Script::stays().probes(|_, ran| if ran < 30.0 { ProbeResult::Success } else { no() }));
    let ready = |play: &Play| -> Vec<String> { play.conditions("Ready") };
    let shown = ready(&play.until(70.0));
    let seconds: Vec<&str> = shown.iter().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(seconds, ["0.0", "10.0", "50.0"], "{shown:?}");
}

#[test]
fn probe_thresholds_count_consecutive_results() {
    let play =
        pod("readinessProbe: {periodSeconds: 1, initialDelaySeconds: 1, successThreshold: 2, failureThreshold: 2}");
    // Good at 1, 3, 4, 6, 7, 8; bad at 2, 5, 9, 10.
    let play = play.with(
        "c",
        Script::stays()
            .probes(|_, ran| if [2.0, 5.0].contains(&ran) || ran > 8.0 { no() } else { ProbeResult::Success }),
    );
    let shown = play.until(20.0).conditions("Ready");
    let seconds: Vec<&str> = shown.iter().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(seconds, ["0.0", "4.0", "10.0"], "{shown:?}");
}

#[test]
fn unprobed_container_is_live_unready_and_unstarted() {
    let delay = "{initialDelaySeconds: 20, periodSeconds: 1}";
    let unready = "False ContainersNotReady: containers with unready status: [c]";
    let play = pod(&format!("readinessProbe: {delay}, livenessProbe: {delay}")).until(19.0);
    assert_eq!((play.condition("Ready").as_str(), play.container("c").started), (unready, Some(true)));
    assert_eq!(play.container("c").restart_count, 0);
    let play = play.until(20.0);
    assert_eq!(play.condition("Ready"), "True");
    let startup = pod(&format!("startupProbe: {delay}")).until(19.0);
    assert_eq!((startup.container("c").started, startup.container("c").ready), (Some(false), false));
}

#[test]
fn other_probes_wait_for_the_startup_probe() {
    let play = pod("startupProbe: {periodSeconds: 2, failureThreshold: 9}, livenessProbe: {periodSeconds: 1}, \
                    readinessProbe: {periodSeconds: 3}");
    let slow = |kind, ran| if kind == ProbeKind::Startup && ran < 5.0 { no() } else { ProbeResult::Success };
    let play = play.with("c", Script::stays().probes(slow)).until(20.0);
    assert_eq!(play.when("startup probe c"), [2.0, 4.0, 6.0], "and is not made again");
    assert!(play.when("liveness probe c")[0] >= 6.0);
    assert_eq!(play.when("readiness probe c")[0], 6.0, "at once");
}

#[test]
fn fatal_probe_result_holds_until_the_next_attempt() {
    for (probe, kind) in [("livenessProbe", "liveness"), ("startupProbe", "startup")] {
        let play = pod(&format!("{probe}: {{periodSeconds: 1, failureThreshold: 2}}"));
        let play = play.with("c", fails().deaf()).until(7.5);
        assert_eq!(play.done(), ["0.0 start c", "2.0 ask c", "7.0 kill c", "7.0 start c"]);
        let probed = play.when(&format!("{kind} probe c"));
        assert_eq!(probed, [1.0, 2.0, 7.0], "none while it ends, and the next attempt is another");
    }
}

#[test]
fn probe_error_changes_no_result() {
    let play = pod("livenessProbe: {periodSeconds: 1, failureThreshold: 2}, readinessProbe: {periodSeconds: 1}");
    let errs = Script::stays().probes(|kind, ran| match (kind, ran as u64) {
        (ProbeKind::Readiness, 0..5) => ProbeResult::Success,
        // Two failures in a row, with errors between.
        (ProbeKind::Liveness, 10 | 12) => no(),
        _ => ProbeResult::Error("broken".into()),
    });
    let play = play.with("c", errs).until(11.5);
    assert_eq!((play.condition("Ready"), play.container("c").restart_count), ("True".into(), 0));
    let told = "Readiness probe errored and resulted in unknown state: broken";
    assert!(play.told("Unhealthy").iter().any(|line| line.ends_with(told)));
    assert_eq!(play.until(12.5).when("ask c"), [12.0], "an error between two failures does not part them");
}

#[test]
fn probe_failures_and_warnings_emit_their_own_events() {
    let play = pod("readinessProbe: {periodSeconds: 1}").with("c", fails()).until(2.0);
    let words = "Readiness probe failed: no";
    let told = ["0.5", "1.0", "2.0"].iter().zip(1..).map(|(at, n)| format!("{at} Warning x{n} {words}"));
    assert_eq!(play.told("Unhealthy"), told.collect::<Vec<_>>());
    for (probe, word) in [("livenessProbe", "Liveness"), ("startupProbe", "Startup")] {
        let play = pod(&format!("{probe}: {{periodSeconds: 1}}")).with("c", fails()).until(1.0);
        assert_eq!(play.told("Unhealthy"), [format!("1.0 Warning x1 {word} probe failed: no")]);
    }
    let play = pod("livenessProbe: {periodSeconds: 1}");
    let play = play.with("c", Script::stays().probes(|_, _| ProbeResult::Warning("redirected".into()))).until(1.0);
    assert_eq!(play.told("ProbeWarning"), ["1.0 Warning x1 Liveness probe warning: redirected"]);
    assert_eq!(play.condition("Ready"), "True");
}

#[test]
fn liveness_failure_restarts_within_the_probes_own_grace() {
    for (own, killed) in [("", 6.0), (", terminationGracePeriodSeconds: 3", 4.0)] {
        for (probe, word) in [("livenessProbe", "liveness"), ("startupProbe", "startup")] {
            let play = pod(&format!("{probe}: {{periodSeconds: 1, failureThreshold: 1{own}}}"));
            let play = play.with("c", fails().deaf()).until(killed);
            let words = format!("1.0 Normal x1 Container c failed {word} probe, will be restarted");
            assert_eq!(play.told("Killing")[0], words);
            assert_eq!((play.when("kill c"), play.when("start c")), (vec![killed], vec![0.0, killed]), "{own}");
            assert_eq!(play.state("c"), ("running".into(), "terminated 137 Error".into()));
        }
    }
}

#[test]
fn liveness_failure_without_restart_announces_no_restart() {
    let probe = "livenessProbe: {periodSeconds: 1, failureThreshold: 1, terminationGracePeriodSeconds: 3}";
    let spec = |more: &str| format!("restartPolicy: Never, containers: [{{name: c, {probe}}}{more}]");
    let beside = Play::new(&spec(", {name: d}")).with("c", fails().deaf()).until(60.0);
    assert_eq!(beside.told("Killing"), ["1.0 Normal x1 Container c failed liveness probe"]);
    assert_eq!((beside.when("kill c"), beside.when("start c"), beside.phase()), (vec![4.0], vec![0.0], "Running"));
    let alone = Play::new(&spec("")).with("c", fails().deaf()).until(60.0);
    assert_eq!(alone.told("Killing"), ["1.0 Normal x1 Stopping container c"]);
    assert_eq!((alone.when("kill c"), alone.when("start c"), alone.phase()), (vec![31.0], vec![0.0], "Failed"));
    let own = Play::new(&format!("containers: [{{name: c, restartPolicy: Never, {probe}}}, {{name: d}}]"));
    let own = own.with("c", fails()).until(60.0);
    assert_eq!(own.told("Killing"), ["1.0 Normal x1 Container c failed liveness probe"]);
}

#[test]
fn deletion_stops_liveness_and_startup_but_not_readiness() {
    let play = pod("livenessProbe: {periodSeconds: 1}, readinessProbe: {periodSeconds: 1, failureThreshold: 1}");
    let falls = Script::stays().deaf().probes(|_, ran| if ran < 5.5 { ProbeResult::Success } else { no() });
    let play = play.with("c", falls).at(5.2, Act::Delete(5)).until(60.0);
    assert_eq!(play.when("liveness probe c"), [1.0, 2.0, 3.0, 4.0, 5.0]);
    assert_eq!(play.when("readiness probe c").last(), Some(&10.0));
    let shown = play.conditions("ContainersReady");
    assert!(shown.iter().any(|line| line.starts_with("6.0 False ContainersNotReady")), "{shown:?}");
    assert_eq!(play.told("Killing").len(), 1);

    let startup = pod("startupProbe: {periodSeconds: 1, failureThreshold: 9}").with("c", fails().deaf());
    let startup = startup.at(2.5, Act::Delete(5)).until(60.0);
    assert_eq!(startup.when("startup probe c"), [1.0, 2.0]);
}

#[test]
fn wall_clock_jumps_do_not_affect_probe_schedules() {
    let play = pod("livenessProbe: {periodSeconds: 2, failureThreshold: 2}").with("c", fails());
    let play = play.at(1.0, Act::ClockSays("1970-01-01T00:00:00Z")).at(3.0, Act::ClockSays("2026-01-01T00:00:00Z"));
    let play = play.at(4.5, Act::ClockSays("1999-12-31T23:59:59Z")).until(9.0);
    assert_eq!(play.when("liveness probe c"), [2.0, 4.0, 6.0, 8.0]);
    assert_eq!(play.when("start c"), [0.0, 4.0, 8.0]);
}

#[test]
fn liveness_failure_restarts_at_once_whatever_the_exit_code() {
    let spec = "restartPolicy: OnFailure, terminationGracePeriodSeconds: 1, \
                containers: [{name: c, livenessProbe: {periodSeconds: 2, failureThreshold: 1}}]";
    let play = Play::new(spec).with("c", Script::stays().probes(|_, _| no()));
    let play = play.until(3.0);
    assert_eq!((play.phase(), play.container("c").restart_count), ("Running", 1));
    // A restart that is held up is judged by the code, like any.
    let play = play.until(60.0);
    assert_eq!((play.phase(), play.state("c").0.as_str()), ("Succeeded", "terminated 0 Completed"));
}

#[test]
fn killing_event_of_a_sidecar_announces_no_restart() {
    let spec = "initContainers: [{name: s, restartPolicy: Always, \
                livenessProbe: {periodSeconds: 2, failureThreshold: 1}}], containers: [{name: a}]";
    let play = Play::new(spec).with("s", Script::stays().probes(|_, _| no())).until(3.0);
    assert_eq!(play.told("Killing"), ["2.0 Normal x1 Init container s failed liveness probe"]);
    let image = Play::new(spec).at(1.0, Act::Image("s", "other")).until(1.5);
    assert_eq!(image.told("Killing"), ["1.0 Normal x1 Init container s definition changed"]);
}
