//! The commits that wait for the disk, and the thread that writes them.
//!
//! One transaction takes all that wait at once. Commits that need not wait become visible in the order of their
//! revisions, and are in the next transaction.

use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::oneshot;

use super::database::{self, Database, Transaction};
use super::history::ObjectChange;
use super::record::{FORMAT, StateRecord};
use super::{Shared, StoreState};
use crate::control::{ChangeKind, Key, Object, Revision};

/// Time within which delayed commits are written.
pub(super) const FLUSH_INTERVAL: Duration = Duration::from_millis(500);
/// Time between attempts to write after an error.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// Time after an error in which commits fail without another attempt.
const FAIL_FAST: Duration = Duration::from_millis(250);
/// Revisions that are reserved at once. After an end that was not in order, those that were not used are skipped.
const RESERVED_REVISIONS: Revision = 1 << 24;
/// Failed commits that are remembered for the requests that wait for them.
const MAX_FAILED: usize = 4096;

/// Versions that are removed from the database before its file is compacted.
pub(super) const COMPACTED_REMOVALS: usize = 4096;

/// When a commit becomes visible and durable, in a store with a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Visible once it is durable.
    Durable,
    /// Visible at once, unless earlier commits wait; durable within a second.
    Delayed,
    /// As delayed, but durable with the next transaction only, which may be the last one.
    Piggybacked,
}

/// A commit could not be made durable, and was not applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StorageFailure {
    /// The database cannot be written.
    #[error("{0}")]
    Unwritable(Arc<str>),
    /// The store is closed.
    #[error("the node is stopping")]
    Closed,
}

type Waiter = oneshot::Sender<Result<(), StorageFailure>>;

/// A commit that is not visible yet.
struct QueuedCommit {
    changes: Vec<ObjectChange>,
    durability: Durability,
    waiters: Vec<Waiter>,
}

impl QueuedCommit {
    fn revisions(&self) -> Option<RangeInclusive<Revision>> {
        Some(self.changes.first()?.revision()..=self.changes.last()?.revision())
    }

    fn resolve(self, result: &Result<(), StorageFailure>) {
        for waiter in self.waiters {
            // The request that waited may have been dropped.
            let _ = waiter.send(result.clone());
        }
    }
}

/// The commits that are not visible yet, and the objects as these leave them.
#[derive(Default)]
pub(super) struct CommitQueue {
    commits: VecDeque<QueuedCommit>,
    /// The newest state of each key in `commits`, and its revision; `None` if it is deleted.
    objects: BTreeMap<Key, (Revision, Option<Arc<Object>>)>,
}

impl CommitQueue {
    /// Returns the state of a key that waiting commits have changed.
    pub fn get(&self, key: &Key) -> Option<Option<&Arc<Object>>> {
        self.objects.get(key).map(|(_, object)| object.as_ref())
    }

    /// Returns the keys that waiting commits have changed.
    pub fn objects(&self) -> impl Iterator<Item = (&Key, Option<&Arc<Object>>)> {
        self.objects.iter().map(|(key, (_, object))| (key, object.as_ref()))
    }

    fn push(&mut self, changes: Vec<ObjectChange>, durability: Durability) {
        for change in &changes {
            let object = (change.kind != ChangeKind::Deleted).then(|| change.object.clone());
            self.objects.insert(change.object.key.clone(), (change.revision(), object));
        }
        self.commits.push_back(QueuedCommit { changes, durability, waiters: Vec::new() });
    }

    /// Forgets the objects of commits that are visible.
    fn forget_visible(&mut self, visible: Revision) {
        match self.commits.is_empty() {
            true => self.objects.clear(),
            false => self.objects.retain(|_, (revision, _)| *revision > visible),
        }
    }
}

