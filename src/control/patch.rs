//! Patches: changes to an object's JSON, in three formats.

use std::sync::Arc;

use parking_lot::Mutex;

use super::{Reason, Status};

/// The format of a patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PatchKind {
    /// A JSON patch (RFC 6902): a list of operations.
    Json,
    /// A JSON merge patch (RFC 7396): the changed fields; lists are replaced.
    Merge,
    /// A strategic merge patch: the changed fields; lists are merged by the keys that Kubernetes' types define.
    StrategicMerge,
}

impl PatchKind {
    /// The media types of patches, in Kubernetes' order.
    pub const MEDIA_TYPES: &[(&str, PatchKind)] = &[
        ("application/json-patch+json", PatchKind::Json),
        ("application/merge-patch+json", PatchKind::Merge),
        ("application/strategic-merge-patch+json", PatchKind::StrategicMerge),
    ];

    /// Returns the format of `media_type`, ignoring its parameters.
    ///
    /// # Errors
    /// 415 `UnsupportedMediaType` for other types.
    pub fn from_media_type(media_type: &str) -> Result<PatchKind, Status> {
        let name = media_type.split(';').next().unwrap_or_default().trim();
        let known = PatchKind::MEDIA_TYPES.iter().find(|(known, _)| name.eq_ignore_ascii_case(known));
        let unsupported = || Status::with_empty_details(Reason::UnsupportedMediaType, "415: Unsupported Media Type");
        known.map(|(_, kind)| *kind).ok_or_else(unsupported)
    }
}

/// The treatment of unknown and duplicate fields (`fieldValidation`).
#[derive(Debug, Clone, Default)]
pub enum FieldValidation {
    /// Drops them.
    #[default]
    Ignore,
    /// Drops them and records a warning for each.
    Warn(Warnings),
    /// Rejects the request.
    Strict,
}

/// Collects the warnings of one request. Clones share the list.
#[derive(Debug, Clone, Default)]
pub struct Warnings(
    /// Protects the messages.
    Arc<Mutex<Vec<String>>>,
);

impl Warnings {
    /// Replaces all warnings, so that a retried change reports each of them once.
    pub fn set(&self, warnings: Vec<String>) {
        *self.0.lock() = warnings;
    }

    /// Adds warnings.
    pub fn extend(&self, warnings: Vec<String>) {
        self.0.lock().extend(warnings);
    }

    /// Removes and returns all warnings.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock())
    }
}

/// A patch as the client sent it.
#[derive(Debug, Clone)]
pub struct Patch {
    /// The format.
    pub kind: PatchKind,
    /// The JSON text.
    pub body: Vec<u8>,
    /// The treatment of unknown and duplicate fields.
    pub field_validation: FieldValidation,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_type_selects_the_patch_format() {
        for (media_type, kind) in [
            ("application/json-patch+json", Some(PatchKind::Json)),
            ("application/merge-patch+json; charset=utf-8", Some(PatchKind::Merge)),
            ("Application/Strategic-Merge-Patch+JSON", Some(PatchKind::StrategicMerge)),
            ("application/json", None),
            ("", None),
        ] {
            assert_eq!(PatchKind::from_media_type(media_type).ok(), kind, "{media_type}");
        }
    }
}
