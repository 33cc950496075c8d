//! Copies what guests write into files: one task for all logs of a node.
//!
//! Guests only ever write to memory. A log with new lines puts itself on a list; the task waits a
//! moment for others, then goes through the list on a thread that may wait for the disk, a bounded
//! piece of each log at a time. No file stays open in between. Lines that wait for the disk may use
//! [`ROOM`] bytes of memory beyond what each log holds anyway; what does not fit is missing from the
//! files, counted, and warned of once.

use std::collections::VecDeque;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::files::{Files, KUBELETS, Limits};
use super::ring::{Ring, Urgency};
use super::{CAPACITY, Log};

/// Bytes that lines may use while they wait for the disk, all logs together.
const ROOM: usize = 32 * 1024 * 1024;
/// How long the first new line waits for others to be written with.
const GATHERING: Duration = Duration::from_millis(100);
/// What is taken out of a log at once: its writer waits meanwhile.
const BATCH: usize = 256 * 1024;
/// Batches of one log before it is the others' turn.
const TURN: usize = 16;

/// A file by which a folder is known as a node's own.
const CLAIM: &str = ".wasmpod";

/// The folder with the logs of a node's pods, and what is to be done in it.
pub struct Spool {
    folder: PathBuf,
    capacity: usize,
    limits: Limits,
    /// Protects the list.
    work: Mutex<Work>,
    /// There is work.
    woken: Notify,
    /// And it should not wait.
    urgent: Notify,
    /// Held by whoever changes the folder.
    disk: Mutex<()>,
    ended: AtomicBool,
    room: Arc<AtomicUsize>,
    lost: AtomicU64,
    warned: AtomicBool,
}

#[derive(Default)]
struct Work {
    /// Logs with new lines; each is here at most once for either urgency.
    logs: VecDeque<Weak<Log>>,
    removals: Vec<Removal>,
}

/// Files that nobody needs any more, and the folder that they were in if that is to go as well.
struct Removal {
    files: Vec<Arc<Files>>,
    folder: Option<PathBuf>,
}

/// Where a log's lines go beside memory.
pub(super) struct Sink {
    pub(super) spool: Arc<Spool>,
    pub(super) files: Arc<Files>,
}

/// The logs of one pod.
pub struct PodLogs {
    spool: Arc<Spool>,
    folder: PathBuf,
}

impl PodLogs {
    /// The log of an attempt of `container`, open for writing; `restarts` is how often the container
    /// was restarted, and differs from attempt to attempt.
    pub fn attempt(&self, container: &str, restarts: u32) -> Arc<Log> {
        let Spool { capacity, limits, room, .. } = &*self.spool;
        let path = self.folder.join(container).join(format!("{restarts}.log"));
        let sink = Sink { spool: self.spool.clone(), files: Arc::new(Files::new(path, *limits)) };
        Log::with(Ring::on_the_way(*capacity, room.clone()), Some(sink))
    }

    /// Removes the files of `logs`, which stay readable as far as they are in memory.
    pub fn remove<'l>(&self, logs: impl IntoIterator<Item = &'l Arc<Log>>) {
        self.spool.remove(Removal { files: files(logs), folder: None });
    }

    /// Removes all that is left of the pod, whose last logs are `logs`.
    pub fn remove_all<'l>(self, logs: impl IntoIterator<Item = &'l Arc<Log>>) {
        self.spool.remove(Removal { files: files(logs), folder: Some(self.folder) });
    }
}

fn files<'l>(logs: impl IntoIterator<Item = &'l Arc<Log>>) -> Vec<Arc<Files>> {
    logs.into_iter().filter_map(|log| log.sink.as_ref()).map(|sink| sink.files.clone()).collect()
}

impl Spool {
    /// Where the logs of a pod are, below folders by container.
    pub fn pod_folder(&self, namespace: &str, name: &str, uid: &str) -> PathBuf {
        self.folder.join(format!("{namespace}_{name}_{uid}"))
    }

    /// Keeps logs below `folder`, which is made where it is missing. Nothing is written before
    /// [`run`](Spool::run).
    pub fn new(folder: impl Into<PathBuf>) -> io::Result<Arc<Spool>> {
        let folder = folder.into();
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        Ok(Arc::new(Spool::with(folder, CAPACITY, ROOM, KUBELETS)))
    }

    /// Makes `folder` a place for logs of pods that only this node puts there, and may remove. One with pods' logs
    /// of somebody else's is refused.
    pub fn claim(folder: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
        let mark = folder.join(CLAIM);
        if mark.exists() {
            return Ok(());
        }
        for entry in fs::read_dir(folder)? {
            if entry?.file_name().to_str().is_some_and(is_pod) {
                let why = "it holds logs of pods that are not this node's: name a folder of its own";
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
            }
        }
        fs::write(mark, "")
    }

