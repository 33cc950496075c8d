//! Who an object is: UID, creation time, generated names.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use uuid::Uuid;

use crate::control::{Reason, Status};
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

/// An update is to the object that the request names.
pub fn check_same(old: &ObjectMeta, new: &mut ObjectMeta) -> Result<(), Status> {
    let known = old.name.as_deref().unwrap_or_default();
    let name = new.name.get_or_insert_default();
    if name.is_empty() {
        let why = format!("the name of the object ({known} based on URL) was undeterminable: name must be provided");
        return Err(Status::new(Reason::BadRequest, why));
    }
    if name != known {
        let why = format!("the name of the object ({name}) does not match the name on the URL ({known})");
        return Err(Status::new(Reason::BadRequest, why));
    }
    let known = old.namespace.as_deref().unwrap_or_default();
    match new.namespace.as_deref().unwrap_or_default() {
        "" => new.namespace.clone_from(&old.namespace),
        namespace if namespace != known => return Err(other_namespace()),
        _ => {}
    }
    Ok(())
}

/// When an object's owners are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// As the client sent it.
    Sent,
    /// As a patch has made it.
    Patched,
}

/// Removes owners that are there already; what the client should know of it, where there are such.
pub fn drop_twins<O: PartialEq>(owners: &mut Vec<O>, uid: impl Fn(&O) -> String, moment: Moment) -> Option<String> {
    let mut twins = Vec::new();
    let mut known: Vec<O> = Vec::with_capacity(owners.len());
    for owner in owners.drain(..) {
        if known.contains(&owner) {
            twins.push(uid(&owner));
        } else {
            known.push(owner);
        }
    }
    *owners = known;
    let when = match moment {
        Moment::Sent => "",
        Moment::Patched => " after mutating admission happens",
    };
    (!twins.is_empty()).then(|| {
        format!(
            ".metadata.ownerReferences contains duplicate entries{when}; API server dedups owner references in 1.20+, \
             and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: {}",
            twins.join(", ")
        )
    })
}

/// The object says that it lies elsewhere than the request does.
pub fn other_namespace() -> Status {
    let why = "the namespace of the provided object does not match the namespace sent on the request";
    Status::new(Reason::BadRequest, why)
}

/// All of metadata stays as it was, but for what tells one object from another: that is judged.
pub fn keep_all(old: &ObjectMeta, new: ObjectMeta) -> ObjectMeta {
    ObjectMeta { uid: new.uid, name: new.name, namespace: new.namespace, ..old.clone() }
}

/// What no client has a say in stays as it was.
pub fn keep(old: &ObjectMeta, new: &mut ObjectMeta) {
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
