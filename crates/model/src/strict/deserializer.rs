//! The deserializer: drives serde's visitors over a document tree and reports what does not fit.

use std::fmt;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeSeed, Expected, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::path::Path;
use super::reporter::Reporter;
use crate::diagnostic::{Diagnostic, Position, Rule};
use crate::quantity;
use crate::tree::{MappingKey, Value, YamlNode};

/// The spellings that are accepted for integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntegerSyntax {
    /// Any number without a fraction, such as 30.0: what a reader of YAML accepts.
    IntegralNumber,
    /// Digits only: what Go's JSON decoder accepts.
    Digits,
}

/// An error of a type's own `Deserialize`, which aborts the read.
#[derive(Debug)]
pub(super) enum ReadError {
    /// The type's message, before the value's position is known.
    Unplaced(String),
    /// The diagnostic and position of the value.
    Placed(Box<Diagnostic>, Position),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::Unplaced(message) => f.write_str(message),
            ReadError::Placed(diagnostic, _) => f.write_str(&diagnostic.message),
        }
    }
}

impl std::error::Error for ReadError {}

impl de::Error for ReadError {
    fn custom<T: fmt::Display>(message: T) -> ReadError {
        ReadError::Unplaced(message.to_string())
    }
}

/// Deserializes one node; reports its errors to `reporter`.
#[derive(Clone, Copy)]
pub(super) struct NodeDeserializer<'de, 'p> {
    pub(super) node: &'de YamlNode<'de>,
    pub(super) path: &'p Path<'p>,
    pub(super) reporter: &'p Reporter<'p>,
    pub(super) integer_syntax: IntegerSyntax,
}

impl<'de> NodeDeserializer<'de, '_> {
    fn report_mismatch(&self, expected: &str) {
        self.reporter.type_mismatch(self.path, self.node, expected);
    }

    fn deserialize_integer<V: Visitor<'de>>(self, visitor: V, min: i64, max: i64) -> Result<V::Value, ReadError> {
        let value = match self.node.value {
            Value::Int(i) => i,
            // A number with a fraction is never an integer.
            Value::Float(x)
                if self.integer_syntax == IntegerSyntax::IntegralNumber && x.fract() == 0.0 && x.abs() < 9.0e15 =>
            {
                x as i128
            }
            _ => {
                self.report_mismatch("an integer");
                return visitor.visit_i64(0);
            }
        };
        match i64::try_from(value).ok().filter(|i| (min..=max).contains(i)) {
            Some(i) => {
                self.reporter.misread_number(self.path, self.node, i.into());
                visitor.visit_i64(i)
            }
            None => {
                let message = format!("{value} is out of range ({min} to {max})");
                self.reporter.wrong_type(self.path, self.node.position, message, None);
                visitor.visit_i64(0)
            }
        }
    }

    fn deserialize_text<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match &self.node.value {
            Value::String(text) => visitor.visit_borrowed_str(text),
            // As in Kubernetes, where null leaves a string empty.
            Value::Null => visitor.visit_borrowed_str(""),
            _ => {
                self.report_mismatch("a string");
                visitor.visit_borrowed_str("")
            }
        }
    }

    fn deserialize_entries<V: Visitor<'de>>(
        self,
        visitor: V,
        fields: Option<&'static [&'static str]>,
    ) -> Result<V::Value, ReadError> {
        let entries: &'de [(MappingKey<'de>, YamlNode<'de>)] = match &self.node.value {
            Value::Map(entries) => entries,
            Value::Null => &[],
            _ => {
                self.report_mismatch("a mapping");
                &[]
            }
        };
        self.reporter.duplicate_keys(self.path, entries);
        visitor.visit_map(Entries::new(self, entries, fields))
    }

    /// Reports a value that is neither a valid `i32` nor a string.
    fn reject_int_or_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.node.value {
            Value::Int(i) if i32::try_from(i).is_err() => {
                self.reporter.wrong_type(self.path, self.node.position, format!("{i} is out of range"), None);
            }
            _ => self.report_mismatch("an integer or a string"),
        }
        visitor.visit_i64(0)
    }
}

