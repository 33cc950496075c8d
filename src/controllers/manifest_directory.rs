//! Reads the manifests of a directory, aside from everything else: a file may never answer.
//!
//! One thread at a time looks at the files. Where it gets no answer (a file system that hangs, say), the thread is left
//! behind, another one looks at the other files, and the file is left out until the thread has ended.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use k8s_openapi::api::core::v1::Pod;
use tokio::sync::{mpsc, oneshot};

/// Reads the pods of one manifest.
pub type ReadPods = Arc<dyn Fn(&Path) -> Result<Vec<Pod>, InvalidManifest> + Send + Sync>;

/// A manifest that cannot be read or parsed; with its diagnostics as users see them.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct InvalidManifest(pub String);

/// Time within which the directory and each file must answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A directory of manifests.
pub(super) struct ManifestDirectory {
    path: PathBuf,
    read: ReadPods,
    timeout: Duration,
    /// The threads that wait for a file or the directory.
    stuck: BTreeMap<PathBuf, JoinHandle<()>>,
}

/// The files of the directory that are manifests.
#[derive(Default)]
pub(super) struct Scan {
    /// All of them, those that do not answer included.
    pub present: BTreeSet<PathBuf>,
    pub changed: Vec<ChangedManifest>,
    /// The files that cannot be read now, each with the reason. They may answer later.
    pub unreadable: BTreeMap<PathBuf, String>,
}

/// A manifest that is new or has changed.
pub(super) struct ChangedManifest {
    pub path: PathBuf,
    pub fingerprint: FileFingerprint,
    pub pods: Result<Vec<Pod>, InvalidManifest>,
}

/// The metadata from which a change of a file is recognized.
#[derive(PartialEq, Eq, Clone, Copy)]
pub(super) struct FileFingerprint {
    modified: Option<SystemTime>,
    length: u64,
    inode: u64,
}

/// A report of the thread that looks at files. `Begins` comes before each of the others.
enum Progress {
    Begins(PathBuf),
    Unchanged,
    Changed(FileFingerprint, Result<Vec<Pod>, InvalidManifest>),
    NotAFile,
    Vanished,
}

impl ManifestDirectory {
    pub(super) fn new(path: PathBuf, read: ReadPods) -> ManifestDirectory {
        ManifestDirectory { path, read, timeout: TIMEOUT, stuck: BTreeMap::new() }
    }

    /// Looks at the directory and reads the manifests whose fingerprints are not `known`.
    ///
    /// # Errors
    /// Fails if the directory cannot be listed.
    pub(super) async fn scan(&mut self, known: BTreeMap<PathBuf, FileFingerprint>) -> io::Result<Scan> {
        let paths = self.list().await?;
        let mut scan = Scan { present: paths.iter().cloned().collect(), ..Scan::default() };
        let (ready, stuck): (Vec<PathBuf>, _) = paths.into_iter().partition(|path| !self.stuck.contains_key(path));
        scan.unreadable.extend(stuck.into_iter().map(|path| (path, self.no_answer())));
        let known = Arc::new(known);
        let mut left = ready;
        while !left.is_empty() {
            left = self.look(left, &known, &mut scan).await;
        }
        Ok(scan)
    }

    fn no_answer(&self) -> String {
        format!("does not answer within {:?}", self.timeout)
    }

    /// Returns the identity of the directory; `None` while it is missing. Inode numbers are reused, so the creation time is
    /// part of it.
    pub(super) async fn identity(&mut self) -> Option<(u64, Option<SystemTime>)> {
        let identity = |path: &Path| std::fs::metadata(path).map(|metadata| (metadata.ino(), metadata.created().ok()));
        self.ask(identity).await.ok()
    }

    async fn list(&mut self) -> io::Result<Vec<PathBuf>> {
        self.ask(list).await
    }

    /// Returns the answer to a question about the directory.
    async fn ask<T: Send + 'static>(
        &mut self,
        question: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let message = self.no_answer();
        let no_answer = || io::Error::new(io::ErrorKind::TimedOut, message);
        self.stuck.retain(|_, thread| !thread.is_finished());
        if self.stuck.contains_key(&self.path) {
            return Err(no_answer());
        }
        let path = self.path.clone();
        let (answer, answered) = oneshot::channel();
        // Nobody receives an answer that comes too late.
        let thread = start_thread(move || _ = answer.send(question(&path)))?;
        match tokio::time::timeout(self.timeout, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => {
                self.stuck.insert(self.path.clone(), thread);
                Err(no_answer())
            }
        }
    }

    /// Looks at `paths` until one of them does not answer. Returns those after it.
    async fn look(
        &mut self,
        mut paths: Vec<PathBuf>,
        known: &Arc<BTreeMap<PathBuf, FileFingerprint>>,
        scan: &mut Scan,
    ) -> Vec<PathBuf> {
        let (report, mut progress) = mpsc::unbounded_channel();
        let (read, known, all) = (self.read.clone(), known.clone(), paths.clone());
        let work = move || look_at_all(&all, &known, &read, &report);
        let thread = match start_thread(work) {
            Ok(thread) => thread,
            Err(error) => {
                let reason = format!("cannot be read: {error}");
                scan.unreadable.extend(paths.into_iter().map(|path| (path, reason.clone())));
                return Vec::new();
            }
        };
        paths.reverse();
        let mut current = PathBuf::new();
        loop {
            let Ok(next) = tokio::time::timeout(self.timeout, progress.recv()).await else {
                scan.unreadable.insert(current.clone(), self.no_answer());
                self.stuck.insert(current, thread);
                paths.reverse();
                return paths;
            };
            match next {
                Some(Progress::Begins(path)) => {
                    paths.pop();
                    current = path;
                }
                Some(Progress::Changed(fingerprint, pods)) => {
                    scan.changed.push(ChangedManifest { path: current.clone(), fingerprint, pods });
                }
                Some(Progress::NotAFile) => {
                    scan.unreadable.insert(current.clone(), "is not a regular file".into());
                }
                Some(Progress::Vanished) => drop(scan.present.remove(&current)),
                Some(Progress::Unchanged) => {}
                None => return Vec::new(),
            }
        }
    }
}

