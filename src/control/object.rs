//! Stored objects: JSON bytes, their key and revision, and one typed copy for whoever reads them.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Revision;

/// A kind of objects as it stands in URLs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Resource {
    /// `pods`
    pub plural: &'static str,
    /// `Pod`
    pub kind: &'static str,
}

impl Resource {
    /// Pods of `core/v1`.
    pub const PODS: Resource = Resource { plural: "pods", kind: "Pod" };
    /// Events of `core/v1`.
    pub const EVENTS: Resource = Resource { plural: "events", kind: "Event" };
    /// Nodes of `core/v1`; they lie in no namespace.
    pub const NODES: Resource = Resource { plural: "nodes", kind: "Node" };
    /// Namespaces of `core/v1`; they lie in none themselves.
    pub const NAMESPACES: Resource = Resource { plural: "namespaces", kind: "Namespace" };
    /// ConfigMaps of `core/v1`.
    pub const CONFIG_MAPS: Resource = Resource { plural: "configmaps", kind: "ConfigMap" };
    /// Secrets of `core/v1`.
    pub const SECRETS: Resource = Resource { plural: "secrets", kind: "Secret" };

    /// Whether its objects lie in namespaces.
    pub fn is_namespaced(self) -> bool {
        self != Resource::NODES && self != Resource::NAMESPACES
    }
}

/// Which object: kind, namespace and name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The kind of the object.
    pub resource: Resource,
    /// Its `metadata.namespace`; empty where the kind lies in none.
    pub namespace: Arc<str>,
    /// Its `metadata.name`, unique in kind and namespace.
    pub name: Arc<str>,
}

impl Key {
    /// The key of `namespace/name` among `resource`.
    pub fn of(resource: Resource, namespace: &str, name: &str) -> Key {
        Key { resource, namespace: namespace.into(), name: name.into() }
    }

    /// The key of pod `namespace/name`.
    pub fn pod(namespace: &str, name: &str) -> Key {
        Key::of(Resource::PODS, namespace, name)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.namespace {
            "" => f.write_str(&self.name),
            namespace => write!(f, "{namespace}/{}", self.name),
        }
    }
}

/// A stored object. Readers share its bytes and, while any of them holds it, one typed copy.
pub struct Object {
    /// Where the store keeps it.
    pub key: Key,
    /// The revision of the commit that wrote it; 0 for one that is not stored.
    pub revision: Revision,
    /// The object as the API sends it, `resourceVersion` included.
    pub json: Bytes,
    /// Protects the typed copy that readers share; weak, since a typed Pod is eight times its JSON.
    typed: Mutex<Option<Weak<dyn Any + Send + Sync>>>,
}

impl Object {
    /// The object as a `T`.
    pub fn decode<T: DeserializeOwned + Send + Sync + 'static>(&self) -> Result<Arc<T>, serde_json::Error> {
        let shared = self.typed.lock().as_ref().and_then(Weak::upgrade);
        if let Some(shared) = shared.and_then(|any| any.downcast::<T>().ok()) {
            return Ok(shared);
        }
        let read: Arc<T> = Arc::new(serde_json::from_slice(&self.json)?);
        let any: Arc<dyn Any + Send + Sync> = read.clone();
        *self.typed.lock() = Some(Arc::downgrade(&any));
        Ok(read)
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}@{}", self.key.resource.kind, self.key, self.revision)
    }
}

/// An object's JSON that waits for its revision, which only the store's commit can tell.
#[derive(Debug, Clone)]
pub struct UnversionedObject {
    json: Vec<u8>,
    /// Just behind `"metadata":{`.
    revision_at: usize,
}

const METADATA: &[u8] = b"\"metadata\":{";

impl UnversionedObject {
    /// Encodes an object whose metadata carries no `resourceVersion`.
    pub fn of<T: Serialize>(object: &T) -> Result<UnversionedObject, serde_json::Error> {
        let json = serde_json::to_vec(object)?;
        // k8s-openapi writes apiVersion, kind, metadata, …: the first match is the object's own.
        let found = json.windows(METADATA.len()).position(|w| w == METADATA);
        let at = found.ok_or_else(|| serde::ser::Error::custom("an object without metadata"))?;
        Ok(UnversionedObject { json, revision_at: at + METADATA.len() })
    }

    /// The object at `revision`; 0 for one that is not stored.
    pub fn with_revision(self, key: Key, revision: Revision) -> Object {
        let (head, tail) = self.json.split_at(self.revision_at);
        let comma = if tail.first() == Some(&b'}') { "" } else { "," };
        let mut json = Vec::with_capacity(self.json.len() + 48);
        json.extend_from_slice(head);
        if revision > 0 {
            json.extend_from_slice(format!("\"resourceVersion\":\"{revision}\"{comma}").as_bytes());
        }
        json.extend_from_slice(tail);
        Object { key, revision, json: json.into(), typed: Mutex::new(None) }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;

    use super::*;

    #[test]
    fn the_revision_is_stamped_into_the_metadata_whatever_the_metadata_holds() {
        let mut pod = Pod::default();
        let tricky = "\"metadata\":{ \"resourceVersion\":\"9\"";
        pod.metadata.annotations = Some([("metadata".to_string(), tricky.to_string())].into());
        for pod in [pod, Pod::default()] {
            let object = UnversionedObject::of(&pod).expect("a pod encodes").with_revision(Key::pod("ns", "p"), 7);
            let read = object.decode::<Pod>().expect("a stamped pod decodes");
            assert_eq!(read.metadata.resource_version.as_deref(), Some("7"));
            assert_eq!(read.metadata.annotations, pod.metadata.annotations);
        }
    }

    #[test]
    fn readers_share_one_typed_copy() {
        let object = UnversionedObject::of(&Pod::default()).expect("encodes").with_revision(Key::pod("ns", "p"), 7);
        let (a, b) = (object.decode::<Pod>().expect("reads"), object.decode::<Pod>().expect("reads"));
        assert!(Arc::ptr_eq(&a, &b));
    }
}
