//! The object store: objects as JSON bytes under keys, with revisions, transactions and a history for watches.
//!
//! The store knows no kinds, labels or fields; of a [`Scope`] it evaluates the resource and the namespace.
//!
//! It promises:
//!
//! - **Atomicity.** A commit applies all of its operations or none.
//! - **Order.** Each operation gets a revision of its own, larger than all before. Commits are serialized;
//!   [`ObjectStore::get`] and [`ObjectStore::list`] see a commit entirely or not at all.
//! - **Complete watches.** A [`StoreWatch`] delivers each change of its scope exactly once and in
//!   order, or fails with [`RevisionExpired`].
//! - **Durability**, in a store with a database. A commit that waits for the disk is visible to readers and watches
//!   only once it is durable ([`ObjectStore::wait_until_visible`]), and never if that fails. Revisions never go back.
//!
//! All objects and the history are in memory; the database is read when the store is opened. The history is bounded, by
//! the memory that the node retains too: a watch that falls behind it fails, and its owner lists again.

mod committer;
mod database;
mod history;
mod record;
mod restore;
mod usage;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

pub use self::committer::{Durability, StorageFailure};
pub use self::database::OpenError;
pub use self::history::{HistoryLimits, ObjectChange};
pub use self::record::FindResource;
pub use self::restore::{RestoreError, restore};
pub use self::usage::{Amount, StoreUsage};

use self::committer::{Backlog, CommitQueue};
use self::database::{Content, Database, Opener};
use self::history::History;
use crate::budget::RetainedMemory;
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

/// The objects of all kinds and the history of their changes.
pub struct ObjectStore {
    shared: Arc<Shared>,
    has_database: bool,
    /// The account of the history, which the rest of the node shares.
    retained: Arc<RetainedMemory>,
    /// The thread that writes the database; `None` without one, and once the store is closed.
    committer: Mutex<Option<JoinHandle<()>>>,
}

/// What readers, writers and the committer share.
struct Shared {
    /// Protects the objects and the history, which change together.
    state: Mutex<StoreState>,
    /// The current revision; wakes watches.
    newest: watch::Sender<Revision>,
    /// Wakes the committer.
    work: Condvar,
}

impl Shared {
    /// Wakes the watches if there are new revisions. Under the lock, so that these reach them in order.
    fn announce(&self, state: &StoreState) {
        self.newest.send_if_modified(|newest| std::mem::replace(newest, state.revision) != state.revision);
    }
}

struct StoreState {
    /// The visible objects.
    objects: BTreeMap<Key, Arc<Object>>,
    /// The visible changes.
    history: History,
    /// The newest visible revision.
    revision: Revision,
    /// The newest revision given to a commit.
    head: Revision,
    queue: CommitQueue,
    /// `None` without a database.
    backlog: Option<Backlog>,
}

impl ObjectStore {
    /// Returns an empty store in memory that keeps the last `max_history` changes, and has revision 1.
    pub fn new(max_history: usize) -> Arc<ObjectStore> {
        ObjectStore::in_memory(HistoryLimits { changes: max_history, memory: RetainedMemory::unlimited() }, 1)
    }

    /// Returns an empty store in memory that has the revision `first`.
    pub fn in_memory(limits: HistoryLimits, first: Revision) -> Arc<ObjectStore> {
        let retained = limits.memory.clone();
        ObjectStore::start(BTreeMap::new(), History::new(limits, first), first, None, retained)
    }

    /// Opens the database at `path`, or creates it, and reads all of it. A new store has the revision `first`.
    ///
    /// The store continues after the newest revision that was answered. Where the database cannot be written, the store opens
    /// all the same and refuses commits until it can; [`failure`](ObjectStore::failure) tells.
    ///
    /// # Errors
    /// [`OpenError`] if the database cannot be read.
    pub fn open(
        path: &Path,
        limits: HistoryLimits,
        first: Revision,
        find_resource: FindResource<'_>,
    ) -> Result<Arc<ObjectStore>, OpenError> {
        ObjectStore::open_with(database::file(path), path.display().to_string(), limits, first, find_resource)
    }

    fn open_with(
        opener: Opener,
        location: String,
        limits: HistoryLimits,
        first: Revision,
        find_resource: FindResource<'_>,
    ) -> Result<Arc<ObjectStore>, OpenError> {
        let retained = limits.memory.clone();
        let (mut database, content) = Database::open(opener, limits.clone(), find_resource)?;
        let Content { objects, history, state, removable } = content;
        let (durable, revision, history) = match &state {
            Some(state) if state.is_closed => (state.revision, state.revision, history),
            Some(state) => {
                let lost = database::lost_after(state);
                (state.revision, state.revision.max(state.reserved), history.with_lost(lost))
            }
            None => (0, first, History::new(limits, first)),
        };
        let backlog = Backlog::new(location, durable, removable);
        let store = ObjectStore::start(objects, history, revision, Some(backlog), retained);
        committer::reserve(&mut store.shared.state.lock(), &mut database);
        let shared = store.shared.clone();
        let thread = std::thread::Builder::new().name("wasmpod-store".into());
        let thread = thread.spawn(move || committer::run(&shared, database)).map_err(redb::Error::Io)?;
        *store.committer.lock() = Some(thread);
        Ok(store)
    }

