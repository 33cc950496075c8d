//! Finalizers of volumes and claims that are in use (the admission plugin StorageObjectInUseProtection).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::control::{DeleteOptions, DeleteResult, Key, Preconditions, Status};
use crate::registry::storage::WriteDecision;
use crate::registry::strategy::Strategy;
use crate::registry::{Registry, generic};

/// Adds the finalizer to a new object.
pub fn protect(meta: &mut ObjectMeta, finalizer: &str) {
    let finalizers = meta.finalizers.get_or_insert_default();
    if !finalizers.iter().any(|known| known == finalizer) {
        finalizers.push(finalizer.into());
    }
}

/// Deletes an object, and removes the finalizer if nothing uses the object. In Kubernetes a controller does this a moment
/// later, so the answer is the same.
pub fn delete<T: Strategy>(
    registry: &Registry,
    key: &Key,
    options: &DeleteOptions,
    finalizer: &str,
    is_in_use: fn(&T) -> bool,
) -> Result<DeleteResult, Status> {
    let deleted = generic::delete::<T>(registry, key, options)?;
    if matches!(deleted, DeleteResult::Removed(_)) || registry.storage.is_dry_run() {
        return Ok(deleted);
    }
    let released = registry.storage.guaranteed_update(key, &Preconditions::default(), |current: &T| {
        if is_in_use(current) {
            return Ok(WriteDecision::Keep(()));
        }
        let mut last = current.clone();
        let finalizers = last.metadata_mut().finalizers.get_or_insert_default();
        finalizers.retain(|known| known != finalizer);
        let is_last = finalizers.is_empty();
        Ok(if is_last { WriteDecision::Delete(Box::new(last), ()) } else { WriteDecision::Put(Box::new(last), ()) })
    });
    // Another client may have removed the object since.
    drop(released);
    Ok(deleted)
}
