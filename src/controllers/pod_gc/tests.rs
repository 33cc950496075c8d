use k8s_openapi::api::core::v1::PodStatus;

use super::*;
use crate::control::{Body, Update};
use crate::registry::Registry;
use crate::store::ObjectStore;

/// Returns a pod with a phase, a reason and the second of its creation.
fn pod((name, phase, reason, second): (&str, &str, &str, u32)) -> Arc<Pod> {
    let text = format!(
        "{{metadata: {{name: {name}, creationTimestamp: '2026-01-01T00:00:{second:02}Z'}}, \
         status: {{phase: {phase}, reason: {reason:?}}}}}"
    );
    Arc::new(serde_yaml::from_str(&text).expect("a pod"))
}

#[test]
fn evicted_and_oldest_pods_go_first() {
    let all = [
        ("old", "Succeeded", "", 1),
        ("older", "Failed", "", 0),
        ("running", "Running", "", 0),
        ("evicted", "Failed", "Evicted", 9),
        ("new-b", "Succeeded", "", 5),
        ("new-a", "Succeeded", "", 5),
    ];
    for (threshold, gone) in [
        (6, [].as_slice()),
        (5, &[]),
        (4, &["evicted"]),
        (2, &["evicted", "older", "old"]),
        (1, &["evicted", "older", "old", "new-a"]),
    ] {
        let surplus = surplus(all.map(pod).into(), threshold);
        let names: Vec<&str> = surplus.iter().map(|pod| pods::name(pod)).collect();
        assert_eq!(names, gone, "threshold {threshold}");
    }
}

#[test]
fn mirror_objects_are_not_collected() {
    let mut mirror = Pod::clone(&pod(("static", "Failed", "", 0)));
    mirror.metadata.annotations = Some([(MIRROR_ANNOTATION.to_string(), "hash".to_string())].into());
    let surplus = surplus(vec![Arc::new(mirror), pod(("own", "Failed", "", 1))], 1);
    assert_eq!(surplus, []);
}

/// Starts a collector, creates three pods that succeed, and returns those that are left after a check.
async fn left_of_three(threshold: usize) -> Vec<String> {
    let clock = Clock::starting_at("2026-01-01T00:00:00Z".parse().expect("a time"));
    let control: Arc<dyn ControlPlane> = Arc::new(Registry::new(ObjectStore::new(1000), clock));
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(PodGarbageCollector { control: control.clone(), clock, threshold }.run());
    for name in ["c", "b", "a"] {
        let yaml = format!(
            "{{metadata: {{name: {name}, namespace: default}}, \
             spec: {{nodeName: n, containers: [{{name: c, image: busybox}}]}}}}"
        );
        let pod: Pod = serde_yaml::from_str(&yaml).expect("a pod");
        let key = control.create(Body::from(pod)).await.expect("created").key.clone();
        let status = PodStatus { phase: Some("Succeeded".into()), ..PodStatus::default() };
        control.update(&key, Update::PodStatus(Box::new(status)), Preconditions::default()).await.expect("reported");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    tokio::time::sleep(CHECK_PERIOD).await;
    let list = control.list(&Scope::all(Resource::PODS)).await.expect("a list");
    list.items.iter().map(|object| object.key.name.to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn finished_pods_beyond_the_threshold_are_deleted() {
    for (threshold, left) in [(0, ["a", "b", "c"].as_slice()), (3, &["a", "b", "c"]), (2, &["a", "b"]), (1, &["a"])] {
        assert_eq!(left_of_three(threshold).await, left, "threshold {threshold}");
    }
}
