//! What the API server makes of a kind that consists of a file and a line in the table.

use futures_util::StreamExt;
use serde_json::{Value, json};

use super::accept::Encoding;
use super::test_server::TestServer;
use crate::control::{Key, Resource};

const FILE: &str = include_str!("../registry/kinds/test_kind.rs");
const TABLE: &str = include_str!("../registry/kinds/mod.rs");
const CLASSES: &str = "/apis/storage.k8s.io/v1/volumeattributesclasses";
const GOLD: &str = "/apis/storage.k8s.io/v1/volumeattributesclasses/gold";
const JSON: &str = "application/json";

#[test]
fn a_kind_is_a_short_file_and_a_line_in_the_table() {
    assert!(FILE.lines().count() <= 60, "{} lines", FILE.lines().count());
    let rows = TABLE.lines().filter(|line| line.contains("VolumeAttributesClass"));
    assert_eq!(rows.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_kind_is_discovered_and_described() {
    let server = TestServer::start();
    let resources = server.get("/apis/storage.k8s.io/v1", JSON).await;
    let resources = resources["resources"].as_array().expect("resources");
    let resource = resources.iter().find(|resource| resource["kind"] == "VolumeAttributesClass").expect("the kind");
    assert_eq!((&resource["shortNames"], &resource["namespaced"]), (&json!(["vac"]), &json!(false)));
    let document = server.get("/openapi/v3/apis/storage.k8s.io/v1", JSON).await;
    assert!(document["paths"][format!("{CLASSES}/{{name}}")]["patch"].is_object());
    let schema = &document["components"]["schemas"]["io.k8s.api.storage.v1.VolumeAttributesClass"];
    assert_eq!(schema["properties"]["driverName"]["type"], "string");
    assert_eq!(schema["x-kubernetes-group-version-kind"][0]["kind"], "VolumeAttributesClass");
    let old = server.get("/openapi/v2", JSON).await;
    assert!(old["definitions"]["io.k8s.api.storage.v1.VolumeAttributesClass"].is_object());
}

#[tokio::test(start_paused = true)]
async fn a_kind_is_checked_stored_patched_printed_and_watched() {
    let server = TestServer::start();
    let class = |fields: Value| {
        let mut class = json!({"metadata": {"name": "gold"}, "driverName": "d.example"});
        class.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
        class
    };
    let strict = format!("{CLASSES}?fieldValidation=Strict");
    let (code, status) = server.write("POST", &strict, JSON, class(json!({"driverNam": "x"}))).await;
    assert_eq!(code, 400);
    assert!(status["message"].as_str().is_some_and(|text| text.contains("unknown field \"driverNam\"")), "{status}");
    let (code, status) = server.write("POST", CLASSES, JSON, class(json!({"driverName": ""}))).await;
    let message = "VolumeAttributesClass.storage.k8s.io \"gold\" is invalid: driverName: Required value";
    assert_eq!((code, &status["message"]), (422, &message.into()));
    let (code, created) = server.write("POST", CLASSES, JSON, class(json!({"parameters": {"iops": "100"}}))).await;
    assert_eq!((code, &created["kind"]), (201, &"VolumeAttributesClass".into()));

    let key = Key::new(Resource::of::<k8s_openapi::api::storage::v1::VolumeAttributesClass>(), "", "gold");
    assert_eq!(server.control.get(&key).await.expect("stored").json, server.bytes(GOLD, JSON).await);
    let merge = "application/merge-patch+json";
    let (code, patched) = server.write("PATCH", GOLD, merge, json!({"parameters": {"iops": "200"}})).await;
    assert_eq!((code, &patched["parameters"]["iops"]), (200, &"200".into()));
    let (code, status) = server.write("PATCH", GOLD, merge, json!({"driverName": "other"})).await;
    assert_eq!(code, 422, "{status}");
    let table = server.get(CLASSES, "application/json;as=Table;v=v1;g=meta.k8s.io").await;
    assert_eq!(table["rows"][0]["cells"], json!(["gold", "d.example", "0s"]));
    let protobuf = server.bytes(GOLD, Encoding::Protobuf.content_type()).await;
    assert!(protobuf.starts_with(b"k8s\0") && protobuf.windows(9).any(|part| part == b"d.example"));
    let from = created["metadata"]["resourceVersion"].as_str().expect("a version");
    let watch = format!("{CLASSES}?watch=1&resourceVersion={from}");
    let (code, body) = server.send("GET", &watch, [JSON, JSON], String::new()).await;
    assert_eq!(code, 200);
    let event = body.into_data_stream().next().await.expect("an event").expect("data");
    let event: Value = serde_json::from_slice(&event).expect("one event");
    assert_eq!((&event["type"], &event["object"]["parameters"]["iops"]), (&"MODIFIED".into(), &"200".into()));
    let (code, _) = server.write("DELETE", GOLD, JSON, Value::Null).await;
    assert_eq!(code, 200);
    assert!(server.control.get(&key).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn scale_of_a_kind_has_its_own_table() {
    let server = TestServer::start();
    let (code, _) = server.write("POST", "/api/v1/namespaces", JSON, json!({"metadata": {"name": "a"}})).await;
    assert_eq!(code, 201);
    let template = json!({"metadata": {"labels": {"app": "d"}}, "spec": {"containers": [{"name": "c", "image": "x"}]}});
    let spec = json!({"replicas": 3, "selector": {"matchLabels": {"app": "d"}}, "template": template});
    let deployment = json!({"metadata": {"name": "d"}, "spec": spec});
    let (code, created) = server.write("POST", "/apis/apps/v1/namespaces/a/deployments", JSON, deployment).await;
    assert_eq!(code, 201, "{created}");
    let path = "/apis/apps/v1/namespaces/a/deployments/d/scale";
    let table = server.get(path, "application/json;as=Table;v=v1;g=meta.k8s.io").await;
    let columns = table["columnDefinitions"].as_array().expect("columns");
    let columns: Vec<&Value> = columns.iter().map(|column| &column["name"]).collect();
    assert_eq!(columns, ["Name", "Desired", "Available", "Age"]);
    assert_eq!(table["rows"][0]["cells"], json!(["d", 3, 0, "0s"]));
    assert_eq!(table["rows"][0]["object"]["metadata"]["uid"], created["metadata"]["uid"]);
    assert_eq!(server.get(path, JSON).await["kind"], "Scale");
}

#[tokio::test(start_paused = true)]
async fn deleted_namespace_has_no_grace_period() {
    let server = TestServer::start();
    server.write("POST", "/api/v1/namespaces", JSON, json!({"metadata": {"name": "a"}})).await;
    for _ in 0..2 {
        let (code, namespace) = server.write("DELETE", "/api/v1/namespaces/a", JSON, Value::Null).await;
        assert_eq!((code, &namespace["status"]["phase"]), (200, &"Terminating".into()));
        assert!(namespace["metadata"]["deletionTimestamp"].is_string(), "{namespace}");
        assert!(namespace["metadata"]["deletionGracePeriodSeconds"].is_null(), "{namespace}");
    }
}
