//! JSON patches (RFC 6902), with Kubernetes' limits and its lenient `replace`.

use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, PatchOperation};
use serde::Deserialize;
use serde_json::{Value, json};

use super::bad_patch;
use crate::control::{Reason, Status};

/// Kubernetes' limit of operations in one patch.
const MAX_OPERATIONS: usize = 10_000;

/// Kubernetes' limit of bytes that `copy` may add to an object; repeated copies grow exponentially.
const MAX_COPIED_BYTES: usize = 3 << 20;

/// An operation as sent; it is checked when the operations before it have been applied.
#[derive(Deserialize)]
struct RawOperation {
    op: Option<String>,
    path: Option<String>,
    from: Option<String>,
    #[serde(default)]
    value: Value,
}

impl RawOperation {
    /// Parses the operation; `None` if it is not valid or applies to the whole object.
    fn parse(self) -> Option<PatchOperation> {
        if [&self.path, &self.from].into_iter().any(|path| path.as_deref() == Some("")) {
            return None;
        }
        let RawOperation { op, path, from, value } = self;
        serde_json::from_value(json!({"op": op, "path": path, "from": from, "value": value})).ok()
    }
}

/// Applies the operations of `body` in order.
pub fn apply(document: &mut Value, body: &[u8]) -> Result<(), Status> {
    let operations: Vec<RawOperation> = serde_json::from_slice(body).map_err(bad_patch)?;
    if operations.len() > MAX_OPERATIONS {
        let message =
            format!("The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {}", operations.len());
        return Err(Status::new(Reason::RequestEntityTooLarge, format!("Request entity too large: {message}")));
    }
    // Kubernetes does not name the operation that failed.
    let rejected = || {
        let message = "the server rejected our request due to an error in our request";
        Status::with_empty_details(Reason::Invalid, message)
    };
    let mut copied = 0;
    for operation in operations {
        let operation = operation.parse().ok_or_else(rejected)?;
        if let PatchOperation::Copy(copy) = &operation
            && let Ok(value) = copy.from.resolve(document)
        {
            copied += json_size(value, MAX_COPIED_BYTES + 1);
            if copied > MAX_COPIED_BYTES {
                let message = format!(
                    "Unable to copy, the accumulated size increase of copy is {copied}, exceeding the limit {MAX_COPIED_BYTES}"
                );
                return Err(Status::with_empty_details(Reason::Invalid, message));
            }
        }
        let operation = replace_or_add(document, operation);
        json_patch::patch(document, &[operation]).map_err(|_| rejected())?;
    }
    Ok(())
}

/// Returns the approximate size of `value` as JSON; stops counting above `limit`.
fn json_size(value: &Value, limit: usize) -> usize {
    let mut bytes = 0;
    let mut pending = vec![value];
    while let Some(value) = pending.pop().filter(|_| bytes <= limit) {
        bytes += match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => 8,
            Value::String(text) => text.len() + 2,
            Value::Array(items) => {
                pending.extend(items);
                2 + items.len()
            }
            Value::Object(fields) => {
                pending.extend(fields.values());
                2 + fields.keys().map(|key| key.len() + 4).sum::<usize>()
            }
        };
    }
    bytes
}

/// Turns `replace` of a missing field into `add`, as Kubernetes does.
fn replace_or_add(document: &Value, operation: PatchOperation) -> PatchOperation {
    let PatchOperation::Replace(replace) = &operation else { return operation };
    let path: &PointerBuf = &replace.path;
    let in_object = path.parent().and_then(|parent| parent.resolve(document).ok()).is_some_and(Value::is_object);
    if in_object && path.resolve(document).is_err() {
        return PatchOperation::Add(AddOperation { path: path.clone(), value: replace.value.clone() });
    }
    operation
}
