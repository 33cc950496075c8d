use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use serde_json::{Value, json};

use super::{Envelope, ProtobufError, decode_protobuf};
use crate::DecodeError;

/// Returns a field with an integer.
fn int(number: u8, value: u64) -> Vec<u8> {
    [varint(u64::from(number) << 3), varint(value)].concat()
}

/// Returns a field with bytes.
fn bytes(number: u8, value: impl AsRef<[u8]>) -> Vec<u8> {
    let value = value.as_ref();
    [&varint(u64::from(number) << 3 | 2), &varint(value.len() as u64), value].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut written = Vec::new();
    while value >= 0x80 {
        written.push(value as u8 | 0x80);
        value >>= 7;
    }
    written.push(value as u8);
    written
}

/// Returns a body with an object.
fn body(version: &str, kind: &str, message: &[u8]) -> Vec<u8> {
    let type_meta = [bytes(1, version), bytes(2, kind)].concat();
    [&b"k8s\0"[..], &bytes(1, type_meta), &bytes(2, message)].concat()
}

/// Returns the fields that a message of this kind has in JSON.
fn read(version: &str, kind: &str, message: &[u8]) -> Result<Value, ProtobufError> {
    let body = body(version, kind, message);
    let mut json: Value = serde_json::from_str(&Envelope::read(&body)?.to_json()?).expect("JSON");
    let fields = json.as_object_mut().expect("an object");
    assert_eq!((fields.remove("apiVersion"), fields.remove("kind")), (Some(version.into()), Some(kind.into())));
    Ok(json)
}

/// Returns the JSON of a container in a pod.
fn container(message: &[u8]) -> Value {
    let pod = read("v1", "Pod", &bytes(2, bytes(2, message))).expect("a pod");
    pod["spec"]["containers"][0].clone()
}

#[test]
fn zero_is_kept_exactly_where_go_keeps_it() {
    let port = [bytes(1, ""), int(2, 0), int(3, 0), bytes(4, "")].concat();
    assert_eq!(container(&bytes(6, port)), json!({"name": "", "ports": [{"containerPort": 0}]}));
    let spec =
        [int(4, 0), int(11, 0), int(21, 0), bytes(29, ""), bytes(14, int(3, 0)), bytes(1, bytes(2, bytes(2, "")))];
    assert_eq!(
        read("v1", "Pod", &bytes(2, spec.concat())),
        Ok(json!({"spec": {
            "containers": null,
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": false,
            "runtimeClassName": "",
            "securityContext": {"runAsNonRoot": false},
            "volumes": [{"name": "", "emptyDir": {}}],
        }}))
    );
}

#[test]
fn inlined_structs_are_part_of_the_object_around_them() {
    let reference = |name: &str| bytes(1, bytes(1, name));
    let key = bytes(3, bytes(4, [reference("s"), bytes(2, "k"), int(3, 0)].concat()));
    let env = [bytes(1, "E"), bytes(2, ""), key].concat();
    assert_eq!(
        container(&bytes(7, env))["env"],
        json!([{"name": "E", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "optional": false}}}])
    );
    let handler = bytes(1, bytes(2, [bytes(1, "/"), bytes(2, [int(1, 1), bytes(3, "web")].concat())].concat()));
    let probe = bytes(10, [handler, int(2, 3)].concat());
    assert_eq!(
        container(&probe)["livenessProbe"],
        json!({"httpGet": {"path": "/", "port": "web"}, "initialDelaySeconds": 3})
    );
}

