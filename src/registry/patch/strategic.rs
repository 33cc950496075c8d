//! Strategic merge patches (`apimachinery/pkg/util/strategicpatch`): merge patches that merge lists by key, with
//! directives (`$patch`, `$retainKeys`, `$deleteFromPrimitiveList`, `$setElementOrder`).

use serde_json::{Map, Value};

use crate::control::{Reason, Status};
use crate::model::extensions::{self, PatchStrategy};
use crate::model::go;

const PATCH_DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM_PRIMITIVE_LIST: &str = "$deleteFromPrimitiveList/";
const SET_ELEMENT_ORDER: &str = "$setElementOrder/";

/// Merges `patch`, a JSON object, into `document`, a `kind` of `api_version`.
pub fn apply(api_version: &str, kind: &str, document: &mut Value, patch: Value) -> Result<(), Status> {
    let merged = merge_value(&ValuePath { api_version, kind, path: String::new() }, document.take(), patch)?;
    *document = merged.unwrap_or_else(|| Value::Object(Map::new()));
    Ok(())
}

/// The path of a value, as [`extensions`] reads it.
struct ValuePath<'p> {
    api_version: &'p str,
    kind: &'p str,
    path: String,
}

impl ValuePath<'_> {
    fn field(&self, name: &str) -> ValuePath<'_> {
        let path = if self.path.is_empty() { name.to_string() } else { format!("{}.{name}", self.path) };
        ValuePath { path, ..*self }
    }

    fn patch_strategy(&self) -> PatchStrategy {
        extensions::patch_strategy(self.api_version, self.kind, &self.path)
    }

    fn item(&self) -> ValuePath<'_> {
        ValuePath { path: format!("{}[]", self.path), ..*self }
    }
}

fn bad_request(message: impl Into<String>) -> Status {
    Status::new(Reason::BadRequest, message)
}

/// Returns the merged value; `None` if the patch deletes it.
fn merge_value(value_path: &ValuePath<'_>, current: Value, patch: Value) -> Result<Option<Value>, Status> {
    match (current, patch) {
        (_, Value::Null) => Ok(None),
        (Value::Object(current), Value::Object(patch)) => merge_object(value_path, current, patch),
        // A new object may contain directives and nulls.
        (_, Value::Object(patch)) => merge_object(value_path, Map::new(), patch),
        (Value::Array(current), Value::Array(patch)) => merge_list(value_path, current, patch, None).map(Some),
        (_, Value::Array(patch)) => merge_list(value_path, Vec::new(), patch, None).map(Some),
        (_, patch) => Ok(Some(patch)),
    }
}

fn merge_object(
    value_path: &ValuePath<'_>,
    mut current: Map<String, Value>,
    mut patch: Map<String, Value>,
) -> Result<Option<Value>, Status> {
    match patch.remove(PATCH_DIRECTIVE).as_ref().map(Value::as_str) {
        None | Some(Some("merge")) => {}
        Some(Some("replace")) => return Ok(Some(Value::Object(patch))),
        // `delete` empties a map; null deletes its field.
        Some(Some("delete")) => return Ok(Some(Value::Object(Map::new()))),
        Some(other) => return Err(bad_request(format!("Unknown patch type: {}", other.unwrap_or("found"))))?,
    }
    if let Some(Value::Array(retained)) = patch.remove(RETAIN_KEYS) {
        let is_retained = |key: &str| retained.iter().any(|name| name == key);
        if patch.iter().any(|(key, value)| !value.is_null() && !key.starts_with('$') && !is_retained(key)) {
            return Err(bad_request("the keys in patch that are not in $retainKeys should be nil"));
        }
        current.retain(|key, _| is_retained(key));
    }
    delete_primitives(&mut current, &mut patch);
    merge_ordered_lists(value_path, &mut current, &mut patch)?;
    for (key, value) in patch {
        let old = current.remove(&key).unwrap_or(Value::Null);
        if let Some(merged) = merge_value(&value_path.field(&key), old, value)? {
            current.insert(key, merged);
        }
    }
    Ok(Some(Value::Object(current)))
}

/// Returns the fields that directives with this prefix refer to.
fn directive_fields(patch: &Map<String, Value>, prefix: &str) -> Vec<String> {
    patch.keys().filter_map(|key| key.strip_prefix(prefix).map(str::to_string)).collect()
}

/// Applies `$deleteFromPrimitiveList`.
fn delete_primitives(current: &mut Map<String, Value>, patch: &mut Map<String, Value>) {
    for key in directive_fields(patch, DELETE_FROM_PRIMITIVE_LIST) {
        let deleted = patch.remove(&format!("{DELETE_FROM_PRIMITIVE_LIST}{key}"));
        if let (Some(Value::Array(deleted)), Some(Value::Array(items))) = (deleted, current.get_mut(&key)) {
            items.retain(|item| !deleted.contains(item));
        }
    }
}

