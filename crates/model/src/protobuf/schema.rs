//! The messages of Kubernetes 1.36: numbers, names and types of their fields.
//!
//! `schema.txt` is generated from a recorded table of Kubernetes' definitions; see `crates/model/tests/protobuf.rs`. It
//! is parsed at the first use.

use std::collections::HashMap;
use std::sync::LazyLock;

/// Index of a message in the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageId(u16);

/// The type of a field's value, or of each of its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueType {
    /// A string.
    String,
    /// Bytes, base64 in JSON.
    Bytes,
    /// A boolean.
    Bool,
    /// An integer of 32 bits.
    Int32,
    /// An integer of 64 bits.
    Int64,
    /// A message whose only field is the text of a quantity.
    Quantity,
    /// A message that is a number or a string in JSON.
    IntOrString,
    /// A point in time, in seconds.
    Time,
    /// A point in time, in microseconds.
    MicroTime,
    /// A message whose only field is JSON text.
    RawJson,
    /// A message whose only field is a list of strings.
    StringList,
    /// Any other message.
    Message(MessageId),
}

/// How many values a field has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cardinality {
    /// One value.
    Single,
    /// A list.
    List,
    /// A map from strings.
    Map,
}

/// When a field is part of the JSON, which follows from its declaration in Go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// A value with `omitempty`: zero is omitted.
    Omitempty,
    /// A value with `omitzero`: like `Omitempty`, for structs too.
    Omitzero,
    /// A value that is written always.
    Always,
    /// A pointer with `omitempty`: zero differs from nothing.
    Pointer,
    /// A pointer that is written always, as `null` if it is nil.
    NullablePointer,
    /// A struct whose fields are part of the object around it.
    Inline,
}

/// A field of a message.
#[derive(Debug)]
pub struct Field {
    /// The number on the wire.
    pub number: u32,
    /// The name in JSON.
    pub name: &'static str,
    /// The type of the value or values.
    pub value_type: ValueType,
    /// The number of values.
    pub cardinality: Cardinality,
    /// The condition under which JSON has the field.
    pub presence: Presence,
}

/// The kinds and messages.
pub struct Schema {
    kinds: Vec<Kind>,
    messages: Vec<Vec<Field>>,
}

struct Kind {
    api_version: &'static str,
    kind: &'static str,
    message: MessageId,
}

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| Schema::parse(include_str!("schema.txt")));

impl Schema {
    /// Returns the schema of Kubernetes.
    pub fn get() -> &'static Schema {
        &SCHEMA
    }

    /// Returns the message of a kind.
    pub fn message_of_kind(&self, api_version: &str, kind: &str) -> Option<MessageId> {
        // Every version of every group has the type.
        let api_version = if kind == "DeleteOptions" { "v1" } else { api_version };
        let found = self.kinds.iter().find(|row| row.api_version == api_version && row.kind == kind);
        found.map(|row| row.message)
    }

    /// Returns the fields of a message in their order in JSON.
    pub fn fields(&self, message: MessageId) -> &[Field] {
        self.messages.get(usize::from(message.0)).map_or(&[], |fields| fields)
    }

    /// Parses the table: `kind API_VERSION KIND MESSAGE` for each kind, `message NAME` for each message, and below it
    /// `NUMBER NAME TYPE [FLAGS]` for each field.
    fn parse(table: &'static str) -> Schema {
        let rows = || table.lines().map(|line| line.split(' '));
        let names = rows().filter_map(|mut words| words.next().filter(|word| *word == "message").and(words.next()));
        let ids: HashMap<&str, MessageId> = names.zip((0..).map(MessageId)).collect();
        let mut schema = Schema { kinds: Vec::new(), messages: Vec::with_capacity(ids.len()) };
        for mut words in rows() {
            match words.next().unwrap_or_default() {
                "kind" => schema.kinds.extend(parse_kind(words, &ids)),
                "message" => schema.messages.push(Vec::new()),
                number => {
                    let field = number.parse().ok().and_then(|number| parse_field(number, words, &ids));
                    if let Some(fields) = schema.messages.last_mut() {
                        fields.extend(field);
                    }
                }
            }
        }
        schema.messages.iter_mut().for_each(Vec::shrink_to_fit);
        schema
    }
}

fn parse_kind(mut words: impl Iterator<Item = &'static str>, ids: &HashMap<&str, MessageId>) -> Option<Kind> {
    let (api_version, kind) = (words.next()?, words.next()?);
    Some(Kind { api_version, kind, message: *ids.get(words.next()?)? })
}

fn parse_field(
    number: u32,
    mut words: impl Iterator<Item = &'static str>,
    ids: &HashMap<&str, MessageId>,
) -> Option<Field> {
    let (name, written_type) = (words.next()?, words.next()?);
    let (cardinality, type_name) = if let Some(item) = written_type.strip_prefix("[]") {
        (Cardinality::List, item)
    } else if let Some(value) = written_type.strip_prefix("map:") {
        (Cardinality::Map, value)
    } else {
        (Cardinality::Single, written_type)
    };
    let presence = match words.next() {
        None => Presence::Omitempty,
        Some("o") => Presence::Omitzero,
        Some("z") => Presence::Always,
        Some("p") => Presence::Pointer,
        Some("pz") => Presence::NullablePointer,
        Some("iz") => Presence::Inline,
        Some(_) => return None,
    };
    Some(Field { number, name, value_type: parse_type(type_name, ids)?, cardinality, presence })
}

fn parse_type(name: &str, ids: &HashMap<&str, MessageId>) -> Option<ValueType> {
    Some(match name {
        "string" => ValueType::String,
        "bytes" => ValueType::Bytes,
        "bool" => ValueType::Bool,
        "int32" => ValueType::Int32,
        "int64" => ValueType::Int64,
        "Quantity" => ValueType::Quantity,
        "IntOrString" => ValueType::IntOrString,
        "Time" => ValueType::Time,
        "MicroTime" => ValueType::MicroTime,
        "RawJson" => ValueType::RawJson,
        "StringList" => ValueType::StringList,
        message => ValueType::Message(*ids.get(message)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_table_is_parsed() {
        let schema = Schema::get();
        let text = include_str!("schema.txt");
        let rows = |prefix: fn(&str) -> bool| text.lines().filter(|line| prefix(line)).count();
        assert_eq!(schema.kinds.len(), rows(|line| line.starts_with("kind ")));
        assert_eq!(schema.messages.len(), rows(|line| line.starts_with("message ")));
        let fields: usize = schema.messages.iter().map(|fields| fields.len()).sum();
        assert_eq!(fields, rows(|line| line.starts_with(|c: char| c.is_ascii_digit())));
        assert!(fields > 1_500, "{fields}");
    }

    #[test]
    fn kinds_are_found_by_their_version() {
        let schema = Schema::get();
        let first_field = |version: &str, kind: &str| {
            schema.message_of_kind(version, kind).and_then(|id| Some(schema.fields(id).first()?.name))
        };
        assert_eq!(first_field("v1", "Pod"), Some("metadata"));
        assert_eq!(first_field("policy/v1beta1", "Eviction"), Some("metadata"));
        assert_eq!(first_field("apps/v1", "DeleteOptions"), Some("gracePeriodSeconds"));
        assert_eq!(first_field("v2", "Pod"), None);
        assert_eq!(first_field("v1", "Container"), None);
    }
}
