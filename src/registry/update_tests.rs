//! Updates of stored pods, beside what the golden data holds.

use serde_json::{Value, json};

use super::*;
use crate::control::{FieldValidation, Patch, PatchKind};
use crate::model::pods;

/// A registry with pod `w`, which waits for a node that nobody has.
struct Stored(Registry);

fn key() -> Key {
    Key::pod("default", "w")
}

impl Stored {
    async fn new(spec: Value) -> Stored {
        let start = "2026-01-01T00:00:00Z".parse().expect("a time");
        let registry = Registry::new(ObjectStore::new(100), Clock::starting_at(start));
        let mut pod = json!({"metadata": {"name": "w", "labels": {"a": "v"}},
            "spec": {"nodeName": "ghost", "containers": [{"name": "c", "image": "x"}]}});
        json_patch::merge(&mut pod["spec"], &spec);
        registry.create(Body::Pod(Box::new(serde_json::from_value(pod).expect("a pod")))).await.expect("created");
        Stored(registry)
    }

    async fn pod(&self) -> Value {
        let object = self.0.get(&key()).await.expect("the pod");
        serde_json::from_slice(&object.json).expect("JSON")
    }

    async fn put(&self, subresource: Subresource, pod: &Value) -> Result<Value, Status> {
        let body = Body::Pod(Box::new(serde_json::from_value(pod.clone()).expect("a pod")));
        self.updated(Update::Replace { body, subresource }).await
    }

    async fn patch(&self, kind: PatchKind, subresource: Subresource, patch: &Value) -> Result<Value, Status> {
        let body = patch.to_string().into_bytes();
        let patch = Patch { kind, body, field_validation: FieldValidation::Strict };
        self.updated(Update::Patch { patch, subresource }).await
    }

    async fn updated(&self, update: Update) -> Result<Value, Status> {
        let object = self.0.update(&key(), update, Preconditions::default()).await?;
        Ok(serde_json::from_slice(&object.json).expect("JSON"))
    }
}

