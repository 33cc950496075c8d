//! JSON patches (RFC 6902), with Kubernetes' own reading of `replace`.

use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, PatchOperation};
use serde_json::Value;

use super::bad_patch;
use crate::control::{Reason, Status};

/// More operations than this are refused, as Kubernetes does.
const MOST: usize = 10_000;

/// Applies the operations of `body` in order.
pub fn apply(document: &mut Value, body: &[u8]) -> Result<(), Status> {
    let operations: Vec<PatchOperation> = serde_json::from_slice(body).map_err(bad_patch)?;
    if operations.len() > MOST {
        let why = format!("The allowed maximum operations in a JSON patch is {MOST}, got {}", operations.len());
        return Err(Status::new(Reason::BadRequest, why));
    }
    for operation in operations {
        let operation = lenient(document, operation);
        // Kubernetes does not say which operation did not apply.
        let refused = "the server rejected our request due to an error in our request";
        json_patch::patch(document, &[operation]).map_err(|_| Status::without_object(Reason::Invalid, refused))?;
    }
    Ok(())
}

/// Replacing a field that an object does not have sets it.
fn lenient(document: &Value, operation: PatchOperation) -> PatchOperation {
    let PatchOperation::Replace(replace) = &operation else { return operation };
    let path: &PointerBuf = &replace.path;
    let in_object = path.parent().and_then(|parent| parent.resolve(document).ok()).is_some_and(Value::is_object);
    if in_object && path.resolve(document).is_err() {
        return PatchOperation::Add(AddOperation { path: path.clone(), value: replace.value.clone() });
    }
    operation
}
