//! System fields of metadata: UID, creation time, generated names, and what an update keeps of them.

use std::collections::HashSet;
use std::fmt;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use uuid::Uuid;

use crate::control::{Reason, Status};
use crate::model::pods;

/// The characters of the suffix of `generateName`: no vowels, so that no words result.
const SUFFIX_CHARS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
const SUFFIX_LENGTH: usize = 5;
/// The suffix of names that are generated only to check an object, so that messages do not vary.
pub const SAMPLE_SUFFIX: &str = "xxxxx";
/// Upper bound of the base of a generated name, so that the name is a valid label.
const MAX_BASE_LENGTH: usize = 63 - SUFFIX_LENGTH;

/// Returns a random suffix that makes a name unique in practice.
pub fn random_suffix() -> String {
    let letter = |b: &u8| SUFFIX_CHARS.get(usize::from(*b) % SUFFIX_CHARS.len()).copied().unwrap_or(b'x');
    Uuid::new_v4().as_bytes().iter().take(SUFFIX_LENGTH).map(|b| char::from(letter(b))).collect()
}

/// Sets the name of an object that has only `generateName`, to that and what `suffix` returns.
pub fn generate_name(meta: &mut ObjectMeta, suffix: impl FnOnce() -> String) {
    if meta.name.as_deref().unwrap_or_default().is_empty()
        && let Some(base) = meta.generate_name.as_deref().filter(|base| !base.is_empty())
    {
        let base: String = base.chars().take(MAX_BASE_LENGTH).collect();
        meta.name = Some(base + &suffix());
    }
}

/// Sets name, namespace, UID and times of a new object, whatever the client sent for UID and times.
pub fn fill_system_fields(meta: &mut ObjectMeta, now: Timestamp) {
    generate_name(meta, random_suffix);
    if meta.namespace.as_deref().unwrap_or_default().is_empty() {
        meta.namespace = Some("default".into());
    }
    meta.uid = Some(Uuid::new_v4().to_string());
    meta.creation_timestamp = Some(pods::api_time(now));
    meta.generation = Some(1);
    meta.deletion_timestamp = None;
    meta.deletion_grace_period_seconds = None;
    meta.resource_version = None;
    meta.self_link = None;
}

/// Checks that an update is for the object in the URL, and fills in the namespace.
pub fn check_name_and_namespace(old: &ObjectMeta, new: &mut ObjectMeta) -> Result<(), Status> {
    check_name(old.name.as_deref().unwrap_or_default(), new)?;
    let stored = old.namespace.as_deref().unwrap_or_default();
    match new.namespace.as_deref().unwrap_or_default() {
        "" => new.namespace.clone_from(&old.namespace),
        namespace if namespace != stored => return Err(namespace_mismatch()),
        _ => {}
    }
    Ok(())
}

/// Checks that an object has the name in the URL.
pub fn check_name(stored: &str, new: &mut ObjectMeta) -> Result<(), Status> {
    let name = new.name.get_or_insert_default();
    if name.is_empty() {
        let message =
            format!("the name of the object ({stored} based on URL) was undeterminable: name must be provided");
        return Err(Status::new(Reason::BadRequest, message));
    }
    if name != stored {
        let message = format!("the name of the object ({name}) does not match the name on the URL ({stored})");
        return Err(Status::new(Reason::BadRequest, message));
    }
    Ok(())
}

/// The stage of a request at which owner references are deduplicated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DedupStage {
    /// As the client sent the object.
    BeforeAdmission,
    /// After a patch was applied.
    AfterAdmission,
}

/// Removes repeated owner references and returns the warning about them.
pub fn dedup_owner_references<O: fmt::Debug>(
    owners: &mut Vec<O>,
    uid: impl Fn(&O) -> String,
    stage: DedupStage,
) -> Option<String> {
    let mut duplicates = Vec::new();
    // Their texts differ where they do; a request may list thousands.
    let mut known = HashSet::with_capacity(owners.len());
    owners.retain(|owner| {
        let is_new = known.insert(format!("{owner:?}"));
        if !is_new {
            duplicates.push(uid(owner));
        }
        is_new
    });
    let when = match stage {
        DedupStage::BeforeAdmission => "",
        DedupStage::AfterAdmission => " after mutating admission happens",
    };
    (!duplicates.is_empty()).then(|| {
        format!(
            ".metadata.ownerReferences contains duplicate entries{when}; API server dedups owner references in 1.20+, \
             and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: {}",
            duplicates.join(", ")
        )
    })
}

/// Returns the error about an object whose namespace is not the URL's.
pub fn namespace_mismatch() -> Status {
    let message = "the namespace of the provided object does not match the namespace sent on the request";
    Status::new(Reason::BadRequest, message)
}

/// Keeps the old metadata, except UID, name and namespace, which validation compares.
pub fn keep_metadata(old: &ObjectMeta, new: ObjectMeta) -> ObjectMeta {
    ObjectMeta { uid: new.uid, name: new.name, namespace: new.namespace, ..old.clone() }
}

/// Keeps the fields of the old metadata that clients cannot change.
pub fn keep_system_fields(old: &ObjectMeta, new: &mut ObjectMeta) {
    if new.uid.as_deref().unwrap_or_default().is_empty() {
        new.uid.clone_from(&old.uid);
    }
    new.creation_timestamp.clone_from(&old.creation_timestamp);
    new.generation = old.generation;
    new.deletion_timestamp.clone_from(&old.deletion_timestamp);
    new.deletion_grace_period_seconds = old.deletion_grace_period_seconds;
    new.resource_version.clone_from(&old.resource_version);
    new.self_link = None;
}