#[test]
fn special_messages_are_strings_numbers_and_lists() {
    let quantity = |key: &str, value: &[u8]| bytes(1, [bytes(1, key), bytes(2, value)].concat());
    let limits = [quantity("memory", &bytes(1, "1e3")), quantity("cpu", &[])].concat();
    assert_eq!(container(&bytes(8, limits))["resources"], json!({"limits": {"cpu": "0", "memory": "1e3"}}));
    let secret = bytes(2, [bytes(1, "k"), bytes(2, [0, 255])].concat());
    assert_eq!(read("v1", "Secret", &secret), Ok(json!({"data": {"k": "AP8="}})));
    let event = |time: Vec<u8>| [bytes(6, &time), bytes(10, &time)].concat();
    let times = |time: Vec<u8>| {
        let event = read("v1", "Event", &event(time)).expect("an event");
        (event["firstTimestamp"].clone(), event["eventTime"].clone())
    };
    assert_eq!(times(vec![]), (Value::Null, Value::Null));
    let time = [int(1, 1_767_225_600), int(2, 123_456_789)].concat();
    assert_eq!(times(time), ("2026-01-01T00:00:00Z".into(), "2026-01-01T00:00:00.123456Z".into()));
    assert_eq!(times(int(1, (-1_i64).cast_unsigned())).0, "1969-12-31T23:59:59Z");
    assert_eq!(read("v1", "Event", &event(int(1, u64::MAX / 2))), Err(ProtobufError::InvalidTime("firstTimestamp")));
    let extra = bytes(5, [bytes(1, "k"), bytes(2, [bytes(1, "a"), bytes(1, "b")].concat())].concat());
    let review = read("authorization.k8s.io/v1", "SubjectAccessReview", &bytes(2, extra)).expect("a review");
    assert_eq!(review["spec"]["extra"], json!({"k": ["a", "b"]}));
}

#[test]
fn raw_json_is_checked_and_copied() {
    let revision = |raw: &[u8]| read("apps/v1", "ControllerRevision", &[bytes(2, bytes(1, raw)), int(3, 1)].concat());
    assert_eq!(revision(b"{\"a\": [1.50]}"), Ok(json!({"data": {"a": [1.5]}, "revision": 1})));
    assert_eq!(revision(b""), Ok(json!({"data": null, "revision": 1})));
    for raw in [&b"{"[..], b"{} {}", b"k8s\0", b"nope"] {
        assert_eq!(revision(raw), Err(ProtobufError::InvalidJson("data")), "{raw:?}");
    }
    assert_eq!(revision(b"\"\xff\""), Err(ProtobufError::InvalidUtf8("data")));
}

#[test]
fn repeated_values_are_merged_as_protobuf_defines() {
    let entry = |value: &str| bytes(2, [bytes(1, "a"), bytes(2, value)].concat());
    let message = [
        bytes(1, [bytes(1, "first"), bytes(3, "ns")].concat()),
        entry("1"),
        bytes(1, bytes(1, "last")),
        entry("2"),
        bytes(2, bytes(2, "v")),
    ];
    let want = json!({"metadata": {"name": "last", "namespace": "ns"}, "data": {"": "v", "a": "2"}});
    assert_eq!(read("v1", "ConfigMap", &message.concat()), Ok(want));
    let exit_codes = |values: Vec<u8>| {
        let rule = bytes(2, [bytes(2, "In"), values].concat());
        let job = read("batch/v1", "Job", &bytes(2, bytes(11, bytes(1, rule)))).expect("a job");
        job["spec"]["podFailurePolicy"]["rules"][0]["onExitCodes"]["values"].clone()
    };
    assert_eq!(exit_codes([int(3, 1), int(3, 300)].concat()), json!([1, 300]));
    assert_eq!(exit_codes(bytes(3, [varint(1), varint(300)].concat())), json!([1, 300]), "packed");
}

#[test]
fn unknown_fields_are_skipped_and_broken_ones_rejected() {
    let name = bytes(1, bytes(1, "a"));
    let unknown = [&name[..], &int(15, 7), b"\x79\0\0\0\0\0\0\0\0", b"\x7b\x08\x01\x7c", b"\x7d\0\0\0\0"].concat();
    assert_eq!(read("v1", "ConfigMap", &unknown), Ok(json!({"metadata": {"name": "a"}})));
    let wrong = |field, wire_type| Err(ProtobufError::WrongWireType { field, wire_type });
    for (message, want) in [
        (int(1, 7), wrong("metadata", 0)),
        (b"\x0b\x0c".to_vec(), wrong("metadata", 3)),
        (bytes(1, int(1, 7)), wrong("name", 0)),
        (int(4, 7), Ok(json!({"immutable": true}))),
        (bytes(4, "x"), wrong("immutable", 2)),
        (bytes(1, bytes(1, [0xff])), Err(ProtobufError::InvalidUtf8("name"))),
        (bytes(1, [0x0a, 5]), Err(ProtobufError::UnexpectedEnd)),
        (int(2, 7), wrong("data", 0)),
    ] {
        assert_eq!(read("v1", "ConfigMap", &message), want, "{message:?}");
    }
}

