//! Validation errors by field, in the words of `k8s.io/apimachinery/pkg/util/validation/field`.

use std::fmt;

use serde::Serialize;

use crate::control::Cause;

/// The path of a field: `spec.containers[0].resources.limits[cpu]`. Formatted only when an error refers to it.
#[derive(Clone, Copy)]
pub struct FieldPath<'p> {
    parent: Option<&'p FieldPath<'p>>,
    element: PathElement<'p>,
}

#[derive(Clone, Copy)]
enum PathElement<'p> {
    Field(&'p str),
    Index(usize),
    Key(&'p str),
}

impl<'p> FieldPath<'p> {
    /// Returns the path of a top-level field.
    pub const fn root(name: &'p str) -> FieldPath<'p> {
        FieldPath { parent: None, element: PathElement::Field(name) }
    }

    /// Returns the path of a field of this object.
    pub fn child<'c>(&'c self, name: &'c str) -> FieldPath<'c> {
        FieldPath { parent: Some(self), element: PathElement::Field(name) }
    }

    /// Returns the path of an item of this list.
    pub fn index<'c>(&'c self, index: usize) -> FieldPath<'c> {
        FieldPath { parent: Some(self), element: PathElement::Index(index) }
    }

    /// Returns the path of an entry of this map.
    pub fn key<'c>(&'c self, key: &'c str) -> FieldPath<'c> {
        FieldPath { parent: Some(self), element: PathElement::Key(key) }
    }
}

impl fmt::Display for FieldPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        match self.element {
            // Kubernetes writes an empty path as a pair of brackets.
            PathElement::Field("") => f.write_str("[]"),
            PathElement::Field(name) if self.parent.is_some() => write!(f, ".{name}"),
            PathElement::Field(name) => f.write_str(name),
            PathElement::Index(index) => write!(f, "[{index}]"),
            PathElement::Key(key) => write!(f, "[{key}]"),
        }
    }
}

/// Collects validation errors in order (Kubernetes' `field.ErrorList`).
#[derive(Default)]
pub struct ErrorList(Vec<Cause>);

impl ErrorList {
    /// Returns the errors as the causes of a status.
    pub fn into_causes(self) -> Vec<Cause> {
        self.0
    }

