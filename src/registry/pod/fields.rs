//! Faults by field, in the words of `k8s.io/apimachinery/pkg/util/validation/field`.

use std::fmt::{Debug, Display};

use crate::control::Cause;

/// Collects causes in the order in which they are found.
#[derive(Default)]
pub struct Faults(pub Vec<Cause>);

impl Faults {
    fn push(&mut self, field: impl Display, reason: &'static str, message: String) {
        self.0.push(Cause { field: field.to_string(), reason, message });
    }

    pub fn required(&mut self, field: impl Display, detail: &str) {
        let message = if detail.is_empty() { "Required value".into() } else { format!("Required value: {detail}") };
        self.push(field, "FieldValueRequired", message);
    }

    pub fn invalid(&mut self, field: impl Display, value: impl Debug, detail: impl Display) {
        self.push(field, "FieldValueInvalid", format!("Invalid value: {value:?}: {detail}"));
    }

    pub fn duplicate(&mut self, field: impl Display, value: impl Debug) {
        self.push(field, "FieldValueDuplicate", format!("Duplicate value: {value:?}"));
    }

    pub fn not_found(&mut self, field: impl Display, value: impl Debug) {
        self.push(field, "FieldValueNotFound", format!("Not found: {value:?}"));
    }

    pub fn forbidden(&mut self, field: impl Display, detail: impl Display) {
        self.push(field, "FieldValueForbidden", format!("Forbidden: {detail}"));
    }

    /// `value` must be one of `supported`, which is listed in alphabetical order.
    pub fn one_of(&mut self, field: impl Display, value: Option<&str>, supported: &[&str]) {
        let Some(value) = value.filter(|v| !supported.contains(v)) else { return };
        let mut names: Vec<String> = supported.iter().map(|s| format!("{s:?}")).collect();
        names.sort();
        let message = format!("Unsupported value: {value:?}: supported values: {}", names.join(", "));
        self.push(field, "FieldValueNotSupported", message);
    }
}
