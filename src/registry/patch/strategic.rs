//! Strategic merge patches (`apimachinery/pkg/util/strategicpatch`): merge patches that merge lists by key, with
//! directives (`$patch`, `$retainKeys`, `$deleteFromPrimitiveList`, `$setElementOrder`).

use std::collections::HashMap;

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
            let deleted = Positions::new(&deleted, ItemIdentity::Whole);
            items.retain(|item| deleted.of(item).is_none());
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
            let known = Positions::new(&current, ItemIdentity::Whole);
            let first = Positions::new(&patch, ItemIdentity::Whole);
            let mut merged = current.clone();
            let is_new = |(i, item): &(usize, &Value)| known.of(item).is_none() && first.of(item) == Some(*i);
            merged.extend(patch.iter().enumerate().filter(is_new).map(|(_, item)| item.clone()));
            Ok(Value::Array(sort_merged(merged, order.unwrap_or(&patch), &current, ItemIdentity::Whole)))
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
    let identity = ItemIdentity::Key(key);
    let deleted = Positions::new(&deleted, identity);
    let live: Vec<Value> = current.into_iter().filter(|item| deleted.of(item).is_none()).collect();
    let mut merged = live.clone();
    let mut positions = Positions::new(&live, identity);
    for item in &patch {
        let existing = positions.of(item).and_then(|position| merged.get_mut(position));
        let old = existing.as_ref().map_or(Value::Null, |old| (**old).clone());
        let new = merge_value(&value_path.item(), old, item.clone())?.unwrap_or(Value::Null);
        match existing {
            Some(existing) => *existing = new,
            None => {
                positions.add(item, merged.len());
                merged.push(new);
            }
        }
    }
    Ok(Value::Array(sort_merged(merged, order.unwrap_or(&patch), &live, identity)))
}

/// Sorts `items`: those in `order` by their position there; the others keep their order in `live`, each before the first
/// ordered item that it preceded there.
fn sort_merged(items: Vec<Value>, order: &[Value], live: &[Value], identity: ItemIdentity<'_>) -> Vec<Value> {
    let (in_order, in_live) = (Positions::new(order, identity), Positions::new(live, identity));
    let (mut ordered, others): (Vec<Value>, Vec<Value>) =
        items.into_iter().partition(|item| in_order.of(item).is_some());
    ordered.sort_by_cached_key(|item| in_order.of(item));
    let mut others = others.into_iter().peekable();
    let mut all = Vec::new();
    for item in ordered {
        let position = in_live.of(&item);
        while let Some(other) = others.next_if(|other| position.is_some() && in_live.of(other) < position) {
            all.push(other);
        }
        all.push(item);
    }
    all.extend(others);
    all
}

/// What makes two items of a list the same.
#[derive(Debug, Clone, Copy)]
enum ItemIdentity<'k> {
    /// All of an item.
    Whole,
    /// The value of this field. An item without it is like no other.
    Key(&'k str),
}

/// The first positions of the items of a list, found in constant time: lists of a request may be long.
struct Positions<'k> {
    identity: ItemIdentity<'k>,
    /// By the item's identity as JSON, in which objects have their keys sorted.
    positions: HashMap<String, usize>,
}

impl<'k> Positions<'k> {
    fn new(items: &[Value], identity: ItemIdentity<'k>) -> Positions<'k> {
        let mut positions = Positions { identity, positions: HashMap::with_capacity(items.len()) };
        items.iter().enumerate().for_each(|(position, item)| positions.add(item, position));
        positions
    }

    fn add(&mut self, item: &Value, position: usize) {
        if let Some(name) = self.name(item) {
            self.positions.entry(name).or_insert(position);
        }
    }

    /// Returns the position of the first item that is the same as `item`.
    fn of(&self, item: &Value) -> Option<usize> {
        self.positions.get(&self.name(item)?).copied()
    }

    fn name(&self, item: &Value) -> Option<String> {
        match self.identity {
            ItemIdentity::Whole => Some(item.to_string()),
            ItemIdentity::Key(key) => item.get(key).map(Value::to_string),
        }
    }
}
