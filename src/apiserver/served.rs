//! The served resources: each kind of the registry in each of its groups and versions. Routing, discovery and the OpenAPI
//! documents are derived from them.

use std::borrow::Cow;
use std::sync::LazyLock;

use crate::control::{Body, Object, Patch, Resource, Status};
use crate::model::object::api_version;
use crate::model::schema;
use crate::model::selector::SelectorError;
use crate::model::{BodyFormat, DecodeError, Decoded};
use crate::registry::kind::Kind;
use crate::registry::kinds::KINDS;
use crate::registry::strategy::{KindInfo, OtherVersion, SubresourceInfo};

/// A resource in an API group and version.
#[derive(Clone, Copy)]
pub struct ServedResource {
    /// The kind.
    pub kind: &'static dyn Kind,
    /// The group and version; `None` for those of the stored objects.
    other_version: Option<&'static OtherVersion>,
}

/// The groups in Kubernetes' order, which clients prefer in: kubectl looks a name up in the first group that has it.
const GROUPS: &[&str] = &[
    "",
    "apiregistration.k8s.io",
    "apps",
    "events.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "scheduling.k8s.io",
    "coordination.k8s.io",
    "node.k8s.io",
    "discovery.k8s.io",
    "resource.k8s.io",
    "flowcontrol.apiserver.k8s.io",
];

/// Returns all resources: in the order of their groups, each group's preferred version first, then by name.
pub fn all() -> impl Iterator<Item = ServedResource> {
    versions().flat_map(|(group, version)| resources_of(group, version))
}

/// Returns the resource that a URL names.
pub fn find(group: &str, version: &str, plural: &str) -> Option<ServedResource> {
    every().find(|served| served.plural() == plural && served.group() == group && served.version() == version)
}

/// Returns all resources of a group and version, sorted by name.
pub fn resources_of(group: &str, version: &str) -> impl Iterator<Item = ServedResource> {
    every().filter(move |served| served.group() == group && served.version() == version)
}

/// Returns all groups and versions: the core group first, and each group's preferred version first.
pub fn versions() -> impl Iterator<Item = (&'static str, &'static str)> {
    static VERSIONS: LazyLock<Vec<(&str, &str)>> = LazyLock::new(|| {
        let position = |group: &str| GROUPS.iter().position(|known| *known == group).unwrap_or(GROUPS.len());
        let mut versions: Vec<_> = every().map(|served| (served.group(), served.version())).collect();
        // The newest version is the preferred one.
        versions.sort_by_key(|(group, version)| (position(group), *group, std::cmp::Reverse(*version)));
        versions.dedup();
        versions
    });
    VERSIONS.iter().copied()
}

fn every() -> impl Iterator<Item = ServedResource> {
    KINDS.iter().flat_map(|kind| {
        let others = kind.other_versions().iter().map(Some);
        std::iter::once(None).chain(others).map(|other_version| ServedResource { kind: *kind, other_version })
    })
}

/// Returns the name of a resource's type, such as `io.k8s.api.core.v1.Pod`, or of its list.
pub fn type_name(served: ServedResource, list: bool) -> String {
    let list = if list { "List" } else { "" };
    schema::type_name_of_kind(served.group(), served.version(), served.kind_name()) + list
}

/// Returns the name of the type that a subresource's requests and responses have.
pub fn subresource_type_name(served: ServedResource, subresource: &SubresourceInfo) -> String {
    match subresource.group {
        "" if subresource.kind == served.kind_name() => type_name(served, false),
        "" => schema::type_name_of_kind("", "v1", subresource.kind),
        group => schema::type_name_of_kind(group, subresource.version, subresource.kind),
    }
}

