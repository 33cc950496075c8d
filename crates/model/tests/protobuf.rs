//! Protobuf bodies against recordings of a Kubernetes 1.36 API server and of kubectl (`tests/golden`).
#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fmt::Write;

use k8s_openapi::ByteString;
use serde_json::{Value, json};
use wasmpod_model::protobuf::Envelope;

const GOLDEN: &str = include_str!("../../../tests/golden/protobuf-1.36.json");
const GOLDEN_SCHEMA: &str = include_str!("../../../tests/golden/protobuf-schema-1.36.json");

fn golden(what: &str) -> Vec<Value> {
    let all: Vec<Value> = serde_json::from_str(GOLDEN).expect("golden cases");
    all.into_iter().filter(|case| case["what"] == what).collect()
}

fn decode(case: &Value) -> Value {
    let ByteString(body) = serde_json::from_value(case["protobuf"].clone()).expect("base64");
    let json = Envelope::read(&body).expect("an envelope").to_json().expect("an object");
    serde_json::from_str(&json).expect("JSON")
}

#[test]
fn stored_objects_decode_to_the_json_of_the_server() {
    let cases = golden("stored");
    assert_eq!(cases.len(), 27);
    for case in cases {
        assert_eq!(decode(&case), case["json"], "{}", case["name"]);
    }
}

#[test]
fn bodies_of_kubectl_decode_to_what_the_server_made_of_them() {
    let cases = golden("sent");
    assert_eq!(cases.len(), 10);
    for case in cases {
        let (command, decoded) = (case["command"].as_str().expect("a command"), decode(&case));
        match case.get("json") {
            // The server has added defaults.
            Some(made) => assert_contains(made, &decoded, command),
            None => assert_eq!(decoded, expected(command), "{command}"),
        }
    }
}

/// The pod that kubectl 1.32 sent for `kubectl debug a --copy-to=copy --image=busybox -c dbg -- sleep 1`.
const POD: &[u8] = include_bytes!("kubectl-debug-pod.bin");

#[test]
fn pod_of_kubectl_debug_keeps_every_field() {
    let json = Envelope::read(POD).expect("an envelope").to_json().expect("a pod");
    let decoded: Value = serde_json::from_str(&json).expect("JSON");
    let probe = json!({
        "httpGet": {"path": "/", "port": 80, "scheme": "HTTP"},
        "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3,
    });
    let copied = json!({
        "name": "c", "image": "busybox", "command": ["sh", "-c", "sleep 1000"], "imagePullPolicy": "Always",
        "ports": [{"containerPort": 80, "protocol": "TCP"}],
        "env": [
            {"name": "A", "value": "b"},
            {"name": "S", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "optional": false}}},
        ],
        "resources": {"limits": {"cpu": "100m", "memory": "64Mi"}},
        "volumeMounts": [{"name": "v", "mountPath": "/v"}],
        "readinessProbe": probe,
        "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
    });
    let debugger = json!({
        "name": "dbg", "image": "busybox", "command": ["sleep", "1"], "resources": {},
        "terminationMessagePolicy": "File",
    });
    let spec = json!({
        "volumes": [{"name": "v", "emptyDir": {}}],
        "containers": [copied, debugger],
        "restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "dnsPolicy": "ClusterFirst",
        "securityContext": {}, "schedulerName": "default-scheduler", "priority": 0, "enableServiceLinks": false,
        "tolerations": [{"key": "x", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 0}],
    });
    let metadata = json!({"name": "copy", "namespace": "default"});
    let want = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": {}});
    assert_eq!(decoded, want);
}

/// Returns what kubectl sent where the server's object was not recorded.
fn expected(command: &str) -> Value {
    match command {
        "kubectl create namespace pb-made" => json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "pb-made"}, "spec": {}, "status": {},
        }),
        _ => json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "metadata": {},
            "spec": {"audiences": null, "boundObjectRef": null}, "status": {"token": "", "expirationTimestamp": null},
        }),
    }
}

