//! Reports the diagnostics of one document while it is deserialized.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use super::misplaced;
use super::path::Path;
use crate::diagnostic::{Diagnostic, DiagnosticSink, Position, Rule};
use crate::kinds::KindType;
use crate::tree::{MappingKey, Value, YamlNode};

/// Collects the diagnostics of one document.
pub struct Reporter<'n> {
    root: &'n YamlNode<'n>,
    /// The kind of the document; without it, hints about misplaced fields are not given.
    kind: Option<&'static KindType>,
    rejected: &'n HashSet<Position>,
    sink: RefCell<DiagnosticSink>,
}

/// Maximum number of diagnostics up to which hints about misplaced fields are computed: each searches the whole
/// object.
const MAX_PLACEMENT_HINTS: usize = 50;

impl<'n> Reporter<'n> {
    /// Creates the reporter of document `root`, a `kind`. Values at the positions in `rejected` are already reported.
    pub fn new(root: &'n YamlNode<'n>, kind: Option<&'static KindType>, broken: &'n HashSet<Position>) -> Reporter<'n> {
        Reporter { root, kind, rejected: broken, sink: RefCell::default() }
    }

    pub fn into_sink(self) -> DiagnosticSink {
        self.sink.into_inner()
    }

    pub fn has_fatal(&self, is_fatal: fn(&DiagnosticSink) -> bool) -> bool {
        is_fatal(&self.sink.borrow())
    }

    /// Returns whether an error of the value at this position is already reported.
    pub fn is_rejected(&self, position: Position) -> bool {
        !self.rejected.is_empty() && self.rejected.contains(&position)
    }

    fn report(&self, rule: Rule, path: &Path<'_>, position: Position, message: String, hint: Option<String>) {
        let diagnostic = || Diagnostic { rule, path: path.to_string(), position: Some(position), message, hint };
        self.sink.borrow_mut().push_with(rule, diagnostic);
    }

    /// Reports a value that is not valid for its type.
    pub fn wrong_type(&self, path: &Path<'_>, position: Position, message: String, hint: Option<String>) {
        self.report(Rule::WrongType, path, position, message, hint);
    }

    /// Reports a value of another type than `expected` ("a string", "a list").
    pub fn type_mismatch(&self, path: &Path<'_>, node: &YamlNode<'_>, expected: &str) {
        let hint = match &node.value {
            Value::Bool(_) | Value::Int(_) | Value::Float(_) if expected == "a string" => {
                Some(format!("quote it: \"{}\"", node.written))
            }
            Value::String(text) if expected == "an integer" && text.parse::<i64>().is_ok() => {
                Some(format!("write it without quotes: {text}"))
            }
            Value::String(text)
                if expected == "a boolean" && ["true", "false"].contains(&text.to_lowercase().as_str()) =>
            {
                Some(format!("write it without quotes: {}", text.to_lowercase()))
            }
            Value::String(text) if expected == "a list" && text.len() < 40 => Some(format!("write a list: [{text:?}]")),
            Value::Map(_) if expected == "a list" => Some("begin each item of the list with a dash".into()),
            Value::List(_) if expected == "a mapping" => Some("write it without the dash".into()),
            _ => None,
        };
        self.wrong_type(path, node.position, format!("expected {expected}, found {}", describe(node)), hint);
    }

    /// Reports a field that the struct does not have; the object sets `count` fields.
    pub fn unknown_field(&self, parent: &Path<'_>, key: &MappingKey<'_>, fields: &[&str], count: usize) {
        // The search for the right place visits the whole object: too slow for thousands of fields.
        let search = self.sink.borrow().len() < MAX_PLACEMENT_HINTS && count < 1000;
        let make = || {
            let path = Path::Field(parent, &key.name).to_string();
            let hint = match key.misread {
                Some(written) => Some(format!("YAML 1.1 reads {written} as {}; quote it: \"{written}\"", key.name)),
                None if search => misplaced::hint(self.root, self.kind, &parent.steps(), &key.name, fields),
                None => None,
            };
            let message = format!("unknown field {:?}", key.name);
            Diagnostic { rule: Rule::UnknownField, path, position: Some(key.position), message, hint }
        };
        self.sink.borrow_mut().push_with(Rule::UnknownField, make);
    }

    /// Reports the duplicate keys of a mapping.
    pub fn duplicate_keys(&self, parent: &Path<'_>, entries: &[(MappingKey<'_>, YamlNode<'_>)]) {
        // Most mappings are small: comparing is cheaper than hashing.
        let mut known: HashMap<&str, usize> = HashMap::new();
        for (i, (key, _)) in entries.iter().enumerate() {
            let first = if entries.len() > 16 {
                let first = *known.entry(&key.name).or_insert(i);
                (first < i).then_some(first)
            } else {
                entries.iter().take(i).position(|(other, _)| other.name == key.name)
            };
            let Some((first, _)) = first.and_then(|first| entries.get(first)) else { continue };
            let message = format!("duplicate key {:?}: first set on line {}", key.name, first.position.line);
            let path = Path::Field(parent, &key.name);
            self.report(Rule::DuplicateKey, &path, key.position, message, Some("remove one of the two".into()));
        }
    }

    /// Warns of a boolean that YAML 1.2 reads as a string.
    pub fn misread_boolean(&self, path: &Path<'_>, node: &YamlNode<'_>, value: bool) {
        if node.written.is_empty() || node.written.eq_ignore_ascii_case(if value { "true" } else { "false" }) {
            return;
        }
        let message = format!("{} is read as {value}", node.written);
        self.report(Rule::Misread, path, node.position, message, Some(format!("write {value}")));
    }

    /// Warns of a number whose spelling suggests another value. Octal file modes are intended.
    pub fn misread_number(&self, path: &Path<'_>, node: &YamlNode<'_>, value: i128) {
        let written = node.written.strip_prefix('+').unwrap_or(node.written);
        let is_plain = written.bytes().all(|b| b.is_ascii_digit() || b == b'-');
        let is_octal = is_plain && written.trim_start_matches('-').starts_with('0') && written.len() > 1;
        if (is_plain && !is_octal) || matches!(path.name(), "mode" | "defaultMode") {
            return;
        }
        let message = format!("{written} is read as {value}");
        self.report(Rule::Misread, path, node.position, message, Some(format!("write {value} if this is intended")));
    }

    /// Warns of a key that YAML reads as another type than string.
    pub fn misread_key(&self, parent: &Path<'_>, key: &MappingKey<'_>) {
        let Some(written) = key.misread else { return };
        let message = format!("the key {written} is read as {:?}", key.name);
        let path = Path::Field(parent, &key.name);
        self.report(Rule::Misread, &path, key.position, message, Some(format!("quote it: \"{written}\"")));
    }
}

/// Describes a value for a message.
fn describe(node: &YamlNode<'_>) -> String {
    match &node.value {
        Value::Null => "null".into(),
        Value::Bool(_) => format!("the boolean {}", node.written),
        Value::Int(_) | Value::Float(_) => format!("the number {}", node.written),
        Value::String(text) => {
            let short: String = text.chars().take(40).collect();
            format!("the string {short:?}")
        }
        Value::List(_) => "a list".into(),
        Value::Map(_) => "a mapping".into(),
    }
}
