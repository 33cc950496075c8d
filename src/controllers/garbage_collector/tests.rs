use std::collections::BTreeMap;

use futures_util::{FutureExt, StreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, Pod};
use serde_json::{Value, json};

use super::*;
use crate::budget::RetainedMemory;
use crate::control::{Body, Propagation, Scope, WatchEvent, WatchStream};
use crate::events::{EventSource, recorder};
use crate::registry::Registry;
use crate::store::ObjectStore;

/// A control plane with a garbage collector.
struct Cluster {
    control: Arc<dyn ControlPlane>,
    _tasks: tokio::task::JoinSet<()>,
}

impl Cluster {
    fn start(history: usize) -> Cluster {
        let clock = Clock::starting_at("2026-01-01T00:00:00Z".parse().expect("a time"));
        let control: Arc<dyn ControlPlane> = Arc::new(Registry::new(ObjectStore::new(history), clock));
        let source = EventSource { component: "garbage-collector-controller", host: "".into() };
        let (recorder, writer) = recorder(control.clone(), clock, source, &RetainedMemory::unlimited());
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(writer.run());
        tasks.spawn(GarbageCollector { control: control.clone(), clock, recorder }.run());
        Cluster { control, _tasks: tasks }
    }

    /// Creates a ConfigMap with this metadata. Returns its UID.
    async fn create(&self, metadata: &str) -> String {
        let map: ConfigMap = serde_yaml::from_str(&format!("{{metadata: {metadata}}}")).expect("a ConfigMap");
        self.create_object(map).await
    }

    async fn create_object(&self, object: impl Into<Body>) -> String {
        let object = self.control.create(object.into()).await.expect("created");
        ObjectMetadata::of(&object).expect("metadata").uid
    }

    async fn delete(&self, key: &Key, propagation: Option<Propagation>) {
        let options = DeleteOptions { propagation, ..DeleteOptions::default() };
        self.control.delete(key, options).await.expect("deleted");
    }

    async fn patch(&self, key: &Key, patch: &Value) {
        let body = patch.to_string().into_bytes();
        let patch = Patch { kind: PatchKind::Merge, body, field_validation: FieldValidation::Ignore };
        let update = Update::Patch { patch, subresource: Subresource::Main };
        self.control.update(key, update, Preconditions::default()).await.expect("patched");
    }

    /// Lets all tasks run; time is paused.
    async fn settle(&self) {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }

    /// Returns the names of all objects of a kind.
    async fn names(&self, resource: Resource) -> Vec<String> {
        let list = self.control.list(&Scope::all(resource)).await.expect("a list");
        list.items.iter().map(|object| object.key.name.to_string()).collect()
    }

    async fn events(&self) -> Vec<String> {
        let list = self.control.list(&Scope::all(Resource::EVENTS)).await.expect("a list");
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let show = |event: Arc<Event>| {
            let about = &event.involved_object;
            let (kind, name) = (text(&about.kind), text(&about.name));
            format!("{} {kind}/{name} {} {}", text(&event.type_), text(&event.reason), text(&event.message))
        };
        list.items.iter().map(|object| show(object.decode().expect("an event"))).collect()
    }
}

fn key(name: &str) -> Key {
    Key::new(Resource::CONFIG_MAPS, "default", name)
}

/// Returns the metadata of a dependent.
fn owned(name: &str, owner: &str, uid: &str) -> String {
    format!("{{name: {name}, ownerReferences: [{{apiVersion: v1, kind: ConfigMap, name: {owner}, uid: '{uid}'}}]}}")
}

/// The changes of ConfigMaps, as the golden timelines write them.
struct Timeline {
    watch: WatchStream,
    /// The last state of each object.
    known: BTreeMap<String, Value>,
}

impl Timeline {
    async fn start(cluster: &Cluster) -> Timeline {
        let revision = cluster.control.revision().await.expect("a revision");
        let watch = cluster.control.watch(&Scope::all(Resource::CONFIG_MAPS), revision).await.expect("a watch");
        Timeline { watch, known: BTreeMap::new() }
    }

    /// Returns the changes since the last call.
    fn read(&mut self) -> Vec<Value> {
        let mut entries = Vec::new();
        while let Some(Some(event)) = self.watch.next().now_or_never() {
            if let WatchEvent::Change(kind, object) = event.expect("a change") {
                entries.push(self.entry(kind, &object));
            }
        }
        entries
    }