#[track_caller]
fn assert_contains(whole: &Value, part: &Value, path: &str) {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            for (key, value) in part {
                assert_contains(whole.get(key).unwrap_or(&Value::Null), value, &format!("{path}: {key}"));
            }
        }
        (Value::Array(whole), Value::Array(part)) => {
            assert_eq!(whole.len(), part.len(), "{path}");
            whole.iter().zip(part).for_each(|(whole, part)| assert_contains(whole, part, path));
        }
        _ => assert_eq!(whole, part, "{path}"),
    }
}

/// Messages that are something else in JSON, by the names that `schema.txt` has for them.
const SPECIAL: &[(&str, &str)] = &[
    ("api.resource.Quantity", "Quantity"),
    ("apis.meta.v1.FieldsV1", "RawJson"),
    ("apis.meta.v1.MicroTime", "MicroTime"),
    ("apis.meta.v1.Time", "Time"),
    ("apis.meta.v1.Verbs", "StringList"),
    ("authentication.v1.ExtraValue", "StringList"),
    ("authorization.v1.ExtraValue", "StringList"),
    ("certificates.v1.ExtraValue", "StringList"),
    ("runtime.RawExtension", "RawJson"),
    ("util.intstr.IntOrString", "IntOrString"),
];

/// Fields whose declarations in Go differ from what their flags say.
const CORRECTED_FLAGS: &[(&str, &str, &str)] = &[
    // `json:"creationTimestamp,omitempty,omitzero"`
    ("apis.meta.v1.ObjectMeta", "creationTimestamp", "o"),
    // `BoundObjectRef *BoundObjectReference json:"boundObjectRef"`
    ("authentication.v1.TokenRequestSpec", "boundObjectRef", "pz"),
    // `APIGroup *string json:"apiGroup"`
    ("core.v1.TypedLocalObjectReference", "apiGroup", "pz"),
    ("core.v1.TypedObjectReference", "apiGroup", "pz"),
];

/// Fields that have another name in JSON.
const CORRECTED_NAMES: &[(&str, &str, &str)] = &[("apis.meta.v1.PartialObjectMetadataList", "conditions", "metadata")];

/// Messages of the envelope, which are read and written apart from the schema.
const ENVELOPE: &[&str] = &["runtime.TypeMeta", "runtime.Unknown"];

/// Kinds that the recorded table lacks, apart from lists. Every version of every group has those of `*`.
const MORE_KINDS: &[(&str, &str)] = &[
    ("* APIGroup", "apis.meta.v1.APIGroup"),
    ("* APIGroupList", "apis.meta.v1.APIGroupList"),
    ("* APIResourceList", "apis.meta.v1.APIResourceList"),
    ("* APIVersions", "apis.meta.v1.APIVersions"),
    ("* DeleteOptions", "apis.meta.v1.DeleteOptions"),
    ("* Status", "apis.meta.v1.Status"),
    ("meta.k8s.io/v1 PartialObjectMetadata", "apis.meta.v1.PartialObjectMetadata"),
    ("meta.k8s.io/v1 PartialObjectMetadataList", "apis.meta.v1.PartialObjectMetadataList"),
    ("policy/v1beta1 Eviction", "policy.v1.Eviction"),
];

