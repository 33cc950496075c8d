//! The kinds that wasmpod supports, and the other kinds of Kubernetes.

use k8s_openapi::api::{apps, batch, core, networking, policy};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::diagnostic::DiagnosticSink;
use super::names::nearest;
use super::strict;
use super::tree::YamlNode;

macro_rules! kinds {
    ($($kind:ident: $type:ty, $version:literal;)*) => {
        /// A supported kind.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Kind {
            $(#[doc = concat!("`", $version, "`")] $kind,)*
        }

        /// An object of a manifest.
        #[derive(Debug, Clone)]
        pub enum ManifestObject {
            $(#[doc = concat!("A ", stringify!($kind))] $kind(Box<$type>),)*
        }

        impl Kind {
            /// All supported kinds.
            pub const ALL: &[Kind] = &[$(Kind::$kind,)*];

            /// Returns the kind's name, as in `kind: Pod`.
            pub fn name(self) -> &'static str {
                match self { $(Kind::$kind => stringify!($kind),)* }
            }

            /// Returns the kind's API version, as in `apiVersion: apps/v1`.
            pub fn api_version(self) -> &'static str {
                match self { $(Kind::$kind => $version,)* }
            }

            /// Reads `node` as an object of this kind; returns no object if there are errors.
            pub(super) fn read<'t>(self, node: &'t YamlNode<'t>) -> (Option<ManifestObject>, DiagnosticSink) {
                match self {
                    $(Kind::$kind => {
                        let (object, sink) = strict::read::<$type>(node, stringify!($kind));
                        (object.map(|object| ManifestObject::$kind(Box::new(object))), sink)
                    })*
                }
            }
        }

        impl ManifestObject {
            /// Returns the object's kind.
            pub fn kind(&self) -> Kind {
                match self { $(ManifestObject::$kind(_) => Kind::$kind,)* }
            }

            /// Serializes the object as the API does.
            pub fn to_json(&self) -> serde_json::Result<String> {
                match self { $(ManifestObject::$kind(object) => serde_json::to_string(object),)* }
            }

            /// Returns the object's metadata.
            pub fn metadata(&self) -> &ObjectMeta {
                match self { $(ManifestObject::$kind(object) => &object.metadata,)* }
            }
        }
    };
}

kinds! {
    Pod: core::v1::Pod, "v1";
    ConfigMap: core::v1::ConfigMap, "v1";
    Secret: core::v1::Secret, "v1";
    Service: core::v1::Service, "v1";
    PersistentVolumeClaim: core::v1::PersistentVolumeClaim, "v1";
    Namespace: core::v1::Namespace, "v1";
    Deployment: apps::v1::Deployment, "apps/v1";
    ReplicaSet: apps::v1::ReplicaSet, "apps/v1";
    StatefulSet: apps::v1::StatefulSet, "apps/v1";
    DaemonSet: apps::v1::DaemonSet, "apps/v1";
    Job: batch::v1::Job, "batch/v1";
    CronJob: batch::v1::CronJob, "batch/v1";
    PodDisruptionBudget: policy::v1::PodDisruptionBudget, "policy/v1";
    NetworkPolicy: networking::v1::NetworkPolicy, "networking.k8s.io/v1";
}

/// The result of [`look_up`].
#[derive(Debug, PartialEq, Eq)]
pub enum KindLookup {
    /// A supported kind.
    Kind(Kind),
    /// A list, with the default kind of its items; a plain `List` has none.
    List(Option<Kind>),
    /// A kind of Kubernetes that wasmpod does not support yet.
    Unsupported,
    /// Not a kind of Kubernetes.
    Unknown {
        /// The API version that has a kind of this name.
        served_in: Option<&'static str>,
        /// The kind with the most similar name.
        suggestion: Option<&'static str>,
    },
}

