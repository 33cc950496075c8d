//! The table as a tree of fields, for a walk along an object.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write;

use serde_json::Value;

use super::table::{FieldRow, FieldSupport};

/// The table's prefix for the fields of app and init containers.
const CONTAINER_PREFIX: &str = "container.";
const CONTAINER_LISTS: [&str; 2] = ["spec.containers[].", "spec.initContainers[]."];

/// A field of the table with its subfields.
#[derive(Default)]
pub struct FieldTree {
    children: HashMap<&'static str, FieldTree>,
    /// The support of particular values.
    values: Vec<(&'static str, FieldSupport)>,
    /// The support of all other values.
    support: Option<FieldSupport>,
    /// The support of all subfields without rows of their own.
    subfields: Option<FieldSupport>,
}

/// Returns the paths of a row's field, as prefix and rest: two for a field of containers.
pub fn expand(field: &'static str) -> Vec<(&'static str, &'static str)> {
    match field.strip_prefix(CONTAINER_PREFIX) {
        Some(rest) => CONTAINER_LISTS.iter().map(|prefix| (*prefix, rest)).collect(),
        None => vec![("", field)],
    }
}

impl FieldTree {
    /// Builds the tree of `rows`.
    pub fn new(rows: &[FieldRow]) -> FieldTree {
        let mut root = FieldTree::default();
        for row in rows {
            for (prefix, field) in row.fields.iter().flat_map(|field| expand(field)) {
                root.add(prefix, field, row.support);
            }
        }
        root
    }

    fn add(&mut self, prefix: &'static str, field: &'static str, support: FieldSupport) {
        let (path, value) = match field.split_once('=') {
            Some((path, value)) => (path, Some(value)),
            None => (field, None),
        };
        let (path, with_subfields) = match path.strip_suffix(".**") {
            Some(path) => (path, true),
            None => (path, false),
        };
        let steps = prefix.split('.').chain(path.split('.')).filter(|step| !step.is_empty());
        let node = steps.fold(self, |node, step| node.children.entry(step.trim_end_matches("[]")).or_default());
        match value {
            Some(value) => node.values.push((value, support)),
            None => node.support = node.support.or(Some(support)),
        }
        if with_subfields {
            node.subfields = node.subfields.or(Some(support));
        }
    }

    /// Returns the support of the field at `path`, independent of its value.
    pub fn find(&self, path: &str) -> Option<FieldSupport> {
        let (mut node, mut inherited) = (self, None);
        for step in path.split('.') {
            inherited = node.subfields.or(inherited);
            match node.child(step.trim_end_matches("[]")) {
                Some(child) => node = child,
                None => return inherited,
            }
        }
        node.support.or(inherited)
    }

    /// Returns the fields of `object` that are set but not enforced.
    pub fn find_unsupported(&self, object: &Value) -> Vec<(String, FieldSupport)> {
        let mut found = Vec::new();
        self.visit_fields(object, &mut String::new(), None, &mut found);
        found
    }

    fn child(&self, name: &str) -> Option<&FieldTree> {
        self.children.get(name).or_else(|| self.children.get("*"))
    }

    fn visit_fields(
        &self,
        object: &Value,
        path: &mut String,
        inherited: Option<FieldSupport>,
        found: &mut Vec<(String, FieldSupport)>,
    ) {
        let inherited = self.subfields.or(inherited);
        let Some(fields) = object.as_object() else { return };
        for (name, value) in fields.iter().filter(|(_, value)| !is_zero(value)) {
            let length = path.len();
            path.push_str(if path.is_empty() { "" } else { "." });
            path.push_str(name);
            match self.child(name) {
                Some(child) => child.visit_field(value, path, inherited, found),
                None => found.extend(unless_enforced(path, inherited.unwrap_or(UNKNOWN))),
            }
            path.truncate(length);
        }
    }

    fn visit_field(
        &self,
        value: &Value,
        path: &mut String,
        inherited: Option<FieldSupport>,
        found: &mut Vec<(String, FieldSupport)>,
    ) {
        let value_support = scalar_text(value).and_then(|value| {
            let known = self.values.iter().find(|(known, _)| *known == value);
            known.map(|(_, support)| *support)
        });
        let support = value_support.or(self.support).or(inherited).unwrap_or(UNKNOWN);
        // Subfields with rows of their own are reported one by one.
        if self.children.is_empty() || (support != FieldSupport::Enforced && self.subfields.is_none()) {
            return found.extend(unless_enforced(path, support));
        }
        match value {
            Value::Array(items) => {
                for (i, item) in items.iter().enumerate() {
                    let length = path.len();
                    // Writing to a String does not fail.
                    let _ = write!(path, "[{i}]");
                    self.visit_fields(item, path, inherited, found);
                    path.truncate(length);
                }
            }
            object => self.visit_fields(object, path, inherited, found),
        }
    }
}

/// The support of a field without a row. A test checks that the table has all fields of the API.
const UNKNOWN: FieldSupport = FieldSupport::NotEnforcedYet("wasmpod does not know it");

fn unless_enforced(path: &str, support: FieldSupport) -> Option<(String, FieldSupport)> {
    (support != FieldSupport::Enforced).then(|| (path.to_string(), support))
}

/// Returns whether the value requests nothing, like an unset field.
fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    }
}

/// Returns a scalar as the table writes it.
fn scalar_text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(text.into()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string().into()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
