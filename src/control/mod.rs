//! The control plane's interface: objects, revisions, watches and the [`ControlPlane`] trait.
//!
//! `registry` implements [`ControlPlane`] over the store. `node`, `controllers`, `embedded` and `cli` depend on the
//! trait alone, so that a real cluster can take the registry's place.

mod api;
mod body;
mod object;
mod patch;
mod resource;
mod status;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use k8s_openapi::api::core::v1::PodStatus;

use crate::model::selector::{FieldSelector, Selector};

pub use api::Api;
pub use body::Body;
pub use object::{Key, Object, UnversionedObject};
pub use patch::{FieldValidation, Patch, PatchKind, Warnings};
pub use resource::Resource;
pub use status::{Cause, Details, Reason, Status};

/// The number of a state of the whole store (`resourceVersion` in the API). Later states have larger numbers.
pub type Revision = u64;

/// The objects that a list or a watch covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The kind of object.
    pub resource: Resource,
    /// The namespace; `None` covers all.
    pub namespace: Option<String>,
    /// The label selector.
    pub labels: Selector,
    /// The field selector.
    pub fields: FieldSelector,
}

impl Scope {
    /// Covers every object of a kind.
    pub fn all(resource: Resource) -> Scope {
        Scope { resource, namespace: None, labels: Selector::default(), fields: FieldSelector::default() }
    }

    /// Restricts the scope to `namespace`.
    #[must_use]
    pub fn in_namespace(self, namespace: &str) -> Scope {
        Scope { namespace: Some(namespace.into()), ..self }
    }

    /// Returns whether no label or field selector restricts the scope.
    pub fn is_unfiltered(&self) -> bool {
        self.labels.is_everything() && self.fields.is_everything()
    }
}

/// Objects at one revision, ordered by key.
#[derive(Debug, Clone)]
pub struct List {
    /// The objects of the scope.
    pub items: Vec<Arc<Object>>,
    /// The revision of the list; a watch from this revision misses nothing.
    pub revision: Revision,
}

/// The type of a change to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// The object is new in the scope.
    Added,
    /// The object changed.
    Modified,
    /// The object left the scope.
    Deleted,
}

/// An event of a watch.
#[derive(Debug, Clone)]
pub enum WatchEvent {
    /// The object after the change; its last state for `Deleted`.
    Change(ChangeKind, Arc<Object>),
    /// All changes up to this revision have been delivered.
    Bookmark(Revision),
}

/// A stream of watch events. Ends with 410 `Expired` when the watcher falls behind the store's history.
pub type WatchStream = BoxStream<'static, Result<WatchEvent, Status>>;

/// The part of an object that a request may change; the request's other parts are ignored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Subresource {
    /// The object itself, without its status.
    #[default]
    Main,
    /// `status`: the observed state.
    Status,
    /// `resize`: the resources of running containers.
    Resize,
    /// `ephemeralcontainers`: containers for debugging.
    EphemeralContainers,
    /// `scale`: the number of replicas.
    Scale,
    /// `finalize`: the finalizers of a namespace's spec.
    Finalize,
}

/// A change to an existing object.
#[derive(Debug, Clone)]
pub enum Update {
    /// The node's status report: replaces the status without validation, because nodes write it often.
    PodStatus(Box<PodStatus>),
    /// A new version of the object (PUT).
    Replace {
        /// The object; its `resourceVersion`, if set, must be the stored one.
        body: Body,
        /// The part to replace.
        subresource: Subresource,
    },
    /// A patch of the object's JSON (PATCH).
    Patch {
        /// The patch.
        patch: Patch,
        /// The part to patch.
        subresource: Subresource,
    },
    /// The scheduler's decision (`pods/binding`).
    Bind {
        /// The node's name. Binding a bound pod fails with 409 `Conflict`.
        node: String,
    },
}

/// Conditions that the stored object must meet; a mismatch fails with 409 `Conflict`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preconditions {
    /// The required `metadata.uid`; `None` accepts any.
    pub uid: Option<String>,
    /// The required `metadata.resourceVersion`, as the client wrote it; `None` accepts any.
    pub revision: Option<String>,
}

/// What happens to the objects that a deleted object owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// They are deleted first; the owner waits for them.
    Foreground,
    /// They are deleted after the owner.
    Background,
    /// They stay, and lose their reference to the owner.
    Orphan,
}

/// Options of a deletion.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    /// The grace period in seconds; `None` uses the object's own.
    pub grace_seconds: Option<i64>,
    /// What happens to the objects that the object owns; `None` for the default of its kind.
    pub propagation: Option<Propagation>,
    /// Conditions that the object must meet.
    pub preconditions: Preconditions,
}

/// The result of a deletion.
#[derive(Debug, Clone)]
pub enum DeleteResult {
    /// The object is marked for deletion; its node or a finalizer's owner completes it.
    Marked(Arc<Object>),
    /// The object is deleted; this is its last state.
    Removed(Arc<Object>),
}

/// The verbs of the Kubernetes API. Every request is answered with stored objects or a [`Status`].
pub trait ControlPlane: Send + Sync + 'static {
    /// Returns the object at `key`, or 404 `NotFound`.
    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Arc<Object>, Status>>;

    /// Lists the objects of `scope` at one revision.
    fn list<'a>(&'a self, scope: &'a Scope) -> BoxFuture<'a, Result<List, Status>>;

    /// Lists the objects of `scope` as of `revision`; 410 `Expired` if it has left the history.
    fn list_at<'a>(&'a self, scope: &'a Scope, revision: Revision) -> BoxFuture<'a, Result<List, Status>>;

    /// Streams the changes after `from`, in order, each once. An object that starts to match the scope is `Added`; an
    /// object that stops matching is `Deleted`.
    fn watch<'a>(&'a self, scope: &'a Scope, from: Revision) -> BoxFuture<'a, Result<WatchStream, Status>>;

    /// Streams the changes of all kinds after `from`, in order, each once: for controllers, which a commit then wakes
    /// once, not once per kind.
    fn watch_all(&self, from: Revision) -> BoxFuture<'_, Result<WatchStream, Status>>;

    /// Returns the newest revision.
    fn revision(&self) -> BoxFuture<'_, Result<Revision, Status>>;

    /// Stores a new object, completed with identity and defaults, and returns it.
    fn create(&self, body: Body) -> BoxFuture<'_, Result<Arc<Object>, Status>>;

    /// Changes an object and returns the stored result. An update that changes nothing stores nothing.
    ///
    /// # Errors
    /// 404 `NotFound` if the object does not exist; 409 `Conflict` if the preconditions or its state forbid the change.
    fn update<'a>(
        &'a self,
        key: &'a Key,
        update: Update,
        preconditions: Preconditions,
    ) -> BoxFuture<'a, Result<Arc<Object>, Status>>;

    /// Marks an object for deletion, or removes it at once if no node and no finalizer has to act first.
    ///
    /// # Errors
    /// 404 `NotFound` if the object does not exist; 409 `Conflict` if the preconditions do not hold.
    fn delete<'a>(&'a self, key: &'a Key, options: DeleteOptions) -> BoxFuture<'a, Result<DeleteResult, Status>>;

    /// Returns the same control plane for dry runs (`dryRun=All`): requests are checked and answered as usual, but
    /// nothing is stored. A created object has no revision.
    fn dry_run(&self) -> Arc<dyn ControlPlane>;
}
