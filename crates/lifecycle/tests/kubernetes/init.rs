//! Init containers, sidecars, restart rules, ephemeral containers (K48–K51, K53–K55).

use super::script::{Script, probe_failure};
use super::simulation::{Intervention, Simulation};
use wasmpod_lifecycle::ProbeResult;

#[test]
fn init_containers_run_one_after_another() {
    let simulation = Simulation::new("initContainers: [{name: i}, {name: j}], containers: [{name: a}, {name: b}]");
    let simulation = simulation
        .with("i", Script::runs_forever().exits_in_turn(&[(1.0, 1), (2.0, 0)]))
        .with("j", Script::exits(3.0, 0))
        .until(20.0);
    let expected = ["0.0 start i", "1.0 start i", "3.0 start j", "6.0 start a", "6.0 start b"];
    assert_eq!(simulation.actions(), expected, "a failed init container is restarted before the next one starts");
}

#[test]
fn next_container_waits_for_sidecar_startup_not_readiness() {
    let spec = "initContainers: [{name: s, restartPolicy: Always, readinessProbe: {}, \
                startupProbe: {periodSeconds: 1, failureThreshold: 99}}, {name: i}], containers: [{name: a}]";
    let script = Script::runs_forever().probes(|kind, ran| match kind {
        wasmpod_lifecycle::ProbeKind::Startup if ran >= 4.0 => ProbeResult::Success,
        _ => probe_failure(),
    });
    let simulation = Simulation::new(spec).with("s", script).with("i", Script::exits(2.0, 0)).until(20.0);
    assert_eq!(simulation.actions(), ["0.0 start s", "4.0 start i", "6.0 start a"]);
    assert_eq!((simulation.phase(), simulation.container("s").ready), ("Running", false));
}

#[test]
fn sidecars_restart_under_any_policy_and_gate_readiness() {
    for policy in ["Always", "OnFailure", "Never"] {
        let spec = format!(
            "restartPolicy: {policy}, initContainers: [{{name: s, restartPolicy: Always}}], containers: [{{name: a}}]"
        );
        let simulation = Simulation::new(&spec).with("s", Script::exits(5.0, 0)).until(14.0);
        assert_eq!(simulation.when("start s"), [0.0, 5.0], "{policy}");
        let unready = "False ContainersNotReady: containers with unready status: [s]";
        assert_eq!((simulation.phase(), simulation.condition("Ready").as_str()), ("Running", unready), "{policy}");
        assert_eq!(simulation.until(21.0).condition("Ready"), "True", "{policy}");
    }
}

#[test]
fn sidecars_stop_once_the_apps_have_finished() {
    let spec = "restartPolicy: OnFailure, terminationGracePeriodSeconds: 6, \
                initContainers: [{name: s, restartPolicy: Always}], containers: [{name: a}, {name: b}]";
    let simulation = Simulation::new(spec).with("s", Script::runs_forever().ignores_sigterm());
    let simulation = simulation
        .with("a", Script::exits(1.0, 0))
        .with("b", Script::runs_forever().exits_in_turn(&[(2.0, 1), (3.0, 0)]))
        .until(60.0);
    assert_eq!(
        simulation.actions()[4..],
        ["5.0 terminate s", "11.0 kill s", "11.0 tear down"],
        "within the pod's grace"
    );
    assert_eq!(simulation.events("Killing"), ["5.0 Normal x1 Stopping container s"]);
    assert_eq!(simulation.phases(), "Pending Running Succeeded");
    assert_eq!(simulation.when("start s"), [0.0], "the sidecar is not restarted");
}

#[test]
fn apps_stop_together_then_sidecars_in_reverse_order() {
    let spec = "initContainers: [{name: s, restartPolicy: Always}, {name: t, restartPolicy: Always}], \
                containers: [{name: a}, {name: b}]";
    let pod = || {
        Simulation::new(spec)
            .with("s", Script::runs_forever().stops_after(1.0, 0))
            .with("t", Script::runs_forever().stops_after(1.0, 0))
    };
    let simulation = pod()
        .with("a", Script::runs_forever().stops_after(2.0, 0))
        .with("b", Script::runs_forever().stops_after(3.0, 0));
    let simulation = simulation.at(5.0, Intervention::Delete(30)).until(60.0);
    assert_eq!(
        simulation.actions()[4..],
        ["5.0 terminate a", "5.0 terminate b", "8.0 terminate t", "9.0 terminate s", "10.0 tear down"]
    );
    assert!(simulation.events("Killing").iter().all(|line| line.starts_with("5.0 ")), "all events at once");

    let deaf = pod().with("a", Script::runs_forever().ignores_sigterm()).at(5.0, Intervention::Delete(4)).until(60.0);
    let expected = ["5.0 terminate a", "5.0 terminate b", "9.0 kill a", "9.0 terminate t", "9.0 terminate s"];
    let done = deaf.actions();
    for line in expected {
        assert!(done.contains(&line.into()), "{line} in {done:?}");
    }
    assert_eq!(done.last().map(String::as_str), Some("10.0 tear down"), "the rest of the grace period is shared");
}

