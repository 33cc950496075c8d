//! Watches files: says that something has happened to them, once it is quiet again.
//!
//! Folders are watched, not files: editors save by renaming, compilers remove and write anew. What
//! has happened is not said, since events come late, twice or not at all; whoever is woken looks.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

/// As long as nothing has happened for this time, somebody may still be writing.
const QUIET: Duration = Duration::from_millis(75);
/// Somebody who writes all the time is not waited for longer than this.
const BOUND: Duration = Duration::from_secs(2);

/// See the module's documentation.
pub struct Watching {
    watcher: RecommendedWatcher,
    happened: Arc<Notify>,
    /// Something has happened, and nobody was told yet.
    stirred: bool,
    /// Protects what counts among all that happens in the folders.
    interest: Arc<Mutex<BTreeSet<PathBuf>>>,
}

impl Watching {
    /// Watches nothing yet.
    pub fn start() -> anyhow::Result<Watching> {
        let (happened, interest) = (Arc::new(Notify::new()), Arc::new(Mutex::new(BTreeSet::new())));
        let (tell, counts) = (happened.clone(), interest.clone());
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            let concerns = match &event {
                Ok(event) if event.kind.is_access() => false,
                Ok(event) => event.paths.is_empty() || concerns(&counts.lock(), &event.paths),
                // Something was missed.
                Err(_) => true,
            };
            if concerns {
                tell.notify_one();
            }
        });
        let watcher = watcher.context("cannot watch files (the system's limit of watches may be reached)")?;
        Ok(Watching { watcher, happened, stirred: false, interest })
    }

    /// Watches `paths` from now on: files, which need not be there, and folders with what is in them.
    pub fn set<'p>(&mut self, paths: impl IntoIterator<Item = &'p Path>) -> anyhow::Result<()> {
        let mut interest = BTreeSet::new();
        let mut folders = BTreeSet::new();
        for path in paths {
            let path = std::path::absolute(path).unwrap_or_else(|_| path.into());
            // Where it leads, too: a link stays when what it leads to is written.
            for path in [std::fs::canonicalize(&path).ok(), Some(path)].into_iter().flatten() {
                let folder = if path.is_dir() { Some(path.as_path()) } else { path.parent() };
                // A folder that is not there is waited for in the one above it.
                let there = folder.into_iter().flat_map(Path::ancestors).find(|folder| folder.is_dir());
                folders.extend(there.map(Path::to_path_buf));
                interest.extend(path.ancestors().take_while(|above| Some(*above) != there).map(Path::to_path_buf));
                interest.extend(there.map(Path::to_path_buf).filter(|_| path.is_dir()));
            }
        }
        *self.interest.lock() = interest;
        for folder in folders {
            // Again where it is watched already: it may be another folder of the same name.
            let watched = self.watcher.watch(&folder, RecursiveMode::NonRecursive);
            watched.with_context(|| format!("cannot watch {}", folder.display()))?;
        }
        Ok(())
    }

    /// Waits until something has happened and it is quiet again. Cancel-safe.
    pub async fn settled(&mut self) {
        if !self.stirred {
            self.happened.notified().await;
            self.stirred = true;
        }
        let until = Instant::now() + BOUND;
        while Instant::now() < until && timeout(QUIET, self.happened.notified()).await.is_ok() {}
        self.stirred = false;
    }
}

/// Whether one of `paths` counts: itself, or as something in a folder that does.
fn concerns(interest: &BTreeSet<PathBuf>, paths: &[PathBuf]) -> bool {
    let counts =
        |path: &PathBuf| interest.contains(path) || path.parent().is_some_and(|above| interest.contains(above));
    paths.iter().any(counts)
}
