//! Requests that an API server rejects, with the messages of a real one.

use serde_json::{Value, json};

use crate::support::api_server::ApiServer;

const PODS: &str = "/api/v1/namespaces/default/pods";
const JSON: &str = "application/json";

/// Starts an API server with a pod `a`.
fn with_a_pod() -> ApiServer {
    let server = ApiServer::start();
    server.create_namespace("default");
    server.create_pod("{metadata: {name: a}, spec: {containers: [{name: c, image: x}]}}");
    server
}

#[test]
fn put_without_a_name_is_rejected() {
    let server = with_a_pod();
    let spec = json!({"containers": [{"name": "c", "image": "x"}]});
    for metadata in [json!({}), json!({"name": ""}), Value::Null] {
        let put =
            server.send("PUT", &format!("{PODS}/a"), JSON, &json!({"metadata": metadata, "spec": spec}).to_string());
        let message = "the name of the object (a based on URL) was undeterminable: name must be provided";
        put.assert_error(400, message);
    }
}

#[test]
fn pod_for_another_operating_system_is_rejected() {
    let server = with_a_pod();
    let spec = json!({"containers": [{"name": "c", "image": "x"}]});
    let mut bad = json!({"metadata": {"name": "mac"}, "spec": spec});
    bad["spec"]["os"] = json!({"name": "mac"});
    let refused = server.send("POST", PODS, JSON, &bad.to_string());
    let message =
        "Pod \"mac\" is invalid: spec.os: Unsupported value: \"mac\": supported values: \"linux\", \"windows\"";
    refused.assert_error(422, message);
    bad["spec"]["os"]["name"] = "windows".into();
    assert_eq!(server.send("POST", PODS, JSON, &bad.to_string()).code, 403, "valid, but this node cannot run it");
}

#[test]
fn admission_rejects_overheads_and_other_preemption_policies() {
    let server = with_a_pod();
    let create = |fields: Value| {
        let mut pod = json!({"metadata": {"name": "b"}, "spec": {"containers": [{"name": "c", "image": "x"}]}});
        pod["spec"].as_object_mut().expect("a spec").extend(fields.as_object().cloned().expect("fields"));
        server.send("POST", &format!("{PODS}?dryRun=All"), JSON, &pod.to_string())
    };
    create(json!({"overhead": {"cpu": "1"}})).assert_error_contains(
        403,
        "pods \"b\" is forbidden: pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead",
    );
    let invalid = create(json!({"overhead": {"cpu": "-1"}}));
    assert_eq!(invalid.code, 422, "validation comes first");
    create(json!({"preemptionPolicy": "Never"})).assert_error_contains(
        403,
        "the string value of PreemptionPolicy (Never) must not be provided in pod spec; priority admission controller \
         computed PreemptLowerPriority from the given PriorityClass name",
    );
    assert_eq!(create(json!({"preemptionPolicy": "PreemptLowerPriority"})).code, 201);
}

#[test]
fn negative_grace_period_is_stored_as_one_with_a_warning() {
    let server = with_a_pod();
    let pod = json!({"metadata": {"name": "b"}, "spec":
        {"terminationGracePeriodSeconds": -5, "containers": [{"name": "c", "image": "x"}]}});
    let created = server.send("POST", PODS, JSON, &pod.to_string());
    assert_eq!((created.code, &created.json()["spec"]["terminationGracePeriodSeconds"]), (201, &json!(1)));
    let warning = "negative values are invalid and will be treated as 1";
    assert!(created.headers["warning"].contains(warning), "{:?}", created.headers);
}

#[test]
fn empty_yaml_body_is_an_object_without_fields() {
    let server = with_a_pod();
    for body in ["", "# nothing\n", "null\n"] {
        let response = server.send("POST", PODS, "application/yaml", body);
        response.assert_error_contains(422, "spec.containers: Required value");
    }
    server.send("POST", PODS, JSON, "").assert_error_contains(400, "couldn't get version/kind");
}

#[test]
fn unserved_resources_of_kubernetes_are_named() {
    let server = with_a_pod();
    for (path, name) in [
        ("/apis/storage.k8s.io/v1/csidrivers", "csidrivers.storage.k8s.io are"),
        ("/api/v1/componentstatuses/x", "componentstatuses are"),
        ("/apis/resource.k8s.io/v1", "resource.k8s.io/v1 is"),
        ("/apis/certificates.k8s.io", "the API group certificates.k8s.io is"),
    ] {
        server.get(path).assert_error(404, &format!("{name} not served yet"));
    }
    for path in ["/api/v1/namespaces/default/podz", "/apis/example.com/v1/things"] {
        server.get(path).assert_error(404, "the server could not find the requested resource");
    }
}

#[test]
fn impersonation_and_repeated_headers_are_rejected() {
    let server = with_a_pod();
    let refused = server.request("GET", PODS, "Impersonate-User: bob\r\n");
    refused.assert_error_contains(403, "impersonation is not supported");
    assert_eq!(server.request("GET", PODS, "Host: 127.0.0.1\r\n").code, 400, "a second Host");
}

#[test]
fn binding_must_name_its_pod_and_a_node() {
    let server = with_a_pod();
    let bind = |name: &str, kind: &str| {
        let target = json!({"kind": kind, "name": "n"});
        let binding = json!({"kind": "Binding", "apiVersion": "v1", "metadata": {"name": name}, "target": target});
        server.send("POST", &format!("{PODS}/a/binding"), JSON, &binding.to_string())
    };
    bind("b", "Node").assert_error(400, "name in URL does not match name in Binding object");
    bind("a", "Foo")
        .assert_error(400, "target.kind: Unsupported value: \"Foo\": supported values: \"Node\", \"<empty>\"");
    assert_eq!(bind("a", "").code, 201);
    let again = bind("a", "Node");
    let message = "Operation cannot be fulfilled on pods/binding \"a\": pod a is already assigned to node \"n\"";
    again.assert_error(409, message);
    assert_eq!(again.json()["details"], json!({"name": "a", "kind": "pods/binding"}));
}

#[test]
fn invalid_options_and_unknown_paths_are_rejected() {
    let server = with_a_pod();
    server
        .get(&format!("{PODS}/a/log?tailLines=abc"))
        .assert_error(400, "strconv.ParseInt: parsing \"abc\": invalid syntax");
    server.get("/api/v1/pods/a").assert_error(404, "the server could not find the requested resource");
    for path in ["/api/", "/apis/", "/api/v1/", "/apis/events.k8s.io/", "/apis/events.k8s.io/v1/", "/version/"] {
        let with = server.get(path);
        assert_eq!((with.code, with.json()), (200, server.get(path.trim_end_matches('/')).json()), "{path}");
    }
    assert_eq!(server.request("HEAD", PODS, "").code, 405);
    let header = "Accept: application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1\r\n";
    let message = "you requested PartialObjectMetadata, but the requested object is a list (*core.PodList)";
    server.request("GET", PODS, header).assert_error(406, message);
}

#[test]
fn unset_condition_times_are_null() {
    let server = with_a_pod();
    let status = json!({"status": {"conditions": [{"type": "example.com/a", "status": "True"}]}});
    let path = format!("{PODS}/a/status");
    server.send("PATCH", &path, "application/strategic-merge-patch+json", &status.to_string());
    let want = json!([{"type": "example.com/a", "status": "True", "lastProbeTime": null, "lastTransitionTime": null}]);
    assert_eq!(server.get(&path).json()["status"]["conditions"], want);
}
