//! Probes: when they run and what their results cause (K56–K59, K62–K64). The module `prober` performs them.

use super::script::{Script, probe_failure};
use super::simulation::{Intervention, Simulation};
use wasmpod_lifecycle::{ProbeKind, ProbeResult};

fn pod(probes: &str) -> Simulation {
    Simulation::new(&format!("terminationGracePeriodSeconds: 5, containers: [{{name: c, {probes}}}]"))
}

fn unhealthy() -> Script {
    Script::runs_forever().probes(|_, _| probe_failure())
}

#[test]
fn probes_default_to_ten_seconds_and_three_failures() {
    let simulation = pod("livenessProbe: {}").with("c", unhealthy()).until(59.0);
    assert_eq!(simulation.when("liveness probe c")[..3], [10.0, 20.0, 30.0]);
    assert_eq!(simulation.when("terminate c"), [30.0]);
    let simulation = pod("readinessProbe: {initialDelaySeconds: 5}");
    let simulation = simulation.with(
        "c",
        Script::runs_forever().probes(|_, ran| if ran < 30.0 { ProbeResult::Success } else { probe_failure() }),
    );
    let ready = |simulation: &Simulation| -> Vec<String> { simulation.conditions("Ready") };
    let states = ready(&simulation.until(70.0));
    let seconds: Vec<&str> = states.iter().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(seconds, ["0.0", "10.0", "50.0"], "{states:?}");
}

#[test]
fn probe_thresholds_count_consecutive_results() {
    let simulation =
        pod("readinessProbe: {periodSeconds: 1, initialDelaySeconds: 1, successThreshold: 2, failureThreshold: 2}");
    // Succeeds at 1, 3, 4, 6, 7, 8; fails at 2, 5, 9, 10.
    let simulation = simulation.with(
        "c",
        Script::runs_forever().probes(|_, ran| {
            if [2.0, 5.0].contains(&ran) || ran > 8.0 { probe_failure() } else { ProbeResult::Success }
        }),
    );
    let states = simulation.until(20.0).conditions("Ready");
    let seconds: Vec<&str> = states.iter().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(seconds, ["0.0", "4.0", "10.0"], "{states:?}");
}

#[test]
fn unprobed_container_is_live_unready_and_unstarted() {
    let delay = "{initialDelaySeconds: 20, periodSeconds: 1}";
    let unready = "False ContainersNotReady: containers with unready status: [c]";
    let simulation = pod(&format!("readinessProbe: {delay}, livenessProbe: {delay}")).until(19.0);
    assert_eq!((simulation.condition("Ready").as_str(), simulation.container("c").started), (unready, Some(true)));
    assert_eq!(simulation.container("c").restart_count, 0);
    let simulation = simulation.until(20.0);
    assert_eq!(simulation.condition("Ready"), "True");
    let startup = pod(&format!("startupProbe: {delay}")).until(19.0);
    assert_eq!((startup.container("c").started, startup.container("c").ready), (Some(false), false));
}

#[test]
fn other_probes_wait_for_the_startup_probe() {
    let simulation = pod("startupProbe: {periodSeconds: 2, failureThreshold: 9}, livenessProbe: {periodSeconds: 1}, \
                    readinessProbe: {periodSeconds: 3}");
    let slow = |kind, ran| if kind == ProbeKind::Startup && ran < 5.0 { probe_failure() } else { ProbeResult::Success };
    let simulation = simulation.with("c", Script::runs_forever().probes(slow)).until(20.0);
    assert_eq!(simulation.when("startup probe c"), [2.0, 4.0, 6.0], "it stops after its success");
    assert!(simulation.when("liveness probe c")[0] >= 6.0);
    assert_eq!(simulation.when("readiness probe c")[0], 6.0, "at once");
}

#[test]
fn fatal_probe_result_holds_until_the_next_attempt() {
    for (probe, kind) in [("livenessProbe", "liveness"), ("startupProbe", "startup")] {
        let simulation = pod(&format!("{probe}: {{periodSeconds: 1, failureThreshold: 2}}"));
        let simulation = simulation.with("c", unhealthy().ignores_sigterm()).until(7.5);
        assert_eq!(simulation.actions(), ["0.0 start c", "2.0 terminate c", "7.0 kill c", "7.0 start c"]);
        let probed = simulation.when(&format!("{kind} probe c"));
        assert_eq!(probed, [1.0, 2.0, 7.0], "none while the container stops; again in the next attempt");
    }
}