/// What the database does not have yet, and what went wrong with it.
pub(super) struct Backlog {
    /// The file, for messages.
    location: String,
    /// The newest revision in the database.
    durable: Revision,
    /// The newest revision in the transaction that is being written.
    writing: Revision,
    /// No larger revision is given before more are reserved.
    reserved: Revision,
    /// Changes that left the history before they were written.
    late: BTreeMap<Revision, ObjectChange>,
    /// Versions to remove from the database.
    removable: Vec<Revision>,
    /// The number of versions that were removed since the file was compacted.
    removals: usize,
    last_compaction: Option<Timestamp>,
    flush_at: Option<Instant>,
    /// The error of the last transaction, and its time.
    failure: Option<(StorageFailure, Instant)>,
    failed: VecDeque<(RangeInclusive<Revision>, StorageFailure)>,
    is_closing: bool,
    is_closed: bool,
}

impl Backlog {
    /// Returns the backlog of a database that is just opened, with no revisions reserved.
    pub fn new(location: String, durable: Revision, removable: Vec<Revision>) -> Backlog {
        Backlog {
            location,
            durable,
            writing: durable,
            reserved: 0,
            late: BTreeMap::new(),
            removable,
            removals: 0,
            last_compaction: None,
            flush_at: None,
            failure: None,
            failed: VecDeque::new(),
            is_closing: false,
            is_closed: false,
        }
    }

    pub fn failure(&self) -> Option<StorageFailure> {
        self.failure.as_ref().map(|(failure, _)| failure.clone())
    }

    /// Returns when the file was last compacted, since it was opened.
    pub fn last_compaction(&self) -> Option<Timestamp> {
        self.last_compaction
    }

    /// Notes that `change` has left the history.
    pub fn on_dropped(&mut self, change: ObjectChange) {
        for revision in database::versions_of_dropped(&change) {
            self.late.remove(&revision);
            if revision <= self.writing {
                self.removable.push(revision);
            }
        }
        if change.kind != ChangeKind::Deleted && change.revision() > self.durable {
            self.late.insert(change.revision(), change);
        }
    }

    /// Plans to write a commit that is visible already. Returns whether nothing was planned before.
    fn plan_flush(&mut self, durability: Durability) -> bool {
        let is_new = durability == Durability::Delayed && self.flush_at.is_none();
        if is_new {
            self.flush_at = Some(Instant::now() + FLUSH_INTERVAL);
        }
        is_new
    }

    fn record_failed(&mut self, revisions: RangeInclusive<Revision>, failure: StorageFailure) {
        self.failed.push_back((revisions, failure));
        if self.failed.len() > MAX_FAILED {
            self.failed.pop_front();
        }
    }
}

impl StoreState {
    /// Makes a commit visible, or queues it. Returns whether the committer has new work.
    pub(super) fn accept(&mut self, changes: Vec<ObjectChange>, durability: Durability) -> bool {
        let Some(backlog) = &mut self.backlog else {
            self.publish(changes);
            return false;
        };
        if backlog.is_closed {
            if let (Some(first), Some(last)) = (changes.first(), changes.last()) {
                backlog.record_failed(first.revision()..=last.revision(), StorageFailure::Closed);
            }
            return false;
        }
        let is_first = self.queue.commits.is_empty();
        if durability == Durability::Durable || !is_first || self.head > backlog.reserved {
            // Commits that should not wait do so here for more revisions.
            let durability = if self.head > backlog.reserved { Durability::Durable } else { durability };
            self.queue.push(changes, durability);
            return true;
        }
        let has_work = backlog.plan_flush(durability);
        self.publish(changes);
        has_work
    }

    fn publish(&mut self, changes: Vec<ObjectChange>) {
        for change in changes {
            self.revision = change.revision();
            let (key, object) = (change.object.key.clone(), change.object.clone());
            match change.kind {
                ChangeKind::Deleted => self.objects.remove(&key),
                ChangeKind::Added | ChangeKind::Modified => self.objects.insert(key, object),
            };
            for dropped in self.history.push(change) {
                if let Some(backlog) = &mut self.backlog {
                    backlog.on_dropped(dropped);
                }
            }
        }
    }

