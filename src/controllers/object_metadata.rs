//! The metadata that controllers of all kinds read, without the rest of the object.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde::Deserialize;

use crate::control::Object;

/// Metadata that says how long an object stays.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ObjectMetadata {
    /// The unique identity of the object.
    pub uid: String,
    /// The objects that own it.
    pub owner_references: Vec<OwnerReference>,
    /// The actions to take before the object is removed.
    pub finalizers: Vec<String>,
    /// The time at which the object was marked for deletion.
    pub deletion_timestamp: Option<String>,
}

impl ObjectMetadata {
    /// Returns the metadata of a stored object; `None`, with a log message, if it cannot be decoded.
    pub fn of(object: &Object) -> Option<ObjectMetadata> {
        let decoded = object.decode_metadata().inspect_err(|error| {
            tracing::error!(?object, %error, "cannot decode the metadata of a stored object");
        });
        decoded.ok()
    }

    /// Returns whether the object is marked for deletion.
    pub fn is_deleted(&self) -> bool {
        self.deletion_timestamp.is_some()
    }

    /// Returns whether the object has a finalizer.
    pub fn has_finalizer(&self, name: &str) -> bool {
        self.finalizers.iter().any(|finalizer| finalizer == name)
    }
}
