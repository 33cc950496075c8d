//! Compile cache: compiled programs on disk, so that each program is compiled once per machine.
//!
//! A compiled file is native code. The directory is private to the user (0700), and a file is loaded only if a keyed hash
//! proves that this installation wrote it; the verified bytes are the ones loaded. The cache is optional: without it,
//! programs are compiled at every start.

use std::fs::{self, DirBuilder, FileTimes, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::model::hex;

type Tag = Hmac<Sha256>;

const TAG_LEN: usize = 32;
/// Size from which a file is large. Large and small files have budgets of their own, so that one large program does not
/// drive out hundreds of small ones.
const MIN_LARGE_BYTES: u64 = 32 << 20;
/// Maximum size of all small files. Beyond it, the least recently used ones are removed.
const MAX_SMALL_BYTES: u64 = 256 << 20;
/// Maximum size of all large files.
const MAX_LARGE_BYTES: u64 = 512 << 20;

/// A private directory of compiled programs.
pub struct CompileCache {
    directory: PathBuf,
    key: [u8; 32],
}

/// Errors of [`CompileCache::open`].
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// A directory or the key cannot be created or read.
    #[error("cannot use {path:?}")]
    Directory {
        /// Path of the directory or the key file.
        path: PathBuf,
        /// Error reported by the operating system.
        source: io::Error,
    },
    /// A directory belongs to another user or is writable by others, so its contents cannot be trusted.
    #[error("{path:?} belongs to another user or is writable by others")]
    NotPrivate {
        /// Path of the directory.
        path: PathBuf,
    },
}

impl CompileCache {
    /// Opens the cache in `directory` with the key in `state`. Creates both if they are missing.
    ///
    /// # Errors
    ///
    /// Fails if a directory cannot be created or is not private to this user.
    pub fn open(directory: &Path, state: &Path) -> Result<CompileCache, CacheError> {
        let failed = |path: &Path| {
            let path = path.to_path_buf();
            move |source| CacheError::Directory { path, source }
        };
        for dir in [directory, state] {
            DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed(dir))?;
            check_private(dir)?;
        }
        let path = state.join("cache-key");
        let key = read_or_create_key(&path).map_err(failed(&path))?;
        Ok(CompileCache { directory: directory.into(), key })
    }

    /// Returns the compiled form of `program` if this installation wrote it with an engine whose settings hash to `engine`.
    pub fn load(&self, program: &[u8; 32], engine: u64) -> Option<Vec<u8>> {
        let path = self.path(program, engine);
        let mut file = fs::read(&path).ok()?;
        if file.len() < TAG_LEN {
            return None;
        }
        record_use(&path);
        let tag = file.split_off(file.len() - TAG_LEN);
        self.mac(program, engine, &file).verify_slice(&tag).ok()?;
        Some(file)
    }

    /// Stores `compiled`. The file appears whole or not at all.
    pub fn store(&self, program: &[u8; 32], engine: u64, compiled: &[u8]) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.directory)?;
        file.write_all(compiled)?;
        file.write_all(&self.mac(program, engine, compiled).finalize().into_bytes())?;
        file.persist(self.path(program, engine))?;
        self.evict_least_recently_used()
    }

    fn path(&self, program: &[u8; 32], engine: u64) -> PathBuf {
        let name = hex::encode(program.iter().take(16));
        self.directory.join(format!("{name}-{engine:016x}.cwasm"))
    }

    fn mac(&self, program: &[u8; 32], engine: u64, compiled: &[u8]) -> Tag {
        let mut mac = <Tag as Mac>::new_from_slice(&self.key).unwrap_or_else(|_| unreachable!("HMAC takes any key"));
        mac.update(program);
        mac.update(&engine.to_le_bytes());
        mac.update(compiled);
        mac
    }

    fn evict_least_recently_used(&self) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            files.push(CachedFile {
                used: metadata.accessed().or(metadata.modified())?,
                bytes: metadata.len(),
                path: entry.path(),
            });
        }
        let (large, small) = files.into_iter().partition(|file: &CachedFile| file.bytes >= MIN_LARGE_BYTES);
        let evicted = [evicted(small, MAX_SMALL_BYTES), evicted(large, MAX_LARGE_BYTES)].concat();
        evicted.iter().try_for_each(|file| match fs::remove_file(&file.path) {
            // Another process evicts the same files.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        })
    }
}

/// A file of the cache, ordered by its last use.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct CachedFile {
    used: SystemTime,
    bytes: u64,
    path: PathBuf,
}

/// Returns the least recently used files, without which the others have at most `max` bytes.
fn evicted(mut files: Vec<CachedFile>, max: u64) -> Vec<CachedFile> {
    files.sort();
    let mut total: u64 = files.iter().map(|file| file.bytes).sum();
    let exceeds = |file: &CachedFile| {
        let exceeds = total > max;
        total -= file.bytes;
        exceeds
    };
    files.into_iter().take_while(exceeds).collect()
}

/// Sets the time of a file's last use, which many file systems record once a day or never.
fn record_use(path: &Path) {
    let times = FileTimes::new().set_accessed(SystemTime::now());
    // A cache that cannot be written still serves.
    let _ = fs::File::open(path).and_then(|file| file.set_times(times));
}

