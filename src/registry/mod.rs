//! Turns requests into stored objects: identity, defaults, admission, validation, update rules, deletion.
//!
//! Implements [`ControlPlane`] over the store and covers what Kubernetes' API server does between HTTP and etcd. HTTP
//! belongs to `apiserver`, decisions about running pods to `lifecycle`.

mod addresses;
pub mod admission;
mod claims;
pub mod columns;
mod conditions;
mod diff;
pub mod field_support;
mod fields;
mod generic;
pub mod identity;
mod int_or_percent;
pub mod kind;
pub mod kinds;
mod label_selector;
mod metadata;
mod patch;
pub mod pod;
mod preconditions;
mod reads;
mod resource_lists;
pub mod reviews;
mod storage;
pub mod strategy;
pub mod workload;
mod workload_rules;

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;

use self::kind::Kind;
use self::storage::Storage;
use crate::clock::Clock;
use crate::control::{
    Body, ControlPlane, DeleteOptions, DeleteResult, Key, List, Object, Preconditions, Reason, Resource, Revision,
    Scope, Status, Update, WatchStream,
};
use crate::store::ObjectStore;

/// The control plane of this process.
pub struct Registry {
    storage: Storage,
    clock: Clock,
    admission: admission::AdmissionSettings,
    /// Protects the ranges of cluster IPs and node ports: held from reading what the Services have until a Service with
    /// more is stored.
    service_allocation: Mutex<()>,
    token_check: Option<TokenCheck>,
}

/// Attempts at a generated name that is taken (`maxNameGenerationCreateAttempts` in Kubernetes).
const MAX_NAME_ATTEMPTS: usize = 8;

/// Returns whether a bearer token is valid, for reviews of tokens.
pub type TokenCheck = Arc<dyn Fn(&str) -> bool + Send + Sync>;

impl Registry {
    /// Creates a registry over `store`.
    pub fn new(store: Arc<ObjectStore>, clock: Clock) -> Registry {
        Registry {
            storage: Storage::new(store),
            clock,
            admission: admission::AdmissionSettings::default(),
            service_allocation: Mutex::new(()),
            token_check: None,
        }
    }

    /// Sets the check of tokens in reviews; without it, no token is valid.
    #[must_use]
    pub fn with_token_check(self, token_check: Option<TokenCheck>) -> Registry {
        Registry { token_check, ..self }
    }

    /// Replaces the admission settings.
    #[must_use]
    pub fn with_admission(self, admission: admission::AdmissionSettings) -> Registry {
        Registry { admission, ..self }
    }

    /// Stores a new object; one with a generated name again if the name is taken.
    fn create_object(&self, kind: &dyn Kind, body: Body) -> Result<Arc<Object>, Status> {
        let has_value = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        let meta = body.metadata();
        if has_value(&meta.name) || !has_value(&meta.generate_name) {
            return kind.create(self, body);
        }
        for _ in 1..MAX_NAME_ATTEMPTS {
            match kind.create(self, body.clone()) {
                Err(status) if status.reason == Reason::AlreadyExists => {}
                created => return created,
            }
        }
        kind.create(self, body)
    }

    /// Returns the kind of `resource`, or 404 `NotFound` for objects that are not stored here.
    fn kind(resource: &Resource) -> Result<&'static dyn Kind, Status> {
        let unknown = || Status::new(Reason::NotFound, format!("{resource:?} are not served"));
        kinds::of(resource).ok_or_else(unknown)
    }
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

    fn watch_all(&self, from: Revision) -> BoxFuture<'_, Result<WatchStream, Status>> {
        std::future::ready(reads::watch_all(self.storage.objects(), from)).boxed()
    }

    fn revision(&self) -> BoxFuture<'_, Result<Revision, Status>> {
        std::future::ready(Ok(self.storage.objects().revision())).boxed()
    }

    fn create(&self, body: Body) -> BoxFuture<'_, Result<Arc<Object>, Status>> {
        async move {
            let created = Registry::kind(body.resource()).and_then(|kind| self.create_object(kind, body));
            self.storage.settle(created, |object| object.revision).await
        }
        .boxed()
    }

    fn update<'a>(
        &'a self,
        key: &'a Key,
        update: Update,
        preconditions: Preconditions,
    ) -> BoxFuture<'a, Result<Arc<Object>, Status>> {
        async move {
            let updated = Registry::kind(&key.resource).and_then(|kind| kind.update(self, key, update, &preconditions));
            self.storage.settle(updated, |object| object.revision).await
        }
        .boxed()
    }

    fn delete<'a>(&'a self, key: &'a Key, options: DeleteOptions) -> BoxFuture<'a, Result<DeleteResult, Status>> {
        async move {
            let deleted = Registry::kind(&key.resource).and_then(|kind| kind.delete(self, key, &options));
            let revision = |deleted: &DeleteResult| match deleted {
                DeleteResult::Marked(object) | DeleteResult::Removed(object) => object.revision,
            };
            self.storage.settle(deleted, revision).await
        }
        .boxed()
    }

    fn dry_run(&self) -> Arc<dyn ControlPlane> {
        let Registry { storage, clock, admission, .. } = self;
        Arc::new(Registry {
            storage: storage.for_dry_run(),
            clock: *clock,
            admission: *admission,
            // A dry run stores nothing, so it has nothing to protect.
            service_allocation: Mutex::new(()),
            token_check: self.token_check.clone(),
        })
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
