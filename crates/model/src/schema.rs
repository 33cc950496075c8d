//! What Kubernetes documents of its types: fields, their types and their descriptions.
//!
//! k8s-openapi's types carry the API's own documentation. This module collects it once, as the
//! `components.schemas` of an OpenAPI document: references lead to `#/components/schemas/NAME`,
//! and names are Kubernetes' (`io.k8s.api.core.v1.Pod`). `explain`, the hints about misplaced
//! fields and the guard of the support table walk it.

use std::sync::LazyLock;

use k8s_openapi::api::{apps, batch, core, events, networking, policy};
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

/// Where references lead.
const REFERENCE: &str = "#/components/schemas/";

/// Every type that a supported kind is made of, by its name in the API.
pub fn definitions() -> &'static Map<String, Value> {
    static DEFINITIONS: LazyLock<Map<String, Value>> = LazyLock::new(|| {
        let path = REFERENCE.trim_start_matches('#').trim_end_matches('/');
        let settings = SchemaSettings::draft2020_12().with(|settings| settings.definitions_path = path.into());
        let mut generator = settings.into_generator();
        add_kinds(&mut generator);
        generator.take_definitions(false)
    });
    &DEFINITIONS
}

/// The kinds whose types are documented; what they refer to comes with them.
fn add_kinds(generator: &mut SchemaGenerator) {
    generator.subschema_for::<core::v1::Pod>();
    generator.subschema_for::<core::v1::ConfigMap>();
    generator.subschema_for::<core::v1::Secret>();
    generator.subschema_for::<core::v1::Service>();
    generator.subschema_for::<core::v1::PersistentVolumeClaim>();
    generator.subschema_for::<core::v1::Namespace>();
    generator.subschema_for::<core::v1::Node>();
    generator.subschema_for::<core::v1::Event>();
    generator.subschema_for::<apps::v1::Deployment>();
    generator.subschema_for::<apps::v1::ReplicaSet>();
    generator.subschema_for::<apps::v1::StatefulSet>();
    generator.subschema_for::<apps::v1::DaemonSet>();
    generator.subschema_for::<batch::v1::Job>();
    generator.subschema_for::<batch::v1::CronJob>();
    generator.subschema_for::<policy::v1::PodDisruptionBudget>();
    generator.subschema_for::<networking::v1::NetworkPolicy>();
    generator.subschema_for::<events::v1::Event>();
}

/// The schema of the type `name` (`io.k8s.api.core.v1.Pod`).
pub fn named(name: &str) -> Option<&'static Value> {
    definitions().get(name)
}

/// The schema of `kind` as the group and version that is served first has it (`Pod`, `Job`).
pub fn of(kind: &str) -> Option<&'static Value> {
    named(&format!("io.k8s.api.{}.{kind}", package(kind)?))
}

/// The package of the API that a kind's type stands in.
fn package(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "Pod" | "ConfigMap" | "Secret" | "Service" | "PersistentVolumeClaim" | "Namespace" | "Node" | "Event" => {
            "core.v1"
        }
        "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" => "apps.v1",
        "Job" | "CronJob" => "batch.v1",
        "PodDisruptionBudget" => "policy.v1",
        "NetworkPolicy" => "networking.v1",
        _ => return None,
    })
}

/// The name of the type that `schema` refers to, as in `io.k8s.api.core.v1.Probe`.
pub fn reference(schema: &'static Value) -> Option<&'static str> {
    schema.get("$ref")?.as_str()?.strip_prefix(REFERENCE)
}

/// `schema` itself, or the type that it refers to.
pub fn resolve(schema: &'static Value) -> &'static Value {
    reference(schema).and_then(named).unwrap_or(schema)
}

/// What a list holds, or a map; nothing for all else.
pub fn element(schema: &'static Value) -> Option<&'static Value> {
    let schema = resolve(schema);
    schema.get("items").or_else(|| schema.get("additionalProperties").filter(|values| values.is_object()))
}

/// Whether values of this type are lists.
pub fn is_list(schema: &'static Value) -> bool {
    resolve(schema).get("items").is_some()
}

/// The fields of an object, by name; none for all else.
pub fn fields(schema: &'static Value) -> impl Iterator<Item = (&'static str, &'static Value)> {
    let properties = resolve(schema).get("properties").and_then(Value::as_object);
    properties.into_iter().flatten().map(|(name, field)| (name.as_str(), field))
}

/// One field of an object.
pub fn field(schema: &'static Value, name: &str) -> Option<&'static Value> {
    resolve(schema).get("properties")?.get(name)
}

/// Every field of the type and of what it holds, as in `spec.containers[].image`. Types that hold
/// themselves are entered once.
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

/// Whether an object of this type must have the field `name`.
pub fn is_required(schema: &'static Value, name: &str) -> bool {
    let required = resolve(schema).get("required").and_then(Value::as_array);
    required.is_some_and(|names| names.iter().any(|required| required == name))
}

/// What Kubernetes writes of the field or type.
pub fn description(schema: &'static Value) -> &'static str {
    let own = schema.get("description").or_else(|| resolve(schema).get("description"));
    own.and_then(Value::as_str).unwrap_or_default()
}

/// The type as `kubectl explain` writes it: `[]Container`, `map[string]string`, `integer`.
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
    use super::*;

    #[test]
    fn every_reference_leads_to_a_type() {
        fn check(value: &'static Value, seen: &mut usize) {
            match value {
                Value::Object(fields) => {
                    if let Some(name) = reference(value) {
                        assert!(named(name).is_some(), "{name}");
                        *seen += 1;
                    }
                    fields.values().for_each(|value| check(value, seen));
                }
                Value::Array(items) => items.iter().for_each(|value| check(value, seen)),
                _ => {}
            }
        }
        let mut seen = 0;
        definitions().values().for_each(|schema| check(schema, &mut seen));
        assert!(seen > 300, "{seen} references");
    }

    #[test]
    fn types_are_named_as_kubectl_names_them() {
        let spec = field(of("Pod").expect("Pod"), "spec").expect("spec");
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
        let started = field(field(of("Pod").expect("Pod"), "status").expect("status"), "startTime");
        assert_eq!(type_name(started.expect("startTime")), "string");
    }

    #[test]
    fn paths_lead_through_lists() {
        let paths = paths(of("Pod").expect("Pod"));
        for path in
            ["metadata.labels", "spec.containers[].image", "spec.volumes[].projected.sources[].secret.items[].key"]
        {
            assert!(paths.iter().any(|known| known == path), "{path}");
        }
    }

    #[test]
    fn required_fields_are_known() {
        let spec = field(of("Pod").expect("Pod"), "spec").expect("spec");
        assert!(is_required(spec, "containers"));
        assert!(!is_required(spec, "volumes"));
        assert!(description(spec).starts_with("Specification of the desired behavior of the pod."));
    }
}
