//! Defaults, updates and deletion of pod objects, as Kubernetes' registry has them (K24, K26, K40, K52, K55, K65, K68,
//! K71).

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Pod, PodStatus};

use crate::clock::Clock;
use crate::control::{
    Body, ControlPlane, DeleteOptions, DeleteResult, FieldValidation, Key, Patch, PatchKind, Preconditions,
    Propagation, Reason, Status, Subresource, Update,
};
use crate::registry::Registry;
use crate::store::ObjectStore;

/// A control plane in memory, with a pod `p`.
struct TestControlPlane(Registry);

impl TestControlPlane {
    fn empty() -> TestControlPlane {
        let start = "2026-01-01T00:00:00Z".parse().expect("a time");
        TestControlPlane(Registry::new(ObjectStore::new(100), Clock::starting_at(start)))
    }

    /// Returns a control plane with a pod that is bound to node `n`.
    async fn with(spec: &str) -> TestControlPlane {
        let plane = TestControlPlane::empty();
        plane.create("", spec).await.expect("a valid pod");
        let bind = Update::Bind { node: "n".into() };
        plane.0.update(&key(), bind, Preconditions::default()).await.expect("bound");
        plane
    }

    async fn create(&self, metadata: &str, spec: &str) -> Result<Arc<Pod>, Status> {
        let yaml = format!("{{metadata: {{name: p{metadata}}}, spec: {{{spec}}}}}");
        let pod: Pod = serde_yaml::from_str(&yaml).expect("a pod");
        Ok(self.0.create(Body::from(pod)).await?.decode().expect("a pod"))
    }

    async fn pod(&self) -> Arc<Pod> {
        self.0.get(&key()).await.expect("the pod").decode().expect("a pod")
    }

    async fn patch(&self, subresource: Subresource, patch: &str) -> Result<Arc<Pod>, Status> {
        let body = patch.as_bytes().to_vec();
        let patch = Patch { kind: PatchKind::StrategicMerge, body, field_validation: FieldValidation::Ignore };
        let update = Update::Patch { patch, subresource };
        Ok(self.0.update(&key(), update, Preconditions::default()).await?.decode().expect("a pod"))
    }

    async fn delete(&self, grace_seconds: Option<i64>, uid: Option<&str>) -> Result<DeleteResult, Status> {
        let preconditions = Preconditions { uid: uid.map(Into::into), revision: None };
        self.0.delete(&key(), DeleteOptions { grace_seconds, preconditions, propagation: None }).await
    }

    async fn set_phase(&self, phase: &str) {
        let status = PodStatus { phase: Some(phase.into()), ..PodStatus::default() };
        let update = Update::PodStatus(Box::new(status));
        self.0.update(&key(), update, Preconditions::default()).await.expect("written");
    }
}

fn key() -> Key {
    Key::pod("default", "p")
}

const SIMPLE: &str = "containers: [{name: c, image: busybox}]";

#[tokio::test(start_paused = true)]
async fn generation_grows_only_with_spec_changes_and_deletion() {
    let plane = TestControlPlane::with(SIMPLE).await;
    assert_eq!(plane.pod().await.metadata.generation, Some(1));
    let status = r#"{"status": {"conditions": [{"type": "a/b", "status": "True"}]}}"#;
    let labels = r#"{"metadata": {"labels": {"a": "b"}}}"#;
    let image = r#"{"spec": {"containers": [{"name": "c", "image": "other"}]}}"#;
    for (subresource, patch, generation) in
        [(Subresource::Status, status, 1), (Subresource::Main, labels, 1), (Subresource::Main, image, 2)]
    {
        let pod = plane.patch(subresource, patch).await.expect("a valid update");
        assert_eq!(pod.metadata.generation, Some(generation), "{patch}");
    }
    plane.delete(None, None).await.expect("deleted");
    assert_eq!(plane.pod().await.metadata.generation, Some(3));
}

