//! Writes the database of a store whose objects come from a backup.

use std::collections::HashSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::database::{self, Transaction};
use super::history::ObjectChange;
use super::record::{FORMAT, StateRecord};
use crate::control::{ChangeKind, Object, Revision};

/// A database cannot be written from a backup.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// Two objects have the same key or revision, or one is newer than the store.
    #[error("{0} is not consistent with the other objects")]
    Inconsistent(String),
    /// The file cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// Path of the file.
        path: PathBuf,
        /// Cause.
        source: redb::Error,
    },
}

/// Creates the database at `path` with `objects`, which keep their revisions. The store has `revision`, and watches
/// cannot start before it. What is at `path` is replaced once the new database is on disk.
///
/// # Errors
/// [`RestoreError`]; `path` is unchanged.
pub fn restore(path: &Path, objects: Vec<Arc<Object>>, revision: Revision) -> Result<(), RestoreError> {
    let changes = changes(objects, revision)?;
    let written = path.with_added_extension("new");
    let failed = |source: redb::Error| RestoreError::Write { path: written.clone(), source };
    let write = || -> Result<(), redb::Error> {
        match fs::remove_file(&written) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            Ok(()) | Err(_) => {}
        }
        let database = database::file(&written)()?;
        let state = StateRecord {
            format: FORMAT,
            revision,
            oldest: revision,
            reserved: revision,
            is_closed: true,
            lost: Vec::new(),
        };
        let transaction = Transaction { added: changes.iter().collect(), removed: &[], state, durable: 0 };
        database::write(&database, &transaction, false)?;
        drop(database);
        fs::rename(&written, path)?;
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(directory)?.sync_all()?;
        Ok(())
    };
    write().map_err(failed)
}

/// Returns the objects as creations in the order of their revisions.
fn changes(mut objects: Vec<Arc<Object>>, revision: Revision) -> Result<Vec<ObjectChange>, RestoreError> {
    objects.sort_by_key(|object| object.revision);
    let mut keys = HashSet::new();
    let mut last = 0;
    for object in &objects {
        if object.revision <= last || object.revision > revision || !keys.insert(&object.key) {
            let resource = object.key.resource.qualified_name();
            return Err(RestoreError::Inconsistent(format!(
                "{resource} {} at revision {}",
                object.key, object.revision
            )));
        }
        last = object.revision;
    }
    let change = |object| ObjectChange { kind: ChangeKind::Added, object, previous: None };
    Ok(objects.into_iter().map(change).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::RetainedMemory;
    use crate::control::{Key, Resource, Scope};
    use crate::store::{HistoryLimits, ObjectStore};

    fn object(name: &str, revision: Revision) -> Arc<Object> {
        let json = format!(r#"{{"metadata":{{"resourceVersion":"{revision}","name":"{name}"}}}}"#);
        Arc::new(Object::stored(Key::new(Resource::CONFIG_MAPS, "default", name), revision, json.into()))
    }

    fn find(group: &str, plural: &str) -> Option<Resource> {
        (group.is_empty() && plural == "configmaps").then_some(Resource::CONFIG_MAPS)
    }

    #[test]
    fn restored_store_has_the_objects_and_a_new_history() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("objects.redb");
        restore(&path, vec![object("b", 9), object("a", 4)], 1000).expect("restored");
        let limits = HistoryLimits { changes: 100, memory: RetainedMemory::unlimited() };
        let store = ObjectStore::open(&path, limits, 1, &find).expect("opened");
        let scope = Scope::all(Resource::CONFIG_MAPS);
        let (objects, revision) = store.list(&scope);
        let found: Vec<_> = objects.iter().map(|object| (&*object.key.name, object.revision)).collect();
        assert_eq!((found, revision), (vec![("a", 4), ("b", 9)], 1000));
        assert!(store.watch(scope.clone(), 9).is_err(), "changes before the restoration are unknown");
        assert!(store.watch(scope, 1000).is_ok());
        store.close();
        assert_eq!(fs::read_dir(directory.path()).expect("listed").count(), 1, "no other file is left");
    }

    #[test]
    fn inconsistent_objects_are_refused_and_named() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("objects.redb");
        for (objects, expected) in [
            (vec![object("a", 4), object("a", 5)], "configmaps default/a at revision 5"),
            (vec![object("a", 4), object("b", 4)], "configmaps default/b at revision 4"),
            (vec![object("a", 11)], "configmaps default/a at revision 11"),
        ] {
            let error = restore(&path, objects, 10).expect_err("inconsistent").to_string();
            assert_eq!(error, format!("{expected} is not consistent with the other objects"));
        }
        assert!(!path.exists());
    }
}