#[test]
fn container_restart_policy_and_rules_override_the_pods() {
    let rules = "restartPolicyRules: [{action: Restart, exitCodes: {operator: In, values: [42]}}]";
    let not_in = "restartPolicyRules: [{action: Restart, exitCodes: {operator: NotIn, values: [0, 1]}}]";
    for (pod, own, code, restarted) in [
        ("Never", "restartPolicy: Always", 0, true),
        ("Never", "restartPolicy: OnFailure", 1, true),
        ("Never", "restartPolicy: OnFailure", 0, false),
        ("Always", "restartPolicy: Never", 1, false),
        ("Always", &format!("restartPolicy: Never, {rules}"), 42, true),
        ("Always", &format!("restartPolicy: Never, {rules}"), 41, false),
        ("Always", &format!("restartPolicy: Never, {not_in}"), 2, true),
        ("Always", &format!("restartPolicy: Never, {not_in}"), 1, false),
    ] {
        let simulation = Simulation::new(&format!("restartPolicy: {pod}, containers: [{{name: c, {own}}}]"));
        let simulation =
            simulation.with("c", Script::runs_forever().exits_in_turn(&[(1.0, code), (99.0, 0)])).until(5.0);
        assert_eq!(simulation.when("start c").len() > 1, restarted, "{pod}, {own}, exit {code}");
    }
}

#[test]
fn restart_all_rule_begins_at_the_first_init_container() {
    let own = "restartPolicy: Never, restartPolicyRules: \
               [{action: RestartAllContainers, exitCodes: {operator: In, values: [50]}}]";
    let spec = format!("initContainers: [{{name: i}}], containers: [{{name: a, {own}}}, {{name: b}}]");
    let simulation = Simulation::new(&spec).with("i", Script::exits(1.0, 0));
    let simulation = simulation.with("a", Script::runs_forever().exits_in_turn(&[(2.0, 50), (99.0, 0)])).until(20.0);
    assert_eq!(simulation.when("start i").len(), 2);
    assert_eq!([simulation.when("start a").len(), simulation.when("start b").len()], [2, 2]);
    assert!(simulation.when("start a")[1] >= simulation.when("start i")[1] + 1.0, "in their order");
    assert_eq!((simulation.phase(), simulation.container("b").restart_count), ("Running", 1));

    let always = Simulation::new(&spec).with("i", Script::exits(1.0, 0)).with("a", Script::exits(1.0, 50)).until(60.0);
    let starts = always.when("start a").len();
    assert!((3..7).contains(&starts), "the rule backs off: {starts} starts in a minute");
}

#[test]
fn deleted_pod_restarts_no_container() {
    let spec = "restartPolicy: Always, initContainers: [{name: s, restartPolicy: Always}], containers: \
                [{name: a}, {name: b}]";
    let simulation =
        Simulation::new(spec).with("b", Script::runs_forever().stops_after(9.0, 0)).with("s", Script::exits(6.0, 1));
    let simulation = simulation.with("a", Script::exits(4.5, 1)).at(4.0, Intervention::Delete(30)).until(60.0);
    assert_eq!([simulation.when("start a"), simulation.when("start b"), simulation.when("start s")], [[0.0]; 3]);
    assert_eq!(simulation.removed_at(), Some(13.0));

    let waiting =
        Simulation::new("containers: [{name: c}]").with("c", Script::exits(1.0, 1)).at(5.0, Intervention::Delete(30));
    let waiting = waiting.until(60.0);
    assert_eq!((waiting.when("start c"), waiting.removed_at()), (vec![0.0, 1.0], Some(5.0)), "nothing is left to stop");
}

