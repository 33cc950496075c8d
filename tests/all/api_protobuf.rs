//! Requests with bodies in protobuf, as Go clients send them. kubectl's own are in `kubectl_writes`.

use serde_json::json;

use crate::support::api_server::{ApiServer, Response};

const NAMESPACE: &str = "/api/v1/namespaces/default";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// Starts an API server with the namespace `default`.
fn with_default_namespace() -> ApiServer {
    let server = ApiServer::start();
    server.create_namespace("default");
    server
}

/// Returns a field with a string or a message. Short ones are text.
fn field(number: u8, value: &str) -> String {
    let length = u8::try_from(value.len()).expect("a short value");
    assert!(number < 16 && length < 128, "{value}");
    format!("{}{}{value}", char::from(number << 3 | 2), char::from(length))
}

/// Returns a field with a small number.
fn number(number: u8, value: u8) -> String {
    format!("{}{}", char::from(number << 3), char::from(value))
}

/// Returns the body of an object.
fn body(version: &str, kind: &str, message: &str) -> String {
    let type_meta = field(1, version) + &field(2, kind);
    format!("k8s\0{}{}", field(1, &type_meta), field(2, message))
}

/// Returns the metadata of an object, as its first field.
fn named(name: &str) -> String {
    field(1, &field(1, name))
}

fn pod(name: &str) -> String {
    named(name) + &field(2, &field(2, &(field(1, "c") + &field(2, "x"))))
}

fn create(server: &ApiServer, path: &str, body: &str) -> Response {
    server.send("POST", &format!("{NAMESPACE}/{path}"), PROTOBUF, body)
}

#[test]
fn objects_are_created_and_replaced_in_protobuf() {
    let server = with_default_namespace();
    let data = |value: &str| named("m") + &field(2, &(field(1, "a") + &field(2, value)));
    let created = create(&server, "configmaps?fieldValidation=Strict", &body("v1", "ConfigMap", &data("1")));
    assert_eq!((created.code, &created.json()["data"]), (201, &json!({"a": "1"})), "{}", created.text());
    let path = format!("{NAMESPACE}/configmaps/m");
    let replaced = server.send("PUT", &path, PROTOBUF, &body("v1", "ConfigMap", &data("2")));
    assert_eq!((replaced.code, &replaced.json()["data"]), (200, &json!({"a": "2"})), "{}", replaced.text());
    let created = create(&server, "secrets", &body("v1", "Secret", &data("1")));
    assert_eq!((created.code, &created.json()["data"]), (201, &json!({"a": "MQ=="})), "{}", created.text());
    let created = create(&server, "pods?dryRun=All", &body("", "", &pod("a")));
    assert_eq!(created.code, 201, "{}", created.text());
    assert_eq!(created.json()["spec"]["containers"][0]["imagePullPolicy"], "Always", "defaults are added");
}

#[test]
fn pods_are_bound_evicted_and_deleted_in_protobuf() {
    let server = with_default_namespace();
    for name in ["a", "b"] {
        assert_eq!(create(&server, "pods", &body("v1", "Pod", &pod(name))).code, 201);
    }
    let target = field(2, &(field(1, "Node") + &field(3, "ghost")));
    let bound = create(&server, "pods/a/binding", &body("v1", "Binding", &(named("a") + &target)));
    assert_eq!(bound.code, 201, "{}", bound.text());
    assert_eq!(server.get(&format!("{NAMESPACE}/pods/a")).json()["spec"]["nodeName"], "ghost");
    for version in ["policy/v1", "policy/v1beta1"] {
        let options = field(2, &field(5, "All"));
        let evicted = create(&server, "pods/a/eviction", &body(version, "Eviction", &(named("a") + &options)));
        assert_eq!(evicted.code, 201, "{}", evicted.text());
    }
    let delete = |name: &str, options: &str| {
        let body = body("v1", "DeleteOptions", options);
        server.send("DELETE", &format!("{NAMESPACE}/pods/{name}"), PROTOBUF, &body)
    };
    delete("a", &field(2, &field(1, "other")))
        .assert_error_contains(409, "the UID in the precondition (other) does not match");
    assert_eq!(delete("a", &number(1, 7)).json()["metadata"]["deletionGracePeriodSeconds"], 7);
    assert_eq!(delete("b", &number(1, 0)).code, 200);
    assert_eq!(server.get(&format!("{NAMESPACE}/pods/b")).code, 404);
}

#[test]
fn broken_and_other_protobuf_bodies_are_rejected() {
    let server = with_default_namespace();
    let unrecognized = "the object provided is unrecognized (must be of type Pod): ";
    let cannot_handle = "Pod in version \"v1\" cannot be handled as a Pod: ";
    for (body, expected) in [
        ("k8s\0".to_string(), format!("{unrecognized}empty body")),
        ("{}".to_string(), format!("{unrecognized}provided data does not appear to be a protobuf message")),
        ("k8s\0\n".to_string(), format!("{unrecognized}unexpected EOF")),
        (body("v1", "Pod", "\n"), format!("{cannot_handle}unexpected EOF")),
        (body("v1", "Pod", &number(1, 1)), format!("{cannot_handle}proto: wrong wireType = 0 for field metadata")),
        (body("v1", "Podd", ""), "no kind \"Podd\" is registered for version \"v1\"".to_string()),
        (body("apps/v1", "Deployment", ""), "converting (v1.Deployment) to (core.Pod)".to_string()),
    ] {
        create(&server, "pods", &body).assert_error_contains(400, &expected);
    }
    create(&server, "pods", &body("v1", "Pod", &named("a"))).assert_error_contains(422, "spec.containers: Required");
    server
        .send("PATCH", &format!("{NAMESPACE}/pods/a"), PROTOBUF, &body("v1", "Pod", &named("a")))
        .assert_error_contains(415, "Unsupported Media Type");
    assert_eq!(server.get(&format!("{NAMESPACE}/pods")).json()["items"], json!([]), "nothing was stored");
}
