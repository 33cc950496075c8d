//! A tree as a typed object, with every unknown field and every wrong type reported at once.
//!
//! serde stops at the first error and k8s-openapi accepts unknown fields. So this deserializer
//! learns each struct's field names from `deserialize_struct`, notes what does not belong, and
//! hands the visitor an empty value in place of a wrong one, so that reading goes on. A
//! document with notes is refused as a whole: the empty values never leave this module.

mod access;
mod misplaced;
mod notes;

use std::collections::HashSet;
use std::fmt;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde::de::value::StrDeserializer;
use serde::de::{self, Expected, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};

use self::access::{Entries, Items};
use self::notes::{Notes, Path};
use super::issue::{Diagnostics, Issue, Position, Rule};
use super::quantity;
use super::tree::{Key, Node, Value};

/// Reads `node` as a `T`, whose documentation is that of `kind`. There is no object where anything
/// keeps it from being one.
pub fn read<'de, T: Deserialize<'de>>(node: &'de Node<'de>, kind: &'static str) -> (Option<T>, Diagnostics) {
    read_unless(Diagnostics::has_errors, node, kind, Numbers::Valued)
}

/// What integers may be written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbers {
    /// Any number without a fraction: who reads YAML makes 30 of 30.0.
    Valued,
    /// Digits: who reads JSON in Go looks at the text.
    Written,
}

/// The same for a reader who passes over fields that the type does not know, or that stand twice: the last counts.
pub fn read_loosely<'de, T: Deserialize<'de>>(
    node: &'de Node<'de>,
    kind: &'static str,
    numbers: Numbers,
) -> (Option<T>, Diagnostics) {
    read_unless(Diagnostics::is_unusable, node, kind, numbers)
}

fn read_unless<'de, T: Deserialize<'de>>(
    hinders: fn(&Diagnostics) -> bool,
    node: &'de Node<'de>,
    kind: &'static str,
    numbers: Numbers,
) -> (Option<T>, Diagnostics) {
    // A type's own error (a malformed time, say) ends its reading. It is told, and then the document is
    // read again as if nothing stood there, so that the rest is told, too.
    let (mut broken, mut told) = (HashSet::new(), Vec::new());
    loop {
        let notes = Notes::new(node, kind, &broken);
        let stop = match T::deserialize(Reader { node, path: &Path::Root, notes: &notes, numbers }) {
            Ok(object) if told.is_empty() && !notes.hinder(hinders) => return (Some(object), notes.into_found()),
            Ok(_) => None,
            Err(stop) => Some(stop),
        };
        let mut found = notes.into_found();
        match stop {
            Some(Stop::At(issue, place)) if told.len() < MAX_BROKEN && broken.insert(place) => told.push(*issue),
            stop => {
                match stop {
                    Some(Stop::At(issue, _)) => found.push(*issue),
                    Some(Stop::Here(message)) => found.push(whole(node, message)),
                    None => {}
                }
                told.into_iter().for_each(|issue| found.push(issue));
                return (None, found);
            }
        }
    }
}

/// Of more values than this that their own types refuse, the rest is not looked at.
const MAX_BROKEN: usize = 20;

fn whole(node: &Node<'_>, message: String) -> Issue {
    Issue { rule: Rule::WrongType, path: String::new(), position: Some(node.position), message, hint: None }
}

/// Ends the reading of a document early.
#[derive(Debug)]
pub(super) enum Stop {
    /// What a type says of its value, on the way up to where the value stands.
    Here(String),
    /// The same with its place.
    At(Box<Issue>, Position),
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stop::Here(message) => f.write_str(message),
            Stop::At(issue, _) => f.write_str(&issue.message),
        }
    }
}

impl std::error::Error for Stop {}

impl de::Error for Stop {
    fn custom<T: fmt::Display>(message: T) -> Stop {
        Stop::Here(message.to_string())
    }
}

#[derive(Clone, Copy)]
struct Reader<'de, 'p> {
    node: &'de Node<'de>,
    path: &'p Path<'p>,
    notes: &'p Notes<'p>,
    numbers: Numbers,
}

