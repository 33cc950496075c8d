//! Objects, lists, watch events and statuses as protobuf, against the bytes that a Kubernetes 1.36 API server sent
//! (`tests/golden`).
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use k8s_openapi::ByteString;
use serde_json::{Value, json};
use wasmpod_model::protobuf::{
    EncodeError, Envelope, ListEncoder, encode_list, encode_object, encode_watch_event, frame_watch_event, has_schema,
};

const GOLDEN: &str = include_str!("../../../tests/golden/protobuf-1.36.json");

fn golden(what: &str) -> Vec<Value> {
    let all: Vec<Value> = serde_json::from_str(GOLDEN).expect("golden cases");
    all.into_iter().filter(|case| case["what"] == what).collect()
}

fn bytes(case: &Value, key: &str) -> Vec<u8> {
    serde_json::from_value::<ByteString>(case[key].clone()).expect("base64").0
}

/// Returns the bytes that the server sent for the answer called `name`.
fn answer(name: &str) -> Vec<u8> {
    let cases = golden("answer");
    bytes(cases.iter().find(|case| case["name"] == name).expect(name), "bytes")
}

fn encode(version: &str, kind: &str, json: &str) -> Vec<u8> {
    let mut out = Vec::new();
    encode_object(version, kind, json.as_bytes(), &mut out).expect(json);
    out
}

fn encode_value(object: &Value) -> Vec<u8> {
    let word = |key: &str| object[key].as_str().unwrap_or_default();
    encode(word("apiVersion"), word("kind"), &object.to_string())
}

fn decode(body: &[u8]) -> Value {
    serde_json::from_str(&Envelope::read(body).expect("an envelope").to_json().expect("an object")).expect("JSON")
}

/// Fails with both as text, in which differences are found more easily.
#[track_caller]
fn assert_same(encoded: &[u8], want: &[u8], name: &str) {
    assert!(encoded == want, "{name}:\n{}\n{}", encoded.escape_ascii(), want.escape_ascii());
}

/// Returns the text of `object` with its keys in reverse order.
fn reversed(object: &Value) -> String {
    match object {
        Value::Object(fields) => {
            let fields = fields.iter().rev().map(|(key, value)| match key.as_str() {
                // Its text is copied.
                "fieldsV1" => format!("{}:{value}", json!(key)),
                _ => format!("{} :\n{}", json!(key), reversed(value)),
            });
            format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(reversed).collect::<Vec<_>>().join(" ,")),
        scalar => scalar.to_string(),
    }
}

#[test]
fn stored_objects_have_the_bytes_of_the_server() {
    let cases = golden("stored");
    assert_eq!(cases.len(), 27);
    for case in cases {
        let (version, kind) = case["name"].as_str().expect("a name").split_once(' ').expect("two words");
        let want = bytes(&case, "protobuf");
        for mut text in [case["json"].to_string(), reversed(&case["json"])] {
            if kind == "ControllerRevision" {
                // The server keeps the text that the client has sent.
                let data = r#""data": {"spec": {"template": {"a": [1, 2.5, null, true]}}}"#;
                text = case["json"].to_string().replace(&format!(r#""data":{}"#, case["json"]["data"]), data);
            }
            assert_same(&encode(version, kind, &text), &want, kind);
        }
    }
}

#[test]
fn bodies_of_kubectl_keep_their_bytes() {
    for case in golden("sent") {
        let want = bytes(&case, "protobuf");
        assert_same(&encode_value(&decode(&want)), &want, &case["command"].to_string());
    }
}

#[test]
fn statuses_have_the_bytes_of_the_server() {
    let not_found = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "configmaps \"nope\" not found", "reason": "NotFound",
        "details": {"name": "nope", "kind": "configmaps"}, "code": 404,
    });
    assert_same(&encode_value(&not_found), &answer("not-found"), "not-found");
    let deleted = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
        "details": {"name": "c1", "kind": "configmaps", "uid": decode(&answer("delete-status"))["details"]["uid"]},
    });
    assert_same(&encode_value(&deleted), &answer("delete-status"), "delete-status");
}

#[test]
fn every_answer_keeps_its_bytes() {
    let bodies: Vec<_> = golden("answer").iter().map(|case| bytes(case, "bytes")).collect();
    let bodies: Vec<_> = bodies.iter().filter(|body| body.starts_with(b"k8s\0")).collect();
    assert!(bodies.len() >= 6, "{}", bodies.len());
    for want in bodies {
        let object = decode(want);
        assert_same(&encode_value(&object), want, &object.to_string());
    }
}

