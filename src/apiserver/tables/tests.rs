use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, Node, Pod, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};

use super::*;
use crate::apiserver::served;
use crate::control::{Key, Resource, UnversionedObject};
use crate::model::object::ApiType;
use crate::registry::columns;
use crate::registry::strategy::Strategy;

fn object<T: ApiType>(json: &Value) -> Arc<Object> {
    let typed: T = serde_json::from_value(json.clone()).expect(T::NAMES.kind);
    let name = json["metadata"]["name"].as_str().expect("a name");
    Arc::new(
        UnversionedObject::encode(&typed).expect("encodes").with_revision(Key::new(Resource::of::<T>(), "ns", name), 7),
    )
}

fn pod(json: &Value) -> Arc<Object> {
    object::<Pod>(json)
}

fn event(json: &Value) -> Arc<Object> {
    object::<Event>(json)
}

fn table_of(object: &Arc<Object>, options: &TableOptions) -> Value {
    let served = served::find("", "v1", object.key.resource.plural()).expect("a served resource");
    read(single(served, object, options))
}

fn options(include: IncludeObject, now: &str) -> TableOptions {
    let now = now.parse().expect("a time");
    TableOptions { version: MetaVersion::V1, include, column_definitions: true, now }
}

fn read(json: Result<Vec<u8>, Status>) -> Value {
    serde_json::from_slice(&json.expect("a table")).expect("JSON")
}

/// Returns the cells of one object created at midnight, at noon of the same day.
fn cells(object: &Arc<Object>) -> Value {
    table_of(object, &options(IncludeObject::None, "2026-11-20T12:00:00Z"))["rows"][0]["cells"].clone()
}

#[test]
fn pod_tables_match_a_recorded_api_server() {
    let golden = include_str!("../../../tests/golden/pod-table-1.36.json");
    let golden: Value = serde_json::from_str(golden).expect("golden data");
    for case in golden["pods"].as_array().expect("pods") {
        let pod = pod(&case["object"]);
        // The time was taken before the request: its response may be a second later.
        let options = options(IncludeObject::None, case["now"].as_str().expect("a time"));
        let later = TableOptions { now: options.now + jiff::SignedDuration::from_secs(1), ..options };
        let printed = [options, later].map(|options| table_of(&pod, &options)["rows"][0]["cells"].clone());
        assert!(printed.contains(&case["cells"]), "{}: {printed:?}", case["name"]);
    }
    let mut columns = serde_json::to_value(<Pod as Strategy>::COLUMNS).expect("columns");
    for column in columns.as_array_mut().expect("columns") {
        let description = column.as_object_mut().and_then(|column| column.remove("description"));
        assert_ne!(description, Some(json!("")));
    }
    assert_eq!(columns, golden["columns"]);
}

#[test]
fn every_served_resource_has_kubernetes_columns() {
    let golden = include_str!("../../../tests/golden/table-columns-all-1.36.json");
    let golden: Value = serde_json::from_str(golden).expect("golden data");
    let options = options(IncludeObject::None, "2026-11-20T12:00:00Z");
    for served in served::all().filter(|served| served.kind.is_stored()) {
        let path = format!("{}/{}", served.version(), served.plural());
        let path = if served.group().is_empty() { path } else { format!("{}/{path}", served.group()) };
        let table = read(list(served, &[], &ListMeta::default(), &options));
        let columns = table["columnDefinitions"].as_array().expect("columns").iter();
        let columns: Vec<Value> = columns.map(|c| json!([c["name"], c["type"], c["format"], c["priority"]])).collect();
        let recorded = golden[&path].as_array().expect("recorded columns").iter();
        let recorded: Vec<Value> = recorded.map(|c| json!([c[0], c[1], c[2], c[3]])).collect();
        assert_eq!(columns, recorded, "{path}");
    }
}

