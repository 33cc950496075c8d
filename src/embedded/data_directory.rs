//! The directory that holds a node's pods.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Once;

use rustix::fs::{FlockOperation, flock};

use super::NodeStartError;

/// The data directory of a node.
pub(super) enum DataDirectory {
    /// Provided by the caller, and kept.
    Provided(PathBuf),
    /// Created for the node, and removed with it.
    Temporary {
        path: PathBuf,
        /// Locked as long as the node lives.
        _lock: File,
    },
}

/// The prefix of temporary directories.
const PREFIX: &str = "wasmpod-run-";
/// The prefix of a temporary directory before it is locked.
const UNLOCKED_PREFIX: &str = "wasmpod-new-";
/// The file in a temporary directory that its node has locked. Process IDs would not tell whether the node lives: nodes in
/// different PID namespaces may share a directory for temporary files.
const LOCK: &str = "lock";

impl DataDirectory {
    /// Creates a private temporary directory. The first call of a process removes those of killed processes.
    pub(super) fn temporary() -> Result<DataDirectory, NodeStartError> {
        static CLEANED: Once = Once::new();
        let base = std::env::temp_dir();
        CLEANED.call_once(|| remove_abandoned(&base));
        let created = create(&base).map_err(|source| NodeStartError::DataDirectory { path: base, source });
        created.map(|(path, lock)| DataDirectory::Temporary { path, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        match self {
            DataDirectory::Provided(path) | DataDirectory::Temporary { path, .. } => path,
        }
    }

    pub(super) fn is_temporary(&self) -> bool {
        matches!(self, DataDirectory::Temporary { .. })
    }

    /// Removes a temporary directory.
    pub(super) fn remove(&self) {
        match self {
            DataDirectory::Provided(_) => {}
            DataDirectory::Temporary { path, .. } => remove(path),
        }
    }
}

/// Creates a directory with a locked lock. It gets its name afterwards, so that no other process finds it unlocked.
fn create(base: &Path) -> io::Result<(PathBuf, File)> {
    let id = uuid::Uuid::new_v4().simple().to_string();
    let name = format!("{}-{}", std::process::id(), id.get(..8).unwrap_or_default());
    let (unlocked, path) = (base.join(format!("{UNLOCKED_PREFIX}{name}")), base.join(format!("{PREFIX}{name}")));
    DirBuilder::new().mode(0o700).create(&unlocked)?;
    let locked = File::create_new(unlocked.join(LOCK)).and_then(|lock| {
        flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        std::fs::rename(&unlocked, &path)?;
        Ok(lock)
    });
    match locked {
        Ok(lock) => Ok((path, lock)),
        Err(error) => {
            remove(&unlocked);
            Err(error)
        }
    }
}

/// Removes the temporary directories of nodes that no longer exist.
fn remove_abandoned(base: &Path) {
    for entry in std::fs::read_dir(base).into_iter().flatten().flatten() {
        let is_temporary = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        if !is_temporary {
            continue;
        }
        let lock = OpenOptions::new().write(true).open(entry.path().join(LOCK));
        // One without a lock, or of another user, is left alone.
        if lock.is_ok_and(|lock| flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok()) {
            remove(&entry.path());
        }
    }
}

fn remove(directory: &Path) {
    if let Err(error) = std::fs::remove_dir_all(directory)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::debug!(?directory, %error, "cannot remove a directory");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_of_living_nodes_are_kept() {
        let base = tempfile::tempdir().expect("a directory");
        let (living, lock) = create(base.path()).expect("created");
        let (dead, _) = create(base.path()).expect("created");
        let foreign = base.path().join("wasmpod-run-notes");
        std::fs::create_dir(&foreign).expect("created");
        // As in another PID namespace, where the process of the directory's name does not exist.
        let renamed = base.path().join(format!("{PREFIX}999999999-0"));
        std::fs::rename(&living, &renamed).expect("renamed");
        remove_abandoned(base.path());
        assert_eq!([&renamed, &dead, &foreign].map(|path| path.exists()), [true, false, true]);
        drop(lock);
        remove_abandoned(base.path());
        assert!(!renamed.exists());
    }
}
