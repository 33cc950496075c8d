//! Whatever has a name: `NAME CREATED AT`.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde::Deserialize;
use serde_json::Value;

use super::{Column, Tabular, or};

/// An object of any kind.
#[derive(Deserialize)]
pub struct AnyObject {
    metadata: ObjectMeta,
}

impl Tabular for AnyObject {
    const COLUMNS: &'static [Column] =
        &[Column::NAME, Column { kind: "date", ..Column::text("Created At", "When the object was made.") }];

    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn cells(&self, _: Timestamp) -> Vec<Value> {
        let created = self.metadata.creation_timestamp.as_ref().map(|Time(at)| at.strftime("%FT%TZ").to_string());
        vec![or(self.metadata.name.as_deref(), "").into(), created.into()]
    }
}
