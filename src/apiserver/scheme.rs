//! The kinds that Kubernetes' API server decodes, whether it serves them or not: its scheme.

use crate::model;
use crate::registry::kinds;

/// Kinds that Kubernetes decodes in versions that it serves only on request or no longer, by API version
/// (the `install` packages of its `pkg/apis`).
const UNSERVED_VERSIONS: &[(&str, &[&str])] = &[
    ("apps/v1beta1", &["ControllerRevision", "Deployment", "Scale", "StatefulSet"]),
    ("apps/v1beta2", &["ControllerRevision", "DaemonSet", "Deployment", "ReplicaSet", "Scale", "StatefulSet"]),
    ("batch/v1beta1", &["CronJob"]),
    ("coordination.k8s.io/v1beta1", &["Lease"]),
    ("discovery.k8s.io/v1beta1", &["EndpointSlice"]),
    ("events.k8s.io/v1beta1", &["Event"]),
    ("extensions/v1beta1", &["DaemonSet", "Deployment", "Ingress", "NetworkPolicy", "ReplicaSet", "Scale"]),
    ("networking.k8s.io/v1beta1", &["Ingress", "IngressClass", "IPAddress", "ServiceCIDR"]),
    ("node.k8s.io/v1beta1", &["RuntimeClass"]),
    ("policy/v1beta1", &["Eviction", "PodDisruptionBudget"]),
    ("rbac.authorization.k8s.io/v1alpha1", &["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"]),
    ("rbac.authorization.k8s.io/v1beta1", &["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"]),
    ("scheduling.k8s.io/v1alpha1", &["PriorityClass"]),
    ("scheduling.k8s.io/v1beta1", &["PriorityClass"]),
    ("storage.k8s.io/v1beta1", &["CSIDriver", "CSINode", "StorageClass", "VolumeAttachment", "VolumeAttributesClass"]),
];

/// Returns whether Kubernetes decodes a `kind` of `api_version`.
pub fn is_registered(api_version: &str, kind: &str) -> bool {
    model::is_kubernetes_kind(kinds::types(), api_version, kind)
        || UNSERVED_VERSIONS.iter().any(|(version, kinds)| *version == api_version && kinds.contains(&kind))
}

#[cfg(test)]
mod tests {
    use super::is_registered;

    #[test]
    fn old_and_served_versions_are_registered() {
        for (api_version, kind) in [
            ("v1", "Pod"),
            ("v1", "Event"),
            ("events.k8s.io/v1", "Event"),
            ("autoscaling/v1", "HorizontalPodAutoscaler"),
            ("policy/v1beta1", "PodDisruptionBudget"),
        ] {
            assert!(is_registered(api_version, kind), "{api_version} {kind}");
        }
        for (api_version, kind) in [("apps/v1", "Pod"), ("policy/v1beta1", "Pod"), ("v2", "Pod"), ("v1", "Podd")] {
            assert!(!is_registered(api_version, kind), "{api_version} {kind}");
        }
    }
}
