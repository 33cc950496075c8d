//! The kinds that Kubernetes has, and which of them wasmpod runs.

/// What is known of an `apiVersion` and `kind`.
#[derive(Debug, PartialEq, Eq)]
pub enum Known {
    Pod,
    List,
    /// A kind of Kubernetes that is not supported yet.
    NotYet,
    /// No such kind; `known_in` names the version that has it.
    Unknown {
        known_in: Option<&'static str>,
    },
}

/// Kinds of Kubernetes 1.36 by the version that serves them.
const NOT_YET: &[(&str, &[&str])] = &[
    (
        "v1",
        &[
            "ConfigMap",
            "Secret",
            "Service",
            "Namespace",
            "PersistentVolumeClaim",
            "PersistentVolume",
            "ServiceAccount",
            "ReplicationController",
            "Node",
            "Event",
            "Endpoints",
            "LimitRange",
            "ResourceQuota",
            "PodTemplate",
            "Binding",
        ],
    ),
    ("apps/v1", &["Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "ControllerRevision"]),
    ("batch/v1", &["Job", "CronJob"]),
    ("policy/v1", &["PodDisruptionBudget"]),
    ("networking.k8s.io/v1", &["NetworkPolicy", "Ingress", "IngressClass"]),
    ("autoscaling/v2", &["HorizontalPodAutoscaler"]),
    ("discovery.k8s.io/v1", &["EndpointSlice"]),
    ("rbac.authorization.k8s.io/v1", &["Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"]),
    ("storage.k8s.io/v1", &["StorageClass", "CSIDriver", "VolumeAttachment"]),
    ("scheduling.k8s.io/v1", &["PriorityClass"]),
    ("coordination.k8s.io/v1", &["Lease"]),
    ("apiextensions.k8s.io/v1", &["CustomResourceDefinition"]),
];

/// Looks `kind` in `api_version` up.
pub fn look_up(api_version: &str, kind: &str) -> Known {
    match (api_version, kind) {
        ("v1", "Pod") => return Known::Pod,
        ("v1", "List" | "PodList") => return Known::List,
        _ => {}
    }
    if kind == "Pod" {
        return Known::Unknown { known_in: Some("v1") };
    }
    let served = NOT_YET.iter().find(|(_, kinds)| kinds.contains(&kind));
    match served {
        Some((version, _)) if *version == api_version => Known::NotYet,
        Some((version, _)) => Known::Unknown { known_in: Some(version) },
        None => Known::Unknown { known_in: None },
    }
}
