//! Access to the object store for one kind at a time: read, decide, commit, retry on conflict.
//!
//! The verbs are those of Kubernetes' `storage.Interface` (`Get`, `Create`, `GuaranteedUpdate`), dry runs included. The
//! rules of a kind are its caller's.

use std::sync::Arc;

use k8s_openapi::api::coordination::v1::Lease;

use super::preconditions::{self, OPTIMISTIC_LOCK_ERROR};
use super::strategy::Strategy;
use crate::control::{Key, Object, Preconditions, Reason, Resource, Revision, Status, UnversionedObject};
use crate::store::{CommitError, Durability, ObjectStore, Operation, Precondition, StorageFailure};

/// The namespace of the leases with which nodes show that they are alive.
const NODE_LEASE_NAMESPACE: &str = "kube-node-lease";

/// Maximum attempts at an update that conflicts with other writers; more would indicate a bug.
const MAX_ATTEMPTS: usize = 64;

/// Maximum size of a stored object as JSON: etcd's limit of a request.
const MAX_OBJECT_BYTES: usize = 3 << 19;

/// The write that an update decides on, and the caller's result of it.
pub(super) enum WriteDecision<O, T = ()> {
    /// Writes nothing.
    Keep(T),
    /// Replaces the object.
    Put(Box<O>, T),
    /// Deletes the object; watchers see this last state.
    Delete(Box<O>, T),
}

/// A [`WriteDecision`] without its types.
enum EncodedWrite {
    Keep,
    Put(UnversionedObject),
    Delete(UnversionedObject),
}

/// The object store, or a dry run against it.
pub(super) struct Storage {
    objects: Arc<ObjectStore>,
    /// Whether commits are checked but not performed.
    dry_run: bool,
}

impl Storage {
    pub fn new(objects: Arc<ObjectStore>) -> Storage {
        Storage { objects, dry_run: false }
    }

    /// Returns the same storage, without its writes.
    pub fn for_dry_run(&self) -> Storage {
        Storage { objects: self.objects.clone(), dry_run: true }
    }

    pub fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    /// Returns the underlying store, for reads.
    pub fn objects(&self) -> &Arc<ObjectStore> {
        &self.objects
    }

    /// Returns the result of a write once it is decided: what it is based on, and what it stored, is durable.
    ///
    /// # Errors
    /// 507 `InsufficientStorage` if that fails.
    pub async fn settle<T>(
        &self,
        result: Result<T, Status>,
        revision: impl FnOnce(&T) -> Revision,
    ) -> Result<T, Status> {
        let settled = match &result {
            Ok(stored) => self.objects.wait_until_visible(revision(stored)).await,
            // The object that forbids the write may be one that waits for the disk.
            Err(_) => self.objects.wait_until_settled().await,
        };
        settled.map_err(unwritable)?;
        result
    }

    /// Returns the object at `key`, or 404 `NotFound`.
    pub fn get(&self, key: &Key) -> Result<Arc<Object>, Status> {
        self.objects.get(key).ok_or_else(|| not_found(key))
    }

    /// Stores a new object, or returns 409 `AlreadyExists`.
    pub fn create<O: Strategy>(&self, object: O) -> Result<Arc<Object>, Status> {
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        let key = Key::new(Resource::of::<O>(), &text(&object.metadata().namespace), &text(&object.metadata().name));
        self.create_encoded(key, encode(object)?)
    }

    fn create_encoded(&self, key: Key, object: UnversionedObject) -> Result<Arc<Object>, Status> {
        check_size(&key, &object)?;
        let durability = durability_of(&key);
        match self.commit(Operation::Put { key, precondition: Precondition::Absent, object }, durability)? {
            Ok(stored) => Ok(stored),
            Err(CommitError::Exists(key)) => Err(Status::already_exists(&key.resource.qualified_name(), &key.name)),
            Err(error) => Err(Status::internal(error)),
        }
    }

    /// Reads the object, lets `try_update` decide and commits; starts again if another writer was faster.
    pub fn guaranteed_update<O: Strategy, T>(
        &self,
        key: &Key,
        preconditions: &Preconditions,
        try_update: impl Fn(&O) -> Result<WriteDecision<O, T>, Status>,
    ) -> Result<(T, Arc<Object>), Status> {
        self.guaranteed_update_with(durability_of(key), key, preconditions, try_update)
    }

