//! The resource that a stored object belongs to.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, Node, Pod, Secret};

use crate::model::object::{ApiType, ResourceNames, api_version, root_path};

/// A kind of object in the store. Equal if group and plural name are. Clones are cheap.
#[derive(Clone)]
pub struct Resource(Names);

#[derive(Clone)]
enum Names {
    BuiltIn(&'static ResourceNames<&'static str>),
    /// Of a kind that a client defines at run time.
    Custom(Arc<ResourceNames<Box<str>>>),
}

impl Resource {
    /// Pods.
    pub const PODS: Resource = Resource::of::<Pod>();
    /// Events of the core group.
    pub const EVENTS: Resource = Resource::of::<Event>();
    /// Nodes.
    pub const NODES: Resource = Resource::of::<Node>();
    /// Namespaces.
    pub const NAMESPACES: Resource = Resource::of::<Namespace>();
    /// ConfigMaps.
    pub const CONFIG_MAPS: Resource = Resource::of::<ConfigMap>();
    /// Secrets.
    pub const SECRETS: Resource = Resource::of::<Secret>();

    /// Returns the resource of a type's objects.
    pub const fn of<T: ApiType>() -> Resource {
        Resource::built_in(T::NAMES)
    }

    /// Returns the resource of a built-in kind.
    pub const fn built_in(names: &'static ResourceNames<&'static str>) -> Resource {
        Resource(Names::BuiltIn(names))
    }

    /// Returns the resource of a kind that is defined at run time.
    pub fn custom(names: ResourceNames<Box<str>>) -> Resource {
        Resource(Names::Custom(Arc::new(names)))
    }

    /// Returns the API group; empty for the core group.
    pub fn group(&self) -> &str {
        match &self.0 {
            Names::BuiltIn(names) => names.group,
            Names::Custom(names) => &names.group,
        }
    }

    /// Returns the version of the stored objects: `v1`.
    pub fn version(&self) -> &str {
        match &self.0 {
            Names::BuiltIn(names) => names.version,
            Names::Custom(names) => &names.version,
        }
    }

    /// Returns the name in URLs: `pods`.
    pub fn plural(&self) -> &str {
        match &self.0 {
            Names::BuiltIn(names) => names.plural,
            Names::Custom(names) => &names.plural,
        }
    }

    /// Returns the kind in objects: `Pod`.
    pub fn kind(&self) -> &str {
        match &self.0 {
            Names::BuiltIn(names) => names.kind,
            Names::Custom(names) => &names.kind,
        }
    }

    /// Returns whether objects have a namespace, as opposed to cluster-scoped ones.
    pub fn is_namespaced(&self) -> bool {
        match &self.0 {
            Names::BuiltIn(names) => names.namespaced,
            Names::Custom(names) => names.namespaced,
        }
    }

    /// Returns the API version of the stored objects: `v1`, `apps/v1`.
    pub fn api_version(&self) -> String {
        api_version(self.group(), self.version())
    }

    /// Returns the path of the group and version in URLs: `/api/v1`, `/apis/apps/v1`.
    pub fn root_path(&self) -> String {
        format!("/{}", root_path(self.group(), self.version()))
    }

    /// Returns the name in messages: `pods`, `deployments.apps`.
    pub fn qualified_name(&self) -> String {
        match self.group() {
            "" => self.plural().into(),
            group => format!("{}.{group}", self.plural()),
        }
    }

    /// Returns the kind in messages: `Pod`, `Deployment.apps`.
    pub fn qualified_kind(&self) -> String {
        match self.group() {
            "" => self.kind().into(),
            group => format!("{}.{group}", self.kind()),
        }
    }

    fn identity(&self) -> (&str, &str) {
        (self.group(), self.plural())
    }
}

impl PartialEq for Resource {
    fn eq(&self, other: &Resource) -> bool {
        match (&self.0, &other.0) {
            (Names::BuiltIn(a), Names::BuiltIn(b)) if std::ptr::eq(*a, *b) => true,
            _ => self.identity() == other.identity(),
        }
    }
}

impl Eq for Resource {}

impl Hash for Resource {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

impl PartialOrd for Resource {
    fn partial_cmp(&self, other: &Resource) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Resource {
    fn cmp(&self, other: &Resource) -> Ordering {
        self.identity().cmp(&other.identity())
    }
}

impl fmt::Debug for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.qualified_name())
    }
}
