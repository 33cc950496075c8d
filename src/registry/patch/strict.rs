//! What of a patch itself is said twice, or is no part of one, as Kubernetes' strict reading tells it.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::control::PatchKind;

/// A client that sends nonsense is told no more than this.
const MOST: usize = 100;

/// The fields of an operation of a JSON patch.
const OF_OPERATIONS: [&str; 4] = ["op", "path", "from", "value"];

/// Each fault once, in the order of the text: `duplicate field "metadata.labels.a"`.
pub fn faults(kind: PatchKind, body: &[u8]) -> Vec<String> {
    let mut found = Found { kind, path: String::new(), depth: 0, faults: Vec::new() };
    // Text that is no JSON has been refused.
    let _ = Look(&mut found).deserialize(&mut serde_json::Deserializer::from_slice(body));
    found.faults
}

struct Found {
    kind: PatchKind,
    path: String,
    depth: usize,
    faults: Vec<String>,
}

impl Found {
    fn tell(&mut self, what: &str) {
        let of = if self.kind == PatchKind::Json { "json patch " } else { "" };
        let fault = format!("{of}{what} field {:?}", self.path);
        if self.faults.len() < MOST && !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
    }

    /// Looks at what lies at `step` from here.
    fn at<T>(&mut self, step: &str, look: impl FnOnce(&mut Found) -> T) -> T {
        let here = self.path.len();
        if here > 0 && !step.starts_with('[') {
            self.path.push('.');
        }
        self.path.push_str(step);
        self.depth += 1;
        let looked = look(self);
        self.depth -= 1;
        self.path.truncate(here);
        looked
    }
}

struct Look<'f>(&'f mut Found);

impl<'de> DeserializeSeed<'de> for Look<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        value.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Look<'_> {
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
            if self.0.at(&format!("[{i}]"), |found| items.next_element_seed(Look(found)))?.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let is_operation = self.0.kind == PatchKind::Json && self.0.depth == 1;
        let mut known = BTreeSet::new();
        while let Some(name) = fields.next_key::<String>()? {
            self.0.at(&name, |found| {
                if is_operation && !OF_OPERATIONS.contains(&name.as_str()) {
                    found.tell("unknown");
                } else if known.contains(&name) {
                    found.tell("duplicate");
                }
                fields.next_value_seed(Look(found))
            })?;
            known.insert(name);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_patch_says_twice_is_found_once() {
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
            assert_eq!(faults(kind, body.as_bytes()), want, "{body}");
        }
    }
}
