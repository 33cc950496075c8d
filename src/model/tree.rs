//! A text as trees of values that know where they stand.
//!
//! serde-saphyr reads the YAML (and so JSON): it refuses duplicate keys, alias bombs and deep
//! nesting, and reads YAML 1.1 scalars as kubectl does (`yes` is true, `0644` is 420).

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

use super::issue::{Issue, Position};

/// A value of a document.
#[derive(Debug)]
pub enum Value {
    Null,
    Bool(bool),
    Int(i64),
    /// Above `i64::MAX`.
    BigInt(u64),
    Float(f64),
    String(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A value and its place.
#[derive(Debug)]
pub struct Node {
    pub value: Value,
    pub position: Position,
    /// The scalar as written, for what a number lost (`1e3`, `0x10`) and for messages.
    pub bytes: Option<(usize, usize)>,
}

/// A mapping's key and its place.
#[derive(Debug)]
pub struct Key {
    pub name: String,
    pub position: Position,
}

impl Node {
    /// The value under `key` of a mapping.
    pub fn get(&self, key: &str) -> Option<&Node> {
        let Value::Map(entries) = &self.value else { return None };
        entries.iter().find(|(k, _)| k.name == key).map(|(_, node)| node)
    }

    /// The text of a string value.
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The place of `path` (`spec.containers[0].name`), or of the deepest part of it that is there.
    pub fn locate(&self, path: &str) -> Position {
        let mut node = self;
        let mut position = self.position;
        for part in path.split('.').flat_map(|p| p.split('[')) {
            let next = match (&node.value, part.strip_suffix(']')) {
                (Value::List(items), Some(index)) => {
                    index.parse::<usize>().ok().and_then(|i| items.get(i)).map(|n| (n, n.position))
                }
                (Value::Map(entries), index) => {
                    let name = index.map_or(part, |quoted| quoted.trim_matches('"'));
                    entries.iter().find(|(k, _)| k.name == name).map(|(k, n)| (n, k.position))
                }
                _ => None,
            };
            match next {
                Some((child, at)) => (node, position) = (child, at),
                None => break,
            }
        }
        position
    }
}

/// Limits on what a text may hold; generous for manifests, small for a host.
const MAX_DEPTH: usize = 100;
const MAX_NODES: usize = 5_000_000;
const MAX_DOCUMENTS: usize = 200_000;

/// Reads all documents of `text`; empty ones are left out.
pub fn read(text: &str) -> Result<Vec<Node>, Issue> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            max_nodes: MAX_NODES,
            max_events: 4 * MAX_NODES,
            max_documents: MAX_DOCUMENTS,
        },
        legacy_octal_numbers: true,
        with_snippet: false,
    };
    let documents: Vec<Spanned<Raw>> =
        serde_saphyr::from_str_multiple_with_options(text, options).map_err(|e| syntax_issue(&e))?;
    let nodes = documents.into_iter().map(node);
    Ok(nodes.filter(|n| !matches!(n.value, Value::Null)).collect())
}

fn syntax_issue(error: &serde_saphyr::Error) -> Issue {
    let position = error.location().map(|at| position(&at));
    let whole = error.without_snippet().to_string();
    // The library ends its message with the place, which an issue prints in front.
    let mut message = whole.split(" at line ").next().unwrap_or(&whole);
    // A word to whoever calls the library.
    message = message.split(", set DuplicateKeyPolicy").next().unwrap_or(message);
    let message = if message.starts_with("budget breached") {
        "it is too large or nested too deeply (at most 100 levels)"
    } else {
        message
    };
    let hint = message.contains("duplicate").then(|| "remove one of them".to_string());
    Issue { path: String::new(), position, message: format!("not valid YAML: {message}"), hint }
}

fn position(at: &Location) -> Position {
    let narrow = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    Position { line: narrow(at.line()).max(1), column: narrow(at.column()).max(1), len: narrow(at.span().len()).max(1) }
}

fn node(spanned: Spanned<Raw>) -> Node {
    let at = spanned.referenced;
    let span = spanned.defined.span();
    let bytes = span.byte_offset().zip(span.byte_len());
    let bytes = bytes.and_then(|(o, l)| Some((usize::try_from(o).ok()?, usize::try_from(l).ok()?)));
    let value = match spanned.value {
        Raw::Null => Value::Null,
        Raw::Bool(b) => Value::Bool(b),
        Raw::Int(i) => Value::Int(i),
        Raw::BigInt(i) => Value::BigInt(i),
        Raw::Float(x) => Value::Float(x),
        Raw::String(s) => Value::String(s),
        Raw::List(items) => Value::List(items.into_iter().map(node).collect()),
        Raw::Map(entries) => {
            let entries = entries.into_iter();
            let key = |k: Spanned<String>| Key { position: position(&k.referenced), name: k.value };
            Value::Map(entries.map(|(k, v)| (key(k), node(v))).collect())
        }
    };
    Node { value, position: position(&at), bytes }
}

/// What serde sees of a document, before places and values are brought together.
#[derive(Debug)]
enum Raw {
    Null,
    Bool(bool),
    Int(i64),
    BigInt(u64),
    Float(f64),
    String(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Raw, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(i64::try_from(value).map_or(Raw::BigInt(value), Raw::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::String(value.to_string()))
    }

    fn visit_string<E>(self, value: String) -> Result<Raw, E> {
        Ok(Raw::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Raw::Map(map))
    }
}
