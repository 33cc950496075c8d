use std::time::Duration;

use k8s_openapi::api::core::v1::{Event, NodeSpec, PodStatus};

use super::*;
use crate::budget::RetainedMemory;
use crate::control::{Body, DeleteOptions, Key, Subresource};
use crate::events::{EventSource, recorder};
use crate::registry::Registry;
use crate::store::ObjectStore;

/// A control plane with a scheduler and no node, so that tests play the kubelet.
struct Cluster {
    control: Arc<dyn ControlPlane>,
    _tasks: tokio::task::JoinSet<()>,
}

impl Cluster {
    fn start() -> Cluster {
        let clock = Clock::starting_at("2026-01-01T00:00:00Z".parse().expect("a time"));
        let control: Arc<dyn ControlPlane> = Arc::new(Registry::new(ObjectStore::new(1000), clock));
        let source = EventSource { component: "default-scheduler", host: "".into() };
        let (recorder, writer) = recorder(control.clone(), clock, source, &RetainedMemory::unlimited());
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(writer.run());
        tasks.spawn(Scheduler { control: control.clone(), node: "n".into(), recorder, clock }.run());
        Cluster { control, _tasks: tasks }
    }

    async fn create(&self, name: &str, port: &str) {
        self.create_with(name, &format!("{{containers: [{{name: c, image: x, ports: [{port}]}}]}}")).await;
    }

    async fn create_with(&self, name: &str, spec: &str) {
        let yaml = format!("{{metadata: {{name: {name}, namespace: default}}, spec: {spec}}}");
        let pod: Pod = serde_yaml::from_str(&yaml).expect("a pod");
        self.control.create(Body::from(pod)).await.expect("created");
        self.settle().await;
    }

    /// Lets all tasks run; time is paused.
    async fn settle(&self) {
        tokio::time::sleep(Duration::from_secs(2)).await;
    }

    async fn pod(&self, name: &str) -> Arc<Pod> {
        self.control.get(&Key::pod("default", name)).await.expect("it exists").decode().expect("a pod")
    }

    async fn is_bound(&self, name: &str) -> bool {
        is_bound(&*self.pod(name).await)
    }