#[test]
fn objects_are_decoded_with_the_expected_version_and_kind() {
    let decode = |body: &[u8]| decode_protobuf::<ConfigMap>("v1", "ConfigMap", body).map(|decoded| decoded.object);
    let message = bytes(2, [bytes(1, "a"), bytes(2, "\u{1}\u{7f}ü\u{1f600}\n")].concat());
    for (version, kind) in [("v1", "ConfigMap"), ("", "")] {
        let decoded = decode(&body(version, kind, &message)).expect("a ConfigMap");
        assert_eq!(decoded.data, Some([("a".into(), "\u{1}\u{7f}ü\u{1f600}\n".into())].into()));
    }
    let no_object = |reason: &str| DecodeError::NotAnObject(reason.into());
    let prefix = "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]";
    let other = |version: &str, kind: &str| DecodeError::WrongKind { version: version.into(), kind: kind.into() };
    for (body, want) in [
        (vec![], no_object("empty data")),
        (b"{}".to_vec(), no_object(prefix)),
        (b"k8s".to_vec(), no_object(prefix)),
        (b"k8s\0".to_vec(), no_object("empty body")),
        (b"k8s\0\x0a".to_vec(), no_object("unexpected EOF")),
        (b"k8s\0\x08\x01".to_vec(), no_object("proto: wrong wireType = 0 for field typeMeta")),
        (body("v1", "Pod", &[]), other("v1", "Pod")),
        (body("v2", "", &[]), other("v2", "ConfigMap")),
        (body("v1", "", &[0x0a]), DecodeError::InvalidValues(vec!["unexpected EOF".into()])),
    ] {
        assert_eq!(decode(&body).expect_err("broken"), want, "{body:?}");
    }
    let decoded = decode_protobuf::<Pod>("v1", "Pod", &body("v1", "Pod", &bytes(2, [])));
    assert!(decoded.expect("nulls are nothing").object.spec.expect("a spec").containers.is_empty());
}

#[test]
fn small_messages_do_not_become_huge_json() {
    let statuses = bytes(3, bytes(8, []).repeat(3_000_000 / 2));
    assert_eq!(read("v1", "Pod", &statuses), Err(ProtobufError::TooLarge));
    let packed = bytes(2, bytes(11, bytes(1, bytes(2, bytes(3, [0; 1000])))));
    assert!(read("batch/v1", "Job", &packed).is_ok());
}

#[test]
fn truncated_bodies_are_read_or_rejected() {
    let golden = include_str!("../../../../tests/golden/protobuf-1.36.json");
    let cases: Vec<Value> = serde_json::from_str(golden).expect("golden cases");
    for case in cases.iter().filter(|case| case["what"] == "sent") {
        let ByteString(body) = serde_json::from_value(case["protobuf"].clone()).expect("base64");
        for length in 0..body.len() {
            // The envelope may be complete without its last fields.
            if let Ok(json) = Envelope::read(&body[..length]).and_then(|envelope| envelope.to_json()) {
                serde_json::from_str::<Value>(&json).expect("JSON");
            }
        }
    }
}

#[test]
fn deeply_nested_json_in_a_message_is_an_error_of_the_object() {
    let nested = [vec![b'['; 100_000], vec![b']'; 100_000]].concat();
    let body = body("apps/v1", "ControllerRevision", &bytes(2, bytes(1, nested)));
    let decoded = decode_protobuf::<ControllerRevision>("apps/v1", "ControllerRevision", &body);
    assert!(matches!(decoded, Err(DecodeError::NotAnObject(_) | DecodeError::InvalidValues(_))));
}