#[test]
fn probe_error_changes_no_result() {
    let simulation = pod("livenessProbe: {periodSeconds: 1, failureThreshold: 2}, readinessProbe: {periodSeconds: 1}");
    let errs = Script::runs_forever().probes(|kind, ran| match (kind, ran as u64) {
        (ProbeKind::Readiness, 0..5) => ProbeResult::Success,
        // Two failures in a row, with errors between.
        (ProbeKind::Liveness, 10 | 12) => probe_failure(),
        _ => ProbeResult::Error("broken".into()),
    });
    let simulation = simulation.with("c", errs).until(11.5);
    assert_eq!((simulation.condition("Ready"), simulation.container("c").restart_count), ("True".into(), 0));
    let message = "Readiness probe errored and resulted in unknown state: broken";
    assert!(simulation.events("Unhealthy").iter().any(|line| line.ends_with(message)));
    assert_eq!(simulation.until(12.5).when("terminate c"), [12.0], "an error does not reset the failures");
}

#[test]
fn probe_failures_and_warnings_emit_their_own_events() {
    let simulation = pod("readinessProbe: {periodSeconds: 1}").with("c", unhealthy()).until(2.0);
    let message = "Readiness probe failed: no";
    let events = ["0.5", "1.0", "2.0"].iter().zip(1..).map(|(at, n)| format!("{at} Warning x{n} {message}"));
    assert_eq!(simulation.events("Unhealthy"), events.collect::<Vec<_>>());
    for (probe, word) in [("livenessProbe", "Liveness"), ("startupProbe", "Startup")] {
        let simulation = pod(&format!("{probe}: {{periodSeconds: 1}}")).with("c", unhealthy()).until(1.0);
        assert_eq!(simulation.events("Unhealthy"), [format!("1.0 Warning x1 {word} probe failed: no")]);
    }
    let simulation = pod("livenessProbe: {periodSeconds: 1}");
    let simulation = simulation
        .with("c", Script::runs_forever().probes(|_, _| ProbeResult::Warning("redirected".into())))
        .until(1.0);
    assert_eq!(simulation.events("ProbeWarning"), ["1.0 Warning x1 Liveness probe warning: redirected"]);
    assert_eq!(simulation.condition("Ready"), "True");
}

#[test]
fn liveness_failure_restarts_within_the_probes_own_grace() {
    for (own, killed) in [("", 6.0), (", terminationGracePeriodSeconds: 3", 4.0)] {
        for (probe, word) in [("livenessProbe", "liveness"), ("startupProbe", "startup")] {
            let simulation = pod(&format!("{probe}: {{periodSeconds: 1, failureThreshold: 1{own}}}"));
            let simulation = simulation.with("c", unhealthy().ignores_sigterm()).until(killed);
            let message = format!("1.0 Normal x1 Container c failed {word} probe, will be restarted");
            assert_eq!(simulation.events("Killing")[0], message);
            assert_eq!(
                (simulation.when("kill c"), simulation.when("start c")),
                (vec![killed], vec![0.0, killed]),
                "{own}"
            );
            assert_eq!(simulation.state("c"), ("running".into(), "terminated 137 Error".into()));
        }
    }
}

#[test]
fn liveness_failure_without_restart_announces_no_restart() {
    let probe = "livenessProbe: {periodSeconds: 1, failureThreshold: 1, terminationGracePeriodSeconds: 3}";
    let spec = |more: &str| format!("restartPolicy: Never, containers: [{{name: c, {probe}}}{more}]");
    let beside = Simulation::new(&spec(", {name: d}")).with("c", unhealthy().ignores_sigterm()).until(60.0);
    assert_eq!(beside.events("Killing"), ["1.0 Normal x1 Container c failed liveness probe"]);
    assert_eq!((beside.when("kill c"), beside.when("start c"), beside.phase()), (vec![4.0], vec![0.0], "Running"));
    let alone = Simulation::new(&spec("")).with("c", unhealthy().ignores_sigterm()).until(60.0);
    assert_eq!(alone.events("Killing"), ["1.0 Normal x1 Stopping container c"]);
    assert_eq!((alone.when("kill c"), alone.when("start c"), alone.phase()), (vec![31.0], vec![0.0], "Failed"));
    let own = Simulation::new(&format!("containers: [{{name: c, restartPolicy: Never, {probe}}}, {{name: d}}]"));
    let own = own.with("c", unhealthy()).until(60.0);
    assert_eq!(own.events("Killing"), ["1.0 Normal x1 Container c failed liveness probe"]);
}