/// Starts a thread that the process does not wait for when it exits.
fn start_thread(work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name("wasmpod-manifests".into()).spawn(work)
}

/// Looks at one file after the other, until nobody receives the reports.
fn look_at_all(
    paths: &[PathBuf],
    known: &BTreeMap<PathBuf, FileFingerprint>,
    read: &ReadPods,
    report: &mpsc::UnboundedSender<Progress>,
) {
    for path in paths {
        let begins = report.send(Progress::Begins(path.clone()));
        if begins.and_then(|()| report.send(look_at(path, known.get(path), read))).is_err() {
            return;
        }
    }
}

fn look_at(path: &Path, known: Option<&FileFingerprint>, read: &ReadPods) -> Progress {
    let Ok(metadata) = std::fs::metadata(path) else { return Progress::Vanished };
    if !metadata.is_file() {
        return Progress::NotAFile;
    }
    let fingerprint =
        FileFingerprint { modified: metadata.modified().ok(), length: metadata.len(), inode: metadata.ino() };
    if known == Some(&fingerprint) {
        return Progress::Unchanged;
    }
    let is_own = metadata.uid() == rustix::process::geteuid().as_raw();
    let pods = read(path).map_err(|error| if is_own { error } else { withheld(path) });
    Progress::Changed(fingerprint, pods)
}

/// Returns the error of an invalid manifest of another user: a link may lead to anything, which logs must not quote.
fn withheld(path: &Path) -> InvalidManifest {
    let path = path.display();
    InvalidManifest(format!(
        "the file belongs to another user; run `wasmpod validate {path}` to see what is wrong with it"
    ))
}

fn list(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(directory)?.collect::<Result<Vec<_>, _>>()?;
    let mut paths: Vec<PathBuf> =
        entries.into_iter().map(|entry| entry.path()).filter(|path| is_manifest(path)).collect();
    paths.sort();
    Ok(paths)
}

fn is_manifest(path: &Path) -> bool {
    let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    !hidden && path.extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json")
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc as std_mpsc;
    use std::time::Instant;

    use parking_lot::Mutex;

    use super::*;

    #[tokio::test]
    async fn file_that_never_answers_stops_no_other() {
        let dir = tempfile::tempdir().expect("a directory");
        for name in ["a.yaml", "b.yaml", "c.yaml"] {
            std::fs::write(dir.path().join(name), "").expect("written");
        }
        let (answer, answers) = std_mpsc::channel::<()>();
        let answers = Mutex::new(answers);
        let read: ReadPods = Arc::new(move |path| {
            if path.ends_with("b.yaml") {
                answers.lock().recv().expect("an answer");
            }
            Ok(vec![Pod::default()])
        });
        let mut directory =
            ManifestDirectory { timeout: Duration::from_secs(1), ..ManifestDirectory::new(dir.path().into(), read) };
        let names = |scan: &Scan| -> Vec<String> {
            let name = |path: &PathBuf| path.file_name().expect("a name").to_string_lossy().into_owned();
            scan.changed.iter().map(|changed| name(&changed.path)).collect()
        };
        for _ in 0..2 {
            let scan = directory.scan(BTreeMap::new()).await.expect("listed");
            assert_eq!((names(&scan), scan.present.len()), (vec!["a.yaml".to_string(), "c.yaml".into()], 3));
            let reasons: Vec<&String> = scan.unreadable.values().collect();
            assert_eq!(reasons, ["does not answer within 1s"]);
        }
        // One answer for the first thread, which nobody waits for, and one for the next scan.
        answer.send(()).expect("sent");
        answer.send(()).expect("sent");
        // The first thread ends soon, and the file is then read again.
        let start = Instant::now();
        let mut scan = directory.scan(BTreeMap::new()).await.expect("listed");
        while scan.changed.len() < 3 && start.elapsed() < TIMEOUT {
            scan = directory.scan(BTreeMap::new()).await.expect("listed");
        }
        assert_eq!((scan.changed.len(), scan.unreadable.len()), (3, 0));
    }

    #[tokio::test]
    async fn only_regular_files_are_read() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(dir.path().join("d.yaml")).expect("created");
        std::os::unix::fs::symlink("/dev/zero", dir.path().join("z.yaml")).expect("linked");
        std::os::unix::fs::symlink("nowhere", dir.path().join("n.yaml")).expect("linked");
        let read: ReadPods = Arc::new(|path: &Path| Err(InvalidManifest(format!("read {}", path.display()))));
        let scan = ManifestDirectory::new(dir.path().into(), read).scan(BTreeMap::new()).await.expect("listed");
        let reasons: Vec<&str> = scan.unreadable.values().map(String::as_str).collect();
        let expected = vec!["is not a regular file"; 2];
        assert_eq!((reasons, scan.present.len(), scan.changed.len()), (expected, 2, 0));
    }
}