/// Checks that `dir` belongs to this user and is not writable by others.
fn check_private(dir: &Path) -> Result<(), CacheError> {
    use std::os::unix::fs::MetadataExt;
    let meta = fs::metadata(dir).map_err(|source| CacheError::Directory { path: dir.into(), source })?;
    let ours = meta.uid() == rustix::process::geteuid().as_raw();
    let writable_by_others = meta.permissions().mode() & 0o022 != 0;
    if ours && !writable_by_others { Ok(()) } else { Err(CacheError::NotPrivate { path: dir.into() }) }
}

/// Reads the key or creates one. Of two processes that create one concurrently, the first wins.
fn read_or_create_key(path: &Path) -> io::Result<[u8; 32]> {
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
    let directory = path.parent().unwrap_or(Path::new("."));
    let temporary = directory.join(format!(".cache-key-{}", uuid::Uuid::new_v4()));
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
    use std::time::Duration;

    use super::*;

    fn digest(program: &[u8]) -> [u8; 32] {
        <Sha256 as sha2::Digest>::digest(program).into()
    }

    #[test]
    fn only_files_of_this_installation_are_loaded() {
        let dir = tempfile::tempdir().expect("a directory");
        let (directory, state) = (dir.path().join("cache"), dir.path().join("state"));
        let cache = CompileCache::open(&directory, &state).expect("a cache");
        let program = digest(b"program");
        assert_eq!(cache.load(&program, 1), None);
        cache.store(&program, 1, b"native code").expect("stored");
        let again = CompileCache::open(&directory, &state).expect("the same cache");
        assert_eq!(again.load(&program, 1).as_deref(), Some(b"native code".as_slice()));
        assert_eq!(again.load(&program, 2), None, "another engine");

        let path = again.path(&program, 1);
        let mut bytes = fs::read(&path).expect("the file");
        bytes[0] ^= 1;
        fs::write(&path, &bytes).expect("written");
        assert_eq!(again.load(&program, 1), None, "a changed file");

        let other = CompileCache::open(&directory, &dir.path().join("other")).expect("a cache with another key");
        cache.store(&program, 1, b"native code").expect("stored");
        assert_eq!(other.load(&program, 1), None, "another installation's file");
    }

    #[test]
    fn directory_writable_by_others_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let directory = dir.path().join("cache");
        fs::create_dir(&directory).expect("made");
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o777)).expect("changed");
        assert!(matches!(
            CompileCache::open(&directory, &dir.path().join("state")),
            Err(CacheError::NotPrivate { .. })
        ));
    }

    /// Returns a file that was last used at this second.
    fn file(name: &str, second: u64, bytes: u64) -> CachedFile {
        CachedFile { used: SystemTime::UNIX_EPOCH + Duration::from_secs(second), bytes, path: name.into() }
    }

    #[test]
    fn least_recently_used_files_are_evicted() {
        let files = vec![file("b", 2, 40), file("a", 1, 30), file("c", 3, 50)];
        let names = |max| evicted(files.clone(), max).into_iter().map(|file| file.path).collect::<Vec<_>>();
        assert!(names(120).is_empty());
        assert_eq!(names(119), [PathBuf::from("a")]);
        assert_eq!(names(60), [PathBuf::from("a"), "b".into()]);
        assert_eq!(names(10), [PathBuf::from("a"), "b".into(), "c".into()]);
    }

    #[test]
    fn large_program_does_not_evict_small_ones() {
        let dir = tempfile::tempdir().expect("a directory");
        let cache = CompileCache::open(&dir.path().join("cache"), &dir.path().join("state")).expect("a cache");
        cache.store(&digest(b"small"), 1, b"native code").expect("stored");
        for name in ["large", "larger"] {
            // Sparse: takes no space.
            let path = cache.path(&digest(name.as_bytes()), 1);
            fs::File::create(path).and_then(|file| file.set_len(MAX_LARGE_BYTES)).expect("created");
        }
        cache.store(&digest(b"another"), 1, b"native code").expect("stored");
        assert!(cache.load(&digest(b"small"), 1).is_some() && cache.load(&digest(b"another"), 1).is_some());
        let large = fs::read_dir(&cache.directory).expect("read").count() - 2;
        assert_eq!(large, 1, "one of the large ones is left");
    }

    #[test]
    fn loaded_file_counts_as_used() {
        let dir = tempfile::tempdir().expect("a directory");
        let cache = CompileCache::open(&dir.path().join("cache"), &dir.path().join("state")).expect("a cache");
        cache.store(&digest(b"old"), 1, b"native code").expect("stored");
        let path = cache.path(&digest(b"old"), 1);
        let old = FileTimes::new().set_accessed(SystemTime::UNIX_EPOCH).set_modified(SystemTime::UNIX_EPOCH);
        fs::File::options().write(true).open(&path).and_then(|file| file.set_times(old)).expect("set");
        cache.load(&digest(b"old"), 1).expect("loaded");
        let used = fs::metadata(&path).and_then(|metadata| metadata.accessed()).expect("a time");
        assert!(used.elapsed().expect("in the past") < Duration::from_secs(3600));
    }
}