    fn start(
        objects: BTreeMap<Key, Arc<Object>>,
        history: History,
        revision: Revision,
        backlog: Option<Backlog>,
        retained: Arc<RetainedMemory>,
    ) -> Arc<ObjectStore> {
        let state = StoreState { objects, history, revision, head: revision, queue: CommitQueue::default(), backlog };
        let has_database = state.backlog.is_some();
        let newest = watch::Sender::new(revision);
        let shared = Arc::new(Shared { state: Mutex::new(state), newest, work: Condvar::new() });
        Arc::new(ObjectStore { shared, has_database, retained, committer: Mutex::new(None) })
    }

    /// Returns the account of the history.
    pub fn retained_memory(&self) -> &Arc<RetainedMemory> {
        &self.retained
    }

    /// Writes what is not durable yet and ends the store: later commits fail. Blocks until that is done.
    pub fn close(&self) {
        committer::close(&self.shared);
        // It ends with an error only if it panicked, which is reported there.
        let _ = self.committer.lock().take().map(JoinHandle::join);
    }

    /// Returns why commits cannot be made durable at present.
    pub fn failure(&self) -> Option<StorageFailure> {
        self.shared.state.lock().backlog.as_ref().and_then(Backlog::failure)
    }

    /// Returns the current state of the object at `key`, or `None` if there is none.
    pub fn get(&self, key: &Key) -> Option<Arc<Object>> {
        self.shared.state.lock().objects.get(key).cloned()
    }

    /// Returns the state of the object at `key` that the next commit must name: that of the commits which still wait
    /// for the disk.
    pub fn get_for_update(&self, key: &Key) -> Option<Arc<Object>> {
        self.shared.state.lock().newest_of(key).cloned()
    }

    /// Returns all objects of `scope` in the order of their keys, and the revision of this list. Labels and fields of
    /// the scope are ignored.
    pub fn list(&self, scope: &Scope) -> (Vec<Arc<Object>>, Revision) {
        let state = self.shared.state.lock();
        let matching = state.objects_of(scope).map(|(_, object)| object);
        (matching.cloned().collect(), state.revision)
    }

    /// Returns all objects of `scope`, in any order, as the commits leave them which still wait for the disk.
    pub fn list_for_update(&self, scope: &Scope) -> Vec<Arc<Object>> {
        let state = self.shared.state.lock();
        let unchanged = state.objects_of(scope).filter(|(key, _)| state.queue.get(key).is_none());
        let changed = state.queue.objects().filter(|(key, _)| contains(scope, key));
        let changed = changed.filter_map(|(_, object)| object);
        unchanged.map(|(_, object)| object).chain(changed).cloned().collect()
    }

    /// Returns all objects of `scope` as they were at `revision`, in the order of their keys, by undoing later
    /// changes. A revision beyond the current one means the current one. Labels and fields of the scope are ignored.
    ///
    /// # Errors
    ///
    /// [`RevisionExpired`] if the history no longer contains all changes after `revision`.
    pub fn list_at(&self, scope: &Scope, revision: Revision) -> Result<Vec<Arc<Object>>, RevisionExpired> {
        let state = self.shared.state.lock();
        state.history.check_reaches(revision)?;
        let mut objects: BTreeMap<&Key, &Arc<Object>> = state.objects_of(scope).collect();
        for change in state.history.after(revision).rev().filter(|c| contains(scope, &c.object.key)) {
            match &change.previous {
                Some(previous) => objects.insert(&change.object.key, previous),
                None => objects.remove(&change.object.key),
            };
        }
        Ok(objects.into_values().cloned().collect())
    }

    /// Returns the newest visible revision.
    pub fn revision(&self) -> Revision {
        self.shared.state.lock().revision
    }

    /// Applies all of `operations` in order, or none of them. Returns the objects as stored (for a
    /// deletion, the last state), one per operation. They may not be visible yet, and may never be: see
    /// [`wait_until_visible`](ObjectStore::wait_until_visible).
    ///
    /// All preconditions are checked against the state before the commit, so each key may occur only once.
    ///
    /// # Errors
    ///
    /// The [`CommitError`] of the first operation whose precondition does not hold; nothing is changed.
    pub fn commit(&self, operations: Vec<Operation>, durability: Durability) -> Result<Vec<Arc<Object>>, CommitError> {
        let mut state = self.shared.state.lock();
        for operation in &operations {
            state.check_precondition(operation)?;
        }
        let changes: Vec<ObjectChange> = operations.into_iter().map(|operation| state.draft(operation)).collect();
        let stored = changes.iter().map(|change| change.object.clone()).collect();
        if state.accept(changes, durability) {
            self.shared.work.notify_one();
        }
        self.shared.announce(&state);
        Ok(stored)
    }

