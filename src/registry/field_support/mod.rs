//! What of a Pod wasmpod does, so that nothing is silently ignored.
//!
//! One table says of every field what becomes of it; `run`, `validate`, `explain` and the README's list
//! come from it. What a pod may be is `validation`'s; here is only what is done about it.

mod list;
mod table;
mod tree;

use std::borrow::Cow;
use std::sync::LazyLock;

use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;

use self::tree::Tree;

pub use list::markdown;
pub use table::{FieldRow, FieldSupport, PODS};

/// A field that is set and not enforced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsupportedField {
    /// Its path in the manifest: `spec.containers[0].tty`.
    pub field: String,
    /// What becomes of it.
    pub state: FieldSupport,
}

impl FieldSupport {
    /// Why the field is not enforced, as a clause: `guests see no host processes`. Empty where it is.
    pub fn why(self) -> &'static str {
        match self {
            FieldSupport::Enforced => "",
            FieldSupport::Inert(why)
            | FieldSupport::NotEnforced(why)
            | FieldSupport::NotYet(why)
            | FieldSupport::Refused(why) => why,
        }
    }

    /// Whether a pod that sets the field is refused.
    pub fn refuses(self) -> bool {
        matches!(self, FieldSupport::NotYet(_) | FieldSupport::Refused(_))
    }
}

impl std::fmt::Display for FieldSupport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            FieldSupport::Enforced => f.write_str("works as in Kubernetes"),
            FieldSupport::Inert(why) | FieldSupport::NotEnforced(why) => write!(f, "has no effect: {why}"),
            FieldSupport::NotYet(why) => write!(f, "can't be used yet: {why}"),
            FieldSupport::Refused(why) => write!(f, "can't be used: {why}"),
        }
    }
}

static TREE: LazyLock<Tree> = LazyLock::new(|| Tree::new(PODS));

/// Every field of `pod` that is set and not enforced, in the order of the API's fields.
pub fn check(pod: &Pod) -> Vec<UnsupportedField> {
    let mut found = Vec::new();
    // A Pod of ours always has a JSON form; one that had none would set no field either.
    let value = serde_json::to_value(pod).unwrap_or_default();
    TREE.judge(&value, &mut found);
    found
}

/// What becomes of `field` of a Pod (`spec.containers[].tty`), whatever its value.
pub fn of(field: &str) -> Option<FieldSupport> {
    TREE.find(field)
}

/// Whether the value asks for nothing, as fields do that are not set.
fn asks_for_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    }
}

/// A scalar as the table writes it.
fn written(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(text.into()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string().into()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests;
