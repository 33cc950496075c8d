//! The object store: objects as JSON bytes under keys, with revisions, transactions and a history for watches.
//!
//! The store knows no kinds, labels or fields; of a [`Scope`] it evaluates the resource and the namespace.
//!
//! It promises:
//!
//! - **Atomicity.** A commit applies all of its operations or none.
//! - **Order.** Each operation gets its own revision: the previous one plus one. Commits are serialized;
//!   [`ObjectStore::get`] and [`ObjectStore::list`] see a commit entirely or not at all, and a caller sees
//!   its own commit as soon as it returns.
//! - **Complete watches.** A [`StoreWatch`] delivers each change of its scope exactly once and in
//!   order, or fails with [`RevisionExpired`].
//!
//! An empty store has revision 1. The history is bounded: a watch that falls behind it fails, and its
//! owner lists again. Objects and history are kept in memory only.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::control::{ChangeKind, Key, Object, Revision, Scope, UnversionedObject};

/// The state that a key must have for an operation to be applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precondition {
    /// The key has no object.
    Absent,
    /// The key has an object at this revision.
    At(Revision),
}

/// A change to one key.
#[derive(Debug)]
pub enum Operation {
    /// Creates an object, or replaces the existing one.
    Put {
        /// Key of the object.
        key: Key,
        /// Required state of the key: [`Precondition::Absent`] creates, [`Precondition::At`] replaces.
        precondition: Precondition,
        /// New state of the object; the commit adds its revision.
        object: UnversionedObject,
    },
    /// Removes an object.
    Delete {
        /// Key of the object.
        key: Key,
        /// Revision that the object must have.
        expected_revision: Revision,
        /// State that watches deliver; the commit adds its revision.
        last_state: UnversionedObject,
    },
}

/// The precondition of an operation does not hold.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CommitError {
    /// The key must be absent, and has an object.
    #[error("{0} already exists")]
    Exists(Key),
    /// The object has another revision than the expected one.
    #[error("{0} has been modified")]
    Modified(Key),
    /// The key must have an object, and has none.
    #[error("{0} is gone")]
    Gone(Key),
}

/// The history no longer contains all changes after the requested revision.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("too old resource version: {requested} ({oldest})")]
pub struct RevisionExpired {
    /// Revision that the caller requested.
    pub requested: Revision,
    /// Oldest revision that can still be requested.
    pub oldest: Revision,
}

/// An entry of the history: what one operation did.
#[derive(Debug, Clone)]
pub struct ObjectChange {
    /// Kind of the change.
    pub kind: ChangeKind,
    /// State after the change, at the revision of the change; for a deletion, the last state.
    pub object: Arc<Object>,
    /// State before the change, with which a filtered watch decides whether the object entered or left its scope.
    pub previous: Option<Arc<Object>>,
}

/// The objects of all kinds and the history of their changes, in memory.
pub struct ObjectStore {
    /// Protects the objects and the history, which change together.
    state: Mutex<StoreState>,
    /// The current revision; wakes watches.
    newest: watch::Sender<Revision>,
}

struct StoreState {
    objects: BTreeMap<Key, Arc<Object>>,
    /// The changes with revisions `revision - history.len() + 1 ..= revision`, oldest first.
    history: VecDeque<ObjectChange>,
    max_history: usize,
    revision: Revision,
}

impl ObjectStore {
    /// Returns an empty store that keeps the last `max_history` changes, and at least one.
    pub fn new(max_history: usize) -> Arc<ObjectStore> {
        let max_history = max_history.max(1);
        let state = StoreState { objects: BTreeMap::new(), history: VecDeque::new(), max_history, revision: 1 };
        Arc::new(ObjectStore { state: Mutex::new(state), newest: watch::Sender::new(1) })
    }

    /// Returns the current state of the object at `key`, or `None` if there is none.
    pub fn get(&self, key: &Key) -> Option<Arc<Object>> {
        self.state.lock().objects.get(key).cloned()
    }

    /// Returns all objects of `scope` in the order of their keys, and the revision of this list. Labels and fields of
    /// the scope are ignored.
    pub fn list(&self, scope: &Scope) -> (Vec<Arc<Object>>, Revision) {
        let state = self.state.lock();
        let matching = state.objects_of(scope).map(|(_, object)| object);
        (matching.cloned().collect(), state.revision)
    }

