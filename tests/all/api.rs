//! The Kubernetes API over HTTP: the responses that a real API server recorded, and clients that misbehave.

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::api_server::{ApiServer, Response, watch_events};
use crate::support::test_file;

/// Rows about a feature that is not supported yet: the deletion of namespaces.
const NOT_SERVED: [&str; 1] = ["ns-delete-default"];

/// Rows whose codes differ on purpose: an invalid revision is an error of the request (400), not of the server (500).
const DEVIATIONS: [(&str, u16); 2] = [("watch-rv-bad", 400), ("put-bad-rv", 400)];

#[test]
fn responses_match_a_recorded_api_server() {
    let server = ApiServer::start();
    ["ns", "other"].into_iter().for_each(|name| server.create_namespace(name));
    let spec = "spec: {nodeName: ghost, containers: [{name: c, image: x}]}";
    for (name, labels) in [("a", "{app: x, tier: f}"), ("b", "{app: x}"), ("c", "{app: y}")] {
        server.create_pod(&format!("{{metadata: {{name: {name}, namespace: ns, labels: {labels}}}, {spec}}}"));
    }
    let two = "{metadata: {name: two, namespace: other}, spec: {nodeName: ghost, initContainers: [{name: i, image: x}],
        containers: [{name: c, image: x}, {name: d, image: x}]}}";
    server.create_pod(two);
    let text = std::fs::read_to_string(test_file("golden/requests-1.36.json")).expect("golden data");
    let rows: Vec<Value> = serde_json::from_str(&text.replace("NS", "ns")).expect("golden data");
    let mut wrong = Vec::new();
    let mut compared = 0;
    for row in &rows {
        let name = row["name"].as_str().unwrap_or_default();
        if NOT_SERVED.contains(&name) {
            continue;
        }
        let mut path = row["request"]["path"].as_str().unwrap_or_default().to_string();
        if path.contains("/pods/two/") {
            path = path.replace("/ns/", "/other/");
        }
        let accept = row["request"]["accept"].as_str().map(|a| format!("Accept: {a}\r\n")).unwrap_or_default();
        let method = row["request"]["method"].as_str().unwrap_or_default();
        let response = match (row["request"]["content_type"].as_str(), &row["request"]["body"]) {
            (Some(content), Value::String(text)) => server.send(method, &path, content, text),
            (Some(content), body) => server.send(method, &path, content, &body.to_string()),
            (None, _) => server.request(method, &path, &accept),
        };
        compared += 1;
        if let Some((_, code)) = DEVIATIONS.iter().find(|(known, _)| *known == name) {
            assert_eq!(response.code, *code, "{name}: {}", response.text());
            continue;
        }
        if let Some(fault) = difference(row, &response) {
            wrong.push(format!(
                "{name}: {path}\n  {fault}\n  {}",
                response.text().chars().take(400).collect::<String>()
            ));
        }
    }
    assert!(wrong.is_empty(), "{} of {compared} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(compared > 60, "{compared} rows");
}

/// Returns how a response differs from the recorded one.
fn difference(row: &Value, response: &Response) -> Option<String> {
    if row["code"] != response.code {
        return Some(format!("code {} instead of {}", response.code, row["code"]));
    }
    let content = response.headers.get("content-type").cloned().unwrap_or_default();
    if row["content_type"] != content.as_str() {
        return Some(format!("content type {content}"));
    }
    if let Some(retry) = row["headers"]["Retry-After"].as_str()
        && response.headers.get("retry-after").map(String::as_str) != Some(retry)
    {
        return Some("no Retry-After".into());
    }
    if response.headers.get("warning").map(String::as_str) != row["headers"]["Warning"].as_str() {
        return Some(format!("warnings {:?}", response.headers.get("warning")));
    }
    if let Some(kind) = row["object"]["kind"].as_str() {
        let got = response.json();
        let same = got["kind"] == kind && got["metadata"]["name"] == row["object"]["name"];
        return (!same).then(|| format!("wanted {}", row["object"]));
    }
    if row["status"].is_object() {
        let got = response.json();
        // Messages contain the server's current revision and UIDs.
        let words = |value: &Value| {
            let message = value["message"].as_str()?.split(", current:").next()?.to_string();
            let uid = message.split_once("in record (").and_then(|(_, rest)| rest.split_once(')'));
            Some(uid.map_or(message.clone(), |(uid, _)| message.replace(uid, "UID")))
        };
        let same = words(&row["status"]) == words(&got) && row["status"]["reason"] == got["reason"];
        let details = row["status"]["details"] == got["details"];
        return (!same || !details).then(|| format!("wanted {}", row["status"]));
    }
    if let Some(list) = row["list"].as_object() {
        let got = response.json();
        let names: Vec<&Value> =
            got["items"].as_array().into_iter().flatten().map(|o| &o["metadata"]["name"]).collect();
        let wanted: Vec<&Value> = list["names"].as_array().into_iter().flatten().collect();
        let more = got["metadata"]["continue"].as_str().is_some_and(|token| !token.is_empty());
        let same = names == wanted
            && got["kind"] == list["kind"]
            && list["has_continue"] == more
            && got["metadata"]["remainingItemCount"] == list["remaining"];
        return (!same).then(|| format!("wanted {:?}", row["list"]));
    }
    if let Some(rows) = row["table_rows"].as_u64() {
        let got = response.json()["rows"].as_array().map_or(0, Vec::len) as u64;
        return (rows != got).then(|| format!("wanted {rows} rows"));
    }
    match row["text"].as_str() {
        Some(text) if !text.starts_with(['{', '(']) && text != response.text() => Some(format!("wanted {text}")),
        _ => None,
    }
}