#[test]
fn lists_are_written_item_by_item() {
    let want = answer("partial");
    let list = decode(&want);
    let items: Vec<String> = list["items"].as_array().expect("items").iter().map(Value::to_string).collect();
    assert!(items.len() > 1);
    let metadata = list["metadata"].to_string();
    let (version, kind) = ("meta.k8s.io/v1", "PartialObjectMetadataList");
    let items: Vec<&[u8]> = items.iter().map(|item| item.as_bytes()).collect();
    let encoded = encode_list(version, kind, metadata.as_bytes(), items.iter().copied()).expect("a list");
    assert_same(&encoded, &want, "list");

    let mut partly = ListEncoder::new(version, kind, metadata.as_bytes(), b"before".to_vec()).expect("a list");
    for item in &items {
        partly.push(b"{\"metadata\": {\"labels\": {\"a\": \"b\"}, \"name\": 1}}").expect_err("no name");
        partly.push(item).expect("an item");
    }
    assert_same(&partly.finish(), &[b"before", &want[..]].concat(), "list");

    let mut copied = ListEncoder::new(version, kind, metadata.as_bytes(), Vec::new()).expect("a list");
    for item in list["items"].as_array().expect("items") {
        let envelope = encode(version, "PartialObjectMetadata", &item.to_string());
        copied.push_encoded(&envelope).expect("an envelope");
    }
    assert_same(&copied.finish(), &want, "list");
}

#[test]
fn watch_events_have_the_frames_of_the_server() {
    let (mut rest, mut names) = (&answer("watch")[..], Vec::new());
    while let Some((length, frame)) = rest.split_first_chunk::<4>() {
        let (event, next) = frame.split_at(u32::from_be_bytes(*length) as usize);
        let want = &rest[..4 + event.len()];
        let at = event.windows(4).position(|bytes| bytes == b"k8s\0").expect("an envelope");
        let event_type = std::str::from_utf8(&event[2..2 + usize::from(event[1])]).expect("a type");
        let object = decode(&event[at..]);
        names.push(object["metadata"]["name"].as_str().expect("a name").to_string());
        let mut encoded = b"before".to_vec();
        encode_watch_event(event_type, "v1", "ConfigMap", object.to_string().as_bytes(), &mut encoded).expect("event");
        assert_same(&encoded, &[b"before", want].concat(), event_type);
        let mut framed = Vec::new();
        frame_watch_event(event_type, &event[at..], &mut framed);
        assert_same(&framed, want, event_type);
        rest = next;
    }
    assert!(names.contains(&"pb-configmap".to_string()), "{names:?}");
}