    fn entry(&mut self, kind: ChangeKind, object: &Object) -> Value {
        let name = object.key.name.to_string();
        let mut entry = json!({"on": format!("ConfigMap/{name}"), "is": format!("{kind:?}").to_uppercase()});
        let new = state(&ObjectMetadata::of(object).expect("metadata"));
        let old = self.known.insert(name, new.clone()).unwrap_or(json!({}));
        for field in ["finalizers", "owners", "deleting"].iter().filter(|_| kind != ChangeKind::Deleted) {
            if old.get(field) != new.get(field) {
                entry[field] = new[field].clone();
            }
        }
        entry
    }
}

fn state(metadata: &ObjectMetadata) -> Value {
    let mut state = json!({});
    if !metadata.finalizers.is_empty() {
        state["finalizers"] = json!(metadata.finalizers);
    }
    let owners = metadata.owner_references.iter().map(|owner| {
        let blocks = if owner.block_owner_deletion == Some(true) { " blocks" } else { "" };
        format!("{}/{}{blocks}", owner.kind, owner.name)
    });
    let owners: Vec<String> = owners.collect();
    if !owners.is_empty() {
        state["owners"] = json!(owners);
    }
    if metadata.is_deleted() {
        state["deleting"] = json!(true);
    }
    state
}

/// The UIDs of the recorded owners.
const RECORDED_UIDS: [(&str, &str); 3] = [
    ("a", "11ce7cd9-d226-479c-8d15-905dc549de16"),
    ("b", "54a5befb-7b09-4986-b845-f03218bd3189"),
    ("ns", "e9838b58-7600-432e-b40a-cdb4ff419009"),
];

/// Sends the request of a recorded step.
async fn send(cluster: &Cluster, step: &Value, uids: &mut BTreeMap<String, String>) {
    let request = step["request"].as_str().expect("a request");
    let (method, path) = request.split_once(' ').expect("method and path");
    let name = path.rsplit('/').next().expect("a name");
    let mut body = step["body"].to_string().replace("\"NS\"", "\"ns\"");
    for (name, recorded) in RECORDED_UIDS {
        let uid = uids.get(name).map_or("none", String::as_str);
        body = body.replace(recorded, uid);
    }
    let body: Value = serde_json::from_str(&body).expect("JSON");
    match method {
        "POST" => {
            let map: ConfigMap = serde_json::from_value(body.clone()).expect("a ConfigMap");
            let uid = cluster.create_object(map).await;
            uids.insert(body["metadata"]["name"].as_str().expect("a name").into(), uid);
        }
        "DELETE" => {
            let propagation = match body["propagationPolicy"].as_str() {
                Some("Foreground") => Propagation::Foreground,
                Some("Orphan") => Propagation::Orphan,
                _ => Propagation::Background,
            };
            cluster.delete(&key(name), Some(propagation)).await;
        }
        _ => cluster.patch(&key(name), &body).await,
    }
}

