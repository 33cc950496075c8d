//! Namespaces: `NAME STATUS AGE`.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use super::{ColumnDefinition, Tabular, age, non_empty_or};

impl Tabular for Namespace {
    const COLUMNS: &'static [ColumnDefinition] = &[
        ColumnDefinition::NAME,
        ColumnDefinition::text("Status", "Phase of the namespace: Active or Terminating."),
        ColumnDefinition::AGE,
    ];

    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn cells(&self, now: Timestamp) -> Vec<Value> {
        let phase = self.status.as_ref().and_then(|status| status.phase.as_deref());
        vec![
            non_empty_or(self.metadata.name.as_deref(), "").into(),
            non_empty_or(phase, "").into(),
            age(&self.metadata, now).into(),
        ]
    }
}
