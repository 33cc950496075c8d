//! Properties of the parsing of manifests and protobuf bodies that hold for every input; checked by the fuzzer and the property tests.
#![expect(clippy::expect_used, reason = "a violated property panics")]

use k8s_openapi::api::core::v1::Pod;
use serde::de::IgnoredAny;

use crate::kinds::SOME_KINDS;
use crate::protobuf::{Envelope, decode_protobuf, encode_object};
use crate::{Diagnostics, FieldDiagnostic, Manifest, Rule, decode_text};

/// Panics if parsing `bytes` violates a property.
pub fn check(bytes: &[u8]) {
    let Ok(text) = decode_text(bytes.to_vec()) else { return };
    for source in ["text.yaml", "text.json"] {
        let manifest = Manifest::read(SOME_KINDS, source, &text);
        let diagnostics = manifest.diagnostics();
        check_positions(&diagnostics, &text);
        assert_eq!(diagnostics.error_count() > 0, manifest.has_errors());
        let diagnostic = |object| {
            let path = "metadata.name".to_string();
            FieldDiagnostic { object, rule: Rule::Invalid, path, message: "wrong".into(), hint: None }
        };
        let field_diagnostics: Vec<FieldDiagnostic> = (0..manifest.objects().len()).map(diagnostic).collect();
        check_positions(&manifest.diagnostics_with(&field_diagnostics), &text);
        check_round_trip(&manifest);
    }
}

fn check_positions(diagnostics: &Diagnostics, text: &str) {
    // YAML also breaks lines at characters at which editors do not.
    let lines = text.matches(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']).count() + 2;
    for position in diagnostics.as_slice().iter().filter_map(|diagnostic| diagnostic.position) {
        assert!((1..=lines).contains(&position.line), "{position:?} of {lines} lines");
        assert!(position.column >= 1 && position.len >= 1, "{position:?}");
    }
    assert!(diagnostics.to_string().len() <= 4096 + diagnostics.as_slice().len() * 4096 + 8 * text.len());
}

fn check_round_trip(manifest: &Manifest) {
    for object in manifest.objects() {
        let json = object.to_json().expect("JSON of an object");
        let again = Manifest::read(SOME_KINDS, "again.json", &json);
        assert!(!again.has_errors(), "{json}\n{}", again.diagnostics());
        let same: Vec<String> = again.objects().map(|object| object.to_json().expect("JSON of an object")).collect();
        assert_eq!(same, [json]);
    }
}

/// Panics if reading `body` as protobuf, or writing what it says again, violates a property.
pub fn check_protobuf(body: &[u8]) {
    let Ok(envelope) = Envelope::read(body) else { return };
    if let Ok(json) = envelope.to_json() {
        check_protobuf_object(&envelope, &json);
        check_protobuf_round_trip(&envelope, &json);
    }
    if let Ok(decoded) = decode_protobuf::<Pod>("v1", "Pod", body) {
        assert!(decoded.ignored_fields.is_empty(), "{:?}", decoded.ignored_fields);
    }
}

fn check_protobuf_object(envelope: &Envelope<'_>, json: &str) {
    serde_json::from_str::<IgnoredAny>(json).expect("valid JSON");
    // JSON text within the object may be nested more deeply than a tree can be.
    let Ok(object) = serde_json::from_str::<serde_json::Value>(json) else { return };
    for (name, value) in [("apiVersion", envelope.api_version), ("kind", envelope.kind)] {
        assert_eq!(object.get(name).and_then(serde_json::Value::as_str).unwrap_or_default(), value);
    }
}

/// Checks that an object stays the same once it has been written: the first reading may lose what Go loses, such as
/// parts of a second.
fn check_protobuf_round_trip(envelope: &Envelope<'_>, json: &str) {
    let encode = |json: &str| {
        let mut body = Vec::new();
        encode_object(envelope.api_version, envelope.kind, json.as_bytes(), &mut body).expect(json);
        body
    };
    let decode = |body: &[u8]| Envelope::read(body).and_then(|envelope| envelope.to_json());
    let written = encode(json);
    // Some objects are just below the limit of their size, and above it with all zeros.
    let Ok(read) = decode(&written) else { return };
    let again = encode(&read);
    assert_eq!(decode(&again), Ok(read), "{json}");
}

/// Panics if writing any JSON as protobuf violates a property.
pub fn check_protobuf_of_json(api_version: &str, kind: &str, json: &[u8]) {
    let mut body = b"before".to_vec();
    match encode_object(api_version, kind, json, &mut body) {
        Ok(()) => check_protobuf(body.strip_prefix(b"before").expect("the bytes before")),
        Err(_) => assert_eq!(body, b"before"),
    }
}
