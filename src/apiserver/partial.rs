//! `PartialObjectMetadata`: objects reduced to their metadata, and lists of them.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ListMeta, ObjectMeta};
use serde::Deserialize;

use super::accept::MetaVersion;
use crate::control::{Object, Status};

/// The metadata of an object, whatever its kind.
#[derive(Deserialize)]
pub struct OnlyMetadata {
    /// `metadata`.
    pub metadata: ObjectMeta,
}

/// Encodes the metadata of one object.
pub fn single(object: &Object, version: MetaVersion) -> Result<Vec<u8>, Status> {
    let mut json = Vec::new();
    append_object(&mut json, object, version).map_err(Status::internal)?;
    Ok(json)
}

/// Encodes a list of objects' metadata.
pub fn list(items: &[Arc<Object>], metadata: &ListMeta, version: MetaVersion) -> Result<Vec<u8>, Status> {
    let write = || {
        let kind = "{\"kind\":\"PartialObjectMetadataList\",\"apiVersion\":";
        let mut json = format!("{kind}\"{}\",\"metadata\":", version.api_version()).into_bytes();
        serde_json::to_writer(&mut json, metadata)?;
        json.extend_from_slice(b",\"items\":[");
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                json.push(b',');
            }
            append_object(&mut json, item, version)?;
        }
        json.extend_from_slice(b"]}");
        Ok(json)
    };
    write().map_err(|error: serde_json::Error| Status::internal(error))
}

fn append_object(json: &mut Vec<u8>, object: &Object, version: MetaVersion) -> Result<(), serde_json::Error> {
    append_metadata(json, &serde_json::from_slice::<OnlyMetadata>(&object.json)?.metadata, version)
}

/// Appends a `PartialObjectMetadata` with this metadata.
pub fn append_metadata(
    json: &mut Vec<u8>,
    metadata: &ObjectMeta,
    version: MetaVersion,
) -> Result<(), serde_json::Error> {
    json.extend_from_slice(b"{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"");
    json.extend_from_slice(version.api_version().as_bytes());
    json.extend_from_slice(b"\",\"metadata\":");
    serde_json::to_writer(&mut *json, metadata)?;
    json.push(b'}');
    Ok(())
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;
    use serde_json::{Value, json};

    use super::*;
    use crate::control::{Key, UnversionedObject};

    #[test]
    fn only_metadata_is_encoded() {
        let metadata = json!({"name": "p", "labels": {"a": "b"}});
        let pod = json!({"metadata": metadata, "spec": {"containers": []}, "status": {"phase": "Running"}});
        let pod: Pod = serde_json::from_value(pod).expect("a pod");
        let object = Arc::new(UnversionedObject::encode(&pod).expect("encodes").with_revision(Key::pod("ns", "p"), 7));
        let item = json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
            "metadata": {"name": "p", "labels": {"a": "b"}, "resourceVersion": "7"}});
        let read = |json: Vec<u8>| serde_json::from_slice::<Value>(&json).expect("JSON");
        assert_eq!(read(single(&object, MetaVersion::V1).expect("JSON")), item);
        let metadata = ListMeta { resource_version: Some("9".into()), ..ListMeta::default() };
        let encoded = read(list(&[object.clone(), object], &metadata, MetaVersion::V1).expect("JSON"));
        assert_eq!(encoded["items"], json!([item, item]));
        assert_eq!(encoded["metadata"], json!({"resourceVersion": "9"}));
        assert_eq!(encoded["kind"], "PartialObjectMetadataList");
    }
}
