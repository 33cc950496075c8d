//! The pod's conditions (K16–K23, K25, K26; kubelet's `status/generate.go`).

use k8s_openapi::api::core::v1::PodCondition;

use super::script::{Script, probe_failure};
use super::simulation::{Intervention, Simulation};

const UNREADY: &str = "False ContainersNotReady: containers with unready status: ";

#[test]
fn foreign_conditions_precede_the_kubelets_own() {
    let simulation = Simulation::new("containers: [{name: c}]")
        .at(1.0, Intervention::SetCondition("example.com/x", "True"))
        .until(2.0);
    let kinds: Vec<&str> = simulation.status().conditions.iter().flatten().map(|c| c.type_.as_str()).collect();
    let ours = ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"];
    assert_eq!(kinds, [&["example.com/x"], &ours[..]].concat());
}

#[test]
fn unready_containers_are_listed_in_spec_order_sidecars_first() {
    let spec = "initContainers: [{name: i}, {name: s, restartPolicy: Always, readinessProbe: {}}], \
                containers: [{name: b, readinessProbe: {}}, {name: a, readinessProbe: {}}]";
    let unready = Script::runs_forever().probes(|_, _| probe_failure());
    let simulation =
        Simulation::new(spec).with("i", Script::exits(1.0, 0)).with("s", unready.clone()).with("b", unready);
    let simulation = simulation.until(5.0);
    for kind in ["ContainersReady", "Ready"] {
        assert_eq!(
            simulation.conditions(kind),
            [format!("0.0 {UNREADY}[s b a]"), format!("1.5 {UNREADY}[s b]")],
            "{kind}"
        );
    }
}

#[test]
fn incomplete_init_containers_are_listed() {
    let spec = "initContainers: [{name: z}, {name: s, restartPolicy: Always, startupProbe: {periodSeconds: 5}}, \
                {name: y}], containers: [{name: c}]";
    let simulation =
        Simulation::new(spec).with("z", Script::exits(2.0, 0)).with("y", Script::exits(2.0, 0)).until(20.0);
    let incomplete = "False ContainersNotInitialized: containers with incomplete status: ";
    let expected = [
        format!("0.0 {incomplete}[z s y]"),
        format!("2.0 {incomplete}[s y]"),
        format!("5.0 {incomplete}[y]"),
        "7.0 True".into(),
    ];
    assert_eq!(simulation.conditions("Initialized"), expected);
}

#[test]
fn pod_stays_initialized_once_an_app_has_started() {
    let spec = "restartPolicy: Always, initContainers: [{name: s, restartPolicy: Always}], containers: [{name: c}]";
    let simulation = Simulation::new(spec).with("s", Script::exits(3.0, 1)).until(30.0);
    assert!(simulation.state("s").0.contains("CrashLoopBackOff"), "the sidecar is down");
    let states = simulation.conditions("Initialized");
    assert_eq!(states.last().map(String::as_str), Some("0.0 True"), "{states:?}");
}

#[test]
fn conditions_of_a_finished_pod_state_its_outcome() {
    let spec = "restartPolicy: Never, initContainers: [{name: i}], containers: [{name: c}]";
    let over =
        |code| Simulation::new(spec).with("i", Script::exits(0.0, 0)).with("c", Script::exits(1.0, code)).until(5.0);
    let (completed, failed) = (over(0), over(1));
    for (kind, of_completed, of_failed) in [
        ("Initialized", "True PodCompleted", "True"),
        ("Ready", "False PodCompleted", "False PodFailed"),
        ("ContainersReady", "False PodCompleted", "False PodFailed"),
    ] {
        assert_eq!((&*completed.condition(kind), &*failed.condition(kind)), (of_completed, of_failed), "{kind}");
    }
}

#[test]
fn pod_is_ready_once_its_readiness_gates_are_true() {
    let simulation =
        Simulation::new("readinessGates: [{conditionType: a/x}, {conditionType: a/y}], containers: [{name: c}]");
    let simulation = simulation
        .at(2.0, Intervention::SetCondition("a/x", "True"))
        .at(3.0, Intervention::SetCondition("a/y", "False"));
    let simulation = simulation
        .at(4.0, Intervention::SetCondition("a/y", "True"))
        .at(5.0, Intervention::SetCondition("a/x", "Unknown"))
        .until(9.0);
    let missing = |name: &str| format!("corresponding condition of pod readiness gate \"{name}\" does not exist.");
    let shut = |name: &str, is: &str| format!("the status of pod readiness gate \"{name}\" is not \"True\", but {is}");
    let expected = [
        format!("0.0 {UNREADY}[c]"),
        format!("0.0 False ReadinessGatesNotReady: {}, {}", missing("a/x"), missing("a/y")),
        format!("2.0 False ReadinessGatesNotReady: {}", missing("a/y")),
        format!("3.0 False ReadinessGatesNotReady: {}", shut("a/y", "False")),
        "4.0 True".into(),
        format!("5.0 False ReadinessGatesNotReady: {}", shut("a/x", "Unknown")),
    ];
    assert_eq!(simulation.conditions("Ready"), expected);
    assert_eq!(simulation.condition("ContainersReady"), "True", "gates do not affect the containers");
}

