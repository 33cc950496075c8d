//! What is said about a document while it is read.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::fmt;

use super::misplaced;
use crate::issue::{Diagnostics, Issue, Position, Rule};
use crate::tree::{Key, Node, Value};

/// The way from the root to a node; rendered only when there is something to say.
pub enum Path<'p> {
    Root,
    Field(&'p Path<'p>, &'p str),
    Index(&'p Path<'p>, usize),
}

/// One step of a path.
#[derive(Debug, Clone, Copy)]
pub enum Step<'p> {
    Field(&'p str),
    Index(usize),
}

impl<'p> Path<'p> {
    /// The steps from the root.
    pub fn steps(&self) -> Vec<Step<'p>> {
        let (parent, last) = match self {
            Path::Root => return Vec::new(),
            Path::Field(parent, name) => (parent, Step::Field(name)),
            Path::Index(parent, i) => (parent, Step::Index(*i)),
        };
        let mut steps = parent.steps();
        steps.push(last);
        steps
    }

    fn name(&self) -> &str {
        match self {
            Path::Field(_, name) => name,
            Path::Root | Path::Index(..) => "",
        }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Root => Ok(()),
            Path::Field(Path::Root, name) => f.write_str(name),
            Path::Field(parent, name) => write!(f, "{parent}.{name}"),
            Path::Index(parent, i) => write!(f, "{parent}[{i}]"),
        }
    }
}

/// The notes about one document.
pub struct Notes<'n> {
    root: &'n Node<'n>,
    kind: &'static str,
    broken: &'n HashSet<Position>,
    found: RefCell<Diagnostics>,
}

/// So many unknown fields of an object are told where they may belong.
const SOUGHT: usize = 50;

impl<'n> Notes<'n> {
    /// Notes about `root`, a `kind`. Values at the places in `broken` were told of before.
    pub fn new(root: &'n Node<'n>, kind: &'static str, broken: &'n HashSet<Position>) -> Notes<'n> {
        Notes { root, kind, broken, found: RefCell::default() }
    }

    pub fn into_found(self) -> Diagnostics {
        self.found.into_inner()
    }

    pub fn hinder(&self, hinders: fn(&Diagnostics) -> bool) -> bool {
        hinders(&self.found.borrow())
    }

    /// Whether the value at this place was told of before.
    pub fn is_broken(&self, position: Position) -> bool {
        !self.broken.is_empty() && self.broken.contains(&position)
    }

    fn note(&self, rule: Rule, path: &Path<'_>, position: Position, message: String, hint: Option<String>) {
        let issue = || Issue { rule, path: path.to_string(), position: Some(position), message, hint };
        self.found.borrow_mut().push_with(rule, issue);
    }

    /// The value at `path` is none of its type.
    pub fn wrong(&self, path: &Path<'_>, position: Position, message: String, hint: Option<String>) {
        self.note(Rule::WrongType, path, position, message, hint);
    }

    /// Something else was wanted here.
    pub fn wanted(&self, path: &Path<'_>, node: &Node<'_>, wanted: &str) {
        let hint = match &node.value {
            Value::Bool(_) | Value::Int(_) | Value::Float(_) if wanted == "a string" => {
                Some(format!("quote it: \"{}\"", node.written))
            }
            Value::String(text) if wanted == "an integer" && text.parse::<i64>().is_ok() => {
                Some(format!("write it without quotes: {text}"))
            }
            Value::String(text)
                if wanted == "a boolean" && ["true", "false"].contains(&text.to_lowercase().as_str()) =>
            {
                Some(format!("write it without quotes: {}", text.to_lowercase()))
            }
            Value::String(text) if wanted == "a list" && text.len() < 40 => Some(format!("write a list: [{text:?}]")),
            Value::Map(_) if wanted == "a list" => Some("begin each item of the list with a dash".into()),
            Value::List(_) if wanted == "a mapping" => Some("write it without the dash".into()),
            _ => None,
        };
        self.wrong(path, node.position, format!("wanted {wanted}, found {}", found(node)), hint);
    }

    /// A struct has no field of this name; it was given `count` fields.
    pub fn unknown_field(&self, parent: &Path<'_>, key: &Key<'_>, fields: &[&str], count: usize) {
        // Where else a field may belong is looked for in the whole object: not for thousands of them,
        // and not among thousands.
        let sought = self.found.borrow().len() < SOUGHT && count < 1000;
        let make = || {
            let path = Path::Field(parent, &key.name).to_string();
            let hint = match key.misread {
                Some(written) => Some(format!("YAML 1.1 reads {written} as {}; quote it: \"{written}\"", key.name)),
                None if sought => misplaced::hint(self.root, self.kind, &parent.steps(), &key.name, fields),
                None => None,
            };
            let message = format!("unknown field {:?}", key.name);
            Issue { rule: Rule::UnknownField, path, position: Some(key.position), message, hint }
        };
        self.found.borrow_mut().push_with(Rule::UnknownField, make);
    }

    /// Keys that stand twice in one mapping.
    pub fn duplicates(&self, parent: &Path<'_>, entries: &[(Key<'_>, Node<'_>)]) {
        // Most mappings are small, and comparing is cheaper than hashing then.
        let mut known: HashMap<&str, usize> = HashMap::new();
        for (i, (key, _)) in entries.iter().enumerate() {
            let first = if entries.len() > 16 {
                let first = *known.entry(&key.name).or_insert(i);
                (first < i).then_some(first)
            } else {
                entries.iter().take(i).position(|(other, _)| other.name == key.name)
            };
            let Some((first, _)) = first.and_then(|first| entries.get(first)) else { continue };
            let message = format!("key {:?} is already set in line {}", key.name, first.position.line);
            let path = Path::Field(parent, &key.name);
            self.note(Rule::DuplicateKey, &path, key.position, message, Some("remove one of them".into()));
        }
    }

    /// A boolean in a spelling that readers of YAML 1.2 take for a string.
    pub fn read_as_boolean(&self, path: &Path<'_>, node: &Node<'_>, value: bool) {
        if node.written.is_empty() || node.written.eq_ignore_ascii_case(if value { "true" } else { "false" }) {
            return;
        }
        let message = format!("{} is read as {value}", node.written);
        self.note(Rule::Misread, path, node.position, message, Some(format!("write {value}")));
    }

    /// A number that does not look like what it is. File modes are meant as octal.
    pub fn read_as_number(&self, path: &Path<'_>, node: &Node<'_>, value: i128) {
        let written = node.written.strip_prefix('+').unwrap_or(node.written);
        let is_plain = written.bytes().all(|b| b.is_ascii_digit() || b == b'-');
        let is_octal = is_plain && written.trim_start_matches('-').starts_with('0') && written.len() > 1;
        if (is_plain && !is_octal) || matches!(path.name(), "mode" | "defaultMode") {
            return;
        }
        let message = format!("{written} is read as {value}");
        self.note(Rule::Misread, path, node.position, message, Some(format!("write {value} if that is meant")));
    }

    /// A key that is no string.
    pub fn read_as_key(&self, parent: &Path<'_>, key: &Key<'_>) {
        let Some(written) = key.misread else { return };
        let message = format!("the key {written} is read as {:?}", key.name);
        let path = Path::Field(parent, &key.name);
        self.note(Rule::Misread, &path, key.position, message, Some(format!("quote it: \"{written}\"")));
    }
}

/// A value in words.
fn found(node: &Node<'_>) -> String {
    match &node.value {
        Value::Null => "nothing".into(),
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
