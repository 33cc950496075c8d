//! What the API server makes of a kind that consists of a file and a line in the table.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use futures_util::StreamExt;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::accept::Encoding;
use super::auth::Authorizer;
use super::server::Transport;
use super::{Api, router};
use crate::clock::Clock;
use crate::control::{ControlPlane, Key, Resource};
use crate::registry::Registry;
use crate::store::ObjectStore;

const FILE: &str = include_str!("../registry/kinds/test_kind.rs");
const TABLE: &str = include_str!("../registry/kinds/mod.rs");
const CLASSES: &str = "/apis/storage.k8s.io/v1/volumeattributesclasses";
const GOLD: &str = "/apis/storage.k8s.io/v1/volumeattributesclasses/gold";
const JSON: &str = "application/json";

struct TestServer {
    router: Router,
    control: Arc<dyn ControlPlane>,
}

impl TestServer {
    fn start() -> TestServer {
        let clock = Clock::starting_at("2026-01-01T00:00:00Z".parse().expect("a time"));
        let control: Arc<dyn ControlPlane> = Arc::new(Registry::new(ObjectStore::new(100), clock));
        let api = Api { control: control.clone(), nodes: HashMap::new(), clock, live: Vec::new(), ready: Vec::new() };
        let authorizer = Authorizer { credentials: None, names: Vec::new() };
        TestServer { router: router(Arc::new(api), Arc::new(authorizer)), control }
    }

    async fn send(&self, method: &str, path: &str, media: [&str; 2], body: String) -> (u16, Body) {
        let [sent, accepted] = media;
        let request = Request::builder().method(method).uri(path).header("Content-Type", sent);
        let request = request.header("Accept", accepted).extension(Transport::PrivateSocket);
        let request = request.body(Body::from(body)).expect("a request");
        let response = self.router.clone().oneshot(request).await.expect("a response");
        (response.status().as_u16(), response.into_body())
    }

    async fn bytes(&self, path: &str, accepted: &str) -> Vec<u8> {
        let (code, body) = self.send("GET", path, [JSON, accepted], String::new()).await;
        assert_eq!(code, 200, "{path}");
        body.collect().await.expect("a body").to_bytes().to_vec()
    }

    async fn get(&self, path: &str, accepted: &str) -> Value {
        serde_json::from_slice(&self.bytes(path, accepted).await).expect("JSON")
    }

    async fn write(&self, method: &str, path: &str, media: &str, body: Value) -> (u16, Value) {
        let (code, answer) = self.send(method, path, [media, JSON], body.to_string()).await;
        let answer = answer.collect().await.expect("a body").to_bytes();
        (code, serde_json::from_slice(&answer).expect("JSON"))
    }
}

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
