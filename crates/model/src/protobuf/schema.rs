//! The messages of Kubernetes 1.36: numbers, names and types of their fields.
//!
//! `schema.txt` is generated from a recorded table of Kubernetes' definitions; see `crates/model/tests/protobuf.rs`. Its
//! kinds are parsed at the first use, each message at its own first use: most servers see few of them.

use std::sync::{LazyLock, OnceLock};

use super::layout::Layout;

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
    /// The name in JSON.
    pub name: &'static str,
    /// The number on the wire.
    pub number: u16,
    /// The type of the value or values.
    pub value_type: ValueType,
    /// The number of values.
    pub cardinality: Cardinality,
    /// The condition under which JSON has the field.
    pub presence: Presence,
}

/// The kinds and messages.
pub struct Schema {
    text: &'static str,
    /// The kinds, sorted by their names and then by their versions.
    kinds: Box<[Kind]>,
    /// The messages, sorted by their names as the text is.
    messages: Box<[Message]>,
}

struct Kind {
    kind: &'static str,
    api_version: &'static str,
    message: MessageId,
}

/// A message, of which only the place in the text is known before its first use.
struct Message {
    offset: u32,
    parsed: OnceLock<Box<Parsed>>,
}

struct Parsed {
    fields: Box<[Field]>,
    layout: OnceLock<Layout>,
}

/// The first word of a message's row in the text.
const MESSAGE: &str = "message ";
/// The version in the row of a kind that every version has.
const ANY_VERSION: &str = "*";

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| Schema::parse(include_str!("schema.txt")));

impl Schema {
    /// Returns the schema of Kubernetes.
    pub fn get() -> &'static Schema {
        &SCHEMA
    }

    /// Returns the message of a kind.
    pub fn message_of_kind(&self, api_version: &str, kind: &str) -> Option<MessageId> {
        let find = |version: &str| {
            let found = self.kinds.binary_search_by_key(&(kind, version), |row| (row.kind, row.api_version)).ok();
            found.and_then(|index| self.kinds.get(index)).map(|row| row.message)
        };
        find(api_version).or_else(|| find(ANY_VERSION))
    }

    /// Returns the fields of a message in their order in JSON.
    pub fn fields(&self, message: MessageId) -> &[Field] {
        self.parsed(message).map_or(&[], |parsed| &parsed.fields)
    }

    /// Returns how JSON becomes this message.
    pub fn layout(&'static self, message: MessageId) -> Option<&'static Layout> {
        self.parsed(message).map(|parsed| parsed.layout.get_or_init(|| Layout::new(self, message)))
    }

    fn parsed(&self, MessageId(index): MessageId) -> Option<&Parsed> {
        let message = self.messages.get(usize::from(index))?;
        Some(message.parsed.get_or_init(|| {
            let fields = self.rows(message).skip(1).map_while(|row| parse_field(row, |name| self.message(name)));
            Box::new(Parsed { fields: fields.collect(), layout: OnceLock::new() })
        }))
    }

    /// Returns the message called `name`.
    fn message(&self, name: &str) -> Option<MessageId> {
        let found = self.messages.binary_search_by_key(&name, |message| self.name(message)).ok()?;
        u16::try_from(found).ok().map(MessageId)
    }

    /// Returns the name of a message, such as `core.v1.PodSpec`.
    pub fn message_name(&self, MessageId(index): MessageId) -> Option<&'static str> {
        self.messages.get(usize::from(index)).map(|message| self.name(message))
    }

    fn name(&self, message: &Message) -> &'static str {
        self.rows(message).next().and_then(|row| row.strip_prefix(MESSAGE)).unwrap_or_default()
    }

    /// Returns the rows of the text that begin with this message's.
    fn rows(&self, message: &Message) -> std::str::Lines<'static> {
        let offset = usize::try_from(message.offset).unwrap_or(usize::MAX);
        self.text.get(offset..).unwrap_or_default().lines()
    }

    /// Parses the table: `kind API_VERSION KIND MESSAGE` for each kind, then `message NAME` for each message, and below
    /// it `NUMBER NAME TYPE [FLAGS]` for each field.
    fn parse(text: &'static str) -> Schema {
        // A field can be called `message` too.
        let starts = text.match_indices('\n').map(|(end, _)| end + 1);
        let starts = starts.filter(|start| text.get(*start..).is_some_and(|rest| rest.starts_with(MESSAGE)));
        let offsets = starts.filter_map(|start| u32::try_from(start).ok());
        let messages = offsets.map(|offset| Message { offset, parsed: OnceLock::new() }).collect();
        let mut schema = Schema { text, kinds: Box::default(), messages };
        let mut kinds: Vec<_> = text.lines().map_while(|row| schema.parse_kind(row)).collect();
        kinds.sort_unstable_by_key(|row| (row.kind, row.api_version));
        schema.kinds = kinds.into();
        schema
    }

    fn parse_kind(&self, row: &'static str) -> Option<Kind> {
        let mut words = row.strip_prefix("kind ")?.split(' ');
        let (api_version, kind) = (words.next()?, words.next()?);
        Some(Kind { kind, api_version, message: self.message(words.next()?)? })
    }
}

/// Parses the row of a field; returns nothing for any other.
fn parse_field(row: &'static str, message: impl Fn(&str) -> Option<MessageId>) -> Option<Field> {
    let mut words = row.split(' ');
    let (number, name, written_type) = (words.next()?.parse().ok()?, words.next()?, words.next()?);
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
    Some(Field { number, name, value_type: parse_type(type_name, message)?, cardinality, presence })
}

fn parse_type(name: &str, message: impl Fn(&str) -> Option<MessageId>) -> Option<ValueType> {
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
        name => ValueType::Message(message(name)?),
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
        let ids = || (0..u16::try_from(schema.messages.len()).expect("few")).map(MessageId);
        let fields: usize = ids().map(|id| schema.fields(id).len()).sum();
        assert_eq!(fields, rows(|line| line.starts_with(|c: char| c.is_ascii_digit())));
        assert!(fields > 1_800, "{fields}");
        assert!(ids().all(|id| schema.layout(id).is_some()));
        let names: Vec<_> = schema.messages.iter().map(|message| schema.name(message)).collect();
        assert!(names.is_sorted(), "messages are found by binary search");
    }

    #[test]
    fn kinds_are_found_by_their_version() {
        let schema = Schema::get();
        let first_field = |version: &str, kind: &str| {
            schema.message_of_kind(version, kind).and_then(|id| Some(schema.fields(id).first()?.name))
        };
        assert_eq!(first_field("v1", "Pod"), Some("metadata"));
        assert_eq!(first_field("apps/v1", "DeploymentList"), Some("metadata"));
        assert_eq!(first_field("policy/v1beta1", "Eviction"), Some("metadata"));
        assert_eq!(first_field("apps/v1", "DeleteOptions"), Some("gracePeriodSeconds"));
        assert_eq!(first_field("", "APIResourceList"), Some("groupVersion"));
        assert_eq!(first_field("v2", "Pod"), None);
        assert_eq!(first_field("v1", "Container"), None);
    }
}
