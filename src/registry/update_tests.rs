//! Updates of stored pods that the golden files do not cover.

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::*;
use crate::control::{FieldValidation, Patch, PatchKind, Subresource};
use crate::model::pods;

/// A registry with pod `w`, bound to a node that does not exist.
struct Fixture(Registry);

fn key() -> Key {
    Key::pod("default", "w")
}

impl Fixture {
    async fn new(spec: Value) -> Fixture {
        let start = "2026-01-01T00:00:00Z".parse().expect("a time");
        let registry = Registry::new(ObjectStore::new(100), Clock::starting_at(start));
        let mut pod = json!({"metadata": {"name": "w", "labels": {"a": "v"}},
            "spec": {"nodeName": "ghost", "containers": [{"name": "c", "image": "x"}]}});
        json_patch::merge(&mut pod["spec"], &spec);
        registry.create(Body::from(serde_json::from_value::<Pod>(pod).expect("a pod"))).await.expect("created");
        Fixture(registry)
    }

    async fn pod(&self) -> Value {
        let object = self.0.get(&key()).await.expect("the pod");
        serde_json::from_slice(&object.json).expect("JSON")
    }

    async fn put(&self, subresource: Subresource, pod: &Value) -> Result<Value, Status> {
        let body = Body::from(serde_json::from_value::<Pod>(pod.clone()).expect("a pod"));
        self.update(Update::Replace { body, subresource }).await
    }

    async fn patch(&self, kind: PatchKind, subresource: Subresource, patch: &Value) -> Result<Value, Status> {
        let body = patch.to_string().into_bytes();
        let patch = Patch { kind, body, field_validation: FieldValidation::Strict };
        self.update(Update::Patch { patch, subresource }).await
    }

    async fn update(&self, update: Update) -> Result<Value, Status> {
        let object = self.0.update(&key(), update, Preconditions::default()).await?;
        Ok(serde_json::from_slice(&object.json).expect("JSON"))
    }
}

