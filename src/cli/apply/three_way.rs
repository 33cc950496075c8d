//! Three-way strategic merge patches (`k8s.io/apimachinery/pkg/util/strategicpatch`): what leads from the current object
//! to the modified one, without what others have added since the original was applied.

use serde_json::{Map, Value, json};

use crate::control::Resource;
use crate::model::extensions::{PatchStrategy, patch_strategy};

/// Returns the patch for an object of `resource`; empty if nothing changes. `original` is what was applied last.
pub fn three_way_patch(
    resource: &Resource,
    original: Option<&Value>,
    current: &Value,
    modified: &Value,
) -> Map<String, Value> {
    let original = original.unwrap_or(&Value::Null);
    Differ { api_version: resource.api_version(), kind: resource.kind() }.patch_fields("", original, current, modified)
}

struct Differ<'a> {
    api_version: String,
    kind: &'a str,
}

impl Differ<'_> {
    /// Returns the patch of an object's fields. `path` is that of the object.
    fn patch_fields(&self, path: &str, original: &Value, current: &Value, modified: &Value) -> Map<String, Value> {
        let mut patch = Map::new();
        for (name, value) in fields(modified) {
            let path = join(path, name);
            let (original, current) = (field(original, name), field(current, name));
            self.patch_value(&path, name, [original, current, value], &mut patch);
        }
        // What was applied and is not wanted any longer.
        for (name, _) in fields(original) {
            if field(modified, name).is_null() && !field(current, name).is_null() {
                patch.insert(name.clone(), Value::Null);
            }
        }
        patch
    }

    /// Adds what changes the field `name` to `patch`.
    fn patch_value(
        &self,
        path: &str,
        name: &str,
        [original, current, modified]: [&Value; 3],
        patch: &mut Map<String, Value>,
    ) {
        match (current, modified) {
            (Value::Object(_), Value::Object(_)) => {
                let fields = self.patch_fields(path, original, current, modified);
                if !fields.is_empty() {
                    patch.insert(name.into(), fields.into());
                }
            }
            (Value::Array(current), Value::Array(modified)) => {
                let original = original.as_array().map(Vec::as_slice).unwrap_or_default();
                self.patch_list(path, name, [original, current, modified], patch);
            }
            // Empty values are not stored.
            (Value::Null, modified) if is_empty(modified) => {}
            (current, modified) if current == modified => {}
            (_, modified) => _ = patch.insert(name.into(), modified.clone()),
        }
    }

    fn patch_list(
        &self,
        path: &str,
        name: &str,
        [original, current, modified]: [&[Value]; 3],
        patch: &mut Map<String, Value>,
    ) {
        match patch_strategy(&self.api_version, self.kind, path) {
            PatchStrategy::Replace if current != modified => _ = patch.insert(name.into(), modified.into()),
            PatchStrategy::Replace => {}
            PatchStrategy::Set => {
                let added: Vec<Value> = modified.iter().filter(|value| !current.contains(value)).cloned().collect();
                let is_removed = |value: &&Value| !modified.contains(value) && current.contains(value);
                let removed: Vec<Value> = original.iter().filter(is_removed).cloned().collect();
                for (name, values) in [(name.to_string(), added), (format!("$deleteFromPrimitiveList/{name}"), removed)]
                {
                    if !values.is_empty() {
                        patch.insert(name, values.into());
                    }
                }
            }
            PatchStrategy::ByKey(key) => {
                let items = self.patch_items(path, &key, [original, current, modified]);
                if !items.is_empty() {
                    patch.insert(name.into(), items.into());
                }
            }
        }
    }

    /// Returns the patches of a list whose items have the same `key` in all versions.
    fn patch_items(&self, path: &str, key: &str, [original, current, modified]: [&[Value]; 3]) -> Vec<Value> {
        let path = format!("{path}[]");
        let mut items = Vec::new();
        for item in modified {
            let id = field(item, key);
            match find(current, key, id) {
                None => items.push(item.clone()),
                Some(current) => {
                    let original = find(original, key, id).unwrap_or(&Value::Null);
                    let mut patch = self.patch_fields(&path, original, current, item);
                    if !patch.is_empty() {
                        patch.insert(key.into(), id.clone());
                        items.push(patch.into());
                    }
                }
            }
        }
        let is_removed = |id: &&Value| find(modified, key, id).is_none() && find(current, key, id).is_some();
        let removed = original.iter().map(|item| field(item, key)).filter(is_removed);
        items.extend(removed.map(|id| {
            let mut patch = Map::from_iter([("$patch".to_string(), json!("delete"))]);
            patch.insert(key.into(), id.clone());
            patch.into()
        }));
        items
    }
}

fn find<'v>(items: &'v [Value], key: &str, id: &Value) -> Option<&'v Value> {
    items.iter().find(|item| field(item, key) == id)
}

fn fields(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

/// Returns a field; null if it does not exist.
fn field<'v>(value: &'v Value, name: &str) -> &'v Value {
    value.get(name).unwrap_or(&Value::Null)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.into() } else { format!("{path}.{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(original: Value, current: Value, modified: Value, expected: Value) {
        let patch = three_way_patch(&Resource::PODS, Some(&original), &current, &modified);
        assert_eq!(Value::Object(patch), expected, "{original} {current} {modified}");
    }

    #[test]
    fn changed_added_and_removed_fields_are_patched() {
        let labels = |labels: Value| json!({"metadata": {"labels": labels}});
        check(
            labels(json!({"a": "1", "b": "1"})),
            labels(json!({"a": "1", "b": "1", "theirs": "1"})),
            labels(json!({"a": "2", "c": "1"})),
            labels(json!({"a": "2", "b": null, "c": "1"})),
        );
        check(labels(json!({})), labels(json!({"theirs": "1"})), labels(json!({})), json!({}));
        // What others have removed already needs no patch.
        check(labels(json!({"a": "1"})), labels(json!({})), labels(json!({})), json!({}));
        // Empty values are not stored.
        check(json!({}), json!({"metadata": {}}), labels(json!({})), json!({}));
    }

    #[test]
    fn items_merge_by_key() {
        let containers = |items: Value| json!({"spec": {"containers": items}});
        check(
            containers(json!([{"name": "a", "image": "x"}, {"name": "gone", "image": "x"}])),
            containers(
                json!([{"name": "theirs"}, {"name": "gone", "image": "x"}, {"name": "a", "image": "x", "tty": false}]),
            ),
            containers(json!([{"name": "a", "image": "y"}, {"name": "new", "image": "z"}])),
            containers(json!([
                {"name": "a", "image": "y"}, {"name": "new", "image": "z"}, {"$patch": "delete", "name": "gone"},
            ])),
        );
    }

    #[test]
    fn other_lists_are_replaced_or_merged_as_sets() {
        let command = |words: Value| json!({"spec": {"containers": [{"name": "a", "command": words}]}});
        check(command(json!(["x"])), command(json!(["x", "y"])), command(json!(["x"])), command(json!(["x"])));
        check(command(json!(["x"])), command(json!(["x"])), command(json!(["x"])), json!({}));
        let finalizers = |names: Value| json!({"metadata": {"finalizers": names}});
        check(
            finalizers(json!(["a", "b"])),
            finalizers(json!(["a", "b", "theirs"])),
            finalizers(json!(["b", "c"])),
            json!({"metadata": {"finalizers": ["c"], "$deleteFromPrimitiveList/finalizers": ["a"]}}),
        );
    }
}