    /// Returns all objects of `scope` as they were at `revision`, in the order of their keys, by undoing later
    /// changes. A revision beyond the current one means the current one. Labels and fields of the scope are ignored.
    ///
    /// # Errors
    ///
    /// [`RevisionExpired`] if the history no longer contains all changes after `revision`.
    pub fn list_at(&self, scope: &Scope, revision: Revision) -> Result<Vec<Arc<Object>>, RevisionExpired> {
        let state = self.state.lock();
        state.check_history_reaches(revision)?;
        let mut objects: BTreeMap<&Key, &Arc<Object>> = state.objects_of(scope).collect();
        let later = usize::try_from(state.revision.saturating_sub(revision)).unwrap_or(usize::MAX);
        for change in state.history.iter().rev().take(later).filter(|c| contains(scope, &c.object.key)) {
            match &change.previous {
                Some(previous) => objects.insert(&change.object.key, previous),
                None => objects.remove(&change.object.key),
            };
        }
        Ok(objects.into_values().cloned().collect())
    }

    /// Returns the current revision: that of the last operation, or 1 if there was none.
    pub fn revision(&self) -> Revision {
        self.state.lock().revision
    }

    /// Applies all of `operations` in order, or none of them. Returns the objects as stored (for a
    /// deletion, the last state), one per operation.
    ///
    /// All preconditions are checked against the state before the commit, so each key may occur only once.
    ///
    /// # Errors
    ///
    /// The [`CommitError`] of the first operation whose precondition does not hold; nothing is changed.
    pub fn commit(&self, operations: Vec<Operation>) -> Result<Vec<Arc<Object>>, CommitError> {
        let mut state = self.state.lock();
        for operation in &operations {
            state.check_precondition(operation)?;
        }
        let stored = operations.into_iter().map(|operation| state.apply(operation)).collect();
        // Sent under the lock, so that revisions reach watches in order.
        self.newest.send_replace(state.revision);
        Ok(stored)
    }

    /// Returns the object that [`commit`](ObjectStore::commit) would return for `operation`, and stores nothing. The
    /// object has its current revision, or 0 if it is new.
    ///
    /// # Errors
    ///
    /// The [`CommitError`] that a commit would return.
    pub fn dry_run_commit(&self, operation: Operation) -> Result<Arc<Object>, CommitError> {
        self.state.lock().check_precondition(&operation)?;
        let (key, revision, object) = match operation {
            Operation::Put { key, precondition: Precondition::Absent, object } => (key, 0, object),
            Operation::Put { key, precondition: Precondition::At(revision), object } => (key, revision, object),
            Operation::Delete { key, expected_revision, last_state } => (key, expected_revision, last_state),
        };
        Ok(Arc::new(object.with_revision(key, revision)))
    }

    /// Watches the changes of `scope` with revisions greater than `after`, which may lie in the future. Labels and
    /// fields of the scope are ignored.
    ///
    /// # Errors
    ///
    /// [`RevisionExpired`] if the history no longer contains all changes after that revision.
    pub fn watch(self: &Arc<ObjectStore>, scope: Scope, after: Revision) -> Result<StoreWatch, RevisionExpired> {
        self.start_watch(Some(scope), after)
    }

    /// Watches the changes of all objects with revisions greater than `after`.
    ///
    /// # Errors
    ///
    /// [`RevisionExpired`] if the history no longer contains all changes after that revision.
    pub fn watch_all(self: &Arc<ObjectStore>, after: Revision) -> Result<StoreWatch, RevisionExpired> {
        self.start_watch(None, after)
    }

    fn start_watch(
        self: &Arc<ObjectStore>,
        scope: Option<Scope>,
        after: Revision,
    ) -> Result<StoreWatch, RevisionExpired> {
        self.state.lock().check_history_reaches(after)?;
        Ok(StoreWatch { store: self.clone(), scope, position: after, newest: self.newest.subscribe() })
    }
}

fn contains(scope: &Scope, key: &Key) -> bool {
    scope.resource == key.resource && scope.namespace.as_deref().is_none_or(|ns| *ns == *key.namespace)
}