    /// Waits until the commit that has returned an object with `revision` is visible.
    ///
    /// # Errors
    /// The [`StorageFailure`] because of which it never will be.
    pub async fn wait_until_visible(&self, revision: Revision) -> Result<(), StorageFailure> {
        if !self.has_database {
            return Ok(());
        }
        let waiting = self.shared.state.lock().wait_for(revision)?;
        match waiting {
            None => Ok(()),
            Some(receiver) => receiver.await.unwrap_or(Err(StorageFailure::Closed)),
        }
    }

    /// Waits until all commits are visible that were made before.
    ///
    /// # Errors
    /// The [`StorageFailure`] because of which the last of them never will be.
    pub async fn wait_until_settled(&self) -> Result<(), StorageFailure> {
        let newest = self.shared.state.lock().newest();
        self.wait_until_visible(newest).await
    }

    /// Returns the object that [`commit`](ObjectStore::commit) would return for `operation`, and stores nothing. The
    /// object has its current revision, or 0 if it is new.
    ///
    /// # Errors
    ///
    /// The [`CommitError`] that a commit would return.
    pub fn dry_run_commit(&self, operation: Operation) -> Result<Arc<Object>, CommitError> {
        self.shared.state.lock().check_precondition(&operation)?;
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
        self.shared.state.lock().history.check_reaches(after)?;
        let newest = self.shared.newest.subscribe();
        Ok(StoreWatch { store: self.clone(), scope, position: after, newest })
    }
}

impl Drop for ObjectStore {
    fn drop(&mut self) {
        self.close();
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
        match (self.newest_of(key), precondition) {
            (None, Precondition::Absent) => Ok(()),
            (Some(_), Precondition::Absent) => Err(CommitError::Exists(key.clone())),
            (Some(object), Precondition::At(revision)) if object.revision == revision => Ok(()),
            (Some(_), Precondition::At(_)) => Err(CommitError::Modified(key.clone())),
            (None, Precondition::At(_)) => Err(CommitError::Gone(key.clone())),
        }
    }

    /// Gives `operation` its revision. The change is not visible yet.
    fn draft(&mut self, operation: Operation) -> ObjectChange {
        self.head += 1;
        match operation {
            Operation::Put { key, object, .. } => {
                let previous = self.newest_of(&key).cloned();
                let kind = if previous.is_some() { ChangeKind::Modified } else { ChangeKind::Added };
                ObjectChange { kind, object: Arc::new(object.with_revision(key, self.head)), previous }
            }
            Operation::Delete { key, last_state, .. } => {
                let previous = self.newest_of(&key).cloned();
                let object = Arc::new(last_state.with_revision(key, self.head));
                ObjectChange { kind: ChangeKind::Deleted, object, previous }
            }
        }
    }

    /// Returns the object at `key` as the waiting commits leave it.
    fn newest_of(&self, key: &Key) -> Option<&Arc<Object>> {
        self.queue.get(key).unwrap_or_else(|| self.objects.get(key))
    }
}

/// Changes that a watch takes from the history at once. A watch that is not read keeps no more of them alive.
const MAX_CHANGES: usize = 64;
/// Bytes of the objects in these changes; the change that crosses it is the last one.
const MAX_CHANGED_BYTES: usize = 256 * 1024;

/// A position in the history; see [`ObjectStore::watch`].
pub struct StoreWatch {
    store: Arc<ObjectStore>,
    /// The objects to watch; `None` for all.
    scope: Option<Scope>,
    position: Revision,
    newest: watch::Receiver<Revision>,
}

impl StoreWatch {
    /// Returns the next changes of the scope in the order of their revisions, at most [`MAX_CHANGES`] and about
    /// [`MAX_CHANGED_BYTES`], and waits until there is one. Cancel-safe.
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
        let state = self.store.shared.state.lock();
        state.history.check_reaches(self.position)?;
        let is_watched = |key: &Key| self.scope.as_ref().is_none_or(|scope| contains(scope, key));
        let new = state.history.after(self.position).filter(|c| is_watched(&c.object.key));
        let (mut changes, mut bytes) = (Vec::new(), 0);
        let is_full = |changes: &Vec<ObjectChange>, bytes| changes.len() == MAX_CHANGES || bytes >= MAX_CHANGED_BYTES;
        for change in new {
            bytes += change.object.json.len();
            changes.push(change.clone());
            if is_full(&changes, bytes) {
                break;
            }
        }
        // The position stays ahead of the store if the watch starts at a future revision.
        self.position = match changes.last() {
            Some(last) if is_full(&changes, bytes) => last.object.revision,
            _ => self.position.max(state.revision),
        };
        Ok(changes)
    }
}

#[cfg(test)]
mod durable_tests;
#[cfg(test)]
mod fake_disk;
#[cfg(test)]
mod tests;
