//! A node admits the pods that fit and rejects the others with a reason.

use std::sync::Arc;

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::{Event, Pod};
use wasmpod::control::{Body, DeleteOptions, Key, Resource, Scope, WatchEvent, WatchStream};
use wasmpod::embedded::Node;
use wasmpod::model::pods;
use wasmpod::runtime::Runtime;

use crate::support::{eventually, in_time};

/// A node of little capacity, and a watch of its pods.
struct SmallNode {
    node: Node,
    watch: WatchStream,
}

impl SmallNode {
    /// Creates a pod of so many containers.
    async fn create(&self, name: &str, containers: usize) {
        let container = |i| format!("{{name: c{i}, image: registry.k8s.io/pause}}");
        self.create_of(name, (0..containers).map(container).collect::<Vec<_>>().join(", ")).await;
    }

    /// Creates a pod of one container with further `fields`.
    async fn create_with(&self, name: &str, fields: &str) {
        self.create_of(name, format!("{{name: c, image: registry.k8s.io/pause, {fields}}}")).await;
    }

    async fn create_of(&self, name: &str, list: String) {
        let yaml = format!("{{metadata: {{name: {name}}}, spec: {{containers: [{list}]}}}}");
        let pod: Pod = serde_yaml::from_str(&yaml).expect("a pod");
        self.node.control().create(Body::from(pod)).await.expect("created");
    }

    /// Waits for a warning about pod `name`.
    async fn event(&self, name: &str, reason: &str, message: &str) {
        let mut events = self.node.control().watch(&Scope::all(Resource::EVENTS), 1).await.expect("a watch");
        let matches = |event: &Event| {
            event.involved_object.name.as_deref() == Some(name)
                && event.reason.as_deref() == Some(reason)
                && event.message.as_deref() == Some(message)
                && event.type_.as_deref() == Some("Warning")
        };
        loop {
            let event = in_time("the next event arrives", events.next())
                .await
                .expect("the watch does not end")
                .expect("the history is long enough");
            let WatchEvent::Change(_, object) = event else { continue };
            if matches(&object.decode::<Event>().expect("an event")) {
                return;
            }
        }
    }

    /// Waits until pod `name` runs or has been rejected, and returns it.
    async fn decided(&mut self, name: &str) -> Arc<Pod> {
        loop {
            let event = in_time("the next event arrives", self.watch.next())
                .await
                .expect("the watch does not end")
                .expect("the history is long enough");
            let WatchEvent::Change(_, object) = event else { continue };
            let pod = object.decode::<Pod>().expect("a pod");
            let decided = pods::has_condition(&pod, "Ready") || pods::is_terminal(&pod);
            if decided && pods::name(&pod) == name {
                return pod;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pod_over_capacity_is_rejected_until_capacity_is_freed() {
    let runtime = Runtime::new(None).expect("a runtime");
    let node = Node::builder().engine(runtime).max_containers(3).start().expect("a node");
    let scope = Scope::all(Resource::PODS);
    let watch = node.control().watch(&scope, 1).await.expect("a watch");
    let mut small = SmallNode { node, watch };
    small.create("two", 2).await;
    assert_eq!(pods::phase(&*small.decided("two").await), "Running");

    small.create("surplus", 2).await;
    let rejected = small.decided("surplus").await;
    let status = rejected.status.as_ref().expect("a status");
    assert_eq!((pods::phase(&rejected), status.reason.as_deref()), ("Failed", Some("OutOfpods")));
    let message = status.message.as_deref().unwrap_or_default();
    let expected = "Pod was rejected: Node didn't have enough resource: pods, requested: 2, used: 2, capacity: 3";
    assert!(message.starts_with(expected), "{message}");

    small.create("one", 1).await;
    assert_eq!(pods::phase(&*small.decided("one").await), "Running");
    for name in ["two", "surplus"] {
        small.node.control().delete(&Key::pod("default", name), DeleteOptions::default()).await.expect("deleted");
    }
    while small.node.control().list(&scope).await.expect("a list").items.len() > 1 {
        in_time("the next event arrives", small.watch.next())
            .await
            .expect("the watch does not end")
            .expect("the history is long enough");
    }
    small.create("again", 2).await;
    assert_eq!(pods::phase(&*small.decided("again").await), "Running");
    small.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn excessive_requests_fail_the_pod_with_kubelets_message() {
    let capacity = "cpu=2,memory=1Gi,pods=2".parse().expect("quantities");
    let node = Node::builder().capacity(capacity).start().expect("a node");
    let registered = eventually("the node is registered", async || {
        let nodes = node.control().list(&Scope::all(Resource::NODES)).await.expect("a list").items;
        nodes.first().map(|object| object.decode::<k8s_openapi::api::core::v1::Node>().expect("a node"))
    });
    let registered = registered.await;
    let allocatable = registered.status.as_ref().and_then(|status| status.allocatable.clone()).expect("quantities");
    let allocatable = ["cpu", "memory", "pods"].map(|name| allocatable[name].0.as_str());
    assert_eq!(allocatable, ["2", "1Gi", "2"]);

    let watch = node.control().watch(&Scope::all(Resource::PODS), 1).await.expect("a watch");
    let mut small = SmallNode { node, watch };
    let request = |cpu: &str, memory: &str| format!("resources: {{requests: {{cpu: {cpu}, memory: {memory}}}}}");
    small.create_with("fits", &request("1500m", "1Mi")).await;
    assert_eq!(pods::phase(&*small.decided("fits").await), "Running");
    for (name, resources, reason, lack) in [
        ("cpu", request("600m", "1Mi"), "OutOfcpu", "cpu, requested: 600, used: 1500, capacity: 2000"),
        (
            "memory",
            request("1m", "4Ti"),
            "OutOfmemory",
            "memory, requested: 4398046511104, used: 1048576, capacity: 1073741824",
        ),
    ] {
        small.create_with(name, &resources).await;
        let rejected = small.decided(name).await;
        let status = rejected.status.as_ref().expect("a status");
        let expected = format!("Node didn't have enough resource: {lack}");
        assert_eq!((pods::phase(&rejected), status.reason.as_deref()), ("Failed", Some(reason)));
        assert_eq!(status.message, Some(format!("Pod was rejected: {expected}")));
        small.event(name, reason, &expected).await;
    }
    small.node.stop().await;
}
