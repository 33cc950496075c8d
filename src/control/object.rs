//! Stored objects: JSON bytes, key and revision, and a typed copy that readers share.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, OnceLock, Weak};

use bytes::Bytes;
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Resource, Revision};

/// The identity of an object: kind, namespace and name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The kind of the object.
    pub resource: Resource,
    /// `metadata.namespace`; empty for cluster-scoped kinds.
    pub namespace: Arc<str>,
    /// `metadata.name`, unique within kind and namespace.
    pub name: Arc<str>,
}

impl Key {
    /// Returns the key of `namespace/name` of `resource`.
    pub fn new(resource: Resource, namespace: &str, name: &str) -> Key {
        Key { resource, namespace: namespace.into(), name: name.into() }
    }

    /// Returns the key of pod `namespace/name`.
    pub fn pod(namespace: &str, name: &str) -> Key {
        Key::new(Resource::PODS, namespace, name)
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

/// A stored object. Readers share its bytes and, while any reader holds it, one typed copy.
pub struct Object {
    /// The object's key in the store.
    pub key: Key,
    /// The revision of the commit that wrote the object; 0 if it is not stored.
    pub revision: Revision,
    /// The object as the API sends it, including `resourceVersion`.
    pub json: Bytes,
    /// Protects the typed copy that readers share; weak, since a typed Pod is eight times its JSON.
    typed: Mutex<Option<Weak<dyn Any + Send + Sync>>>,
    /// The object in protobuf, once a client has asked for it.
    protobuf: OnceLock<Box<[u8]>>,
}

impl Object {
    /// Returns the object with `json`, which says its `revision`.
    pub fn stored(key: Key, revision: Revision, json: Bytes) -> Object {
        Object { key, revision, json, typed: Mutex::new(None), protobuf: OnceLock::new() }
    }

    /// Decodes the object as a `T`, or returns the shared copy.
    pub fn decode<T: DeserializeOwned + Send + Sync + 'static>(&self) -> Result<Arc<T>, serde_json::Error> {
        let shared = self.typed.lock().as_ref().and_then(Weak::upgrade);
        if let Some(shared) = shared.and_then(|any| any.downcast::<T>().ok()) {
            return Ok(shared);
        }
        let decoded: Arc<T> = Arc::new(serde_json::from_slice(&self.json)?);
        let any: Arc<dyn Any + Send + Sync> = decoded.clone();
        *self.typed.lock() = Some(Arc::downgrade(&any));
        Ok(decoded)
    }

    /// Returns the object in protobuf, which `encode` produces for the first reader.
    pub fn protobuf<E>(&self, encode: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>) -> Result<&[u8], E> {
        if let Some(encoded) = self.protobuf.get() {
            return Ok(encoded);
        }
        let encoded = encode(&self.json)?;
        Ok(self.protobuf.get_or_init(|| encoded.into()))
    }

    /// Decodes the metadata alone, as a `T` with the fields of interest. Reads nothing after it, and shares no copy.
    pub fn decode_metadata<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        let brace = metadata_start(&self.json).and_then(|start| start.checked_sub(1));
        let metadata = brace.and_then(|start| self.json.get(start..));
        let metadata = metadata.ok_or_else(|| serde::de::Error::custom("the object has no metadata"))?;
        T::deserialize(&mut serde_json::Deserializer::from_slice(metadata))
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}@{}", self.key.resource.kind(), self.key, self.revision)
    }
}

/// An encoded object without `resourceVersion`, which only the store's commit can assign.
#[derive(Debug, Clone)]
pub struct UnversionedObject {
    json: Vec<u8>,
    /// The offset just after `"metadata":{`, where `resourceVersion` goes.
    revision_offset: usize,
}

impl UnversionedObject {
    /// Encodes `object`, whose metadata has no `resourceVersion`.
    pub fn encode<T: Serialize>(object: &T) -> Result<UnversionedObject, serde_json::Error> {
        let json = serde_json::to_vec(object)?;
        let start = metadata_start(&json).ok_or_else(|| serde::ser::Error::custom("the object has no metadata"))?;
        Ok(UnversionedObject { json, revision_offset: start })
    }

    /// Returns the number of bytes.
    pub fn size(&self) -> usize {
        self.json.len()
    }

    /// Returns whether `stored` has the same content.
    pub fn has_content_of(&self, stored: &Object) -> bool {
        let (head, tail) = self.json.split_at(self.revision_offset);
        let inserted = stored.json.strip_prefix(head).and_then(|rest| rest.strip_suffix(tail));
        inserted.is_some_and(|inserted| inserted == revision_field(stored.revision, tail).as_bytes())
    }

