//! Strict field validation of a patch's own JSON: duplicate fields, and unknown fields of JSON patch operations.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::control::PatchKind;

/// Upper bound of reported errors.
const MAX_ERRORS: usize = 100;

/// The fields of a JSON patch operation.
const OPERATION_FIELDS: [&str; 4] = ["op", "path", "from", "value"];

/// Returns each error once, in the order of the text: `duplicate field "metadata.labels.a"`.
pub fn find_field_errors(kind: PatchKind, body: &[u8]) -> Vec<String> {
    let mut errors = FieldErrors { kind, path: String::new(), depth: 0, messages: Vec::new() };
    // The caller has rejected malformed JSON.
    let _ = FieldVisitor(&mut errors).deserialize(&mut serde_json::Deserializer::from_slice(body));
    errors.messages
}

/// The errors and the position of a visit.
struct FieldErrors {
    kind: PatchKind,
    path: String,
    depth: usize,
    messages: Vec<String>,
}

impl FieldErrors {
    fn record(&mut self, problem: &str) {
        let prefix = if self.kind == PatchKind::Json { "json patch " } else { "" };
        let error = format!("{prefix}{problem} field {:?}", self.path);
        if self.messages.len() < MAX_ERRORS && !self.messages.contains(&error) {
            self.messages.push(error);
        }
    }

    /// Visits the value at `step`, a field or an index.
    fn descend<T>(&mut self, step: &str, visit: impl FnOnce(&mut FieldErrors) -> T) -> T {
        let length = self.path.len();
        if length > 0 && !step.starts_with('[') {
            self.path.push('.');
        }
        self.path.push_str(step);
        self.depth += 1;
        let result = visit(self);
        self.depth -= 1;
        self.path.truncate(length);
        result
    }
}

struct FieldVisitor<'f>(&'f mut FieldErrors);

impl<'de> DeserializeSeed<'de> for FieldVisitor<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        value.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for FieldVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        for i in 0.. {
            if self.0.descend(&format!("[{i}]"), |errors| items.next_element_seed(FieldVisitor(errors)))?.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let is_operation = self.0.kind == PatchKind::Json && self.0.depth == 1;
        let mut seen = BTreeSet::new();
        while let Some(name) = fields.next_key::<String>()? {
            self.0.descend(&name, |errors| {
                if is_operation && !OPERATION_FIELDS.contains(&name.as_str()) {
                    errors.record("unknown");
                } else if seen.contains(&name) {
                    errors.record("duplicate");
                }
                fields.next_value_seed(FieldVisitor(errors))
            })?;
            seen.insert(name);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duplicate_and_unknown_fields_are_reported_once() {
        for (kind, body, want) in [
            (PatchKind::Merge, r#"{"a": {"b": 1}, "c": [{"b": 1}, {"b": 1.5}, "", true, null, -1]}"#, vec![]),
            (
                PatchKind::Merge,
                r#"{"metadata": {"labels": {"a": "x", "a": "y", "a": "z"}}}"#,
                vec![r#"duplicate field "metadata.labels.a""#],
            ),
            (
                PatchKind::StrategicMerge,
                r#"{"spec": {"containers": [{"name": "c"}, {"name": "d", "name": "d"}], "containers": []}}"#,
                vec![r#"duplicate field "spec.containers[1].name""#, r#"duplicate field "spec.containers""#],
            ),
            (
                PatchKind::Json,
                r#"[{"op": "test", "op": "add", "path": "/a", "value": {"b": 1, "b": 2}, "foo": 1}]"#,
                vec![
                    r#"json patch duplicate field "[0].op""#,
                    r#"json patch duplicate field "[0].value.b""#,
                    r#"json patch unknown field "[0].foo""#,
                ],
            ),
        ] {
            assert_eq!(find_field_errors(kind, body.as_bytes()), want, "{body}");
        }
    }
}
