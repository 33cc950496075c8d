//! A node takes what it can hold and says so of the rest.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use wasmpod::cli::local::Local;
use wasmpod::control::{Body, DeleteOptions, Key, Resource, Scope, WatchEvent, WatchStream};
use wasmpod::images::Images;
use wasmpod::model::pods;
use wasmpod::runtime::Runtime;

struct Small {
    local: Local,
    watch: WatchStream,
}

impl Small {
    async fn create(&self, name: &str, containers: usize) {
        let one = |i| format!("{{name: c{i}, image: registry.k8s.io/pause}}");
        let list = (0..containers).map(one).collect::<Vec<_>>().join(", ");
        let yaml = format!("{{metadata: {{name: {name}}}, spec: {{containers: [{list}]}}}}");
        let pod: Pod = serde_yaml::from_str(&yaml).expect("a pod");
        self.local.control.create(Body::Pod(Box::new(pod))).await.expect("created");
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
    let images = Arc::new(Images::new(BTreeMap::new(), true));
    let runtime = Runtime::new(None).expect("a runtime");
    let local = Local::start(runtime, images, 3).expect("a node");
    let scope = Scope::all(Resource::PODS);
    let watch = local.control.watch(&scope, 1).await.expect("a watch");
    let mut node = Small { local, watch };
    node.create("two", 2).await;
    assert_eq!(pods::phase(&*node.decided("two").await), "Running");

    node.create("surplus", 2).await;
    let rejected = node.decided("surplus").await;
    let status = rejected.status.as_ref().expect("a status");
    assert_eq!((pods::phase(&rejected), status.reason.as_deref()), ("Failed", Some("OutOfpods")));
    let message = status.message.as_deref().unwrap_or_default();
    let words = "Pod was rejected: Node didn't have enough resource: pods, requested: 2, used: 2, capacity: 3";
    assert!(message.starts_with(words), "{message}");

    node.create("one", 1).await;
    assert_eq!(pods::phase(&*node.decided("one").await), "Running");
    for name in ["two", "surplus"] {
        node.local.control.delete(&Key::pod("default", name), DeleteOptions::default()).await.expect("deleted");
    }
    while node.local.control.list(&scope).await.expect("a list").items.len() > 1 {
        node.watch.next().await.expect("goes on").expect("in reach");
    }
    node.create("again", 2).await;
    assert_eq!(pods::phase(&*node.decided("again").await), "Running");
    node.local.stop().await;
}