/// Merges the lists that `$setElementOrder` names.
fn merge_ordered_lists(
    value_path: &ValuePath<'_>,
    current: &mut Map<String, Value>,
    patch: &mut Map<String, Value>,
) -> Result<(), Status> {
    for key in directive_fields(patch, SET_ELEMENT_ORDER) {
        let Some(Value::Array(order)) = patch.remove(&format!("{SET_ELEMENT_ORDER}{key}")) else { continue };
        let items = match current.remove(&key) {
            Some(Value::Array(items)) => items,
            _ => Vec::new(),
        };
        let patch = match patch.remove(&key) {
            Some(Value::Array(patch)) => patch,
            _ => Vec::new(),
        };
        check_element_order(&value_path.field(&key), &patch, &order)?;
        let merged = merge_list(&value_path.field(&key), items, patch, Some(&order))?;
        current.insert(key, merged);
    }
    Ok(())
}

/// Checks that the items of a patch appear in the order that `$setElementOrder` sets.
fn check_element_order(value_path: &ValuePath<'_>, patch: &[Value], order: &[Value]) -> Result<(), Status> {
    let strategy = value_path.patch_strategy();
    let same = |a: &Value, b: &Value| match &strategy {
        PatchStrategy::ByKey(key) => a.get(key) == b.get(key),
        PatchStrategy::Set | PatchStrategy::Replace => a == b,
    };
    let is_directive = |item: &&Value| item.get(PATCH_DIRECTIVE).is_some();
    let mut remaining = order.iter();
    let in_order = patch.iter().filter(|item| !is_directive(item)).all(|item| remaining.any(|next| same(next, item)));
    if order.is_empty() || in_order {
        return Ok(());
    }
    let shown = |items: &[Value]| go::format_value(&Value::Array(items.to_vec()));
    let (patch, order) = (shown(patch), shown(order));
    Err(bad_request(format!("The order in patch list:\n{patch}\n doesn't match $setElementOrder list:\n{order}\n")))
}

fn merge_list(
    value_path: &ValuePath<'_>,
    current: Vec<Value>,
    patch: Vec<Value>,
    order: Option<&[Value]>,
) -> Result<Value, Status> {
    match value_path.patch_strategy() {
        PatchStrategy::Replace => Ok(Value::Array(patch)),
        PatchStrategy::Set => {
            let mut merged = current.clone();
            for item in &patch {
                if !merged.contains(item) {
                    merged.push(item.clone());
                }
            }
            let same = |a: &Value, b: &Value| a == b;
            Ok(Value::Array(sort_merged(merged, order.unwrap_or(&patch), &current, same)))
        }
        PatchStrategy::ByKey(key) => merge_by_key(value_path, &key, current, patch, order),
    }
}

fn merge_by_key(
    value_path: &ValuePath<'_>,
    key: &str,
    current: Vec<Value>,
    patch: Vec<Value>,
    order: Option<&[Value]>,
) -> Result<Value, Status> {
    let same = |a: &Value, b: &Value| a.get(key).is_some() && a.get(key) == b.get(key);
    let replaces = |item: &Value| item.get(PATCH_DIRECTIVE).and_then(Value::as_str) == Some("replace");
    let deletes = |item: &Value| item.get(PATCH_DIRECTIVE).and_then(Value::as_str) == Some("delete");
    if patch.iter().any(replaces) {
        // The items beside the directive are the new list.
        return Ok(Value::Array(patch.into_iter().filter(|item| !replaces(item)).collect()));
    }
    let (deleted, patch): (Vec<Value>, Vec<Value>) = patch.into_iter().partition(deletes);
    if patch.iter().chain(&deleted).any(|item| item.get(key).is_none()) {
        let list = value_path.path.rsplit('.').next().unwrap_or_default();
        return Err(bad_request(format!("map: map in list {list} does not contain declared merge key: {key}")));
    }
    let live: Vec<Value> =
        current.into_iter().filter(|item| !deleted.iter().any(|deleted| same(item, deleted))).collect();
    let mut merged = live.clone();
    for item in &patch {
        let existing = merged.iter_mut().find(|old| same(old, item));
        let old = existing.as_ref().map_or(Value::Null, |old| (**old).clone());
        let new = merge_value(&value_path.item(), old, item.clone())?.unwrap_or(Value::Null);
        match existing {
            Some(existing) => *existing = new,
            None => merged.push(new),
        }
    }
    Ok(Value::Array(sort_merged(merged, order.unwrap_or(&patch), &live, same)))
}

/// Sorts `items`: those in `order` by their position there; the others keep their order in `live`, each before the first
/// ordered item that it preceded there.
fn sort_merged(
    items: Vec<Value>,
    order: &[Value],
    live: &[Value],
    same: impl Fn(&Value, &Value) -> bool,
) -> Vec<Value> {
    let position_in = |list: &[Value], item: &Value| list.iter().position(|other| same(other, item));
    let (mut ordered, others): (Vec<Value>, Vec<Value>) =
        items.into_iter().partition(|item| position_in(order, item).is_some());
    ordered.sort_by_key(|item| position_in(order, item));
    let mut others = others.into_iter().peekable();
    let mut all = Vec::new();
    for item in ordered {
        let position = position_in(live, &item);
        while let Some(other) = others.next_if(|other| position.is_some() && position_in(live, other) < position) {
            all.push(other);
        }
        all.push(item);
    }
    all.extend(others);
    all
}
