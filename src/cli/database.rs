//! The database in a state directory.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use super::exit::bad_input;
use crate::budget::RetainedMemory;
use crate::control::Revision;
use crate::registry::kinds;
use crate::store::{HistoryLimits, ObjectStore, OpenError};

/// The name of the file.
pub const FILE_NAME: &str = "objects.redb";

/// Returns the path of the file in a state directory.
pub fn path(state_directory: &Path) -> PathBuf {
    state_directory.join(FILE_NAME)
}

/// Opens the file, or creates it at the revision `first`.
pub fn open(path: &Path, first: Revision, memory: Arc<RetainedMemory>) -> Result<Arc<ObjectStore>, OpenError> {
    ObjectStore::open(path, HistoryLimits::within(memory), first, &kinds::resource_of_names)
}

/// Opens the file of a node that does not run, and calls `read`.
///
/// # Errors
/// Fails if the file does not exist or cannot be read.
pub fn read<T>(path: &Path, read: impl FnOnce(&ObjectStore) -> T) -> anyhow::Result<T> {
    if !path.exists() {
        return Err(bad_input(format!("{} does not exist: the node has never run", path.display())));
    }
    let store = open(path, 1, RetainedMemory::unlimited())
        .map_err(|error| bad_input(format!("cannot open {}: {error}", path.display())))?;
    let result = read(&store);
    store.close();
    Ok(result)
}

/// Gives the file a second name, with `why` and the time. It is then replaced or removed without being lost; until then
/// it stays where it is, so that no failure in between makes a node start empty. Returns the name.
pub fn keep_aside(path: &Path, why: &str, now: Timestamp) -> anyhow::Result<PathBuf> {
    let aside = path.with_added_extension(format!("{why}-{}", now.strftime("%Y%m%dT%H%M%SZ")));
    let kept = fs::hard_link(path, &aside).or_else(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Err(error),
        // Not every file system has links.
        _ => fs::copy(path, &aside).map(drop),
    });
    kept.map_err(|error| bad_input(format!("cannot keep {} as {}: {error}", path.display(), aside.display())))?;
    Ok(aside)
}