#[test]
fn ephemeral_container_never_restarts_or_affects_pod_status() {
    for code in [0, 1] {
        let simulation =
            Simulation::new("restartPolicy: Always, containers: [{name: c}]").with("e", Script::exits(2.0, code));
        let simulation = simulation.at(5.0, Intervention::AddEphemeral("e")).until(60.0);
        assert_eq!(simulation.when("start e"), [5.0]);
        assert_eq!(
            simulation.state("e").0,
            format!("terminated {code} {}", if code == 0 { "Completed" } else { "Error" })
        );
        assert_eq!((simulation.phase(), simulation.condition("Ready").as_str()), ("Running", "True"));
        assert_eq!((simulation.container("e").ready, simulation.container("e").started), (false, None));
    }
    let simulation = Simulation::new("restartPolicy: Never, containers: [{name: c}]").with("c", Script::exits(9.0, 0));
    let simulation = simulation
        .with("e", Script::runs_forever().stops_after(0.0, 143))
        .at(5.0, Intervention::AddEphemeral("e"))
        .until(60.0);
    assert_eq!(simulation.phase(), "Succeeded", "it ends with the pod");
}

#[test]
fn ephemeral_containers_are_identified_by_name_not_position() {
    let simulation =
        Simulation::new("containers: [{name: c}]").with("d1", Script::exits(1.0, 0)).with("d2", Script::exits(1.0, 2));
    let simulation =
        simulation.at(5.0, Intervention::AddEphemeral("d1")).at(9.0, Intervention::AddEphemeral("d2")).until(60.0);
    assert_eq!((simulation.when("start d1"), simulation.when("start d2")), (vec![5.0], vec![9.0]));
    assert_eq!(
        (simulation.state("d1").0.as_str(), simulation.state("d2").0.as_str()),
        ("terminated 0 Completed", "terminated 2 Error")
    );
    let listed = simulation.status().ephemeral_container_statuses.iter().flatten().map(|c| c.name.as_str());
    assert_eq!(listed.collect::<Vec<_>>(), ["d1", "d2"], "sorted by name");
}

#[test]
fn finished_pod_starts_no_ephemeral_container() {
    let simulation = Simulation::new("restartPolicy: Never, containers: [{name: c}]").with("c", Script::exits(2.0, 0));
    let simulation =
        simulation.at(9.0, Intervention::AddEphemeral("e")).at(20.0, Intervention::RestartNode).until(60.0);
    assert_eq!((simulation.phase(), simulation.status().ephemeral_container_statuses.as_ref()), ("Succeeded", None));
    assert_eq!(simulation.status().observed_generation, Some(1), "the generation with which it finished");
    assert!(simulation.when("start e").is_empty());
}

#[test]
fn unstartable_sidecar_blocks_later_containers() {
    let spec = "initContainers: [{name: s, restartPolicy: Always}], containers: [{name: a}]";
    let broken = Script::exits(0.0, 128).with_reason("StartError", Some("no /nope"));
    let simulation = Simulation::new(spec).with("s", broken).until(60.0);
    assert_eq!((simulation.phase(), simulation.when("start a")), ("Pending", vec![]));
    assert_eq!(
        simulation.condition("Initialized"),
        "False ContainersNotInitialized: containers with incomplete status: [s]"
    );
    // When no app runs any more, all of them wait for the last sidecar again.
    let both = Simulation::new(spec)
        .with("s", Script::runs_forever().exits_in_turn(&[(5.0, 1)]))
        .with("a", Script::exits(4.0, 1))
        .until(30.0);
    let (apps, sidecars) = (both.when("start a"), both.when("start s"));
    let (second, third) = (apps[1], apps[2]);
    assert_eq!(second, 4.0, "while the sidecar runs");
    assert!(sidecars.contains(&third), "with the sidecar: {apps:?} {sidecars:?}");
}

#[test]
fn sidecar_state_in_backoff_depends_on_policy_and_exit_code() {
    let spec = "initContainers: [{name: s, restartPolicy: Always}], containers: [{name: a}]";
    for (policy, code, state) in [
        ("Always", 0, "terminated 0 Completed"),
        ("Never", 1, "terminated 1 Error"),
        ("Always", 1, "waiting CrashLoopBackOff"),
        ("OnFailure", 1, "waiting CrashLoopBackOff"),
    ] {
        let simulation = Simulation::new(&format!("restartPolicy: {policy}, {spec}"));
        let simulation = simulation.with("s", Script::exits(1.0, code)).until(8.0);
        assert_eq!(simulation.state("s").0, state, "{policy}, exit {code}");
        assert!(!simulation.events("BackOff").is_empty(), "it is in back-off");
    }
}
