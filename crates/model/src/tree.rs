//! A document as a tree of values with positions.

use std::borrow::Cow;

use super::diagnostic::Position;

/// A value of a document.
#[derive(Debug, Clone)]
pub enum Value<'t> {
    Null,
    Bool(bool),
    /// An integer within the range of `i64` or `u64`.
    Int(i128),
    Float(f64),
    String(Cow<'t, str>),
    List(Vec<YamlNode<'t>>),
    /// Entries in the order of the text; keys may repeat.
    Map(Vec<(MappingKey<'t>, YamlNode<'t>)>),
}

/// A value and its position.
#[derive(Debug, Clone)]
pub struct YamlNode<'t> {
    pub value: Value<'t>,
    pub position: Position,
    /// Source text of a plain scalar (`0644`, `yes`); empty for every other value.
    pub written: &'t str,
}

/// A mapping's key and its position.
#[derive(Debug, Clone)]
pub struct MappingKey<'t> {
    pub name: Cow<'t, str>,
    pub position: Position,
    /// Source text if it differs from the name: `on` for `true`.
    pub misread: Option<&'t str>,
}

impl<'t> YamlNode<'t> {
    /// Returns the entries of a mapping; empty for any other value.
    pub fn entries(&self) -> &[(MappingKey<'t>, YamlNode<'t>)] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// Returns the items of a list; empty for any other value.
    pub fn items(&self) -> &[YamlNode<'t>] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// Returns the first value of `key` in a mapping.
    pub fn get(&self, key: &str) -> Option<&YamlNode<'t>> {
        self.entries().iter().find(|(k, _)| k.name == key).map(|(_, node)| node)
    }

    /// Returns the first value of `key` in a mapping, for changes.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut YamlNode<'t>> {
        let Value::Map(entries) = &mut self.value else { return None };
        entries.iter_mut().find(|(k, _)| k.name == key).map(|(_, node)| node)
    }

    /// Returns the text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the position of `path` (`spec.containers[0].name`), or of its deepest existing ancestor.
    pub fn locate(&self, path: &str) -> Position {
        let (mut node, mut position, mut rest) = (self, self.position, path);
        while !rest.is_empty() {
            let Some((child, child_position, after)) = node.step(rest) else { break };
            (node, position, rest) = (child, child_position, after);
        }
        position
    }

    /// Returns the child that the first segment of `path` names, its position, and the rest of the path.
    /// Keys may contain dots (`metadata.labels.app.kubernetes.io/name`): the longest matching key wins.
    fn step<'n, 'p>(&'n self, path: &'p str) -> Option<(&'n YamlNode<'t>, Position, &'p str)> {
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
        let rest_after = |key: &MappingKey<'_>| {
            let after = path.strip_prefix(key.name.as_ref())?;
            (after.is_empty() || after.starts_with(['.', '['])).then_some(after)
        };
        let matches = self.entries().iter().filter_map(|(key, node)| Some((node, key.position, rest_after(key)?)));
        matches.min_by_key(|(_, _, after)| after.len())
    }
}
