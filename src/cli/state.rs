//! The folder in which a node keeps what outlives it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use rustix::fs::{FlockOperation, flock};

use super::exit::bad_input;

/// A state folder that this process holds: no other node uses it meanwhile.
pub struct State {
    folder: PathBuf,
    /// Locked until it is closed, which the kernel does even after kill -9.
    _lock: File,
}

impl State {
    /// Opens `folder`, or the user's own; makes it where there is none.
    pub fn open(folder: Option<&Path>) -> anyhow::Result<State> {
        let folder = match folder {
            Some(folder) => std::path::absolute(folder)?,
            None => default_folder()?,
        };
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        let unusable = |what: &str, error: std::io::Error| {
            bad_input(format!("cannot {what} {}: {error} (--state-dir names another place)", folder.display()))
        };
        made.map_err(|error| unusable("make", error))?;
        let path = folder.join("lock");
        let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let lock = lock.map_err(|error| unusable("write in", error))?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            let words = format!(
                "{} is in use by another wasmpod serve: give this one a --state-dir of its own",
                folder.display()
            );
            return Err(bad_input(words));
        }
        // The folder is private whatever made it.
        let _ = fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o700));
        Ok(State { folder, _lock: lock })
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

/// XDG's place for state.
pub fn default_folder() -> anyhow::Result<PathBuf> {
    let set = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let base = match set {
        Some(base) => base,
        None => PathBuf::from(std::env::var_os("HOME").context("HOME is not set: name a folder with --state-dir")?)
            .join(".local/state"),
    };
    Ok(base.join("wasmpod/node"))
}