#[tokio::test(start_paused = true)]
async fn spec_subresources_leave_metadata_unchanged() {
    for subresource in [Subresource::Resize, Subresource::EphemeralContainers] {
        let fixture = Fixture::new(json!({})).await;
        let before = fixture.pod().await;
        let metadata = json!({"labels": {"a": "other"}, "annotations": {"b": "c"}, "finalizers": ["x.y/z"],
            "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "o", "uid": "u"}]});
        let after =
            fixture.patch(PatchKind::Merge, subresource, &json!({"metadata": metadata})).await.expect("accepted");
        assert_eq!(after, before, "{subresource:?}");
        let other = json!({"metadata": {"uid": "other"}});
        let error = fixture.patch(PatchKind::Merge, subresource, &other).await.expect_err("another object");
        assert!(error.message.contains("metadata.uid: Invalid value: \"other\": field is immutable"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn replacement_rejects_another_uid() {
    let fixture = Fixture::new(json!({})).await;
    let mut pod = fixture.pod().await;
    let uid = pod["metadata"]["uid"].as_str().expect("a UID").to_string();
    pod["metadata"]["uid"] = "other".into();
    pod["metadata"]["resourceVersion"] = "1".into();
    for subresource in [Subresource::Main, Subresource::Status] {
        let error = fixture.put(subresource, &pod).await.expect_err("another object");
        let words = format!(
            "Operation cannot be fulfilled on pods \"w\": StorageError: invalid object, Code: 4, Key: \
             /registry/pods/default/w, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in \
             precondition: other, UID in object meta: {uid}"
        );
        assert_eq!((error.reason, error.message), (Reason::Conflict, words));
    }
}

#[tokio::test(start_paused = true)]
async fn resource_version_zero_matches_any() {
    let fixture = Fixture::new(json!({})).await;
    let mut pod = fixture.pod().await;
    pod["metadata"]["labels"]["a"] = "b".into();
    for (revision, is_accepted) in [("1", false), ("0", true)] {
        pod["metadata"]["resourceVersion"] = revision.into();
        assert_eq!(fixture.put(Subresource::Main, &pod).await.is_ok(), is_accepted, "{revision}");
    }
}

#[tokio::test(start_paused = true)]
async fn updates_keep_the_values_of_admission() {
    let own = json!({"key": "own", "operator": "Exists"});
    let fixture = Fixture::new(json!({"tolerations": [own], "priorityClassName": "system-node-critical"})).await;
    let before = fixture.pod().await;
    let mut bare = before.clone();
    let spec = bare["spec"].as_object_mut().expect("a spec");
    for field in ["priority", "preemptionPolicy"] {
        spec.remove(field).expect("set by admission");
    }
    spec["tolerations"].as_array_mut().expect("tolerations").truncate(1);
    assert_eq!(fixture.put(Subresource::Main, &bare).await.expect("accepted"), before);
    let nothing = json!({"spec": {"tolerations": null}});
    let error = fixture
        .patch(PatchKind::Merge, Subresource::Main, &nothing)
        .await
        .expect_err("the pod's own toleration is missing");
    assert!(error.message.contains("existing toleration can not be modified"), "{error}");
    let fixture = Fixture::new(json!({})).await;
    let before = fixture.pod().await;
    assert_eq!(fixture.patch(PatchKind::Merge, Subresource::Main, &nothing).await, Ok(before));
}

#[tokio::test(start_paused = true)]
async fn match_label_keys_become_selector_requirements() {
    let selector = json!({"matchExpressions": [{"key": "b", "operator": "Exists"}]});
    let term = json!({"topologyKey": "z", "labelSelector": selector, "matchLabelKeys": ["a", "none"]});
    let mut other = json!({"topologyKey": "z", "labelSelector": {}, "mismatchLabelKeys": ["a"]});
    let terms = json!({
        "requiredDuringSchedulingIgnoredDuringExecution": [term, other],
        "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "podAffinityTerm": term}],
    });
    let mut constraint = term.clone();
    constraint["maxSkew"] = 1.into();
    constraint["whenUnsatisfiable"] = "ScheduleAnyway".into();
    let affinity = json!({"podAffinity": terms, "podAntiAffinity": terms});
    let spec = json!({"affinity": affinity, "topologySpreadConstraints": [constraint]});
    let spec = Fixture::new(spec).await.pod().await["spec"].take();
    let rule = |operator: &str| json!({"key": "a", "operator": operator, "values": ["v"]});
    let merged = json!({"matchExpressions": [{"key": "b", "operator": "Exists"}, rule("In")]});
    assert_eq!(spec["topologySpreadConstraints"][0]["labelSelector"], merged);
    for kind in ["podAffinity", "podAntiAffinity"] {
        let terms = &spec["affinity"][kind];
        let required = &terms["requiredDuringSchedulingIgnoredDuringExecution"];
        assert_eq!(required[0]["labelSelector"], merged, "{kind}");
        assert_eq!(required[1]["labelSelector"], json!({"matchExpressions": [rule("NotIn")]}), "{kind}");
        let preferred = &terms["preferredDuringSchedulingIgnoredDuringExecution"][0]["podAffinityTerm"];
        assert_eq!(preferred["labelSelector"], merged, "{kind}");
    }

    other["matchLabelKeys"] = json!(["a"]);
    other["mismatchLabelKeys"] = Value::Null;
    other["labelSelector"] = json!({"matchLabels": {"a": "v"}});
    let affinity = json!({"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [other]}});
    let pod = json!({"metadata": {"name": "p", "labels": {"a": "v"}},
        "spec": {"affinity": affinity, "containers": [{"name": "c", "image": "x"}]}});
    let pod: Pod = serde_json::from_value(pod).expect("a pod");
    let now = "2026-01-01T00:00:00Z".parse().expect("a time");
    let error = pod::before_create(pod, now).expect_err("the key is a duplicate");
    let path = "spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0][0]";
    let words = format!("{path}: Invalid value: \"a\": exists in both matchLabelKeys and labelSelector");
    assert!(error.message.ends_with(&words), "{error}");
}

#[tokio::test(start_paused = true)]
async fn deletion_rejects_another_resource_version() {
    let fixture = Fixture::new(json!({})).await;
    let pod: Pod = serde_json::from_value(fixture.pod().await).expect("a pod");
    let record = pod.metadata.resource_version.clone().expect("a revision");
    for wanted in ["abc", "1", ""] {
        let preconditions = Preconditions { uid: Some(pods::uid(&pod).into()), revision: Some(wanted.into()) };
        let options = DeleteOptions { grace_seconds: None, preconditions, propagation: None };
        let error = fixture.0.delete(&key(), options).await.expect_err("another revision");
        let words = format!(
            "Operation cannot be fulfilled on Pod \"w\": the ResourceVersion in the precondition ({wanted}) does not \
             match the ResourceVersion in record ({record}). The object might have been modified"
        );
        assert_eq!((error.reason, error.message), (Reason::Conflict, words));
    }
}

#[tokio::test(start_paused = true)]
async fn pod_ip_takes_precedence_over_pod_ips() {
    let fixture = Fixture::new(json!({})).await;
    for (patch, ip, ips) in [
        (json!({"podIP": "1.2.3.4"}), "1.2.3.4", &["1.2.3.4"][..]),
        (json!({"podIP": null, "podIPs": [{"ip": "1.2.3.9"}, {"ip": "fd00::1"}]}), "1.2.3.9", &["1.2.3.9", "fd00::1"]),
        (json!({"podIP": "1.2.3.4", "podIPs": [{"ip": "1.2.3.9"}]}), "1.2.3.4", &["1.2.3.4"]),
        (json!({"podIP": "1.2.3.4", "podIPs": null}), "1.2.3.4", &["1.2.3.4"]),
    ] {
        let whole = json!({"status": patch});
        let status =
            fixture.patch(PatchKind::Merge, Subresource::Status, &whole).await.expect("accepted")["status"].take();
        let ips: Vec<Value> = ips.iter().map(|ip| json!({"ip": ip})).collect();
        assert_eq!((&status["podIP"], &status["podIPs"]), (&json!(ip), &json!(ips)), "{patch}");
    }
}

#[tokio::test(start_paused = true)]
async fn claim_statuses_name_each_claim_of_the_pod_once() {
    let claims = json!([{"name": "c", "resourceClaimName": "made"}, {"name": "d", "resourceClaimTemplateName": "t"}]);
    let fixture = Fixture::new(json!({"resourceClaims": claims})).await;
    let statuses = json!([{"name": "d"}, {"name": "nope"}, {"name": "d", "resourceClaimName": "Not_One"}]);
    let whole = json!({"status": {"resourceClaimStatuses": statuses}});
    let error =
        fixture.patch(PatchKind::Merge, Subresource::Status, &whole).await.expect_err("unknown and duplicate claims");
    let causes: Vec<String> = error.causes.iter().map(ToString::to_string).collect();
    let path = |i: usize| format!("status.resourceClaimStatuses[{i}].name: ");
    assert_eq!(
        causes[..2],
        [
            path(1) + "Invalid value: \"nope\": must match the name of an entry in `spec.resourceClaims`",
            path(2) + "Duplicate value: \"d\"",
        ]
    );
    assert!(causes[2].starts_with(&(path(2) + "Invalid value: \"Not_One\": a lowercase RFC 1123")), "{causes:?}");
    let whole = json!({"status": {"resourceClaimStatuses": [{"name": "d", "resourceClaimName": "one"}]}});
    fixture.patch(PatchKind::Merge, Subresource::Status, &whole).await.expect("a claim of the pod");
}
