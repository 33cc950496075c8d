//! Writes messages as the JSON that Go makes of the same objects.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use serde::Serialize;
use serde::de::IgnoredAny;

use super::ProtobufError;
use super::schema::{Cardinality, Field, MessageId, Presence, Schema, ValueType};
use super::wire::{WireField, WireReader, WireValue};

/// Maximum nesting of messages; Kubernetes' own are nested less than 20 deep.
const MAX_DEPTH: usize = 50;
/// Maximum size of the JSON. It is several times larger than the message: names are not on the wire.
const MAX_JSON_BYTES: usize = 8 * 1024 * 1024;

/// JSON text that grows at its end.
pub struct JsonWriter {
    schema: &'static Schema,
    text: Vec<u8>,
    depth: usize,
}

impl JsonWriter {
    /// Returns a writer without text.
    pub fn new(schema: &'static Schema) -> JsonWriter {
        JsonWriter { schema, text: Vec::new(), depth: 0 }
    }

    /// Writes an object: its version and kind, and the fields of `message`.
    pub fn write_object(
        mut self,
        api_version: &str,
        kind: &str,
        id: MessageId,
        message: &[u8],
    ) -> Result<String, ProtobufError> {
        self.text.push(b'{');
        for (name, value) in [("apiVersion", api_version), ("kind", kind)] {
            // Documents of discovery have no version.
            if value.is_empty() {
                continue;
            }
            self.write_key(name)?;
            self.write_json(value)?;
        }
        self.write_fields(id, message)?;
        self.text.push(b'}');
        String::from_utf8(self.text).map_err(|_| ProtobufError::InvalidUtf8("object"))
    }

    fn write_message(&mut self, id: MessageId, message: &[u8]) -> Result<(), ProtobufError> {
        self.text.push(b'{');
        self.write_fields(id, message)?;
        self.text.push(b'}');
        Ok(())
    }

    /// Writes the fields of a message in the order of the schema.
    fn write_fields(&mut self, id: MessageId, message: &[u8]) -> Result<(), ProtobufError> {
        if self.depth == MAX_DEPTH {
            return Err(ProtobufError::TooDeep);
        }
        self.depth += 1;
        let fields = self.schema.fields(id);
        let places = places_of_values(fields, message)?;
        let mut rest = places.as_slice();
        for (position, field) in (0..).zip(fields) {
            let (own, others) = rest.split_at(rest.partition_point(|place| place.position <= position));
            rest = others;
            self.write_field(field, own.iter().map(|place| place.value(message)))?;
        }
        self.depth -= 1;
        Ok(())
    }

