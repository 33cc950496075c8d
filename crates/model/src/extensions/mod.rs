//! What Kubernetes' OpenAPI documents say of types beyond their fields: merge keys, list types, defaults
//! (`x-kubernetes-…`).

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::protobuf::schema::{Field, MessageId, Presence, Schema, ValueType};

/// A line for each type: its name as in the protobuf schema, and its extensions as JSON.
const TABLE: &str = include_str!("table.txt");

/// Returns the extensions of a type, such as `core.v1.PodSpec`: `group-version-kind`, `required`, `map-type`, `unions`,
/// and those of its `fields`; `None` for types without any.
pub fn of_type(name: &str) -> Option<Map<String, Value>> {
    static LINES: LazyLock<HashMap<&str, &str>> =
        LazyLock::new(|| TABLE.lines().filter_map(|line| line.split_once(' ')).collect());
    serde_json::from_str(LINES.get(name)?).ok()
}

/// The way in which a strategic merge patch changes a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PatchStrategy {
    /// The patch's list replaces it.
    Replace,
    /// The union of both lists.
    Set,
    /// Items with the same value of this field merge.
    ByKey(String),
}

/// Returns how the list at `path` of a kind merges: `spec.containers[].env`.
pub fn patch_strategy(api_version: &str, kind: &str, path: &str) -> PatchStrategy {
    let Some(message) = Schema::get().message_of_kind(api_version, kind) else { return PatchStrategy::Replace };
    let steps: Vec<&str> = path.split('.').map(|step| step.trim_end_matches("[]")).collect();
    find_strategy(message, &steps).unwrap_or(PatchStrategy::Replace)
}

/// Returns the strategy of the field at `path` below `message`.
fn find_strategy(message: MessageId, path: &[&str]) -> Option<PatchStrategy> {
    let (step, rest) = path.split_first()?;
    let schema = Schema::get();
    let field = find_field(schema, message, step)?;
    if !rest.is_empty() {
        let ValueType::Message(inner) = field.value_type else { return None };
        return find_strategy(inner, rest);
    }
    let extensions = of_type(schema.message_name(message)?)?;
    let field = extensions.get("fields")?.get(*step)?;
    let strategy = field.get("patch-strategy")?.as_str()?;
    match field.get("patch-merge-key").and_then(Value::as_str) {
        Some(key) => Some(PatchStrategy::ByKey(key.into())),
        None => strategy.split(',').any(|strategy| strategy == "merge").then_some(PatchStrategy::Set),
    }
}

/// Returns the field of a message, or of those whose fields are part of its JSON.
fn find_field<'s>(schema: &'s Schema, message: MessageId, name: &str) -> Option<&'s Field> {
    schema.fields(message).iter().find_map(|field| match (field.presence, field.value_type) {
        (Presence::Inline, ValueType::Message(inner)) => find_field(schema, inner, name),
        _ => (field.name == name).then_some(field),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_have_the_strategies_of_kubernetes_types() {
        let by_key = |key: &str| PatchStrategy::ByKey(key.into());
        for (version, kind, path, strategy) in [
            ("v1", "Pod", "spec.containers", by_key("name")),
            ("v1", "Pod", "spec.containers[].env", by_key("name")),
            ("v1", "Pod", "spec.initContainers[].ports", by_key("containerPort")),
            ("v1", "Pod", "spec.ephemeralContainers[].volumeMounts", by_key("mountPath")),
            ("v1", "Pod", "spec.containers[].command", PatchStrategy::Replace),
            ("v1", "Pod", "spec.tolerations", PatchStrategy::Replace),
            ("v1", "Pod", "metadata.finalizers", PatchStrategy::Set),
            ("v1", "Service", "spec.ports", by_key("port")),
            ("apps/v1", "Deployment", "spec.template.spec.containers[].env", by_key("name")),
            ("apps/v1", "Deployment", "status.conditions", by_key("type")),
            ("v1", "ConfigMap", "spec.containers", PatchStrategy::Replace),
            ("example.com/v1", "Thing", "spec.containers", PatchStrategy::Replace),
        ] {
            assert_eq!(patch_strategy(version, kind, path), strategy, "{kind} {path}");
        }
    }
}
