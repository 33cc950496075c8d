//! Applies patches to stored objects.
//!
//! Of a kind's rules only its merge keys matter here; the result is validated like any update.

mod operations;
mod strategic;
mod strict;

use k8s_openapi::Resource;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::identity;
use crate::control::{Cause, FieldValidation, Patch, PatchKind, Reason, Status};
use crate::model::go;

/// Returns `current` with `patch` applied.
///
/// # Errors
/// 400 for a malformed patch, 422 if it does not apply or, under strict field validation, has unknown or duplicate
/// fields.
pub fn apply<T: Resource + Serialize + DeserializeOwned>(current: &T, patch: &Patch) -> Result<T, Status> {
    apply_as(T::API_VERSION, T::KIND, current, patch)
}

/// Returns `current`, a `kind` of `api_version`, with `patch` applied.
fn apply_as<T: Serialize + DeserializeOwned>(
    api_version: &str,
    kind: &str,
    current: &T,
    patch: &Patch,
) -> Result<T, Status> {
    let patched = Patched::new(api_version, kind, to_document(serde_json::to_vec(current))?, patch)?;
    let text = serde_json::to_vec(&patched.document).map_err(Status::internal)?;
    let object: T = serde_json::from_slice(&text).map_err(|error| patched.reject(patch, &without_position(&error)))?;
    if !matches!(patch.field_validation, FieldValidation::Ignore) {
        patched.report_unknown_fields(patch, &to_document(serde_json::to_vec(&object))?)?;
    }
    Ok(object)
}

/// An object with a patch applied, as JSON. What does not depend on the type stands here, once for all types.
struct Patched {
    document: Value,
    /// The warning about repeated owner references.
    duplicate_owners: Option<String>,
}

impl Patched {
    fn new(api_version: &str, kind: &str, mut document: Value, patch: &Patch) -> Result<Patched, Status> {
        match patch.kind {
            PatchKind::Json => operations::apply(&mut document, &patch.body)?,
            PatchKind::Merge => json_patch::merge(&mut document, &parse_object(&patch.body)?),
            PatchKind::StrategicMerge => {
                strategic::apply(api_version, kind, &mut document, parse_object(&patch.body)?)?;
            }
        }
        let owners = document.pointer_mut("/metadata/ownerReferences").and_then(Value::as_array_mut);
        let uid = |owner: &Value| owner["uid"].as_str().unwrap_or_default().to_string();
        let duplicate_owners = owners
            .and_then(|owners| identity::dedup_owner_references(owners, uid, identity::DedupStage::AfterAdmission));
        Ok(Patched { document, duplicate_owners })
    }

    /// Returns the error of a patch whose result cannot be read.
    fn reject(&self, patch: &Patch, reason: &str) -> Status {
        let shown = match patch.kind {
            PatchKind::Json | PatchKind::Merge => self.document.to_string(),
            // Kubernetes shows a strategic merge patch itself, and the result of other patches.
            PatchKind::StrategicMerge => {
                parse_object(&patch.body).map(|patch| go::format_value(&patch)).unwrap_or_default()
            }
        };
        let message = format!("Invalid value: {}: {reason}", Value::String(shown));
        Status::invalid("", "", vec![Cause { field: "patch".into(), reason: "FieldValueInvalid", message }])
    }

    /// Reports the fields that `decoded`, the typed result, does not have, as the request asks for.
    fn report_unknown_fields(self, patch: &Patch, decoded: &Value) -> Result<(), Status> {
        let mut unknown = Vec::new();
        collect_unknown_fields("", &self.document, decoded, &mut unknown);
        let mut fields = strict::find_field_errors(patch.kind, &patch.body);
        fields.extend(unknown.iter().map(|field| format!("unknown field {field:?}")));
        match &patch.field_validation {
            FieldValidation::Warn(warnings) => warnings.set(fields.into_iter().chain(self.duplicate_owners).collect()),
            FieldValidation::Strict if !fields.is_empty() => {
                return Err(self.reject(patch, &format!("strict decoding error: {}", fields.join(", "))));
            }
            FieldValidation::Strict | FieldValidation::Ignore => {}
        }
        Ok(())
    }
}

/// Returns an encoded object as JSON. Types are read from and written to text alone: each further form of each type would
/// enlarge the binary.
fn to_document(encoded: serde_json::Result<Vec<u8>>) -> Result<Value, Status> {
    encoded.and_then(|text| serde_json::from_slice(&text)).map_err(Status::internal)
}

/// Returns the message of an error in a text that the client did not send.
fn without_position(error: &serde_json::Error) -> String {
    let message = error.to_string();
    message.split(" at line ").next().unwrap_or_default().to_string()
}

fn bad_patch(reason: impl std::fmt::Display) -> Status {
    Status::new(Reason::BadRequest, format!("error decoding patch: {reason}"))
}

fn parse_object(body: &[u8]) -> Result<Value, Status> {
    let value: Value = serde_json::from_slice(body).map_err(bad_patch)?;
    if value.is_object() { Ok(value) } else { Err(bad_patch("wanted an object")) }
}

/// Collects the fields of `document` that decoding dropped because its type does not have them.
fn collect_unknown_fields(path: &str, document: &Value, decoded: &Value, unknown: &mut Vec<String>) {
    match (document, decoded) {
        (Value::Object(fields), Value::Object(known)) => {
            for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
                let child = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                match known.get(name) {
                    Some(decoded) => collect_unknown_fields(&child, value, decoded, unknown),
                    None => unknown.push(child),
                }
            }
        }
        (Value::Array(items), Value::Array(known)) => {
            for (i, (item, decoded)) in items.iter().zip(known).enumerate() {
                collect_unknown_fields(&format!("{path}[{i}]"), item, decoded, unknown);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;
