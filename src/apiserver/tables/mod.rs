//! Objects as rows of a `Table` of `meta.k8s.io`, which `kubectl get` prints.
//!
//! Columns and cells are those of the kinds in the registry. A list is one table. Each event of a watch is a table of one row, and only the first
//! one has column definitions.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::autoscaling::v1::Scale;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta;
use serde_json::{Value, json};

use super::accept::MetaVersion;
use super::partial;
use super::served::ServedResource;
use crate::control::{Object, Reason, Status};
use crate::registry::columns::{self, Column};
use crate::registry::kind::Row;

/// The object in a row (`includeObject`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IncludeObject {
    /// The object's metadata.
    Metadata,
    /// The whole object.
    Object,
    /// Nothing.
    None,
}

impl IncludeObject {
    /// Parses the parameter `includeObject`.
    pub fn parse(parameter: Option<&str>) -> Result<IncludeObject, Status> {
        match parameter {
            None | Some("" | "Metadata") => Ok(IncludeObject::Metadata),
            Some("Object") => Ok(IncludeObject::Object),
            Some("None") => Ok(IncludeObject::None),
            Some(other) => Err(Status::new(
                Reason::BadRequest,
                format!(
                    "Unable to convert to Table as requested: includeObject: Invalid value: {other:?}: must be \
                     'Metadata', 'Object', 'None', or empty"
                ),
            )),
        }
    }
}

/// Options of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableOptions {
    /// Requested version of `meta.k8s.io`.
    pub version: MetaVersion,
    /// Object in each row.
    pub include: IncludeObject,
    /// Whether to include column definitions.
    pub column_definitions: bool,
    /// Time to which ages are relative.
    pub now: Timestamp,
}

/// Encodes a list as one table.
pub fn list(
    served: ServedResource,
    items: &[Arc<Object>],
    metadata: &ListMeta,
    options: &TableOptions,
) -> Result<Vec<u8>, Status> {
    encode_table(served, items, metadata, options).map_err(Status::internal)
}

/// Encodes one object as a table of one row.
pub fn single(served: ServedResource, object: &Arc<Object>, options: &TableOptions) -> Result<Vec<u8>, Status> {
    let metadata = ListMeta { resource_version: Some(object.revision.to_string()), ..ListMeta::default() };
    list(served, std::slice::from_ref(object), &metadata, options)
}

/// The columns of a `Scale`.
const SCALE_COLUMNS: &[Column] = &[
    Column::NAME,
    Column::integer("Desired", "Number of pods that should run."),
    Column::integer("Available", "Number of pods that were observed last."),
    Column::AGE,
];

/// Encodes the `scale` subresource of an object as a table of one row.
pub fn scale(scale: &Scale, options: &TableOptions) -> Result<Vec<u8>, Status> {
    let desired = scale.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or_default();
    let available = scale.status.as_ref().map(|status| status.replicas).unwrap_or_default();
    let (meta, version) = (&scale.metadata, options.version.api_version());
    let object = match options.include {
        IncludeObject::Metadata => json!({"kind": "PartialObjectMetadata", "apiVersion": version, "metadata": meta}),
        IncludeObject::Object => serde_json::to_value(scale).map_err(Status::internal)?,
        IncludeObject::None => Value::Null,
    };
    let cells = json!([columns::name(meta), desired, available, columns::age(meta, options.now)]);
    let table = json!({
        "kind": "Table",
        "apiVersion": version,
        "metadata": {"resourceVersion": meta.resource_version},
        "columnDefinitions": SCALE_COLUMNS,
        "rows": [{"cells": cells, "object": object}],
    });
    Ok(table.to_string().into_bytes())
}

fn encode_table(
    served: ServedResource,
    items: &[Arc<Object>],
    metadata: &ListMeta,
    options: &TableOptions,
) -> Result<Vec<u8>, serde_json::Error> {
    let mut json = format!("{{\"kind\":\"Table\",\"apiVersion\":\"{}\",\"metadata\":", options.version.api_version());
    json += &serde_json::to_string(metadata)?;
    json += ",\"columnDefinitions\":";
    json += &serde_json::to_string(&options.column_definitions.then_some(served.kind.columns()))?;
    json += ",\"rows\":[";
    let mut json = json.into_bytes();
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            json.push(b',');
        }
        let mut encode = |row: Row<'_>| encode_row(&mut json, served, item, row, options);
        served.kind.with_row(item, options.now, &mut encode)?;
    }
    json.extend_from_slice(b"]}");
    Ok(json)
}

fn encode_row(
    json: &mut Vec<u8>,
    served: ServedResource,
    object: &Object,
    row: Row<'_>,
    options: &TableOptions,
) -> Result<(), serde_json::Error> {
    json.extend_from_slice(b"{\"cells\":");
    serde_json::to_writer(&mut *json, &row.cells)?;
    if !row.conditions.is_empty() {
        json.extend_from_slice(b",\"conditions\":");
        serde_json::to_writer(&mut *json, row.conditions)?;
    }
    json.extend_from_slice(b",\"object\":");
    match options.include {
        IncludeObject::Metadata => partial::append_metadata(json, row.metadata, options.version)?,
        IncludeObject::Object => json.extend_from_slice(&served.encode(object)?),
        IncludeObject::None => json.extend_from_slice(b"null"),
    }
    json.push(b'}');
    Ok(())
}

#[cfg(test)]
mod tests;
