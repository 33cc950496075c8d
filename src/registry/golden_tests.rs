//! Compares the registry with recorded answers of a Kubernetes 1.36 API server (`tests/golden`).

use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;

use super::*;
use crate::control::{FieldValidation, Patch, PatchKind, Subresource};
use crate::model;

const API: &str = include_str!("../../tests/golden/api-1.36.json");

fn pod_cases() -> Vec<Value> {
    let all: Vec<Value> = serde_json::from_str(API).expect("golden cases");
    all.into_iter().filter(|case| case["path"] == "/api/v1/namespaces/default/pods").collect()
}

/// Removes values that differ between runs, and nulls.
fn normalize(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for volatile in ["uid", "creationTimestamp", "resourceVersion", "managedFields"] {
                map.remove(volatile);
            }
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(normalize);
        }
        Value::Array(items) => items.iter_mut().for_each(normalize),
        Value::String(text) if text.starts_with("kube-api-access-") => *text = "kube-api-access-xxxxx".into(),
        _ => {}
    }
}

/// Collects the differences between two values, by path.
pub(super) fn collect_differences(path: &str, actual: &Value, expected: &Value, differences: &mut Vec<String>) {
    match (actual, expected) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys {
                let get = |map: &serde_json::Map<String, Value>| map.get(key).cloned().unwrap_or(Value::Null);
                collect_differences(&format!("{path}.{key}"), &get(a), &get(b), differences);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (i, (a, b)) in a.iter().zip(b).enumerate() {
                collect_differences(&format!("{path}[{i}]"), a, b, differences);
            }
        }
        _ if actual == expected => {}
        _ => differences.push(format!("{path}: actual {actual}, expected {expected}")),
    }
}

/// Returns a status in the form of the golden files.
pub(super) fn golden_status(status: &Status) -> Value {
    let mut wire = serde_json::to_value(status).expect("a status encodes");
    let wire = wire.as_object_mut().expect("an object");
    for field in ["kind", "apiVersion", "metadata", "status", "code"] {
        wire.remove(field);
    }
    Value::Object(wire.clone())
}

async fn answer(manifest: &str) -> (u16, Value) {
    let clock = Clock::starting_at("2026-01-01T00:00:00Z".parse().expect("a time"));
    let settings = admission::AdmissionSettings { mount_tokens: true };
    let registry = Registry::new(ObjectStore::new(10), clock).with_admission(settings);
    let Ok(manifest) = model::parse(kinds::types(), "case", manifest) else { return (400, Value::Null) };
    let pod = manifest.pods().next().expect("a pod").clone();
    match registry.create(Body::from(pod)).await {
        Ok(object) => (201, serde_json::from_slice(&object.json).expect("JSON")),
        Err(status) => (status.reason.code(), golden_status(&status)),
    }
}

#[tokio::test(start_paused = true)]
async fn created_pods_get_the_answers_of_kubernetes() {
    let mut failures = Vec::new();
    let cases = pod_cases();
    assert_eq!(cases.len(), 152);
    for case in cases {
        let (name, expected_code) = (case["name"].as_str().expect("a name"), case["code"].as_u64().expect("a code"));
        let (actual_code, mut actual) = answer(case["manifest"].as_str().expect("a manifest")).await;
        // Kubernetes words parser errors in terms of Go types; wasmpod only has to reject these requests too.
        if expected_code == 400 {
            if actual_code < 400 {
                failures.push(format!("{name}: accepted, but the request is malformed"));
            }
            continue;
        }
        let mut expected = if expected_code < 300 { case["object"].clone() } else { case["status"].clone() };
        normalize(&mut actual);
        normalize(&mut expected);
        if expected["metadata"]["name"] == "GENERATED" {
            actual["metadata"]["name"] = "GENERATED".into();
        }
        let mut differences = Vec::new();
        if u64::from(actual_code) != expected_code {
            differences.push(format!("code: actual {actual_code}, expected {expected_code}"));
        }
        collect_differences("", &actual, &expected, &mut differences);
        if !differences.is_empty() {
            failures.push(format!("{name}:\n    {}", differences.join("\n    ")));
        }
    }
    assert!(failures.is_empty(), "{} cases differ:\n{}", failures.len(), failures.join("\n"));
}

const UPDATES: &str = include_str!("../../tests/golden/pod-updates-1.36.json");

/// Returns the pod that all cases update. The recorded server added a volume of its own, which its messages show.
fn base_pod(golden: &Value) -> Pod {
    let mut pod: Pod = serde_json::from_value(golden["base"].clone()).expect("a pod");
    pod.metadata.namespace = Some("updates".into());
    let case = golden["cases"].as_array().expect("cases").iter().find(|case| case["name"] == "json-patch-bad");
    let message = case.and_then(|case| case["status"]["message"].as_str()).expect("a message");
    let (_, quoted) = message.split_once("Invalid value: ").expect("a value");
    let json: String = serde_json::Deserializer::from_str(quoted).into_iter().next().expect("text").expect("JSON");
    let recorded: Pod = serde_json::from_str(&json).expect("a pod");
    let (spec, recorded) = (pod.spec.as_mut().expect("a spec"), recorded.spec.expect("a spec"));
    spec.volumes = recorded.volumes;
    for volume in spec.volumes.iter_mut().flatten() {
        volume.name = "kube-api-access-xdc7p".into();
    }
    let containers = spec.containers.iter_mut().chain(spec.init_containers.iter_mut().flatten());
    for (container, recorded) in
        containers.zip(recorded.containers.into_iter().chain(recorded.init_containers.into_iter().flatten()))
    {
        container.volume_mounts = recorded.volume_mounts;
        for mount in container.volume_mounts.iter_mut().flatten() {
            mount.name = "kube-api-access-xdc7p".into();
        }
    }
    pod
}

