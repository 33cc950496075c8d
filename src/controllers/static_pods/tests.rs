//! Static pods of the node's former life.

use k8s_openapi::api::core::v1::PodStatus;

use super::*;
use crate::registry::Registry;
use crate::store::ObjectStore;

/// A control plane that outlives the controller, and the manifest directory.
struct Durable {
    control: Arc<dyn ControlPlane>,
    directory: tempfile::TempDir,
}

impl Durable {
    async fn new() -> Durable {
        let control: Arc<dyn ControlPlane> = Arc::new(Registry::new(ObjectStore::new(64), Clock::system()));
        let mut node = Node::default();
        node.metadata.name = Some("n1".into());
        control.create(Body::from(node)).await.expect("created");
        Durable { control, directory: tempfile::tempdir().expect("a directory") }
    }

    fn write(&self, name: &str, image: &str) {
        let yaml = format!("{{metadata: {{name: {name}}}, spec: {{containers: [{{name: c, image: {image}}}]}}}}");
        std::fs::write(self.directory.path().join(format!("{name}.yaml")), yaml).expect("written");
    }

    /// Runs a controller until it has scanned the directory.
    async fn scan(&self) {
        let read: ReadPods = Arc::new(|path: &Path| {
            let text = std::fs::read_to_string(path).map_err(|error| InvalidManifest(error.to_string()))?;
            let pod = serde_yaml::from_str(&text).map_err(|error| InvalidManifest(error.to_string()))?;
            Ok(vec![pod])
        });
        let (rescan, rescans) = mpsc::channel(1);
        let (control, directory) = (self.control.clone(), self.directory.path().to_path_buf());
        let pods = StaticPods { control, clock: Clock::system(), directory, node: "n1".into(), read, rescans };
        let (done, is_done) = oneshot::channel();
        rescan.send(done).await.expect("room");
        tokio::select! {
            () = pods.run() => unreachable!("it runs until cancelled"),
            answer = is_done => answer.expect("an answer"),
        }
    }

    async fn revision(&self) -> u64 {
        self.control.revision().await.expect("a revision")
    }

    /// Returns the UID of a pod that is not being deleted.
    async fn uid(&self, name: &str) -> Option<String> {
        let object = self.control.get(&Key::pod("default", name)).await.ok()?;
        let pod = object.decode::<Pod>().expect("a pod");
        pod.metadata.uid.clone().filter(|_| pod.metadata.deletion_timestamp.is_none())
    }
}

#[tokio::test]
async fn unchanged_static_pods_outlive_the_node() {
    let durable = Durable::new().await;
    ["a", "b"].iter().for_each(|name| durable.write(name, "busybox"));
    durable.scan().await;
    let (a, b) = (durable.uid("a-n1").await.expect("a pod"), durable.uid("b-n1").await.expect("a pod"));
    let revision = durable.revision().await;
    durable.scan().await;
    assert_eq!(durable.revision().await, revision);

    // While a manifest is broken, a pod without a manifest may be its own.
    std::fs::write(durable.directory.path().join("a.yaml"), "{").expect("written");
    std::fs::remove_file(durable.directory.path().join("b.yaml")).expect("removed");
    durable.scan().await;
    assert_eq!(durable.uid("b-n1").await, Some(b));
    durable.write("a", "busybox");
    durable.scan().await;
    assert_eq!((durable.uid("a-n1").await, durable.uid("b-n1").await), (Some(a.clone()), None));

    durable.write("a", "nginx");
    durable.scan().await;
    assert_ne!(durable.uid("a-n1").await, Some(a));
}

#[tokio::test]
async fn static_pods_that_ended_with_the_node_are_created_anew() {
    let durable = Durable::new().await;
    durable.write("a", "busybox");
    durable.scan().await;
    let (key, first) = (Key::pod("default", "a-n1"), durable.uid("a-n1").await.expect("a pod"));
    let status = PodStatus { phase: Some("Failed".into()), reason: Some("Terminated".into()), ..PodStatus::default() };
    let update = Update::PodStatus(Box::new(status));
    durable.control.update(&key, update, Preconditions::default()).await.expect("stored");
    durable.scan().await;
    assert_ne!(durable.uid("a-n1").await, Some(first));
}
