//! Objects that clients send to the control plane.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::Resource;
use crate::model::ManifestObject;
use crate::model::object::{AnyObject, ApiType};

/// An object to create, or to replace a stored one: a typed object whose type is known to its kind only.
pub struct Body {
    resource: Resource,
    object: Box<dyn AnyObject>,
}

impl Body {
    /// Returns an object of a manifest.
    pub fn from_manifest(object: &ManifestObject) -> Body {
        Body { resource: Resource::built_in(object.kind().names()), object: object.object().clone_object() }
    }

    /// Returns the resource that the object belongs to.
    pub fn resource(&self) -> &Resource {
        &self.resource
    }

    /// Returns the object's metadata.
    pub fn metadata(&self) -> &ObjectMeta {
        self.object.metadata()
    }

    /// Returns the object's metadata for changes.
    pub fn metadata_mut(&mut self) -> &mut ObjectMeta {
        self.object.metadata_mut()
    }

    /// Returns the object if it is a `T`.
    pub fn downcast_ref<T: ApiType>(&self) -> Option<&T> {
        self.object.as_any().downcast_ref()
    }

    /// Returns the object if it is a `T`; otherwise `None`.
    pub fn downcast<T: ApiType>(self) -> Option<Box<T>> {
        self.object.into_any().downcast().ok()
    }
}

impl<T: ApiType> From<T> for Body {
    fn from(object: T) -> Body {
        Body { resource: Resource::of::<T>(), object: Box::new(object) }
    }
}

impl Clone for Body {
    fn clone(&self) -> Body {
        Body { resource: self.resource.clone(), object: self.object.clone_object() }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:?}", self.resource, self.metadata().name)
    }
}
