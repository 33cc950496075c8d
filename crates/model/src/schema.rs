//! The schemas of Kubernetes' types: fields with types and descriptions.
//!
//! k8s-openapi's types carry the API's own documentation. The build script collects it once, as the
//! `components.schemas` of an OpenAPI document: references point to `#/components/schemas/NAME`, and
//! names are Kubernetes' (`io.k8s.api.core.v1.Pod`). OpenAPI, `explain`, the hints about misplaced fields and
//! the tests of the table of supported fields use it.

use std::collections::HashMap;
use std::io::Read;
use std::sync::{PoisonError, RwLock};

use flate2::read::DeflateDecoder;
use serde_json::{Map, Value, json};

use super::kinds::KindType;

/// A line for each type, its name and its schema, compressed.
const SCHEMAS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/schemas.deflate"));

/// Prefix of references.
const REFERENCE_PREFIX: &str = "#/components/schemas/";

/// The schemas of some types and of the types that they use, by name.
pub type Definitions = Map<String, Value>;

/// Returns the schemas of the types with these names, and of all types that they use. Leaves out unknown names.
pub fn definitions(names: impl IntoIterator<Item = String>) -> Definitions {
    let mut text = String::new();
    // The build script has written it: it cannot be damaged.
    let _ = DeflateDecoder::new(SCHEMAS).read_to_string(&mut text);
    let lines: HashMap<&str, &str> = text.lines().filter_map(|line| line.split_once(' ')).collect();
    let mut definitions = Definitions::new();
    let mut missing: Vec<String> = names.into_iter().collect();
    while let Some(name) = missing.pop() {
        if definitions.contains_key(&name) {
            continue;
        }
        let Some(schema) = lines.get(&*name).and_then(|json| serde_json::from_str(json).ok()) else { continue };
        add_references(&schema, &mut missing);
        definitions.insert(name, schema);
    }
    definitions
}

/// Adds the names of the types to which `schema` refers.
fn add_references(schema: &Value, names: &mut Vec<String>) {
    match schema {
        Value::Object(fields) => {
            names.extend(reference(schema).map(String::from));
            fields.values().for_each(|value| add_references(value, names));
        }
        Value::Array(items) => items.iter().for_each(|value| add_references(value, names)),
        _ => {}
    }
}

/// Returns the name of the type of a kind, such as `io.k8s.api.core.v1.Pod`.
pub fn type_name_of_kind(group: &str, version: &str, kind: &str) -> String {
    let group = group.split('.').next().filter(|group| !group.is_empty()).unwrap_or("core");
    format!("io.k8s.api.{group}.{version}.{kind}")
}

/// Returns a reference to the type `name`.
pub fn reference_to(name: &str) -> Value {
    json!({ "$ref": format!("{REFERENCE_PREFIX}{name}") })
}

/// Returns the schema of a kind. Its definitions stay in memory from the first call on.
pub fn of(kind: &KindType) -> Option<&'static Value> {
    let name = type_name_of_kind(kind.names().group, kind.names().version, kind.name());
    by_name(&name).or_else(|| {
        let definitions: &Definitions = Box::leak(Box::new(definitions([name.clone()])));
        LOADED.write().unwrap_or_else(PoisonError::into_inner).push(definitions);
        definitions.get(&name)
    })
}

/// The definitions of the kinds that were asked for. Types that several kinds use are in several of them.
static LOADED: RwLock<Vec<&'static Definitions>> = RwLock::new(Vec::new());

/// Returns the schema of the type `name` (`io.k8s.api.core.v1.Pod`) of a kind that was asked for.
fn by_name(name: &str) -> Option<&'static Value> {
    LOADED.read().unwrap_or_else(PoisonError::into_inner).iter().find_map(|definitions| definitions.get(name))
}

/// Returns the name of the type that `schema` refers to, such as `io.k8s.api.core.v1.Probe`.
pub fn reference(schema: &Value) -> Option<&str> {
    schema.get("$ref")?.as_str()?.strip_prefix(REFERENCE_PREFIX)
}