    /// Returns the object at `revision`; revision 0 marks an object that is not stored and writes no `resourceVersion`.
    pub fn with_revision(self, key: Key, revision: Revision) -> Object {
        let (head, tail) = self.json.split_at(self.revision_offset);
        let mut json = Vec::with_capacity(self.json.len() + 48);
        json.extend_from_slice(head);
        json.extend_from_slice(revision_field(revision, tail).as_bytes());
        json.extend_from_slice(tail);
        Object::stored(key, revision, json.into())
    }
}

/// Returns the field `resourceVersion` before `tail`, the rest of the metadata; nothing for revision 0.
fn revision_field(revision: Revision, tail: &[u8]) -> String {
    let comma = if tail.first() == Some(&b'}') { "" } else { "," };
    if revision == 0 { String::new() } else { format!("\"resourceVersion\":\"{revision}\"{comma}") }
}

/// Returns the offset just after the brace that opens the object's own `metadata`, wherever it stands among the keys of
/// `json`, which is compact.
fn metadata_start(json: &[u8]) -> Option<usize> {
    const METADATA: &[u8] = b"\"metadata\":{";
    let (mut depth, mut position) = (0_usize, 0);
    while let Some(byte) = json.get(position) {
        match byte {
            b'"' if depth == 1 && json.get(position..)?.starts_with(METADATA) => {
                return Some(position + METADATA.len());
            }
            b'"' => position = string_end(json, position)?,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.checked_sub(1)?,
            _ => {}
        }
        position += 1;
    }
    None
}

/// Returns the offset of the quote that ends the string which starts at `start`.
fn string_end(json: &[u8], start: usize) -> Option<usize> {
    let mut position = start + 1;
    loop {
        match json.get(position)? {
            b'\\' => position += 2,
            b'"' => return Some(position),
            _ => position += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;

    use super::*;

    #[test]
    fn resource_version_is_written_into_the_objects_own_metadata() {
        let mut pod = Pod::default();
        let tricky = "\"metadata\":{ \"resourceVersion\":\"9\"";
        pod.metadata.annotations = Some([("metadata".to_string(), tricky.to_string())].into());
        for pod in [pod, Pod::default()] {
            let object = UnversionedObject::encode(&pod).expect("a pod encodes").with_revision(Key::pod("ns", "p"), 7);
            let decoded = object.decode::<Pod>().expect("a versioned pod decodes");
            assert_eq!(decoded.metadata.resource_version.as_deref(), Some("7"));
            assert_eq!(decoded.metadata.annotations, pod.metadata.annotations);
        }
    }

    #[test]
    fn content_is_compared_whatever_the_revision() {
        let mut pod = Pod::default();
        for name in [None, Some("a".to_string())] {
            pod.metadata.name = name;
            let unversioned = UnversionedObject::encode(&pod).expect("a pod encodes");
            for revision in [0, 7] {
                let stored = unversioned.clone().with_revision(Key::pod("ns", "p"), revision);
                assert!(unversioned.has_content_of(&stored));
                pod.metadata.generation = Some(2);
                let other = UnversionedObject::encode(&pod).expect("a pod encodes");
                assert!(!other.has_content_of(&stored));
                pod.metadata.generation = None;
            }
        }
    }

    #[test]
    fn own_metadata_is_found_in_any_order_of_keys() {
        for json in [
            r#"{"spec":{"template":{"metadata":{"labels":{}}}},"metadata":{"name":"a"}}"#,
            r#"{"data":{"x":"\\\",\"metadata\":{"},"list":[{"metadata":{}}],"metadata":{"name":"a"}}"#,
            r#"{"metadata":{"name":"a"},"kind":"Pod"}"#,
        ] {
            let start = metadata_start(json.as_bytes()).expect("metadata");
            assert!(json[start..].starts_with(r#""name":"a""#), "{json}");
        }
        for json in ["{}", r#"{"spec":{"metadata":{}}}"#, r#"{"metadata":null}"#, r#"{"a":"b"#] {
            assert_eq!(metadata_start(json.as_bytes()), None, "{json}");
        }
    }

    #[test]
    fn protobuf_is_encoded_once() {
        let object = UnversionedObject::encode(&Pod::default()).expect("encodes").with_revision(Key::pod("ns", "p"), 7);
        let failed: Result<_, &str> = object.protobuf(|_| Err("no schema"));
        assert_eq!(failed, Err("no schema"));
        let first: Result<_, &str> = object.protobuf(|json| Ok(json.to_vec()));
        assert_eq!(first, Ok(&*object.json));
        assert_eq!(object.protobuf(|_| Err("encoded twice")), first);
    }

    #[test]
    fn readers_share_one_typed_copy() {
        let object = UnversionedObject::encode(&Pod::default()).expect("encodes").with_revision(Key::pod("ns", "p"), 7);
        let (a, b) = (object.decode::<Pod>().expect("reads"), object.decode::<Pod>().expect("reads"));
        assert!(Arc::ptr_eq(&a, &b));
    }
}
