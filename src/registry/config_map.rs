//! The rules of ConfigMaps.

use k8s_openapi::api::core::v1::ConfigMap;

use super::fields::{Faults, Path};
use super::metadata;
use crate::control::Cause;
use crate::model::formats;

/// Keys and values of an object that is all data, in bytes.
pub(super) const MOST_DATA: usize = 1024 * 1024;

/// Every fault of `map`; none means that it may be stored.
pub fn causes(map: &ConfigMap) -> Vec<Cause> {
    let mut faults = Faults::default();
    check(&mut faults, map);
    faults.into_causes()
}

/// Why `new` can't take the place of `old`; none means that it can.
pub fn causes_of_update(old: &ConfigMap, new: &ConfigMap) -> Vec<Cause> {
    let mut faults = Faults::default();
    metadata::check_before_update(&mut faults, &new.metadata, &old.metadata);
    metadata::check_update(&mut faults, &new.metadata, &old.metadata);
    let changed = [("data", new.data != old.data), ("binaryData", new.binary_data != old.binary_data)];
    metadata::check_immutable(&mut faults, old.immutable, new.immutable, &changed);
    check(&mut faults, new);
    faults.into_causes()
}

fn check(faults: &mut Faults, map: &ConfigMap) {
    metadata::check(faults, &map.metadata, formats::dns_subdomain);
    let mut size = 0;
    for (key, value) in map.data.iter().flatten() {
        let data = Path::root("data");
        faults.invalid_for(data.key(key), key, formats::config_map_key(key));
        if map.binary_data.as_ref().is_some_and(|binary| binary.contains_key(key)) {
            faults.invalid(data.key(key), key, "duplicate of key present in binaryData");
        }
        size += value.len();
    }
    for (key, value) in map.binary_data.iter().flatten() {
        faults.invalid_for(Path::root("binaryData").key(key), key, formats::config_map_key(key));
        size += value.0.len();
    }
    if size > MOST_DATA {
        faults.too_long(Path::root(""), MOST_DATA);
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

    fn words(causes: Vec<Cause>) -> Vec<String> {
        causes.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn keys_are_well_formed_and_stand_once() {
        for (yaml, want) in [
            ("{data: {a.b: x}, binaryData: {c: AA==}}", vec![]),
            (
                "{data: {a: x}, binaryData: {a: AA==}}",
                vec!["data[a]: Invalid value: \"a\": duplicate of key present in binaryData"],
            ),
            ("{data: {..: x}}", vec!["data[..]: Invalid value: \"..\": must not be '..'"]),
        ] {
            assert_eq!(words(causes(&map(yaml))), want, "{yaml}");
        }
        let mut large = map("{}");
        large.data = Some([("a".to_string(), "x".repeat(MOST_DATA + 1))].into());
        assert_eq!(words(causes(&large)), ["[]: Too long: may not be more than 1048576 bytes"]);
    }

    #[test]
    fn what_is_immutable_stays_as_it_is() {
        let why = "Forbidden: field is immutable when `immutable` is set";
        for (old, new, want) in [
            ("{data: {a: x}}", "{data: {a: y}}", vec![]),
            ("{data: {a: x}}", "{immutable: true, data: {a: y}}", vec![]),
            ("{immutable: true, data: {a: x}}", "{immutable: true, data: {a: x}}", vec![]),
            ("{immutable: true, data: {a: x}}", "{immutable: true, data: {a: y}}", vec![format!("data: {why}")]),
            (
                "{immutable: true, data: {a: x}}",
                "{binaryData: {b: AA==}}",
                vec![format!("immutable: {why}"), format!("data: {why}"), format!("binaryData: {why}")],
            ),
        ] {
            assert_eq!(words(causes_of_update(&map(old), &map(new))), want, "{old} to {new}");
        }
    }
}
