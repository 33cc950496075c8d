//! The messages of OpenAPI v2 documents: numbers, names and types of their fields.
//!
//! `messages.txt` is generated from a recorded table of the form; see `crates/model/tests/openapi_v2.rs`.

/// The type of a field's value, or of each of its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldType {
    /// A string.
    String,
    /// A boolean.
    Bool,
    /// An integer.
    Int64,
    /// A number.
    Double,
    /// A message of this name.
    Message(&'static str),
}

/// A field of a message.
#[derive(Debug)]
pub struct Field {
    /// The number on the wire.
    pub number: u16,
    /// The name in JSON.
    pub name: &'static str,
    /// The type of the value or values.
    pub field_type: FieldType,
    /// Whether the field has any number of values.
    pub is_list: bool,
}

impl Field {
    /// Returns the message of the field's values if they are the entries of an object, each with its name.
    pub fn named_value(&self) -> Option<&'static str> {
        match self.field_type {
            FieldType::Message(name) if self.is_list && name.starts_with("Named") => Some(name),
            _ => None,
        }
    }
}

/// A message.
#[derive(Debug)]
pub struct Message {
    /// Its name.
    pub name: &'static str,
    /// Its fields.
    pub fields: Vec<Field>,
}

/// All messages, sorted by their names.
pub struct Table(Vec<Message>);

impl Table {
    /// Parses the table: `message NAME` for each message, and below it `NUMBER NAME TYPE` for each field.
    pub fn new() -> Table {
        let mut messages: Vec<Message> = Vec::new();
        for row in include_str!("messages.txt").lines() {
            if let Some(name) = row.strip_prefix("message ") {
                messages.push(Message { name, fields: Vec::new() });
            } else if let Some(message) = messages.last_mut() {
                message.fields.extend(parse_field(row));
            }
        }
        Table(messages)
    }

    /// Returns the message called `name`.
    pub fn message(&self, name: &str) -> Option<&Message> {
        let found = self.0.binary_search_by_key(&name, |message| message.name).ok()?;
        self.0.get(found)
    }
}

fn parse_field(row: &'static str) -> Option<Field> {
    let mut words = row.split(' ');
    let (number, name, written_type) = (words.next()?.parse().ok()?, words.next()?, words.next()?);
    let (is_list, type_name) = written_type.strip_prefix("[]").map_or((false, written_type), |item| (true, item));
    let field_type = match type_name {
        "string" => FieldType::String,
        "bool" => FieldType::Bool,
        "int64" => FieldType::Int64,
        "double" => FieldType::Double,
        message => FieldType::Message(message),
    };
    Some(Field { number, name, field_type, is_list })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_and_field_is_parsed() {
        let Table(messages) = Table::new();
        assert!(messages.is_sorted_by_key(|message| message.name), "messages are found by binary search");
        let fields: usize = messages.iter().map(|message| message.fields.len()).sum();
        assert_eq!(messages.len() + fields, include_str!("messages.txt").lines().count());
    }
}
