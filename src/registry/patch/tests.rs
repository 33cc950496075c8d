use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

use super::*;
use crate::control::Warnings;

fn patched(kind: PatchKind, current: Value, patch: Value) -> Result<Value, Status> {
    let patch = Patch { kind, body: patch.to_string().into_bytes(), field_validation: FieldValidation::Strict };
    apply_as("v1", "Pod", &current, &patch)
}

#[test]
fn strategic_merges_follow_merge_keys_and_directives() {
    let env = |names: &[&str]| -> Value {
        let env: Vec<Value> = names.iter().map(|name| json!({"name": name, "value": "1"})).collect();
        json!({"spec": {"containers": [{"name": "c", "env": env}]}})
    };
    let patch_env = |env: Value| json!({"spec": {"containers": [{"name": "c", "env": env}]}});
    for (case, current, patch, want) in [
        (
            "a field of a matching item changes",
            env(&["A"]),
            patch_env(json!([{"name": "A", "value": "2"}])),
            json!({"spec": {"containers": [{"name": "c", "env": [{"name": "A", "value": "2"}]}]}}),
        ),
        ("a new item stands first", env(&["A"]), patch_env(json!([{"name": "B", "value": "1"}])), env(&["B", "A"])),
        (
            "unchanged items keep their order",
            env(&["A", "B", "C"]),
            patch_env(json!([{"name": "C", "value": "1"}])),
            env(&["A", "B", "C"]),
        ),
        ("an item is deleted", env(&["A", "B"]), patch_env(json!([{"name": "A", "$patch": "delete"}])), env(&["B"])),
        (
            "a list is replaced",
            env(&["A", "B"]),
            patch_env(json!([{"$patch": "replace"}, {"name": "Z", "value": "1"}])),
            env(&["Z"]),
        ),
        (
            "an order is set",
            env(&["A", "B", "C"]),
            json!({"spec": {"containers": [{"name": "c",
                "$setElementOrder/env": [{"name": "C"}, {"name": "B"}, {"name": "A"}]}]}}),
            env(&["C", "B", "A"]),
        ),
        (
            "null deletes",
            json!({"metadata": {"labels": {"a": "1", "b": "2"}}}),
            json!({"metadata": {"labels": {"a": null}}}),
            json!({"metadata": {"labels": {"b": "2"}}}),
        ),
        (
            "a map is replaced",
            json!({"metadata": {"labels": {"a": "1", "b": "2"}}}),
            json!({"metadata": {"labels": {"$patch": "replace", "c": "3"}}}),
            json!({"metadata": {"labels": {"c": "3"}}}),
        ),
        (
            "a map is emptied",
            json!({"metadata": {"labels": {"a": "1"}, "name": "n"}}),
            json!({"metadata": {"labels": {"$patch": "delete"}}}),
            json!({"metadata": {"labels": {}, "name": "n"}}),
        ),
        (
            "only some keys are retained",
            json!({"spec": {"volumes": [{"name": "v", "emptyDir": {}}]}}),
            json!({"spec": {"volumes": [{"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/"}}]}}),
            json!({"spec": {"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}}),
        ),
        (
            "primitives are added once and deleted",
            json!({"metadata": {"finalizers": ["a/a", "b/b"]}}),
            json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a/a"], "finalizers": ["b/b", "c/c"]}}),
            json!({"metadata": {"finalizers": ["b/b", "c/c"]}}),
        ),
        (
            "an atomic list is replaced",
            json!({"spec": {"tolerations": [{"key": "a"}]}}),
            json!({"spec": {"tolerations": [{"key": "b"}]}}),
            json!({"spec": {"tolerations": [{"key": "b"}]}}),
        ),
    ] {
        assert_eq!(patched(PatchKind::StrategicMerge, current, patch), Ok(want), "{case}");
    }
}

#[test]
fn long_lists_are_merged_in_time_proportional_to_their_length() {
    let containers =
        |image: &str| -> Vec<Value> { (0..20_000).map(|i| json!({"name": format!("c{i}"), "image": image})).collect() };
    let pod = |containers: Vec<Value>| json!({"spec": {"containers": containers}});
    let reversed = || containers("new").into_iter().rev().collect();
    let start = std::time::Instant::now();
    let merged = patched(PatchKind::StrategicMerge, pod(containers("old")), pod(reversed())).expect("it applies");
    assert_eq!(merged, pod(reversed()), "items of a patch stand in its order");
    let finalizers =
        |end: usize| json!({"metadata": {"finalizers": (0..end).map(|i| format!("x.y/{i}")).collect::<Vec<_>>()}});
    let merged = patched(PatchKind::StrategicMerge, finalizers(20_000), finalizers(40_000)).expect("it applies");
    assert_eq!(merged, finalizers(40_000));
    assert!(start.elapsed() < std::time::Duration::from_secs(10), "{:?}", start.elapsed());
}

#[test]
fn malformed_patches_are_rejected() {
    let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c"}]}});
    let nameless = json!({"spec": {"containers": [{"image": "x"}]}});
    for (kind, patch, code, words) in [
        (
            PatchKind::StrategicMerge,
            nameless,
            400,
            "map: map in list containers does not contain declared merge key: name",
        ),
        (
            PatchKind::StrategicMerge,
            json!({"spec": {"$setElementOrder/containers": [{"name": "d"}],
                "containers": [{"name": "c", "image": "x"}]}}),
            400,
            "The order in patch list:\n[map[image:x name:c]]\n doesn't match $setElementOrder list:\n[map[name:d]]\n",
        ),
        (PatchKind::StrategicMerge, json!({"metadata": {"$patch": "sideways"}}), 400, "Unknown patch type: sideways"),
        (PatchKind::Merge, json!([]), 400, "error decoding patch: wanted an object"),
        (PatchKind::Json, json!([{"op": "remove", "path": "/spec/nope"}]), 422, "the server rejected our request"),
        (PatchKind::Json, json!([{"op": "sing", "path": "/a"}]), 422, "the server rejected our request"),
        (PatchKind::Json, json!([{"op": "remove"}]), 422, "the server rejected our request"),
        (PatchKind::Json, json!([{"op": "replace", "path": "", "value": {}}]), 422, "the server rejected our request"),
        (PatchKind::Json, json!([{"op": 1}]), 400, "error decoding patch"),
        (PatchKind::Json, json!({"op": "sing"}), 400, "error decoding patch"),
        (
            PatchKind::Json,
            vec![json!({"op": "sing"}); 10_001].into(),
            413,
            "Request entity too large: The allowed maximum operations in a JSON patch is 10000, got 10001",
        ),
    ] {
        let status = patched(kind, pod.clone(), patch).expect_err(words);
        assert_eq!(status.reason.code(), code, "{words}");
        assert!(status.message.contains(words), "{}", status.message);
    }
}

#[test]
fn duplicate_fields_are_rejected_or_warned_about() {
    let pod: Pod = serde_json::from_value(json!({"metadata": {"name": "p"}})).expect("a pod");
    let patched = |field_validation: FieldValidation| {
        let body = br#"{"metadata": {"labels": {"a": "x", "a": "y"}}, "spec": {"nope": 1, "containers": []}}"#.to_vec();
        apply_as("v1", "Pod", &pod, &Patch { kind: PatchKind::Merge, body, field_validation })
    };
    let errors = ["duplicate field \"metadata.labels.a\"", "unknown field \"spec.nope\""];
    let error = patched(FieldValidation::Strict).expect_err("duplicate fields").message;
    assert!(error.ends_with(&format!(": strict decoding error: {}", errors.join(", "))), "{error}");
    let warnings = Warnings::default();
    let accepted = patched(FieldValidation::Warn(warnings.clone())).expect("the last value wins");
    assert_eq!(accepted.metadata.labels, Some([("a".to_string(), "y".to_string())].into()));
    assert_eq!(warnings.take(), errors);
    assert!(patched(FieldValidation::Ignore).is_ok());
}

#[test]
fn replace_of_a_missing_field_sets_it() {
    let patch = json!([{"op": "replace", "path": "/metadata/labels", "value": {"a": "b"}}]);
    let want = json!({"metadata": {"labels": {"a": "b"}}});
    assert_eq!(patched(PatchKind::Json, json!({"metadata": {}}), patch), Ok(want));
}

#[test]
fn copied_bytes_are_limited_as_in_kubernetes() {
    let mut operations = vec![format!(r#"{{"op": "add", "path": "/a", "value": {{"x": "{}"}}}}"#, "a".repeat(1000))];
    operations.extend((0..60).map(|i| format!(r#"{{"op": "copy", "from": "/a", "path": "/a/b{i}"}}"#)));
    let mut document = serde_json::json!({});
    let body = format!("[{}]", operations.join(","));
    let error = super::operations::apply(&mut document, body.as_bytes()).expect_err("exceeds the limit");
    assert!(error.message.contains("exceeding the limit 3145728"), "{}", error.message);
    let few = format!("[{}]", operations[..5].join(","));
    super::operations::apply(&mut serde_json::json!({}), few.as_bytes()).expect("within the limit");
}

#[test]
fn unknown_field_errors_show_the_result_or_the_patch() {
    let pod = || serde_json::from_value::<Pod>(json!({"metadata": {"name": "p"}})).expect("a pod");
    let unknown = json!({"spec": {"nope": {"b": [1, "x", null], "a": 1.5}, "containers": []}});
    let add = json!([{"op": "add", "path": "/spec", "value": unknown["spec"]}]);
    let outcome = r#""{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\"},\"spec\":{\"containers\":[],\"nope\""#;
    let merged = outcome.replace(",null", "");
    for (kind, patch, shown) in [
        (PatchKind::Json, &add, outcome),
        (PatchKind::Merge, &unknown, merged.as_str()),
        (
            PatchKind::StrategicMerge,
            &unknown,
            r#""map[spec:map[containers:[] nope:map[a:1.5 b:[1 x <nil>]]]]": strict decoding error: unknown field \"spec.nope\""#,
        ),
    ] {
        let body = patch.to_string().into_bytes();
        let error = apply_as("v1", "Pod", &pod(), &Patch { kind, body, field_validation: FieldValidation::Strict });
        let message = error.expect_err("unknown").message;
        let start = format!(" \"\" is invalid: patch: Invalid value: {shown}");
        assert!(message.starts_with(&start.replace("field \\\"spec.nope\\\"", "field \"spec.nope\"")), "{message}");
    }
}
