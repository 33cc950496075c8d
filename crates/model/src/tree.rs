//! A document as a tree of values that know where they stand.

use std::borrow::Cow;

use super::issue::Position;

/// A value of a document.
#[derive(Debug, Clone)]
pub enum Value<'t> {
    Null,
    Bool(bool),
    /// Up to 64 bits, signed or not.
    Int(i128),
    Float(f64),
    String(Cow<'t, str>),
    List(Vec<Node<'t>>),
    /// In the order of the text; a key may stand there twice.
    Map(Vec<(Key<'t>, Node<'t>)>),
}

/// A value and its place.
#[derive(Debug, Clone)]
pub struct Node<'t> {
    pub value: Value<'t>,
    pub position: Position,
    /// A plain scalar as it is written (`0644`, `yes`); empty for all else.
    pub written: &'t str,
}

/// A mapping's key and its place.
#[derive(Debug, Clone)]
pub struct Key<'t> {
    pub name: Cow<'t, str>,
    pub position: Position,
    /// How it is written where that is not its name: `on` for `true`.
    pub misread: Option<&'t str>,
}

impl<'t> Node<'t> {
    /// The entries of a mapping; none of all else.
    pub fn entries(&self) -> &[(Key<'t>, Node<'t>)] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a list; none of all else.
    pub fn items(&self) -> &[Node<'t>] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// The value under `key` of a mapping.
    pub fn get(&self, key: &str) -> Option<&Node<'t>> {
        self.entries().iter().find(|(k, _)| k.name == key).map(|(_, node)| node)
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
        let (mut node, mut position, mut rest) = (self, self.position, path);
        while !rest.is_empty() {
            let Some((child, at, after)) = node.step(rest) else { break };
            (node, position, rest) = (child, at, after);
        }
        position
    }

    /// The child that `path` leads to first, its place, and the path behind it. A key may hold
    /// dots (`metadata.labels.app.kubernetes.io/name`), so the keys that are there decide.
    fn step<'n, 'p>(&'n self, path: &'p str) -> Option<(&'n Node<'t>, Position, &'p str)> {
        let path = path.strip_prefix('.').unwrap_or(path);
        if let Some((index, after)) = path.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
            if let Value::List(items) = &self.value {
                let item = items.get(index.parse::<usize>().ok()?)?;
                return Some((item, item.position, after));
            }
            let name = index.trim_matches('"');
            let (key, node) = self.entries().iter().find(|(key, _)| key.name == name)?;
            return Some((node, key.position, after));
        }
        let leads = |key: &Key<'_>| {
            let after = path.strip_prefix(key.name.as_ref())?;
            (after.is_empty() || after.starts_with(['.', '['])).then_some(after)
        };
        let found = self.entries().iter().filter_map(|(key, node)| Some((node, key.position, leads(key)?)));
        found.min_by_key(|(_, _, after)| after.len())
    }
}