impl<'de> Reader<'de, '_> {
    fn wanted(&self, wanted: &str) {
        self.notes.wanted(self.path, self.node, wanted);
    }

    fn integer<V: Visitor<'de>>(self, visitor: V, least: i64, most: i64) -> Result<V::Value, Stop> {
        let value = match self.node.value {
            Value::Int(i) => i,
            // 30.5 is none, however it is read.
            Value::Float(x) if self.numbers == Numbers::Valued && x.fract() == 0.0 && x.abs() < 9.0e15 => x as i128,
            _ => {
                self.wanted("an integer");
                return visitor.visit_i64(0);
            }
        };
        match i64::try_from(value).ok().filter(|i| (least..=most).contains(i)) {
            Some(i) => {
                self.notes.read_as_number(self.path, self.node, i.into());
                visitor.visit_i64(i)
            }
            None => {
                let message = format!("{value} is out of range ({least} to {most})");
                self.notes.wrong(self.path, self.node.position, message, None);
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
        let entries: &'de [(Key<'de>, Node<'de>)] = match &self.node.value {
            Value::Map(entries) => entries,
            Value::Null => &[],
            _ => {
                self.wanted("a mapping");
                &[]
            }
        };
        self.notes.duplicates(self.path, entries);
        visitor.visit_map(Entries::new(self, entries, fields))
    }

    /// What may be a number or a string tells so only by what it expects.
    fn int_or_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        match self.node.value {
            Value::Int(i) if i32::try_from(i).is_err() => {
                self.notes.wrong(self.path, self.node.position, format!("{i} is out of range"), None);
            }
            _ => self.wanted("an integer or a string"),
        }
        visitor.visit_i64(0)
    }
}

/// Whether the visitor is that of Kubernetes' `IntOrString`.
fn is_int_or_string<'de>(visitor: &impl Visitor<'de>) -> bool {
    (visitor as &dyn Expected).to_string() == "IntOrString"
}

impl<'de> de::Deserializer<'de> for Reader<'de, '_> {
    type Error = Stop;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        match &self.node.value {
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Int(i) if i32::try_from(*i).is_ok() => {
                self.notes.read_as_number(self.path, self.node, *i);
                visitor.visit_i64(i64::try_from(*i).unwrap_or_default())
            }
            _ if is_int_or_string(&visitor) => self.int_or_string(visitor),
            Value::Null => visitor.visit_unit(),
            Value::Bool(b) => visitor.visit_bool(*b),
            Value::Int(i) => match (i64::try_from(*i), u64::try_from(*i)) {
                (Ok(i), _) => visitor.visit_i64(i),
                (_, Ok(i)) => visitor.visit_u64(i),
                _ => visitor.visit_f64(*i as f64),
            },
            Value::Float(x) => visitor.visit_f64(*x),
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
            Value::Bool(b) => {
                self.notes.read_as_boolean(self.path, self.node, b);
                visitor.visit_bool(b)
            }
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
        // Quantities may be written as numbers.
        let number = match &self.node.value {
            Value::Int(i) => i.to_string(),
            Value::Float(x) => x.to_string(),
            Value::String(text) => {
                self.check_quantity(text);
                return visitor.visit_newtype_struct(StrDeserializer::<Stop>::new(text));
            }
            _ => return visitor.visit_newtype_struct(self),
        };
        if let Value::Int(i) = self.node.value {
            self.notes.read_as_number(self.path, self.node, i);
        }
        self.check_quantity(&number);
        visitor.visit_newtype_struct(StrDeserializer::<Stop>::new(&number))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        let items: &'de [Node<'de>] = match &self.node.value {
            Value::List(items) => items,
            Value::Null => &[],
            _ => {
                self.wanted("a list");
                &[]
            }
        };
        visitor.visit_seq(Items::new(self, items))
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

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        i8 i16 u8 u16 u32 u64 f32 char bytes byte_buf unit unit_struct tuple tuple_struct enum identifier
    }
}

impl Reader<'_, '_> {
    fn check_quantity(&self, text: &str) {
        if let Err(error) = quantity::milli(&Quantity(text.into())) {
            let hint = quantity::nearest(text).map(|meant| format!("did you mean {meant:?}?"));
            self.notes.wrong(self.path, self.node.position, format!("{text:?} is no quantity: {error}"), hint);
        }
    }
}
