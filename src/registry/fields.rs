//! Faults by field, in the words of `k8s.io/apimachinery/pkg/util/validation/field`.

use std::fmt;

use serde::Serialize;

use crate::control::Cause;

/// Where in an object: `spec.containers[0].resources.limits[cpu]`. Written out only when there is a fault.
#[derive(Clone, Copy)]
pub struct Path<'p> {
    parent: Option<&'p Path<'p>>,
    step: Step<'p>,
}

#[derive(Clone, Copy)]
enum Step<'p> {
    Field(&'p str),
    Index(usize),
    Key(&'p str),
}

impl<'p> Path<'p> {
    /// A field of the object itself.
    pub const fn root(name: &'p str) -> Path<'p> {
        Path { parent: None, step: Step::Field(name) }
    }

    /// A field of what is here.
    pub fn child<'c>(&'c self, name: &'c str) -> Path<'c> {
        Path { parent: Some(self), step: Step::Field(name) }
    }

    /// An item of the list that is here.
    pub fn index<'c>(&'c self, index: usize) -> Path<'c> {
        Path { parent: Some(self), step: Step::Index(index) }
    }

    /// An entry of the map that is here.
    pub fn key<'c>(&'c self, key: &'c str) -> Path<'c> {
        Path { parent: Some(self), step: Step::Key(key) }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        match self.step {
            // Kubernetes' own way to say "the object as a whole".
            Step::Field("") => f.write_str("[]"),
            Step::Field(name) if self.parent.is_some() => write!(f, ".{name}"),
            Step::Field(name) => f.write_str(name),
            Step::Index(index) => write!(f, "[{index}]"),
            Step::Key(key) => write!(f, "[{key}]"),
        }
    }
}

/// Collects causes in the order in which they are found.
#[derive(Default)]
pub struct Faults(Vec<Cause>);

impl Faults {
    /// All causes, in order.
    pub fn into_causes(self) -> Vec<Cause> {
        self.0
    }

    /// How many there are so far.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    fn push(&mut self, at: Path<'_>, reason: &'static str, message: String) {
        self.0.push(Cause { field: at.to_string(), reason, message });
    }

    /// There must be a value.
    pub fn required(&mut self, at: Path<'_>, detail: &str) {
        let message = if detail.is_empty() { "Required value".into() } else { format!("Required value: {detail}") };
        self.push(at, "FieldValueRequired", message);
    }

    /// There must be a text. Tells whether there is one.
    pub fn require_text(&mut self, at: Path<'_>, text: &str) -> bool {
        if text.is_empty() {
            self.required(at, "");
        }
        !text.is_empty()
    }

    /// The value breaks a rule.
    pub fn invalid(&mut self, at: Path<'_>, value: impl Serialize, detail: impl fmt::Display) {
        self.push(at, "FieldValueInvalid", format!("Invalid value: {}: {detail}", shown(&value)));
    }

    /// The value breaks these rules.
    pub fn invalid_for(&mut self, at: Path<'_>, value: impl Serialize, wrongs: Vec<String>) {
        for wrong in wrongs {
            self.invalid(at, &value, wrong);
        }
    }

    /// The value is there already.
    pub fn duplicate(&mut self, at: Path<'_>, value: impl Serialize) {
        self.push(at, "FieldValueDuplicate", format!("Duplicate value: {}", shown(&value)));
    }

    /// The value names what is not there.
    pub fn not_found(&mut self, at: Path<'_>, value: impl Serialize) {
        self.push(at, "FieldValueNotFound", format!("Not found: {}", shown(&value)));
    }

    /// Like [`Faults::not_found`], with the way out.
    pub fn not_found_but(&mut self, at: Path<'_>, value: impl Serialize, detail: impl fmt::Display) {
        self.push(at, "FieldValueNotFound", format!("Not found: {}: {detail}", shown(&value)));
    }

    /// The field may not be set, or not so.
    pub fn forbidden(&mut self, at: Path<'_>, detail: impl fmt::Display) {
        self.push(at, "FieldValueForbidden", format!("Forbidden: {detail}"));
    }

    /// The text takes more bytes than `most`.
    pub fn too_long(&mut self, at: Path<'_>, most: usize) {
        self.push(at, "FieldValueTooLong", format!("Too long: may not be more than {most} bytes"));
    }

    /// The list has more items than `most`.
    pub fn too_many(&mut self, at: Path<'_>, count: usize, most: usize) {
        self.push(at, "FieldValueTooMany", format!("Too many: {count}: must have at most {most} items"));
    }

    /// The value must be one of `supported`, listed in that order.
    pub fn one_of(&mut self, at: Path<'_>, value: &str, supported: &[&str]) {
        if !supported.contains(&value) {
            self.not_supported(at, value, supported);
        }
    }

    /// The value is not among `supported`.
    pub fn not_supported(&mut self, at: Path<'_>, value: &str, supported: &[&str]) {
        let names: Vec<String> = supported.iter().map(shown).collect();
        let message = format!("Unsupported value: {}: supported values: {}", shown(&value), names.join(", "));
        self.push(at, "FieldValueNotSupported", message);
    }

    /// The value must be there and one of `supported`.
    pub fn require_one_of(&mut self, at: Path<'_>, value: &str, supported: &[&str]) {
        if self.require_text(at, value) {
            self.one_of(at, value, supported);
        }
    }

    /// The number may not be below zero.
    pub fn not_negative(&mut self, at: Path<'_>, number: i64) {
        if number < 0 {
            self.invalid(at, number, "must be greater than or equal to 0");
        }
    }
}

/// A value as Kubernetes shows it: as JSON.
fn shown(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_written_as_kubernetes_writes_them() {
        let spec = Path::root("spec");
        let containers = spec.child("containers");
        let first = containers.index(0);
        let limits = first.child("limits");
        assert_eq!(limits.key("cpu").to_string(), "spec.containers[0].limits[cpu]");
        assert_eq!(Path::root("").to_string(), "[]");
    }

    #[test]
    fn values_are_shown_as_json() {
        let mut faults = Faults::default();
        faults.invalid(Path::root("a"), "x", "no");
        faults.invalid(Path::root("a"), 1, "no");
        faults.invalid(Path::root("a"), None::<i64>, "no");
        let messages: Vec<String> = faults.into_causes().into_iter().map(|cause| cause.message).collect();
        assert_eq!(messages, ["Invalid value: \"x\": no", "Invalid value: 1: no", "Invalid value: null: no"]);
    }
}
