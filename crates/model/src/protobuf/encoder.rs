//! Writes JSON objects as messages, without a tree in between: each value is written when it is read, behind what is
//! already there, and the fields of a message are brought into the order of the wire when its object ends.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::field_value::FieldValue;
use super::layout::{Layout, write_zero};
use super::schema::{MessageId, Schema, ValueType};
use super::wire_writer::{insert_length, write_bytes, write_bytes_tag, write_length};

/// Writes messages to the end of a buffer.
pub struct Encoder<'o> {
    schema: &'static Schema,
    out: &'o mut Vec<u8>,
    /// The slots of all messages that are being written, and where their values are in `out`.
    values: Vec<Range<usize>>,
    /// The message whose fields are being ordered.
    ordered: Vec<u8>,
}

impl<'o> Encoder<'o> {
    /// Returns an encoder that writes to the end of `out`.
    pub fn new(schema: &'static Schema, out: &'o mut Vec<u8>) -> Encoder<'o> {
        Encoder { schema, out, values: Vec::new(), ordered: Vec::new() }
    }

    /// Returns the buffer.
    pub fn out(&mut self) -> &mut Vec<u8> {
        self.out
    }

    /// Writes a field that is a message, given its JSON object. JSON fields that the message lacks are ignored.
    pub fn write_field(&mut self, number: u16, message: MessageId, json: &str) -> Result<(), serde_json::Error> {
        let mut deserializer = serde_json::Deserializer::from_str(json);
        let object = Object { encoder: self, number, message };
        (&mut deserializer).deserialize_map(object)?;
        deserializer.end()
    }

    /// Writes a field that is a message.
    pub fn write_message<'de, A: MapAccess<'de>>(
        &mut self,
        number: u16,
        message: MessageId,
        mut object: A,
    ) -> Result<(), A::Error> {
        let Some(layout) = self.schema.layout(message) else { return Err(A::Error::custom("unknown message")) };
        write_bytes_tag(self.out, number);
        let (start, first_slot) = (self.out.len(), self.values.len());
        self.values.resize(first_slot + layout.slot_count(), 0..0);
        let mut expected = 0;
        while let Some(found) = object.next_key_seed(KeyName { layout, expected })? {
            let Some(key) = found.and_then(|index| layout.key(index)) else {
                object.next_value::<IgnoredAny>()?;
                continue;
            };
            expected = found.map_or(0, |index| index + 1);
            let value = self.out.len();
            object.next_value_seed(FieldValue::new(self, key.field))?;
            let end = self.out.len();
            if let Some(slot) = self.values.get_mut(first_slot + key.slot) {
                *slot = value..end;
            }
        }
        self.order_fields(layout, start, first_slot);
        Ok(())
    }

    /// Brings what was written since `start` into the order of the wire, behind its length.
    fn order_fields(&mut self, layout: &Layout, start: usize, first_slot: usize) {
        self.ordered.clear();
        layout.assemble(self.values.get(first_slot..).unwrap_or_default(), self.out, &mut self.ordered);
        self.values.truncate(first_slot);
        self.out.truncate(start);
        write_length(self.out, self.ordered.len());
        self.out.extend_from_slice(&self.ordered);
    }

    /// Writes a field that is a list: each item as if it were a field.
    pub fn write_list<'de, A: SeqAccess<'de>>(
        &mut self,
        number: u16,
        value_type: ValueType,
        mut list: A,
    ) -> Result<(), A::Error> {
        loop {
            let start = self.out.len();
            if list.next_element_seed(FieldValue::single(self, number, value_type))?.is_none() {
                return Ok(());
            }
            self.write_zero_for_null(start, number, value_type);
        }
    }

    /// Writes the zero value where a list or map has `null`, after which nothing was written since `start`.
    fn write_zero_for_null(&mut self, start: usize, number: u16, value_type: ValueType) {
        if self.out.len() == start {
            write_zero(self.schema, number, value_type, self.out);
        }
    }

    /// Writes a map, whose entries are messages of key and value, ordered by key.
    pub fn write_map<'de, A: MapAccess<'de>>(
        &mut self,
        number: u16,
        value_type: ValueType,
        mut map: A,
    ) -> Result<(), A::Error> {
        let mut entries: Vec<MapEntry<'de>> = Vec::new();
        let mut is_sorted = true;
        while let Some(MapKey(key)) = map.next_key::<MapKey<'de>>()? {
            let start = self.out.len();
            write_bytes_tag(self.out, number);
            let content = self.out.len();
            write_bytes(self.out, 1, key.as_bytes());
            let value = self.out.len();
            map.next_value_seed(FieldValue::single(self, 2, value_type))?;
            self.write_zero_for_null(value, 2, value_type);
            insert_length(self.out, content);
            is_sorted &= entries.last().is_none_or(|last| last.key < key);
            entries.push(MapEntry { key, written: start..self.out.len() });
        }
        if !is_sorted {
            self.sort_entries(entries);
        }
        Ok(())
    }

    /// Sorts the entries at the end of the buffer; of equal keys, the last one counts.
    fn sort_entries(&mut self, mut entries: Vec<MapEntry<'_>>) {
        let start = entries.first().map_or(self.out.len(), |first| first.written.start);
        entries.reverse();
        entries.sort_by(|one, other| one.key.cmp(&other.key));
        entries.dedup_by(|later, earlier| later.key == earlier.key);
        self.ordered.clear();
        for entry in entries {
            self.ordered.extend_from_slice(self.out.get(entry.written).unwrap_or_default());
        }
        self.out.truncate(start);
        self.out.extend_from_slice(&self.ordered);
    }
}

/// An entry of a map, and where it is in the buffer.
struct MapEntry<'de> {
    key: Cow<'de, str>,
    written: Range<usize>,
}

/// Reads the key of a map's entry, without a copy if it has no escapes.
struct MapKey<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for MapKey<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<MapKey<'de>, D::Error> {
        struct KeyVisitor;

        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = MapKey<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a key")
            }

            fn visit_borrowed_str<E: Error>(self, key: &'de str) -> Result<MapKey<'de>, E> {
                Ok(MapKey(Cow::Borrowed(key)))
            }

            fn visit_str<E: Error>(self, key: &str) -> Result<MapKey<'de>, E> {
                Ok(MapKey(Cow::Owned(key.into())))
            }
        }

        deserializer.deserialize_str(KeyVisitor)
    }
}

/// Finds the key of an object in the layout of its message.
struct KeyName<'l> {
    layout: &'l Layout,
    expected: usize,
}

impl<'de> DeserializeSeed<'de> for KeyName<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<usize>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeyName<'_> {
    type Value = Option<usize>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a field name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Option<usize>, E> {
        Ok(self.layout.find(name, self.expected))
    }
}

/// Writes an object as a message.
struct Object<'e, 'o> {
    encoder: &'e mut Encoder<'o>,
    number: u16,
    message: MessageId,
}

impl<'de> Visitor<'de> for Object<'_, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<(), A::Error> {
        self.encoder.write_message(self.number, self.message, object)
    }
}
