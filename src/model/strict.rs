//! A tree as a typed object, with every unknown field and every wrong type reported at once.
//!
//! serde stops at the first error and k8s-openapi accepts unknown fields. So this deserializer
//! learns each struct's field names from `deserialize_struct`, notes what does not belong, and
//! hands the visitor an empty value in place of a wrong one, so that reading goes on. A
//! document with notes is refused as a whole: the empty values never leave this module.

use std::cell::RefCell;
use std::fmt;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};

use super::issue::{Issue, Position};
use super::names::nearest;
use super::quantity;
use super::tree::{Key, Node, Value};

/// Reads `node` as a `T`, or says everything that keeps it from being one.
pub fn read<'de, T: Deserialize<'de>>(node: &'de Node, text: &'de str) -> Result<T, Vec<Issue>> {
    let notes = RefCell::new(Vec::new());
    let reader = Reader { node, path: &Path::Root, text, notes: &notes };
    let read = T::deserialize(reader);
    let mut issues = notes.into_inner();
    match read {
        Ok(object) if issues.is_empty() => Ok(object),
        Ok(_) => Err(issues),
        Err(Stop(message)) => {
            if !message.is_empty() {
                let position = Some(node.position);
                issues.push(Issue { path: String::new(), position, message, hint: None });
            }
            Err(issues)
        }
    }
}

/// The way from the root to a node; rendered only when there is something to say.
enum Path<'p> {
    Root,
    Field(&'p Path<'p>, &'p str),
    Index(&'p Path<'p>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Root => Ok(()),
            Path::Field(Path::Root, name) => f.write_str(name),
            Path::Field(parent, name) => write!(f, "{parent}.{name}"),
            Path::Index(parent, i) => write!(f, "{parent}[{i}]"),
        }
    }
}

/// Ends the reading of a document early. Empty when the reason stands in the notes already.
#[derive(Debug)]
struct Stop(String);

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Stop {}

impl de::Error for Stop {
    fn custom<T: fmt::Display>(message: T) -> Stop {
        Stop(message.to_string())
    }
}

#[derive(Clone, Copy)]
struct Reader<'de, 'p> {
    node: &'de Node,
    path: &'p Path<'p>,
    text: &'de str,
    notes: &'p RefCell<Vec<Issue>>,
}

impl<'de> Reader<'de, '_> {
    fn note(&self, position: Position, message: String, hint: Option<String>) {
        let path = self.path.to_string();
        self.notes.borrow_mut().push(Issue { path, position: Some(position), message, hint });
    }

    /// Notes that something else was wanted here.
    fn wanted(&self, wanted: &str) {
        let found = self.found();
        let scalar = matches!(self.node.value, Value::Bool(_) | Value::Int(_) | Value::Float(_));
        let hint = (wanted == "a string" && scalar).then(|| {
            let written = self.written();
            format!("quote it: \"{written}\"")
        });
        self.note(self.node.position, format!("wanted {wanted}, found {found}"), hint);
    }

    /// The scalar as it stands in the text.
    fn written(&self) -> &'de str {
        let bytes = self.node.bytes.and_then(|(start, len)| self.text.get(start..start + len));
        bytes.unwrap_or("").trim()
    }

    fn found(&self) -> String {
        match &self.node.value {
            Value::Null => "nothing".into(),
            Value::Bool(_) => format!("the boolean {}", self.written()),
            Value::Int(_) | Value::BigInt(_) | Value::Float(_) => format!("the number {}", self.written()),
            Value::String(text) => {
                let short: String = text.chars().take(40).collect();
                format!("the string {short:?}")
            }
            Value::List(_) => "a list".into(),
            Value::Map(_) => "a mapping".into(),
        }
    }

    fn integer<V: Visitor<'de>>(self, visitor: V, least: i64, most: i64) -> Result<V::Value, Stop> {
        let value = match self.node.value {
            Value::Int(i) => Some(i),
            // 30.0 is an integer to JSON readers; 30.5 is not.
            Value::Float(x) if x.fract() == 0.0 && x.abs() < 9.0e15 => Some(x as i64),
            _ => None,
        };
        match value {
            Some(i) if (least..=most).contains(&i) => visitor.visit_i64(i),
            Some(i) => {
                let message = format!("{i} is out of range ({least} to {most})");
                self.note(self.node.position, message, None);
                visitor.visit_i64(0)
            }
            None => {
                self.wanted("an integer");
                visitor.visit_i64(0)
            }
        }
    }

    fn string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        match &self.node.value {
            Value::String(text) => visitor.visit_borrowed_str(text),
            _ => {
                self.wanted("a string");
                visitor.visit_borrowed_str("")
            }
        }
    }

    fn entries<V: Visitor<'de>>(self, visitor: V, fields: Option<&'static [&'static str]>) -> Result<V::Value, Stop> {
        let entries: &'de [(Key, Node)] = match &self.node.value {
            Value::Map(entries) => entries,
            Value::Null => &[],
            _ => {
                self.wanted("a mapping");
                &[]
            }
        };
        visitor.visit_map(Entries { reader: self, rest: entries, current: None, fields })
    }
}

