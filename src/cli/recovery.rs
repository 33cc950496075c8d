//! How `serve` opens its database: a damaged one is replaced if the user asks for it.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use super::exit::bad_input;
use super::{backup, database};
use crate::budget::RetainedMemory;
use crate::embedded::first_revision;
use crate::store::{ObjectStore, OpenError};

/// Opens the database in the state directory, or creates it. With `recover`, a damaged one is set aside, and the node starts
/// from the newest backup.
pub fn open(state_directory: &Path, recover: bool, memory: &Arc<RetainedMemory>) -> anyhow::Result<Arc<ObjectStore>> {
    let path = database::path(state_directory);
    let now = Timestamp::now();
    match database::open(&path, 1, memory.clone()) {
        Ok(store) => Ok(store),
        Err(error @ OpenError::Damaged(_)) if recover => {
            let aside = database::keep_aside(&path, "damaged", now)?;
            let start = match backup::restore_newest(state_directory, &path, now)? {
                Some(backup) => format!("with the objects of {}", backup.display()),
                None => {
                    fs::remove_file(&path)
                        .map_err(|error| bad_input(format!("cannot remove {}: {error}", path.display())))?;
                    "empty, since there is no backup".into()
                }
            };
            stderrln!("{error}; it is kept as {}, and the node starts {start}", aside.display());
            database::open(&path, first_revision(now), memory.clone()).map_err(|error| refused(&path, &error))
        }
        Err(error) => Err(refused(&path, &error)),
    }
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
        let path = database::path(directory.path());
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
        fs::create_dir(database::path(directory.path())).expect("created");
        let error = open(directory.path(), true, &RetainedMemory::unlimited())
            .map(|_| ())
            .expect_err("a directory")
            .to_string();
        assert!(error.contains("objects.redb: ") && error.ends_with("choose another directory"), "{error}");
    }

    #[test]
    fn failed_recovery_keeps_the_database_in_place() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = database::path(directory.path());
        fs::write(&path, b"not a database, and longer than nothing").expect("written");
        // Its content cannot be listed.
        fs::write(directory.path().join(backup::DIRECTORY), "a file").expect("written");
        let error = open(directory.path(), true, &RetainedMemory::unlimited()).map(|_| ()).expect_err("no directory");
        assert!(error.to_string().starts_with("cannot read "), "{error}");
        assert_eq!(fs::read(&path).expect("it is there"), b"not a database, and longer than nothing");
    }
}
