//! Pods on a node in this process, created through the control plane and watched.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use wasmpod::NodeBuilder;
use wasmpod::budget::{DEFAULT_RETAINED_MEMORY, RetainedMemory};
use wasmpod::control::{Body, ChangeKind, DeleteOptions, Key, Resource, Scope, WatchEvent, WatchStream};
use wasmpod::embedded::Node;
use wasmpod::model::pods;
use wasmpod::registry::kinds;
use wasmpod::store::{HistoryLimits, ObjectStore};

use super::figures::{Figure, percentile};
use super::native::{Sleepers, millis};

/// A node and a client that watches it.
pub struct Bench {
    node: Node,
    watch: WatchStream,
}

pub const PAUSE: &str = "containers: [{name: a, image: registry.k8s.io/pause}]";
pub const TWO_AND_TWO: &str = "initContainers: [{name: i, image: busybox, command: ['true']}, {name: j, image: busybox, \
    command: ['true']}], containers: [{name: a, image: registry.k8s.io/pause}, {name: b, image: registry.k8s.io/pause}]";

/// Runs `work` with a node on a runtime of its own.
pub fn on_node<T>(work: impl AsyncFnOnce(&mut Bench) -> T) -> T {
    let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads");
    tokio.block_on(async {
        let mut bench = Bench::start(Node::builder()).await;
        let result = work(&mut bench).await;
        bench.node.stop().await;
        result
    })
}

impl Bench {
    async fn start(node: NodeBuilder) -> Bench {
        let node = node.start().expect("a node");
        let scope = Scope::all(Resource::PODS);
        let from = node.control().list(&scope).await.expect("a list").revision;
        let watch = node.control().watch(&scope, from).await.expect("a watch");
        Bench { node, watch }
    }

    /// Returns the milliseconds from the answer of a creation to the readiness of the pod.
    async fn start_after_answer(&mut self, name: &str) -> f64 {
        self.create(name, PAUSE).await;
        let start = Instant::now();
        self.until_running(1).await;
        let took = millis(start.elapsed());
        self.delete(name).await;
        self.until_gone(1).await;
        took
    }

    pub async fn create(&self, name: &str, spec: &str) {
        let yaml = format!("{{metadata: {{name: {name}}}, spec: {{{spec}}}}}");
        let pod: Pod = serde_yaml::from_str(&yaml).expect("a pod");
        self.node.control().create(Body::from(pod)).await.expect("created");
    }

    pub async fn delete(&self, name: &str) {
        let key = Key::pod("default", name);
        self.node.control().delete(&key, DeleteOptions::default()).await.expect("deleted");
    }

    /// Waits until `count` more pods are ready.
    pub async fn until_running(&mut self, count: usize) {
        let mut running = std::collections::BTreeSet::new();
        while running.len() < count {
            if let WatchEvent::Change(_, object) =
                self.watch.next().await.expect("the watch does not end").expect("the history is long enough")
            {
                let pod: Arc<Pod> = object.decode().expect("a pod");
                if pods::has_condition(&pod, "Ready") {
                    running.insert(object.key.clone());
                }
            }
        }
    }

    /// Waits until `count` more pods are gone.
    pub async fn until_gone(&mut self, count: usize) {
        let mut gone = 0;
        while gone < count {
            let event = self.watch.next().await.expect("the watch does not end").expect("the history is long enough");
            gone += usize::from(matches!(event, WatchEvent::Change(ChangeKind::Deleted, _)));
        }
    }

    /// Returns the milliseconds from creation to readiness of `rounds` pods, one after another.
    pub async fn starts(&mut self, spec: &str, rounds: usize) -> Vec<f64> {
        let mut times = Vec::new();
        for round in 0..rounds {
            let name = format!("p{round}");
            let start = Instant::now();
            self.create(&name, spec).await;
            self.until_running(1).await;
            times.push(millis(start.elapsed()));
            self.delete(&name).await;
            self.until_gone(1).await;
        }
        times
    }

    /// Creates `count` pods and waits until all are ready.
    pub async fn create_many(&mut self, count: usize) -> Duration {
        let start = Instant::now();
        for i in 0..count {
            self.create(&format!("p{i}"), PAUSE).await;
        }
        self.until_running(count).await;
        start.elapsed()
    }

    /// Deletes the pods of [`Bench::create_many`] and waits until all are gone.
    pub async fn delete_many(&mut self, count: usize) -> Duration {
        let start = Instant::now();
        for i in 0..count {
            self.delete(&format!("p{i}")).await;
        }
        self.until_gone(count).await;
        start.elapsed()
    }
}

/// Measures what it costs the start of a pod that the node's objects are durable.
pub fn status_writes() -> Vec<Figure> {
    let directory = tempfile::tempdir().expect("a directory");
    let limits = HistoryLimits::within(RetainedMemory::new(DEFAULT_RETAINED_MEMORY));
    let path = directory.path().join("objects.redb");
    let store = ObjectStore::open(&path, limits, 1, &kinds::resource_of_names).expect("a store");
    let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads");
    let (mut durable, mut in_memory) = tokio.block_on(async {
        let mut durable = Bench::start(Node::builder().name("durable").store(store.clone())).await;
        let mut in_memory = Bench::start(Node::builder()).await;
        let mut times = (Vec::new(), Vec::new());
        for round in 0..300 {
            times.0.push(durable.start_after_answer(&format!("p{round}")).await);
            times.1.push(in_memory.start_after_answer(&format!("p{round}")).await);
        }
        durable.node.stop().await;
        in_memory.node.stop().await;
        times
    });
    store.close();
    let (durable, in_memory) = (percentile(&mut durable, 0.5), percentile(&mut in_memory, 0.5));
    let overhead = 100.0 * (durable / in_memory - 1.0);
    vec![Figure::new("status_write_overhead", overhead, "%").at_most(5.0)]
}

/// Measures the creation and the deletion of 1,000 pods at once.
pub fn burst() -> Vec<Figure> {
    const COUNT: usize = 1000;
    let start = Instant::now();
    let sleepers = Sleepers::start(COUNT);
    let native = COUNT as f64 / start.elapsed().as_secs_f64();
    let start = Instant::now();
    sleepers.end();
    let native_exit = millis(start.elapsed());
    on_node(async |bench| {
        bench.starts(PAUSE, 20).await;
        let took = bench.create_many(COUNT).await;
        let deletion = bench.delete_many(COUNT).await;
        vec![
            Figure::new("pods_per_second_1000", COUNT as f64 / took.as_secs_f64(), "1/s")
                .at_least(2000.0)
                .beside(native),
            Figure::new("teardown_1000_pods", millis(deletion), "ms").beside(native_exit),
        ]
    })
}
