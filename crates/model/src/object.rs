//! Types of the Kubernetes API, and objects whose type only their kind knows.

use std::any::Any;
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::{ClusterResourceScope, Metadata, NamespaceResourceScope, SubResourceScope};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The names of a resource; `S` is a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResourceNames<S> {
    /// The API group; empty for the core group.
    pub group: S,
    /// The version of the stored objects: `v1`.
    pub version: S,
    /// The name in URLs: `pods`.
    pub plural: S,
    /// The kind in objects: `Pod`.
    pub kind: S,
    /// Whether objects have a namespace, as opposed to cluster-scoped ones.
    pub namespaced: bool,
}

/// Returns the API version of a group and version: `v1`, `apps/v1`.
pub fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.into() } else { format!("{group}/{version}") }
}

/// Returns the root path of a group and version in URLs: `api/v1`, `apis/apps/v1`.
pub fn root_path(group: &str, version: &str) -> String {
    if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") }
}

/// The scope of a type's objects.
pub trait ObjectScope {
    /// Whether objects have a namespace.
    const NAMESPACED: bool;
}

impl ObjectScope for NamespaceResourceScope {
    const NAMESPACED: bool = true;
}

impl ObjectScope for ClusterResourceScope {
    const NAMESPACED: bool = false;
}

impl ObjectScope for SubResourceScope {
    const NAMESPACED: bool = true;
}

/// A type of the Kubernetes API whose objects can be stored.
pub trait ApiType:
    Metadata<Ty = ObjectMeta> + Serialize + DeserializeOwned + Clone + PartialEq + fmt::Debug + Send + Sync + 'static
{
    /// The names of the resource.
    const NAMES: &'static ResourceNames<&'static str>;
}

impl<T> ApiType for T
where
    T: Metadata<Ty = ObjectMeta, Scope: ObjectScope>
        + Serialize
        + DeserializeOwned
        + Clone
        + PartialEq
        + fmt::Debug
        + Send
        + Sync
        + 'static,
{
    const NAMES: &'static ResourceNames<&'static str> = &ResourceNames {
        group: T::GROUP,
        version: T::VERSION,
        plural: T::URL_PATH_SEGMENT,
        kind: T::KIND,
        namespaced: <T::Scope as ObjectScope>::NAMESPACED,
    };
}

/// An object whose type is not known where it is carried.
pub trait AnyObject: Any + Send + Sync {
    /// Returns the metadata.
    fn metadata(&self) -> &ObjectMeta;
    /// Returns the metadata for changes.
    fn metadata_mut(&mut self) -> &mut ObjectMeta;
    /// Returns a copy.
    fn clone_object(&self) -> Box<dyn AnyObject>;
    /// Serializes the object as the API does.
    fn to_json(&self) -> serde_json::Result<String>;
    /// Returns the object for a downcast.
    fn as_any(&self) -> &dyn Any;
    /// Returns the object for a downcast.
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
}

impl<T: ApiType> AnyObject for T {
    fn metadata(&self) -> &ObjectMeta {
        k8s_openapi::Metadata::metadata(self)
    }

    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        k8s_openapi::Metadata::metadata_mut(self)
    }

    fn clone_object(&self) -> Box<dyn AnyObject> {
        Box::new(self.clone())
    }

    fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}
