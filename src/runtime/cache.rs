//! Compiled programs on disk, so that a program is compiled once per machine.
//!
//! A compiled file is native code: the folder is the user's alone (0700), and a file counts only
//! if a keyed hash proves that this installation wrote it. It is read once, and what was checked
//! is what is loaded. The cache is a convenience: where it can't be used, programs are compiled.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use hmac::{Hmac, Mac};
use sha2::Sha256;

type Tag = Hmac<Sha256>;

const TAG_LEN: usize = 32;
/// Files beyond this are removed, least recently used first.
const MAX_BYTES: u64 = 512 * 1024 * 1024;

/// A folder of compiled programs.
pub struct Cache {
    folder: PathBuf,
    key: [u8; 32],
}

/// Why there is no cache.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// A folder or the key can't be made or read.
    #[error("cannot use {path:?}")]
    Folder {
        /// The folder, or the key's file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A folder is another user's, or others may write to it: what lies there proves nothing.
    #[error("{path:?} belongs to others or may be written by them")]
    NotOurs {
        /// The folder.
        path: PathBuf,
    },
}

impl Cache {
    /// The cache in `folder`, whose key lies in `state`. Both are made where they are missing.
    pub fn open(folder: &Path, state: &Path) -> Result<Cache, CacheError> {
        let failed = |path: &Path| {
            let path = path.to_path_buf();
            move |source| CacheError::Folder { path, source }
        };
        for dir in [folder, state] {
            DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed(dir))?;
            check_private(dir)?;
        }
        let path = state.join("cache-key");
        let key = key(&path).map_err(failed(&path))?;
        Ok(Cache { folder: folder.into(), key })
    }

    /// The compiled form of `program`, if this installation has written it with an engine whose
    /// settings hash to `engine`.
    pub fn load(&self, program: &[u8; 32], engine: u64) -> Option<Vec<u8>> {
        let mut file = fs::read(self.path(program, engine)).ok()?;
        if file.len() < TAG_LEN {
            return None;
        }
        let tag = file.split_off(file.len() - TAG_LEN);
        self.mac(program, engine, &file).verify_slice(&tag).ok()?;
        Some(file)
    }

    /// Keeps `compiled`. The file appears whole or not at all.
    pub fn store(&self, program: &[u8; 32], engine: u64, compiled: &[u8]) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        file.write_all(compiled)?;
        file.write_all(&self.mac(program, engine, compiled).finalize().into_bytes())?;
        file.persist(self.path(program, engine))?;
        self.make_room()
    }

    fn path(&self, program: &[u8; 32], engine: u64) -> PathBuf {
        let name: String = program.iter().take(16).map(|b| format!("{b:02x}")).collect();
        self.folder.join(format!("{name}-{engine:016x}.cwasm"))
    }

    fn mac(&self, program: &[u8; 32], engine: u64, compiled: &[u8]) -> Tag {
        let mut mac = <Tag as Mac>::new_from_slice(&self.key).unwrap_or_else(|_| unreachable!("HMAC takes any key"));
        mac.update(program);
        mac.update(&engine.to_le_bytes());
        mac.update(compiled);
        mac
    }

    fn make_room(&self) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let (path, meta) = {
                let entry = entry?;
                (entry.path(), entry.metadata()?)
            };
            files.push((meta.accessed().or(meta.modified())?, meta.len(), path));
        }
        files.sort();
        let mut total: u64 = files.iter().map(|(_, len, _)| len).sum();
        for (_, len, path) in files {
            if total <= MAX_BYTES {
                break;
            }
            fs::remove_file(path)?;
            total -= len;
        }
        Ok(())
    }
}

/// Whether nobody else can write here.
fn check_private(dir: &Path) -> Result<(), CacheError> {
    use std::os::unix::fs::MetadataExt;
    let meta = fs::metadata(dir).map_err(|source| CacheError::Folder { path: dir.into(), source })?;
    let ours = meta.uid() == rustix::process::geteuid().as_raw();
    let writable_by_others = meta.permissions().mode() & 0o022 != 0;
    if ours && !writable_by_others { Ok(()) } else { Err(CacheError::NotOurs { path: dir.into() }) }
}

/// Reads the key, or makes one. Of two processes that make one at once, the first wins.
fn key(path: &Path) -> io::Result<[u8; 32]> {
    let read = || -> io::Result<[u8; 32]> {
        let bytes = fs::read(path)?;
        bytes.try_into().map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the key has a wrong length"))
    };
    match read() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        other => return other,
    }
    let mut new = [0; 32];
    for half in new.chunks_exact_mut(16) {
        half.copy_from_slice(uuid::Uuid::new_v4().as_bytes());
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    let temporary = folder.join(format!(".cache-key-{}", uuid::Uuid::new_v4()));
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?.write_all(&new)?;
    let linked = fs::hard_link(&temporary, path);
    fs::remove_file(&temporary)?;
    match linked {
        Ok(()) => Ok(new),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => read(),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(program: &[u8]) -> [u8; 32] {
        <Sha256 as sha2::Digest>::digest(program).into()
    }

    #[test]
    fn only_what_this_installation_wrote_is_loaded() {
        let dir = tempfile::tempdir().expect("a folder");
        let (folder, state) = (dir.path().join("cache"), dir.path().join("state"));
        let cache = Cache::open(&folder, &state).expect("a cache");
        let program = digest(b"program");
        assert_eq!(cache.load(&program, 1), None);
        cache.store(&program, 1, b"native code").expect("stored");
        let again = Cache::open(&folder, &state).expect("the same cache");
        assert_eq!(again.load(&program, 1).as_deref(), Some(b"native code".as_slice()));
        assert_eq!(again.load(&program, 2), None, "another engine");

        let path = again.path(&program, 1);
        let mut bytes = fs::read(&path).expect("the file");
        bytes[0] ^= 1;
        fs::write(&path, &bytes).expect("written");
        assert_eq!(again.load(&program, 1), None, "a changed file");

        let other = Cache::open(&folder, &dir.path().join("other")).expect("a cache with another key");
        cache.store(&program, 1, b"native code").expect("stored");
        assert_eq!(other.load(&program, 1), None, "another installation's file");
    }

    #[test]
    fn a_folder_that_others_may_write_is_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = dir.path().join("cache");
        fs::create_dir(&folder).expect("made");
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).expect("changed");
        assert!(matches!(Cache::open(&folder, &dir.path().join("state")), Err(CacheError::NotOurs { .. })));
    }
}
