//! Validation of ConfigMaps.

use k8s_openapi::api::core::v1::ConfigMap;

use super::fields::{ErrorList, FieldPath};
use super::metadata;
use crate::control::Cause;
use crate::model::formats;

/// Upper bound of the data of a ConfigMap or Secret, in bytes.
pub(super) const MAX_DATA_BYTES: usize = 1024 * 1024;

/// Returns every error of a new ConfigMap; empty if it is valid.
pub fn validate(map: &ConfigMap) -> Vec<Cause> {
    let mut errors = ErrorList::default();
    validate_map(&mut errors, map);
    errors.into_causes()
}

/// Returns why `new` must not replace `old`; empty if it may.
pub fn validate_update(old: &ConfigMap, new: &ConfigMap) -> Vec<Cause> {
    let mut errors = ErrorList::default();
    metadata::validate_before_update(&mut errors, &new.metadata, &old.metadata);
    metadata::validate_object_meta_update(&mut errors, &new.metadata, &old.metadata);
    let changed = [("data", new.data != old.data), ("binaryData", new.binary_data != old.binary_data)];
    metadata::validate_immutable(&mut errors, old.immutable, new.immutable, &changed);
    validate_map(&mut errors, new);
    errors.into_causes()
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

    fn map(yaml: &str) -> ConfigMap {
        let mut map: ConfigMap = serde_yaml::from_str(yaml).expect("a ConfigMap");
        map.metadata.name = Some("m".into());
        map.metadata.namespace = Some("default".into());
        map
    }

    fn messages(causes: Vec<Cause>) -> Vec<String> {
        causes.iter().map(ToString::to_string).collect()
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
            assert_eq!(messages(validate(&map(yaml))), want, "{yaml}");
        }
        let mut large = map("{}");
        large.data = Some([("a".to_string(), "x".repeat(MAX_DATA_BYTES + 1))].into());
        assert_eq!(messages(validate(&large)), ["[]: Too long: may not be more than 1048576 bytes"]);
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
            assert_eq!(messages(validate_update(&map(old), &map(new))), want, "{old} to {new}");
        }
    }
}
