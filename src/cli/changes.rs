//! What has changed in the files of a run: programs that can run, manifests that can be read.
//!
//! A task looks at the files whenever something happens to them. Only what is whole gets through: a
//! new program is compiled before anybody hears of it, and what is broken is told of, once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::args::RunArgs;
use super::input::{self, Input};
use super::watching::Watching;
use super::{programs, report};
use crate::images::{Executable, FileStamp, Images};
use crate::runtime::Runtime;

/// What follows from a change.
pub enum Change {
    /// The programs in these files are new, and can run.
    Programs(Vec<PathBuf>),
    /// The manifests say something new, perhaps; with what there is to announce.
    Manifests(Input, Vec<String>),
    /// Something can't be used, and why; all goes on as before.
    Broken(String),
}

/// Changes that wait to be followed; while so many do, nobody looks for more.
const WAITING: usize = 4;

/// See the module's documentation. Ends when dropped.
pub struct Changes {
    changes: mpsc::Receiver<Change>,
    _task: JoinSet<()>,
}

impl Changes {
    /// Follows the manifests of `args` and the programs of `pods`, which were read from them.
    pub fn follow(
        args: &RunArgs,
        images: Arc<Images>,
        engine: Arc<Runtime>,
        pods: &[Pod],
        known: BTreeSet<String>,
    ) -> anyhow::Result<Changes> {
        let (sender, changes) = mpsc::channel(WAITING);
        let (args, watching) = (args.clone(), Watching::start()?);
        let manifests = manifests(&args.files);
        let mut observer =
            Observer { args, images, engine, watching, known, manifests, programs: BTreeMap::new(), changes: sender };
        observer.programs = observer.files_of(pods);
        observer.watch()?;
        let mut task = JoinSet::new();
        task.spawn(observer.run());
        Ok(Changes { changes, _task: task })
    }

    /// The next change. Cancel-safe.
    pub async fn next(&mut self) -> Change {
        match self.changes.recv().await {
            Some(change) => change,
            // The observer can't go on and has said why.
            None => std::future::pending().await,
        }
    }
}

/// Files, and how they are; `None` for one that is not there.
type Snapshot = BTreeMap<PathBuf, Option<FileStamp>>;

struct Observer {
    args: RunArgs,
    images: Arc<Images>,
    engine: Arc<Runtime>,
    watching: Watching,
    /// What was said before: warnings, and images whose stand-ins were announced.
    known: BTreeSet<String>,
    manifests: Snapshot,
    programs: Snapshot,
    changes: mpsc::Sender<Change>,
}

impl Observer {
    async fn run(mut self) {
        loop {
            for change in self.look().await {
                if self.changes.send(change).await.is_err() {
                    return;
                }
            }
            self.watching.settled().await;
            // Before looking, so that nothing that happens meanwhile is missed.
            if let Err(error) = self.watch() {
                let message = format!("changes are no longer seen: {}", report::chain(&error));
                let _ = self.changes.send(Change::Broken(message)).await;
                return;
            }
        }
    }

    fn watch(&mut self) -> anyhow::Result<()> {
        let paths = self.args.files.iter().chain(self.programs.keys()).chain(self.args.images.iter().map(|(_, p)| p));
        self.watching.set(paths.map(PathBuf::as_path))
    }

    fn files_of(&self, pods: &[Pod]) -> Snapshot {
        let files = pods.iter().flat_map(|pod| programs::files(pod, &self.images));
        // As it was read, which may be a while ago.
        files
            .map(|(_, path)| (self.images.cached_stamp(&path).or_else(|| stamp(&path)), path))
            .map(|(at, path)| (path, at))
            .collect()
    }

    /// Compares everything with how it was.
    async fn look(&mut self) -> Vec<Change> {
        let mut changes = Vec::new();
        let (mut new, mut broken) = (Vec::new(), Vec::new());
        for (path, before) in self.programs.clone() {
            let now = stamp(&path);
            if now == before {
                continue;
            }
            self.programs.insert(path.clone(), now);
            match self.adopt(&path).await {
                Ok(()) => new.push(path),
                Err(why) => broken.push(format!("{} {why}: the program before it stays", name(&path))),
            }
        }
        if !new.is_empty() {
            changes.push(Change::Programs(new));
        }
        changes.extend(broken.into_iter().map(Change::Broken));
        let manifests = manifests(&self.args.files);
        if manifests != self.manifests {
            self.manifests = manifests;
            changes.push(self.read().await);
        }
        changes
    }

    /// Makes the program in `path` the one that runs from now on, if it can run.
    async fn adopt(&self, path: &Path) -> Result<(), String> {
        let bytes = std::fs::read(path).map_err(|error| format!("has changed and cannot be read ({error})"))?;
        let program = Executable::new(bytes.into());
        let compiled = self.engine.program(program.digest, &program.bytes).await;
        compiled.map_err(|error| format!("has changed and cannot run ({error})"))?;
        self.images.replace_program(path, program);
        Ok(())
    }

    /// The manifests as they are now, their programs compiled.
    async fn read(&mut self) -> Change {
        let go_on = |why: String| Change::Broken(format!("{why}\nthe pods go on as they are"));
        let mut input = match input::read(&self.args, &self.images) {
            Ok(input) => input,
            Err(error) => return go_on(report::chain(&error)),
        };
        let mut notices = Vec::new();
        let tell = |notice| notices.push(notice);
        let failures = programs::compile(&input.pods, &self.images, &self.engine, &mut self.known, tell).await;
        if !failures.is_empty() {
            return go_on(failures.join("\n"));
        }
        input.warnings.retain(|warning| self.known.insert(warning.clone()));
        // One that is broken is told of once.
        let mut programs = self.files_of(&input.pods);
        for (path, stamp) in &mut programs {
            if let Some(known) = self.programs.get(path) {
                *stamp = *known;
            }
        }
        self.programs = programs;
        if let Err(error) = self.watch() {
            return Change::Broken(format!("changes are no longer seen: {}", report::chain(&error)));
        }
        Change::Manifests(input, notices)
    }
}

fn stamp(path: &Path) -> Option<FileStamp> {
    FileStamp::read(path).ok()
}

/// The manifests that are given, those in folders one by one.
fn manifests(given: &[PathBuf]) -> Snapshot {
    let mut found = Snapshot::new();
    for path in given {
        found.insert(path.clone(), stamp(path).filter(|_| !path.is_dir()));
        for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json") {
                found.insert(path.clone(), stamp(&path));
            }
        }
    }
    found
}

/// A file's name as people say it.
pub fn name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
