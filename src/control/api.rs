//! A typed client of the control plane, for components that know the types of their objects.

use std::marker::PhantomData;
use std::sync::Arc;

use super::{Body, ControlPlane, Key, Object, Preconditions, Reason, Resource, Status, Subresource, Update};
use crate::model::object::ApiType;

/// The objects of one type in one namespace.
pub struct Api<'c, T> {
    control: &'c dyn ControlPlane,
    namespace: &'c str,
    object_type: PhantomData<fn() -> T>,
}

impl dyn ControlPlane {
    /// Returns a client of the objects of type `T` in `namespace`, which is empty for types without one.
    pub fn api<'c, T: ApiType>(&'c self, namespace: &'c str) -> Api<'c, T> {
        Api { control: self, namespace, object_type: PhantomData }
    }
}

impl<T: ApiType> Api<'_, T> {
    /// Returns the object, or 404 `NotFound`.
    pub async fn get(&self, name: &str) -> Result<Arc<T>, Status> {
        decode(&*self.control.get(&self.key(name)).await?)
    }

    /// Returns the object; `None` if it does not exist.
    pub async fn get_opt(&self, name: &str) -> Result<Option<Arc<T>>, Status> {
        match self.get(name).await {
            Ok(object) => Ok(Some(object)),
            Err(status) if status.reason == Reason::NotFound => Ok(None),
            Err(status) => Err(status),
        }
    }

    /// Stores a new object in the namespace and returns what is stored.
    pub async fn create(&self, mut object: T) -> Result<Arc<T>, Status> {
        if T::NAMES.namespaced {
            object.metadata_mut().namespace = Some(self.namespace.into());
        }
        decode(&*self.control.create(object.into()).await?)
    }

    /// Replaces one part of the object with the same name, and returns what is stored.
    pub async fn replace(&self, object: T, subresource: Subresource) -> Result<Arc<T>, Status> {
        let key = self.key(object.metadata().name.as_deref().unwrap_or_default());
        let update = Update::Replace { body: Body::from(object), subresource };
        decode(&*self.control.update(&key, update, Preconditions::default()).await?)
    }

    fn key(&self, name: &str) -> Key {
        Key::new(Resource::of::<T>(), self.namespace, name)
    }
}

fn decode<T: ApiType>(object: &Object) -> Result<Arc<T>, Status> {
    object.decode().map_err(Status::internal)
}