#[test]
fn values_that_go_writes_specially_are_written_so() {
    let same = |one: Value, other: Value| assert_same(&encode_value(&one), &encode_value(&other), &one.to_string());
    let event = |fields: Value| {
        let mut event = json!({"apiVersion": "v1", "kind": "Event"});
        event.as_object_mut().expect("an object").extend(fields.as_object().expect("fields").clone());
        event
    };
    same(event(json!({"eventTime": null, "count": 0})), event(json!({})));
    same(event(json!({"firstTimestamp": "0001-01-01T00:00:00Z"})), event(json!({})));
    same(
        event(json!({"firstTimestamp": "2026-01-01T00:00:00.9Z", "eventTime": "2026-01-01T02:00:00.1234567+02:00"})),
        event(json!({"firstTimestamp": "2026-01-01T00:00:00Z", "eventTime": "2026-01-01T00:00:00.123456Z"})),
    );
    let early = decode(&encode_value(&event(json!({"eventTime": "1969-12-31T23:59:59.500000Z"}))));
    assert_eq!(early["eventTime"], "1969-12-31T23:59:59.500000Z");
    let map = |data: &str| encode("v1", "ConfigMap", &format!("{{\"data\": {data}}}"));
    assert_same(&map(r#"{"b": "1", "a": null, "\u0062": "2", "a": ""}"#), &map(r#"{"a": "", "b": "2"}"#), "map");
    assert_same(&map("null"), &map("{}"), "map");
    let list = |finalizers: &str| encode("v1", "Pod", &format!("{{\"metadata\": {{\"finalizers\": {finalizers}}}}}"));
    assert_same(&list("[null]"), &list("[\"\"]"), "list");
    assert_same(&list("[]"), &list("null"), "list");
}

#[test]
fn errors_leave_the_buffer_as_it_was() {
    for (kind, json) in [
        ("Pod", r#"{"spec": {"containers": [{"name": 1}]}}"#),
        ("Pod", r#"{"spec": {"priority": 3000000000}}"#),
        ("Pod", r#"{"spec": {"priority": 1.5}}"#),
        ("Pod", r#"{"spec": []}"#),
        ("Pod", r#"{"metadata": {"labels": []}}"#),
        ("Pod", r#"{"metadata": {"creationTimestamp": "yesterday"}}"#),
        ("Pod", r#"{"metadata": {"name": "a"}"#),
        ("Pod", r#"{"metadata": {"name": "a"}} x"#),
        ("Pod", "[]"),
        ("Pod", ""),
        ("Secret", r#"{"data": {"a": "?"}}"#),
    ] {
        let mut out = b"before".to_vec();
        let error = encode_object("v1", kind, json.as_bytes(), &mut out).expect_err(json);
        assert!(matches!(error, EncodeError::InvalidJson(_)), "{json}: {error}");
        assert_eq!(out, b"before", "{json}");
    }
    let unknown = encode_object("example.com/v1", "Custom", b"{}", &mut Vec::new()).expect_err("unknown");
    assert_eq!(unknown.to_string(), "Custom of example.com/v1 has no protobuf form");
    assert!(matches!(encode_object("v1", "Pod", b"\"\xff", &mut Vec::new()), Err(EncodeError::InvalidUtf8(_))));
    assert!(matches!(encode_list("v1", "Pod", b"{}", []), Err(EncodeError::UnknownKind { .. })));
}

#[test]
fn kinds_with_protobuf_are_known() {
    for (version, kind) in [("v1", "Pod"), ("v1", "PodList"), ("v1", "Status"), ("batch/v1", "CronJobList")] {
        assert!(has_schema(version, kind), "{kind}");
    }
    for (version, kind) in [("meta.k8s.io/v1", "Table"), ("apps/v1", "Pod"), ("v1", "Container")] {
        assert!(!has_schema(version, kind), "{kind}");
    }
}

#[test]
fn unknown_fields_of_the_json_are_ignored() {
    let known = encode("v1", "ConfigMap", r#"{"metadata": {"name": "a"}}"#);
    let more = encode("v1", "ConfigMap", r#"{"x": {"y": [1]}, "metadata": {"z": "", "name": "a"}, "kind": "k"}"#);
    assert_same(&more, &known, "ConfigMap");
}

#[test]
fn deeply_nested_json_is_refused_or_copied() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let json = format!(r#"{{"spec": {}}}"#, nested(100_000));
    assert!(encode_object("v1", "Pod", json.as_bytes(), &mut Vec::new()).is_err());
    let json = format!(r#"{{"data": {}, "unknown": {}}}"#, nested(100_000), nested(100_000));
    encode_object("apps/v1", "ControllerRevision", json.as_bytes(), &mut Vec::new()).expect("raw JSON");
}

/// Objects of all kinds as a server answered with them.
const RECORDED: [&str; 4] = [
    include_str!("../../../tests/golden/api-1.36.json"),
    include_str!("../../../tests/golden/requests-workloads-1.36.json"),
    include_str!("../../../tests/golden/tables-workloads-1.36.json"),
    include_str!("../../../tests/golden/workloads-1.36.json"),
];

/// Collects the values of all fields called `object` that are objects of Kubernetes.
fn collect_objects(value: &Value, objects: &mut Vec<Value>) {
    match value {
        Value::Object(fields) => {
            objects.extend(fields.get("object").filter(|object| object["apiVersion"].is_string()).cloned());
            fields.values().for_each(|value| collect_objects(value, objects));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_objects(item, objects)),
        _ => {}
    }
}

/// Replaces what the recordings do not show: cluster IPs and times.
fn replace_placeholders(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| value != "ALLOCATED");
            fields.values_mut().for_each(replace_placeholders);
        }
        Value::Array(items) => items.iter_mut().for_each(replace_placeholders),
        value if value == "TIME" => *value = "2026-01-01T00:00:00Z".into(),
        _ => {}
    }
}

#[test]
fn recorded_objects_of_all_kinds_survive_the_round_trip() {
    let mut objects = Vec::new();
    for text in RECORDED {
        collect_objects(&serde_json::from_str(text).expect("JSON"), &mut objects);
    }
    objects.iter_mut().for_each(replace_placeholders);
    let mut kinds = BTreeSet::new();
    for object in &mut objects {
        kinds.insert(object["kind"].to_string());
        let decoded = decode(&encode_value(object));
        // Nested objects have no version and kind in protobuf; a server adds them to claim templates when it reads them.
        let templates = object.pointer_mut("/spec/volumeClaimTemplates").and_then(Value::as_array_mut);
        for template in templates.into_iter().flatten() {
            let fields = template.as_object_mut().expect("an object");
            assert_eq!((fields.remove("apiVersion"), fields.remove("kind")).0, Some("v1".into()));
        }
        assert_eq!(&decoded, object);
    }
    assert!(objects.len() > 150 && kinds.len() > 30, "{} objects of {kinds:?}", objects.len());
}

#[test]
fn reviews_and_options_survive_the_round_trip() {
    let user = json!({"username": "u", "uid": "1", "groups": ["g"], "extra": {"scopes": ["a", "b"]}});
    for (version, kind, fields) in [
        (
            "v1",
            "DeleteOptions",
            json!({
                "gracePeriodSeconds": 0, "preconditions": {"uid": "1"}, "propagationPolicy": "Orphan", "dryRun": ["All"],
            }),
        ),
        ("policy/v1", "Eviction", json!({"metadata": {"name": "p"}, "deleteOptions": {"gracePeriodSeconds": 5}})),
        ("v1", "Binding", json!({"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n"}})),
        (
            "autoscaling/v1",
            "Scale",
            json!({
                "metadata": {"name": "s"}, "spec": {"replicas": 2}, "status": {"replicas": 0, "selector": "a=b"},
            }),
        ),
        (
            "authentication.k8s.io/v1",
            "TokenRequest",
            json!({
                "metadata": {}, "spec": {
                    "audiences": ["a"], "expirationSeconds": 600,
                    "boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "p", "uid": "1"},
                },
                "status": {"token": "t", "expirationTimestamp": "2026-01-01T00:00:00Z"},
            }),
        ),
        (
            "authentication.k8s.io/v1",
            "TokenReview",
            json!({
                "metadata": {}, "spec": {"token": "t"}, "status": {"authenticated": true, "user": user},
            }),
        ),
        ("authentication.k8s.io/v1", "SelfSubjectReview", json!({"metadata": {}, "status": {"userInfo": user}})),
        (
            "authorization.k8s.io/v1",
            "SubjectAccessReview",
            json!({
                "metadata": {}, "spec": {
                    "nonResourceAttributes": {"path": "/", "verb": "get"}, "user": "u", "groups": ["g"],
                    "extra": {"k": []},
                },
                "status": {"allowed": false, "denied": true, "reason": "r"},
            }),
        ),
        (
            "authorization.k8s.io/v1",
            "SelfSubjectAccessReview",
            json!({
                "metadata": {}, "spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}},
                "status": {"allowed": true},
            }),
        ),
        (
            "authorization.k8s.io/v1",
            "SelfSubjectRulesReview",
            json!({
                "metadata": {}, "spec": {"namespace": "ns"}, "status": {
                    "resourceRules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}],
                    "nonResourceRules": [], "incomplete": false,
                },
            }),
        ),
    ] {
        let mut object = fields;
        object["apiVersion"] = version.into();
        object["kind"] = kind.into();
        let mut decoded = decode(&encode_value(&object));
        // An empty list and `null` are the same in protobuf.
        if kind == "SelfSubjectRulesReview" {
            assert_eq!(decoded["status"]["nonResourceRules"].take(), Value::Null);
            decoded["status"]["nonResourceRules"] = json!([]);
        }
        assert_eq!(decoded, object);
    }
}

#[test]
fn lists_of_every_kind_are_read() {
    for (version, kind) in [("v1", "Pod"), ("apps/v1", "Deployment"), ("events.k8s.io/v1", "Event")] {
        let item = format!(r#"{{"metadata": {{"name": "{kind}"}}}}"#);
        let list = format!("{kind}List");
        let metadata = br#"{"resourceVersion": "7", "continue": "c", "remainingItemCount": 0}"#;
        let body = encode_list(version, &list, metadata, [item.as_bytes(), item.as_bytes()]).expect("a list");
        let decoded = decode(&body);
        assert_eq!(decoded["kind"], list);
        assert_eq!(decoded["metadata"], serde_json::from_slice::<Value>(metadata).expect("JSON"));
        assert_eq!(decoded["items"][1]["metadata"]["name"], kind);
    }
}