    /// Writes a field, given all its values on the wire.
    fn write_field<'b>(
        &mut self,
        field: &Field,
        mut values: impl DoubleEndedIterator<Item = WireValue<'b>> + ExactSizeIterator,
    ) -> Result<(), ProtobufError> {
        if values.len() == 0 {
            return self.write_missing(field);
        }
        match field.cardinality {
            Cardinality::List => {
                self.write_key(field.name)?;
                self.write_list(field, values)
            }
            Cardinality::Map => {
                self.write_key(field.name)?;
                self.write_map(field, values)
            }
            Cardinality::Single => match (field.value_type, values.len()) {
                (ValueType::Message(_), 2..) => {
                    // Messages are merged, which is the same as reading one after the other.
                    let messages = values.map(|value| value.bytes(field.name)).collect::<Result<Vec<_>, _>>()?;
                    self.write_single(field, WireValue::Bytes(&messages.concat()))
                }
                _ => values.next_back().map_or(Ok(()), |last| self.write_single(field, last)),
            },
        }
    }

    /// Writes a field that is not on the wire.
    fn write_missing(&mut self, field: &Field) -> Result<(), ProtobufError> {
        match (field.presence, field.value_type) {
            (Presence::Omitempty | Presence::Omitzero | Presence::Pointer, _) => Ok(()),
            (Presence::Inline, ValueType::Message(id)) => self.write_fields(id, &[]),
            (Presence::NullablePointer, _) => {
                self.write_key(field.name)?;
                self.write_null();
                Ok(())
            }
            (Presence::Always | Presence::Inline, _) => self.write_zero(field),
        }
    }

    fn write_zero(&mut self, field: &Field) -> Result<(), ProtobufError> {
        self.write_key(field.name)?;
        match (field.cardinality, field.value_type) {
            (Cardinality::List | Cardinality::Map, _) | (Cardinality::Single, ValueType::Bytes) => self.write_null(),
            (Cardinality::Single, ValueType::Bool | ValueType::Int32 | ValueType::Int64) => {
                self.write_value(field, WireValue::Varint(0))?;
            }
            (Cardinality::Single, _) => self.write_value(field, WireValue::Bytes(&[]))?,
        }
        Ok(())
    }

    fn write_single(&mut self, field: &Field, value: WireValue<'_>) -> Result<(), ProtobufError> {
        match (field.presence, field.value_type) {
            (Presence::Inline, ValueType::Message(id)) => return self.write_fields(id, value.bytes(field.name)?),
            (Presence::Omitempty, _) if is_zero_scalar(field, value) => return Ok(()),
            (Presence::Omitzero, ValueType::Time) if time(field, value)?.is_none() => return Ok(()),
            _ => {}
        }
        self.write_key(field.name)?;
        self.write_value(field, value)
    }

    fn write_list<'b>(
        &mut self,
        field: &Field,
        values: impl Iterator<Item = WireValue<'b>>,
    ) -> Result<(), ProtobufError> {
        self.text.push(b'[');
        for value in values {
            match (field.value_type, value) {
                (ValueType::Bool | ValueType::Int32 | ValueType::Int64, WireValue::Bytes(packed)) => {
                    let mut reader = WireReader::new(packed);
                    while let Some(value) = reader.next_varint() {
                        self.write_comma()?;
                        self.write_value(field, WireValue::Varint(value?))?;
                    }
                }
                _ => {
                    self.write_comma()?;
                    self.write_value(field, value)?;
                }
            }
        }
        self.text.push(b']');
        Ok(())
    }

    /// Writes a map, whose entries are messages of key and value on the wire. The last value of a key counts.
    fn write_map<'b>(
        &mut self,
        field: &Field,
        values: impl Iterator<Item = WireValue<'b>>,
    ) -> Result<(), ProtobufError> {
        let mut entries = BTreeMap::new();
        for value in values {
            let [key, value] = last_values(field, value)?;
            let nothing = WireValue::Bytes(&[]);
            entries.insert(key.unwrap_or(nothing).string(field.name)?, value.unwrap_or(nothing));
        }
        self.text.push(b'{');
        for (key, value) in entries {
            self.write_key(key)?;
            self.write_value(field, value)?;
        }
        self.text.push(b'}');
        Ok(())
    }

    /// Writes one value of a field.
    fn write_value(&mut self, field: &Field, value: WireValue<'_>) -> Result<(), ProtobufError> {
        match field.value_type {
            ValueType::String => self.write_json(value.string(field.name)?),
            ValueType::Bytes => self.write_json(&ByteString(value.bytes(field.name)?.to_vec())),
            ValueType::Bool => self.write_json(&(value.varint(field.name)? != 0)),
            ValueType::Int32 => self.write_json(&int32(value.varint(field.name)?)),
            ValueType::Int64 => self.write_json(&value.varint(field.name)?.cast_signed()),
            ValueType::Quantity => {
                let [text] = last_values(field, value)?;
                let text = text.map_or(Ok(""), |text| text.string(field.name))?;
                self.write_json(if text.is_empty() { "0" } else { text })
            }
            ValueType::IntOrString => self.write_int_or_string(field, value),
            ValueType::Time => self.write_json(&time(field, value)?.map(|time| time.to_string())),
            ValueType::MicroTime => self.write_json(&micro_time(field, value)?.map(|time| format!("{time:.6}"))),
            ValueType::RawJson => self.write_raw_json(field, value),
            ValueType::StringList => {
                let items = WireReader::new(value.bytes(field.name)?).filter_map(|item| match item {
                    Ok(WireField { number: 1, value }) => Some(value.string(field.name)),
                    Ok(_) => None,
                    Err(error) => Some(Err(error)),
                });
                self.write_json(&items.collect::<Result<Vec<_>, _>>()?)
            }
            ValueType::Message(id) => self.write_message(id, value.bytes(field.name)?),
        }
    }

    fn write_int_or_string(&mut self, field: &Field, value: WireValue<'_>) -> Result<(), ProtobufError> {
        let [kind, number, text] = last_values(field, value)?;
        let integer = |value: Option<WireValue<'_>>| value.map_or(Ok(0), |value| value.varint(field.name));
        match integer(kind)? {
            0 => self.write_json(&int32(integer(number)?)),
            1 => self.write_json(text.map_or(Ok(""), |text| text.string(field.name))?),
            _ => Err(ProtobufError::InvalidIntOrString(field.name)),
        }
    }

    /// Writes JSON text that a message contains.
    fn write_raw_json(&mut self, field: &Field, value: WireValue<'_>) -> Result<(), ProtobufError> {
        let [raw] = last_values(field, value)?;
        let raw = raw.map_or(Ok(&[][..]), |raw| raw.bytes(field.name))?;
        if raw.is_empty() {
            self.write_null();
            return Ok(());
        }
        let json = std::str::from_utf8(raw).map_err(|_| ProtobufError::InvalidUtf8(field.name))?;
        serde_json::from_str::<IgnoredAny>(json).map_err(|_| ProtobufError::InvalidJson(field.name))?;
        self.text.extend(raw);
        Ok(())
    }

    /// Writes a comma unless the text is at the beginning of an object or list. This is where the size is checked, since
    /// everything that repeats has one.
    fn write_comma(&mut self) -> Result<(), ProtobufError> {
        if self.text.len() > MAX_JSON_BYTES {
            return Err(ProtobufError::TooLarge);
        }
        if !matches!(self.text.last(), Some(b'{' | b'[')) {
            self.text.push(b',');
        }
        Ok(())
    }

    fn write_key(&mut self, name: &str) -> Result<(), ProtobufError> {
        self.write_comma()?;
        self.write_json(name)?;
        self.text.push(b':');
        Ok(())
    }

    fn write_null(&mut self) {
        self.text.extend(b"null");
    }

    /// Writes a value without maps, which cannot fail.
    fn write_json<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ProtobufError> {
        serde_json::to_writer(&mut self.text, value).map_err(|_| ProtobufError::TooLarge)
    }
}

