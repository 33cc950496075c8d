//! Changes of stored objects: read, decide, commit; again where somebody else was faster. And what a request may ask
//! to be true of an object before it is changed.

use std::sync::Arc;

use k8s_openapi::Metadata;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, Node, Pod, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Registry, pod};
use crate::control::{Key, Object, Preconditions, Reason, Resource, Revision, Status, UnversionedObject};
use crate::store::{CommitError, Operation, Precondition};

/// A change that lost a race is tried again on the newer object; more losses than this are a fault.
const MAX_RACES: usize = 64;

pub(super) const STALE: &str =
    "the object has been modified; please apply your changes to the latest version and try again";

/// An object of any kind.
pub(super) trait Stored:
    Metadata<Ty = ObjectMeta> + Serialize + DeserializeOwned + Clone + PartialEq + Send + Sync + 'static
{
    /// As the store keeps it.
    fn written(self) -> Result<UnversionedObject, serde_json::Error> {
        UnversionedObject::of(&self)
    }
}

impl Stored for Event {}
impl Stored for Node {}
impl Stored for Namespace {}
impl Stored for ConfigMap {}
impl Stored for Secret {}

impl Stored for Pod {
    fn written(self) -> Result<UnversionedObject, serde_json::Error> {
        pod::draft(self)
    }
}

/// What a request makes of the object as it stands, and what is answered.
pub(crate) enum Decision<T, O = k8s_openapi::api::core::v1::Pod> {
    /// Nothing is to be written.
    Keep(T),
    Put(Box<O>, T),
    Delete(Box<O>, T),
}

impl Registry {
    /// Reads the object, lets `change` decide, commits; again where somebody else was faster.
    pub(super) fn change<O: Stored, T>(
        &self,
        key: &Key,
        preconditions: &Preconditions,
        change: impl Fn(&O) -> Result<Decision<T, O>, Status>,
    ) -> Result<(T, Arc<Object>), Status> {
        for _ in 0..MAX_RACES {
            let current = self.stored(key)?;
            let object = current.decode::<O>().map_err(Status::internal)?;
            check(preconditions, key, &current, object.metadata())?;
            let (op, answer) = match change(&object)? {
                Decision::Keep(answer) => return Ok((answer, current)),
                Decision::Put(next, answer) => {
                    let expect = Precondition::At(current.revision);
                    (Operation::Put { key: key.clone(), expect, draft: draft(*next)? }, answer)
                }
                Decision::Delete(last, answer) => {
                    (Operation::Delete { key: key.clone(), expect: current.revision, last: draft(*last)? }, answer)
                }
            };
            match self.commit(op)? {
                Ok(stored) => return Ok((answer, stored)),
                Err(CommitError::Modified(_)) => continue,
                Err(CommitError::Gone(key)) => return Err(not_found(&key)),
                Err(error @ CommitError::Exists(_)) => return Err(Status::internal(error)),
            }
        }
        Err(conflict(key, STALE))
    }

    /// Stores an object whose name nobody has yet.
    pub(super) fn store_new<O: Stored>(&self, resource: Resource, object: O) -> Result<Arc<Object>, Status> {
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        let key = Key::of(resource, &text(&object.metadata().namespace), &text(&object.metadata().name));
        match self.commit(Operation::Put { key, expect: Precondition::Absent, draft: draft(object)? })? {
            Ok(stored) => Ok(stored),
            Err(CommitError::Exists(key)) => Err(Status::already_exists(key.resource.plural, &key.name)),
            Err(error) => Err(Status::internal(error)),
        }
    }

    fn commit(&self, op: Operation) -> Result<Result<Arc<Object>, CommitError>, Status> {
        if self.dry_run_only {
            return Ok(self.store.dry_run_commit(op));
        }
        match self.store.commit(vec![op]) {
            Ok(mut stored) => stored.pop().map(Ok).ok_or_else(|| Status::internal("the store lost an object")),
            Err(error) => Ok(Err(error)),
        }
    }
}

fn draft<O: Stored>(mut object: O) -> Result<UnversionedObject, Status> {
    // The store stamps the revision that the commit gets.
    object.metadata_mut().resource_version = None;
    object.written().map_err(Status::internal)
}

pub(super) fn not_found(key: &Key) -> Status {
    Status::not_found(key.resource.plural, &key.name)
}

pub(super) fn conflict(key: &Key, why: &str) -> Status {
    Status::conflict(key.resource.plural, &key.name, why)
}

fn check(wanted: &Preconditions, key: &Key, object: &Object, meta: &ObjectMeta) -> Result<(), Status> {
    let uid = meta.uid.as_deref().unwrap_or_default();
    if let Some(wanted) = wanted.uid.as_deref().filter(|wanted| *wanted != uid) {
        return Err(other_uid(key, wanted, uid));
    }
    if wanted.revision.as_ref().is_some_and(|wanted| *wanted != object.revision.to_string()) {
        return Err(conflict(key, STALE));
    }
    Ok(())
}

/// In the words of the store behind a real API server.
fn other_uid(key: &Key, wanted: &str, found: &str) -> Status {
    // Nodes were minions once.
    let plural = if key.resource == Resource::NODES { "minions" } else { key.resource.plural };
    let why = format!("Precondition failed: UID in precondition: {wanted}, UID in object meta: {found}");
    let object = format!("Code: 4, Key: /registry/{plural}/{key}, ResourceVersion: 0, AdditionalErrorMsg: {why}");
    conflict(key, &format!("StorageError: invalid object, {object}"))
}

/// What is put in an object's place must be meant for this very object, if it says so.
pub(super) fn check_stated_uid(key: &Key, current: &ObjectMeta, new: &ObjectMeta) -> Result<(), Status> {
    let found = current.uid.as_deref().unwrap_or_default();
    match new.uid.as_deref().filter(|wanted| !wanted.is_empty() && *wanted != found) {
        Some(wanted) => Err(other_uid(key, wanted, found)),
        None => Ok(()),
    }
}

/// Who says on what state of the object an update was made must be right.
pub(super) fn check_stated_revision(key: &Key, current: &ObjectMeta, new: &ObjectMeta) -> Result<(), Status> {
    // Revision 0 is any.
    let wanted = new.resource_version.as_deref().filter(|wanted| *wanted != "0").unwrap_or_default();
    if wanted.is_empty() || current.resource_version.as_deref() == Some(wanted) {
        return Ok(());
    }
    Err(match wanted.parse::<Revision>() {
        Ok(_) => conflict(key, STALE),
        Err(_) => Status::new(Reason::BadRequest, format!("resourceVersion: Invalid value: {wanted:?}")),
    })
}

/// A deletion's preconditions, which have words of their own.
pub(super) fn check_deletion(wanted: &Preconditions, key: &Key, meta: &ObjectMeta) -> Result<(), Status> {
    let differs = |what: &str, wanted: &str, found: &str, happened: &str| {
        let why = format!(
            "the {what} in the precondition ({wanted}) does not match the {what} in record ({found}). The object \
             might have been {happened}"
        );
        Err(Status::conflict(key.resource.kind, &key.name, why))
    };
    let uid = meta.uid.as_deref().unwrap_or_default();
    if let Some(wanted) = wanted.uid.as_deref().filter(|wanted| *wanted != uid) {
        return differs("UID", wanted, uid, "deleted and then recreated");
    }
    let revision = meta.resource_version.as_deref().unwrap_or_default();
    if let Some(wanted) = wanted.revision.as_deref().filter(|wanted| *wanted != revision) {
        return differs("ResourceVersion", wanted, revision, "modified");
    }
    Ok(())
}
