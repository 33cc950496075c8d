//! ConfigMaps: configuration data by key.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::Value;

use crate::model::formats;
use crate::registry::columns::{self, Column, age};
use crate::registry::fields::{ErrorList, FieldPath};
use crate::registry::metadata;
use crate::registry::strategy::{KindInfo, Strategy};

/// Upper bound of the data of a ConfigMap or Secret, in bytes.
pub const MAX_DATA_BYTES: usize = 1024 * 1024;

/// The column with the number of entries.
pub const DATA: Column = Column::text("Data", "Number of entries.");

impl Strategy for ConfigMap {
    const INFO: KindInfo =
        KindInfo { short_names: &["cm"], is_acted_on: true, ..KindInfo::new("configmap", "qFsyl6wFWjQ=") };
    const COLUMNS: &'static [Column] = &[Column::NAME, DATA, Column::AGE];

    fn cells(&self, now: Timestamp) -> Vec<Value> {
        let entries = self.data.iter().flatten().count() + self.binary_data.iter().flatten().count();
        vec![columns::name(&self.metadata), entries.into(), age(&self.metadata, now).into()]
    }

    fn validate(&self, errors: &mut ErrorList) {
        validate_map(errors, self);
    }

    fn validate_update(&self, old: &Self, errors: &mut ErrorList) {
        metadata::validate_object_meta_update(errors, &self.metadata, &old.metadata);
        let changed = [("data", self.data != old.data), ("binaryData", self.binary_data != old.binary_data)];
        metadata::validate_immutable(errors, old.immutable, self.immutable, &changed);
        validate_map(errors, self);
    }
}

fn validate_map(errors: &mut ErrorList, map: &ConfigMap) {
    metadata::validate_object_meta(errors, &map.metadata, formats::dns_subdomain);
    let mut size = 0;
    for (key, value) in map.data.iter().flatten() {
        let data = FieldPath::root("data");
        errors.invalid_each(data.key(key), key, formats::config_map_key(key));
        if map.binary_data.as_ref().is_some_and(|binary| binary.contains_key(key)) {
            errors.invalid(data.key(key), key, "duplicate of key present in binaryData");
        }
        size += value.len();
    }
    for (key, value) in map.binary_data.iter().flatten() {
        errors.invalid_each(FieldPath::root("binaryData").key(key), key, formats::config_map_key(key));
        size += value.0.len();
    }
    if size > MAX_DATA_BYTES {
        errors.too_long(FieldPath::root(""), MAX_DATA_BYTES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::strategy::testing::{errors, update_errors};

    fn map(yaml: &str) -> ConfigMap {
        let mut map: ConfigMap = serde_yaml::from_str(yaml).expect("a ConfigMap");
        map.metadata.name = Some("m".into());
        map.metadata.namespace = Some("default".into());
        map
    }

    #[test]
    fn keys_are_valid_and_unique() {
        for (yaml, want) in [
            ("{data: {a.b: x}, binaryData: {c: AA==}}", vec![]),
            (
                "{data: {a: x}, binaryData: {a: AA==}}",
                vec!["data[a]: Invalid value: \"a\": duplicate of key present in binaryData"],
            ),
            ("{data: {..: x}}", vec!["data[..]: Invalid value: \"..\": must not be '..'"]),
        ] {
            assert_eq!(errors(&map(yaml)), want, "{yaml}");
        }
        let mut large = map("{}");
        large.data = Some([("a".to_string(), "x".repeat(MAX_DATA_BYTES + 1))].into());
        assert_eq!(errors(&large), ["[]: Too long: may not be more than 1048576 bytes"]);
    }

    #[test]
    fn immutable_config_maps_reject_changes() {
        let detail = "Forbidden: field is immutable when `immutable` is set";
        for (old, new, want) in [
            ("{data: {a: x}}", "{data: {a: y}}", vec![]),
            ("{data: {a: x}}", "{immutable: true, data: {a: y}}", vec![]),
            ("{immutable: true, data: {a: x}}", "{immutable: true, data: {a: x}}", vec![]),
            ("{immutable: true, data: {a: x}}", "{immutable: true, data: {a: y}}", vec![format!("data: {detail}")]),
            (
                "{immutable: true, data: {a: x}}",
                "{binaryData: {b: AA==}}",
                vec![format!("immutable: {detail}"), format!("data: {detail}"), format!("binaryData: {detail}")],
            ),
        ] {
            assert_eq!(update_errors(&map(old), &map(new)), want, "{old} to {new}");
        }
    }
}
