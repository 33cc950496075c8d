//! Conditions that a request puts on the stored object: its UID and its `resourceVersion`.
//!
//! A mismatch is a 409 `Conflict`, in the words of the layer of a real API server that detects it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::control::{Key, Object, Preconditions, Reason, Resource, Revision, Status};

/// Kubernetes' `OptimisticLockErrorMsg`.
pub(super) const OPTIMISTIC_LOCK_ERROR: &str =
    "the object has been modified; please apply your changes to the latest version and try again";

pub(super) fn conflict(key: &Key, reason: &str) -> Status {
    Status::conflict(&key.resource.qualified_name(), &key.name, reason)
}

/// Checks the preconditions of an update.
pub(super) fn check(required: &Preconditions, key: &Key, object: &Object, meta: &ObjectMeta) -> Result<(), Status> {
    let uid = meta.uid.as_deref().unwrap_or_default();
    if let Some(required) = required.uid.as_deref().filter(|required| *required != uid) {
        return Err(uid_mismatch(key, required, uid));
    }
    if required.revision.as_ref().is_some_and(|required| *required != object.revision.to_string()) {
        return Err(conflict(key, OPTIMISTIC_LOCK_ERROR));
    }
    Ok(())
}

/// Returns the error of etcd's storage layer, which real API servers pass on.
fn uid_mismatch(key: &Key, required: &str, uid: &str) -> Status {
    // Kubernetes stores nodes under their former name.
    let plural = if key.resource == Resource::NODES { "minions" } else { key.resource.plural() };
    let message = format!("Precondition failed: UID in precondition: {required}, UID in object meta: {uid}");
    let object = format!("Code: 4, Key: /registry/{plural}/{key}, ResourceVersion: 0, AdditionalErrorMsg: {message}");
    conflict(key, &format!("StorageError: invalid object, {object}"))
}

/// Checks that the UID in a replacement, if set, is the stored object's.
pub(super) fn check_uid(key: &Key, current: &ObjectMeta, new: &ObjectMeta) -> Result<(), Status> {
    let uid = current.uid.as_deref().unwrap_or_default();
    match new.uid.as_deref().filter(|required| !required.is_empty() && *required != uid) {
        Some(required) => Err(uid_mismatch(key, required, uid)),
        None => Ok(()),
    }
}

/// Checks that the `resourceVersion` in an update, if set, is the stored object's.
pub(super) fn check_resource_version(key: &Key, current: &ObjectMeta, new: &ObjectMeta) -> Result<(), Status> {
    // Zero matches any revision.
    let required = new.resource_version.as_deref().filter(|required| *required != "0").unwrap_or_default();
    if required.is_empty() || current.resource_version.as_deref() == Some(required) {
        return Ok(());
    }
    Err(match required.parse::<Revision>() {
        Ok(_) => conflict(key, OPTIMISTIC_LOCK_ERROR),
        Err(_) => Status::new(Reason::BadRequest, format!("resourceVersion: Invalid value: {required:?}")),
    })
}

/// Checks the preconditions of a deletion, whose mismatches Kubernetes words differently.
pub(super) fn check_for_delete(required: &Preconditions, key: &Key, meta: &ObjectMeta) -> Result<(), Status> {
    let mismatch = |field: &str, required: &str, stored: &str, cause: &str| {
        let message = format!(
            "the {field} in the precondition ({required}) does not match the {field} in record ({stored}). The object \
             might have been {cause}"
        );
        Err(Status::conflict(&key.resource.qualified_kind(), &key.name, message))
    };
    let uid = meta.uid.as_deref().unwrap_or_default();
    if let Some(required) = required.uid.as_deref().filter(|required| *required != uid) {
        return mismatch("UID", required, uid, "deleted and then recreated");
    }
    let revision = meta.resource_version.as_deref().unwrap_or_default();
    if let Some(required) = required.revision.as_deref().filter(|required| *required != revision) {
        return mismatch("ResourceVersion", required, revision, "modified");
    }
    Ok(())
}