#[test]
fn watch_sends_initial_events_a_bookmark_and_changes() {
    let server = ApiServer::start();
    server.create_pod("{metadata: {name: a}, spec: {nodeName: ghost, containers: [{name: c, image: x}]}}");
    let path = "/api/v1/namespaces/default/pods?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan\
                &allowWatchBookmarks=true";
    let mut events = watch_events(server.open("GET", path, ""));
    let first = events.next().expect("the initial event");
    assert_eq!((&first["type"], &first["object"]["metadata"]["name"]), (&"ADDED".into(), &"a".into()));
    let mark = events.next().expect("the bookmark");
    assert_eq!(mark["type"], "BOOKMARK");
    assert_eq!(mark["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    server.create_pod("{metadata: {name: b}, spec: {nodeName: ghost, containers: [{name: c, image: x}]}}");
    let next = events.next().expect("the next event");
    assert_eq!((&next["type"], &next["object"]["metadata"]["name"]), (&"ADDED".into(), &"b".into()));
}

#[test]
fn paginated_list_is_complete() {
    let server = ApiServer::start();
    for i in 0..7 {
        server.create_pod(&format!("{{metadata: {{name: p{i}}}, spec: {{containers: [{{name: c, image: x}}]}}}}"));
    }
    let (mut names, mut token) = (Vec::new(), String::new());
    loop {
        let part = server.get(&format!("/api/v1/pods?limit=3&continue={token}")).json();
        names.extend(part["items"].as_array().into_iter().flatten().map(|o| o["metadata"]["name"].clone()));
        match part["metadata"]["continue"].as_str() {
            Some(next) => token = next.into(),
            None => break,
        }
    }
    assert_eq!(names, ["p0", "p1", "p2", "p3", "p4", "p5", "p6"]);
}

#[test]
fn requests_need_the_token_and_a_known_host_name() {
    let server = ApiServer::start();
    let ask = |head: &str| {
        let mut stream = server.connect();
        stream.write_all(head.as_bytes()).expect("sent");
        Response::read(stream)
    };
    let address = server.address;
    let without = ask(&format!("GET /api/v1/pods HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"));
    assert_eq!((without.code, &without.json()["reason"]), (401, &"Unauthorized".into()));
    let token = &server.token;
    let foreign = ask(&format!(
        "GET /api/v1/pods HTTP/1.1\r\nHost: evil.example\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    ));
    assert_eq!((foreign.code, &foreign.json()["reason"]), (403, &"Forbidden".into()));
    let health = ask(&format!("GET /livez HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"));
    assert_eq!((health.code, health.text().as_str()), (200, "ok"));
}

#[test]
fn objects_are_served_as_yaml_and_partial_metadata() {
    let server = ApiServer::start();
    server.create_pod("{metadata: {name: a, labels: {x: 'true'}}, spec: {containers: [{name: c, image: x}]}}");
    let yaml = server.request("GET", "/api/v1/namespaces/default/pods/a", "Accept: application/yaml\r\n");
    assert_eq!(yaml.headers["content-type"], "application/yaml");
    let read: Value = serde_yaml::from_str(&yaml.text()).expect("YAML");
    assert_eq!(read["metadata"]["labels"]["x"], "true");
    let partial = "Accept: application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1\r\n";
    let list = server.request("GET", "/api/v1/pods", partial).json();
    assert_eq!(list["kind"], "PartialObjectMetadataList");
    assert!(list["items"][0]["spec"].is_null() && list["items"][0]["metadata"]["name"] == "a");
}

#[test]
fn bad_clients_do_not_delay_others() {
    let server = ApiServer::start();
    server.create_pod("{metadata: {name: a}, spec: {containers: [{name: c, image: x}]}}");
    // Half a request head, half a TLS handshake, nothing, garbage: each holds only its connection.
    let openings: [&[u8]; 4] = [b"GET /api/v1/pods HTTP/1.1\r\nHos", b"\x16\x03\x01", b"", b"\x00\xff\xfe\r\n\r\n"];
    let mut idle = Vec::new();
    for i in 0..200 {
        let mut stream = server.connect();
        stream.write_all(openings[i % openings.len()]).expect("sent");
        idle.push(stream);
    }
    let long = server.get(&format!("/api/v1/pods?labelSelector={}", "a".repeat(200_000)));
    assert!((400..500).contains(&long.code), "{}", long.code);
    let start = Instant::now();
    assert_eq!(server.get("/api/v1/pods").json()["items"].as_array().map(Vec::len), Some(1));
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

#[test]
fn stalled_watchers_delay_no_one_and_use_little_memory() {
    const WATCHERS: usize = 1000;
    let server = ApiServer::start();
    let resident = || {
        let text = std::fs::read_to_string("/proc/self/statm").expect("statm");
        text.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).expect("pages") * 4
    };
    let watch = "/api/v1/pods?watch=1&resourceVersion=0";
    let stalled: Vec<TcpStream> = (0..WATCHERS).map(|_| server.open("GET", watch, "")).collect();
    let mut reading = watch_events(server.open("GET", watch, ""));
    server.create_pod("{metadata: {name: p0}, spec: {containers: [{name: c, image: x}]}}");
    assert_eq!(reading.next().expect("an event")["object"]["metadata"]["name"], "p0");
    let before = resident();
    for i in 1..300 {
        server.create_pod(&format!("{{metadata: {{name: p{i}}}, spec: {{containers: [{{name: c, image: x}}]}}}}"));
        assert_eq!(reading.next().expect("an event")["object"]["metadata"]["name"], format!("p{i}"));
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < WATCHERS * 256, "{grown} KiB more for {WATCHERS} watchers that read nothing");
    stalled.iter().for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
    assert_eq!(server.get("/readyz").code, 200);
}
