//! The control plane as its clients see it: objects, revisions, watches.
//!
//! `registry` implements [`ControlPlane`] over the store; `node`, `controllers` and `cli` use
//! it through this trait alone, so that a real cluster can stand behind it as well.

mod body;
mod object;
mod patch;
mod status;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use k8s_openapi::api::core::v1::PodStatus;

use crate::model::selector::{FieldSelector, Selector};

pub use body::Body;
pub use object::{Key, Object, Resource, UnversionedObject};
pub use patch::{FieldValidation, Patch, PatchKind, Warnings};
pub use status::{Cause, Details, Reason, Status};

/// A state of the whole store; `resourceVersion` in the API. Later states have larger numbers.
pub type Revision = u64;

/// What a list or a watch looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The kind of objects.
    pub resource: Resource,
    /// One namespace, or all.
    pub namespace: Option<String>,
    /// Only objects with such labels.
    pub labels: Selector,
    /// Only objects with such fields.
    pub fields: FieldSelector,
}

impl Scope {
    /// Every object of a kind.
    pub fn all(resource: Resource) -> Scope {
        Scope { resource, namespace: None, labels: Selector::default(), fields: FieldSelector::default() }
    }

    /// What of the scope lies in `namespace`.
    #[must_use]
    pub fn in_namespace(self, namespace: &str) -> Scope {
        Scope { namespace: Some(namespace.into()), ..self }
    }

    /// Whether neither labels nor fields narrow it.
    pub fn is_unfiltered(&self) -> bool {
        self.labels.is_everything() && self.fields.is_everything()
    }
}

/// Objects at one revision, in the order of their keys.
#[derive(Debug, Clone)]
pub struct List {
    /// All objects of the scope.
    pub items: Vec<Arc<Object>>,
    /// The revision of the whole list; a watch from here misses nothing.
    pub revision: Revision,
}

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// It was not there before.
    Added,
    /// It stands in the place of an older state of itself.
    Modified,
    /// It is gone.
    Deleted,
}

/// What a watch delivers.
#[derive(Debug, Clone)]
pub enum WatchEvent {
    /// An object as the change left it; after `Deleted`, as it last was.
    Change(ChangeKind, Arc<Object>),
    /// Nothing up to this revision is missing.
    Bookmark(Revision),
}

/// Ends with an error when the watcher fell behind what the store remembers (410 `Expired`).
pub type WatchStream = BoxStream<'static, Result<WatchEvent, Status>>;

/// The part of an object that a request is about; the rest stays as it is, whatever the request says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Subresource {
    /// All but the status.
    #[default]
    None,
    /// `status`: what is observed.
    Status,
    /// `resize`: the resources of containers that run.
    Resize,
    /// `ephemeralcontainers`: guests for debugging.
    EphemeralContainers,
}

/// A change to an object that exists.
#[derive(Debug, Clone)]
pub enum Update {
    /// The node's report; nothing but the status changes. The way for whoever writes often.
    PodStatus(Box<PodStatus>),
    /// An object to stand in the old one's place (PUT).
    Replace {
        /// The object; a `resourceVersion` in it must be the stored one's.
        body: Body,
        /// What of it counts.
        subresource: Subresource,
    },
    /// Changes to the object's JSON (PATCH).
    Patch {
        /// The changes.
        patch: Patch,
        /// What of them counts.
        subresource: Subresource,
    },
    /// The scheduler's decision (`pods/binding`).
    Bind {
        /// The node's name. A pod that is bound already is refused with 409 `Conflict`.
        node: String,
    },
}

/// What must be true of the object for a request to go ahead.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preconditions {
    /// Its `metadata.uid`; another one is refused with 409 `Conflict`, `None` takes any.
    pub uid: Option<String>,
    /// Its `metadata.resourceVersion`, as clients write it; another one is refused with 409 `Conflict`, `None` takes any.
    pub revision: Option<String>,
}

/// How to delete.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    /// Seconds to end in; the object's own wish where `None`.
    pub grace_seconds: Option<i64>,
    /// What must be true of the object, or nothing is deleted.
    pub preconditions: Preconditions,
}

/// What became of a deletion.
#[derive(Debug, Clone)]
pub enum DeleteResult {
    /// Marked; its node ends it and deletes it for good.
    Marked(Arc<Object>),
    /// Gone.
    Removed(Arc<Object>),
}

/// The Kubernetes API's verbs. Every answer is a stored object or a [`Status`].
pub trait ControlPlane: Send + Sync + 'static {
    /// The object at `key`, or 404 `NotFound`.
    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Arc<Object>, Status>>;

    /// All objects of `scope`, at one revision.
    fn list<'a>(&'a self, scope: &'a Scope) -> BoxFuture<'a, Result<List, Status>>;

    /// All objects of `scope` as they were at revision `at`; 410 `Expired` where nobody remembers.
    fn list_at<'a>(&'a self, scope: &'a Scope, at: Revision) -> BoxFuture<'a, Result<List, Status>>;

    /// Changes after `from`, in order, each once. An object that a change brings into the scope is
    /// added, one that a change takes out of it is deleted.
    fn watch<'a>(&'a self, scope: &'a Scope, from: Revision) -> BoxFuture<'a, Result<WatchStream, Status>>;

    /// The newest revision there is.
    fn revision(&self) -> BoxFuture<'_, Result<Revision, Status>>;

    /// Stores a new object with identity and defaults.
    fn create(&self, body: Body) -> BoxFuture<'_, Result<Arc<Object>, Status>>;

    /// Changes an object and returns it as it is stored then; an update that says nothing new stores
    /// nothing. 404 `NotFound` where there is none, 409 `Conflict` where the preconditions or the
    /// object's state forbid it.
    fn update<'a>(
        &'a self,
        key: &'a Key,
        update: Update,
        preconditions: Preconditions,
    ) -> BoxFuture<'a, Result<Arc<Object>, Status>>;

    /// Marks an object for its node to end, or removes it at once where no node has work with it.
    /// 404 `NotFound` where there is none, 409 `Conflict` where the preconditions do not hold.
    fn delete<'a>(&'a self, key: &'a Key, options: DeleteOptions) -> BoxFuture<'a, Result<DeleteResult, Status>>;

    /// The same control plane for requests that are only tried (`dryRun=All`): they are judged and answered as
    /// ever, and nothing is stored. A new object's answer has no revision.
    fn dry_run(&self) -> Arc<dyn ControlPlane>;
}
