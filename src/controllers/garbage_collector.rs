//! The garbage collector: deletes objects whose owners are gone (Kubernetes' `pkg/controller/garbagecollector`).
//!
//! An object names its owners by UID in `metadata.ownerReferences`. When none of them exists any longer, the object is
//! deleted. The finalizers `foregroundDeletion` and `orphan`, which a deletion sets on request, are this controller's: an
//! owner with the first one is removed after the dependents that block it, and an owner with the second one after its
//! dependents have lost their reference to it.
//!
//! Its memory grows with the objects that have owner references, not with all.

mod decision;
mod graph;
mod owners;

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use self::decision::Action;
use self::graph::Graph;
use self::owners::OwnerResolver;
use super::object_metadata::ObjectMetadata;
use super::runner::{Controller, Runner};
use super::work_queue::WorkQueue;
use crate::clock::Clock;
use crate::control::{
    ChangeKind, ControlPlane, DeleteOptions, FieldValidation, Key, Object, Patch, PatchKind, Preconditions, Reason,
    Resource, Status, Subresource, Update,
};
use crate::events::Recorder;
use crate::lifecycle::MonoTime;
use crate::registry::kinds::KINDS;

/// Deletes objects whose owners are gone.
pub struct GarbageCollector {
    /// The control plane of the objects.
    pub control: Arc<dyn ControlPlane>,
    /// The time of retries.
    pub clock: Clock,
    /// Records an `OwnerRefInvalidNamespace` event for an object whose owner is in another namespace.
    pub recorder: Recorder,
}

impl GarbageCollector {
    /// Collects garbage until cancelled.
    pub async fn run(self) {
        let GarbageCollector { control, clock, recorder } = self;
        let stored = KINDS.iter().filter(|kind| kind.info().verbs.contains(&"list"));
        let resources = stored.map(|kind| kind.resource()).filter(has_owners).collect();
        let owners = OwnerResolver::new(control.clone(), recorder);
        let collector = Collector { control: control.clone(), graph: Graph::default(), owners };
        Runner::new(control, clock, resources, collector).run().await;
    }
}

/// Returns whether objects of the kind take part. Events come in large numbers, expire, and are never owned (Kubernetes
/// ignores them, too).
fn has_owners(resource: &Resource) -> bool {
    *resource != Resource::EVENTS
}

/// The garbage collector's view of the objects.
struct Collector {
    control: Arc<dyn ControlPlane>,
    graph: Graph,
    owners: OwnerResolver,
}

impl Controller for Collector {
    type Key = Key;
    const SETTLE_DELAY: Duration = Duration::from_millis(20);

    fn reset(&mut self) {
        self.graph = Graph::default();
    }

    fn observe(&mut self, kind: ChangeKind, object: &Object, queue: &mut WorkQueue<Key>, now: MonoTime) {
        if !has_owners(&object.key.resource) {
            return;
        }
        let Some(metadata) = ObjectMetadata::of(object) else { return };
        if kind == ChangeKind::Deleted && self.graph.has_dependents(&metadata.uid) {
            self.owners.add_absent(&object.key.resource, &metadata.uid);
        }
        for key in self.graph.observe(kind, &object.key, &metadata) {
            queue.add(key, now);
        }
    }

    async fn reconcile(&mut self, key: &Key) -> Result<(), Status> {
        let object = match self.control.get(key).await {
            Ok(object) => object,
            Err(status) if status.reason == Reason::NotFound => return Ok(()),
            Err(status) => return Err(status),
        };
        let Some(metadata) = ObjectMetadata::of(&object) else { return Ok(()) };
        let mut owners = Vec::new();
        if !metadata.is_deleted() {
            for reference in &metadata.owner_references {
                owners.push(self.owners.state(key, &metadata.uid, reference).await?);
            }
        }
        let dependents = self.graph.dependent_states(&metadata.uid);
        let actions = decision::reconcile(&metadata, &owners, &dependents);
        let mut latest = object;
        for action in actions {
            match self.perform(&latest, &metadata.uid, action).await {
                Ok(Some(changed)) => latest = changed,
                Ok(None) => {}
                Err(status) if status.reason == Reason::NotFound => return Ok(()),
                Err(status) => return Err(status),
            }
        }
        Ok(())
    }
}

impl Collector {
    /// Performs an action on the object as it was read. Returns the object's new state.
    async fn perform(&self, object: &Object, uid: &str, action: Action) -> Result<Option<Arc<Object>>, Status> {
        match action {
            Action::SetOwners(owners) => {
                self.patch(object, uid, "ownerReferences", json!(owners), owners.is_empty()).await.map(Some)
            }
            Action::SetFinalizers(finalizers) => {
                self.patch(object, uid, "finalizers", json!(finalizers), finalizers.is_empty()).await.map(Some)
            }
            Action::OrphanDependents => self.orphan_dependents(uid).await.map(|()| None),
            Action::Delete(propagation) => {
                tracing::debug!(?object, ?propagation, "deleting an object whose owners are gone");
                let preconditions = unchanged(object, uid);
                let options =
                    DeleteOptions { propagation: Some(propagation), preconditions, ..DeleteOptions::default() };
                self.control.delete(&object.key, options).await.map(|_| None)
            }
        }
    }

    /// Removes the owner references to the object with this UID from all dependents.
    async fn orphan_dependents(&self, uid: &str) -> Result<(), Status> {
        for key in self.graph.dependents_of(uid) {
            match self.orphan(key, uid).await {
                Err(status) if status.reason != Reason::NotFound => return Err(status),
                _ => {}
            }
        }
        Ok(())
    }

    async fn orphan(&self, key: &Key, owner: &str) -> Result<(), Status> {
        let object = self.control.get(key).await?;
        let Some(metadata) = ObjectMetadata::of(&object) else { return Ok(()) };
        let mut owners = metadata.owner_references;
        owners.retain(|reference| reference.uid != owner);
        self.patch(&object, &metadata.uid, "ownerReferences", json!(owners), owners.is_empty()).await.map(drop)
    }

    /// Replaces one field of the metadata, or removes it.
    async fn patch(
        &self,
        object: &Object,
        uid: &str,
        field: &str,
        value: serde_json::Value,
        remove: bool,
    ) -> Result<Arc<Object>, Status> {
        let value = if remove { serde_json::Value::Null } else { value };
        let patch = Patch {
            kind: PatchKind::Merge,
            body: json!({"metadata": {field: value}}).to_string().into_bytes(),
            field_validation: FieldValidation::Ignore,
        };
        let update = Update::Patch { patch, subresource: Subresource::Main };
        self.control.update(&object.key, update, unchanged(object, uid)).await
    }
}

/// Requires that the object is as it was read.
fn unchanged(object: &Object, uid: &str) -> Preconditions {
    Preconditions { uid: Some(uid.into()), revision: Some(object.revision.to_string()) }
}

#[cfg(test)]
mod tests;
