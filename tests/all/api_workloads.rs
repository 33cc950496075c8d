//! Requests for kinds beyond pods, with the responses that a real API server recorded.

use serde_json::{Value, json};

use crate::support::api_server::{ApiServer, Response};
use crate::support::test_file;

const JSON: &str = "application/json";

/// Rows about what is not served yet: tokens of service accounts, component statuses and metrics.
const NOT_SERVED: [&str; 5] =
    ["token-request-default", "token-request-missing", "token-request-wrong-kind", "componentstatuses", "metrics"];

#[test]
fn workload_requests_match_a_recorded_server() {
    let server = ApiServer::start();
    ["ns", "kube-system"].into_iter().for_each(|name| server.create_namespace(name));
    create_workloads(&server);
    let text = std::fs::read_to_string(test_file("golden/requests-workloads-1.36.json")).expect("golden data");
    let rows: Vec<Value> =
        serde_json::from_str(&text.replace("\"NS\"", "\"ns\"").replace("/NS/", "/ns/")).expect("golden data");
    let mut wrong = Vec::new();
    for row in rows.iter().filter(|row| !NOT_SERVED.contains(&name_of(row))) {
        // The recorded server got its Services after the requests for their proxies.
        if name_of(row) == "svc-nodeport-taken" {
            create_services(&server);
        }
        let response = send(&server, row);
        if let Some(difference) = difference(row, &response) {
            let answer: String = response.text().chars().take(500).collect();
            wrong.push(format!("{}: {difference}\n  {answer}", name_of(row)));
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

fn name_of(row: &Value) -> &str {
    row["name"].as_str().expect("a name")
}

fn create(server: &ApiServer, path: &str, object: &Value) {
    let created = server.send("POST", path, JSON, &object.to_string());
    assert_eq!(created.code, 201, "{path}: {}", created.text());
}

/// Creates the objects that the recorded requests are about.
fn create_workloads(server: &ApiServer) {
    let pod = |policy: &str| {
        let spec = json!({"restartPolicy": policy, "containers": [{"name": "c", "image": "x"}]});
        json!({"metadata": {"labels": {"app": "web"}}, "spec": spec})
    };
    let selector = json!({"matchLabels": {"app": "web"}});
    let apps = "/apis/apps/v1/namespaces/ns";
    for name in ["a", "b"] {
        let spec = json!({"replicas": 2, "selector": selector, "template": pod("Always")});
        let metadata = json!({"name": name, "labels": {"n": name}});
        create(server, &format!("{apps}/deployments"), &json!({"metadata": metadata, "spec": spec}));
    }
    let spec = json!({"replicas": 1, "selector": selector, "template": pod("Always")});
    create(server, &format!("{apps}/replicasets"), &json!({"metadata": {"name": "r"}, "spec": spec}));
    let spec = json!({"selector": selector, "serviceName": "w", "template": pod("Always")});
    create(server, &format!("{apps}/statefulsets"), &json!({"metadata": {"name": "s"}, "spec": spec}));
    let spec = json!({"selector": selector, "template": pod("Always")});
    create(server, &format!("{apps}/daemonsets"), &json!({"metadata": {"name": "d"}, "spec": spec}));
    let job = json!({"metadata": {"name": "two"}, "spec": {"template": {"spec": pod("Never")["spec"]}}});
    create(server, "/apis/batch/v1/namespaces/ns/jobs", &job);
    let involved = json!({"kind": "Pod", "namespace": "ns", "name": "p", "uid": "u1"});
    let event = json!({"metadata": {"name": "e1"}, "involvedObject": involved, "source": {"component": "x"}});
    create(server, "/api/v1/namespaces/ns/events", &event);
}

fn create_services(server: &ApiServer) {
    let ports = json!([{"port": 80}]);
    for (name, spec) in [
        ("w", json!({"ports": ports, "selector": {"a": "b"}, "clusterIP": "10.96.228.24"})),
        ("np", json!({"ports": [{"port": 80, "nodePort": 30900}], "type": "NodePort", "selector": {"a": "b"}})),
        ("ip", json!({"ports": ports, "clusterIP": "10.96.50.50", "selector": {"a": "b"}})),
    ] {
        create(server, "/api/v1/namespaces/ns/services", &json!({"metadata": {"name": name}, "spec": spec}));
    }
}

fn send(server: &ApiServer, row: &Value) -> Response {
    let request = &row["request"];
    let (method, path) = (request["method"].as_str().expect("a method"), request["path"].as_str().expect("a path"));
    let accept = request["accept"].as_str().map(|accept| format!("Accept: {accept}\r\n")).unwrap_or_default();
    match request["content_type"].as_str() {
        Some(content) if accept.is_empty() => server.send(method, path, content, &request["body"].to_string()),
        Some(content) => {
            let body = request["body"].to_string();
            let head = format!("{accept}Content-Type: {content}\r\nContent-Length: {}\r\n", body.len());
            let mut stream = server.open(method, path, &head);
            std::io::Write::write_all(&mut stream, body.as_bytes()).expect("sent");
            Response::read(stream)
        }
        None => server.request(method, path, &accept),
    }
}

/// Returns how a response differs from the recorded one.
fn difference(row: &Value, response: &Response) -> Option<String> {
    if row["code"] != response.code {
        return Some(format!("code {} instead of {}", response.code, row["code"]));
    }
    let warning = response.headers.get("warning").map(String::as_str);
    // Nothing, or not everything that should, acts on some kinds yet, which a warning says.
    let is_own = |warning: &str| warning.contains("nothing acts on them yet") || warning.contains("not supported yet");
    let warning = warning.filter(|warning| !is_own(warning));
    if warning != row["headers"]["Warning"].as_str() {
        return Some(format!("warnings {warning:?} instead of {}", row["headers"]["Warning"]));
    }
    let answer = response.json();
    if row["status"].is_object() {
        let wanted = &row["status"];
        // Messages contain the recorded server's revisions.
        let words = |status: &Value| {
            let message = status["message"].as_str().unwrap_or_default();
            message.split(" in record (").next().unwrap_or_default().to_string()
        };
        let mut wanted_details = wanted["details"].clone();
        let mut details = answer["details"].clone();
        for details in [&mut wanted_details, &mut details] {
            details.as_object_mut().map(|details| details.remove("uid"));
        }
        let same = words(wanted) == words(&answer) && wanted["reason"] == answer["reason"];
        return (!same || wanted_details != details).then(|| format!("wanted {wanted}"));
    }
    if let Some(list) = row["list"].as_object() {
        let names: Vec<&Value> =
            answer["items"].as_array().into_iter().flatten().map(|item| &item["metadata"]["name"]).collect();
        let wanted: Vec<&Value> = list["names"].as_array().into_iter().flatten().collect();
        return (names != wanted || answer["kind"] != list["kind"]).then(|| format!("wanted {list:?}"));
    }
    if let Some(rows) = row["table_rows"].as_u64() {
        let found = answer["rows"].as_array().map_or(0, Vec::len) as u64;
        return (rows != found).then(|| format!("wanted {rows} rows"));
    }
    let mut missing = Vec::new();
    collect_missing("", &row["object"], &answer, &mut missing);
    (!missing.is_empty()).then(|| missing.join("\n  "))
}

/// Collects the fields of `wanted` that `found` has otherwise. Generated values match any.
fn collect_missing(path: &str, wanted: &Value, found: &Value, missing: &mut Vec<String>) {
    match (wanted, found) {
        (Value::Object(wanted), Value::Object(_)) => {
            for (name, value) in wanted {
                collect_missing(&format!("{path}.{name}"), value, &found[name], missing);
            }
        }
        (Value::Array(wanted), Value::Array(found)) if wanted.len() == found.len() => {
            for (index, (wanted, found)) in wanted.iter().zip(found).enumerate() {
                collect_missing(&format!("{path}[{index}]"), wanted, found, missing);
            }
        }
        (Value::String(generated), found) if ["TIME", "UID"].contains(&generated.as_str()) && !found.is_null() => {}
        (wanted, found) if wanted == found => {}
        _ => missing.push(format!("{path}: {found} instead of {wanted}")),
    }
}