/// Returns whether the visitor is that of `IntOrString`, which only its expectation text shows.
fn is_int_or_string<'de>(visitor: &impl Visitor<'de>) -> bool {
    (visitor as &dyn Expected).to_string() == "IntOrString"
}

impl<'de> de::Deserializer<'de> for NodeDeserializer<'de, '_> {
    type Error = ReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match &self.node.value {
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Int(i) if i32::try_from(*i).is_ok() => {
                self.reporter.misread_number(self.path, self.node, *i);
                visitor.visit_i64(i64::try_from(*i).unwrap_or_default())
            }
            _ if is_int_or_string(&visitor) => self.reject_int_or_string(visitor),
            Value::Null => visitor.visit_unit(),
            Value::Bool(b) => visitor.visit_bool(*b),
            Value::Int(i) => match (i64::try_from(*i), u64::try_from(*i)) {
                (Ok(i), _) => visitor.visit_i64(i),
                (_, Ok(i)) => visitor.visit_u64(i),
                _ => visitor.visit_f64(*i as f64),
            },
            Value::Float(x) => visitor.visit_f64(*x),
            Value::List(_) => self.deserialize_seq(visitor),
            Value::Map(_) => self.deserialize_entries(visitor, None),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.node.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.node.value {
            Value::Bool(b) => {
                self.reporter.misread_boolean(self.path, self.node, b);
                visitor.visit_bool(b)
            }
            _ => {
                self.report_mismatch("a boolean");
                visitor.visit_bool(false)
            }
        }
    }

    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.deserialize_integer(visitor, i32::MIN.into(), i32::MAX.into())
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.deserialize_integer(visitor, i64::MIN, i64::MAX)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.node.value {
            Value::Float(x) => visitor.visit_f64(x),
            Value::Int(i) => visitor.visit_f64(i as f64),
            _ => {
                self.report_mismatch("a number");
                visitor.visit_f64(0.0)
            }
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.deserialize_text(visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.deserialize_text(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        if name != "Quantity" {
            return visitor.visit_newtype_struct(self);
        }
        // Kubernetes accepts numbers as quantities.
        let number = match &self.node.value {
            Value::Int(i) => i.to_string(),
            Value::Float(x) => x.to_string(),
            Value::Null => "0".into(),
            Value::String(text) => {
                self.check_quantity(text);
                return visitor.visit_newtype_struct(StrDeserializer::<ReadError>::new(text));
            }
            _ => return visitor.visit_newtype_struct(self),
        };
        if let Value::Int(i) = self.node.value {
            self.reporter.misread_number(self.path, self.node, i);
        }
        self.check_quantity(&number);
        visitor.visit_newtype_struct(StrDeserializer::<ReadError>::new(&number))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        let items: &'de [YamlNode<'de>] = match &self.node.value {
            Value::List(items) => items,
            Value::Null => &[],
            _ => {
                self.report_mismatch("a list");
                &[]
            }
        };
        visitor.visit_seq(Items::new(self, items))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.deserialize_entries(visitor, None)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        self.deserialize_entries(visitor, Some(fields))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        i8 i16 u8 u16 u32 u64 f32 char bytes byte_buf unit unit_struct tuple tuple_struct enum identifier
    }
}

impl NodeDeserializer<'_, '_> {
    fn check_quantity(&self, text: &str) {
        if let Err(error) = quantity::milli(&Quantity(text.into())) {
            let hint = quantity::nearest(text).map(|nearest| format!("did you mean {nearest:?}?"));
            self.reporter.wrong_type(
                self.path,
                self.node.position,
                format!("{text:?} is not a valid quantity: {error}"),
                hint,
            );
        }
    }
}

struct Items<'de, 'p> {
    list: NodeDeserializer<'de, 'p>,
    items: std::iter::Enumerate<std::slice::Iter<'de, YamlNode<'de>>>,
}

impl<'de, 'p> Items<'de, 'p> {
    fn new(list: NodeDeserializer<'de, 'p>, items: &'de [YamlNode<'de>]) -> Items<'de, 'p> {
        Items { list, items: items.iter().enumerate() }
    }
}