    pub(super) fn with(folder: PathBuf, capacity: usize, room: usize, limits: Limits) -> Spool {
        Spool {
            folder,
            capacity,
            limits,
            work: Mutex::default(),
            woken: Notify::new(),
            urgent: Notify::new(),
            disk: Mutex::default(),
            ended: AtomicBool::new(false),
            room: Arc::new(AtomicUsize::new(room)),
            lost: AtomicU64::new(0),
            warned: AtomicBool::new(false),
        }
    }

    /// The logs of a pod, in a folder with kubelet's name for it.
    pub fn pod(self: &Arc<Spool>, namespace: &str, name: &str, uid: &str) -> PodLogs {
        PodLogs { spool: self.clone(), folder: self.pod_folder(namespace, name, uid) }
    }

    /// Lines that are in no file because the disk was full, or slower than the guests.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Removes what nodes before this one have left, and writes until it is cancelled.
    pub async fn run(self: Arc<Spool>) {
        self.clone().on_disk(Spool::sweep).await;
        loop {
            self.woken.notified().await;
            // Late or urgent: both are time to begin.
            let _ = tokio::time::timeout(GATHERING, self.urgent.notified()).await;
            while self.has_work() {
                self.clone().on_disk(Spool::work).await;
            }
        }
    }

    /// Ends: nothing is written any more. What was written stays for whoever reads the folder; the next node that
    /// takes it removes it. Waits for the disk.
    pub fn end(&self) {
        self.work();
        self.ended.store(true, Ordering::Relaxed);
        let _disk = self.disk.lock();
        *self.work.lock() = Work::default();
    }

    pub(super) fn ask(&self, log: Weak<Log>, urgency: Urgency) {
        self.work.lock().logs.push_back(log);
        self.woken.notify_one();
        if urgency == Urgency::Now {
            self.urgent.notify_one();
        }
    }

    fn remove(&self, removal: Removal) {
        self.work.lock().removals.push(removal);
        self.woken.notify_one();
    }

    pub(super) fn has_work(&self) -> bool {
        let work = self.work.lock();
        !work.logs.is_empty() || !work.removals.is_empty()
    }

    /// Does `what` on a thread that may wait for the disk.
    async fn on_disk(self: Arc<Spool>, what: impl FnOnce(&Spool) + Send + 'static) {
        if let Err(error) = tokio::task::spawn_blocking(move || what(&self)).await {
            tracing::error!(%error, "writing logs failed");
        }
    }

    /// Removes what there is to be removed, and writes a piece of each log that is on the list.
    pub(super) fn work(&self) {
        let _disk = self.disk.lock();
        let Work { logs, removals } = std::mem::take(&mut *self.work.lock());
        for Removal { files, folder } in removals.into_iter().take_while(|_| !self.has_ended()) {
            files.iter().for_each(|files| files.remove());
            folder.iter().for_each(|folder| remove(folder));
        }
        for log in logs.into_iter().take_while(|_| !self.has_ended()) {
            if log.upgrade().is_some_and(|log| self.write(&log)) {
                self.work.lock().logs.push_back(log);
            }
        }
    }

    fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// Writes what is new in `log`; whether there is still more.
    fn write(&self, log: &Log) -> bool {
        let Some(sink) = &log.sink else { return false };
        for _ in 0..TURN {
            let batch = log.ring.lock().take(BATCH);
            let Some(batch) = batch else { return false };
            if batch.lost > 0 {
                self.lose(batch.lost, || format!("{} is slower than what is written to it", self.folder.display()));
            }
            if let Err(unwritten) = sink.files.append(batch.first, &batch.lines) {
                self.lose(unwritten.lines, || format!("{}: {}", unwritten.path.display(), unwritten.source));
            }
            let gone = log.ring.lock().written(batch.end());
            log.changed.notify_waiters();
            drop(gone);
        }
        true
    }

    fn lose(&self, lines: u64, why: impl FnOnce() -> String) {
        self.lost.fetch_add(lines, Ordering::Relaxed);
        if !self.warned.swap(true, Ordering::Relaxed) {
            let why = why();
            tracing::warn!(%why, "logs cannot be kept whole: lines are missing from their files (this is told once)");
        }
    }

    fn sweep(&self) {
        let _disk = self.disk.lock();
        if !self.has_ended() {
            self.remove_pods();
        }
    }

    /// Removes the folders of pods, and nothing else that somebody may have put beside them.
    fn remove_pods(&self) {
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_folder && entry.file_name().to_str().is_some_and(is_pod) {
                remove(&entry.path());
            }
        }
    }
}

/// Whether it is a name that [`Spool::pod`] gives: no name of Kubernetes has an underscore.
fn is_pod(folder: &str) -> bool {
    let mut parts = folder.split('_');
    let names = parts.by_ref().take(2).filter(|name| !name.is_empty()).count();
    let is_uid = |uid: &str| uid.len() >= 32 && uid.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
    names == 2 && parts.next().is_some_and(is_uid) && parts.next().is_none()
}

fn remove(folder: &Path) {
    if let Err(error) = fs::remove_dir_all(folder)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(?folder, %error, "cannot remove a pod's logs");
    }
}