    async fn delete(&self, name: &str) {
        let options = DeleteOptions { grace_seconds: Some(0), ..DeleteOptions::default() };
        self.control.delete(&Key::pod("default", name), options).await.expect("deleted");
        self.settle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn taken_host_port_keeps_a_pod_pending_in_kubernetes_words() {
    let cluster = Cluster::start();
    cluster.create("a", "{containerPort: 80, hostPort: 8080}").await;
    cluster.create("b", "{containerPort: 81, hostPort: 8080, hostIP: 127.0.0.1}").await;
    cluster.create("c", "{containerPort: 80, hostPort: 8080, protocol: UDP}").await;
    cluster.create("d", "{containerPort: 8080}").await;
    assert!(cluster.is_bound("a").await && cluster.is_bound("c").await && cluster.is_bound("d").await);
    let pod = cluster.pod("b").await;
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default();
    let shown = |c: &PodCondition| (c.type_.clone(), c.status.clone(), c.reason.clone(), c.message.clone());
    let want =
        ("PodScheduled".to_string(), "False".to_string(), Some("Unschedulable".into()), Some(NO_FREE_PORTS.into()));
    assert_eq!(conditions.iter().map(shown).collect::<Vec<_>>(), [want]);
    let events = cluster.control.list(&Scope::all(Resource::EVENTS)).await.expect("events");
    let failed = events.items.iter().filter_map(|object| object.decode::<Event>().ok());
    let failed: Vec<_> = failed.filter(|e| e.reason.as_deref() == Some("FailedScheduling")).collect();
    let [event] = failed.as_slice() else { panic!("one event, not {failed:?}") };
    assert_eq!(event.message.as_deref(), Some(NO_FREE_PORTS));
    assert_eq!(event.involved_object.name.as_deref(), Some("b"));
}

#[tokio::test(start_paused = true)]
async fn pending_pod_is_bound_when_the_port_is_freed() {
    let cluster = Cluster::start();
    let port = "{containerPort: 80, hostPort: 8080}";
    for name in ["a", "b", "c"] {
        cluster.create(name, port).await;
    }
    assert_eq!((cluster.is_bound("b").await, cluster.is_bound("c").await), (false, false));
    let status = PodStatus { phase: Some("Succeeded".into()), ..PodStatus::default() };
    let update = Update::PodStatus(Box::new(status));
    cluster.control.update(&Key::pod("default", "a"), update, Preconditions::default()).await.expect("finished");
    cluster.settle().await;
    assert_eq!((cluster.is_bound("b").await, cluster.is_bound("c").await), (true, false), "the first one is next");
    cluster.delete("b").await;
    assert!(cluster.is_bound("c").await);
    cluster.delete("c").await;
    cluster.create("d", port).await;
    assert!(cluster.is_bound("d").await);
}

#[tokio::test(start_paused = true)]
async fn cordoned_node_gets_no_new_pods_until_it_is_uncordoned() {
    let cluster = Cluster::start();
    let node = |unschedulable| {
        let spec = NodeSpec { unschedulable: Some(unschedulable), ..NodeSpec::default() };
        let mut node = Node { spec: Some(spec), ..Node::default() };
        node.metadata.name = Some("n".into());
        Body::from(node)
    };
    cluster.control.create(node(true)).await.expect("created");
    cluster.settle().await;
    for name in ["a", "b"] {
        cluster.create(name, "{containerPort: 80}").await;
    }
    assert!(!cluster.is_bound("a").await);
    let status = cluster.pod("a").await.status.clone().expect("a status");
    let condition = status.conditions.unwrap_or_default().pop().expect("a condition");
    assert_eq!(condition.message.as_deref(), Some(CORDONED));
    cluster.delete("b").await;
    let update = Update::Replace { body: node(false), subresource: Subresource::Main };
    let key = Key::new(Resource::NODES, "", "n");
    cluster.control.update(&key, update, Preconditions::default()).await.expect("uncordoned");
    cluster.settle().await;
    assert!(cluster.is_bound("a").await);
}

#[tokio::test(start_paused = true)]
async fn tainted_or_deleted_node_gets_no_new_pods() {
    let cluster = Cluster::start();
    let node = |taints: &str| {
        let yaml = format!("{{metadata: {{name: n}}, spec: {{taints: {taints}}}}}");
        Body::from(serde_yaml::from_str::<Node>(&yaml).expect("a node"))
    };
    let key = Key::new(Resource::NODES, "", "n");
    cluster.control.create(node("[{key: dedicated, value: db, effect: NoSchedule}]")).await.expect("created");
    cluster.create("a", "{containerPort: 80}").await;
    let condition = |pod: &Pod| pod.status.clone().and_then(|status| status.conditions?.pop()?.message);
    assert_eq!(condition(&*cluster.pod("a").await).as_deref(), Some(TAINTED));
    let update = Update::Replace { body: node("[]"), subresource: Subresource::Main };
    cluster.control.update(&key, update, Preconditions::default()).await.expect("untainted");
    cluster.settle().await;
    assert!(cluster.is_bound("a").await);
    cluster.control.delete(&key, DeleteOptions::default()).await.expect("deleted");
    cluster.settle().await;
    cluster.create("b", "{containerPort: 80}").await;
    assert_eq!(condition(&*cluster.pod("b").await).as_deref(), Some(NO_NODES));
    cluster.control.create(node("[]")).await.expect("created again");
    cluster.settle().await;
    assert!(cluster.is_bound("b").await);
}

#[tokio::test(start_paused = true)]
async fn pods_with_claims_wait_for_volumes() {
    let cluster = Cluster::start();
    let message = |pod: &Pod| pod.status.clone().and_then(|status| status.conditions?.pop()?.message);
    let claim = "volumes: [{name: v, persistentVolumeClaim: {claimName: data}}]";
    cluster.create_with("a", &format!("{{containers: [{{name: c, image: x}}], {claim}}}")).await;
    let missing = "0/1 nodes are available: persistentvolumeclaim \"data\" not found. not found";
    assert_eq!(message(&*cluster.pod("a").await).as_deref(), Some(missing));
    let claim: PersistentVolumeClaim = serde_yaml::from_str(
        "{metadata: {name: data, namespace: default}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}",
    )
    .expect("a claim");
    cluster.control.create(Body::from(claim)).await.expect("created");
    cluster.settle().await;
    let pod = cluster.pod("a").await;
    assert_eq!(message(&pod).as_deref(), Some(UNBOUND_CLAIMS));
    assert!(!is_bound(&pod));
}

#[test]
fn tolerations_match_taints_as_in_kubernetes() {
    let taint = Taint { key: "k".into(), value: Some("v".into()), effect: "NoSchedule".into(), ..Taint::default() };
    for (toleration, tolerated) in [
        ("{key: k, value: v}", true),
        ("{key: k, operator: Equal, value: v, effect: NoSchedule}", true),
        ("{key: k, operator: Exists}", true),
        ("{operator: Exists}", true),
        ("{key: k, value: other}", false),
        ("{key: other, operator: Exists}", false),
        ("{key: k, operator: Exists, effect: NoExecute}", false),
    ] {
        let pod: Pod =
            serde_yaml::from_str(&format!("{{metadata: {{}}, spec: {{containers: [], tolerations: [{toleration}]}}}}"))
                .expect("a pod");
        assert_eq!(tolerates(&pod, &taint), tolerated, "{toleration}");
    }
}
