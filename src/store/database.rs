//! The database file: versions of objects by revision, and the state of the store, in one B-tree file of redb.
//!
//! A version is written once, whether it is the newest of its key or kept for the history only. It is removed once it
//! is neither. Every transaction leaves the file at one revision, with all changes before it.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use redb::backends::FileBackend;
use redb::{ReadableDatabase, ReadableTable, TableDefinition};

use super::history::{History, HistoryLimits, LostRevisions, ObjectChange};
use super::record::{self, FORMAT, FindResource, RecordError, StateRecord};
use crate::control::{ChangeKind, Key, Object, Revision};

pub(super) const VERSIONS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("versions");
/// One record, below an empty key.
const STATE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("state");

/// Memory for pages of the file; everything is read from memory of the store.
const CACHE_BYTES: usize = 4 << 20;

/// The database cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The content is not what was written.
    #[error("the database is damaged: {0}")]
    Damaged(String),
    /// A newer program has written the database.
    #[error("the database has format {0}, and this version of wasmpod reads up to {FORMAT}")]
    NewerFormat(u32),
    /// A program with more kinds has written the database.
    #[error("the database was written by another version of wasmpod: {0}")]
    UnknownKind(RecordError),
    /// The file cannot be read or written.
    #[error(transparent)]
    Unavailable(#[from] redb::Error),
}

/// Opens the file of a database, which a test may keep in memory.
pub(super) type Opener = Box<dyn Fn() -> Result<redb::Database, redb::DatabaseError> + Send>;

/// Returns how to open the database at `path`, which is created if it does not exist.
pub(super) fn file(path: &Path) -> Opener {
    let path = path.to_owned();
    Box::new(move || {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path)?;
        builder().create_with_backend(FileBackend::new(file)?)
    })
}

pub(super) fn builder() -> redb::Builder {
    let mut builder = redb::Builder::new();
    builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
    builder
}

/// A database file, opened again after an error.
pub(super) struct Database {
    opener: Opener,
    /// `None` after an error.
    open: Option<redb::Database>,
    /// Whether versions after the newest durable revision may be in the file, because a transaction failed.
    may_have_excess: bool,
}

/// What a transaction changes.
pub(super) struct Transaction<'t> {
    /// The changes to add, oldest first.
    pub added: Vec<&'t ObjectChange>,
    /// Revisions of the versions to remove.
    pub removed: &'t [Revision],
    pub state: StateRecord,
    /// The newest revision of the transaction before.
    pub durable: Revision,
}

/// The content of a database.
pub(super) struct Content {
    pub objects: BTreeMap<Key, Arc<Object>>,
    pub history: History,
    /// `None` for a new database.
    pub state: Option<StateRecord>,
    /// Versions that the history no longer needs.
    pub removable: Vec<Revision>,
}

impl Database {
    /// Opens the database and reads all of it.
    pub fn open(
        opener: Opener,
        limits: HistoryLimits,
        find_resource: FindResource<'_>,
    ) -> Result<(Database, Content), OpenError> {
        // A damaged page can make redb panic.
        let opened = catch_unwind(AssertUnwindSafe(|| {
            let open = opener().map_err(|error| open_error(error.into()))?;
            let content = read(&open, limits, find_resource)?;
            Ok((open, content))
        }));
        let (open, content) =
            opened.unwrap_or_else(|_| Err(OpenError::Damaged("its pages are inconsistent".into())))?;
        Ok((Database { opener, open: Some(open), may_have_excess: false }, content))
    }

    /// Gives the free pages of the file back to the file system. Returns whether that succeeded.
    pub fn compact(&mut self) -> bool {
        let Some(open) = &mut self.open else { return false };
        let compacted = without_panic(|| Ok(open.compact()?));
        if let Err(error) = &compacted {
            tracing::warn!(%error, "cannot compact the database");
            self.drop_open();
        }
        compacted.is_ok()
    }

    /// Closes the file after an error; the next transaction opens it again.
    fn drop_open(&mut self) {
        let open = self.open.take();
        // After a panic, redb panics again here.
        let _ = without_panic(|| {
            drop(open);
            Ok(())
        });
    }

    /// Applies a transaction durably.
    ///
    /// # Errors
    /// Whether the transaction is in the file is then unknown until the next one succeeds.
    pub fn write(&mut self, transaction: &Transaction<'_>) -> Result<(), redb::Error> {
        let has_excess = self.may_have_excess;
        // Until it succeeds. After an error, redb refuses further work, and the file is opened again.
        self.may_have_excess = true;
        let written = without_panic(|| {
            let open = match &mut self.open {
                Some(open) => open,
                closed => closed.insert((self.opener)()?),
            };
            write(open, transaction, has_excess)
        });
        if let Err(error) = written {
            self.drop_open();
            return Err(error);
        }
        self.may_have_excess = false;
        Ok(())
    }
}