#[test]
fn config_rows_count_their_entries() {
    let map = json!({
        "metadata": {"name": "m", "creationTimestamp": "2026-11-20T11:59:00Z"},
        "data": {"a": "1", "b": "2"}, "binaryData": {"c": "AA=="},
    });
    assert_eq!(cells(&object::<ConfigMap>(&map)), json!(["m", 3, "60s"]));
    let secret = json!({"metadata": {"name": "s"}, "type": "Opaque", "data": {"a": "AA=="}});
    assert_eq!(cells(&object::<Secret>(&secret)), json!(["s", "Opaque", 1, "<unknown>"]));
}

#[test]
fn rows_include_the_requested_object() {
    let pod = pod(&json!({"metadata": {"name": "p"}, "status": {"phase": "Failed"}}));
    let metadata = json!({"name": "p", "resourceVersion": "7"});
    let partial = json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata});
    let whole: Value = serde_json::from_slice(&pod.json).expect("JSON");
    for (include, expected) in
        [(IncludeObject::Metadata, partial), (IncludeObject::Object, whole), (IncludeObject::None, Value::Null)]
    {
        let table = table_of(&pod, &options(include, "2026-11-20T12:00:00Z"));
        assert_eq!(table["rows"][0]["object"], expected, "{include:?}");
        assert_eq!(table["rows"][0]["conditions"][0]["reason"], "Failed");
        assert_eq!(table["metadata"], json!({"resourceVersion": "7"}));
    }
}

#[test]
fn column_definitions_are_only_sent_once() {
    let pods = ["a", "b"].map(|name| pod(&json!({"metadata": {"name": name}})));
    let served = served::find("", "v1", "pods").expect("pods");
    let metadata = ListMeta {
        resource_version: Some("9".into()),
        continue_: Some("more".into()),
        remaining_item_count: Some(1),
        ..ListMeta::default()
    };
    let mut options = options(IncludeObject::Metadata, "2026-11-20T12:00:00Z");
    let table = read(list(served, &pods, &metadata, &options));
    assert_eq!(table["metadata"], json!({"resourceVersion": "9", "continue": "more", "remainingItemCount": 1}));
    assert_eq!(table["kind"], "Table");
    assert_eq!(table["rows"].as_array().map(Vec::len), Some(2));
    assert_eq!(read(list(served, &[], &metadata, &options))["rows"], json!([]));
    options.column_definitions = false;
    options.version = MetaVersion::V1Beta1;
    let event = table_of(&pods[0], &options);
    assert_eq!(event["columnDefinitions"], Value::Null);
    assert_eq!(event["apiVersion"], "meta.k8s.io/v1beta1");
    assert_eq!(event["rows"][0]["object"]["apiVersion"], "meta.k8s.io/v1beta1");
}

#[test]
fn invalid_include_object_gets_kubernetes_message() {
    let golden = include_str!("../../../tests/golden/requests-1.36.json");
    let golden: Vec<Value> = serde_json::from_str(golden).expect("golden data");
    let case = golden.iter().find(|case| case["name"] == "accept-table-include-bad").expect("the case");
    let refusal = IncludeObject::parse(Some("Everything")).expect_err("refused");
    assert_eq!(refusal.message, case["status"]["message"]);
    assert_eq!(refusal.reason.code(), case["code"]);
    for (parameter, include) in [
        (None, IncludeObject::Metadata),
        (Some(""), IncludeObject::Metadata),
        (Some("Object"), IncludeObject::Object),
        (Some("None"), IncludeObject::None),
    ] {
        assert_eq!(IncludeObject::parse(parameter), Ok(include), "{parameter:?}");
    }
}