#[test]
fn deletion_stops_liveness_and_startup_but_not_readiness() {
    let simulation = pod("livenessProbe: {periodSeconds: 1}, readinessProbe: {periodSeconds: 1, failureThreshold: 1}");
    let turns_unready = Script::runs_forever()
        .ignores_sigterm()
        .probes(|_, ran| if ran < 5.5 { ProbeResult::Success } else { probe_failure() });
    let simulation = simulation.with("c", turns_unready).at(5.2, Intervention::Delete(5)).until(60.0);
    assert_eq!(simulation.when("liveness probe c"), [1.0, 2.0, 3.0, 4.0, 5.0]);
    assert_eq!(simulation.when("readiness probe c").last(), Some(&10.0));
    let states = simulation.conditions("ContainersReady");
    assert!(states.iter().any(|line| line.starts_with("6.0 False ContainersNotReady")), "{states:?}");
    assert_eq!(simulation.events("Killing").len(), 1);

    let startup = pod("startupProbe: {periodSeconds: 1, failureThreshold: 9}").with("c", unhealthy().ignores_sigterm());
    let startup = startup.at(2.5, Intervention::Delete(5)).until(60.0);
    assert_eq!(startup.when("startup probe c"), [1.0, 2.0]);
}

#[test]
fn wall_clock_jumps_do_not_affect_probe_schedules() {
    let simulation = pod("livenessProbe: {periodSeconds: 2, failureThreshold: 2}").with("c", unhealthy());
    let simulation = simulation
        .at(1.0, Intervention::SetWallClock("1970-01-01T00:00:00Z"))
        .at(3.0, Intervention::SetWallClock("2026-01-01T00:00:00Z"));
    let simulation = simulation.at(4.5, Intervention::SetWallClock("1999-12-31T23:59:59Z")).until(9.0);
    assert_eq!(simulation.when("liveness probe c"), [2.0, 4.0, 6.0, 8.0]);
    assert_eq!(simulation.when("start c"), [0.0, 4.0, 8.0]);
}

#[test]
fn liveness_failure_restarts_at_once_whatever_the_exit_code() {
    let spec = "restartPolicy: OnFailure, terminationGracePeriodSeconds: 1, \
                containers: [{name: c, livenessProbe: {periodSeconds: 2, failureThreshold: 1}}]";
    let simulation = Simulation::new(spec).with("c", Script::runs_forever().probes(|_, _| probe_failure()));
    let simulation = simulation.until(3.0);
    assert_eq!((simulation.phase(), simulation.container("c").restart_count), ("Running", 1));
    // A restart that has to wait is decided by the exit code, like any other.
    let simulation = simulation.until(60.0);
    assert_eq!((simulation.phase(), simulation.state("c").0.as_str()), ("Succeeded", "terminated 0 Completed"));
}

#[test]
fn killing_event_of_a_sidecar_announces_no_restart() {
    let spec = "initContainers: [{name: s, restartPolicy: Always, \
                livenessProbe: {periodSeconds: 2, failureThreshold: 1}}], containers: [{name: a}]";
    let simulation = Simulation::new(spec).with("s", Script::runs_forever().probes(|_, _| probe_failure())).until(3.0);
    assert_eq!(simulation.events("Killing"), ["2.0 Normal x1 Init container s failed liveness probe"]);
    let image = Simulation::new(spec).at(1.0, Intervention::SetImage("s", "other")).until(1.5);
    assert_eq!(image.events("Killing"), ["1.0 Normal x1 Init container s definition changed"]);
}
