//! Writes the value of one field of a JSON object: scalars, the messages that are scalars in JSON, and through the
//! encoder everything that has parts.

use std::fmt;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use serde::Deserialize;
use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Unexpected, Visitor};
use serde_json::value::RawValue;

use super::encoder::Encoder;
use super::schema::{Cardinality, Field, ValueType};
use super::wire_writer::{insert_length, write_bytes, write_bytes_tag, write_integer};

/// Reads a value and writes it; `null` writes nothing.
pub struct FieldValue<'e, 'o> {
    encoder: &'e mut Encoder<'o>,
    number: u16,
    value_type: ValueType,
    cardinality: Cardinality,
}

impl<'e, 'o> FieldValue<'e, 'o> {
    /// Returns the writer of a whole field.
    pub fn new(encoder: &'e mut Encoder<'o>, field: &Field) -> FieldValue<'e, 'o> {
        let Field { number, value_type, cardinality, .. } = *field;
        FieldValue { encoder, number, value_type, cardinality }
    }

    /// Returns the writer of one value of a list or map.
    pub fn single(encoder: &'e mut Encoder<'o>, number: u16, value_type: ValueType) -> FieldValue<'e, 'o> {
        FieldValue { encoder, number, value_type, cardinality: Cardinality::Single }
    }

    fn write_integer<E: Error>(self, value: i64) -> Result<(), E> {
        let out_of_range = |_| E::invalid_value(Unexpected::Signed(value), &"an integer of 32 bits");
        let number = self.number;
        match self.value_type {
            ValueType::Int64 => write_integer(self.encoder.out(), number, value),
            ValueType::Int32 => {
                write_integer(self.encoder.out(), number, i32::try_from(value).map_err(out_of_range)?.into());
            }
            ValueType::IntOrString => {
                let value = i32::try_from(value).map_err(out_of_range)?;
                self.write_int_or_string(0, value, "");
            }
            ValueType::Quantity => self.write_nested(|out| write_bytes(out, 1, value.to_string().as_bytes())),
            _ => return Err(E::invalid_type(Unexpected::Signed(value), &self)),
        }
        Ok(())
    }

    fn write_int_or_string(self, kind: i64, integer: i32, text: &str) {
        self.write_nested(|out| {
            write_integer(out, 1, kind);
            write_integer(out, 2, integer.into());
            write_bytes(out, 3, text.as_bytes());
        });
    }

    /// Writes a message whose fields `write` writes.
    fn write_nested(self, write: impl FnOnce(&mut Vec<u8>)) {
        let out = self.encoder.out();
        write_bytes_tag(out, self.number);
        let start = out.len();
        write(out);
        insert_length(out, start);
    }

    /// Writes a time; the zero time of Go is an empty message.
    fn write_time(self, seconds: i64, nanos: i32) {
        self.write_nested(|out| {
            if seconds != ZERO_TIME {
                write_integer(out, 1, seconds);
                write_integer(out, 2, nanos.into());
            }
        });
    }

    fn write_bytes<E: Error>(self, base64: &str) -> Result<(), E> {
        let ByteString(bytes) = ByteString::deserialize(StrDeserializer::new(base64))?;
        write_bytes(self.encoder.out(), self.number, &bytes);
        Ok(())
    }

    fn write_raw_json<'de, D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let json = <&RawValue>::deserialize(deserializer)?.get();
        if json != "null" {
            self.write_nested(|out| write_bytes(out, 1, json.as_bytes()));
        }
        Ok(())
    }
}

/// The first second of year 1.
const ZERO_TIME: i64 = -62_135_596_800;

impl<'de> DeserializeSeed<'de> for FieldValue<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match (self.cardinality, self.value_type) {
            (Cardinality::Single, ValueType::RawJson) => self.write_raw_json(deserializer),
            _ => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for FieldValue<'_, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self.cardinality {
            Cardinality::List => "a list",
            Cardinality::Map => "a map",
            Cardinality::Single => match self.value_type {
                ValueType::String => "a string",
                ValueType::Bytes => "base64",
                ValueType::Bool => "a boolean",
                ValueType::Int32 | ValueType::Int64 => "an integer",
                ValueType::Quantity => "a quantity",
                ValueType::IntOrString => "an integer or a string",
                ValueType::Time | ValueType::MicroTime => "a time",
                ValueType::RawJson => "JSON",
                ValueType::StringList => "a list of strings",
                ValueType::Message(_) => "an object",
            },
        })
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        match (self.cardinality, self.value_type) {
            (Cardinality::Single, ValueType::Bool) => {
                write_integer(self.encoder.out(), self.number, value.into());
                Ok(())
            }
            _ => Err(E::invalid_type(Unexpected::Bool(value), &self)),
        }
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        match self.cardinality {
            Cardinality::Single => self.write_integer(value),
            Cardinality::List | Cardinality::Map => Err(E::invalid_type(Unexpected::Signed(value), &self)),
        }
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        match i64::try_from(value) {
            Ok(value) => self.visit_i64(value),
            Err(_) => Err(E::invalid_value(Unexpected::Unsigned(value), &self)),
        }
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        let invalid_time = |error: jiff::Error| E::custom(error);
        let number = self.number;
        match (self.cardinality, self.value_type) {
            (Cardinality::Single, ValueType::String) => write_bytes(self.encoder.out(), number, value.as_bytes()),
            (Cardinality::Single, ValueType::Bytes) => return self.write_bytes(value),
            (Cardinality::Single, ValueType::Quantity) => {
                self.write_nested(|out| write_bytes(out, 1, value.as_bytes()));
            }
            (Cardinality::Single, ValueType::IntOrString) => self.write_int_or_string(1, 0, value),
            (Cardinality::Single, ValueType::Time) => {
                let (seconds, _) = seconds_and_nanos(value.parse().map_err(invalid_time)?);
                self.write_time(seconds, 0);
            }
            (Cardinality::Single, ValueType::MicroTime) => {
                let (seconds, nanos) = seconds_and_nanos(value.parse().map_err(invalid_time)?);
                self.write_time(seconds, nanos / 1000 * 1000);
            }
            _ => return Err(E::invalid_type(Unexpected::Str(value), &self)),
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<(), A::Error> {
        match (self.cardinality, self.value_type) {
            (Cardinality::List, value_type) => self.encoder.write_list(self.number, value_type, list),
            (Cardinality::Single, ValueType::StringList) => {
                write_bytes_tag(self.encoder.out(), self.number);
                let start = self.encoder.out().len();
                self.encoder.write_list(1, ValueType::String, list)?;
                insert_length(self.encoder.out(), start);
                Ok(())
            }
            _ => Err(A::Error::invalid_type(Unexpected::Seq, &self)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        match (self.cardinality, self.value_type) {
            (Cardinality::Map, value_type) => self.encoder.write_map(self.number, value_type, map),
            (Cardinality::Single, ValueType::Message(message)) => self.encoder.write_message(self.number, message, map),
            _ => Err(A::Error::invalid_type(Unexpected::Map, &self)),
        }
    }
}

/// Returns a time as Go writes it: its nanoseconds are not negative.
fn seconds_and_nanos(time: Timestamp) -> (i64, i32) {
    let (seconds, nanos) = (time.as_second(), time.subsec_nanosecond());
    if nanos < 0 { (seconds - 1, nanos + 1_000_000_000) } else { (seconds, nanos) }
}