    /// Returns how to learn whether the commit with `revision` is visible; `None` if it is.
    pub(super) fn wait_for(
        &mut self,
        revision: Revision,
    ) -> Result<Option<oneshot::Receiver<Result<(), StorageFailure>>>, StorageFailure> {
        let Some(backlog) = &self.backlog else { return Ok(None) };
        let failed = backlog.failed.iter().rev().find(|(revisions, _)| revisions.contains(&revision));
        if let Some((_, failure)) = failed {
            return Err(failure.clone());
        }
        if revision <= self.revision {
            return Ok(None);
        }
        let mut commits = self.queue.commits.iter_mut();
        let commit = commits.find(|commit| commit.revisions().is_some_and(|r| *r.end() >= revision));
        let commit = commit.ok_or(StorageFailure::Closed)?;
        let (sender, receiver) = oneshot::channel();
        commit.waiters.push(sender);
        Ok(Some(receiver))
    }

    /// Returns the newest revision that a waiting commit has, or the visible one.
    pub(super) fn newest(&self) -> Revision {
        let last = self.queue.commits.back().and_then(QueuedCommit::revisions);
        last.map_or(self.revision, |revisions| *revisions.end())
    }

    /// Fails the commits that wait for the disk, and those that rest on them; makes the others visible.
    fn fail_queue(&mut self, failure: &StorageFailure) {
        for mut commit in std::mem::take(&mut self.queue.commits) {
            let Some(backlog) = &mut self.backlog else { return };
            let rests_on_visible = |change: &ObjectChange| {
                let visible = self.objects.get(&change.object.key).map(|object| object.revision);
                visible == change.previous.as_ref().map(|previous| previous.revision)
            };
            let can_wait = commit.durability != Durability::Durable && !backlog.is_closed;
            if can_wait && commit.changes.iter().all(rests_on_visible) {
                backlog.plan_flush(commit.durability);
                self.publish(std::mem::take(&mut commit.changes));
                commit.resolve(&Ok(()));
                continue;
            }
            if let Some(revisions) = commit.revisions() {
                backlog.record_failed(revisions, failure.clone());
            }
            commit.resolve(&Err(failure.clone()));
        }
        self.queue.forget_visible(self.revision);
    }

    /// Makes the first `count` commits visible, which are durable now, and those behind them that need not be.
    fn publish_queue(&mut self, count: usize) {
        for position in 0.. {
            let is_due = |commit: &QueuedCommit| position < count || commit.durability != Durability::Durable;
            let Some(mut commit) = self.queue.commits.pop_front_if(|commit| is_due(commit)) else { break };
            if position >= count
                && let Some(backlog) = &mut self.backlog
            {
                backlog.plan_flush(commit.durability);
            }
            self.publish(std::mem::take(&mut commit.changes));
            commit.resolve(&Ok(()));
        }
        self.queue.forget_visible(self.revision);
    }
}

/// A transaction, taken from the state to be written without holding its lock.
struct Batch {
    added: Vec<ObjectChange>,
    removed: Vec<Revision>,
    state: StateRecord,
    durable: Revision,
    /// The number of queued commits in it.
    commits: usize,
}

impl Batch {
    fn take(state: &mut StoreState) -> Option<Batch> {
        let (newest, commits) = (state.newest(), state.queue.commits.len());
        let backlog = state.backlog.as_mut()?;
        let visible = state.history.after(backlog.durable);
        let queued = state.queue.commits.iter().flat_map(|commit| &commit.changes);
        let added = backlog.late.values().chain(visible).chain(queued).cloned().collect();
        let is_closed = backlog.is_closing && commits == 0;
        let reserved = match is_closed {
            true => newest,
            false if backlog.reserved < newest + RESERVED_REVISIONS / 2 => newest + RESERVED_REVISIONS,
            false => backlog.reserved,
        };
        backlog.writing = newest;
        backlog.flush_at = None;
        let record = StateRecord {
            format: FORMAT,
            revision: newest,
            oldest: state.history.oldest(),
            reserved,
            is_closed,
            lost: state.history.lost().to_vec(),
        };
        let removed = std::mem::take(&mut backlog.removable);
        Some(Batch { added, removed, state: record, durable: backlog.durable, commits })
    }

