//! Objects in memory: keys, JSON bytes, revisions, transactions and a history for watchers.
//!
//! Knows no kinds. A commit takes all its operations or none; each operation gets a revision of
//! its own, without gaps. The history is bounded: who reads slower than it turns over is told so
//! ([`Expired`]) and lists again.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::control::{ChangeKind, Key, Object, Revision, Scope, UnversionedObject};

/// What must be true of a key for an operation to go ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precondition {
    /// There is no object.
    Absent,
    /// There is an object, and it stands at this revision.
    At(Revision),
}

/// One change to one key.
#[derive(Debug)]
pub enum Operation {
    /// Stores an object that is new or takes an older one's place.
    Put {
        /// Where to store it.
        key: Key,
        /// What must be true of the key before.
        expect: Precondition,
        /// The object; the commit stamps its revision.
        draft: UnversionedObject,
    },
    /// Removes an object.
    Delete {
        /// The object to remove.
        key: Key,
        /// The revision at which it must stand.
        expect: Revision,
        /// What watchers are shown; the commit stamps its revision.
        last: UnversionedObject,
    },
}

/// A transaction found a key otherwise than it expected.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CommitError {
    /// The key was expected to be free.
    #[error("{0} already exists")]
    Exists(Key),
    /// The object stands at another revision than was expected.
    #[error("{0} has been modified")]
    Modified(Key),
    /// An object was expected, and there is none.
    #[error("{0} is gone")]
    Gone(Key),
}

/// The history begins behind the revision asked for.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("too old resource version: {asked} ({oldest})")]
pub struct Expired {
    /// The revision from behind which changes were asked for.
    pub asked: Revision,
    /// The oldest revision from behind which changes can still be told.
    pub oldest: Revision,
}

/// One entry of the history.
#[derive(Debug, Clone)]
pub struct Change {
    /// What happened to the object.
    pub kind: ChangeKind,
    /// The object as the change left it; after `Deleted`, as it last was.
    pub object: Arc<Object>,
    /// What stood there before, for those who follow only some objects: it may have been one of them.
    pub previous: Option<Arc<Object>>,
}

/// See the module's documentation.
pub struct ObjectStore {
    /// Protects objects and history, which change together.
    state: Mutex<State>,
    /// The newest revision; wakes watchers.
    newest: watch::Sender<Revision>,
}

struct State {
    objects: BTreeMap<Key, Arc<Object>>,
    /// Revisions `newest - len + 1 ..= newest`.
    history: VecDeque<Change>,
    capacity: usize,
    revision: Revision,
}

impl ObjectStore {
    /// An empty store that remembers the last `history` changes.
    pub fn new(history: usize) -> Arc<ObjectStore> {
        let state = State { objects: BTreeMap::new(), history: VecDeque::new(), capacity: history.max(1), revision: 1 };
        Arc::new(ObjectStore { state: Mutex::new(state), newest: watch::Sender::new(1) })
    }

    /// The object at `key` as it stands now, if there is one.
    pub fn get(&self, key: &Key) -> Option<Arc<Object>> {
        self.state.lock().objects.get(key).cloned()
    }

    /// All objects of `scope` and the revision at which they stood so. The store knows no labels and
    /// fields: of a scope it sees kind and namespace.
    pub fn list(&self, scope: &Scope) -> (Vec<Arc<Object>>, Revision) {
        let state = self.state.lock();
        let matching = state.objects.values().filter(|o| contains(scope, &o.key));
        (matching.cloned().collect(), state.revision)
    }

    /// All objects of `scope` as they stood at revision `at`, undoing what came later.
    pub fn list_at(&self, scope: &Scope, at: Revision) -> Result<Vec<Arc<Object>>, Expired> {
        let state = self.state.lock();
        state.check_reach(at)?;
        let matching = state.objects.iter().filter(|(key, _)| contains(scope, key));
        let mut objects: BTreeMap<&Key, &Arc<Object>> = matching.collect();
        let later = usize::try_from(state.revision.saturating_sub(at)).unwrap_or(usize::MAX);
        for change in state.history.iter().rev().take(later).filter(|c| contains(scope, &c.object.key)) {
            match &change.previous {
                Some(previous) => objects.insert(&change.object.key, previous),
                None => objects.remove(&change.object.key),
            };
        }
        Ok(objects.into_values().cloned().collect())
    }

    /// The newest revision.
    pub fn revision(&self) -> Revision {
        self.state.lock().revision
    }

