//! What HTTP adds to responses: their encodings, entity tags, compression and indentation.

use std::io::Read;

use axum::http::header;
use axum::response::Response;
use k8s_openapi::ByteString;
use serde_json::{Value, json};

use super::compression::MIN_COMPRESSED_BYTES;
use super::indentation::indent;
use super::test_server::{TestServer, collect};
use crate::model::protobuf::Envelope;

const JSON: &str = "application/json";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
const CONFIG_MAPS: &str = "/api/v1/namespaces/pb/configmaps";

// ---------------------------------------------------------------- protobuf

fn golden_answers() -> Vec<Value> {
    let golden: Vec<Value> =
        serde_json::from_str(include_str!("../../tests/golden/protobuf-1.36.json")).expect("golden data");
    golden.into_iter().filter(|case| case["what"] == "answer").collect()
}

fn recorded_body(case: &Value) -> Vec<u8> {
    let ByteString(body) = serde_json::from_value(case["bytes"].clone()).expect("base64");
    body
}

/// Removes what the server decides: identities, revisions, times and field managers.
fn remove_server_fields(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for field in ["uid", "resourceVersion", "creationTimestamp", "managedFields"] {
                fields.remove(field);
            }
            fields.values_mut().for_each(remove_server_fields);
        }
        Value::Array(items) => items.iter_mut().for_each(remove_server_fields),
        _ => {}
    }
}

fn decoded_envelope(body: &[u8]) -> Value {
    let envelope = Envelope::read(body).expect("an envelope");
    let mut object = serde_json::from_str(&envelope.to_json().expect("an object")).expect("JSON");
    remove_server_fields(&mut object);
    json!({"version": envelope.api_version, "kind": envelope.kind, "object": object})
}

