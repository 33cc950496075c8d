//! Strategic merge patches (`apimachinery/pkg/util/strategicpatch`): merge patches that know which lists merge, by
//! which key, and that can say more of them by directives.

use serde_json::{Map, Value};

use super::keys::{self, PatchStrategy};
use crate::control::{Reason, Status};
use crate::model::go;

const PATCH: &str = "$patch";
const RETAIN: &str = "$retainKeys";
const DELETE_PRIMITIVES: &str = "$deleteFromPrimitiveList/";
const ORDER: &str = "$setElementOrder/";

/// Merges `patch`, an object, into `document` of `kind`.
pub fn apply(kind: &str, document: &mut Value, patch: Value) -> Result<(), Status> {
    let merged = merge_value(&Place { kind, path: String::new() }, document.take(), patch)?;
    *document = merged.unwrap_or_else(|| Value::Object(Map::new()));
    Ok(())
}

/// Where a value stands, as the table of lists names it.
struct Place<'p> {
    kind: &'p str,
    path: String,
}

impl Place<'_> {
    fn field(&self, name: &str) -> Place<'_> {
        let path = if self.path.is_empty() { name.to_string() } else { format!("{}.{name}", self.path) };
        Place { kind: self.kind, path }
    }

    fn item(&self) -> Place<'_> {
        Place { kind: self.kind, path: format!("{}[]", self.path) }
    }
}

fn bad(why: impl Into<String>) -> Status {
    Status::new(Reason::BadRequest, why)
}

/// `None`: the patch deletes the value.
fn merge_value(place: &Place<'_>, current: Value, patch: Value) -> Result<Option<Value>, Status> {
    match (current, patch) {
        (_, Value::Null) => Ok(None),
        (Value::Object(current), Value::Object(patch)) => merge_object(place, current, patch),
        // What is new may still hold directives and nulls.
        (_, Value::Object(patch)) => merge_object(place, Map::new(), patch),
        (Value::Array(current), Value::Array(patch)) => merge_list(place, current, patch, None).map(Some),
        (_, Value::Array(patch)) => merge_list(place, Vec::new(), patch, None).map(Some),
        (_, patch) => Ok(Some(patch)),
    }
}

fn merge_object(
    place: &Place<'_>,
    mut current: Map<String, Value>,
    mut patch: Map<String, Value>,
) -> Result<Option<Value>, Status> {
    match patch.remove(PATCH).as_ref().map(Value::as_str) {
        None | Some(Some("merge")) => {}
        Some(Some("replace")) => return Ok(Some(Value::Object(patch))),
        // Deleted, a map is empty; its field is deleted by null.
        Some(Some("delete")) => return Ok(Some(Value::Object(Map::new()))),
        Some(other) => return Err(bad(format!("Unknown patch type: {}", other.unwrap_or("found"))))?,
    }
    if let Some(Value::Array(retained)) = patch.remove(RETAIN) {
        let keeps = |key: &str| retained.iter().any(|kept| kept == key);
        if patch.iter().any(|(key, value)| !value.is_null() && !key.starts_with('$') && !keeps(key)) {
            return Err(bad("the keys in patch that are not in $retainKeys should be nil"));
        }
        current.retain(|key, _| keeps(key));
    }
    let directives = |start: &str| -> Vec<String> {
        patch.keys().filter_map(|key| key.strip_prefix(start).map(str::to_string)).collect()
    };
    for key in directives(DELETE_PRIMITIVES) {
        let gone = patch.remove(&format!("{DELETE_PRIMITIVES}{key}"));
        if let (Some(Value::Array(gone)), Some(Value::Array(items))) = (gone, current.get_mut(&key)) {
            items.retain(|item| !gone.contains(item));
        }
    }
    let ordered: Vec<String> = patch.keys().filter_map(|key| key.strip_prefix(ORDER).map(str::to_string)).collect();
    for key in ordered {
        let Some(Value::Array(order)) = patch.remove(&format!("{ORDER}{key}")) else { continue };
        let items = match current.remove(&key) {
            Some(Value::Array(items)) => items,
            _ => Vec::new(),
        };
        let patch = match patch.remove(&key) {
            Some(Value::Array(patch)) => patch,
            _ => Vec::new(),
        };
        check_order(&place.field(&key), &patch, &order)?;
        let merged = merge_list(&place.field(&key), items, patch, Some(&order))?;
        current.insert(key, merged);
    }
    for (key, value) in patch {
        let old = current.remove(&key).unwrap_or(Value::Null);
        if let Some(merged) = merge_value(&place.field(&key), old, value)? {
            current.insert(key, merged);
        }
    }
    Ok(Some(Value::Object(current)))
}