    /// As [`guaranteed_update`](Storage::guaranteed_update), with another durability than other updates of the kind.
    pub fn guaranteed_update_with<O: Strategy, T>(
        &self,
        durability: Durability,
        key: &Key,
        preconditions: &Preconditions,
        try_update: impl Fn(&O) -> Result<WriteDecision<O, T>, Status>,
    ) -> Result<(T, Arc<Object>), Status> {
        let mut decided = None;
        let stored = self.guaranteed_update_encoded(durability, key, &mut |current| {
            let object = current.decode::<O>().map_err(Status::internal)?;
            preconditions::check(preconditions, key, current, object.metadata())?;
            let (write, result) = match try_update(&object)? {
                WriteDecision::Keep(result) => (EncodedWrite::Keep, result),
                WriteDecision::Put(next, result) => (EncodedWrite::Put(encode(*next)?), result),
                WriteDecision::Delete(last, result) => (EncodedWrite::Delete(encode(*last)?), result),
            };
            decided = Some(result);
            Ok(write)
        })?;
        let result = decided.ok_or_else(|| Status::internal("an update was not decided"))?;
        Ok((result, stored))
    }

    /// The part of [`guaranteed_update`](Storage::guaranteed_update) that is the same for all types.
    fn guaranteed_update_encoded(
        &self,
        durability: Durability,
        key: &Key,
        try_update: &mut dyn FnMut(&Object) -> Result<EncodedWrite, Status>,
    ) -> Result<Arc<Object>, Status> {
        for _ in 0..MAX_ATTEMPTS {
            let current = self.objects.get_for_update(key).ok_or_else(|| not_found(key))?;
            let (key, revision) = (key.clone(), current.revision);
            let operation = match try_update(&current)? {
                EncodedWrite::Keep => return Ok(current),
                EncodedWrite::Put(object) if object.has_content_of(&current) => return Ok(current),
                EncodedWrite::Put(object) => {
                    check_size(&key, &object)?;
                    Operation::Put { key, precondition: Precondition::At(revision), object }
                }
                EncodedWrite::Delete(last_state) => Operation::Delete { key, expected_revision: revision, last_state },
            };
            match self.commit(operation, durability)? {
                Ok(stored) => return Ok(stored),
                Err(CommitError::Modified(_)) => continue,
                Err(CommitError::Gone(key)) => return Err(not_found(&key)),
                Err(error @ CommitError::Exists(_)) => return Err(Status::internal(error)),
            }
        }
        Err(preconditions::conflict(key, OPTIMISTIC_LOCK_ERROR))
    }

    fn commit(&self, operation: Operation, durability: Durability) -> Result<Result<Arc<Object>, CommitError>, Status> {
        if self.dry_run {
            return Ok(self.objects.dry_run_commit(operation));
        }
        match self.objects.commit(vec![operation], durability) {
            Ok(mut stored) => stored.pop().map(Ok).ok_or_else(|| Status::internal("the store returned no object")),
            Err(error) => Ok(Err(error)),
        }
    }
}

/// Returns how durable a write is of what is not a pod's status.
fn durability_of(key: &Key) -> Durability {
    if key.resource == Resource::EVENTS {
        return Durability::Delayed;
    }
    // A lease is worth nothing to the next life of its node.
    let is_node_lease = key.resource == Resource::of::<Lease>() && &*key.namespace == NODE_LEASE_NAMESPACE;
    if is_node_lease { Durability::Piggybacked } else { Durability::Durable }
}

fn unwritable(failure: StorageFailure) -> Status {
    match failure {
        StorageFailure::Closed => Status::new(Reason::ServiceUnavailable, failure.to_string()),
        StorageFailure::Unwritable(_) => {
            let message =
                format!("{failure}; nothing was changed: free space on its file system, or repair it, and retry");
            Status::new(Reason::InsufficientStorage, message).with_retry_after(1)
        }
    }
}

fn check_size(key: &Key, object: &UnversionedObject) -> Result<(), Status> {
    let size = object.size();
    if size <= MAX_OBJECT_BYTES {
        return Ok(());
    }
    let kind = key.resource.kind();
    let message =
        format!("{kind} {key} is too large to store: it has {size} bytes as JSON, limit is {MAX_OBJECT_BYTES}");
    Err(Status::new(Reason::RequestEntityTooLarge, message))
}

fn encode<O: Strategy>(mut object: O) -> Result<UnversionedObject, Status> {
    // The commit assigns the new revision.
    object.metadata_mut().resource_version = None;
    object.encode().map_err(Status::internal)
}

pub(super) fn not_found(key: &Key) -> Status {
    Status::not_found(&key.resource.qualified_name(), &key.name)
}