    /// Returns the number of errors.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    fn push(&mut self, path: FieldPath<'_>, reason: &'static str, message: String) {
        self.0.push(Cause { field: path.to_string(), reason, message });
    }

    /// Records that a value is required.
    pub fn required(&mut self, path: FieldPath<'_>, detail: &str) {
        let message = if detail.is_empty() { "Required value".into() } else { format!("Required value: {detail}") };
        self.push(path, "FieldValueRequired", message);
    }

    /// Requires a non-empty string. Returns whether it is.
    pub fn require_non_empty(&mut self, path: FieldPath<'_>, value: &str) -> bool {
        if value.is_empty() {
            self.required(path, "");
        }
        !value.is_empty()
    }

    /// Records that the value is not valid.
    pub fn invalid(&mut self, path: FieldPath<'_>, value: impl Serialize, detail: impl fmt::Display) {
        let detail = detail.to_string();
        let separator = if detail.is_empty() { "" } else { ": " };
        self.push(path, "FieldValueInvalid", format!("Invalid value: {}{separator}{detail}", to_json(&value)));
    }

    /// Records that the value is not valid, without printing it.
    pub fn invalid_unprinted(&mut self, path: FieldPath<'_>, detail: impl fmt::Display) {
        self.push(path, "FieldValueInvalid", format!("Invalid value: {detail}"));
    }

    /// Requires that an update keeps a field, which is fixed at creation.
    pub fn check_immutable<T: Serialize + PartialEq>(&mut self, path: FieldPath<'_>, new: &T, old: &T) {
        if new != old {
            self.invalid(path, new, "field is immutable");
        }
    }

    /// Records an error for each message about the value.
    pub fn invalid_each(&mut self, path: FieldPath<'_>, value: impl Serialize, messages: Vec<String>) {
        for message in messages {
            self.invalid(path, &value, message);
        }
    }

    /// Records that the value is a duplicate.
    pub fn duplicate(&mut self, path: FieldPath<'_>, value: impl Serialize) {
        self.push(path, "FieldValueDuplicate", format!("Duplicate value: {}", to_json(&value)));
    }

    /// Adds the same error as [`ErrorList::duplicate`], with a detail.
    pub fn duplicate_with_detail(&mut self, path: FieldPath<'_>, value: impl Serialize, detail: impl fmt::Display) {
        self.push(path, "FieldValueDuplicate", format!("Duplicate value: {}: {detail}", to_json(&value)));
    }

    /// Records that the value refers to something that does not exist.
    pub fn not_found(&mut self, path: FieldPath<'_>, value: impl Serialize) {
        self.push(path, "FieldValueNotFound", format!("Not found: {}", to_json(&value)));
    }

    /// Adds the same error as [`ErrorList::not_found`], with a detail.
    pub fn not_found_with_detail(&mut self, path: FieldPath<'_>, value: impl Serialize, detail: impl fmt::Display) {
        self.push(path, "FieldValueNotFound", format!("Not found: {}: {detail}", to_json(&value)));
    }

    /// Records that the field must not be set, or not to this value.
    pub fn forbidden(&mut self, path: FieldPath<'_>, detail: impl fmt::Display) {
        self.push(path, "FieldValueForbidden", format!("Forbidden: {detail}"));
    }

    /// Records that the string has more than `max` bytes.
    pub fn too_long(&mut self, path: FieldPath<'_>, max: usize) {
        self.push(path, "FieldValueTooLong", format!("Too long: may not be more than {max} bytes"));
    }

    /// Records that the list has more than `max` items.
    pub fn too_many(&mut self, path: FieldPath<'_>, count: usize, max: usize) {
        self.push(path, "FieldValueTooMany", format!("Too many: {count}: must have at most {max} items"));
    }

    /// Requires one of `supported`, which the error lists in this order.
    pub fn check_one_of(&mut self, path: FieldPath<'_>, value: &str, supported: &[&str]) {
        if !supported.contains(&value) {
            self.not_supported(path, value, supported);
        }
    }

    /// Records that the value is not among `supported`.
    pub fn not_supported(&mut self, path: FieldPath<'_>, value: impl Serialize, supported: &[&str]) {
        let names: Vec<String> = supported.iter().map(to_json).collect();
        let message = format!("Unsupported value: {}: supported values: {}", to_json(&value), names.join(", "));
        self.push(path, "FieldValueNotSupported", message);
    }

    /// Requires a non-empty value among `supported`.
    pub fn require_one_of(&mut self, path: FieldPath<'_>, value: &str, supported: &[&str]) {
        if self.require_non_empty(path, value) {
            self.check_one_of(path, value, supported);
        }
    }

    /// Requires a number of at least zero.
    pub fn check_non_negative(&mut self, path: FieldPath<'_>, number: i64) {
        if number < 0 {
            self.invalid(path, number, "must be greater than or equal to 0");
        }
    }
}

/// Formats a value as Kubernetes does: as JSON.
fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_formatted_as_in_kubernetes() {
        let spec = FieldPath::root("spec");
        let containers = spec.child("containers");
        let first = containers.index(0);
        let limits = first.child("limits");
        assert_eq!(limits.key("cpu").to_string(), "spec.containers[0].limits[cpu]");
        assert_eq!(FieldPath::root("").to_string(), "[]");
    }

    #[test]
    fn values_are_formatted_as_json() {
        let mut errors = ErrorList::default();
        errors.invalid(FieldPath::root("a"), "x", "no");
        errors.invalid(FieldPath::root("a"), 1, "no");
        errors.invalid(FieldPath::root("a"), None::<i64>, "no");
        let messages: Vec<String> = errors.into_causes().into_iter().map(|cause| cause.message).collect();
        assert_eq!(messages, ["Invalid value: \"x\": no", "Invalid value: 1: no", "Invalid value: null: no"]);
    }
}
