//! Where a node's pods have their folders.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Once;

use super::StartError;

/// A node's folder.
pub(super) enum LogDirectory {
    /// Somebody else's; it stays.
    Kept(PathBuf),
    /// Made for the node, and removed with it.
    Temporary(PathBuf),
}

/// Process and node follow.
const PREFIX: &str = "wasmpod-run-";

impl LogDirectory {
    /// Makes a folder that nobody else can read.
    pub(super) fn temporary() -> Result<LogDirectory, StartError> {
        static SWEPT: Once = Once::new();
        let base = std::env::temp_dir();
        SWEPT.call_once(|| remove_abandoned(&base));
        let id = uuid::Uuid::new_v4().simple().to_string();
        let path = base.join(format!("{PREFIX}{}-{}", std::process::id(), id.get(..8).unwrap_or_default()));
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => Ok(LogDirectory::Temporary(path)),
            Err(source) => Err(StartError::Folder { path: base, source }),
        }
    }

    pub(super) fn path(&self) -> &Path {
        match self {
            LogDirectory::Kept(path) | LogDirectory::Temporary(path) => path,
        }
    }

    /// Removes what was made for the node.
    pub(super) fn remove(&self) {
        match self {
            LogDirectory::Kept(_) => {}
            LogDirectory::Temporary(path) => remove(path),
        }
    }
}

/// Removes what processes that were killed have left: folders whose process is no more.
fn remove_abandoned(base: &Path) {
    for entry in std::fs::read_dir(base).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|n| n.strip_prefix(PREFIX)).and_then(|n| n.split('-').next());
        if owner.is_some_and(|pid| !pid.is_empty() && !Path::new("/proc").join(pid).exists()) {
            remove(&entry.path());
        }
    }
}

fn remove(folder: &Path) {
    if let Err(error) = std::fs::remove_dir_all(folder)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::debug!(?folder, %error, "cannot remove a folder");
    }
}
