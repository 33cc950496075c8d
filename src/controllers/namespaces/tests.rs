use k8s_openapi::api::core::v1::{Pod, Secret};
use serde_json::{Value, json};

use super::*;
use crate::control::{Body, FieldValidation, Patch, PatchKind, Preconditions, Update};
use crate::registry::Registry;
use crate::store::ObjectStore;

/// A control plane with the controller and no node, so that tests play the kubelet.
struct Cluster {
    control: Arc<dyn ControlPlane>,
    _tasks: tokio::task::JoinSet<()>,
}

impl Cluster {
    async fn start() -> Cluster {
        let clock = Clock::starting_at("2026-01-01T00:00:00Z".parse().expect("a time"));
        let control: Arc<dyn ControlPlane> = Arc::new(Registry::new(ObjectStore::new(1000), clock));
        let cluster = Cluster { control: control.clone(), _tasks: tokio::task::JoinSet::new() };
        // One namespace is older than the controller.
        cluster.create::<Namespace>("{metadata: {name: old}}").await;
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(Namespaces { control: control.clone(), clock, root_ca: "PEM".into() }.run());
        Cluster { control, _tasks: tasks }
    }

    async fn create<T: serde::de::DeserializeOwned + Into<Body>>(&self, yaml: &str) {
        let object: T = serde_yaml::from_str(yaml).expect("an object");
        self.control.create(object.into()).await.expect("created");
    }

    async fn delete(&self, key: &Key, grace_seconds: Option<i64>) {
        let options = DeleteOptions { grace_seconds, ..DeleteOptions::default() };
        self.control.delete(key, options).await.expect("deleted");
        self.settle().await;
    }

    async fn patch(&self, key: &Key, patch: Value) {
        let body = patch.to_string().into_bytes();
        let patch = Patch { kind: PatchKind::Merge, body, field_validation: FieldValidation::Ignore };
        let update = Update::Patch { patch, subresource: Subresource::Main };
        self.control.update(key, update, Preconditions::default()).await.expect("patched");
        self.settle().await;
    }

    /// Lets all tasks run; time is paused.
    async fn settle(&self) {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }

    /// Returns the names of all objects of a kind in a namespace.
    async fn names(&self, resource: Resource, namespace: &str) -> Vec<String> {
        let list = self.control.list(&Scope::all(resource).in_namespace(namespace)).await.expect("a list");
        list.items.iter().map(|object| object.key.name.to_string()).collect()
    }

    async fn root_ca(&self) -> Arc<ConfigMap> {
        let object = self.control.get(&root_ca_key()).await.expect("it exists");
        object.decode().expect("a ConfigMap")
    }

    async fn namespace(&self) -> Arc<Namespace> {
        self.control.get(&namespace_key()).await.expect("it exists").decode().expect("a namespace")
    }

    /// Returns the conditions of the namespace, without times.
    async fn conditions(&self) -> Vec<Value> {
        let status = self.namespace().await.status.clone().expect("a status");
        let mut conditions: Vec<Value> = status.conditions.iter().flatten().map(|c| json!(c)).collect();
        for condition in &mut conditions {
            let time = condition.as_object_mut().and_then(|condition| condition.remove("lastTransitionTime"));
            assert!(time.is_some(), "{condition}");
        }
        conditions
    }
}

fn namespace_key() -> Key {
    Key::new(Resource::NAMESPACES, "", "shop")
}

fn root_ca_key() -> Key {
    Key::new(Resource::CONFIG_MAPS, "shop", ROOT_CA)
}

/// Returns the entries of a recorded timeline.
fn golden(scenario: &str) -> Vec<Value> {
    let golden = include_str!("../../../tests/golden/controllers-cluster-1.36.json");
    let golden: Vec<Value> = serde_json::from_str(golden).expect("golden data");
    let scenario = golden.iter().find(|entry| entry["name"] == scenario).expect("the scenario");
    scenario["timeline"].as_array().expect("a timeline").clone()
}

#[tokio::test(start_paused = true)]
async fn active_namespaces_have_their_certificate_authority() {
    let cluster = Cluster::start().await;
    cluster.create::<Namespace>("{metadata: {name: shop}}").await;
    cluster.settle().await;
    assert_eq!(cluster.names(Resource::CONFIG_MAPS, "old").await, [ROOT_CA]);
    let created = cluster.root_ca().await;
    let recorded = golden("namespace-start");
    let recorded = recorded.iter().find(|entry| entry["on"] == "ConfigMap/kube-root-ca.crt").expect("it is created");
    assert_eq!(json!(created.metadata.annotations), recorded["annotations"]);
    assert_eq!(json!(created.data), json!({"ca.crt": "PEM"}));

    cluster
        .patch(&root_ca_key(), json!({"data": {"ca.crt": "x", "more": "y"}, "metadata": {"labels": {"a": "b"}}}))
        .await;
    let restored = cluster.root_ca().await;
    assert_eq!((&restored.data, restored.metadata.labels.is_some()), (&created.data, true));
    cluster.delete(&root_ca_key(), None).await;
    assert_ne!(cluster.root_ca().await.metadata.uid, created.metadata.uid);
}

