//! The stored JSON of a Pod. Kubernetes writes a condition's times even if they are not set.

use k8s_openapi::api::core::v1::{Pod, PodCondition, PodSpec, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;

use crate::control::UnversionedObject;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EncodedPod<'p> {
    api_version: &'static str,
    kind: &'static str,
    metadata: &'p ObjectMeta,
    #[serde(skip_serializing_if = "Option::is_none")]
    spec: Option<&'p PodSpec>,
    status: EncodedStatus<'p>,
}

#[derive(Serialize)]
struct EncodedStatus<'p> {
    conditions: Vec<EncodedCondition<'p>>,
    /// The status without its conditions.
    #[serde(flatten)]
    rest: &'p PodStatus,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EncodedCondition<'p> {
    #[serde(flatten)]
    condition: &'p PodCondition,
    /// `Some` writes null.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_probe_time: Option<()>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_transition_time: Option<()>,
}

/// Encodes a pod for the store; its metadata has no `resourceVersion`.
pub fn encode(mut pod: Pod) -> Result<UnversionedObject, serde_json::Error> {
    let conditions = pod.status.as_mut().and_then(|status| status.conditions.take()).unwrap_or_default();
    let Some(rest) = pod.status.as_ref().filter(|_| !conditions.is_empty()) else {
        return UnversionedObject::encode(&pod);
    };
    let null_unless = |is_set: bool| Some(()).filter(|()| !is_set);
    let conditions = conditions.iter().map(|condition| EncodedCondition {
        condition,
        last_probe_time: null_unless(condition.last_probe_time.is_some()),
        last_transition_time: null_unless(condition.last_transition_time.is_some()),
    });
    let status = EncodedStatus { conditions: conditions.collect(), rest };
    let Pod { metadata, spec, .. } = &pod;
    UnversionedObject::encode(&EncodedPod { api_version: "v1", kind: "Pod", metadata, spec: spec.as_ref(), status })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::control::Key;

    #[test]
    fn unset_condition_times_are_written_as_null() {
        let time = "2026-01-01T00:00:00Z";
        let pod = |conditions: Value| {
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": []},
                "status": {"phase": "Pending", "conditions": conditions}})
        };
        let json = pod(json!([{"type": "a", "status": "True"},
            {"type": "b", "status": "True", "lastProbeTime": time, "lastTransitionTime": time}]));
        let typed: Pod = serde_json::from_value(json).expect("a pod");
        let stored = encode(typed.clone()).expect("it encodes").with_revision(Key::pod("ns", "p"), 7);
        let mut want = pod(json!([
            {"type": "a", "status": "True", "lastProbeTime": null, "lastTransitionTime": null},
            {"type": "b", "status": "True", "lastProbeTime": time, "lastTransitionTime": time},
        ]));
        want["metadata"]["resourceVersion"] = "7".into();
        assert_eq!(serde_json::from_slice::<Value>(&stored.json).expect("JSON"), want);
        assert_eq!(stored.decode::<Pod>().expect("a pod").status, typed.status);
        let plain = encode(Pod::default()).expect("it encodes").with_revision(Key::pod("ns", "p"), 0);
        assert_eq!(serde_json::to_vec(&Pod::default()).expect("JSON"), plain.json);
    }
}
