//! `wasmpod backup` and `wasmpod restore`: all objects of a node as a file.

mod format;
mod snapshot;

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use jiff::Timestamp;

use super::args::{BackupArgs, ConnectionArgs, RestoreArgs};
use super::database;
use super::exit::{Outcome, bad_input};
use super::report::{count, error_chain};
use super::state_directory::{ExistingState, StateDirectory};
use crate::control::{Resource, Revision};
use crate::embedded::first_revision;
use crate::store::{self, ObjectStore};

use format::Backup;
use snapshot::Snapshot;

/// The directory of backups in a state directory.
pub const DIRECTORY: &str = "backups";

/// Revisions by which a restored node exceeds its backup at least, whatever the clock says: more than the node can have
/// answered since.
const MIN_REVISION_GAP: Revision = 1 << 32;

/// Writes a backup.
pub fn main(args: BackupArgs) -> anyhow::Result<Outcome> {
    let (snapshot, default) = match args.kubeconfig {
        Some(kubeconfig) => (Snapshot::of_node(&ConnectionArgs::with_kubeconfig(kubeconfig))?, None),
        None => {
            let state = ExistingState::open(args.state_dir.as_deref())?;
            let snapshot = match state.connection() {
                Some(connection) => Snapshot::of_node(&connection)?,
                None => Snapshot::of_database(&database::path(state.path()))?,
            };
            (snapshot, Some(state.path().join(DIRECTORY)))
        }
    };
    let created = Timestamp::now();
    let path = match (args.file, default) {
        (Some(file), _) => file,
        (None, default) => default_file(&default.unwrap_or_default(), created)?,
    };
    if path.exists() {
        return Err(bad_input(format!("{} exists; remove it or name another file", path.display())));
    }
    let footer = format::write(&path, &snapshot, created)
        .map_err(|error| bad_input(format!("cannot write {}: {error}", path.display())))?;
    let secrets = match footer.secrets {
        0 => String::new(),
        secrets => format!(", with {} in plain text", count(secrets, "Secret")),
    };
    stderrln!(
        "wrote {} at revision {} to {}{secrets}",
        count(footer.objects, "object"),
        snapshot.revision,
        path.display()
    );
    Ok(Outcome::Success)
}

/// Returns the path of a new backup in `directory`, which is created if it does not exist.
fn default_file(directory: &Path, created: Timestamp) -> anyhow::Result<PathBuf> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|error| bad_input(format!("cannot create {}: {error}", directory.display())))?;
    Ok(directory.join(format!("{}.backup", created.strftime("%Y%m%dT%H%M%SZ"))))
}

/// Restores a backup.
pub fn restore(args: &RestoreArgs) -> anyhow::Result<Outcome> {
    let backup = Backup::read(&args.file).map_err(|error| bad_input(format!("{}: {error}", args.file.display())))?;
    let state = StateDirectory::open(args.state_dir.as_deref())?;
    let path = database::path(state.path());
    let now = Timestamp::now();
    let mut newest = 0;
    if path.exists() {
        if !args.force {
            let message = format!("{} exists; use --force to set it aside and restore the backup", path.display());
            return Err(bad_input(message));
        }
        // A damaged one is replaced all the same.
        newest = database::read(&path, ObjectStore::revision).unwrap_or(0);
        let aside = database::keep_aside(&path, "replaced", now)?;
        stderrln!("the replaced database is kept as {}", aside.display());
    }
    let (objects, created, nodes) = (backup.objects.len(), backup.created, backup.names(&Resource::NODES));
    write_database(&path, backup, newest, now)?;
    stderrln!("restored {} of {created} into {}", count(objects, "object"), state.path().display());
    if let [node] = nodes.as_slice() {
        stderrln!("start the node with: wasmpod serve --state-dir {} --node-name {node}", state.path().display());
    }
    Ok(Outcome::Success)
}

/// Writes the database at `path` from a backup. Its revision is above `newest`, the newest one that is known.
fn write_database(path: &Path, backup: Backup, newest: Revision, now: Timestamp) -> anyhow::Result<()> {
    let revision = backup.revision.saturating_add(MIN_REVISION_GAP).max(newest + 1).max(first_revision(now));
    store::restore(path, backup.objects, revision).map_err(|error| bad_input(error_chain(&error.into())))
}

/// Writes the database at `path` from the newest backup in the state directory that can be read. Returns its path, or
/// `None` if there is none.
pub fn restore_newest(state_directory: &Path, path: &Path, now: Timestamp) -> anyhow::Result<Option<PathBuf>> {
    let directory = state_directory.join(DIRECTORY);
    let entries = match fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", directory.display())),
    };
    let read = |file: PathBuf| match Backup::read(&file) {
        Ok(backup) => Some((file, backup)),
        Err(error) => {
            stderrln!("{}: {error}; it is left out", file.display());
            None
        }
    };
    let backups = entries.flatten().filter_map(|entry| read(entry.path()));
    let Some((file, backup)) = backups.max_by_key(|(_, backup)| backup.created) else { return Ok(None) };
    write_database(path, backup, 0, now)?;
    Ok(Some(file))
}
