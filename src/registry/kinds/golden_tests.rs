//! Compares the kinds with recorded answers of a Kubernetes 1.36 API server (`tests/golden/workloads-1.36.json` and
//! `workload-updates-1.36.json`).
//!
//! To test a kind, add its plural name to [`GROUPS`].

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::KINDS;
use crate::clock::Clock;
use crate::control::{
    Body, ControlPlane, FieldValidation, Key, Object, Patch, PatchKind, Preconditions, Status, Subresource, Update,
};
use crate::model::{BodyFormat, TextFormat};
use crate::registry::Registry;
use crate::registry::golden_tests::{collect_differences, golden_status};
use crate::registry::kind::Kind;
use crate::store::ObjectStore;

const CREATIONS: &str = include_str!("../../../tests/golden/workloads-1.36.json");
const UPDATES: &str = include_str!("../../../tests/golden/workload-updates-1.36.json");

/// The kinds under test, by plural name.
const GROUPS: &[(&str, &[&str])] = &[
    (
        "workloads",
        &[
            "controllerrevisions",
            "cronjobs",
            "daemonsets",
            "deployments",
            "jobs",
            "podtemplates",
            "replicasets",
            "replicationcontrollers",
            "statefulsets",
        ],
    ),
    ("cluster", &["events", "leases", "namespaces", "nodes", "priorityclasses", "runtimeclasses"]),
    ("configuration", &["configmaps", "secrets", "serviceaccounts"]),
    ("policies", &["horizontalpodautoscalers", "limitranges", "poddisruptionbudgets", "resourcequotas"]),
    ("permissions", &["clusterrolebindings", "clusterroles", "rolebindings", "roles"]),
    ("networking", &["endpoints", "endpointslices", "ingressclasses", "ingresses", "networkpolicies", "services"]),
    ("volumes", &["persistentvolumeclaims", "persistentvolumes", "storageclasses"]),
];

/// Cases in which wasmpod differs on purpose, with the reason.
const DEVIATIONS: &[(&str, &str)] = &[
    (
        "controllerrevision-revision",
        "the recorded server compares the data byte by byte, and the client had sent them with blanks",
    ),
    ("lease-time-short", "times without fractions of a second are read"),
];

/// Returns whether the kind of this plural name is under test.
pub fn is_tested(plural: &str) -> bool {
    GROUPS.iter().any(|(_, plurals)| plurals.contains(&plural))
}

fn group(name: &str) -> &'static [&'static str] {
    GROUPS.iter().find(|(group, _)| *group == name).expect("a group").1
}

/// Reads a golden file. Its namespace `NS` is renamed, because names are in lower case.
fn read(golden: &str) -> Value {
    let text = golden.replace("\"NS\"", "\"ns\"").replace("/namespaces/NS/", "/namespaces/ns/");
    serde_json::from_str(&text).expect("golden data")
}

fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value[field].as_str().expect("a text")
}

fn cases(golden: &Value) -> impl Iterator<Item = &Value> {
    let cases = golden.as_array().into_iter().chain(golden["cases"].as_array());
    cases.flatten().filter(|case| !DEVIATIONS.iter().any(|(name, _)| case["name"] == *name))
}

/// Returns the plural name and the namespace at the end of a path.
fn split_path(path: &str) -> (&str, Option<&str>) {
    let parts: Vec<&str> = path.split('/').collect();
    match parts.as_slice() {
        [.., "namespaces", namespace, plural] => (plural, Some(namespace)),
        [.., plural] => (plural, None),
        [] => panic!("an empty path"),
    }
}

/// Returns the kind that a path names.
pub fn kind_at(path: &str) -> &'static dyn Kind {
    let (plural, _) = split_path(path);
    let version = |kind: &dyn Kind| match kind.names().group {
        "" => format!("/api/{}/", kind.names().version),
        group => format!("/apis/{group}/{}/", kind.names().version),
    };
    let matches = |kind: &&&dyn Kind| kind.names().plural == plural && path.starts_with(&version(**kind));
    *KINDS.iter().find(matches).unwrap_or_else(|| panic!("no kind at {path}"))
}

pub fn new_registry() -> Registry {
    let clock = Clock::starting_at("2026-01-01T00:00:00Z".parse().expect("a time"));
    Registry::new(ObjectStore::new(100), clock)
}