#[tokio::test(start_paused = true)]
async fn resize_changes_only_cpu_and_memory_and_keeps_qos_class() {
    let resources = "resources: {requests: {cpu: 100m, memory: 16Mi}, limits: {cpu: 200m, memory: 32Mi}}";
    let plane = TestControlPlane::with(&format!("containers: [{{name: c, image: busybox, {resources}}}]")).await;
    let resize =
        |resources: &str| format!(r#"{{"spec": {{"containers": [{{"name": "c", "resources": {resources}}}]}}}}"#);
    let more = resize(r#"{"requests": {"cpu": "150m"}, "limits": {"memory": "64Mi"}}"#);
    let pod = plane.patch(Subresource::Resize, &more).await.expect("resized");
    let spec = pod.spec.clone().expect("a spec");
    let resources = spec.containers[0].resources.clone().expect("resources");
    assert_eq!(resources.requests.expect("requests")["cpu"].0, "150m");
    assert_eq!((pod.metadata.generation, spec.containers[0].image.as_deref()), (Some(2), Some("busybox")));
    let whole =
        plane.patch(Subresource::Main, &more.replace("150m", "170m")).await.expect_err("only by the subresource");
    assert!(whole.message.contains("pod updates may not change fields other than"), "{}", whole.message);
    let same = resize(r#"{"requests": {"cpu": "200m", "memory": "64Mi"}}"#);
    let class = plane.patch(Subresource::Resize, &same).await.expect_err("it would be Guaranteed");
    assert!(class.message.contains("Pod QOS Class may not change as a result of resizing"), "{}", class.message);
}

#[tokio::test(start_paused = true)]
async fn pull_policy_defaults_to_always_for_latest_images() {
    for (image, policy) in [
        ("busybox", "Always"),
        ("busybox:latest", "Always"),
        ("localhost:5000/busybox", "Always"),
        ("busybox:1.28", "IfNotPresent"),
        ("localhost:5000/busybox:1", "IfNotPresent"),
        ("busybox@sha256:6ad733544a6317992a6fac4eb19fe1df577d4dec7529efec28a5bd0edad0fd30", "IfNotPresent"),
    ] {
        let spec = format!("containers: [{{name: c, image: '{image}'}}]");
        let pod = TestControlPlane::empty().create("", &spec).await.expect("a valid pod");
        let container = &pod.spec.as_ref().expect("a spec").containers[0];
        assert_eq!(container.image_pull_policy.as_deref(), Some(policy), "{image}");
    }
}

#[tokio::test(start_paused = true)]
async fn init_containers_may_have_neither_probes_nor_hooks() {
    let init = |extra: &str| format!("initContainers: [{{name: i, image: busybox, {extra}}}], {SIMPLE}");
    let probe = "{tcpSocket: {port: 1}}";
    for (field, value) in [
        ("livenessProbe", probe),
        ("readinessProbe", probe),
        ("startupProbe", probe),
        ("lifecycle", "{preStop: {sleep: {seconds: 1}}}"),
    ] {
        let plain =
            TestControlPlane::empty().create("", &init(&format!("{field}: {value}"))).await.expect_err("invalid");
        let causes: Vec<String> = plain.causes.iter().map(ToString::to_string).collect();
        let cause = format!(
            "spec.initContainers[0].{field}: Forbidden: may not be set for init containers without restartPolicy=Always"
        );
        assert!(causes.contains(&cause), "{causes:?}");
        let sidecar = init(&format!("restartPolicy: Always, {field}: {value}"));
        TestControlPlane::empty().create("", &sidecar).await.expect("valid for a sidecar");
    }
}

#[tokio::test(start_paused = true)]
async fn ephemeral_containers_use_their_subresource_and_never_change() {
    let debug = "ephemeralContainers: [{name: e, image: busybox}]";
    let early = TestControlPlane::empty().create("", &format!("{debug}, {SIMPLE}")).await.expect_err("not at creation");
    assert!(early.message.contains("cannot be set on create"), "{}", early.message);
    let plane = TestControlPlane::with(SIMPLE).await;
    let add = |image: &str| format!(r#"{{"spec": {{"ephemeralContainers": [{{"name": "e", "image": "{image}"}}]}}}}"#);
    plane.patch(Subresource::EphemeralContainers, &add("busybox")).await.expect("added");
    assert_eq!(plane.pod().await.metadata.generation, Some(2));
    let changed = plane.patch(Subresource::EphemeralContainers, &add("other")).await.expect_err("immutable");
    assert!(changed.message.contains("existing ephemeral containers \"e\" may not be changed"), "{}", changed.message);

    let mirror = TestControlPlane::empty();
    let annotations = ", annotations: {kubernetes.io/config.mirror: x}";
    mirror.create(annotations, &format!("nodeName: n, {SIMPLE}")).await.expect("a static pod's mirror");
    let refused = mirror.patch(Subresource::EphemeralContainers, &add("busybox")).await.expect_err("static");
    assert!(refused.message.contains("static pods do not support ephemeral containers"), "{}", refused.message);
}

#[tokio::test(start_paused = true)]
async fn deletion_grace_defaults_to_the_pods_and_only_shrinks() {
    let grace = |pod: &Pod| pod.metadata.deletion_grace_period_seconds;
    for (spec, asked, want) in [(None, None, 30), (Some(7), None, 7), (Some(7), Some(60), 60), (None, Some(-5), 1)] {
        let own = spec.map_or(String::new(), |s: i64| format!("terminationGracePeriodSeconds: {s}, "));
        let plane = TestControlPlane::with(&format!("{own}{SIMPLE}")).await;
        assert!(matches!(plane.delete(asked, None).await, Ok(DeleteResult::Marked(_))));
        assert_eq!(grace(&*plane.pod().await), Some(want), "{spec:?}, asked for {asked:?}");
    }
    let plane = TestControlPlane::with(SIMPLE).await;
    for (asked, want) in [(Some(20), 20), (Some(25), 20), (None, 20), (Some(3), 3)] {
        plane.delete(asked, None).await.expect("deleted");
        assert_eq!(grace(&*plane.pod().await), Some(want), "asked for {asked:?}");
    }
    let endless = TestControlPlane::with(SIMPLE).await;
    endless.delete(Some(i64::MAX), None).await.expect("marked");
    assert!(
        matches!(endless.delete(Some(0), None).await, Ok(DeleteResult::Removed(_))),
        "every grace period can be shortened"
    );
}

#[tokio::test(start_paused = true)]
async fn unscheduled_or_finished_pod_is_deleted_at_once() {
    let unscheduled = TestControlPlane::empty();
    unscheduled.create("", SIMPLE).await.expect("a valid pod");
    assert!(matches!(unscheduled.delete(None, None).await, Ok(DeleteResult::Removed(_))));
    for phase in ["Succeeded", "Failed"] {
        let plane = TestControlPlane::with(SIMPLE).await;
        plane.set_phase(phase).await;
        assert!(matches!(plane.delete(None, None).await, Ok(DeleteResult::Removed(_))), "{phase}");
    }
}

#[tokio::test(start_paused = true)]
async fn propagation_becomes_a_finalizer_that_delays_the_removal() {
    for (propagation, finalizer) in [(Propagation::Foreground, "foregroundDeletion"), (Propagation::Orphan, "orphan")] {
        let plane = TestControlPlane::empty();
        plane.create("", SIMPLE).await.expect("a valid pod");
        let options = DeleteOptions { propagation: Some(propagation), ..DeleteOptions::default() };
        assert!(matches!(plane.0.delete(&key(), options).await, Ok(DeleteResult::Marked(_))), "{propagation:?}");
        assert_eq!(plane.pod().await.metadata.finalizers, Some(vec![finalizer.to_string()]));
        let background = DeleteOptions { propagation: Some(Propagation::Background), ..DeleteOptions::default() };
        assert!(matches!(plane.0.delete(&key(), background).await, Ok(DeleteResult::Removed(_))), "{propagation:?}");
    }
}

#[tokio::test]
async fn deletion_succeeds_if_the_node_removes_the_pod_first() {
    for round in 0..500 {
        let plane = TestControlPlane::with(SIMPLE).await;
        plane.set_phase("Succeeded").await;
        let removal_by_node = async {
            while let Ok(object) = plane.0.get(&key()).await {
                let pod: Arc<Pod> = object.decode().expect("a pod");
                if pod.metadata.deletion_timestamp.is_some() {
                    // Either of the two deletions may remove it.
                    let _ = plane.delete(Some(0), pod.metadata.uid.as_deref()).await;
                }
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(|| futures_util::FutureExt::now_or_never(removal_by_node).expect("never pending"));
            let deletion = futures_util::FutureExt::now_or_never(plane.delete(None, None)).expect("never pending");
            assert!(matches!(deletion, Ok(DeleteResult::Removed(_))), "round {round}: {:?}", deletion.err());
        });
    }
}

#[tokio::test(start_paused = true)]
async fn final_deletion_requires_the_same_uid() {
    let plane = TestControlPlane::with(SIMPLE).await;
    plane.delete(None, None).await.expect("marked");
    let other = plane.delete(Some(0), Some("other")).await.expect_err("another pod");
    assert_eq!(other.reason, Reason::Conflict);
    let uid = plane.pod().await.metadata.uid.clone();
    assert!(matches!(plane.delete(Some(0), uid.as_deref()).await, Ok(DeleteResult::Removed(_))));
    assert_eq!(plane.0.get(&key()).await.expect_err("gone").reason, Reason::NotFound);
}

#[tokio::test(start_paused = true)]
async fn requests_default_to_limits_and_qos_counts_init_containers() {
    let class = |pod: &Pod| pod.status.as_ref().and_then(|status| status.qos_class.clone()).unwrap_or_default();
    let limits = "resources: {limits: {cpu: 1, memory: 1Mi}}";
    let guaranteed = format!("containers: [{{name: c, image: busybox, {limits}}}]");
    for (spec, want) in [
        (SIMPLE.to_string(), "BestEffort"),
        (guaranteed.clone(), "Guaranteed"),
        (guaranteed.replace("cpu: 1, ", ""), "Burstable"),
        (format!("initContainers: [{{name: i, image: busybox}}], {guaranteed}"), "Burstable"),
        (format!("initContainers: [{{name: i, image: busybox, {limits}}}], {guaranteed}"), "Guaranteed"),
    ] {
        let pod = TestControlPlane::empty().create("", &spec).await.expect("a valid pod");
        assert_eq!(class(&pod), want, "{spec}");
    }
    let plane = TestControlPlane::with(&guaranteed).await;
    let resources = plane.pod().await.spec.as_ref().and_then(|spec| spec.containers[0].resources.clone());
    let requests = resources.and_then(|resources| resources.requests).expect("requests");
    assert_eq!([&requests["cpu"].0, &requests["memory"].0], ["1", "1Mi"]);
    plane.patch(Subresource::Status, r#"{"status": {"qosClass": "BestEffort"}}"#).await.expect_err("immutable");
}
