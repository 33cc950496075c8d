//! Turns requests into stored objects: identity, defaults, admission, validation, update rules, deletion.
//!
//! Implements [`ControlPlane`] over the store and covers what Kubernetes' API server does between HTTP and etcd. HTTP
//! belongs to `apiserver`, decisions about running pods to `lifecycle`.

pub mod admission;
pub mod config_map;
mod diff;
pub mod field_support;
mod fields;
pub mod identity;
mod metadata;
mod patch;
pub mod pod;
mod preconditions;
mod reads;
pub mod secret;
mod storage;
mod strategy;

pub use patch::merge_keys;

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use k8s_openapi::api::core::v1::Pod;

use self::pod::DeletionStep;
use self::storage::{Storage, WriteDecision};
use crate::clock::Clock;
use crate::control::{
    Body, ControlPlane, DeleteOptions, DeleteResult, Key, List, Object, Preconditions, Reason, Resource, Revision,
    Scope, Status, Subresource, Update, WatchStream,
};
use crate::store::ObjectStore;

/// The control plane of this process.
pub struct Registry {
    storage: Storage,
    clock: Clock,
    admission: admission::AdmissionSettings,
}

impl Registry {
    /// Creates a registry over `store`.
    pub fn new(store: Arc<ObjectStore>, clock: Clock) -> Registry {
        Registry { storage: Storage::new(store), clock, admission: admission::AdmissionSettings::default() }
    }

    /// Replaces the admission settings.
    #[must_use]
    pub fn with_admission(self, admission: admission::AdmissionSettings) -> Registry {
        Registry { admission, ..self }
    }

    fn create_pod(&self, pod: Pod) -> Result<Arc<Object>, Status> {
        let pod = pod::before_create_with(pod, &self.admission, self.clock.now().wall)?;
        self.storage.create(Resource::PODS, pod)
    }

    fn update_pod(&self, key: &Key, update: Update, preconditions: &Preconditions) -> Result<Arc<Object>, Status> {
        let (_, stored) = self.storage.guaranteed_update(key, preconditions, |current| match &update {
            Update::PodStatus(status) => Ok(pod::replace_status(current, status)),
            Update::Bind { node } => pod::bind(current, node, self.clock.now().wall)
                .map_err(|error| Status::conflict("pods/binding", &key.name, error)),
            Update::Replace { body: Body::Pod(pod), subresource } => {
                let mut new = (**pod).clone();
                identity::check_name_and_namespace(&current.metadata, &mut new.metadata)?;
                preconditions::check_uid(key, &current.metadata, &new.metadata)?;
                replace_pod(key, current, new, *subresource)
            }
            Update::Replace { .. } => {
                Err(Status::new(Reason::BadRequest, format!("{key} is a pod: the request holds another kind")))
            }
            Update::Patch { patch, subresource } => {
                let patched = patch::apply(key.resource.kind, current, patch)?;
                replace_pod(key, current, patched, *subresource)
            }
        })?;
        Ok(stored)
    }

    fn delete_pod(&self, key: &Key, options: &DeleteOptions) -> Result<DeleteResult, Status> {
        let now = self.clock.now().wall;
        let try_delete = |current: &Pod| {
            preconditions::check_for_delete(&options.preconditions, key, &current.metadata)?;
            Ok(pod::before_delete(current, options.grace_seconds, now))
        };
        let mut ready_to_remove = None;
        loop {
            let (step, object) = match self.storage.guaranteed_update(key, &Preconditions::default(), try_delete) {
                Ok(updated) => updated,
                // The node may remove the pod between the two steps of this deletion.
                Err(status) if status.reason == Reason::NotFound => {
                    return ready_to_remove.map(DeleteResult::Removed).ok_or(status);
                }
                Err(status) => return Err(status),
            };
            match step {
                DeletionStep::Marked => return Ok(DeleteResult::Marked(object)),
                // A dry run stores no mark, so the next step would be this one again.
                DeletionStep::ReadyToRemove if self.storage.is_dry_run() => return Ok(DeleteResult::Removed(object)),
                DeletionStep::ReadyToRemove => ready_to_remove = Some(object),
                DeletionStep::Removed => return Ok(DeleteResult::Removed(object)),
            }
        }
    }
}

/// Decides on `new` in place of `current`; its `resourceVersion`, if set, must be the current one.
fn replace_pod(key: &Key, current: &Pod, new: Pod, subresource: Subresource) -> Result<WriteDecision<Pod>, Status> {
    preconditions::check_resource_version(key, &current.metadata, &new.metadata)?;
    Ok(pod::put_or_delete(current, pod::before_update(current, new, subresource)?))
}

impl ControlPlane for Registry {
    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Arc<Object>, Status>> {
        std::future::ready(self.storage.get(key)).boxed()
    }

    fn list<'a>(&'a self, scope: &'a Scope) -> BoxFuture<'a, Result<List, Status>> {
        std::future::ready(Ok(reads::list(self.storage.objects(), scope))).boxed()
    }

    fn list_at<'a>(&'a self, scope: &'a Scope, revision: Revision) -> BoxFuture<'a, Result<List, Status>> {
        std::future::ready(reads::list_at(self.storage.objects(), scope, revision)).boxed()
    }

    fn watch<'a>(&'a self, scope: &'a Scope, from: Revision) -> BoxFuture<'a, Result<WatchStream, Status>> {
        std::future::ready(reads::watch(self.storage.objects(), scope, from)).boxed()
    }

    fn revision(&self) -> BoxFuture<'_, Result<Revision, Status>> {
        std::future::ready(Ok(self.storage.objects().revision())).boxed()
    }

    fn create(&self, body: Body) -> BoxFuture<'_, Result<Arc<Object>, Status>> {
        let created = match body {
            Body::Pod(pod) => self.create_pod(*pod),
            other => strategy::create(&self.storage, other, self.clock.now().wall),
        };
        std::future::ready(created).boxed()
    }

    fn update<'a>(
        &'a self,
        key: &'a Key,
        update: Update,
        preconditions: Preconditions,
    ) -> BoxFuture<'a, Result<Arc<Object>, Status>> {
        let updated = match key.resource {
            Resource::PODS => self.update_pod(key, update, &preconditions),
            _ => strategy::update(&self.storage, key, update, &preconditions),
        };
        std::future::ready(updated).boxed()
    }

    fn delete<'a>(&'a self, key: &'a Key, options: DeleteOptions) -> BoxFuture<'a, Result<DeleteResult, Status>> {
        let deleted = match key.resource {
            Resource::PODS => self.delete_pod(key, &options),
            _ => strategy::delete(&self.storage, key, &options, self.clock.now().wall),
        };
        std::future::ready(deleted).boxed()
    }

    fn dry_run(&self) -> Arc<dyn ControlPlane> {
        let Registry { storage, clock, admission } = self;
        Arc::new(Registry { storage: storage.for_dry_run(), clock: *clock, admission: *admission })
    }
}

#[cfg(test)]
mod golden_tests;
#[cfg(test)]
mod object_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod update_tests;