/// Decodes an object for the collection at `path`. Unknown fields are an error.
pub fn decode(path: &str, object: &str) -> Option<Body> {
    let format = BodyFormat::Text(TextFormat::Yaml);
    let decoded = kind_at(path).decode(format, object.as_bytes()).ok()?;
    let mut body = decoded.object;
    let (_, namespace) = split_path(path);
    body.metadata_mut().namespace = namespace.map(String::from);
    decoded.ignored_fields.is_empty().then_some(body)
}

fn decode_json(object: &Object) -> Value {
    serde_json::from_slice(&object.json).expect("JSON")
}

/// Removes what differs between runs, and nulls.
fn normalize(value: &mut Value, generate_name: Option<&str>) {
    match value {
        Value::Object(map) => {
            for volatile in ["uid", "creationTimestamp", "resourceVersion", "managedFields"] {
                map.remove(volatile);
            }
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(|value| normalize(value, generate_name));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| normalize(item, generate_name)),
        Value::String(text) => {
            *text = replace_uids(text);
            if generate_name.is_some_and(|base| text.starts_with(base) && text.len() > base.len()) {
                *text = "GENERATED".into();
            }
        }
        _ => {}
    }
}

/// Replaces UIDs by `UID`.
fn replace_uids(text: &str) -> String {
    const LENGTH: usize = 36;
    let is_uid = |candidate: &str| {
        candidate.char_indices().all(|(i, c)| match i {
            8 | 13 | 18 | 23 => c == '-',
            _ => c.is_ascii_hexdigit(),
        })
    };
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if rest.get(..LENGTH).is_some_and(is_uid) {
            out.push_str("UID");
            rest = &rest[LENGTH..];
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    out
}

/// Replaces the values that messages quote: objects in Go's notation, which wasmpod writes in the API's, and whole
/// objects that a patch made.
fn normalize_quoted_values(actual: &mut Value, expected: &mut Value) {
    match (actual, expected) {
        (Value::Object(actual), Value::Object(expected)) => {
            for (key, expected) in expected {
                if let Some(actual) = actual.get_mut(key) {
                    normalize_quoted_values(actual, expected);
                }
            }
        }
        (Value::Array(actual), Value::Array(expected)) => {
            actual.iter_mut().zip(expected).for_each(|(actual, expected)| normalize_quoted_values(actual, expected));
        }
        (Value::String(actual), Value::String(expected)) => {
            if has_go_notation(expected) {
                (*actual, *expected) = (without_objects(actual, "value: "), without_objects(expected, "value: "));
            }
            if expected.contains("Invalid value: \"OBJECT\"") {
                *actual = without_objects(actual, "Invalid value: ");
            }
        }
        _ => {}
    }
}

/// Returns whether the message quotes an object whose fields have Go's names.
fn has_go_notation(message: &str) -> bool {
    let bytes = message.as_bytes();
    bytes.windows(3).any(|w| matches!(w[0], b'{' | b',') && w[1] == b'"' && w[2].is_ascii_uppercase())
}

/// Replaces each object, or text of an object, that follows `mark`.
fn without_objects(message: &str, mark: &str) -> String {
    let mut out = String::new();
    let mut rest = message;
    while let Some((head, tail)) = rest.split_once(mark) {
        out += head;
        out += mark;
        let mut values = serde_json::Deserializer::from_str(tail).into_iter::<Value>();
        rest = match values.next() {
            Some(Ok(value)) if value.is_object() || value.as_str().is_some_and(|text| text.starts_with('{')) => {
                out += if value.is_object() { "OBJECT" } else { "\"OBJECT\"" };
                &tail[values.byte_offset()..]
            }
            _ => tail,
        };
    }
    out + rest
}

/// Puts what the registry chose where the recording has a placeholder.
fn fill_placeholders(expected: &mut Value, actual: &Value) {
    match (expected, actual) {
        (Value::Object(expected), Value::Object(actual)) => {
            for (key, expected) in expected {
                fill_placeholders(expected, actual.get(key).unwrap_or(&Value::Null));
            }
        }
        (Value::Array(expected), Value::Array(actual)) => {
            expected.iter_mut().zip(actual).for_each(|(expected, actual)| fill_placeholders(expected, actual));
        }
        (expected, actual) => {
            if !actual.is_null() && (*expected == json!("ALLOCATED") || *expected == json!("TIME")) {
                expected.clone_from(actual);
            }
        }
    }
}

/// Compares an answer with the recorded one.
fn compare(expected: &Value, answer: Result<Value, Status>, success: &str) -> Vec<String> {
    let mut differences = Vec::new();
    let (code, actual) = match answer {
        Ok(object) => (200, object),
        Err(status) => (u64::from(status.reason.code()), golden_status(&status)),
    };
    let expected_code = expected["code"].as_u64().expect("a code");
    let (code, expected_code) = (code.max(201), expected_code.max(201));
    if code != expected_code {
        differences.push(format!("code: actual {code}, expected {expected_code}"));
    }
    let mut actual = actual;
    let mut expected = if expected_code < 300 { expected[success].clone() } else { expected["status"].clone() };
    let generate_name = expected["metadata"]["generateName"].as_str().map(String::from);
    normalize(&mut actual, generate_name.as_deref());
    normalize(&mut expected, generate_name.as_deref());
    normalize_quoted_values(&mut actual, &mut expected);
    fill_placeholders(&mut expected, &actual);
    collect_differences("", &actual, &expected, &mut differences);
    differences
}

fn report(failures: &[String], compared: usize) {
    assert!(failures.is_empty(), "{} of {compared} cases differ:\n{}", failures.len(), failures.join("\n"));
    assert!(compared > 0, "no case was compared");
}

/// Compares creations of the kinds with the recorded answers, which are those of dry runs.
async fn check_creations(plurals: &[&str]) {
    let (golden, mut compared, mut failures) = (read(CREATIONS), 0, Vec::new());
    for case in cases(&golden).filter(|case| plurals.contains(&split_path(text(case, "path")).0)) {
        compared += 1;
        let body = decode(text(case, "path"), text(case, "manifest"));
        let differences = match (body, case["code"].as_u64()) {
            // Errors of decoding are worded differently.
            (Some(_), Some(400)) => vec!["accepted, but the request is malformed".into()],
            (None, Some(400)) => Vec::new(),
            (None, _) => vec!["not decoded".into()],
            (Some(body), _) => {
                let answer = new_registry().dry_run().create(body).await;
                compare(case, answer.map(|object| decode_json(&object)), "object")
            }
        };
        if !differences.is_empty() {
            failures.push(format!("{}:\n    {}", case["name"], differences.join("\n    ")));
        }
    }
    report(&failures, compared);
}

fn replace_text(value: &Value, from: &str, to: &str) -> Value {
    serde_json::from_str(&value.to_string().replace(from, to)).expect("JSON")
}

/// Returns the fields of `metadata` and `spec` and the other parts that an update changed; null if they are gone.
fn changes(before: &Value, after: &Value) -> Value {
    let changed_fields = |before: &Value, after: &Value| -> Map<String, Value> {
        let nothing = Map::new();
        let (before, after) = (before.as_object().unwrap_or(&nothing), after.as_object().unwrap_or(&nothing));
        let keys = before.keys().chain(after.keys().filter(|key| !before.contains_key(*key)));
        let keys = keys.filter(|key| before.get(*key) != after.get(*key));
        keys.map(|key| (key.clone(), after.get(key).cloned().unwrap_or(Value::Null))).collect()
    };
    let mut changes = changed_fields(before, after);
    for (part, value) in &mut changes {
        if matches!(part.as_str(), "metadata" | "spec") {
            *value = changed_fields(&before[part], &after[part]).into();
        }
    }
    changes.retain(|_, value| value.as_object().is_none_or(|fields| !fields.is_empty()));
    changes.into()
}

fn parse_subresource(name: &str) -> Subresource {
    match name {
        "" => Subresource::Main,
        "status" => Subresource::Status,
        "scale" => Subresource::Scale,
        other => panic!("subresource {other}"),
    }
}

fn parse_update(path: &str, subresource: &str, patch: &Value) -> Update {
    let subresource = parse_subresource(subresource);
    if patch["method"] == "PUT" {
        let body = decode(path, &patch["body"].to_string()).expect("an object");
        return Update::Replace { body, subresource };
    }
    let kind = PatchKind::from_media_type(text(patch, "type")).expect("a type");
    let body = patch["body"].to_string().into_bytes();
    Update::Patch { patch: Patch { kind, body, field_validation: FieldValidation::Strict }, subresource }
}

/// Returns the differences of one update.
async fn check_update(golden: &Value, case: &Value) -> Vec<String> {
    let base = &golden["bases"][text(case, "base")];
    let path = text(base, "path");
    let registry = new_registry();
    let body = decode(path, &base["object"].to_string()).expect("a base");
    let before = registry.create(body).await.expect("the base is valid");
    let key = Key::clone(&before.key);
    let mut answer = Ok(before.clone());
    for patch in case["patches"].as_array().expect("patches") {
        let update = parse_update(path, text(case, "subresource"), patch);
        answer = registry.update(&key, update, Preconditions::default()).await;
    }
    if case["subresource"] == "scale" {
        let scale = |object: Arc<Object>| kind_at(path).scale(&object).expect("a scale");
        return compare(case, answer.map(|object| json!(scale(object))), "answer");
    }
    let answer = answer.map(|object| decode_json(&object));
    let mut before = decode_json(&before);
    normalize(&mut before, None);
    let mut differences = Vec::new();
    let answer = answer.map(|mut after| {
        normalize(&mut after, None);
        let generations = json!([before["metadata"]["generation"], after["metadata"]["generation"]]);
        collect_differences("generation", &generations, &case["generation"], &mut differences);
        changes(&before, &after)
    });
    let mut case = match before["spec"]["clusterIP"].as_str() {
        // Messages name the address.
        Some(ip) if case["status"].is_object() => replace_text(case, "ALLOCATED", ip),
        _ => case.clone(),
    };
    // The recording shows the names of cluster-scoped objects in details as that of its namespace.
    if let Some(name) = case.pointer_mut("/status/details/name").filter(|name| **name == "ns") {
        *name = (*key.name).into();
    }
    differences.extend(compare(&case, answer, "after"));
    differences
}

/// Compares updates of the kinds with the recorded answers.
async fn check_updates(plurals: &[&str]) {
    let (golden, mut compared, mut failures) = (read(UPDATES), 0, Vec::new());
    for case in cases(&golden) {
        let base = &golden["bases"][text(case, "base")];
        if !plurals.contains(&split_path(text(base, "path")).0) {
            continue;
        }
        compared += 1;
        let differences = check_update(&golden, case).await;
        if !differences.is_empty() {
            failures.push(format!("{}:\n    {}", case["name"], differences.join("\n    ")));
        }
    }
    report(&failures, compared);
}

#[tokio::test(start_paused = true)]
async fn created_workloads_get_the_answers_of_kubernetes() {
    check_creations(group("workloads")).await;
}

#[tokio::test(start_paused = true)]
async fn updated_workloads_get_the_answers_of_kubernetes() {
    check_updates(group("workloads")).await;
}

#[tokio::test(start_paused = true)]
async fn created_cluster_objects_get_the_answers_of_kubernetes() {
    check_creations(group("cluster")).await;
}

#[tokio::test(start_paused = true)]
async fn updated_cluster_objects_get_the_answers_of_kubernetes() {
    check_updates(group("cluster")).await;
}

#[tokio::test(start_paused = true)]
async fn created_configuration_gets_the_answers_of_kubernetes() {
    check_creations(group("configuration")).await;
}

#[tokio::test(start_paused = true)]
async fn updated_configuration_gets_the_answers_of_kubernetes() {
    check_updates(group("configuration")).await;
}

#[tokio::test(start_paused = true)]
async fn created_policies_get_the_answers_of_kubernetes() {
    check_creations(group("policies")).await;
}

#[tokio::test(start_paused = true)]
async fn updated_policies_get_the_answers_of_kubernetes() {
    check_updates(group("policies")).await;
}

#[tokio::test(start_paused = true)]
async fn created_permissions_get_the_answers_of_kubernetes() {
    check_creations(group("permissions")).await;
}

#[tokio::test(start_paused = true)]
async fn created_networking_objects_get_the_answers_of_kubernetes() {
    check_creations(group("networking")).await;
}

#[tokio::test(start_paused = true)]
async fn updated_networking_objects_get_the_answers_of_kubernetes() {
    check_updates(group("networking")).await;
}

#[tokio::test(start_paused = true)]
async fn created_volumes_get_the_answers_of_kubernetes() {
    check_creations(group("volumes")).await;
}

#[tokio::test(start_paused = true)]
async fn updated_volumes_get_the_answers_of_kubernetes() {
    check_updates(group("volumes")).await;
}

#[test]
fn every_recorded_kind_in_the_table_is_compared() {
    let (creations, updates) = (read(CREATIONS), read(UPDATES));
    let bases = updates["bases"].as_object().expect("bases").values();
    let paths = creations.as_array().expect("cases").iter().chain(bases).map(|case| text(case, "path"));
    let mut missing: Vec<&str> = paths
        .map(|path| split_path(path).0)
        .filter(|plural| KINDS.iter().any(|kind| kind.names().plural == *plural))
        .filter(|plural| !is_tested(plural))
        .collect();
    missing.sort_unstable();
    missing.dedup();
    assert_eq!(missing, Vec::<&str>::new());
}