impl<'de> SeqAccess<'de> for Items<'de, '_> {
    type Error = ReadError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, ReadError> {
        let Some((i, node)) = self.items.next() else { return Ok(None) };
        let path = Path::Index(self.list.path, i);
        deserialize_value(NodeDeserializer { node, path: &path, ..self.list }, seed).map(Some)
    }
}

struct Entries<'de, 'p> {
    map: NodeDeserializer<'de, 'p>,
    rest: &'de [(MappingKey<'de>, YamlNode<'de>)],
    current: Option<(&'de MappingKey<'de>, &'de YamlNode<'de>)>,
    /// Field names of a struct; `None` for a map.
    fields: Option<&'static [&'static str]>,
    /// Total number of entries.
    count: usize,
}

impl<'de, 'p> Entries<'de, 'p> {
    fn new(
        map: NodeDeserializer<'de, 'p>,
        entries: &'de [(MappingKey<'de>, YamlNode<'de>)],
        fields: Option<&'static [&'static str]>,
    ) -> Entries<'de, 'p> {
        Entries { map, rest: entries, current: None, fields, count: entries.len() }
    }
}

impl<'de> MapAccess<'de> for Entries<'de, '_> {
    type Error = ReadError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ReadError> {
        while let [(key, node), rest @ ..] = self.rest {
            self.rest = rest;
            match self.fields {
                Some(fields) if !fields.contains(&key.name.as_ref()) => {
                    self.map.reporter.unknown_field(self.map.path, key, fields, self.count);
                }
                fields => {
                    if fields.is_none() {
                        self.map.reporter.misread_key(self.map.path, key);
                    }
                    self.current = Some((key, node));
                    return seed.deserialize(key.name.as_ref().into_deserializer()).map(Some);
                }
            }
        }
        Ok(None)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, ReadError> {
        let Some((key, node)) = self.current.take() else {
            return Err(de::Error::custom("value requested before its key"));
        };
        let path = Path::Field(self.map.path, &key.name);
        deserialize_value(NodeDeserializer { node, path: &path, ..self.map }, seed)
    }
}

/// Replaces a value that its own type has rejected.
static NULL_NODE: YamlNode<'static> =
    YamlNode { value: Value::Null, position: Position { line: 1, column: 1, len: 1 }, written: "" };

/// Deserializes a value and attaches its position to an error of its type.
fn deserialize_value<'de, T: DeserializeSeed<'de>>(
    value: NodeDeserializer<'de, '_>,
    seed: T,
) -> Result<T::Value, ReadError> {
    let position = value.node.position;
    let is_rejected = value.reporter.is_rejected(position);
    let node = if is_rejected { &NULL_NODE } else { value.node };
    seed.deserialize(NodeDeserializer { node, ..value }).map_err(|error| match error {
        ReadError::Unplaced(message) => {
            let (path, (message, hint)) = (value.path.to_string(), reworded(message));
            let diagnostic = Diagnostic { rule: Rule::WrongType, path, position: Some(position), message, hint };
            ReadError::Placed(Box::new(diagnostic), position)
        }
        placed => placed,
    })
}

/// Rewords a type's own message to match ours, with a hint.
fn reworded(message: String) -> (String, Option<String>) {
    match message.strip_prefix("Invalid ") {
        // Only the type of byte strings reports this.
        Some(error) => {
            let hint = "put plain text under `stringData` of a Secret or `data` of a ConfigMap";
            (format!("expected base64: invalid {}", error.trim_end_matches('.')), Some(hint.into()))
        }
        None => (message, None),
    }
}