#[test]
fn every_container_has_a_status_from_the_beginning() {
    let simulation = Simulation::new("initContainers: [{name: i}], containers: [{name: b}, {name: a}]");
    let simulation = simulation
        .with_failing_setup(3, Some("no"))
        .with("i", Script::exits(1.0, 0))
        .at(8.0, Intervention::RestartNode);
    let simulation = simulation.at(12.0, Intervention::Delete(1)).until(20.0);
    assert!(simulation.always(|status| {
        let lists = [&status.init_container_statuses, &status.container_statuses];
        let unknown =
            |c: &k8s_openapi::api::core::v1::PodCondition| c.reason.as_deref() == Some("UnknownContainerStatuses");
        lists.map(|list| list.as_ref().map_or(0, Vec::len)) == [1, 2]
            && !status.conditions.iter().flatten().any(unknown)
    }));
}

#[test]
fn ready_to_start_containers_follows_the_pod_network() {
    let simulation =
        Simulation::new("restartPolicy: Never, containers: [{name: c}]").with_failing_setup(2, Some("no address"));
    let simulation = simulation.with("c", Script::exits(3.0, 0)).until(20.0);
    // The set-up is retried after half a second, then after one.
    assert_eq!(simulation.conditions("PodReadyToStartContainers"), ["0.0 False", "1.5 True", "4.5 False"]);
}

#[test]
fn evicted_pod_is_a_disruption_target_but_overdue_pod_is_not() {
    let simulation = Simulation::new("containers: [{name: c}]");
    let simulation =
        simulation.at(2.0, Intervention::Evict { reason: "Evicted", message: "no room", grace: None }).until(9.0);
    assert_eq!(simulation.condition("DisruptionTarget"), "True TerminationByKubelet: no room");
    assert!(simulation.always(|status| {
        let is_target = |c: &PodCondition| c.type_ == "DisruptionTarget";
        !status.conditions.iter().flatten().any(is_target) || status.phase.as_deref() == Some("Failed")
    }));
    assert_eq!(simulation.status().reason.as_deref(), Some("Evicted"));
    let conditions = simulation.status().conditions.as_deref().unwrap_or_default();
    assert_eq!(conditions.first().map(|c| c.type_.as_str()), Some("DisruptionTarget"), "before the kubelet's own");

    let late = Simulation::new("activeDeadlineSeconds: 2, containers: [{name: c}]").until(9.0);
    assert_eq!((late.phase(), late.condition("DisruptionTarget")), ("Failed", "none".into()));

    let drained =
        Simulation::new("containers: [{name: c}]").at(1.0, Intervention::SetCondition("DisruptionTarget", "True"));
    let drained = drained.at(1.0, Intervention::Delete(5)).until(9.0);
    assert_eq!(drained.condition("DisruptionTarget"), "True", "the condition from the eviction API stays");
}

#[test]
fn resize_is_pending_or_in_progress_until_granted() {
    let simulation =
        Simulation::new("containers: [{name: c}]").at(2.0, Intervention::ResizePending("Deferred", "no room"));
    let simulation = simulation
        .at(3.0, Intervention::ResizePending("Deferred", "no room"))
        .at(4.0, Intervention::ResizePending("Infeasible", "never"));
    let simulation =
        simulation.at(5.0, Intervention::ResizeFailed("in use")).at(6.0, Intervention::Resize("c", "64Mi")).until(9.0);
    let pending = ["0.0 none", "2.0 True Deferred: no room", "4.0 True Infeasible: never", "5.0 none"];
    assert_eq!(simulation.conditions("PodResizePending"), pending);
    assert_eq!(simulation.conditions("PodResizeInProgress"), ["0.0 none", "5.0 True Error: in use", "6.0 none"]);
    let times = |reason: &str| -> Vec<String> {
        simulation.events(reason).iter().filter_map(|line| Some(line.split(' ').next()?.to_string())).collect()
    };
    assert_eq!([times("ResizeDeferred"), times("ResizeInfeasible"), times("ResizeError")], [["2.0"], ["4.0"], ["5.0"]]);
    assert_eq!([times("ResizeStarted"), times("ResizeCompleted")], [["6.0"], ["6.0"]]);
    let resources = simulation.container("c").resources.clone().and_then(|resources| resources.limits).expect("limits");
    assert_eq!((resources["memory"].0.as_str(), simulation.container("c").restart_count), ("64Mi", 0));
}
