//! Objects as rows of a `Table` of `meta.k8s.io`: what `kubectl get` prints.
//!
//! A kind's columns and cells are those of a real API server; a kind without a file here has its
//! name and the time it was made. A list is one table. Of a watch each event is a table of one
//! row, and only the first has column definitions.

mod events;
mod generic;
mod namespaces;
mod nodes;
mod pods;

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, Namespace, Node, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ListMeta, ObjectMeta, Time};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::accept::MetaVersion;
use super::partial;
use super::served::Served;
use crate::control::{Object, Reason, Status};
use crate::model::duration;

/// What a row carries beside its cells (`includeObject`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Include {
    /// The object's metadata.
    Metadata,
    /// The whole object.
    Object,
    /// Nothing.
    None,
}

impl Include {
    /// Reads the parameter `includeObject`.
    pub fn of(parameter: Option<&str>) -> Result<Include, Status> {
        match parameter {
            None | Some("" | "Metadata") => Ok(Include::Metadata),
            Some("Object") => Ok(Include::Object),
            Some("None") => Ok(Include::None),
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

/// How a table is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableOptions {
    /// The version that the client asked for.
    pub version: MetaVersion,
    /// What rows carry.
    pub include: Include,
    /// Whether the columns are told: always in a list, once in a watch.
    pub headers: bool,
    /// Ages are told as of this time.
    pub now: Timestamp,
}

/// A list of what is `served` as one table.
pub fn list(
    served: &Served,
    items: &[Arc<Object>],
    metadata: &ListMeta,
    options: &TableOptions,
) -> Result<Vec<u8>, Status> {
    let table = match served.resource.plural {
        "pods" => table::<Pod>,
        "events" => table::<Event>,
        "nodes" => table::<Node>,
        "namespaces" => table::<Namespace>,
        _ => table::<generic::AnyObject>,
    };
    table(served, items, metadata, options).map_err(Status::internal)
}

/// One object as a table of one row.
pub fn one(served: &Served, object: &Arc<Object>, options: &TableOptions) -> Result<Vec<u8>, Status> {
    let metadata = ListMeta { resource_version: Some(object.revision.to_string()), ..ListMeta::default() };
    list(served, std::slice::from_ref(object), &metadata, options)
}

/// A kind that has columns.
trait Tabular: DeserializeOwned + Send + Sync + 'static {
    const COLUMNS: &'static [Column];

    fn metadata(&self) -> &ObjectMeta;

    /// A cell for each column.
    fn cells(&self, now: Timestamp) -> Vec<Value>;

    /// What clients may act on without reading cells.
    fn conditions(&self) -> &'static [RowCondition] {
        &[]
    }
}

/// One `TableColumnDefinition`.
#[derive(Debug, Serialize)]
struct Column {
    name: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    format: &'static str,
    description: &'static str,
    /// 0: always shown; 1: with `-o wide`.
    priority: u8,
}

impl Column {
    const NAME: Column = Column {
        name: "Name",
        kind: "string",
        format: "name",
        description: "The object's name, unique among its kind in its namespace.",
        priority: 0,
    };
    const AGE: Column = Column::text("Age", "How long ago the object was made.");

    const fn text(name: &'static str, description: &'static str) -> Column {
        Column { name, kind: "string", format: "", description, priority: 0 }
    }

    const fn wide(name: &'static str, description: &'static str) -> Column {
        Column { name, kind: "string", format: "", description, priority: 1 }
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

fn table<T: Tabular>(
    served: &Served,
    items: &[Arc<Object>],
    metadata: &ListMeta,
    options: &TableOptions,
) -> Result<Vec<u8>, serde_json::Error> {
    let mut json = format!("{{\"kind\":\"Table\",\"apiVersion\":\"{}\",\"metadata\":", options.version.api_version());
    json += &serde_json::to_string(metadata)?;
    json += ",\"columnDefinitions\":";
    json += &serde_json::to_string(&options.headers.then_some(T::COLUMNS))?;
    json += ",\"rows\":[";
    let mut json = json.into_bytes();
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            json.push(b',');
        }
        row(&mut json, served, item, &*item.decode::<T>()?, options)?;
    }
    json.extend_from_slice(b"]}");
    Ok(json)
}

fn row<T: Tabular>(
    json: &mut Vec<u8>,
    served: &Served,
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
        Include::Metadata => partial::write(json, typed.metadata(), options.version)?,
        Include::Object => json.extend_from_slice(&served.encode(object)?),
        Include::None => json.extend_from_slice(b"null"),
    }
    json.push(b'}');
    Ok(())
}

/// How long ago, or `<unknown>`.
fn since(at: Option<Timestamp>, now: Timestamp) -> String {
    at.map_or_else(|| "<unknown>".into(), |at| duration::human(now.duration_since(at).as_secs()))
}

/// The age of an object.
fn age(metadata: &ObjectMeta, now: Timestamp) -> String {
    since(metadata.creation_timestamp.as_ref().map(|Time(at)| *at), now)
}

/// The text, or `missing` for none and for an empty one.
fn or<'t>(text: Option<&'t str>, missing: &'t str) -> &'t str {
    text.filter(|text| !text.is_empty()).unwrap_or(missing)
}

#[cfg(test)]
mod tests;
