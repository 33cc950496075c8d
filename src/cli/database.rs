//! The database of `serve`: opened, or set aside if it is damaged.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use super::backup;
use super::exit::bad_input;
use crate::budget::RetainedMemory;
use crate::embedded::{first_revision, history_limits};
use crate::registry::kinds;
use crate::store::{ObjectStore, OpenError};

/// The name of the file in the state directory.
pub const FILE_NAME: &str = "objects.redb";

/// Opens the database in the state directory, or creates it. A damaged one is set aside if `recover` is set, and
/// the node starts from the newest backup.
pub fn open(state_directory: &Path, recover: bool, memory: &Arc<RetainedMemory>) -> anyhow::Result<Arc<ObjectStore>> {
    let path = state_directory.join(FILE_NAME);
    let now = Timestamp::now();
    let limits = || history_limits(memory.clone());
    let open = |first| ObjectStore::open(&path, limits(), first, &kinds::resource_of_names);
    match open(1) {
        Ok(store) => Ok(store),
        Err(error @ OpenError::Damaged(_)) if recover => {
            let aside = set_aside(&path, "damaged", now)?;
            let start = match backup::recover(state_directory, &path, now)? {
                Some(backup) => format!("with the objects of {}", backup.display()),
                None => "empty, since there is no backup".into(),
            };
            stderrln!("{error}; it is kept as {}, and the node starts {start}", aside.display());
            open(first_revision(now)).map_err(|error| refused(&path, &error))
        }
        Err(error) => Err(refused(&path, &error)),
    }
}

/// Renames a database, with `why` and the time in its new name. Returns its new path.
pub fn set_aside(path: &Path, why: &str, now: Timestamp) -> anyhow::Result<PathBuf> {
    let aside = path.with_added_extension(format!("{why}-{}", now.strftime("%Y%m%dT%H%M%SZ")));
    fs::rename(path, &aside).map_err(|error| bad_input(format!("cannot rename {}: {error}", path.display())))?;
    Ok(aside)
}

fn refused(path: &Path, error: &OpenError) -> anyhow::Error {
    let way_out = match error {
        OpenError::Damaged(_) => {
            "use --recover to set it aside and start from the newest backup, or empty if there is none"
        }
        OpenError::NewerFormat(_) | OpenError::UnknownKind(_) => {
            "use that version, or --state-dir to choose another directory"
        }
        OpenError::Unavailable(_) => "use --state-dir to choose another directory",
    };
    bad_input(format!("cannot open {}: {error}; {way_out}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_database_is_set_aside_when_asked() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join(FILE_NAME);
        fs::write(&path, b"not a database, and longer than nothing").expect("written");
        let error =
            open(directory.path(), false, &RetainedMemory::unlimited()).map(|_| ()).expect_err("damaged").to_string();
        assert!(error.starts_with(&format!("cannot open {}: the database is damaged: ", path.display())), "{error}");
        assert!(
            error
                .ends_with("use --recover to set it aside and start from the newest backup, or empty if there is none"),
            "{error}"
        );
        assert!(path.exists());
        let store = open(directory.path(), true, &RetainedMemory::unlimited()).expect("a new one");
        store.close();
        let names = fs::read_dir(directory.path()).expect("readable").map(|entry| entry.expect("one").file_name());
        assert_eq!(names.filter(|name| name.to_string_lossy().starts_with("objects.redb.damaged-2")).count(), 1);
    }

    #[test]
    fn unreadable_database_is_named() {
        let directory = tempfile::tempdir().expect("a directory");
        fs::create_dir(directory.path().join(FILE_NAME)).expect("created");
        let error = open(directory.path(), true, &RetainedMemory::unlimited())
            .map(|_| ())
            .expect_err("a directory")
            .to_string();
        assert!(error.contains("objects.redb: ") && error.ends_with("choose another directory"), "{error}");
    }
}