/// What a patch adds or changes stands in the order that it sets.
fn check_order(place: &Place<'_>, patch: &[Value], order: &[Value]) -> Result<(), Status> {
    let same = |a: &Value, b: &Value| match keys::of(place.kind, &place.path) {
        PatchStrategy::ByKey(key) => a.get(key) == b.get(key),
        PatchStrategy::Set | PatchStrategy::Replace => a == b,
    };
    let directs = |item: &&Value| item.get(PATCH).is_some();
    let mut left = order.iter();
    let in_order = patch.iter().filter(|item| !directs(item)).all(|item| left.any(|next| same(next, item)));
    if order.is_empty() || in_order {
        return Ok(());
    }
    let shown = |items: &[Value]| go::shown(&Value::Array(items.to_vec()));
    let (patch, order) = (shown(patch), shown(order));
    Err(bad(format!("The order in patch list:\n{patch}\n doesn't match $setElementOrder list:\n{order}\n")))
}

fn merge_list(
    place: &Place<'_>,
    current: Vec<Value>,
    patch: Vec<Value>,
    order: Option<&[Value]>,
) -> Result<Value, Status> {
    match keys::of(place.kind, &place.path) {
        PatchStrategy::Replace => Ok(Value::Array(patch)),
        PatchStrategy::Set => {
            let mut merged = current.clone();
            for item in &patch {
                if !merged.contains(item) {
                    merged.push(item.clone());
                }
            }
            let same = |a: &Value, b: &Value| a == b;
            Ok(Value::Array(in_order(merged, order.unwrap_or(&patch), &current, same)))
        }
        PatchStrategy::ByKey(key) => merge_by_key(place, key, current, patch, order),
    }
}

fn merge_by_key(
    place: &Place<'_>,
    key: &str,
    current: Vec<Value>,
    patch: Vec<Value>,
    order: Option<&[Value]>,
) -> Result<Value, Status> {
    let same = |a: &Value, b: &Value| a.get(key).is_some() && a.get(key) == b.get(key);
    let replaces = |item: &Value| item.get(PATCH).and_then(Value::as_str) == Some("replace");
    let deletes = |item: &Value| item.get(PATCH).and_then(Value::as_str) == Some("delete");
    if patch.iter().any(replaces) {
        // The directive stands alone: what is beside it is the new list.
        return Ok(Value::Array(patch.into_iter().filter(|item| !replaces(item)).collect()));
    }
    let (gone, patch): (Vec<Value>, Vec<Value>) = patch.into_iter().partition(deletes);
    if patch.iter().chain(&gone).any(|item| item.get(key).is_none()) {
        let list = place.path.rsplit('.').next().unwrap_or_default();
        return Err(bad(format!("map: map in list {list} does not contain declared merge key: {key}")));
    }
    let live: Vec<Value> = current.into_iter().filter(|item| !gone.iter().any(|gone| same(item, gone))).collect();
    let mut merged = live.clone();
    for item in &patch {
        let existing = merged.iter_mut().find(|old| same(old, item));
        let old = existing.as_ref().map_or(Value::Null, |old| (**old).clone());
        let new = merge_value(&place.item(), old, item.clone())?.unwrap_or(Value::Null);
        match existing {
            Some(place) => *place = new,
            None => merged.push(new),
        }
    }
    Ok(Value::Array(in_order(merged, order.unwrap_or(&patch), &live, same)))
}

/// Puts `items` into order: those that `wanted` names stand as they stand there; the others keep their order in
/// `live`, each before the first of the named ones that it preceded.
fn in_order(items: Vec<Value>, wanted: &[Value], live: &[Value], same: impl Fn(&Value, &Value) -> bool) -> Vec<Value> {
    let place = |list: &[Value], item: &Value| list.iter().position(|other| same(other, item));
    let (mut named, others): (Vec<Value>, Vec<Value>) =
        items.into_iter().partition(|item| place(wanted, item).is_some());
    named.sort_by_key(|item| place(wanted, item));
    let mut others = others.into_iter().peekable();
    let mut all = Vec::new();
    for item in named {
        let at = place(live, &item);
        while let Some(other) = others.next_if(|other| at.is_some() && place(live, other) < at) {
            all.push(other);
        }
        all.push(item);
    }
    all.extend(others);
    all
}
