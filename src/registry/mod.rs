//! Turns requests into stored objects: identity, defaults, validation, update rules, deletion.
//!
//! Implements [`ControlPlane`] over the store. What Kubernetes' API server does between a
//! request and etcd happens here; HTTP is `apiserver`'s, decisions about running are `lifecycle`'s.

pub mod admission;
mod change;
pub mod config_map;
mod difference;
pub mod field_support;
mod fields;
pub mod identity;
mod metadata;
mod patch;
pub mod pod;
mod reads;
pub mod secret;
mod strategy;

pub use patch::keys as merge;

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use k8s_openapi::api::core::v1::Pod;

use self::change::Decision;
use self::pod::Deletion;
use crate::clock::Clock;
use crate::control::{
    Body, ControlPlane, DeleteOptions, DeleteResult, Key, List, Object, Preconditions, Reason, Resource, Revision,
    Scope, Status, Subresource, Update, WatchStream,
};
use crate::store::ObjectStore;

/// The control plane of this process.
pub struct Registry {
    store: Arc<ObjectStore>,
    clock: Clock,
    admission: admission::AdmissionSettings,
    /// Whether commits are only rehearsed.
    dry_run_only: bool,
}

impl Registry {
    /// A registry over `store`.
    pub fn new(store: Arc<ObjectStore>, clock: Clock) -> Registry {
        Registry { store, clock, admission: admission::AdmissionSettings::default(), dry_run_only: false }
    }

    /// The registry, with these settings of admission.
    #[must_use]
    pub fn admitting(self, admission: admission::AdmissionSettings) -> Registry {
        Registry { admission, ..self }
    }

    fn stored(&self, key: &Key) -> Result<Arc<Object>, Status> {
        self.store.get(key).ok_or_else(|| change::not_found(key))
    }

    fn create_pod(&self, pod: Pod) -> Result<Arc<Object>, Status> {
        self.store_new(Resource::PODS, pod::prepare(pod, &self.admission, self.clock.now().wall)?)
    }

    fn update_pod(&self, key: &Key, update: Update, preconditions: &Preconditions) -> Result<Arc<Object>, Status> {
        let changed = self.change(key, preconditions, |current| match &update {
            Update::PodStatus(status) => Ok(pod::with_status(current, status)),
            Update::Bind { node } => pod::bound_to(current, node, self.clock.now().wall)
                .map_err(|why| Status::conflict("pods/binding", &key.name, why)),
            Update::Replace { body: Body::Pod(pod), subresource } => {
                let mut new = (**pod).clone();
                identity::check_same(&current.metadata, &mut new.metadata)?;
                change::check_stated_uid(key, &current.metadata, &new.metadata)?;
                replaced(key, current, new, *subresource)
            }
            Update::Replace { .. } => {
                Err(Status::new(Reason::BadRequest, format!("{key} is a pod: only a pod takes its place")))
            }
            Update::Patch { patch, subresource } => {
                let patched = patch::apply(key.resource.kind, current, patch)?;
                replaced(key, current, patched, *subresource)
            }
        })?;
        Ok(changed.1)
    }

    fn delete_pod(&self, key: &Key, options: &DeleteOptions) -> Result<DeleteResult, Status> {
        let now = self.clock.now().wall;
        let deletion = |current: &Pod| {
            change::check_deletion(&options.preconditions, key, &current.metadata)?;
            Ok(pod::deletion(current, options.grace_seconds, now))
        };
        loop {
            let (step, object) = self.change(key, &Preconditions::default(), deletion)?;
            match step {
                Deletion::Marked => return Ok(DeleteResult::Marked(object)),
                Deletion::Free if self.dry_run_only => return Ok(DeleteResult::Removed(object)),
                Deletion::Free => {}
                Deletion::Gone => return Ok(DeleteResult::Removed(object)),
            }
        }
    }
}

/// `new` in the place of `current`, if it was made of this very state of it.
fn replaced(key: &Key, current: &Pod, new: Pod, subresource: Subresource) -> Result<Decision<()>, Status> {
    change::check_stated_revision(key, &current.metadata, &new.metadata)?;
    Ok(pod::put_or_end(current, pod::replaced(current, new, subresource)?))
}

impl ControlPlane for Registry {
    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Arc<Object>, Status>> {
        std::future::ready(self.stored(key)).boxed()
    }

    fn list<'a>(&'a self, scope: &'a Scope) -> BoxFuture<'a, Result<List, Status>> {
        std::future::ready(Ok(reads::list(&self.store, scope))).boxed()
    }

    fn list_at<'a>(&'a self, scope: &'a Scope, at: Revision) -> BoxFuture<'a, Result<List, Status>> {
        std::future::ready(reads::list_at(&self.store, scope, at)).boxed()
    }

    fn watch<'a>(&'a self, scope: &'a Scope, from: Revision) -> BoxFuture<'a, Result<WatchStream, Status>> {
        std::future::ready(reads::watch(&self.store, scope, from)).boxed()
    }

    fn revision(&self) -> BoxFuture<'_, Result<Revision, Status>> {
        std::future::ready(Ok(self.store.revision())).boxed()
    }

    fn create(&self, body: Body) -> BoxFuture<'_, Result<Arc<Object>, Status>> {
        let created = match body {
            Body::Pod(pod) => self.create_pod(*pod),
            other => strategy::create(self, other),
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
            _ => strategy::update(self, key, update, &preconditions),
        };
        std::future::ready(updated).boxed()
    }

    fn delete<'a>(&'a self, key: &'a Key, options: DeleteOptions) -> BoxFuture<'a, Result<DeleteResult, Status>> {
        let deleted = match key.resource {
            Resource::PODS => self.delete_pod(key, &options),
            _ => strategy::delete(self, key, &options),
        };
        std::future::ready(deleted).boxed()
    }

    fn dry_run(&self) -> Arc<dyn ControlPlane> {
        let Registry { store, clock, admission, .. } = self;
        Arc::new(Registry { store: store.clone(), clock: *clock, admission: *admission, dry_run_only: true })
    }
}

#[cfg(test)]
mod golden;
#[cfg(test)]
mod object_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod update_tests;