    /// Does all of `ops`, or none of them. Returns the objects as stored, in the order of `ops`.
    pub fn commit(&self, ops: Vec<Operation>) -> Result<Vec<Arc<Object>>, CommitError> {
        let mut state = self.state.lock();
        for op in &ops {
            state.check(op)?;
        }
        let done = ops.into_iter().map(|op| state.apply(op)).collect();
        // Sent under the lock, so that revisions reach watchers in order.
        self.newest.send_replace(state.revision);
        Ok(done)
    }

    /// What [`commit`](ObjectStore::commit) would return for `op`; stores nothing. The object keeps the revision at
    /// which it stands; a new one has none.
    pub fn dry_run_commit(&self, op: Operation) -> Result<Arc<Object>, CommitError> {
        self.state.lock().check(&op)?;
        let (key, revision, draft) = match op {
            Operation::Put { key, expect: Precondition::Absent, draft } => (key, 0, draft),
            Operation::Put { key, expect: Precondition::At(revision), draft } => (key, revision, draft),
            Operation::Delete { key, expect, last } => (key, expect, last),
        };
        Ok(Arc::new(draft.with_revision(key, revision)))
    }

    /// Follows `scope` from behind `after`.
    pub fn watch(self: &Arc<ObjectStore>, scope: Scope, after: Revision) -> Result<Watch, Expired> {
        self.state.lock().check_reach(after)?;
        Ok(Watch { store: self.clone(), scope, after, newest: self.newest.subscribe() })
    }
}

fn contains(scope: &Scope, key: &Key) -> bool {
    scope.resource == key.resource && scope.namespace.as_deref().is_none_or(|ns| *ns == *key.namespace)
}

impl State {
    fn check(&self, op: &Operation) -> Result<(), CommitError> {
        let (key, expect) = match op {
            Operation::Put { key, expect, .. } => (key, *expect),
            Operation::Delete { key, expect, .. } => (key, Precondition::At(*expect)),
        };
        match (self.objects.get(key), expect) {
            (None, Precondition::Absent) => Ok(()),
            (Some(_), Precondition::Absent) => Err(CommitError::Exists(key.clone())),
            (Some(object), Precondition::At(revision)) if object.revision == revision => Ok(()),
            (Some(_), Precondition::At(_)) => Err(CommitError::Modified(key.clone())),
            (None, Precondition::At(_)) => Err(CommitError::Gone(key.clone())),
        }
    }

    fn apply(&mut self, op: Operation) -> Arc<Object> {
        self.revision += 1;
        let (kind, object, previous) = match op {
            Operation::Put { key, draft, .. } => {
                let object = Arc::new(draft.with_revision(key.clone(), self.revision));
                let replaced = self.objects.insert(key, object.clone());
                (if replaced.is_some() { ChangeKind::Modified } else { ChangeKind::Added }, object, replaced)
            }
            Operation::Delete { key, last, .. } => {
                let removed = self.objects.remove(&key);
                (ChangeKind::Deleted, Arc::new(last.with_revision(key, self.revision)), removed)
            }
        };
        if self.history.len() == self.capacity {
            self.history.pop_front();
        }
        self.history.push_back(Change { kind, object: object.clone(), previous });
        object
    }

    /// The oldest revision from behind which changes can still be told.
    fn oldest(&self) -> Revision {
        self.revision - self.history.len() as Revision
    }

    fn check_reach(&self, after: Revision) -> Result<(), Expired> {
        let oldest = self.oldest();
        if after < oldest { Err(Expired { asked: after, oldest }) } else { Ok(()) }
    }
}

/// A place in the history; see [`ObjectStore::watch`].
pub struct Watch {
    store: Arc<ObjectStore>,
    scope: Scope,
    after: Revision,
    newest: watch::Receiver<Revision>,
}

impl Watch {
    /// The next changes of the scope, in order; waits until there is one. Cancel-safe.
    pub async fn next(&mut self) -> Result<Vec<Change>, Expired> {
        loop {
            let changes = self.take()?;
            if !changes.is_empty() {
                return Ok(changes);
            }
            // The store holds the sender as long as this watch holds the store: it can't close.
            let _ = self.newest.changed().await;
        }
    }

    /// The revision up to which everything has been told.
    pub fn position(&self) -> Revision {
        self.after
    }

    fn take(&mut self) -> Result<Vec<Change>, Expired> {
        self.newest.mark_unchanged();
        let state = self.store.state.lock();
        state.check_reach(self.after)?;
        let skip = usize::try_from(self.after - state.oldest()).unwrap_or(usize::MAX);
        let new = state.history.iter().skip(skip).filter(|c| contains(&self.scope, &c.object.key));
        let changes = new.cloned().collect();
        // What is watched from a revision to come begins there.
        self.after = self.after.max(state.revision);
        Ok(changes)
    }
}

#[cfg(test)]
mod tests;