fn open_error(error: redb::Error) -> OpenError {
    match error {
        redb::Error::Corrupted(message) => OpenError::Damaged(message),
        redb::Error::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            OpenError::Damaged(error.to_string())
        }
        redb::Error::UpgradeRequired(format) => OpenError::Damaged(format!("it has redb's file format {format}")),
        error => OpenError::Unavailable(error),
    }
}

fn read(open: &redb::Database, limits: HistoryLimits, find_resource: FindResource<'_>) -> Result<Content, OpenError> {
    let damaged = |error: redb::Error| open_error(error);
    let transaction = open.begin_read().map_err(|error| damaged(error.into()))?;
    let state = match transaction.open_table(STATE) {
        Ok(table) => {
            let record = table.get([].as_slice()).map_err(|error| damaged(error.into()))?;
            let record =
                record.ok_or_else(|| OpenError::Damaged("the record of the newest revision is missing".into()))?;
            StateRecord::decode(record.value()).map_err(record_error)?
        }
        Err(redb::TableError::TableDoesNotExist(_)) => {
            let history = History::new(limits, 1);
            return Ok(Content { objects: BTreeMap::new(), history, state: None, removable: Vec::new() });
        }
        Err(error) => return Err(damaged(error.into())),
    };
    if state.format > FORMAT {
        return Err(OpenError::NewerFormat(state.format));
    }
    let table = transaction.open_table(VERSIONS).map_err(|error| damaged(error.into()))?;
    let mut objects = BTreeMap::new();
    let mut history = History::new(limits, state.oldest).with_lost(state.lost.clone());
    let mut removable = Vec::new();
    for entry in table.iter().map_err(|error| damaged(error.into()))? {
        let (key, value) = entry.map_err(|error| damaged(error.into()))?;
        let revision = key.value().try_into().map(Revision::from_be_bytes);
        let revision = revision.map_err(|_| OpenError::Damaged("a revision has a wrong length".into()))?;
        let version = record::read_version(revision, value.value(), find_resource).map_err(record_error)?;
        let object = version.object;
        let previous: Option<Arc<Object>> = match version.is_deletion {
            true => objects.remove(&object.key),
            false => objects.insert(object.key.clone(), object.clone()),
        };
        if revision <= state.oldest {
            continue;
        }
        if previous.as_ref().map_or(0, |previous| previous.revision) != version.previous {
            return Err(OpenError::Damaged(format!("the object before revision {revision} is missing")));
        }
        let kind = match (version.is_deletion, &previous) {
            (true, _) => ChangeKind::Deleted,
            (false, Some(_)) => ChangeKind::Modified,
            (false, None) => ChangeKind::Added,
        };
        for dropped in history.push(ObjectChange { kind, object, previous }) {
            removable.extend(versions_of_dropped(&dropped));
        }
    }
    Ok(Content { objects, history, state: Some(state), removable })
}

fn record_error(error: RecordError) -> OpenError {
    match error {
        RecordError::Damaged(what) => OpenError::Damaged(format!("{what} is damaged")),
        error @ RecordError::UnknownKind { .. } => OpenError::UnknownKind(error),
    }
}

/// Returns the revisions of the versions that nothing needs once the history drops `change`: each version is the
/// previous one of at most one change, and a deletion leaves no object.
pub(super) fn versions_of_dropped(change: &ObjectChange) -> impl Iterator<Item = Revision> {
    let previous = change.previous.as_ref().map(|previous| previous.revision);
    let deletion = (change.kind == ChangeKind::Deleted).then(|| change.revision());
    previous.into_iter().chain(deletion)
}

/// Calls `work`. A damaged page can make redb panic, which must not end the thread of all writes.
fn without_panic<T>(work: impl FnOnce() -> Result<T, redb::Error>) -> Result<T, redb::Error> {
    let inconsistent = || redb::Error::Corrupted("its pages are inconsistent".into());
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(inconsistent()))
}

pub(super) fn write(
    open: &redb::Database,
    transaction: &Transaction<'_>,
    may_have_excess: bool,
) -> Result<(), redb::Error> {
    let Transaction { added, removed, state, durable } = transaction;
    let write = open.begin_write()?;
    {
        let mut versions = write.open_table(VERSIONS)?;
        if may_have_excess {
            let first = record::version_key(durable + 1);
            versions.retain_in(first.as_slice().., |_, _| false)?;
        }
        for change in added {
            let (size, key) = record::version_size(change);
            let mut value = versions.insert_reserve(record::version_key(change.revision()).as_slice(), size)?;
            record::write_version(change, &key, value.as_mut());
        }
        for revision in *removed {
            versions.remove(record::version_key(*revision).as_slice())?;
        }
        write.open_table(STATE)?.insert([].as_slice(), state.encode().as_slice())?;
    }
    write.commit()?;
    Ok(())
}

/// Returns the ranges of lost revisions after an end that was not in order.
pub(super) fn lost_after(state: &StateRecord) -> Vec<LostRevisions> {
    let mut lost = state.lost.clone();
    if !state.is_closed && state.reserved > state.revision {
        lost.push(LostRevisions { after: state.revision, until: state.reserved });
    }
    lost
}
