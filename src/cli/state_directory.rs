//! The directory that holds the durable state of a node.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use rustix::fs::{FlockOperation, flock};

use super::exit::bad_input;

/// A state directory that this process has locked.
pub struct StateDirectory {
    path: PathBuf,
    /// Locked until it is closed, which the kernel does even after `kill -9`.
    _lock: File,
}

impl StateDirectory {
    /// Opens and locks `path`, which defaults to the user's state directory. Creates it if it does not exist.
    pub fn open(path: Option<&Path>) -> anyhow::Result<StateDirectory> {
        let path = match path {
            Some(path) => std::path::absolute(path)?,
            None => default_path()?,
        };
        let failed = |operation: &str, error: std::io::Error| {
            bad_input(format!("cannot {operation} {}: {error}; use --state-dir to choose another", path.display()))
        };
        let created = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        created.map_err(|error| failed("create state directory", error))?;
        let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path.join("lock"));
        let lock = lock.map_err(|error| failed("write to state directory", error))?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            let message = format!(
                "state directory {} is in use by another `wasmpod serve`; use --state-dir to choose another",
                path.display()
            );
            return Err(bad_input(message));
        }
        // The directory may have existed with wider permissions.
        let _ = fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o700));
        Ok(StateDirectory { path, _lock: lock })
    }

    /// Returns the path of the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Returns `wasmpod/node` in the user's XDG state directory.
pub fn default_path() -> anyhow::Result<PathBuf> {
    let set = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let base = match set {
        Some(base) => base,
        None => {
            let home = std::env::var_os("HOME").context("HOME is not set; use --state-dir to choose a directory")?;
            PathBuf::from(home).join(".local/state")
        }
    };
    Ok(base.join("wasmpod/node"))
}
