//! The table as a tree of fields, walked together with an object.

use std::collections::HashMap;
use std::fmt::Write;

use serde_json::Value;

use super::table::{FieldRow, FieldSupport};
use super::{UnsupportedField, asks_for_nothing, written};

/// What stands for the containers of both kinds in the table.
const CONTAINER: &str = "container.";
const CONTAINERS: [&str; 2] = ["spec.containers[].", "spec.initContainers[]."];

/// A field of the table.
#[derive(Default)]
pub struct Tree {
    children: HashMap<&'static str, Tree>,
    /// What becomes of some values.
    values: Vec<(&'static str, FieldSupport)>,
    /// What becomes of all others.
    state: Option<FieldSupport>,
    /// What becomes of all below.
    below: Option<FieldSupport>,
}

/// The paths of a row's field: two where it is one of a container.
pub fn expand(field: &'static str) -> Vec<(&'static str, &'static str)> {
    match field.strip_prefix(CONTAINER) {
        Some(rest) => CONTAINERS.iter().map(|prefix| (*prefix, rest)).collect(),
        None => vec![("", field)],
    }
}

impl Tree {
    /// The tree of `rows`.
    pub fn new(rows: &[FieldRow]) -> Tree {
        let mut root = Tree::default();
        for row in rows {
            for (prefix, field) in row.fields.iter().flat_map(|field| expand(field)) {
                root.add(prefix, field, row.state);
            }
        }
        root
    }

    fn add(&mut self, prefix: &'static str, field: &'static str, state: FieldSupport) {
        let (path, value) = match field.split_once('=') {
            Some((path, value)) => (path, Some(value)),
            None => (field, None),
        };
        let (path, all_below) = match path.strip_suffix(".**") {
            Some(path) => (path, true),
            None => (path, false),
        };
        let steps = prefix.split('.').chain(path.split('.')).filter(|step| !step.is_empty());
        let node = steps.fold(self, |node, step| node.children.entry(step.trim_end_matches("[]")).or_default());
        match value {
            Some(value) => node.values.push((value, state)),
            None => node.state = node.state.or(Some(state)),
        }
        if all_below {
            node.below = node.below.or(Some(state));
        }
    }

    /// What becomes of the field at `path`, whatever its value.
    pub fn find(&self, path: &str) -> Option<FieldSupport> {
        let (mut node, mut below) = (self, None);
        for step in path.split('.') {
            below = node.below.or(below);
            match node.child(step.trim_end_matches("[]")) {
                Some(child) => node = child,
                None => return below,
            }
        }
        node.state.or(below)
    }

    /// Adds what is not enforced of `object`.
    pub fn judge(&self, object: &Value, found: &mut Vec<UnsupportedField>) {
        self.judge_fields(object, &mut String::new(), None, found);
    }

    fn child(&self, name: &str) -> Option<&Tree> {
        self.children.get(name).or_else(|| self.children.get("*"))
    }

    fn judge_fields(
        &self,
        object: &Value,
        path: &mut String,
        below: Option<FieldSupport>,
        found: &mut Vec<UnsupportedField>,
    ) {
        let below = self.below.or(below);
        let Some(fields) = object.as_object() else { return };
        for (name, value) in fields.iter().filter(|(_, value)| !asks_for_nothing(value)) {
            let length = path.len();
            path.push_str(if path.is_empty() { "" } else { "." });
            path.push_str(name);
            match self.child(name) {
                Some(child) => child.judge_field(value, path, below, found),
                None => found.extend(finding(path, below.unwrap_or(UNKNOWN))),
            }
            path.truncate(length);
        }
    }

    fn judge_field(
        &self,
        value: &Value,
        path: &mut String,
        below: Option<FieldSupport>,
        found: &mut Vec<UnsupportedField>,
    ) {
        let of_value = written(value).and_then(|value| {
            let known = self.values.iter().find(|(known, _)| *known == value);
            known.map(|(_, state)| *state)
        });
        let state = of_value.or(self.state).or(below).unwrap_or(UNKNOWN);
        // What has rows of its own below is judged there, field by field.
        if self.children.is_empty() || (state != FieldSupport::Enforced && self.below.is_none()) {
            return found.extend(finding(path, state));
        }
        match value {
            Value::Array(items) => {
                for (i, item) in items.iter().enumerate() {
                    let length = path.len();
                    // Writing to a String does not fail.
                    let _ = write!(path, "[{i}]");
                    self.judge_fields(item, path, below, found);
                    path.truncate(length);
                }
            }
            object => self.judge_fields(object, path, below, found),
        }
    }
}

/// The tests hold the table against the API, so that no field is unknown to it.
const UNKNOWN: FieldSupport = FieldSupport::NotEnforced("wasmpod does not know it");

fn finding(path: &str, state: FieldSupport) -> Option<UnsupportedField> {
    (state != FieldSupport::Enforced).then(|| UnsupportedField { field: path.to_string(), state })
}