/// Returns the objects in the frames of a watch, of which all are additions.
fn added_objects(mut frames: &[u8]) -> Vec<Value> {
    let mut objects = Vec::new();
    while let Some((length, rest)) = frames.split_first_chunk::<4>() {
        let (frame, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
        assert!(frame.starts_with(b"\x0a\x05ADDED"), "{frame:?}");
        let envelope = frame.windows(4).position(|bytes| bytes == b"k8s\0").expect("an envelope");
        objects.push(decoded_envelope(&frame[envelope..]));
        frames = rest;
    }
    objects
}

/// Checks that a document of discovery has only resources of the recorded one, of which some are compared as a whole.
fn assert_same_resources(actual: &[u8], recorded: &[u8]) {
    let (actual, recorded) = (decoded_envelope(actual), decoded_envelope(recorded));
    assert_eq!((&actual["version"], &actual["kind"]), (&recorded["version"], &recorded["kind"]));
    let named = |document: &Value, name: &Value| {
        let resources = document["object"]["resources"].as_array().expect("resources");
        resources.iter().find(|resource| resource["name"] == *name).cloned()
    };
    for resource in actual["object"]["resources"].as_array().expect("resources") {
        assert!(named(&recorded, &resource["name"]).is_some(), "{resource}");
    }
    for name in ["pods", "configmaps", "pods/log", "pods/eviction"] {
        assert_eq!(named(&actual, &name.into()), named(&recorded, &name.into()), "{name}");
    }
}

async fn server_with_recorded_objects(cases: &[Value]) -> TestServer {
    let server = TestServer::start();
    let namespace = json!({"metadata": {"name": "pb"}});
    assert_eq!(server.write("POST", "/api/v1/namespaces", JSON, namespace).await.0, 201);
    let watches = cases.iter().filter(|case| case["name"].as_str().is_some_and(|name| name.starts_with("watch")));
    for event in watches.flat_map(|case| added_objects(&recorded_body(case))) {
        let plural = if event["kind"] == "Secret" { "secrets" } else { "configmaps" };
        let path = format!("/api/v1/namespaces/pb/{plural}");
        assert_eq!(server.write("POST", &path, JSON, event["object"].clone()).await.0, 201);
    }
    server
}

#[tokio::test(start_paused = true)]
async fn protobuf_answers_are_those_of_a_recorded_server() {
    let cases = golden_answers();
    assert_eq!(cases.len(), 9);
    let server = server_with_recorded_objects(&cases).await;
    for case in cases {
        let (name, request) = (case["name"].as_str().expect("a name"), &case["request"]);
        let text = |field: &str| request[field].as_str().expect(field).to_string();
        let (path, accept) = (text("path").replace("NS", "pb"), text("accept"));
        let response = server.respond(&text("method"), &path, &[("Accept", &accept)], String::new()).await;
        assert_eq!(response.status().as_u16(), case["code"], "{name}");
        assert_eq!(header_of(&response, header::CONTENT_TYPE), case["content_type"], "{name}");
        let (body, recorded) = (collect(response.into_body()).await, recorded_body(&case));
        match name {
            "watch" | "watch-plain-accept" => assert_eq!(added_objects(&body), added_objects(&recorded), "{name}"),
            "discovery" => assert_same_resources(&body, &recorded),
            "partial" | "fallback-order" | "delete-status" => {
                assert_eq!(decoded_envelope(&body), decoded_envelope(&recorded), "{name}");
            }
            _ => assert_eq!(body.escape_ascii().to_string(), recorded.escape_ascii().to_string(), "{name}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn discovery_documents_have_a_protobuf_form() {
    let server = TestServer::start();
    for (path, version, kind) in [
        ("/api", "", "APIVersions"),
        ("/apis", "v1", "APIGroupList"),
        ("/apis/apps", "v1", "APIGroup"),
        ("/apis/apps/v1", "v1", "APIResourceList"),
    ] {
        let body = server.bytes(path, PROTOBUF).await;
        let envelope = Envelope::read(&body).expect("an envelope");
        assert_eq!((envelope.api_version, envelope.kind), (version, kind), "{path}");
        let mut expected = server.get(path, JSON).await;
        remove_server_fields(&mut expected);
        let mut decoded = decoded_envelope(&body)["object"].take();
        for document in [&mut expected, &mut decoded] {
            let fields = document.as_object_mut().expect("an object");
            fields.retain(|name, _| !matches!(name.as_str(), "kind" | "apiVersion"));
        }
        for (field, value) in expected.as_object().expect("an object") {
            assert_eq!(decoded[field], *value, "{path} {field}");
        }
    }
}

// ---------------------------------------------------------------- Accept

fn header_of(response: &Response, name: header::HeaderName) -> &str {
    response.headers().get(name).map(|value| value.to_str().expect("text")).unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn unacceptable_media_types_are_rejected() {
    let server = TestServer::start();
    for (path, accept, code) in [
        ("/openapi/v2", "application/foo", 406),
        ("/openapi/v2", "application/com.github.proto-openapi.spec.v2@v1.0+protobuf", 200),
        ("/openapi/v2", "application/foo,*/*", 200),
        ("/openapi/v3/api/v1", "application/com.github.proto-openapi.spec.v3@v1.0+protobuf", 406),
        ("/openapi/v3/api/v1", JSON, 200),
        ("/version", "application/yaml", 406),
        ("/version", "text/html,*/*;q=0.8", 200),
        ("/apis", "text/html", 406),
        ("/apis/apps/v1", "text/html", 406),
        ("/apis/apps/v1", "application/yaml", 200),
    ] {
        let response = server.respond("GET", path, &[("Accept", accept)], String::new()).await;
        assert_eq!(response.status(), code, "{path} {accept}");
    }
}

#[tokio::test(start_paused = true)]
async fn clients_cache_discovery_by_entity_tags() {
    let server = TestServer::start();
    for (path, accept, cache_control) in [
        ("/api", AGGREGATED, "public"),
        ("/apis", AGGREGATED, "public"),
        ("/openapi/v2", JSON, "no-cache, private"),
        ("/openapi/v2", "application/com.github.proto-openapi.spec.v2@v1.0+protobuf", "no-cache, private"),
        ("/openapi/v3/api/v1", JSON, "no-cache, private"),
    ] {
        let first = server.respond("GET", path, &[("Accept", accept)], String::new()).await;
        let tag = header_of(&first, header::ETAG).to_string();
        assert!(first.status() == 200 && tag.len() > 60 && tag.starts_with('"') && tag.ends_with('"'), "{path} {tag}");
        for (known, code) in [(tag.as_str(), 304), (&format!("\"other\", W/{tag}"), 304), ("\"other\"", 200)] {
            let headers = [("Accept", accept), ("If-None-Match", known)];
            let response = server.respond("GET", path, &headers, String::new()).await;
            assert_eq!(response.status(), code, "{path} {known}");
            assert_eq!(header_of(&response, header::ETAG), tag, "{path}");
            assert!(header_of(&response, header::VARY).starts_with("Accept"), "{path}");
            assert_eq!(header_of(&response, header::CACHE_CONTROL), cache_control, "{path}");
            assert_eq!(collect(response.into_body()).await.is_empty(), code == 304, "{path}");
        }
    }
    for path in ["/api", "/apis", "/api/v1", "/apis/apps", "/apis/apps/v1"] {
        let response = server.respond("GET", path, &[("Accept", JSON)], String::new()).await;
        assert_eq!((header_of(&response, header::VARY), header_of(&response, header::ETAG)), ("Accept", ""), "{path}");
    }
}

// ---------------------------------------------------------------- gzip

/// Creates a server with a ConfigMap of at least this many bytes.
async fn server_with_config_map(bytes: usize) -> TestServer {
    let server = TestServer::start();
    server.write("POST", "/api/v1/namespaces", JSON, json!({"metadata": {"name": "pb"}})).await;
    let map = json!({"metadata": {"name": "a"}, "data": {"x": "y".repeat(bytes)}});
    assert_eq!(server.write("POST", CONFIG_MAPS, JSON, map).await.0, 201);
    server
}

#[tokio::test(start_paused = true)]
async fn large_responses_are_compressed_on_request() {
    let server = server_with_config_map(MIN_COMPRESSED_BYTES as usize).await;
    let object = format!("{CONFIG_MAPS}/a");
    for (path, encodings, is_compressed) in [
        (object.as_str(), "gzip", true),
        (CONFIG_MAPS, "gzip, deflate, br", true),
        (CONFIG_MAPS, "identity", false),
        (CONFIG_MAPS, "gzip;q=0", false),
        ("/api/v1/namespaces/pb/configmaps?watch=1&timeoutSeconds=1", "gzip", false),
        ("/api/v1/namespaces/pb", "gzip", false),
    ] {
        let plain = server.respond("GET", path, &[("Accept", JSON)], String::new()).await;
        let (plain_headers, plain) = (plain.headers().clone(), collect(plain.into_body()).await);
        let headers = [("Accept", JSON), ("Accept-Encoding", encodings)];
        let response = server.respond("GET", path, &headers, String::new()).await;
        assert_eq!(header_of(&response, header::CONTENT_ENCODING) == "gzip", is_compressed, "{path} {encodings}");
        let response_headers = response.headers().clone();
        let body = collect(response.into_body()).await;
        if !is_compressed {
            assert_eq!((response_headers, &body), (plain_headers, &plain), "{path} {encodings}");
            continue;
        }
        assert_eq!(response_headers.get(header::VARY).map(|value| value.as_bytes()), Some(&b"accept-encoding"[..]));
        assert!(body.len() < plain.len() / 10, "{} of {} bytes", body.len(), plain.len());
        let mut text = Vec::new();
        flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut text).expect("gzip");
        assert!(text == plain, "{path}");
    }
}

// ---------------------------------------------------------------- pretty

#[tokio::test(start_paused = true)]
async fn people_get_indented_json() {
    let server = server_with_config_map(100_000).await;
    let curl = "curl/8.5.0";
    for (path, agent, is_indented) in [
        ("/api/v1/namespaces/pb/configmaps/a", curl, true),
        ("/api/v1/namespaces/pb/configmaps", curl, true),
        ("/api/v1/namespaces/pb/configmaps?pretty=0", curl, false),
        ("/api/v1/namespaces/pb/configmaps?pretty=true", "kubectl", true),
        ("/api/v1/namespaces/pb/configmaps", "kubectl", false),
        ("/api/v1/namespaces/pb/configmaps?watch=1&timeoutSeconds=1", curl, false),
        ("/api/v1/namespaces/pb/configmaps/missing", curl, true),
        ("/apis/apps/v1", curl, true),
        ("/openapi/v2", curl, false),
    ] {
        let plain = server.respond("GET", path, &[("User-Agent", "test")], String::new()).await;
        let plain = collect(plain.into_body()).await;
        let response = server.respond("GET", path, &[("User-Agent", agent)], String::new()).await;
        assert_eq!(header_of(&response, header::CONTENT_TYPE), JSON, "{path}");
        let body = collect(response.into_body()).await;
        let want = if is_indented { indent(&plain) } else { plain };
        assert!(body == want, "{path} for {agent}");
    }
    // These are indented for every client.
    for path in ["/version", "/"] {
        let body = server.bytes(path, JSON).await;
        assert_eq!(body, indent(&body), "{path}");
        assert!(body.starts_with(b"{\n  \""), "{path}");
    }
}
