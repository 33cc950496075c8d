//! Writes over HTTP: the responses of a real API server, limits, and authorization.

use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::api_server::{ApiServer, Response};
use crate::support::test_file;

const PODS: &str = "/api/v1/namespaces/default/pods";
const JSON: &str = "application/json";
const YAML: &str = "application/yaml";
const MERGE: &str = "application/merge-patch+json";

/// Starts an API server with the namespace `default`.
fn with_default_namespace() -> ApiServer {
    let server = ApiServer::start();
    server.create_namespace("default");
    server
}

#[test]
fn updates_match_a_recorded_api_server() {
    let server = with_default_namespace();
    server.create_namespace("updates");
    let text = std::fs::read_to_string(test_file("golden/pod-updates-1.36.json")).expect("golden data");
    let golden: Value = serde_json::from_str(&text).expect("golden data");
    let cases = golden["cases"].as_array().expect("cases");
    let (mut wrong, pods) = (Vec::new(), "/api/v1/namespaces/updates/pods");
    for case in cases {
        server.send("DELETE", &format!("{pods}/p"), JSON, r#"{"gracePeriodSeconds": 0}"#);
        server.send("PATCH", &format!("{pods}/p"), MERGE, r#"{"metadata": {"finalizers": null}}"#);
        let created = server.send("POST", pods, JSON, &golden["base"].to_string());
        assert_eq!(created.code, 201, "{}", created.text());
        let below = case["subresource"].as_str().unwrap_or_default();
        let path = format!("{pods}/p{}{below}?fieldValidation=Strict", if below.is_empty() { "" } else { "/" });
        let mut last = created;
        for patch in case["patches"].as_array().expect("patches") {
            let media = patch["type"].as_str().expect("a type");
            last = server.send("PATCH", &path, media, &patch["body"].to_string());
        }
        let (got, wanted) = (last.json(), &case["status"]);
        // A real server adds a volume to each pod, so that only the first line of a message, without values, is compared.
        let comparable = |status: &Value| {
            let message = status["message"].as_str().unwrap_or_default().to_string();
            let shown = message.find("Invalid value: \"{").or(message.find('\n')).unwrap_or(message.len());
            message[..shown].to_string()
        };
        let same = case["code"] == last.code
            && (wanted.is_null() || (wanted["reason"] == got["reason"] && comparable(wanted) == comparable(&got)))
            && (!wanted.is_null() || grown(&got) == case["generation_grew_by"]);
        if !same {
            wrong.push(format!("{}: {} {}\n  wanted {} {wanted}", case["name"], last.code, last.text(), case["code"]));
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

fn grown(pod: &Value) -> Value {
    pod["metadata"]["generation"].as_i64().map(|generation| generation - 1).into()
}

#[test]
fn create_accepts_json_and_yaml_and_generates_names() {
    let server = with_default_namespace();
    let yaml = "metadata:\n  generateName: web-\nspec:\n  containers:\n  - {name: c, image: x, securityContext: {readOnlyRootFilesystem: true}}\n";
    let created = server.send("POST", PODS, YAML, yaml);
    assert_eq!(created.code, 201, "{}", created.text());
    let (name, warning) = (created.json()["metadata"]["name"].clone(), &created.headers["warning"]);
    assert!(name.as_str().is_some_and(|name| name.starts_with("web-") && name.len() == 9), "{name}");
    assert!(
        warning.starts_with("299 - \"spec.containers[0].securityContext.readOnlyRootFilesystem: no effect"),
        "{warning}"
    );
    let json = json!({"metadata": {"name": "a"}, "spec": {"containers": [{"name": "c", "image": "x"}]}});
    let dry_run = server.send("POST", &format!("{PODS}?dryRun=All"), JSON, &json.to_string());
    assert_eq!((dry_run.code, &dry_run.json()["metadata"]["resourceVersion"]), (201, &Value::Null));
    assert_eq!(server.get(&format!("{PODS}/a")).code, 404, "a dry run stores nothing");
    assert_eq!(server.send("POST", PODS, JSON, &json.to_string()).code, 201);
    let list = server.get(PODS).json();
    assert_eq!(list["items"].as_array().map(Vec::len), Some(2));
}

#[test]
fn writes_return_warnings() {
    let server = with_default_namespace();
    let pod = json!({"metadata": {"name": "a"}, "spec": {"terminationGracePeriodSeconds": -1,
        "containers": [{"name": "c", "image": "x"}]}});
    let created = server.send("POST", PODS, JSON, &pod.to_string());
    let warning_text = "must be >= 0; negative values are invalid and will be treated as 1";
    assert_eq!(
        created.headers.get("warning"),
        Some(&format!("299 - \"spec.terminationGracePeriodSeconds: {warning_text}\""))
    );
    let again = server.send("PATCH", &format!("{PODS}/a"), MERGE, r#"{"metadata": {"labels": {"a": "b"}}}"#);
    assert_eq!((again.code, again.headers.get("warning")), (200, None), "only creation warns");
    let status = r#"{"status": {"podIPs": [{"ip": "1::0"}]}}"#;
    let patched = server.send("PATCH", &format!("{PODS}/a/status"), MERGE, status);
    let warning_text = "IPv6 address \\\"1::0\\\" should be in RFC 5952 canonical format (\\\"1::\\\")";
    assert_eq!(patched.headers.get("warning"), Some(&format!("299 - \"status.podIPs[0].ip: {warning_text}\"")));
}

#[test]
fn unreadable_and_unsupported_bodies_are_rejected() {
    let server = with_default_namespace();
    let spec = "spec: {containers: [{name: c, image: x}]";
    let strict = "?fieldValidation=Strict";
    let pod = |rest: &str| format!("{{metadata: {{name: a}}, {spec}{rest}}}}}");
    for (query, media, body, code, expected) in [
        ("", "text/plain", pod(""), 415, "the body of the request was in an unknown format - accepted media types"),
        (
            "",
            JSON,
            "{".into(),
            400,
            "the object provided is unrecognized (must be of type Pod): couldn't get version/kind",
        ),
        (
            strict,
            YAML,
            pod(", contaners: []"),
            400,
            "Pod in version \"v1\" cannot be handled as a Pod: strict decoding error: unknown field \"spec.contaners\"",
        ),
        (
            strict,
            YAML,
            pod(", restartPolicy: Never, restartPolicy: Always"),
            400,
            "strict decoding error: duplicate field \"spec.restartPolicy\"",
        ),
        (
            "",
            YAML,
            pod(", hostNetwork: 'true'"),
            400,
            "spec.hostNetwork: expected a boolean, found the string \"true\" (line 1, column",
        ),
        (
            "",
            YAML,
            pod(", hostNetwork: true"),
            403,
            "pods \"a\" is forbidden: spec.hostNetwork: not supported: pods have an in-memory network",
        ),
        ("", YAML, pod(", restartPolicy: always"), 422, "spec.restartPolicy: Unsupported value: \"always\""),
        (
            "",
            YAML,
            "metadata: {name: a, namespace: b}".into(),
            400,
            "the namespace of the provided object does not match",
        ),
        ("", YAML, "spec: {}".into(), 422, "metadata.name: Required value: name or generateName is required"),
        ("?dryRun=Half", YAML, pod(""), 422, "dryRun: Unsupported value: [\"Half\"]: supported values: \"All\""),
    ] {
        let response = server.send("POST", &format!("{PODS}{query}"), media, &body);
        response.assert_error_contains(code, expected);
    }
    let apply = server.send("PATCH", &format!("{PODS}/a?fieldManager=x"), "application/apply-patch+yaml", "{}");
    apply.assert_error_contains(415, "use kubectl apply without --server-side");
    assert_eq!(server.get(PODS).json()["items"], json!([]), "nothing was stored");
}

#[test]
fn pod_and_status_are_replaced_and_patched_separately() {
    let server = with_default_namespace();
    server.create_pod("{metadata: {name: a}, spec: {nodeName: ghost, containers: [{name: c, image: x}]}}");
    let path = format!("{PODS}/a");
    let mut pod = server.get(&path).json();
    pod["spec"]["containers"][0]["image"] = "y".into();
    let replaced = server.send("PUT", &path, JSON, &pod.to_string());
    assert_eq!((replaced.code, &replaced.json()["metadata"]["generation"]), (200, &json!(2)), "{}", replaced.text());
    server.send("PUT", &path, JSON, &pod.to_string()).assert_error_contains(409, "the object has been modified");
    let warned = server.send("PATCH", &path, MERGE, r#"{"spec": {"nope": 1}, "metadata": {"labels": {"a": "b"}}}"#);
    assert_eq!((warned.code, warned.headers["warning"].as_str()), (200, "299 - \"unknown field \\\"spec.nope\\\"\""));
    let gate = json!({"status": {"conditions": [{"type": "example.com/gate", "status": "True"}]}});
    let strategic = "application/strategic-merge-patch+json";
    let patched = server.send("PATCH", &format!("{path}/status"), strategic, &gate.to_string()).json();
    assert_eq!(patched["status"]["conditions"][0]["type"], "example.com/gate");
    let mut whole = server.get(&format!("{path}/status")).json();
    whole["status"]["phase"] = "Running".into();
    whole["spec"]["containers"][0]["image"] = "z".into();
    let put = server.send("PUT", &format!("{path}/status"), JSON, &whole.to_string()).json();
    assert_eq!((&put["status"]["phase"], &put["spec"]["containers"][0]["image"]), (&json!("Running"), &json!("y")));
    let dry_run = server.send("PATCH", &format!("{path}?dryRun=All"), MERGE, r#"{"metadata": {"labels": {"a": "c"}}}"#);
    assert_eq!(dry_run.json()["metadata"]["labels"]["a"], "c");
    assert_eq!(server.get(&path).json()["metadata"]["labels"]["a"], "b", "a dry run stores nothing");
}

#[test]
fn pods_are_deleted_singly_or_by_label_bound_and_evicted() {
    let server = with_default_namespace();
    for (name, labels) in [("a", "{x: '1'}"), ("b", "{x: '1'}"), ("c", "{}"), ("d", "{}")] {
        server.create_pod(&format!(
            "{{metadata: {{name: {name}, labels: {labels}}}, spec: {{containers: [{{name: c, image: x}}]}}}}"
        ));
    }
    let dry_run = server.request("DELETE", &format!("{PODS}/c?dryRun=All"), "");
    assert_eq!((dry_run.code, &dry_run.json()["metadata"]["name"]), (200, &json!("c")));
    let target = json!({"kind": "Node", "name": "ghost"});
    let binding = json!({"kind": "Binding", "apiVersion": "v1", "metadata": {"name": "c"}, "target": target});
    let bound = server.send("POST", &format!("{PODS}/c/binding"), JSON, &binding.to_string());
    assert_eq!((bound.code, &bound.json()["status"]), (201, &json!("Success")), "{}", bound.text());
    server
        .send("POST", &format!("{PODS}/c/binding"), JSON, &binding.to_string())
        .assert_error_contains(409, "already assigned");
    let eviction = json!({"kind": "Eviction", "apiVersion": "policy/v1", "metadata": {"name": "c"}});
    let evicted = server.send("POST", &format!("{PODS}/c/eviction"), JSON, &eviction.to_string());
    assert_eq!(evicted.code, 201, "{}", evicted.text());
    let pod = server.get(&format!("{PODS}/c")).json();
    assert!(pod["metadata"]["deletionTimestamp"].is_string(), "{pod}");
    let disrupted =
        pod["status"]["conditions"].as_array().and_then(|all| all.iter().find(|c| c["type"] == "DisruptionTarget"));
    assert_eq!(disrupted.map(|c| &c["reason"]), Some(&json!("EvictionByEvictionAPI")));
    let gone = server.request("DELETE", &format!("{PODS}?labelSelector=x%3D1"), "").json();
    let names: Vec<&Value> = gone["items"].as_array().into_iter().flatten().map(|o| &o["metadata"]["name"]).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(server.get(&format!("{PODS}/a")).code, 404);
    assert_eq!(server.get(&format!("{PODS}/d")).code, 200);
}

#[test]
fn config_maps_secrets_and_namespaces_are_stored() {
    let server = with_default_namespace();
    let created = server.send("POST", "/api/v1/namespaces", YAML, "{kind: Namespace, metadata: {name: shop}}");
    assert_eq!((created.code, &created.json()["status"]["phase"]), (201, &json!("Active")), "{}", created.text());
    for (plural, body) in [
        ("configmaps", "{metadata: {name: m, labels: {a: b}}, data: {a: x}}"),
        ("secrets", "{metadata: {name: m, labels: {a: b}}, stringData: {a: x}}"),
    ] {
        let all = format!("/api/v1/namespaces/shop/{plural}");
        assert_eq!(server.send("POST", &all, YAML, body).code, 201, "{plural}");
        server.send("POST", &all, YAML, body).assert_error_contains(409, "already exists");
        let patched = server.send("PATCH", &format!("{all}/m"), MERGE, r#"{"metadata": {"labels": {"a": "c"}}}"#);
        assert_eq!(patched.json()["metadata"]["labels"]["a"], "c", "{}", patched.text());
        assert_eq!(server.get(&format!("{all}?labelSelector=a%3Dc")).json()["items"].as_array().map(Vec::len), Some(1));
        let gone = server.request("DELETE", &format!("{all}/m"), "").json();
        assert_eq!((&gone["status"], &gone["details"]["kind"]), (&json!("Success"), &json!(plural)));
        assert_eq!(server.get(&format!("{all}/m")).code, 404);
    }
    server
        .send("POST", "/api/v1/namespaces", YAML, "{metadata: {name: Bad_NS}}")
        .assert_error_contains(422, "RFC 1123 label");
}

#[test]
fn writes_need_the_token_and_the_same_origin() {
    let server = with_default_namespace();
    let body = "{metadata: {name: a}, spec: {containers: [{name: c, image: x}]}}";
    let ask = |method: &str, path: &str, headers: &str| {
        let mut stream = server.connect();
        let length = body.len();
        let head =
            format!("{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n");
        stream.write_all(format!("{head}{body}").as_bytes()).expect("sent");
        Response::read(stream)
    };
    let (host, token) =
        (format!("Host: {}\r\n", server.address), format!("Authorization: Bearer {}\r\n", server.token));
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        for (headers, code) in [
            (host.clone(), 401),
            (format!("{host}Authorization: Bearer wrong\r\n"), 401),
            (format!("{host}{token}Origin: http://evil.example\r\n"), 403),
            (format!("Host: evil.example\r\n{token}"), 403),
        ] {
            assert_eq!(ask(method, PODS, &headers).code, code, "{method} {headers}");
        }
    }
    assert_eq!(server.get(PODS).json()["items"], json!([]));
}

#[test]
fn oversized_and_missing_bodies_do_not_delay_others() {
    let server = with_default_namespace();
    let large = format!("{{\"metadata\": {{\"name\": \"{}\"}}}}", "x".repeat(3 * 1024 * 1024));
    server.send("POST", PODS, JSON, &large).assert_error_contains(413, "Request entity too large: limit is 3145728");
    let half: Vec<_> = (0..100).map(|_| server.open("POST", PODS, "Content-Length: 1000\r\n")).collect();
    let start = Instant::now();
    assert_eq!(server.get(PODS).code, 200);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    drop(half);
}
