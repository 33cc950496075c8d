//! How serde's visitors walk lists and mappings.

use serde::de::{self, DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess};

use super::notes::Path;
use super::{Reader, Stop};
use crate::issue::{Issue, Position, Rule};
use crate::tree::{Key, Node, Value};

pub(super) struct Items<'de, 'p> {
    list: Reader<'de, 'p>,
    items: std::iter::Enumerate<std::slice::Iter<'de, Node<'de>>>,
}

impl<'de, 'p> Items<'de, 'p> {
    pub(super) fn new(list: Reader<'de, 'p>, items: &'de [Node<'de>]) -> Items<'de, 'p> {
        Items { list, items: items.iter().enumerate() }
    }
}

impl<'de> SeqAccess<'de> for Items<'de, '_> {
    type Error = Stop;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Stop> {
        let Some((i, node)) = self.items.next() else { return Ok(None) };
        let path = Path::Index(self.list.path, i);
        read(Reader { node, path: &path, ..self.list }, seed).map(Some)
    }
}

pub(super) struct Entries<'de, 'p> {
    map: Reader<'de, 'p>,
    rest: &'de [(Key<'de>, Node<'de>)],
    current: Option<(&'de Key<'de>, &'de Node<'de>)>,
    /// The names that a struct knows; a map knows no limit.
    fields: Option<&'static [&'static str]>,
    /// How many entries there are in all.
    count: usize,
}

impl<'de, 'p> Entries<'de, 'p> {
    pub(super) fn new(
        map: Reader<'de, 'p>,
        entries: &'de [(Key<'de>, Node<'de>)],
        fields: Option<&'static [&'static str]>,
    ) -> Entries<'de, 'p> {
        Entries { map, rest: entries, current: None, fields, count: entries.len() }
    }
}

impl<'de> MapAccess<'de> for Entries<'de, '_> {
    type Error = Stop;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Stop> {
        while let [(key, node), rest @ ..] = self.rest {
            self.rest = rest;
            match self.fields {
                Some(fields) if !fields.contains(&key.name.as_ref()) => {
                    self.map.notes.unknown_field(self.map.path, key, fields, self.count);
                }
                fields => {
                    if fields.is_none() {
                        self.map.notes.read_as_key(self.map.path, key);
                    }
                    self.current = Some((key, node));
                    return seed.deserialize(key.name.as_ref().into_deserializer()).map(Some);
                }
            }
        }
        Ok(None)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Stop> {
        let Some((key, node)) = self.current.take() else {
            return Err(de::Error::custom("a value was asked for before its key"));
        };
        let path = Path::Field(self.map.path, &key.name);
        read(Reader { node, path: &path, ..self.map }, seed)
    }
}

/// What is read in place of a value that its own type has refused before.
static NOTHING: Node<'static> =
    Node { value: Value::Null, position: Position { line: 1, column: 1, len: 1 }, written: "" };

/// Reads a value; an error of the type itself gets its place here.
fn read<'de, T: DeserializeSeed<'de>>(reader: Reader<'de, '_>, seed: T) -> Result<T::Value, Stop> {
    let position = reader.node.position;
    let was_refused = reader.notes.is_broken(position);
    let node = if was_refused { &NOTHING } else { reader.node };
    seed.deserialize(Reader { node, ..reader }).map_err(|stop| match stop {
        Stop::Here(message) => {
            let (path, (message, hint)) = (reader.path.to_string(), in_our_words(message));
            let issue = Issue { rule: Rule::WrongType, path, position: Some(position), message, hint };
            Stop::At(Box::new(issue), position)
        }
        placed => placed,
    })
}

/// What a type says of its value, begun like our own messages.
fn in_our_words(message: String) -> (String, Option<String>) {
    match message.strip_prefix("Invalid ") {
        // Of all types only bytes speak so.
        Some(fault) => {
            let hint = "plain text stands under `stringData` of a Secret, and under `data` of a ConfigMap";
            (format!("wanted base64: invalid {}", fault.trim_end_matches('.')), Some(hint.into()))
        }
        None => (message, None),
    }
}