#[tokio::test(start_paused = true)]
async fn active_namespaces_have_a_default_account() {
    let cluster = Cluster::start().await;
    cluster.create::<Namespace>("{metadata: {name: shop}}").await;
    cluster.settle().await;
    assert_eq!(cluster.names(SERVICE_ACCOUNTS, "shop").await, [ACCOUNT]);
    cluster.delete(&Key::new(SERVICE_ACCOUNTS, "shop", ACCOUNT), None).await;
    assert_eq!(cluster.names(SERVICE_ACCOUNTS, "shop").await, [ACCOUNT]);
}

#[tokio::test(start_paused = true)]
async fn deleted_namespace_loses_pods_then_the_rest() {
    let cluster = Cluster::start().await;
    let finalizers = "metadata: {name: shop, finalizers: [x.y/hold]}, spec: {finalizers: [kubernetes]}";
    cluster.create::<Namespace>(&format!("{{{finalizers}}}")).await;
    cluster.create::<ConfigMap>("{metadata: {name: kept, namespace: shop, finalizers: [x.y/z]}}").await;
    cluster.create::<ConfigMap>("{metadata: {name: other, namespace: old}}").await;
    cluster.create::<Secret>("{metadata: {name: s, namespace: shop}}").await;
    for (name, node) in [("running", "n"), ("waiting", "")] {
        let spec = format!("spec: {{nodeName: '{node}', containers: [{{name: c, image: x}}]}}");
        cluster.create::<Pod>(&format!("{{metadata: {{name: {name}, namespace: shop}}, {spec}}}")).await;
    }
    cluster.settle().await;
    cluster.delete(&namespace_key(), None).await;

    assert_eq!(cluster.names(Resource::PODS, "shop").await, ["running"]);
    let pod = cluster.control.get(&Key::pod("shop", "running")).await.expect("it exists");
    assert_eq!(pod.decode::<Pod>().expect("a pod").metadata.deletion_grace_period_seconds, Some(30));
    assert_eq!(cluster.names(Resource::SECRETS, "shop").await, ["s"]);
    let recorded = golden("namespace-deletion");
    let recorded =
        recorded.iter().find_map(|entry| entry.get("status.conditions").filter(|_| entry["on"] == "Namespace/NS"));
    assert_eq!(Some(&json!(cluster.conditions().await)), recorded);
    assert_eq!(cluster.namespace().await.status.as_ref().and_then(|s| s.phase.as_deref()), Some("Terminating"));

    cluster.delete(&Key::pod("shop", "running"), Some(0)).await;
    assert_eq!(cluster.names(Resource::SECRETS, "shop").await, [""; 0]);
    assert_eq!(cluster.names(Resource::CONFIG_MAPS, "shop").await, ["kept"]);
    let messages: Vec<_> = cluster.conditions().await.iter().map(|c| c["message"].clone()).collect();
    assert_eq!(messages[3], "Some resources are remaining: configmaps. has 1 resource instances");
    assert_eq!(messages[4], "Some content in the namespace has finalizers remaining: x.y/z in 1 resource instances");
    assert_eq!(cluster.namespace().await.spec, Some(NamespaceSpec { finalizers: Some(vec![FINALIZER.into()]) }));

    let unlocked = json!({"metadata": {"finalizers": null}});
    cluster.patch(&Key::new(Resource::CONFIG_MAPS, "shop", "kept"), unlocked.clone()).await;
    assert_eq!(cluster.names(Resource::CONFIG_MAPS, "shop").await, [""; 0]);
    assert_eq!(without_finalizer(&*cluster.namespace().await), None);
    cluster.patch(&namespace_key(), unlocked).await;
    assert_eq!(cluster.control.get(&namespace_key()).await.expect_err("gone").reason, Reason::NotFound);
    assert_eq!(cluster.names(Resource::CONFIG_MAPS, "old").await, [ROOT_CA, "other"]);
}

#[test]
fn certificate_authority_is_restored_where_it_differs() {
    let rows = [
        ("{data: {ca.crt: PEM}, metadata: {annotations: {kubernetes.io/description: d}}}", true),
        ("{data: {ca.crt: PEM}, metadata: {annotations: {kubernetes.io/description: ''}}}", false),
        ("{data: {ca.crt: PEM}}", false),
        ("{data: {ca.crt: x}, metadata: {annotations: {kubernetes.io/description: d}}}", false),
        ("{data: {ca.crt: PEM, b: c}, metadata: {annotations: {kubernetes.io/description: d}}}", false),
        ("{}", false),
    ];
    for (yaml, is_right) in rows {
        let stored: ConfigMap = serde_yaml::from_str(yaml).expect("a ConfigMap");
        let restored = restored_root_ca(Some(&stored), "PEM");
        assert_eq!(restored.is_none(), is_right, "{yaml}");
        if let Some(restored) = restored {
            assert_eq!(restored_root_ca(Some(&restored), "PEM"), None, "{yaml}");
        }
    }
}

#[test]
fn only_the_own_finalizer_is_removed() {
    for (spec, want) in [
        ("{}", None),
        ("{finalizers: [x/y]}", None),
        ("{finalizers: [kubernetes]}", Some(None)),
        ("{finalizers: [x/y, kubernetes]}", Some(Some(vec!["x/y".to_string()]))),
    ] {
        let namespace: Namespace = serde_yaml::from_str(&format!("{{metadata: {{}}, spec: {spec}}}")).expect("one");
        let released = without_finalizer(&namespace).map(|namespace| namespace.spec.and_then(|spec| spec.finalizers));
        assert_eq!(released, want, "{spec}");
    }
}
