//! How many files the guests of a container may have open.
//!
//! All guests share the descriptors of one process. A container gets a part of them, and the last ones are kept for the
//! node itself: its connections, logs and manifests.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{LazyLock, Weak};

use parking_lot::Mutex;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::process::{Resource, getrlimit};

/// Maximum of open files of a container, if the process may have many.
const MAX_OPEN_FILES: u64 = 4096;
/// Maximum of descriptors that are kept for the node.
const MAX_RESERVE: u64 = 1024;

/// The number of descriptors that guests may use, from the limit of this process at the first use.
static GUEST_DESCRIPTORS: LazyLock<u64> =
    LazyLock::new(|| guest_descriptors(getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)));

/// A descriptor to duplicate, which shows the smallest number that is free.
static PROBE: LazyLock<Option<OwnedFd>> =
    LazyLock::new(|| rustix::fs::openat(CWD, "/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok());

/// A container or the process has as many files open as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many open files")]
pub struct TooManyOpenFiles;

/// The open files of a container.
#[derive(Debug)]
pub struct OpenFiles {
    limit: usize,
    /// Protects the files; those that are closed are removed once the limit is reached.
    files: Mutex<Vec<Weak<dyn OpenFile>>>,
}

/// A file, or the mark of one, that is open for as long as it exists.
pub trait OpenFile: std::fmt::Debug + Send + Sync {}

impl<T: std::fmt::Debug + Send + Sync> OpenFile for T {}

impl Default for OpenFiles {
    fn default() -> OpenFiles {
        OpenFiles::with_limit(usize::try_from((*GUEST_DESCRIPTORS / 4).min(MAX_OPEN_FILES)).unwrap_or(usize::MAX))
    }
}

impl OpenFiles {
    fn with_limit(limit: usize) -> OpenFiles {
        OpenFiles { limit, files: Mutex::default() }
    }

    /// Checks that a guest may open another file.
    ///
    /// # Errors
    ///
    /// Fails if the container has reached its limit, or if only the node's descriptors are left.
    pub fn check(&self) -> Result<(), TooManyOpenFiles> {
        let mut files = self.files.lock();
        if files.len() >= self.limit {
            files.retain(|file| file.strong_count() > 0);
        }
        if files.len() >= self.limit { Err(TooManyOpenFiles) } else { check_descriptors() }
    }

    /// Counts `file` for as long as it exists.
    pub fn add(&self, file: Weak<dyn OpenFile>) {
        self.files.lock().push(file);
    }
}

/// Checks that a descriptor is free that is not kept for the node.
///
/// # Errors
///
/// Fails if there is none.
pub fn check_descriptors() -> Result<(), TooManyOpenFiles> {
    // A process gets the smallest number that is free.
    let free = PROBE.as_ref().and_then(|probe| rustix::io::fcntl_dupfd_cloexec(probe, 0).ok());
    let number = free.and_then(|free| u64::try_from(free.as_raw_fd()).ok());
    if number.is_some_and(|number| number < *GUEST_DESCRIPTORS) { Ok(()) } else { Err(TooManyOpenFiles) }
}

/// Returns how many of `limit` descriptors guests may use.
fn guest_descriptors(limit: u64) -> u64 {
    limit - (limit / 4).min(MAX_RESERVE)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn files_count_until_they_are_closed() {
        let open = OpenFiles::with_limit(2);
        let files: Vec<Arc<u8>> = (0..2).map(Arc::new).collect();
        for file in &files {
            assert_eq!(open.check(), Ok(()));
            open.add(Arc::downgrade(file) as Weak<dyn OpenFile>);
        }
        assert_eq!(open.check(), Err(TooManyOpenFiles));
        let stream = files[0].clone();
        drop(files);
        assert_eq!(open.check(), Ok(()), "one of them is closed");
        open.add(Arc::downgrade(&stream) as Weak<dyn OpenFile>);
        assert_eq!(open.check(), Err(TooManyOpenFiles));
        drop(stream);
        assert_eq!(open.check(), Ok(()));
    }

    #[test]
    fn descriptors_are_kept_for_the_node() {
        for (limit, guests) in [(64, 48), (1024, 768), (4096, 3072), (1 << 20, (1 << 20) - 1024)] {
            assert_eq!(guest_descriptors(limit), guests, "{limit}");
        }
    }
}