#[test]
fn event_rows_show_time_reason_and_source() {
    let about = json!({"kind": "Pod", "name": "web", "fieldPath": "spec.containers{app}"});
    let old = json!({
        "metadata": {"name": "web.1"}, "involvedObject": about, "type": "Normal", "reason": "Pulled",
        "message": " pulled\n", "source": {"component": "kubelet", "host": "n1"}, "count": 3,
        "firstTimestamp": "2026-11-20T10:00:00Z", "lastTimestamp": "2026-11-20T11:59:50Z",
    });
    let path = "spec.containers{app}";
    let expected = json!(["10s", "Normal", "Pulled", "pod/web", path, "kubelet, n1", "pulled", "120m", 3, "web.1"]);
    assert_eq!(cells(&event(&old)), expected);
    let series = json!({
        "metadata": {"name": "web.2"}, "involvedObject": {"kind": "Pod", "name": "web"}, "type": "Warning",
        "reason": "BackOff", "message": "m", "reportingComponent": "wasmpod", "eventTime": "2026-11-20T11:00:00.000000Z",
        "series": {"count": 5, "lastObservedTime": "2026-11-20T11:58:00.000000Z"},
    });
    let expected = json!(["2m", "Warning", "BackOff", "pod/web", "", "wasmpod", "m", "60m", 5, "web.2"]);
    assert_eq!(cells(&event(&series)), expected);
    let bare = json!({"metadata": {"name": "e"}, "involvedObject": {"kind": "Node"}});
    let expected = json!(["<unknown>", "", "", "node", "", "", "", "<unknown>", 1, "e"]);
    assert_eq!(cells(&event(&bare)), expected);
}

#[test]
fn events_v1_rows_include_events_v1_objects() {
    let core =
        event(&json!({"metadata": {"name": "e"}, "involvedObject": {"kind": "Pod", "name": "p"}, "message": "m"}));
    let served = served::find("events.k8s.io", "v1", "events").expect("events");
    let table = read(single(served, &core, &options(IncludeObject::Object, "2026-11-20T12:00:00Z")));
    assert_eq!(table["rows"][0]["cells"][3], "pod/p");
    assert_eq!(table["rows"][0]["object"]["apiVersion"], "events.k8s.io/v1");
    assert_eq!(table["rows"][0]["object"]["regarding"]["name"], "p");
}

#[test]
fn node_rows_show_status_and_roles() {
    let info = json!({"kubeletVersion": "v1.36.0", "osImage": "Linux", "kernelVersion": "6", "containerRuntimeVersion": "wasmpod://1",
        "architecture": "amd64", "bootID": "", "machineID": "", "kubeProxyVersion": "", "operatingSystem": "linux", "systemUUID": ""});
    let full = json!({
        "metadata": {"name": "n1", "creationTimestamp": "2026-11-20T00:00:00Z",
            "labels": {"node-role.kubernetes.io/worker": "", "kubernetes.io/role": "edge", "a": "b"}},
        "spec": {"unschedulable": true},
        "status": {"conditions": [{"type": "Ready", "status": "True"}], "nodeInfo": info,
            "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}]},
    });
    let expected = json!([
        "n1",
        "Ready,SchedulingDisabled",
        "edge,worker",
        "12h",
        "v1.36.0",
        "10.0.0.1",
        "<none>",
        "Linux",
        "6",
        "wasmpod://1"
    ]);
    assert_eq!(cells(&object::<Node>(&full)), expected);
    for (conditions, state) in [(json!([]), "Unknown"), (json!([{"type": "Ready", "status": "Unknown"}]), "NotReady")] {
        let node = json!({"metadata": {"name": "n"}, "status": {"conditions": conditions}});
        let expected =
            json!(["n", state, "<none>", "<unknown>", "", "<none>", "<none>", "<unknown>", "<unknown>", "<unknown>"]);
        assert_eq!(cells(&object::<Node>(&node)), expected);
    }
}

#[test]
fn namespace_and_generic_rows() {
    let metadata = json!({"name": "x", "creationTimestamp": "2026-11-20T00:00:00Z"});
    let namespace = json!({"metadata": metadata, "status": {"phase": "Active"}});
    assert_eq!(cells(&object::<Namespace>(&namespace)), json!(["x", "Active", "12h"]));
    let metadata: ObjectMeta = serde_json::from_value(metadata).expect("metadata");
    assert_eq!(columns::name_and_creation(&metadata), [json!("x"), json!("2026-11-20T00:00:00Z")]);
}
