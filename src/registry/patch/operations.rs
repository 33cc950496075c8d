//! JSON patches (RFC 6902), with Kubernetes' own reading of `replace`.

use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, PatchOperation};
use serde::Deserialize;
use serde_json::{Value, json};

use super::bad_patch;
use crate::control::{Reason, Status};

/// More operations than this are refused, as Kubernetes does.
const MOST: usize = 10_000;

/// Bytes by which `copy` may make an object grow, as in Kubernetes: copies of copies would fill any memory.
const MOST_COPIED: usize = 3 << 20;

/// An operation as it is written; whether it makes sense is looked at when its turn comes.
#[derive(Deserialize)]
struct Said {
    op: Option<String>,
    path: Option<String>,
    from: Option<String>,
    #[serde(default)]
    value: Value,
}

impl Said {
    /// The operation that it is; the object as a whole has none.
    fn meant(self) -> Result<PatchOperation, ()> {
        if [&self.path, &self.from].into_iter().any(|path| path.as_deref() == Some("")) {
            return Err(());
        }
        let Said { op, path, from, value } = self;
        serde_json::from_value(json!({"op": op, "path": path, "from": from, "value": value})).map_err(drop)
    }
}

/// Applies the operations of `body` in order.
pub fn apply(document: &mut Value, body: &[u8]) -> Result<(), Status> {
    let operations: Vec<Said> = serde_json::from_slice(body).map_err(bad_patch)?;
    if operations.len() > MOST {
        let why = format!("The allowed maximum operations in a JSON patch is {MOST}, got {}", operations.len());
        return Err(Status::new(Reason::RequestEntityTooLarge, format!("Request entity too large: {why}")));
    }
    // Kubernetes does not say which operation did not apply.
    let refused = |_| {
        let why = "the server rejected our request due to an error in our request";
        Status::without_object(Reason::Invalid, why)
    };
    let mut copied = 0;
    for operation in operations {
        let operation = operation.meant().map_err(refused)?;
        if let PatchOperation::Copy(copy) = &operation
            && let Ok(value) = copy.from.resolve(document)
        {
            copied += size(value, MOST_COPIED + 1);
            if copied > MOST_COPIED {
                let why = format!(
                    "Unable to copy, the accumulated size increase of copy is {copied}, exceeding the limit {MOST_COPIED}"
                );
                return Err(Status::without_object(Reason::Invalid, why));
            }
        }
        let operation = lenient(document, operation);
        json_patch::patch(document, &[operation]).map_err(|_| refused(()))?;
    }
    Ok(())
}

/// About the bytes of `value` as JSON; counted no further than `most`.
fn size(value: &Value, most: usize) -> usize {
    let mut bytes = 0;
    let mut left = vec![value];
    while let Some(value) = left.pop().filter(|_| bytes <= most) {
        bytes += match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => 8,
            Value::String(text) => text.len() + 2,
            Value::Array(items) => {
                left.extend(items);
                2 + items.len()
            }
            Value::Object(fields) => {
                left.extend(fields.values());
                2 + fields.keys().map(|key| key.len() + 4).sum::<usize>()
            }
        };
    }
    bytes
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