impl ServedResource {
    /// Returns the API group; empty for the core group.
    pub fn group(self) -> &'static str {
        self.other_version.map_or(self.kind.names().group, |version| version.group)
    }

    /// Returns the API version, such as `v1`.
    pub fn version(self) -> &'static str {
        self.other_version.map_or(self.kind.names().version, |version| version.version)
    }

    /// Returns the name in URLs, such as `pods`.
    pub fn plural(self) -> &'static str {
        self.kind.names().plural
    }

    /// Returns the kind in objects, such as `Pod`.
    pub fn kind_name(self) -> &'static str {
        self.kind.names().kind
    }

    /// Returns whether objects have a namespace.
    pub fn is_namespaced(self) -> bool {
        self.kind.names().namespaced
    }

    /// Returns what discovery says of the kind.
    pub fn info(self) -> &'static KindInfo {
        self.kind.info()
    }

    /// Returns the stored resource.
    pub fn resource(self) -> Resource {
        self.kind.resource()
    }

    /// Returns the API version of objects, such as `v1` or `events.k8s.io/v1`.
    pub fn api_version(self) -> String {
        api_version(self.group(), self.version())
    }

    /// Returns whether the resource supports `verb`.
    pub fn allows(self, verb: &str) -> bool {
        self.info().verbs.contains(&verb)
    }

    /// Returns the subresource `name`.
    pub fn subresource(self, name: &str) -> Option<&'static SubresourceInfo> {
        self.info().subresources.iter().find(|subresource| subresource.name == name)
    }

    /// Returns whether objects are served in their stored encoding.
    pub fn is_served_as_stored(self) -> bool {
        self.other_version.is_none()
    }

    /// Encodes a stored object in this group and version.
    pub fn encode(self, object: &Object) -> Result<Cow<'_, [u8]>, serde_json::Error> {
        match self.other_version {
            Some(version) => (version.encode)(object).map(Cow::Owned),
            None => Ok(Cow::Borrowed(&object.json)),
        }
    }

    /// Decodes an object of this group and version.
    pub fn decode(self, format: BodyFormat, body: &[u8]) -> Result<Decoded<Body>, DecodeError> {
        match self.other_version {
            Some(version) => (version.decode)(format, body),
            None => self.kind.decode(format, body),
        }
    }

    /// Applies a patch of this group and version to a stored object; `None` if that is the stored version.
    pub fn patch(self, object: &Object, patch: &Patch) -> Option<Result<Body, Status>> {
        self.other_version.map(|version| (version.patch)(object, patch))
    }

    /// Validates an object by the rules of this group and version, beyond those of the stored one: a new object, or one
    /// in place of `old`.
    pub fn validate(self, new: &Body, old: Option<&Object>) -> Result<(), Status> {
        let validate = self.other_version.and_then(|version| version.validate);
        let causes = validate.map(|validate| validate(new, old)).unwrap_or_default();
        let name = new.metadata().name.as_deref().unwrap_or_default();
        if causes.is_empty() { Ok(()) } else { Err(Status::invalid(self.kind_name(), name, causes)) }
    }

    /// Returns the field that `label` names in a field selector.
    pub fn field_of_label(self, label: &str) -> Result<&'static str, SelectorError> {
        let Some(version) = self.other_version else { return self.kind.field_of_label(label) };
        if label.starts_with("metadata.") {
            return self.kind.field_of_label(label);
        }
        let field = version.fields.iter().find(|(known, _)| *known == label);
        field.map(|(_, field)| *field).ok_or_else(|| SelectorError::unsupported_label(label))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_are_found_by_group_version_and_name() {
        assert_eq!(find("", "v1", "pods").map(ServedResource::resource), Some(Resource::PODS));
        assert!(
            find("", "v1", "podz").is_none() && find("", "v2", "pods").is_none() && find("x", "v1", "pods").is_none()
        );
        let pods = find("", "v1", "pods").expect("pods");
        assert!(pods.allows("watch") && !pods.allows("connect"));
        assert!(pods.subresource("log").is_some() && pods.subresource("wings").is_none());
        assert_eq!(versions().next(), Some(("", "v1")));
    }
}
