//! The directory that holds a node's pods.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Once;

use super::NodeStartError;

/// The data directory of a node.
pub(super) enum DataDirectory {
    /// Provided by the caller, and kept.
    Provided(PathBuf),
    /// Created for the node, and removed with it.
    Temporary(PathBuf),
}

/// The prefix of temporary directories, before the process ID.
const PREFIX: &str = "wasmpod-run-";

impl DataDirectory {
    /// Creates a private temporary directory. The first call of a process removes those of killed processes.
    pub(super) fn temporary() -> Result<DataDirectory, NodeStartError> {
        static CLEANED: Once = Once::new();
        let base = std::env::temp_dir();
        CLEANED.call_once(|| remove_abandoned(&base));
        let id = uuid::Uuid::new_v4().simple().to_string();
        let path = base.join(format!("{PREFIX}{}-{}", std::process::id(), id.get(..8).unwrap_or_default()));
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => Ok(DataDirectory::Temporary(path)),
            Err(source) => Err(NodeStartError::DataDirectory { path: base, source }),
        }
    }

    pub(super) fn path(&self) -> &Path {
        match self {
            DataDirectory::Provided(path) | DataDirectory::Temporary(path) => path,
        }
    }

    /// Removes a temporary directory.
    pub(super) fn remove(&self) {
        match self {
            DataDirectory::Provided(_) => {}
            DataDirectory::Temporary(path) => remove(path),
        }
    }
}

/// Removes the temporary directories of processes that no longer exist.
fn remove_abandoned(base: &Path) {
    for entry in std::fs::read_dir(base).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|n| n.strip_prefix(PREFIX)).and_then(|n| n.split('-').next());
        if owner.is_some_and(|pid| !pid.is_empty() && !Path::new("/proc").join(pid).exists()) {
            remove(&entry.path());
        }
    }
}

fn remove(directory: &Path) {
    if let Err(error) = std::fs::remove_dir_all(directory)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::debug!(?directory, %error, "cannot remove a directory");
    }
}