impl<'de> de::Deserializer<'de> for Reader<'de, '_> {
    type Error = Stop;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        match &self.node.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(b) => visitor.visit_bool(*b),
            Value::Int(i) => visitor.visit_i64(*i),
            Value::BigInt(i) => visitor.visit_u64(*i),
            Value::Float(x) => visitor.visit_f64(*x),
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::List(_) => self.deserialize_seq(visitor),
            Value::Map(_) => self.entries(visitor, None),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        match self.node.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        match self.node.value {
            Value::Bool(b) => visitor.visit_bool(b),
            _ => {
                self.wanted("a boolean");
                visitor.visit_bool(false)
            }
        }
    }

    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        self.integer(visitor, i32::MIN.into(), i32::MAX.into())
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        self.integer(visitor, i64::MIN, i64::MAX)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        match self.node.value {
            Value::Float(x) => visitor.visit_f64(x),
            Value::Int(i) => visitor.visit_f64(i as f64),
            _ => {
                self.wanted("a number");
                visitor.visit_f64(0.0)
            }
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        self.string(visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        self.string(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Stop> {
        if name != "Quantity" {
            return visitor.visit_newtype_struct(self);
        }
        // Quantities may be written as numbers; their text is what counts.
        let text = match &self.node.value {
            Value::String(text) => text.as_str(),
            Value::Int(_) | Value::BigInt(_) | Value::Float(_) => self.written(),
            _ => return visitor.visit_newtype_struct(self),
        };
        if let Err(error) = quantity::milli(&Quantity(text.into())) {
            self.note(self.node.position, format!("{text:?} is no quantity: {error}"), None);
        }
        visitor.visit_newtype_struct(StrDeserializer::<Stop>::new(text))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        let items: &'de [Node] = match &self.node.value {
            Value::List(items) => items,
            Value::Null => &[],
            _ => {
                self.wanted("a list");
                &[]
            }
        };
        visitor.visit_seq(Items { reader: self, items: items.iter().enumerate() })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        self.entries(visitor, None)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        self.entries(visitor, Some(fields))
    }

    forward_to_deserialize_any! {
        i8 i16 u8 u16 u32 u64 f32 char bytes byte_buf unit unit_struct tuple tuple_struct enum
        identifier ignored_any
    }
}

struct Items<'de, 'p> {
    reader: Reader<'de, 'p>,
    items: std::iter::Enumerate<std::slice::Iter<'de, Node>>,
}

impl<'de> SeqAccess<'de> for Items<'de, '_> {
    type Error = Stop;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Stop> {
        let Some((i, node)) = self.items.next() else { return Ok(None) };
        let path = Path::Index(self.reader.path, i);
        let reader = Reader { node, path: &path, ..self.reader };
        guarded(reader, |reader| seed.deserialize(reader)).map(Some)
    }
}

struct Entries<'de, 'p> {
    reader: Reader<'de, 'p>,
    rest: &'de [(Key, Node)],
    current: Option<(&'de Key, &'de Node)>,
    /// The names that a struct knows; a map knows no limit.
    fields: Option<&'static [&'static str]>,
}

impl<'de> MapAccess<'de> for Entries<'de, '_> {
    type Error = Stop;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Stop> {
        while let [(key, node), rest @ ..] = self.rest {
            self.rest = rest;
            match self.fields {
                Some(fields) if !fields.contains(&key.name.as_str()) => self.note_unknown(key, fields),
                _ => {
                    self.current = Some((key, node));
                    return seed.deserialize(key.name.as_str().into_deserializer()).map(Some);
                }
            }
        }
        Ok(None)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Stop> {
        let Some((key, node)) = self.current.take() else {
            return Err(de::Error::custom("a value was asked for before its key"));
        };
        let path = Path::Field(self.reader.path, &key.name);
        let reader = Reader { node, path: &path, ..self.reader };
        guarded(reader, |reader| seed.deserialize(reader))
    }
}

impl Entries<'_, '_> {
    fn note_unknown(&self, key: &Key, fields: &[&str]) {
        let path = Path::Field(self.reader.path, &key.name);
        let hint = nearest(&key.name, fields).map(|name| format!("did you mean {name:?}?"));
        let issue = Issue {
            path: path.to_string(),
            position: Some(key.position),
            message: format!("unknown field {:?}", key.name),
            hint,
        };
        self.reader.notes.borrow_mut().push(issue);
    }
}

/// Reads a value; an error of the type itself (a malformed time, say) gets its place here.
fn guarded<'de, 'p, T>(
    reader: Reader<'de, 'p>,
    read: impl FnOnce(Reader<'de, 'p>) -> Result<T, Stop>,
) -> Result<T, Stop> {
    read(reader).map_err(|Stop(message)| {
        if !message.is_empty() {
            reader.note(reader.node.position, message, None);
        }
        Stop(String::new())
    })
}
