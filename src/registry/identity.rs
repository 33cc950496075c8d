//! Who an object is: UID, creation time, generated names.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use uuid::Uuid;

use crate::model::pods;

/// What Kubernetes appends to `generateName`: no vowels, so that no words come out.
const SUFFIX_LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
const SUFFIX_LENGTH: usize = 5;
/// A generated name is cut so that it fits a label with its suffix.
const MAX_GENERATED_BASE: usize = 63 - SUFFIX_LENGTH;

/// Five letters that nobody else has got, most likely.
pub fn random_suffix() -> String {
    let letter = |b: &u8| SUFFIX_LETTERS.get(usize::from(*b) % SUFFIX_LETTERS.len()).copied().unwrap_or(b'x');
    Uuid::new_v4().as_bytes().iter().take(SUFFIX_LENGTH).map(|b| char::from(letter(b))).collect()
}

/// Gives a new object its identity; what the client said of UID and times does not count.
pub fn assign(meta: &mut ObjectMeta, now: Timestamp) {
    if meta.name.as_deref().unwrap_or_default().is_empty()
        && let Some(base) = meta.generate_name.as_deref().filter(|base| !base.is_empty())
    {
        let base: String = base.chars().take(MAX_GENERATED_BASE).collect();
        meta.name = Some(base + &random_suffix());
    }
    if meta.namespace.as_deref().unwrap_or_default().is_empty() {
        meta.namespace = Some("default".into());
    }
    meta.uid = Some(Uuid::new_v4().to_string());
    meta.creation_timestamp = Some(pods::time(now));
    meta.generation = Some(1);
    meta.deletion_timestamp = None;
    meta.deletion_grace_period_seconds = None;
    meta.resource_version = None;
    meta.self_link = None;
}
