//! Detects changed programs and manifests (`run --watch`).
//!
//! A task compares the files with their previous state whenever the file watcher reports a change. It passes on
//! complete changes only: a program is compiled first, and a broken program or manifest is reported once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::compile;
use super::file_watcher::FileWatcher;
use crate::cli::args::RunArgs;
use crate::cli::manifest_source::has_manifest_extension;
use crate::cli::manifests::{self, LoadedManifests};
use crate::cli::report;
use crate::images::{Executable, FileStamp, Images};
use crate::runtime::{ProgramError, Runtime};

/// A change of the files.
pub enum Change {
    /// The programs in these files changed, and can run.
    Programs(Vec<PathBuf>),
    /// The manifests changed; with the notices of new images.
    Manifests(LoadedManifests, Vec<String>),
    /// A file cannot be used, so that the previous version is kept; with the message.
    Broken(String),
}

/// Changes that may wait to be applied; while the channel is full, the observer waits.
const MAX_BUFFERED: usize = 4;

/// The changes of the files of a run. Stops observing when dropped.
pub struct Changes {
    changes: mpsc::Receiver<Change>,
    _task: JoinSet<()>,
}

impl Changes {
    /// Starts to observe the manifests of `args` and the programs of `pods`, which were loaded from them. `announced`
    /// contains the warnings and the images that were printed already.
    pub fn observe(
        args: &RunArgs,
        images: Arc<Images>,
        engine: Arc<Runtime>,
        pods: &[Pod],
        announced: BTreeSet<String>,
    ) -> anyhow::Result<Changes> {
        let (sender, changes) = mpsc::channel(MAX_BUFFERED);
        let mut observer = Observer {
            args: args.clone(),
            images,
            engine,
            watcher: FileWatcher::new()?,
            announced,
            manifests: manifest_files(&args.files),
            programs: FileStamps::new(),
            changes: sender,
        };
        observer.programs = observer.program_files(pods);
        observer.watch()?;
        let mut task = JoinSet::new();
        task.spawn(observer.run());
        Ok(Changes { changes, _task: task })
    }

    /// Waits for the next change. Cancel-safe.
    pub async fn next(&mut self) -> Change {
        match self.changes.recv().await {
            Some(change) => change,
            // The observer has failed and reported it.
            None => std::future::pending().await,
        }
    }
}

/// Files and their stamps; `None` for a file that does not exist.
type FileStamps = BTreeMap<PathBuf, Option<FileStamp>>;

/// The reason for which a changed program cannot replace the running one.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    #[error("it cannot be read: {0}")]
    Read(std::io::Error),
    #[error("it cannot run: {0}")]
    Compile(ProgramError),
}

struct Observer {
    args: RunArgs,
    images: Arc<Images>,
    engine: Arc<Runtime>,
    watcher: FileWatcher,
    /// Warnings, and images whose notices were printed.
    announced: BTreeSet<String>,
    manifests: FileStamps,
    programs: FileStamps,
    changes: mpsc::Sender<Change>,
}

impl Observer {
    async fn run(mut self) {
        loop {
            for change in self.find_changes().await {
                if self.changes.send(change).await.is_err() {
                    return;
                }
            }
            self.watcher.changed().await;
            // Before the files are read, so that no later change is missed.
            if let Err(error) = self.watch() {
                let _ = self.changes.send(watch_failed(&error)).await;
                return;
            }
        }
    }

    fn watch(&mut self) -> anyhow::Result<()> {
        let images = self.args.images.iter().map(|(_, path)| path);
        let paths = self.args.files.iter().chain(self.programs.keys()).chain(images);
        self.watcher.watch(paths.map(PathBuf::as_path))
    }

    /// Returns the program files of `pods`, with the stamps that they had when they were loaded.
    fn program_files(&self, pods: &[Pod]) -> FileStamps {
        let files = pods.iter().flat_map(|pod| compile::program_files(pod, &self.images));
        files
            .map(|(_, path)| {
                let stamp = self.images.cached_stamp(&path).or_else(|| read_stamp(&path));
                (path, stamp)
            })
            .collect()
    }

    /// Compares all files with their previous stamps.
    async fn find_changes(&mut self) -> Vec<Change> {
        let mut changes = Vec::new();
        let (mut changed, mut broken) = (Vec::new(), Vec::new());
        for (path, previous) in self.programs.clone() {
            let stamp = read_stamp(&path);
            if stamp == previous {
                continue;
            }
            self.programs.insert(path.clone(), stamp);
            match self.load_program(&path).await {
                Ok(()) => changed.push(path),
                Err(error) => broken.push(broken_program(&file_name(&path), &error)),
            }
        }
        if !changed.is_empty() {
            changes.push(Change::Programs(changed));
        }
        changes.extend(broken.into_iter().map(Change::Broken));
        let manifests = manifest_files(&self.args.files);
        if manifests != self.manifests {
            self.manifests = manifests;
            changes.push(self.load_manifests().await);
        }
        changes
    }

    /// Compiles the program in `path`; if it can run, containers that start from now on use it.
    async fn load_program(&self, path: &Path) -> Result<(), UpdateError> {
        let bytes = std::fs::read(path).map_err(UpdateError::Read)?;
        let program = Executable::new(bytes.into());
        self.engine.program(program.digest, &program.bytes).await.map_err(UpdateError::Compile)?;
        self.images.replace_program(path, program);
        Ok(())
    }

    /// Loads the manifests and compiles their programs.
    async fn load_manifests(&mut self) -> Change {
        let broken = |message: String| Change::Broken(format!("{message}\nkeeping the running pods"));
        let mut loaded = match manifests::load(&self.args, &self.images) {
            Ok(loaded) => loaded,
            Err(error) => return broken(report::error_chain(&error)),
        };
        let mut notices = Vec::new();
        let notify = |notice| notices.push(notice);
        let (images, engine) = (&self.images, &self.engine);
        let failures = compile::compile_programs(&loaded.pods, images, engine, &mut self.announced, notify).await;
        if !failures.is_empty() {
            return broken(failures.join("\n"));
        }
        loaded.warnings.retain(|warning| self.announced.insert(warning.clone()));
        // Known programs keep their stamps, so that a broken one is not reported again.
        let mut programs = self.program_files(&loaded.pods);
        for (path, stamp) in &mut programs {
            if let Some(known) = self.programs.get(path) {
                *stamp = *known;
            }
        }
        self.programs = programs;
        match self.watch() {
            Ok(()) => Change::Manifests(loaded, notices),
            Err(error) => watch_failed(&error),
        }
    }
}

/// Returns the message about a changed program that cannot be used.
pub fn broken_program(name: &str, error: &UpdateError) -> String {
    format!("{name} changed, but {error}; keeping the previous version")
}

/// Returns the message about a file watcher that failed.
pub fn watch_failed_message(error: &anyhow::Error) -> String {
    format!("{}; further changes are ignored", report::error_chain(error))
}

fn watch_failed(error: &anyhow::Error) -> Change {
    Change::Broken(watch_failed_message(error))
}

fn read_stamp(path: &Path) -> Option<FileStamp> {
    FileStamp::read(path).ok()
}

/// Returns the manifests that `paths` stand for, with those in directories.
fn manifest_files(paths: &[PathBuf]) -> FileStamps {
    let mut files = FileStamps::new();
    for path in paths {
        files.insert(path.clone(), read_stamp(path).filter(|_| !path.is_dir()));
        for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
            let path = entry.path();
            if has_manifest_extension(&path) {
                files.insert(path.clone(), read_stamp(&path));
            }
        }
    }
    files
}

/// Returns the last component of a path, for messages.
pub fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
