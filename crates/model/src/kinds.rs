//! The kinds of manifests: their names and how an object is read. Callers pass the kinds that they know.

use std::any::Any;
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::diagnostic::DiagnosticSink;
use super::names::nearest;
use super::object::{AnyObject, ApiType, ResourceNames};
use super::strict;
use super::tree::YamlNode;

/// Reads an object of a kind; returns no object if there are errors.
type ReadObject = for<'t> fn(&'t YamlNode<'t>) -> (Option<Box<dyn AnyObject>>, DiagnosticSink);

/// A kind whose objects can be read.
#[derive(Clone, Copy)]
pub struct KindType {
    names: &'static ResourceNames<&'static str>,
    api_version: &'static str,
    read: ReadObject,
}

impl KindType {
    /// Returns the kind of a type.
    pub const fn of<T: ApiType>() -> KindType {
        KindType { names: T::NAMES, api_version: T::API_VERSION, read: read::<T> }
    }

    /// Returns the kind's name, as in `kind: Pod`.
    pub fn name(&self) -> &'static str {
        self.names.kind
    }

    /// Returns the names of the resource.
    pub fn names(&self) -> &'static ResourceNames<&'static str> {
        self.names
    }

    /// Returns the kind's API version, as in `apiVersion: apps/v1`.
    pub fn api_version(&self) -> &'static str {
        self.api_version
    }

    /// Reads `node` as an object of this kind; returns no object if there are errors.
    pub(super) fn read<'t>(self, node: &'t YamlNode<'t>) -> (Option<ManifestObject>, DiagnosticSink) {
        let (object, sink) = (self.read)(node);
        (object.map(|object| ManifestObject { kind: self, object }), sink)
    }
}

fn read<'t, T: ApiType>(node: &'t YamlNode<'t>) -> (Option<Box<dyn AnyObject>>, DiagnosticSink) {
    let (object, sink) = strict::read::<T>(node, const { &KindType::of::<T>() });
    (object.map(|object| Box::new(object) as Box<dyn AnyObject>), sink)
}

impl PartialEq for KindType {
    fn eq(&self, other: &KindType) -> bool {
        self.names == other.names
    }
}

impl Eq for KindType {}

impl fmt::Debug for KindType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.api_version, self.name())
    }
}

/// An object of a manifest.
pub struct ManifestObject {
    kind: KindType,
    object: Box<dyn AnyObject>,
}

impl ManifestObject {
    /// Returns the object's kind.
    pub fn kind(&self) -> KindType {
        self.kind
    }

    /// Returns the object without its type.
    pub fn object(&self) -> &dyn AnyObject {
        &*self.object
    }

    /// Returns the object if it is a `T`.
    pub fn downcast_ref<T: Any>(&self) -> Option<&T> {
        self.object.as_any().downcast_ref()
    }

    /// Serializes the object as the API does.
    pub fn to_json(&self) -> serde_json::Result<String> {
        self.object.to_json()
    }

    /// Returns the object's metadata.
    pub fn metadata(&self) -> &ObjectMeta {
        self.object.metadata()
    }
}

impl fmt::Debug for ManifestObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:?}", self.kind, self.metadata().name)
    }
}

/// The result of [`look_up`].
#[derive(Debug, PartialEq, Eq)]
pub enum KindLookup {
    /// A known kind.
    Kind(KindType),
    /// A list, with the default kind of its items; a plain `List` has none.
    List(Option<KindType>),
    /// A kind of Kubernetes that the caller does not know.
    Unsupported,
    /// Not a kind of Kubernetes.
    Unknown {
        /// The API version that has a kind of this name.
        served_in: Option<&'static str>,
        /// The kind with the most similar name.
        suggestion: Option<&'static str>,
    },
}

/// Kinds of Kubernetes 1.36 beyond those that callers know, by API version.
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

/// Looks `kind` in `api_version` up among `kinds`.
pub fn look_up(kinds: &[KindType], api_version: &str, kind: &str) -> KindLookup {
    if (api_version, kind) == ("v1", "List") {
        return KindLookup::List(None);
    }
    let named = |name: &str| {
        // Several groups may have a kind of the same name.
        let mut of_name = kinds.iter().copied().filter(|kind| kind.name() == name);
        let first = of_name.clone().next();
        of_name.find(|kind| kind.api_version() == api_version).or(first)
    };
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
        None => KindLookup::Unknown { served_in: None, suggestion: nearest(kind, &kind_names(kinds)) },
    }
}

/// Returns whether Kubernetes has a `kind` in `api_version`; `kinds` are those that the caller knows.
pub fn is_kubernetes_kind(kinds: &[KindType], api_version: &str, kind: &str) -> bool {
    !matches!(look_up(kinds, api_version, kind), KindLookup::Unknown { .. })
}

fn kind_names(kinds: &[KindType]) -> Vec<&'static str> {
    let known = UNSUPPORTED_KINDS.iter().flat_map(|(_, kinds)| kinds.iter().copied());
    kinds.iter().map(KindType::name).chain(["List"]).chain(known).collect()
}

/// Kinds of several groups, for tests of this crate and its fuzzing.
#[cfg(any(test, feature = "properties"))]
pub(crate) const SOME_KINDS: &[KindType] = &[
    KindType::of::<k8s_openapi::api::core::v1::Pod>(),
    KindType::of::<k8s_openapi::api::core::v1::ConfigMap>(),
    KindType::of::<k8s_openapi::api::core::v1::Secret>(),
    KindType::of::<k8s_openapi::api::core::v1::Service>(),
    KindType::of::<k8s_openapi::api::apps::v1::Deployment>(),
    KindType::of::<k8s_openapi::api::batch::v1::Job>(),
    KindType::of::<k8s_openapi::api::policy::v1::PodDisruptionBudget>(),
];

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::Deployment;
    use k8s_openapi::api::core::v1::Pod;

    use super::*;

    #[test]
    fn kinds_are_looked_up_by_version_and_name() {
        let unknown = |served_in, suggestion| KindLookup::Unknown { served_in, suggestion };
        for (version, kind, want) in [
            ("v1", "Pod", KindLookup::Kind(KindType::of::<Pod>())),
            ("v1", "PodList", KindLookup::List(Some(KindType::of::<Pod>()))),
            ("v1", "List", KindLookup::List(None)),
            ("apps/v1", "DeploymentList", KindLookup::List(Some(KindType::of::<Deployment>()))),
            ("extensions/v1beta1", "Deployment", unknown(Some("apps/v1"), None)),
            ("policy/v1beta1", "PodDisruptionBudget", unknown(Some("policy/v1"), None)),
            ("v1", "Deployment", unknown(Some("apps/v1"), None)),
            ("v1", "pod", unknown(None, Some("Pod"))),
            ("v1", "Ingress", unknown(Some("networking.k8s.io/v1"), None)),
            ("networking.k8s.io/v1", "Ingress", KindLookup::Unsupported),
            ("example.com/v1", "Thing", unknown(None, None)),
        ] {
            assert_eq!(look_up(SOME_KINDS, version, kind), want, "{version} {kind}");
        }
    }
}
