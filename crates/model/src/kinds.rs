//! The kinds that wasmpod reads, and those it only knows of.

use k8s_openapi::api::{apps, batch, core, networking, policy};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::issue::Diagnostics;
use super::names::nearest;
use super::strict;
use super::tree::Node;

macro_rules! kinds {
    ($($kind:ident: $type:ty, $version:literal;)*) => {
        /// A kind whose manifests are read.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Kind {
            $(#[doc = concat!("`", $version, "`")] $kind,)*
        }

        /// An object of a manifest.
        #[derive(Debug, Clone)]
        pub enum Object {
            $(#[doc = concat!("A ", stringify!($kind))] $kind(Box<$type>),)*
        }

        impl Kind {
            /// Every kind that is read.
            pub const ALL: &[Kind] = &[$(Kind::$kind,)*];

            /// Its name, as in `kind: Pod`.
            pub fn name(self) -> &'static str {
                match self { $(Kind::$kind => stringify!($kind),)* }
            }

            /// The version that has it, as in `apiVersion: apps/v1`.
            pub fn api_version(self) -> &'static str {
                match self { $(Kind::$kind => $version,)* }
            }

            /// Reads `node` as an object of this kind.
            pub(super) fn read<'t>(self, node: &'t Node<'t>) -> (Option<Object>, Diagnostics) {
                match self {
                    $(Kind::$kind => {
                        let (object, found) = strict::read::<$type>(node, stringify!($kind));
                        (object.map(|object| Object::$kind(Box::new(object))), found)
                    })*
                }
            }
        }

        impl Object {
            /// What it is.
            pub fn kind(&self) -> Kind {
                match self { $(Object::$kind(_) => Kind::$kind,)* }
            }

            /// The object as the API writes it.
            pub fn to_json(&self) -> serde_json::Result<String> {
                match self { $(Object::$kind(object) => serde_json::to_string(object),)* }
            }

            /// Its name, labels and so on.
            pub fn metadata(&self) -> &ObjectMeta {
                match self { $(Object::$kind(object) => &object.metadata,)* }
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

/// What is known of an `apiVersion` and `kind`.
#[derive(Debug, PartialEq, Eq)]
pub enum Known {
    /// Objects of this kind are read.
    Kind(Kind),
    /// A list whose items are of this kind where they do not say otherwise; a `List` may hold any.
    List(Option<Kind>),
    /// A kind of Kubernetes that is not supported yet.
    NotYet,
    /// No such kind.
    Unknown {
        /// The version that has it.
        known_in: Option<&'static str>,
        /// The kind that was probably meant.
        meant: Option<&'static str>,
    },
}

/// Kinds of Kubernetes 1.36 that are not read, by the version that serves them.
const NOT_YET: &[(&str, &[&str])] = &[
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
pub fn look_up(api_version: &str, kind: &str) -> Known {
    if (api_version, kind) == ("v1", "List") {
        return Known::List(None);
    }
    let named = |name: &str| Kind::ALL.iter().copied().find(|kind| kind.name() == name);
    let item = kind.strip_suffix("List").and_then(named);
    match (named(kind), item) {
        (Some(kind), _) if kind.api_version() == api_version => return Known::Kind(kind),
        (_, Some(item)) if item.api_version() == api_version => return Known::List(Some(item)),
        (Some(kind), _) | (_, Some(kind)) => {
            return Known::Unknown { known_in: Some(kind.api_version()), meant: None };
        }
        (None, None) => {}
    }
    match NOT_YET.iter().find(|(_, kinds)| kinds.contains(&kind)) {
        Some((version, _)) if *version == api_version => Known::NotYet,
        Some((version, _)) => Known::Unknown { known_in: Some(version), meant: None },
        None => Known::Unknown { known_in: None, meant: nearest(kind, &names()) },
    }
}

/// Whether Kubernetes has a `kind` in `api_version`.
pub fn is_known(api_version: &str, kind: &str) -> bool {
    !matches!(look_up(api_version, kind), Known::Unknown { .. })
}

/// The kind of this name that is read, in any version.
pub fn named(name: &str) -> Option<Kind> {
    Kind::ALL.iter().copied().find(|kind| kind.name() == name)
}

/// The kind that kubectl calls `resource`: by its name, its plural or its short name, in any case.
pub fn of_resource(resource: &str) -> Option<Kind> {
    let asked = resource.to_lowercase();
    let short = SHORT_NAMES.iter().find(|(short, _)| *short == asked).map(|(_, kind)| *kind);
    short.or_else(|| {
        Kind::ALL.iter().copied().find(|kind| asked == kind.name().to_lowercase() || asked == kind.plural())
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
    /// Its name in paths of the API, as in `pods`.
    pub fn plural(self) -> String {
        let name = self.name().to_lowercase();
        name.strip_suffix('y').map_or(format!("{name}s"), |stem| format!("{stem}ies"))
    }
}

fn names() -> Vec<&'static str> {
    let known = NOT_YET.iter().flat_map(|(_, kinds)| kinds.iter().copied());
    Kind::ALL.iter().map(|kind| kind.name()).chain(["List"]).chain(known).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_known_by_version_and_name() {
        let unknown = |known_in, meant| Known::Unknown { known_in, meant };
        for (version, kind, want) in [
            ("v1", "Pod", Known::Kind(Kind::Pod)),
            ("v1", "PodList", Known::List(Some(Kind::Pod))),
            ("v1", "List", Known::List(None)),
            ("apps/v1", "DeploymentList", Known::List(Some(Kind::Deployment))),
            ("extensions/v1beta1", "Deployment", unknown(Some("apps/v1"), None)),
            ("policy/v1beta1", "PodDisruptionBudget", unknown(Some("policy/v1"), None)),
            ("v1", "Deployment", unknown(Some("apps/v1"), None)),
            ("v1", "pod", unknown(None, Some("Pod"))),
            ("v1", "Ingress", unknown(Some("networking.k8s.io/v1"), None)),
            ("networking.k8s.io/v1", "Ingress", Known::NotYet),
            ("example.com/v1", "Thing", unknown(None, None)),
        ] {
            assert_eq!(look_up(version, kind), want, "{version} {kind}");
        }
    }

    #[test]
    fn resources_have_the_names_that_kubectl_knows() {
        for (name, kind) in [
            ("pod", Some(Kind::Pod)),
            ("Pods", Some(Kind::Pod)),
            ("po", Some(Kind::Pod)),
            ("networkpolicies", Some(Kind::NetworkPolicy)),
            ("pdb", Some(Kind::PodDisruptionBudget)),
            ("things", None),
        ] {
            assert_eq!(of_resource(name), kind, "{name}");
        }
    }

    #[test]
    fn every_kind_is_documented() {
        for kind in Kind::ALL {
            assert!(super::super::schema::of(kind.name()).is_some(), "{kind:?}");
        }
    }
}
