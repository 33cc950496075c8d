//! Watches files and directories, and reports that something changed once no more changes arrive.
//!
//! Directories are watched rather than files, because editors save by renaming, and compilers remove files and
//! create them anew. A report does not say what changed: events may be late, doubled or missing, so the caller compares
//! the files themselves.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

/// A writer is considered done when nothing has changed for this time.
const QUIET_PERIOD: Duration = Duration::from_millis(75);
/// The maximum wait for a quiet period.
const MAX_DELAY: Duration = Duration::from_secs(2);

/// Watches files and directories, and reports a change once no more changes arrive.
pub struct FileWatcher {
    watcher: RecommendedWatcher,
    changed: Arc<Notify>,
    /// A change has arrived and is not reported yet.
    is_pending: bool,
    /// Protects the paths whose changes are reported; shared with the watcher's thread.
    relevant: Arc<Mutex<BTreeSet<PathBuf>>>,
}

impl FileWatcher {
    /// Creates a watcher that watches nothing yet.
    pub fn new() -> anyhow::Result<FileWatcher> {
        let (changed, relevant) = (Arc::new(Notify::new()), Arc::new(Mutex::new(BTreeSet::new())));
        let (sender, filter) = (changed.clone(), relevant.clone());
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            let is_change = match &event {
                Ok(event) if event.kind.is_access() => false,
                Ok(event) => event.paths.is_empty() || is_relevant(&filter.lock(), &event.paths),
                // Events were lost.
                Err(_) => true,
            };
            if is_change {
                sender.notify_one();
            }
        });
        let watcher = watcher.context("cannot watch files; the system's limit of file watches may be exceeded")?;
        Ok(FileWatcher { watcher, changed, is_pending: false, relevant })
    }

    /// Watches `paths` instead of the previous ones: files, which need not exist, and directories with their entries.
    pub fn watch<'p>(&mut self, paths: impl IntoIterator<Item = &'p Path>) -> anyhow::Result<()> {
        let mut relevant = BTreeSet::new();
        let mut directories = BTreeSet::new();
        for path in paths {
            let path = std::path::absolute(path).unwrap_or_else(|_| path.into());
            // The target of a link as well: writing to it does not change the link.
            for path in [std::fs::canonicalize(&path).ok(), Some(path)].into_iter().flatten() {
                let directory = if path.is_dir() { Some(path.as_path()) } else { path.parent() };
                // The creation of a missing directory is seen in its nearest existing ancestor.
                let existing = directory.into_iter().flat_map(Path::ancestors).find(|ancestor| ancestor.is_dir());
                directories.extend(existing.map(Path::to_path_buf));
                relevant.extend(path.ancestors().take_while(|above| Some(*above) != existing).map(Path::to_path_buf));
                relevant.extend(existing.map(Path::to_path_buf).filter(|_| path.is_dir()));
            }
        }
        *self.relevant.lock() = relevant;
        for directory in directories {
            // Watched directories as well: one may have been replaced by another of the same name.
            let watched = self.watcher.watch(&directory, RecursiveMode::NonRecursive);
            watched.with_context(|| format!("cannot watch {}", directory.display()))?;
        }
        Ok(())
    }

    /// Waits for a change and the quiet period after it. Cancel-safe.
    pub async fn changed(&mut self) {
        if !self.is_pending {
            self.changed.notified().await;
            self.is_pending = true;
        }
        let deadline = Instant::now() + MAX_DELAY;
        while Instant::now() < deadline && timeout(QUIET_PERIOD, self.changed.notified()).await.is_ok() {}
        self.is_pending = false;
    }
}

/// Returns whether one of `paths`, or its parent directory, is in `relevant`.
fn is_relevant(relevant: &BTreeSet<PathBuf>, paths: &[PathBuf]) -> bool {
    let matches =
        |path: &PathBuf| relevant.contains(path) || path.parent().is_some_and(|parent| relevant.contains(parent));
    paths.iter().any(matches)
}