#[tokio::test(start_paused = true)]
async fn owners_and_dependents_go_as_on_a_real_server() {
    let golden = include_str!("../../../tests/golden/controllers-cluster-1.36.json");
    // The name of the recorded namespace would not be valid.
    let golden = golden.replace("Namespace/NS", "Namespace/ns");
    let golden: Vec<Value> = serde_json::from_str(&golden).expect("golden data");
    let scenario = golden.iter().find(|scenario| scenario["name"] == "gc-owners").expect("the scenario");
    let cluster = Cluster::start(1000);
    let namespace: Namespace = serde_yaml::from_str("{metadata: {name: ns}}").expect("a namespace");
    let mut uids = BTreeMap::from([("ns".to_string(), cluster.create_object(namespace).await)]);
    let mut timeline = Timeline::start(&cluster).await;
    let (mut seen, mut want, mut last) = (Vec::new(), Vec::new(), 0.0);
    for entry in scenario["timeline"].as_array().expect("a timeline") {
        if entry["step"].is_null() {
            let mut entry = entry.clone();
            entry.as_object_mut().expect("an entry").retain(|field, _| !["t", "keys"].contains(&field.as_str()));
            want.push(entry);
            continue;
        }
        let time = entry["t"].as_f64().expect("a time");
        if time - last > 1.0 {
            cluster.settle().await;
            seen.append(&mut timeline.read());
        }
        last = time;
        send(&cluster, entry, &mut uids).await;
    }
    cluster.settle().await;
    seen.append(&mut timeline.read());
    assert_eq!(seen, want);
    assert_eq!(cluster.events().await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn owner_in_another_namespace_is_reported_as_absent() {
    let cluster = Cluster::start(1000);
    let uid = cluster.create("{name: a, namespace: other}").await;
    cluster.create(&owned("d", "a", &uid)).await;
    cluster.create(&owned("e", "gone", "0")).await;
    cluster.settle().await;
    assert_eq!(cluster.names(Resource::CONFIG_MAPS).await, ["a"]);
    let owner = format!("[v1/ConfigMap, namespace: default, name: a, uid: {uid}]");
    let message = format!("ownerRef {owner} does not exist in namespace \"default\"");
    assert_eq!(cluster.events().await, [format!("Warning ConfigMap/d OwnerRefInvalidNamespace {message}")]);
}

#[tokio::test(start_paused = true)]
async fn unresolvable_owners_keep_their_dependents() {
    let cluster = Cluster::start(1000);
    let uid = cluster.create("{name: a}").await;
    let reference = |kind: &str, api_version: &str, uid: &str| {
        format!("ownerReferences: [{{apiVersion: {api_version}, kind: {kind}, name: a, uid: '{uid}'}}]")
    };
    // An unknown kind, an unknown version, and a namespaced owner of a cluster-scoped object.
    cluster.create(&format!("{{name: b, {}}}", reference("Unknown", "v1", "1"))).await;
    cluster.create(&format!("{{name: c, {}}}", reference("ConfigMap", "v2", &uid))).await;
    let namespace = format!("{{metadata: {{name: n, {}}}}}", reference("ConfigMap", "v1", &uid));
    cluster.create_object(serde_yaml::from_str::<Namespace>(&namespace).expect("a namespace")).await;
    // A wrong kind is another object, which does not exist.
    cluster.create(&format!("{{name: d, {}}}", reference("Secret", "v1", &uid))).await;
    cluster.settle().await;
    assert_eq!(cluster.names(Resource::CONFIG_MAPS).await, ["a", "b", "c"]);
    assert_eq!(cluster.names(Resource::NAMESPACES).await, ["n"]);
    let events = cluster.events().await;
    let [event] = events.as_slice() else { panic!("one event, not {events:?}") };
    assert!(event.starts_with("Warning Namespace/n OwnerRefInvalidNamespace ownerRef [v1/ConfigMap, namespace: , "));
}

#[tokio::test(start_paused = true)]
async fn pods_of_a_deleted_owner_stop_by_their_grace_period() {
    let cluster = Cluster::start(1000);
    let uid = cluster.create("{name: a}").await;
    for (name, node) in [("waiting", ""), ("running", "n")] {
        let metadata = owned(name, "a", &uid);
        let yaml =
            format!("{{metadata: {metadata}, spec: {{nodeName: '{node}', containers: [{{name: c, image: x}}]}}}}");
        cluster.create_object(serde_yaml::from_str::<Pod>(&yaml).expect("a pod")).await;
    }
    cluster.settle().await;
    assert_eq!(cluster.names(Resource::PODS).await.len(), 2);
    cluster.delete(&key("a"), None).await;
    cluster.settle().await;
    assert_eq!(cluster.names(Resource::PODS).await, ["running"]);
    let pod = cluster.control.get(&Key::pod("default", "running")).await.expect("it exists");
    assert_eq!(pod.decode::<Pod>().expect("a pod").metadata.deletion_grace_period_seconds, Some(30));
}

#[tokio::test(start_paused = true)]
async fn expired_watch_loses_no_garbage() {
    let cluster = Cluster::start(5);
    let uid = cluster.create("{name: a}").await;
    for i in 0..50 {
        cluster.create(&owned(&format!("d{i}"), "a", &uid)).await;
    }
    cluster.settle().await;
    cluster.delete(&key("a"), None).await;
    for _ in 0..10 {
        cluster.create("{generateName: other-}").await;
    }
    cluster.settle().await;
    let names = cluster.names(Resource::CONFIG_MAPS).await;
    assert!(names.len() == 10 && names.iter().all(|name| name.starts_with("other-")), "{names:?}");
}

#[tokio::test(start_paused = true)]
async fn idle_objects_cost_nothing_and_are_not_touched() {
    let cluster = Cluster::start(1000);
    for i in 0..100 {
        cluster.create(&format!("{{name: m{i}}}")).await;
    }
    cluster.settle().await;
    let revision = cluster.control.revision().await.expect("a revision");
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(cluster.control.revision().await.expect("a revision"), revision);
    let finalizer = json!({"metadata": {"finalizers": ["x.y/z"]}});
    cluster.patch(&key("m1"), &finalizer).await;
    cluster.delete(&key("m1"), None).await;
    cluster.settle().await;
    assert!(cluster.names(Resource::CONFIG_MAPS).await.contains(&"m1".to_string()), "a finalizer of others stays");
}
