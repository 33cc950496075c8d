//! Layouts of messages: where the fields of a JSON object go on the wire, and what Go writes for those that are missing.

use std::ops::Range;

use super::schema::{Cardinality, Field, MessageId, Presence, Schema, ValueType};
use super::wire_writer::{insert_length, write_bytes, write_bytes_tag, write_integer, write_length};

/// The layout of a message.
pub struct Layout {
    /// The fields of the JSON object by name, including those of inlined structs.
    keys: Box<[Key]>,
    /// The parts of the message in the order of the wire.
    slots: Box<[Slot]>,
    /// The values of missing fields, in the order of `slots`.
    zeros: Box<[u8]>,
    /// The message of an empty object.
    empty: Box<[u8]>,
}

/// A field of the JSON object.
pub struct Key {
    /// The field.
    pub field: &'static Field,
    /// The index of its slot.
    pub slot: usize,
}

enum Slot {
    /// A field, and its part of `zeros`.
    Field { zero: Range<u16> },
    /// The beginning of a message that JSON has inlined.
    Open { number: u16 },
    /// The end of such a message.
    Close,
}

impl Layout {
    /// Returns the layout of a message. Go's structs do not contain themselves, except behind pointers, so that this
    /// ends.
    pub fn new(schema: &'static Schema, message: MessageId) -> Layout {
        let (mut keys, mut slots, mut zeros) = (Vec::new(), Vec::new(), Vec::new());
        add_fields(schema, message, &mut keys, &mut slots, &mut zeros);
        // Stored JSON has its keys in this order, mostly.
        keys.sort_unstable_by_key(|key: &Key| key.field.name);
        let mut layout = Layout { keys: keys.into(), slots: slots.into(), zeros: zeros.into(), empty: Box::default() };
        let mut empty = Vec::new();
        layout.assemble(&[], &[], &mut empty);
        layout.empty = empty.into();
        layout
    }

    /// Returns the number of slots.
    pub fn slot_count(&self) -> usize {
        self.slots.len()
    }

    /// Returns the message of an empty object.
    pub fn empty(&self) -> &[u8] {
        &self.empty
    }

    /// Returns the index of a key, which is expected at `expected` or soon after.
    pub fn find(&self, name: &str, expected: usize) -> Option<usize> {
        let (before, after) = self.keys.split_at_checked(expected)?;
        let found = after.iter().position(|key| key.field.name == name).map(|index| expected + index);
        found.or_else(|| before.iter().position(|key| key.field.name == name))
    }

    /// Returns the key at `index`.
    pub fn key(&self, index: usize) -> Option<&Key> {
        self.keys.get(index)
    }

    /// Writes the message to `out`, given where the value of each slot is in `source`.
    pub fn assemble(&self, values: &[Range<usize>], source: &[u8], out: &mut Vec<u8>) {
        let mut open = [0; MAX_INLINED];
        let mut depth = 0;
        for (index, slot) in self.slots.iter().enumerate() {
            match slot {
                Slot::Field { zero } => {
                    let value = values.get(index).filter(|value| !value.is_empty());
                    let value = value.and_then(|value| source.get(value.clone()));
                    out.extend_from_slice(value.unwrap_or_else(|| self.zero(zero)));
                }
                Slot::Open { number } => {
                    write_bytes_tag(out, *number);
                    if let Some(start) = open.get_mut(depth) {
                        *start = out.len();
                    }
                    depth += 1;
                }
                Slot::Close => {
                    depth = depth.saturating_sub(1);
                    if let Some(start) = open.get(depth) {
                        insert_length(out, *start);
                    }
                }
            }
        }
    }

    fn zero(&self, range: &Range<u16>) -> &[u8] {
        self.zeros.get(usize::from(range.start)..usize::from(range.end)).unwrap_or_default()
    }
}

/// Maximum nesting of inlined structs.
const MAX_INLINED: usize = 4;

fn add_fields(
    schema: &'static Schema,
    message: MessageId,
    keys: &mut Vec<Key>,
    slots: &mut Vec<Slot>,
    zeros: &mut Vec<u8>,
) {
    let mut fields: Vec<&'static Field> = schema.fields(message).iter().collect();
    fields.sort_unstable_by_key(|field| field.number);
    for field in fields {
        if let (Presence::Inline, ValueType::Message(inlined)) = (field.presence, field.value_type) {
            slots.push(Slot::Open { number: field.number });
            add_fields(schema, inlined, keys, slots, zeros);
            slots.push(Slot::Close);
            continue;
        }
        let start = zeros.len();
        write_missing(schema, field, zeros);
        // Messages have few fields, whose zeros have few bytes.
        let zero = start as u16..zeros.len() as u16;
        keys.push(Key { field, slot: slots.len() });
        slots.push(Slot::Field { zero });
    }
}

/// Writes what Go writes for a field that JSON lacks: its zero value, unless it is a pointer, slice or map.
fn write_missing(schema: &'static Schema, field: &Field, out: &mut Vec<u8>) {
    let is_pointer = matches!(field.presence, Presence::Pointer | Presence::NullablePointer);
    let is_slice = matches!(field.value_type, ValueType::Bytes | ValueType::StringList);
    if field.cardinality == Cardinality::Single && !is_pointer && !is_slice {
        write_zero(schema, field.number, field.value_type, out);
    }
}

/// Writes a field with the zero value of its type.
pub fn write_zero(schema: &'static Schema, number: u16, value_type: ValueType, out: &mut Vec<u8>) {
    match value_type {
        ValueType::Bool | ValueType::Int32 | ValueType::Int64 => write_integer(out, number, 0),
        ValueType::Quantity => write_bytes(out, number, b"\x0a\x010"),
        ValueType::IntOrString => write_bytes(out, number, b"\x08\0\x10\0\x1a\0"),
        ValueType::Message(message) => {
            let empty = schema.layout(message).map_or(&[][..], Layout::empty);
            write_bytes(out, number, empty);
        }
        ValueType::String
        | ValueType::Bytes
        | ValueType::Time
        | ValueType::MicroTime
        | ValueType::RawJson
        | ValueType::StringList => {
            write_bytes_tag(out, number);
            write_length(out, 0);
        }
    }
}