/// Where a value is in a message. A small body can have very many values, so that this is smaller than a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct ValuePlace {
    /// The position of the field in its message.
    position: u16,
    /// The offset of the field's tag.
    offset: u32,
}

impl ValuePlace {
    fn value(self, message: &[u8]) -> WireValue<'_> {
        let offset = usize::try_from(self.offset).unwrap_or(usize::MAX);
        let read = WireReader::new(message.get(offset..).unwrap_or_default()).next();
        // It has been read once before.
        read.and_then(Result::ok).map_or(WireValue::Bytes(&[]), |field| field.value)
    }
}

/// Returns where the values of known fields are, ordered by their fields and then as in the message.
fn places_of_values(fields: &[Field], message: &[u8]) -> Result<Vec<ValuePlace>, ProtobufError> {
    let mut places = Vec::new();
    let mut reader = WireReader::new(message);
    loop {
        let offset = u32::try_from(reader.offset_in(message)).map_err(|_| ProtobufError::TooLarge)?;
        let Some(read) = reader.next() else { break };
        let WireField { number, .. } = read?;
        let known = (0..).zip(fields).find(|(_, field)| u32::from(field.number) == number);
        places.extend(known.map(|(position, _)| ValuePlace { position, offset }));
    }
    places.sort_unstable();
    Ok(places)
}

/// Returns whether Go omits this scalar.
fn is_zero_scalar(field: &Field, value: WireValue<'_>) -> bool {
    match field.value_type {
        ValueType::String | ValueType::Bytes => value == WireValue::Bytes(&[]),
        ValueType::Bool | ValueType::Int64 => value == WireValue::Varint(0),
        ValueType::Int32 => matches!(value, WireValue::Varint(value) if int32(value) == 0),
        _ => false,
    }
}

/// Returns the last value of each of the fields 1 to `N` of the message that `value` is.
fn last_values<'b, const N: usize>(
    field: &Field,
    value: WireValue<'b>,
) -> Result<[Option<WireValue<'b>>; N], ProtobufError> {
    let mut last = [None; N];
    for read in WireReader::new(value.bytes(field.name)?) {
        let WireField { number, value } = read?;
        let slot = usize::try_from(number).ok().and_then(|number| last.get_mut(number.checked_sub(1)?));
        if let Some(slot) = slot {
            *slot = Some(value);
        }
    }
    Ok(last)
}

/// Returns the lower 32 bits, as Go does.
fn int32(value: u64) -> i32 {
    (value as u32).cast_signed()
}

/// Returns the seconds and nanoseconds of a time, or nothing for the zero time.
fn seconds_and_nanos(field: &Field, value: WireValue<'_>) -> Result<Option<(i64, i32)>, ProtobufError> {
    let [seconds, nanos] = last_values(field, value)?;
    let integer = |value: Option<WireValue<'_>>| value.map_or(Ok(0), |value| value.varint(field.name));
    let (seconds, nanos) = (integer(seconds)?.cast_signed(), int32(integer(nanos)?));
    Ok(((seconds, nanos) != (0, 0)).then_some((seconds, nanos)))
}

/// Returns a time in whole seconds; Go ignores the rest.
fn time(field: &Field, value: WireValue<'_>) -> Result<Option<Timestamp>, ProtobufError> {
    let time = seconds_and_nanos(field, value)?.map(|(seconds, _)| Timestamp::from_second(seconds));
    time.transpose().map_err(|_| ProtobufError::InvalidTime(field.name))
}

/// Returns a time in whole microseconds.
fn micro_time(field: &Field, value: WireValue<'_>) -> Result<Option<Timestamp>, ProtobufError> {
    let time = seconds_and_nanos(field, value)?.map(|(seconds, nanos)| Timestamp::new(seconds, nanos / 1000 * 1000));
    time.transpose().map_err(|_| ProtobufError::InvalidTime(field.name))
}
