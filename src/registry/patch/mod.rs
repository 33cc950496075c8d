//! Patches applied: a stored object's JSON and what a client wants of it become a new object's JSON.
//!
//! Nothing here knows rules of kinds but how their lists merge ([`keys`]); what comes out is judged like any update.

pub mod keys;
mod operations;
mod strategic;
mod strict;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::identity;
use crate::control::{Cause, FieldValidation, Patch, PatchKind, Reason, Status};
use crate::model::go;

/// `current` of `kind` as `patch` makes it.
pub fn apply<T: Serialize + DeserializeOwned>(kind: &str, current: &T, patch: &Patch) -> Result<T, Status> {
    let mut document = serde_json::to_value(current).map_err(Status::internal)?;
    match patch.kind {
        PatchKind::Json => operations::apply(&mut document, &patch.body)?,
        PatchKind::Merge => json_patch::merge(&mut document, &object(&patch.body)?),
        PatchKind::StrategicMerge => strategic::apply(kind, &mut document, object(&patch.body)?)?,
    }
    let owners = document.pointer_mut("/metadata/ownerReferences").and_then(Value::as_array_mut);
    let uid = |owner: &Value| owner["uid"].as_str().unwrap_or_default().to_string();
    let twins = owners.and_then(|owners| identity::drop_twins(owners, uid, identity::Moment::Patched));
    let refuse = |why: String| {
        let shown = match patch.kind {
            PatchKind::Json | PatchKind::Merge => document.to_string(),
            // In Kubernetes, a strategic patch is shown itself, and others' outcome.
            PatchKind::StrategicMerge => object(&patch.body).map(|patch| go::shown(&patch)).unwrap_or_default(),
        };
        let message = format!("Invalid value: {}: {why}", Value::String(shown));
        Status::invalid("", "", vec![Cause { field: "patch".into(), reason: "FieldValueInvalid", message }])
    };
    let patched: T = serde_json::from_value(document.clone()).map_err(|error| refuse(error.to_string()))?;
    let told = match &patch.field_validation {
        FieldValidation::Ignore => return Ok(patched),
        FieldValidation::Warn(warnings) => Some(warnings),
        FieldValidation::Strict => None,
    };
    let kept = serde_json::to_value(&patched).map_err(Status::internal)?;
    let mut unknown = Vec::new();
    lost("", &document, &kept, &mut unknown);
    let mut fields = strict::faults(patch.kind, &patch.body);
    fields.extend(unknown.iter().map(|field| format!("unknown field {field:?}")));
    match told {
        Some(warnings) => warnings.set(fields.into_iter().chain(twins).collect()),
        None if fields.is_empty() => {}
        None => return Err(refuse(format!("strict decoding error: {}", fields.join(", ")))),
    }
    Ok(patched)
}

fn bad_patch(why: impl std::fmt::Display) -> Status {
    Status::new(Reason::BadRequest, format!("error decoding patch: {why}"))
}

fn object(body: &[u8]) -> Result<Value, Status> {
    let value: Value = serde_json::from_slice(body).map_err(bad_patch)?;
    if value.is_object() { Ok(value) } else { Err(bad_patch("wanted an object")) }
}

/// The fields of `document` that its type did not keep: it does not know them.
fn lost(at: &str, document: &Value, kept: &Value, found: &mut Vec<String>) {
    match (document, kept) {
        (Value::Object(fields), Value::Object(known)) => {
            for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
                let path = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
                match known.get(name) {
                    Some(kept) => lost(&path, value, kept, found),
                    None => found.push(path),
                }
            }
        }
        (Value::Array(items), Value::Array(known)) => {
            for (i, (item, kept)) in items.iter().zip(known).enumerate() {
                lost(&format!("{at}[{i}]"), item, kept, found);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;
