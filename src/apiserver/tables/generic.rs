//! Kinds without their own columns: `NAME CREATED AT`.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde::Deserialize;
use serde_json::Value;

use super::{ColumnDefinition, Tabular, non_empty_or};

/// An object of any kind.
#[derive(Deserialize)]
pub struct AnyObject {
    metadata: ObjectMeta,
}

impl Tabular for AnyObject {
    const COLUMNS: &'static [ColumnDefinition] = &[
        ColumnDefinition::NAME,
        ColumnDefinition { kind: "date", ..ColumnDefinition::text("Created At", "Creation time of the object.") },
    ];

    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn cells(&self, _: Timestamp) -> Vec<Value> {
        let created = self.metadata.creation_timestamp.as_ref().map(|Time(at)| at.strftime("%FT%TZ").to_string());
        vec![non_empty_or(self.metadata.name.as_deref(), "").into(), created.into()]
    }
}
