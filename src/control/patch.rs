//! Patches: changes to an object's JSON, in three notations.

use std::sync::Arc;

use parking_lot::Mutex;

use super::{Reason, Status};

/// How a patch is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PatchKind {
    /// A list of operations (RFC 6902).
    Json,
    /// The fields that change (RFC 7396); lists are replaced.
    Merge,
    /// The fields that change; lists of objects are merged by their keys, as Kubernetes' types say.
    StrategicMerge,
}

impl PatchKind {
    /// The media types of patches, in the order in which Kubernetes lists them.
    pub const MEDIA_TYPES: &[(&str, PatchKind)] = &[
        ("application/json-patch+json", PatchKind::Json),
        ("application/merge-patch+json", PatchKind::Merge),
        ("application/strategic-merge-patch+json", PatchKind::StrategicMerge),
    ];

    /// The notation of `media_type`, parameters apart; 415 `UnsupportedMediaType` where there is none.
    pub fn of(media_type: &str) -> Result<PatchKind, Status> {
        let name = media_type.split(';').next().unwrap_or_default().trim();
        let known = PatchKind::MEDIA_TYPES.iter().find(|(known, _)| name.eq_ignore_ascii_case(known));
        let refused = || Status::without_object(Reason::UnsupportedMediaType, "415: Unsupported Media Type");
        known.map(|(_, kind)| *kind).ok_or_else(refused)
    }
}

/// What becomes of fields that the kind does not have.
#[derive(Debug, Clone, Default)]
pub enum FieldValidation {
    /// They are dropped.
    #[default]
    Ignore,
    /// They are dropped, and told here.
    Warn(Warnings),
    /// The request is refused.
    Strict,
}

/// What somebody should know of a request that was granted. Copies share what they hold.
#[derive(Debug, Clone, Default)]
pub struct Warnings(
    /// Protects the texts, which one request collects.
    Arc<Mutex<Vec<String>>>,
);

impl Warnings {
    /// Puts these in the place of all others: a change that is tried again is told of once.
    pub fn set(&self, warnings: Vec<String>) {
        *self.0.lock() = warnings;
    }

    /// Adds these.
    pub fn add(&self, warnings: Vec<String>) {
        self.0.lock().extend(warnings);
    }

    /// All of them; then there are none.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock())
    }
}

/// A patch as it came in.
#[derive(Debug, Clone)]
pub struct Patch {
    /// Its notation.
    pub kind: PatchKind,
    /// Its JSON.
    pub body: Vec<u8>,
    /// What becomes of unknown fields.
    pub field_validation: FieldValidation,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_are_known_by_their_media_type() {
        for (media_type, kind) in [
            ("application/json-patch+json", Some(PatchKind::Json)),
            ("application/merge-patch+json; charset=utf-8", Some(PatchKind::Merge)),
            ("Application/Strategic-Merge-Patch+JSON", Some(PatchKind::StrategicMerge)),
            ("application/json", None),
            ("", None),
        ] {
            assert_eq!(PatchKind::of(media_type).ok(), kind, "{media_type}");
        }
    }
}
