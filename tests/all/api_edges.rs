//! Options and preconditions of reads, deletions and evictions, and repeated owner references.

use std::io::{BufRead, BufReader};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::api_server::{ApiServer, Response};

const PODS: &str = "/api/v1/namespaces/default/pods";
const JSON: &str = "application/json";

fn with_pods(names: &[&str]) -> ApiServer {
    let server = ApiServer::start();
    server.create_namespace("default");
    for name in names {
        server.create_pod(&format!(
            "{{metadata: {{name: {name}}}, spec: {{nodeName: ghost, containers: [{{name: c, image: x}}]}}}}"
        ));
    }
    server
}

/// Returns the names in a list.
fn names(list: &Value) -> Vec<String> {
    let name = |item: &Value| item["metadata"]["name"].as_str().unwrap_or_default().to_string();
    list["items"].as_array().into_iter().flatten().map(name).collect()
}

/// Returns the names of the pods without a deletion timestamp.
fn remaining(server: &ApiServer) -> Vec<String> {
    let mut list = server.get(PODS).json();
    let marked = |item: &Value| item["metadata"]["deletionTimestamp"].is_string();
    list["items"].as_array_mut().expect("items").retain(|item| !marked(item));
    names(&list)
}

#[test]
fn delete_collection_deletes_exactly_the_listed_page() {
    let server = with_pods(&["a", "b", "c"]);
    let delete = |query: &str| server.request("DELETE", &format!("{PODS}?{query}"), "");
    for (query, code, expected) in [
        ("resourceVersionMatch=Exact", 422, "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden"),
        ("sendInitialEvents=true", 422, "sendInitialEvents is forbidden for list"),
        ("limit=x", 400, "limit: Invalid value"),
        ("continue=zzz", 400, "continue key is not valid"),
        ("resourceVersion=99999999", 504, "Too large resource version"),
    ] {
        delete(query).assert_error_contains(code, expected);
        assert_eq!(remaining(&server), ["a", "b", "c"], "{query}");
    }
    let first = delete("limit=1").json();
    assert_eq!((names(&first), remaining(&server)), (vec!["a".into()], vec!["b".into(), "c".into()]));
    let next = first["metadata"]["continue"].as_str().expect("a token");
    let second = delete(&format!("limit=1&continue={next}")).json();
    assert_eq!((names(&second), remaining(&server)), (vec!["b".into()], vec!["c".into()]));
    assert_eq!((names(&delete("").json()).len(), remaining(&server).len()), (3, 0));
}

#[test]
fn eviction_must_name_its_pod() {
    let server = with_pods(&["a", "b"]);
    let evict = |name: &str, eviction: Value| {
        server.send("POST", &format!("{PODS}/{name}/eviction"), JSON, &eviction.to_string())
    };
    let mismatch = "name in URL does not match name in Eviction object";
    for (version, metadata, expected) in [
        ("policy/v1", json!({}), mismatch),
        ("policy/v1", json!({"name": "b"}), mismatch),
        (
            "policy/v1",
            json!({"name": "a", "namespace": "other"}),
            "the namespace of the provided object does not match the namespace sent on the request",
        ),
        ("policy/v2", json!({"name": "a"}), "Eviction"),
    ] {
        let eviction = json!({"kind": "Eviction", "apiVersion": version, "metadata": metadata});
        evict("a", eviction).assert_error_contains(400, expected);
    }
    assert_eq!(remaining(&server), ["a", "b"]);
    for (version, name) in [("policy/v1", "a"), ("policy/v1beta1", "b")] {
        let metadata = json!({"name": name, "namespace": "default"});
        let evicted = evict(name, json!({"kind": "Eviction", "apiVersion": version, "metadata": metadata}));
        assert_eq!(evicted.code, 201, "{version}: {}", evicted.text());
    }
    assert!(remaining(&server).is_empty());
}

#[test]
fn reads_check_and_watches_await_the_requested_revision() {
    let server = with_pods(&["a"]);
    let revision = server.get(PODS).json()["metadata"]["resourceVersion"].clone();
    let revision: u64 = revision.as_str().and_then(|text| text.parse().ok()).expect("a revision");
    let one = |version: &str| server.get(&format!("{PODS}/a?resourceVersion={version}"));
    for version in ["0".to_string(), revision.to_string()] {
        assert_eq!(one(&version).code, 200, "{version}");
    }
    one("99999999").assert_error_contains(504, "Timeout: Too large resource version: 99999999, current: ");
    one("abc").assert_error_contains(400, "resourceVersion: Invalid value: \"abc\"");

    let (from, label) = (revision + 2, "application/merge-patch+json");
    let path = format!("{PODS}?watch=1&timeoutSeconds=10&resourceVersion={from}");
    let mut watch = BufReader::new(server.open("GET", &path, ""));
    // The response begins once the revision exists.
    for n in 1..=3 {
        let body = json!({"metadata": {"labels": {"n": n.to_string()}}}).to_string();
        assert_eq!(server.send("PATCH", &format!("{PODS}/a"), label, &body).code, 200);
    }
    watch.get_ref().set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    let mut line = String::new();
    watch.read_line(&mut line).expect("a status");
    assert!(line.contains("200"), "{line}");
    let event = loop {
        line.clear();
        assert_ne!(watch.read_line(&mut line).expect("an event in time"), 0, "the watch ended");
        if line.starts_with("{\"type\"") {
            break serde_json::from_str::<Value>(&line).expect("an event");
        }
    };
    assert_eq!(event["object"]["metadata"]["labels"]["n"], "3", "{event}");
    let future = server.get(&format!("{PODS}?watch=1&timeoutSeconds=10&resourceVersion=99999999"));
    future.assert_error_contains(504, "Timeout: Too large resource version: 99999999, current: ");
}

#[test]
fn duplicate_owner_references_are_dropped_with_a_warning() {
    let server = with_pods(&[]);
    let owner = |name: &str| json!({"apiVersion": "v1", "kind": "Pod", "name": name, "uid": "u"});
    let owners = json!([owner("o"), owner("o"), owner("p"), owner("o")]);
    let metadata = json!({"name": "a", "ownerReferences": owners});
    let pod = json!({"metadata": metadata, "spec": {"containers": [{"name": "c", "image": "x"}]}});
    let created = server.send("POST", PODS, JSON, &pod.to_string());
    let duplicates = "please fix your requests; duplicate UID(s) observed: u, u\"";
    let warning = |response: &Response| response.headers.get("warning").cloned().unwrap_or_default();
    let header = warning(&created);
    assert!(header.starts_with("299 - \".metadata.ownerReferences contains duplicate entries; API"), "{header}");
    assert!(header.ends_with(duplicates), "{header}");
    let patch = json!({"metadata": {"ownerReferences": owners}}).to_string();
    let patched = server.send("PATCH", &format!("{PODS}/a"), "application/merge-patch+json", &patch);
    let header = warning(&patched);
    assert!(header.contains("contains duplicate entries after mutating admission happens; API"), "{header}");
    for response in [created, patched] {
        assert_eq!(
            response.json()["metadata"]["ownerReferences"],
            json!([owner("o"), owner("p")]),
            "{}",
            response.text()
        );
    }
}