impl StoreState {
    /// Returns the objects of a scope in the order of their keys.
    fn objects_of<'s>(&'s self, scope: &'s Scope) -> impl Iterator<Item = (&'s Key, &'s Arc<Object>)> {
        let first = Key::new(scope.resource.clone(), scope.namespace.as_deref().unwrap_or_default(), "");
        self.objects.range(first..).take_while(move |(key, _)| contains(scope, key))
    }

    fn check_precondition(&self, operation: &Operation) -> Result<(), CommitError> {
        let (key, precondition) = match operation {
            Operation::Put { key, precondition, .. } => (key, *precondition),
            Operation::Delete { key, expected_revision, .. } => (key, Precondition::At(*expected_revision)),
        };
        match (self.objects.get(key), precondition) {
            (None, Precondition::Absent) => Ok(()),
            (Some(_), Precondition::Absent) => Err(CommitError::Exists(key.clone())),
            (Some(object), Precondition::At(revision)) if object.revision == revision => Ok(()),
            (Some(_), Precondition::At(_)) => Err(CommitError::Modified(key.clone())),
            (None, Precondition::At(_)) => Err(CommitError::Gone(key.clone())),
        }
    }

    fn apply(&mut self, operation: Operation) -> Arc<Object> {
        self.revision += 1;
        let (kind, object, previous) = match operation {
            Operation::Put { key, object, .. } => {
                let object = Arc::new(object.with_revision(key.clone(), self.revision));
                let replaced = self.objects.insert(key, object.clone());
                (if replaced.is_some() { ChangeKind::Modified } else { ChangeKind::Added }, object, replaced)
            }
            Operation::Delete { key, last_state, .. } => {
                let removed = self.objects.remove(&key);
                (ChangeKind::Deleted, Arc::new(last_state.with_revision(key, self.revision)), removed)
            }
        };
        if self.history.len() == self.max_history {
            self.history.pop_front();
        }
        self.history.push_back(ObjectChange { kind, object: object.clone(), previous });
        object
    }

    /// Returns the oldest revision after which the history contains all changes.
    fn oldest_revision(&self) -> Revision {
        self.revision - self.history.len() as Revision
    }

    fn check_history_reaches(&self, requested: Revision) -> Result<(), RevisionExpired> {
        let oldest = self.oldest_revision();
        if requested < oldest { Err(RevisionExpired { requested, oldest }) } else { Ok(()) }
    }
}

/// Changes that a watch takes from the history at once. A watch that is not read keeps no more of them alive.
const MAX_CHANGES: usize = 64;

/// A position in the history; see [`ObjectStore::watch`].
pub struct StoreWatch {
    store: Arc<ObjectStore>,
    /// The objects to watch; `None` for all.
    scope: Option<Scope>,
    position: Revision,
    newest: watch::Receiver<Revision>,
}

impl StoreWatch {
    /// Returns the next changes of the scope in the order of their revisions, at most [`MAX_CHANGES`], and waits until
    /// there is one. Cancel-safe.
    ///
    /// # Errors
    ///
    /// [`RevisionExpired`] if the history dropped changes that the watch has not read. The watch does not
    /// recover: list again and start a new one.
    pub async fn next(&mut self) -> Result<Vec<ObjectChange>, RevisionExpired> {
        loop {
            let changes = self.take_changes()?;
            if !changes.is_empty() {
                return Ok(changes);
            }
            // Never an error: this watch keeps the store, and with it the sender, alive.
            let _ = self.newest.changed().await;
        }
    }

    /// Returns the revision up to which the watch has delivered all changes of its scope.
    pub fn position(&self) -> Revision {
        self.position
    }

    fn take_changes(&mut self) -> Result<Vec<ObjectChange>, RevisionExpired> {
        self.newest.mark_unchanged();
        let state = self.store.state.lock();
        state.check_history_reaches(self.position)?;
        let skip = usize::try_from(self.position - state.oldest_revision()).unwrap_or(usize::MAX);
        let is_watched = |key: &Key| self.scope.as_ref().is_none_or(|scope| contains(scope, key));
        let new = state.history.iter().skip(skip).filter(|c| is_watched(&c.object.key));
        let changes: Vec<ObjectChange> = new.take(MAX_CHANGES).cloned().collect();
        // The position stays ahead of the store if the watch starts at a future revision.
        self.position = match changes.last() {
            Some(last) if changes.len() == MAX_CHANGES => last.object.revision,
            _ => self.position.max(state.revision),
        };
        Ok(changes)
    }
}

#[cfg(test)]
mod tests;