/// Kinds of Kubernetes 1.36 that wasmpod does not support, by API version.
const UNSUPPORTED_KINDS: &[(&str, &[&str])] = &[
    (
        "v1",
        &[
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
    ("apps/v1", &["ControllerRevision"]),
    ("networking.k8s.io/v1", &["Ingress", "IngressClass"]),
    ("autoscaling/v2", &["HorizontalPodAutoscaler"]),
    ("discovery.k8s.io/v1", &["EndpointSlice"]),
    ("rbac.authorization.k8s.io/v1", &["Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"]),
    ("storage.k8s.io/v1", &["StorageClass", "CSIDriver", "VolumeAttachment"]),
    ("scheduling.k8s.io/v1", &["PriorityClass"]),
    ("coordination.k8s.io/v1", &["Lease"]),
    ("apiextensions.k8s.io/v1", &["CustomResourceDefinition"]),
];

/// Looks `kind` in `api_version` up.
pub fn look_up(api_version: &str, kind: &str) -> KindLookup {
    if (api_version, kind) == ("v1", "List") {
        return KindLookup::List(None);
    }
    let named = |name: &str| Kind::ALL.iter().copied().find(|kind| kind.name() == name);
    let item = kind.strip_suffix("List").and_then(named);
    match (named(kind), item) {
        (Some(kind), _) if kind.api_version() == api_version => return KindLookup::Kind(kind),
        (_, Some(item)) if item.api_version() == api_version => return KindLookup::List(Some(item)),
        (Some(kind), _) | (_, Some(kind)) => {
            return KindLookup::Unknown { served_in: Some(kind.api_version()), suggestion: None };
        }
        (None, None) => {}
    }
    match UNSUPPORTED_KINDS.iter().find(|(_, kinds)| kinds.contains(&kind)) {
        Some((version, _)) if *version == api_version => KindLookup::Unsupported,
        Some((version, _)) => KindLookup::Unknown { served_in: Some(version), suggestion: None },
        None => KindLookup::Unknown { served_in: None, suggestion: nearest(kind, &kind_names()) },
    }
}

/// Returns whether Kubernetes has a `kind` in `api_version`.
pub fn is_kubernetes_kind(api_version: &str, kind: &str) -> bool {
    !matches!(look_up(api_version, kind), KindLookup::Unknown { .. })
}

/// Returns the supported kind of this name, in any version.
pub fn kind_by_name(name: &str) -> Option<Kind> {
    Kind::ALL.iter().copied().find(|kind| kind.name() == name)
}

/// Returns the kind that kubectl accepts as `resource`: its name, plural or short name, ignoring case.
pub fn kind_of_resource(resource: &str) -> Option<Kind> {
    let resource = resource.to_lowercase();
    let short = SHORT_NAMES.iter().find(|(short, _)| *short == resource).map(|(_, kind)| *kind);
    short.or_else(|| {
        Kind::ALL.iter().copied().find(|kind| resource == kind.name().to_lowercase() || resource == kind.plural())
    })
}

const SHORT_NAMES: &[(&str, Kind)] = &[
    ("po", Kind::Pod),
    ("cm", Kind::ConfigMap),
    ("svc", Kind::Service),
    ("pvc", Kind::PersistentVolumeClaim),
    ("ns", Kind::Namespace),
    ("deploy", Kind::Deployment),
    ("rs", Kind::ReplicaSet),
    ("sts", Kind::StatefulSet),
    ("ds", Kind::DaemonSet),
    ("cj", Kind::CronJob),
    ("pdb", Kind::PodDisruptionBudget),
    ("netpol", Kind::NetworkPolicy),
];

impl Kind {
    /// Returns the resource name in API paths, such as `pods`.
    pub fn plural(self) -> String {
        let name = self.name().to_lowercase();
        name.strip_suffix('y').map_or(format!("{name}s"), |stem| format!("{stem}ies"))
    }
}

fn kind_names() -> Vec<&'static str> {
    let known = UNSUPPORTED_KINDS.iter().flat_map(|(_, kinds)| kinds.iter().copied());
    Kind::ALL.iter().map(|kind| kind.name()).chain(["List"]).chain(known).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_looked_up_by_version_and_name() {
        let unknown = |served_in, suggestion| KindLookup::Unknown { served_in, suggestion };
        for (version, kind, want) in [
            ("v1", "Pod", KindLookup::Kind(Kind::Pod)),
            ("v1", "PodList", KindLookup::List(Some(Kind::Pod))),
            ("v1", "List", KindLookup::List(None)),
            ("apps/v1", "DeploymentList", KindLookup::List(Some(Kind::Deployment))),
            ("extensions/v1beta1", "Deployment", unknown(Some("apps/v1"), None)),
            ("policy/v1beta1", "PodDisruptionBudget", unknown(Some("policy/v1"), None)),
            ("v1", "Deployment", unknown(Some("apps/v1"), None)),
            ("v1", "pod", unknown(None, Some("Pod"))),
            ("v1", "Ingress", unknown(Some("networking.k8s.io/v1"), None)),
            ("networking.k8s.io/v1", "Ingress", KindLookup::Unsupported),
            ("example.com/v1", "Thing", unknown(None, None)),
        ] {
            assert_eq!(look_up(version, kind), want, "{version} {kind}");
        }
    }

    #[test]
    fn resources_are_found_by_kubectl_names() {
        for (name, kind) in [
            ("pod", Some(Kind::Pod)),
            ("Pods", Some(Kind::Pod)),
            ("po", Some(Kind::Pod)),
            ("networkpolicies", Some(Kind::NetworkPolicy)),
            ("pdb", Some(Kind::PodDisruptionBudget)),
            ("things", None),
        ] {
            assert_eq!(kind_of_resource(name), kind, "{name}");
        }
    }

    #[test]
    fn every_kind_has_a_schema() {
        for kind in Kind::ALL {
            assert!(super::super::schema::for_kind(kind.name()).is_some(), "{kind:?}");
        }
    }
}