/// The messages of discovery, which the recorded table lacks: Kubernetes' `meta/v1/generated.proto` and `types.go`.
fn discovery_messages() -> Value {
    json!({
        "apis.meta.v1.APIGroup": [
            [1, "name", "string", "z"], [2, "versions", "[]apis.meta.v1.GroupVersionForDiscovery", "z"],
            [3, "preferredVersion", "apis.meta.v1.GroupVersionForDiscovery"],
            [4, "serverAddressByClientCIDRs", "[]apis.meta.v1.ServerAddressByClientCIDR"],
        ],
        "apis.meta.v1.APIGroupList": [[1, "groups", "[]apis.meta.v1.APIGroup", "z"]],
        "apis.meta.v1.APIResource": [
            [1, "name", "string", "z"], [6, "singularName", "string", "z"], [2, "namespaced", "bool", "z"],
            [8, "group", "string"], [9, "version", "string"], [3, "kind", "string", "z"],
            [4, "verbs", "apis.meta.v1.Verbs", "z"], [5, "shortNames", "[]string"], [7, "categories", "[]string"],
            [10, "storageVersionHash", "string"],
        ],
        "apis.meta.v1.APIResourceList": [
            [1, "groupVersion", "string", "z"], [2, "resources", "[]apis.meta.v1.APIResource", "z"],
        ],
        "apis.meta.v1.APIVersions": [
            [1, "versions", "[]string", "z"],
            [2, "serverAddressByClientCIDRs", "[]apis.meta.v1.ServerAddressByClientCIDR", "z"],
        ],
        "apis.meta.v1.GroupVersionForDiscovery": [
            [1, "groupVersion", "string", "z"], [2, "version", "string", "z"],
        ],
        "apis.meta.v1.ServerAddressByClientCIDR": [
            [1, "clientCIDR", "string", "z"], [2, "serverAddress", "string", "z"],
        ],
    })
}

/// Returns `schema.txt`: the kinds and their lists, and all messages.
fn schema_text() -> String {
    let golden: Value = serde_json::from_str(GOLDEN_SCHEMA).expect("a schema");
    let discovery = discovery_messages();
    let mut messages: BTreeMap<&str, &Value> = BTreeMap::new();
    for (name, fields) in [&golden["messages"], &discovery].iter().flat_map(|all| all.as_object().expect("messages")) {
        if !ENVELOPE.contains(&name.as_str()) && !SPECIAL.iter().any(|(special, _)| special == name) {
            messages.insert(name, fields);
        }
    }
    let mut kinds: BTreeMap<String, String> = BTreeMap::new();
    for (kind, message) in golden["kinds"].as_object().expect("kinds") {
        let message = message.as_str().expect("a name");
        kinds.insert(kind.clone(), message.into());
        let list = format!("{message}List");
        if messages.contains_key(list.as_str()) {
            kinds.insert(format!("{kind}List"), list);
        }
    }
    kinds.extend(MORE_KINDS.iter().map(|(kind, message)| (kind.to_string(), message.to_string())));
    let mut text = String::new();
    for (kind, message) in kinds {
        writeln!(text, "kind {kind} {message}").expect("written");
    }
    for (message, fields) in messages {
        writeln!(text, "message {message}").expect("written");
        for field in fields.as_array().expect("fields") {
            writeln!(text, "{}", field_row(message, field)).expect("written");
        }
    }
    text
}

fn message_of(field: &Value) -> &str {
    let name = field[2].as_str().expect("a type");
    name.strip_prefix("[]").or(name.strip_prefix("map:")).unwrap_or(name)
}

fn field_row(message: &str, field: &Value) -> String {
    let (mut name, mut type_name) =
        (field[1].as_str().expect("a name"), field[2].as_str().expect("a type").to_string());
    if let Some((special, short)) = SPECIAL.iter().find(|(special, _)| *special == message_of(field)) {
        type_name = type_name.replace(special, short);
    }
    if let Some((_, _, corrected)) = CORRECTED_NAMES.iter().find(|row| (row.0, row.1) == (message, name)) {
        name = corrected;
    }
    let corrected = CORRECTED_FLAGS.iter().find(|row| (row.0, row.1) == (message, name)).map(|row| row.2);
    let flags = corrected.or(field[3].as_str()).map(|flags| format!(" {flags}")).unwrap_or_default();
    format!("{} {name} {type_name}{flags}", field[0])
}

#[test]
fn schema_is_generated_from_the_recorded_table() {
    let (path, wanted) = (concat!(env!("CARGO_MANIFEST_DIR"), "/src/protobuf/schema.txt"), schema_text());
    if std::env::var_os("WASMPOD_BLESS").is_some() {
        std::fs::write(path, &wanted).expect("written");
    }
    let written = std::fs::read_to_string(path).expect("a file");
    assert!(written == wanted, "{path} is stale: run WASMPOD_BLESS=1 cargo test -p wasmpod-model schema");
}