fn parse_subresource(name: &str) -> Subresource {
    match name {
        "" => Subresource::Main,
        "status" => Subresource::Status,
        "resize" => Subresource::Resize,
        "ephemeralcontainers" => Subresource::EphemeralContainers,
        other => panic!("subresource {other}"),
    }
}

/// Reduces a pod to the fields that the golden files record after an update.
fn summary(pod: &Value, expected: &Value) -> Value {
    let pick = |from: &Value, like: &Value| -> Value {
        let fields = like.as_object().expect("an object");
        // The golden files record only fields that the case sets, besides those that every pod has.
        fields.keys().map(|key| (key.clone(), from[key].clone())).collect::<serde_json::Map<_, _>>().into()
    };
    let each = |field: &str| -> Value {
        pod["spec"]["containers"].as_array().into_iter().flatten().map(|c| c[field].clone()).collect()
    };
    let mut metadata = pick(&pod["metadata"], &expected["metadata"]);
    for field in ["labels", "annotations", "finalizers", "ownerReferences"] {
        metadata[field] = pod["metadata"][field].clone();
    }
    serde_json::json!({
        "metadata": metadata,
        "spec": pick(&pod["spec"], &expected["spec"]),
        "images": each("image"),
        "resources": each("resources"),
        "status": pod["status"],
    })
}

/// Normalizes the object that some messages quote in full.
fn normalize_quoted_object(status: &mut Value) {
    let rewrite = |text: &mut Value| {
        let Some((head, tail)) = text.as_str().and_then(|t| t.split_once("Invalid value: \"{")) else { return };
        let quoted = format!("\"{{{tail}");
        let mut read = serde_json::Deserializer::from_str(&quoted).into_iter::<String>();
        let object = read.next().expect("text").expect("in quotes");
        let rest = &quoted[read.byte_offset()..];
        let mut object: Value = serde_json::from_str(&object).expect("an object");
        normalize(&mut object);
        *text = format!("{head}Invalid value: {object}{rest}").into();
    };
    rewrite(&mut status["message"]);
    for cause in status["details"]["causes"].as_array_mut().into_iter().flatten() {
        rewrite(&mut cause["message"]);
    }
}

#[tokio::test(start_paused = true)]
async fn pod_updates_get_the_answers_of_kubernetes() {
    let golden: Value = serde_json::from_str(UPDATES).expect("golden cases");
    let mut failures = Vec::new();
    let cases = golden["cases"].as_array().expect("cases");
    assert_eq!(cases.len(), 54);
    for case in cases {
        let name = case["name"].as_str().expect("a name");
        let clock = Clock::starting_at("2026-01-01T00:00:00Z".parse().expect("a time"));
        let registry = Registry::new(ObjectStore::new(10), clock);
        let key = Key::pod("updates", "p");
        let created = registry.create(Body::from(base_pod(&golden))).await.expect("the base is valid");
        let mut last = Ok(created);
        for patch in case["patches"].as_array().expect("patches") {
            let kind = PatchKind::from_media_type(patch["type"].as_str().expect("a type"));
            let body = patch["body"].to_string().into_bytes();
            let subresource = parse_subresource(case["subresource"].as_str().expect("a name"));
            last = match kind {
                Ok(kind) => {
                    let patch = Patch { kind, body, field_validation: FieldValidation::Strict };
                    registry.update(&key, Update::Patch { patch, subresource }, Preconditions::default()).await
                }
                Err(status) => Err(status),
            };
        }
        let mut differences = Vec::new();
        let expected_code = case["code"].as_u64().expect("a code");
        let actual_code = last.as_ref().map_or_else(|status| u64::from(status.reason.code()), |_| 200);
        if actual_code != expected_code {
            differences.push(format!("code: actual {actual_code}, expected {expected_code}"));
        }
        match last {
            Err(status) => {
                let (mut actual, mut expected) = (golden_status(&status), case["status"].clone());
                for status in [&mut actual, &mut expected] {
                    normalize(status);
                    normalize_quoted_object(status);
                }
                collect_differences("", &actual, &expected, &mut differences);
            }
            Ok(object) => {
                let pod: Value = serde_json::from_slice(&object.json).expect("JSON");
                let (mut actual, mut expected) = (summary(&pod, &case["after"]), case["after"].clone());
                normalize(&mut actual);
                normalize(&mut expected);
                collect_differences("", &actual, &expected, &mut differences);
                let growth = pod["metadata"]["generation"].as_u64().expect("a generation") - 1;
                if Some(growth) != case["generation_grew_by"].as_u64() {
                    differences
                        .push(format!("generation: actual growth {growth}, expected {}", case["generation_grew_by"]));
                }
            }
        }
        if !differences.is_empty() {
            failures.push(format!("{name}:\n    {}", differences.join("\n    ")));
        }
    }
    assert!(failures.is_empty(), "{} cases differ:\n{}", failures.len(), failures.join("\n"));
}
