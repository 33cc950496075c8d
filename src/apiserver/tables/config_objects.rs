//! ConfigMaps: `NAME DATA AGE`, and Secrets: `NAME TYPE DATA AGE`.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use super::{ColumnDefinition, Tabular, age, non_empty_or};

const DATA: ColumnDefinition = ColumnDefinition::text("Data", "Number of entries.");

impl Tabular for ConfigMap {
    const COLUMNS: &'static [ColumnDefinition] = &[ColumnDefinition::NAME, DATA, ColumnDefinition::AGE];

    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn cells(&self, now: Timestamp) -> Vec<Value> {
        let entries = self.data.iter().flatten().count() + self.binary_data.iter().flatten().count();
        let name = non_empty_or(self.metadata.name.as_deref(), "");
        vec![name.into(), entries.into(), age(&self.metadata, now).into()]
    }
}

impl Tabular for Secret {
    const COLUMNS: &'static [ColumnDefinition] = &[
        ColumnDefinition::NAME,
        ColumnDefinition::text("Type", "Type of the secret, such as Opaque."),
        DATA,
        ColumnDefinition::AGE,
    ];

    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn cells(&self, now: Timestamp) -> Vec<Value> {
        vec![
            non_empty_or(self.metadata.name.as_deref(), "").into(),
            non_empty_or(self.type_.as_deref(), "").into(),
            self.data.iter().flatten().count().into(),
            age(&self.metadata, now).into(),
        ]
    }
}
