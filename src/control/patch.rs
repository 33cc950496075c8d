//! Patches: changes to an object's JSON, in three notations.

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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum FieldValidation {
    /// They are dropped.
    #[default]
    Ignore,
    /// The request is refused.
    Strict,
}

/// A patch as it came in.
#[derive(Debug, Clone, PartialEq, Eq)]
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
