//! The directory that holds the durable state of a node.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use rustix::fs::{FlockOperation, flock};

use super::args::ConnectionArgs;
use super::exit::bad_input;

/// The name of the kubeconfig that `serve` writes.
const KUBECONFIG: &str = "kubeconfig";

/// A state directory that this process has locked.
pub struct StateDirectory {
    path: PathBuf,
    /// Locked until it is closed, which the kernel does even after `kill -9`.
    _lock: File,
}

/// An existing state directory, opened to be read.
pub enum ExistingState {
    /// No node uses it, and none can while this process does.
    Unused(StateDirectory),
    /// A running node uses it.
    InUse(PathBuf),
}

impl ExistingState {
    /// Opens `path`, which defaults to the user's state directory.
    pub fn open(path: Option<&Path>) -> anyhow::Result<ExistingState> {
        let path = resolve(path)?;
        let failed = |error| bad_input(format!("cannot use state directory {}: {error}", path.display()));
        match lock(&path, false) {
            Ok(Some(lock)) => Ok(ExistingState::Unused(StateDirectory { path, _lock: lock })),
            Ok(None) => Ok(ExistingState::InUse(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let message =
                    format!("{} is not the state directory of a node; name it with --state-dir", path.display());
                Err(bad_input(message))
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// Returns the path of the directory.
    pub fn path(&self) -> &Path {
        match self {
            ExistingState::Unused(directory) => directory.path(),
            ExistingState::InUse(path) => path,
        }
    }

    /// Returns the running node of the directory, for its clients; `None` if it does not run.
    pub fn connection(&self) -> Option<ConnectionArgs> {
        match self {
            ExistingState::Unused(_) => None,
            ExistingState::InUse(path) => Some(ConnectionArgs::with_kubeconfig(path.join(KUBECONFIG))),
        }
    }
}

impl StateDirectory {
    /// Opens and locks `path`, which defaults to the user's state directory. Creates it if it does not exist.
    pub fn open(path: Option<&Path>) -> anyhow::Result<StateDirectory> {
        let path = resolve(path)?;
        let failed = |operation: &str, error: io::Error| {
            bad_input(format!("cannot {operation} {}: {error}; use --state-dir to choose another", path.display()))
        };
        let created = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        created.map_err(|error| failed("create state directory", error))?;
        let lock = lock(&path, true).map_err(|error| failed("write to state directory", error))?;
        let in_use = || {
            bad_input(format!(
                "state directory {} is in use by another `wasmpod serve`; use --state-dir to choose another",
                path.display()
            ))
        };
        let lock = lock.ok_or_else(in_use)?;
        // The directory may have existed with wider permissions.
        let _ = fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o700));
        Ok(StateDirectory { path, _lock: lock })
    }

    /// Returns the path of the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Returns the absolute path of a state directory, which defaults to the user's.
fn resolve(path: Option<&Path>) -> anyhow::Result<PathBuf> {
    match path {
        Some(path) => Ok(std::path::absolute(path)?),
        None => default_path(),
    }
}

/// Locks a state directory; `None` if another process has. `creates` the file of the lock if it does not exist.
fn lock(directory: &Path, creates: bool) -> io::Result<Option<File>> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create(creates).truncate(false).mode(0o600).open(directory.join("lock"))?;
    Ok(flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok().then_some(file))
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
