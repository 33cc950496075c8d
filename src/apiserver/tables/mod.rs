//! Objects as rows of a `Table` of `meta.k8s.io`, which `kubectl get` prints.
//!
//! Columns and cells are those of Kubernetes' API server; a kind without a file here has its name and
//! creation time. A list is one table. Each event of a watch is a table of one row, and only the first
//! one has column definitions.

mod config_objects;
mod events;
mod generic;
mod namespaces;
mod nodes;
mod pods;

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, Node, Pod, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ListMeta, ObjectMeta, Time};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::accept::MetaVersion;
use super::partial;
use super::served::ServedResource;
use crate::control::{Object, Reason, Status};
use crate::model::duration;

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
    served: &ServedResource,
    items: &[Arc<Object>],
    metadata: &ListMeta,
    options: &TableOptions,
) -> Result<Vec<u8>, Status> {
    let table = match served.resource.plural {
        "pods" => encode_table::<Pod>,
        "events" => encode_table::<Event>,
        "nodes" => encode_table::<Node>,
        "namespaces" => encode_table::<Namespace>,
        "configmaps" => encode_table::<ConfigMap>,
        "secrets" => encode_table::<Secret>,
        _ => encode_table::<generic::AnyObject>,
    };
    table(served, items, metadata, options).map_err(Status::internal)
}

/// Encodes one object as a table of one row.
pub fn single(served: &ServedResource, object: &Arc<Object>, options: &TableOptions) -> Result<Vec<u8>, Status> {
    let metadata = ListMeta { resource_version: Some(object.revision.to_string()), ..ListMeta::default() };
    list(served, std::slice::from_ref(object), &metadata, options)
}

/// A kind with columns.
trait Tabular: DeserializeOwned + Send + Sync + 'static {
    const COLUMNS: &'static [ColumnDefinition];

    fn metadata(&self) -> &ObjectMeta;

    /// Returns one cell per column.
    fn cells(&self, now: Timestamp) -> Vec<Value>;

    /// Returns the row's conditions, for clients that do not parse cells.
    fn conditions(&self) -> &'static [RowCondition] {
        &[]
    }
}

/// One `TableColumnDefinition`.
#[derive(Debug, Serialize)]
struct ColumnDefinition {
    name: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    format: &'static str,
    description: &'static str,
    /// 0: always shown; 1: with `-o wide`.
    priority: u8,
}

impl ColumnDefinition {
    const NAME: ColumnDefinition = ColumnDefinition {
        name: "Name",
        kind: "string",
        format: "name",
        description: "The object's name, unique among its kind in its namespace.",
        priority: 0,
    };
    const AGE: ColumnDefinition = ColumnDefinition::text("Age", "Time since the object was created.");

    const fn text(name: &'static str, description: &'static str) -> ColumnDefinition {
        ColumnDefinition { name, kind: "string", format: "", description, priority: 0 }
    }

    const fn wide(name: &'static str, description: &'static str) -> ColumnDefinition {
        ColumnDefinition { name, kind: "string", format: "", description, priority: 1 }
    }
}

/// One `TableRowCondition`.
#[derive(Debug, Serialize)]
struct RowCondition {
    #[serde(rename = "type")]
    kind: &'static str,
    status: &'static str,
    reason: &'static str,
    message: &'static str,
}

fn encode_table<T: Tabular>(
    served: &ServedResource,
    items: &[Arc<Object>],
    metadata: &ListMeta,
    options: &TableOptions,
) -> Result<Vec<u8>, serde_json::Error> {
    let mut json = format!("{{\"kind\":\"Table\",\"apiVersion\":\"{}\",\"metadata\":", options.version.api_version());
    json += &serde_json::to_string(metadata)?;
    json += ",\"columnDefinitions\":";
    json += &serde_json::to_string(&options.column_definitions.then_some(T::COLUMNS))?;
    json += ",\"rows\":[";
    let mut json = json.into_bytes();
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            json.push(b',');
        }
        encode_row(&mut json, served, item, &*item.decode::<T>()?, options)?;
    }
    json.extend_from_slice(b"]}");
    Ok(json)
}

fn encode_row<T: Tabular>(
    json: &mut Vec<u8>,
    served: &ServedResource,
    object: &Object,
    typed: &T,
    options: &TableOptions,
) -> Result<(), serde_json::Error> {
    json.extend_from_slice(b"{\"cells\":");
    serde_json::to_writer(&mut *json, &typed.cells(options.now))?;
    if !typed.conditions().is_empty() {
        json.extend_from_slice(b",\"conditions\":");
        serde_json::to_writer(&mut *json, typed.conditions())?;
    }
    json.extend_from_slice(b",\"object\":");
    match options.include {
        IncludeObject::Metadata => partial::append_metadata(json, typed.metadata(), options.version)?,
        IncludeObject::Object => json.extend_from_slice(&served.encode(object)?),
        IncludeObject::None => json.extend_from_slice(b"null"),
    }
    json.push(b'}');
    Ok(())
}

/// Formats the time since `at`, or `<unknown>`.
fn age_since(at: Option<Timestamp>, now: Timestamp) -> String {
    at.map_or_else(|| "<unknown>".into(), |at| duration::human_duration(now.duration_since(at).as_secs()))
}

/// Formats the age of an object.
fn age(metadata: &ObjectMeta, now: Timestamp) -> String {
    age_since(metadata.creation_timestamp.as_ref().map(|Time(at)| *at), now)
}

/// Returns the text, or `missing` if it is empty or absent.
fn non_empty_or<'t>(text: Option<&'t str>, missing: &'t str) -> &'t str {
    text.filter(|text| !text.is_empty()).unwrap_or(missing)
}

#[cfg(test)]
mod tests;