#[tokio::test(start_paused = true)]
async fn subresources_of_the_spec_leave_metadata_alone() {
    for subresource in [Subresource::Resize, Subresource::EphemeralContainers] {
        let stored = Stored::new(json!({})).await;
        let before = stored.pod().await;
        let metadata = json!({"labels": {"a": "other"}, "annotations": {"b": "c"}, "finalizers": ["x.y/z"],
            "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "o", "uid": "u"}]});
        let after = stored.patch(PatchKind::Merge, subresource, &json!({"metadata": metadata})).await.expect("taken");
        assert_eq!(after, before, "{subresource:?}");
        let other = json!({"metadata": {"uid": "other"}});
        let refused = stored.patch(PatchKind::Merge, subresource, &other).await.expect_err("another object");
        assert!(refused.message.contains("metadata.uid: Invalid value: \"other\": field is immutable"), "{refused}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_replaces_another_object_is_refused_in_the_stores_words() {
    let stored = Stored::new(json!({})).await;
    let mut pod = stored.pod().await;
    let uid = pod["metadata"]["uid"].as_str().expect("a UID").to_string();
    pod["metadata"]["uid"] = "other".into();
    pod["metadata"]["resourceVersion"] = "1".into();
    for subresource in [Subresource::None, Subresource::Status] {
        let refused = stored.put(subresource, &pod).await.expect_err("another object");
        let words = format!(
            "Operation cannot be fulfilled on pods \"w\": StorageError: invalid object, Code: 4, Key: \
             /registry/pods/default/w, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in \
             precondition: other, UID in object meta: {uid}"
        );
        assert_eq!((refused.reason, refused.message), (Reason::Conflict, words));
    }
}

#[tokio::test(start_paused = true)]
async fn revision_zero_is_any() {
    let stored = Stored::new(json!({})).await;
    let mut pod = stored.pod().await;
    pod["metadata"]["labels"]["a"] = "b".into();
    for (revision, taken) in [("1", false), ("0", true)] {
        pod["metadata"]["resourceVersion"] = revision.into();
        assert_eq!(stored.put(Subresource::None, &pod).await.is_ok(), taken, "{revision}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_admission_filled_in_stays_where_an_update_leaves_it_out() {
    let own = json!({"key": "own", "operator": "Exists"});
    let stored = Stored::new(json!({"tolerations": [own], "priorityClassName": "system-node-critical"})).await;
    let before = stored.pod().await;
    let mut bare = before.clone();
    let spec = bare["spec"].as_object_mut().expect("a spec");
    for field in ["priority", "preemptionPolicy"] {
        spec.remove(field).expect("admission's");
    }
    spec["tolerations"].as_array_mut().expect("tolerations").truncate(1);
    assert_eq!(stored.put(Subresource::None, &bare).await.expect("taken"), before);
    let nothing = json!({"spec": {"tolerations": null}});
    let refused = stored.patch(PatchKind::Merge, Subresource::None, &nothing).await.expect_err("the pod's own went");
    assert!(refused.message.contains("existing toleration can not be modified"), "{refused}");
    let stored = Stored::new(json!({})).await;
    let before = stored.pod().await;
    assert_eq!(stored.patch(PatchKind::Merge, Subresource::None, &nothing).await, Ok(before));
}

#[tokio::test(start_paused = true)]
async fn keys_of_labels_become_rules_of_the_selector() {
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
    let spec = Stored::new(spec).await.pod().await["spec"].take();
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
    let refused = pod::prepare_for_create(pod, now).expect_err("the key is there twice");
    let at = "spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0][0]";
    let words = format!("{at}: Invalid value: \"a\": exists in both matchLabelKeys and labelSelector");
    assert!(refused.message.ends_with(&words), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_deletion_on_condition_of_what_is_no_revision_is_refused_like_one_of_another_revision() {
    let stored = Stored::new(json!({})).await;
    let pod: Pod = serde_json::from_value(stored.pod().await).expect("a pod");
    let record = pod.metadata.resource_version.clone().expect("a revision");
    for wanted in ["abc", "1", ""] {
        let preconditions = Preconditions { uid: Some(pods::uid(&pod).into()), revision: Some(wanted.into()) };
        let options = DeleteOptions { grace_seconds: None, preconditions };
        let refused = stored.0.delete(&key(), options).await.expect_err("another revision");
        let words = format!(
            "Operation cannot be fulfilled on Pod \"w\": the ResourceVersion in the precondition ({wanted}) does not \
             match the ResourceVersion in record ({record}). The object might have been modified"
        );
        assert_eq!((refused.reason, refused.message), (Reason::Conflict, words));
    }
}

#[tokio::test(start_paused = true)]
async fn a_pods_address_stands_twice_and_the_older_field_counts() {
    let stored = Stored::new(json!({})).await;
    for (patch, ip, ips) in [
        (json!({"podIP": "1.2.3.4"}), "1.2.3.4", &["1.2.3.4"][..]),
        (json!({"podIP": null, "podIPs": [{"ip": "1.2.3.9"}, {"ip": "fd00::1"}]}), "1.2.3.9", &["1.2.3.9", "fd00::1"]),
        (json!({"podIP": "1.2.3.4", "podIPs": [{"ip": "1.2.3.9"}]}), "1.2.3.4", &["1.2.3.4"]),
        (json!({"podIP": "1.2.3.4", "podIPs": null}), "1.2.3.4", &["1.2.3.4"]),
    ] {
        let whole = json!({"status": patch});
        let status = stored.patch(PatchKind::Merge, Subresource::Status, &whole).await.expect("taken")["status"].take();
        let ips: Vec<Value> = ips.iter().map(|ip| json!({"ip": ip})).collect();
        assert_eq!((&status["podIP"], &status["podIPs"]), (&json!(ip), &json!(ips)), "{patch}");
    }
}

#[tokio::test(start_paused = true)]
async fn claims_are_told_of_that_the_pod_has_each_once() {
    let claims = json!([{"name": "c", "resourceClaimName": "made"}, {"name": "d", "resourceClaimTemplateName": "t"}]);
    let stored = Stored::new(json!({"resourceClaims": claims})).await;
    let statuses = json!([{"name": "d"}, {"name": "nope"}, {"name": "d", "resourceClaimName": "Not_One"}]);
    let whole = json!({"status": {"resourceClaimStatuses": statuses}});
    let refused = stored.patch(PatchKind::Merge, Subresource::Status, &whole).await.expect_err("not its own");
    let told: Vec<String> = refused.causes.iter().map(ToString::to_string).collect();
    let at = |i: usize| format!("status.resourceClaimStatuses[{i}].name: ");
    assert_eq!(
        told[..2],
        [
            at(1) + "Invalid value: \"nope\": must match the name of an entry in `spec.resourceClaims`",
            at(2) + "Duplicate value: \"d\"",
        ]
    );
    assert!(told[2].starts_with(&(at(2) + "Invalid value: \"Not_One\": a lowercase RFC 1123")), "{told:?}");
    let whole = json!({"status": {"resourceClaimStatuses": [{"name": "d", "resourceClaimName": "one"}]}});
    stored.patch(PatchKind::Merge, Subresource::Status, &whole).await.expect("its own");
}
