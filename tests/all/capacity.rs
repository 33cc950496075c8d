//! A node takes what it can hold and says so of the rest.

use std::sync::Arc;

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use wasmpod::control::{Body, DeleteOptions, Key, Resource, Scope, WatchEvent, WatchStream};
use wasmpod::embedded::Node;
use wasmpod::model::pods;
use wasmpod::runtime::Runtime;

struct Small {
    node: Node,
    watch: WatchStream,
}

impl Small {
    async fn create(&self, name: &str, containers: usize) {
        let one = |i| format!("{{name: c{i}, image: registry.k8s.io/pause}}");
        let list = (0..containers).map(one).collect::<Vec<_>>().join(", ");
        let yaml = format!("{{metadata: {{name: {name}}}, spec: {{containers: [{list}]}}}}");
        let pod: Pod = serde_yaml::from_str(&yaml).expect("a pod");
        self.node.control().create(Body::Pod(Box::new(pod))).await.expect("created");
    }

    /// Pod `name` once it runs or was refused.
    async fn decided(&mut self, name: &str) -> Arc<Pod> {
        loop {
            let event = self.watch.next().await.expect("goes on").expect("in reach");
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
async fn what_does_not_fit_is_rejected_and_there_is_room_again_when_others_have_gone() {
    let runtime = Runtime::new(None).expect("a runtime");
    let node = Node::builder().engine(runtime).capacity(3).start().expect("a node");
    let scope = Scope::all(Resource::PODS);
    let watch = node.control().watch(&scope, 1).await.expect("a watch");
    let mut small = Small { node, watch };
    small.create("two", 2).await;
    assert_eq!(pods::phase(&*small.decided("two").await), "Running");

    small.create("surplus", 2).await;
    let rejected = small.decided("surplus").await;
    let status = rejected.status.as_ref().expect("a status");
    assert_eq!((pods::phase(&rejected), status.reason.as_deref()), ("Failed", Some("OutOfpods")));
    let message = status.message.as_deref().unwrap_or_default();
    let words = "Pod was rejected: Node didn't have enough resource: pods, requested: 2, used: 2, capacity: 3";
    assert!(message.starts_with(words), "{message}");

    small.create("one", 1).await;
    assert_eq!(pods::phase(&*small.decided("one").await), "Running");
    for name in ["two", "surplus"] {
        small.node.control().delete(&Key::pod("default", name), DeleteOptions::default()).await.expect("deleted");
    }
    while small.node.control().list(&scope).await.expect("a list").items.len() > 1 {
        small.watch.next().await.expect("goes on").expect("in reach");
    }
    small.create("again", 2).await;
    assert_eq!(pods::phase(&*small.decided("again").await), "Running");
    small.node.stop().await;
}
