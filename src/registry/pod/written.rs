//! A Pod in the store's JSON. Kubernetes writes the times of a condition whether they are set or not.

use k8s_openapi::api::core::v1::{Pod, PodCondition, PodSpec, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;

use crate::control::UnversionedObject;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'p> {
    api_version: &'static str,
    kind: &'static str,
    metadata: &'p ObjectMeta,
    #[serde(skip_serializing_if = "Option::is_none")]
    spec: Option<&'p PodSpec>,
    status: Status<'p>,
}

#[derive(Serialize)]
struct Status<'p> {
    conditions: Vec<Condition<'p>>,
    /// Without conditions.
    #[serde(flatten)]
    rest: &'p PodStatus,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Condition<'p> {
    #[serde(flatten)]
    set: &'p PodCondition,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_probe_time: Option<()>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_transition_time: Option<()>,
}

/// The pod as it is stored; its metadata carries no `resourceVersion`.
pub fn draft(mut pod: Pod) -> Result<UnversionedObject, serde_json::Error> {
    let conditions = pod.status.as_mut().and_then(|status| status.conditions.take()).unwrap_or_default();
    let Some(rest) = pod.status.as_ref().filter(|_| !conditions.is_empty()) else { return UnversionedObject::of(&pod) };
    // A unit is written as null.
    let unset = |set: bool| Some(()).filter(|()| !set);
    let conditions = conditions.iter().map(|set| Condition {
        set,
        last_probe_time: unset(set.last_probe_time.is_some()),
        last_transition_time: unset(set.last_transition_time.is_some()),
    });
    let status = Status { conditions: conditions.collect(), rest };
    let Pod { metadata, spec, .. } = &pod;
    UnversionedObject::of(&Written { api_version: "v1", kind: "Pod", metadata, spec: spec.as_ref(), status })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::control::Key;

    #[test]
    fn conditions_have_their_times_even_where_they_are_not_set() {
        let time = "2026-01-01T00:00:00Z";
        let pod = |conditions: Value| {
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": []},
                "status": {"phase": "Pending", "conditions": conditions}})
        };
        let said = pod(json!([{"type": "a", "status": "True"},
            {"type": "b", "status": "True", "lastProbeTime": time, "lastTransitionTime": time}]));
        let typed: Pod = serde_json::from_value(said).expect("a pod");
        let stored = draft(typed.clone()).expect("it encodes").with_revision(Key::pod("ns", "p"), 7);
        let mut want = pod(json!([
            {"type": "a", "status": "True", "lastProbeTime": null, "lastTransitionTime": null},
            {"type": "b", "status": "True", "lastProbeTime": time, "lastTransitionTime": time},
        ]));
        want["metadata"]["resourceVersion"] = "7".into();
        assert_eq!(serde_json::from_slice::<Value>(&stored.json).expect("JSON"), want);
        assert_eq!(stored.decode::<Pod>().expect("a pod").status, typed.status);
        let plain = draft(Pod::default()).expect("it encodes").with_revision(Key::pod("ns", "p"), 0);
        assert_eq!(serde_json::to_vec(&Pod::default()).expect("JSON"), plain.json);
    }
}