/// Returns the type that `schema` refers to, or `schema` itself.
pub fn resolve(schema: &'static Value) -> &'static Value {
    reference(schema).and_then(by_name).unwrap_or(schema)
}

/// Returns the element type of a list or map; `None` for any other type.
pub fn element(schema: &'static Value) -> Option<&'static Value> {
    let schema = resolve(schema);
    schema.get("items").or_else(|| schema.get("additionalProperties").filter(|values| values.is_object()))
}

/// Returns whether the type is a list.
pub fn is_list(schema: &'static Value) -> bool {
    resolve(schema).get("items").is_some()
}

/// Returns the fields of an object by name; empty for any other type.
pub fn fields(schema: &'static Value) -> impl Iterator<Item = (&'static str, &'static Value)> {
    let properties = resolve(schema).get("properties").and_then(Value::as_object);
    properties.into_iter().flatten().map(|(name, field)| (name.as_str(), field))
}

/// Returns the field `name` of an object.
pub fn field(schema: &'static Value, name: &str) -> Option<&'static Value> {
    resolve(schema).get("properties")?.get(name)
}

/// Returns the paths of all fields, nested ones included, such as `spec.containers[].image`. Recursive types are
/// entered once.
pub fn paths(schema: &'static Value) -> Vec<String> {
    fn add(schema: &'static Value, path: &str, within: &mut Vec<&'static str>, found: &mut Vec<String>) {
        let target = if is_list(schema) { element(schema).unwrap_or(schema) } else { schema };
        if let Some(name) = reference(target) {
            if within.contains(&name) {
                return;
            }
            within.push(name);
        }
        for (name, field) in fields(target) {
            let list = if is_list(field) { "[]" } else { "" };
            let path = if path.is_empty() { format!("{name}{list}") } else { format!("{path}.{name}{list}") };
            found.push(path.clone());
            add(field, &path, within, found);
        }
        if reference(target).is_some() {
            within.pop();
        }
    }
    let mut found = Vec::new();
    add(schema, "", &mut Vec::new(), &mut found);
    found
}

/// Returns whether the field `name` is required.
pub fn is_required(schema: &'static Value, name: &str) -> bool {
    let required = resolve(schema).get("required").and_then(Value::as_array);
    required.is_some_and(|names| names.iter().any(|required| required == name))
}

/// Returns Kubernetes' description of the field or type.
pub fn description(schema: &'static Value) -> &'static str {
    let own = schema.get("description").or_else(|| resolve(schema).get("description"));
    own.and_then(Value::as_str).unwrap_or_default()
}

/// Returns the type as `kubectl explain` prints it: `[]Container`, `map[string]string`, `integer`.
pub fn type_name(schema: &'static Value) -> String {
    if let Some(element) = element(schema) {
        let element = type_name(element);
        return if is_list(schema) { format!("[]{element}") } else { format!("map[string]{element}") };
    }
    let target = resolve(schema);
    if let Some(name) = reference(schema)
        && !matches!(target.get("type").and_then(Value::as_str), Some("string"))
    {
        return name.rsplit('.').next().unwrap_or(name).to_string();
    }
    match target.get("type").and_then(Value::as_str) {
        Some("object") | None => "Object".into(),
        Some(scalar) => scalar.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;

    use super::*;
    use crate::kinds::SOME_KINDS;

    #[test]
    fn references_resolve() {
        fn check(value: &'static Value, seen: &mut usize) {
            match value {
                Value::Object(fields) => {
                    if let Some(name) = reference(value) {
                        assert!(by_name(name).is_some(), "{name}");
                        *seen += 1;
                    }
                    fields.values().for_each(|value| check(value, seen));
                }
                Value::Array(items) => items.iter().for_each(|value| check(value, seen)),
                _ => {}
            }
        }
        let mut seen = 0;
        for kind in SOME_KINDS {
            check(of(kind).expect("a schema"), &mut seen);
        }
        for definitions in LOADED.read().expect("definitions").iter() {
            definitions.values().for_each(|schema| check(schema, &mut seen));
        }
        assert!(seen > 300, "{seen} references");
    }

    #[test]
    fn type_names_match_kubectl() {
        let spec = field(of(&KindType::of::<Pod>()).expect("Pod"), "spec").expect("spec");
        for (name, want) in [
            ("containers", "[]Container"),
            ("nodeSelector", "map[string]string"),
            ("hostNetwork", "boolean"),
            ("terminationGracePeriodSeconds", "integer"),
            ("affinity", "Affinity"),
            ("overhead", "map[string]Quantity"),
        ] {
            assert_eq!(type_name(field(spec, name).expect(name)), want, "{name}");
        }
        let started = field(field(of(&KindType::of::<Pod>()).expect("Pod"), "status").expect("status"), "startTime");
        assert_eq!(type_name(started.expect("startTime")), "string");
    }

    #[test]
    fn paths_include_fields_of_list_items() {
        let paths = paths(of(&KindType::of::<Pod>()).expect("Pod"));
        for path in
            ["metadata.labels", "spec.containers[].image", "spec.volumes[].projected.sources[].secret.items[].key"]
        {
            assert!(paths.iter().any(|known| known == path), "{path}");
        }
    }

    #[test]
    fn required_fields_are_reported() {
        let spec = field(of(&KindType::of::<Pod>()).expect("Pod"), "spec").expect("spec");
        assert!(is_required(spec, "containers"));
        assert!(!is_required(spec, "volumes"));
        assert!(description(spec).starts_with("Specification of the desired behavior of the pod."));
    }
}