    fn write(&self, database: &mut Database) -> Result<(), redb::Error> {
        let Batch { added, removed, state, durable, .. } = self;
        let transaction =
            Transaction { added: added.iter().collect(), removed, state: state.clone(), durable: *durable };
        database.write(&transaction)
    }

    /// Applies the result of writing the batch.
    fn settle(self, state: &mut StoreState, result: Result<(), redb::Error>) {
        let Some(backlog) = &mut state.backlog else { return };
        match result {
            Ok(()) => {
                if backlog.failure.take().is_some() {
                    tracing::info!("{} can be written again", backlog.location);
                }
                (backlog.durable, backlog.reserved) = (self.state.revision, self.state.reserved);
                backlog.late = backlog.late.split_off(&(self.state.revision + 1));
                backlog.is_closed = self.state.is_closed;
                backlog.removals += self.removed.len();
                state.publish_queue(self.commits);
            }
            Err(error) => {
                let message = format!("cannot write {}: {error}", backlog.location);
                if backlog.failure.is_none() {
                    tracing::error!("{message}; changes of objects are refused until it can be written");
                }
                let failure = StorageFailure::Unwritable(message.into());
                backlog.failure = Some((failure.clone(), Instant::now()));
                backlog.removable.extend(self.removed);
                backlog.flush_at = Some(Instant::now() + RETRY_INTERVAL);
                // An end in order needs the disk.
                backlog.is_closed = backlog.is_closing;
                state.fail_queue(&failure);
            }
        }
    }
}

/// What the thread does next.
enum Work {
    Write(Box<Batch>),
    Compact,
    WaitUntil(Option<Instant>),
    End,
}

fn next_work(state: &mut StoreState) -> Work {
    let Some(backlog) = &state.backlog else { return Work::End };
    let has_commits = !state.queue.commits.is_empty();
    match &backlog.failure {
        _ if backlog.is_closed => return Work::End,
        Some((failure, at)) if has_commits && at.elapsed() < FAIL_FAST && !backlog.is_closing => {
            let failure = failure.clone();
            state.fail_queue(&failure);
            return next_work(state);
        }
        _ => {}
    }
    let is_due = has_commits || backlog.is_closing || backlog.flush_at.is_some_and(|at| at <= Instant::now());
    let (flush_at, is_worth_compacting) = (backlog.flush_at, backlog.removals >= COMPACTED_REMOVALS);
    match is_due.then(|| Batch::take(state)).flatten() {
        Some(batch) => Work::Write(Box::new(batch)),
        None if is_worth_compacting && flush_at.is_none() => Work::Compact,
        None => Work::WaitUntil(flush_at),
    }
}

/// Writes the first transaction of a database that is just opened: it reserves revisions.
pub(super) fn reserve(state: &mut StoreState, database: &mut Database) {
    if let Some(batch) = Batch::take(state) {
        let result = batch.write(database);
        batch.settle(state, result);
    }
}

/// Writes what waits until the store is closed.
pub(super) fn run(shared: &Shared, mut database: Database) {
    let mut state = shared.state.lock();
    loop {
        match next_work(&mut state) {
            Work::Write(batch) => {
                let result = parking_lot::MutexGuard::unlocked(&mut state, || batch.write(&mut database));
                batch.settle(&mut state, result);
                shared.announce(&state);
            }
            Work::Compact => {
                let is_compact = parking_lot::MutexGuard::unlocked(&mut state, || database.compact());
                if let Some(backlog) = &mut state.backlog {
                    backlog.removals = 0;
                    backlog.last_compaction = is_compact.then(Timestamp::now).or(backlog.last_compaction);
                }
            }
            Work::WaitUntil(Some(at)) => drop(shared.work.wait_until(&mut state, at)),
            Work::WaitUntil(None) => shared.work.wait(&mut state),
            Work::End => {
                state.fail_queue(&StorageFailure::Closed);
                return;
            }
        }
    }
}

/// Asks the thread to write what is left and to end.
pub(super) fn close(shared: &Shared) {
    if let Some(backlog) = &mut shared.state.lock().backlog {
        backlog.is_closing = true;
    }
    shared.work.notify_all();
}
