//! Copies log lines from memory into files: one task for all logs of a node.
//!
//! Guests only ever write to memory. A log with new lines adds itself to a queue. The task waits a
//! moment for other logs, then works through the queue on a blocking thread, a bounded number of bytes
//! per log at a time. No file stays open in between. Lines that wait for the disk may use
//! [`MAX_BUFFERED_BYTES`] of memory beyond the capacity of each log; further ones are missing from the
//! files. They are counted, and the first loss is logged as a warning.

use std::collections::{HashSet, VecDeque};
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, OnceCell};

use super::files::{KUBELET_LIMITS, LogFiles, RotationLimits};
use super::links::{LINKS_DIR, Link};
use super::ring::{FlushPriority, Ring};
use super::{Log, RING_CAPACITY, stored};

/// Memory for lines that wait for the disk, shared by all logs.
const MAX_BUFFERED_BYTES: usize = 32 * 1024 * 1024;
/// The time that the first new line waits for others, to be written in one batch.
const BATCH_DELAY: Duration = Duration::from_millis(100);
/// Size of a batch. Taking one out of a log blocks its writer.
const BATCH_BYTES: usize = 256 * 1024;
/// Batches of one log before the other logs get their turn.
const MAX_BATCHES_PER_TURN: usize = 16;

/// A file that marks a directory as a node's own.
const OWNER_MARKER: &str = ".wasmpod";

/// The directory with the logs of a node's pods, and the queue of work in it.
pub struct Spool {
    directory: PathBuf,
    ring_capacity: usize,
    limits: RotationLimits,
    work: PendingWork,
    /// Serializes changes to the directory.
    disk: Mutex<()>,
    shut_down: AtomicBool,
    /// The unused bytes of [`MAX_BUFFERED_BYTES`].
    buffer_budget: Arc<AtomicUsize>,
    losses: LostLines,
}

/// Work that waits for a turn.
#[derive(Default)]
struct PendingWork {
    /// Protects the queue.
    queue: Mutex<WorkQueue>,
    /// Signals that the queue has work.
    added: Notify,
    /// Signals that the work should not wait for more.
    urgent_added: Notify,
}

/// The lines that are missing from the files.
#[derive(Default)]
struct LostLines {
    count: AtomicU64,
    is_reported: AtomicBool,
}

#[derive(Default)]
struct WorkQueue {
    /// Logs with new lines; each is queued at most once per priority.
    logs: VecDeque<Weak<Log>>,
    removals: Vec<Removal>,
}

/// Files to remove.
enum Removal {
    /// The files of attempts.
    Attempts(Vec<Arc<LogFiles>>),
    /// The files of attempts, and the directory of their pod.
    Pod { attempts: Vec<Arc<LogFiles>>, directory: PathBuf },
    /// The files of a container except those of the attempts with these numbers of restarts.
    Others { directory: PathBuf, kept: Vec<u32> },
}

/// The files of a log, and the spool that writes them.
pub(super) struct FileSink {
    pub(super) spool: Arc<Spool>,
    pub(super) files: Arc<LogFiles>,
}

/// A directory cannot become a node's own.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// The directory contains pod logs, and no node has claimed it.
    #[error("it contains pod logs of another node; choose a different directory")]
    ForeignLogs,
    /// The directory cannot be created, read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The logs of one pod.
pub struct PodLogs {
    spool: Arc<Spool>,
    namespace: String,
    name: String,
    directory: PathBuf,
}

/// Identifies the log of an attempt within its pod.
#[derive(Debug, Clone, Copy)]
pub struct LogId<'i> {
    /// The name of the container.
    pub container: &'i str,
    /// The ID of the attempt.
    pub container_id: &'i str,
    /// The number of restarts before the attempt, which is unique among the container's attempts.
    pub restarts: u32,
}

impl PodLogs {
    /// Creates the log of an attempt, open for writing. It replaces files that an unknown attempt has left.
    pub fn create_log(&self, id: LogId) -> Arc<Log> {
        let Spool { ring_capacity, limits, buffer_budget, .. } = &*self.spool;
        let files = LogFiles::new(self.path(id), self.link(id), *limits);
        let sink = FileSink { spool: self.spool.clone(), files: Arc::new(files) };
        let ring = Ring::with_flush(*ring_capacity, buffer_budget.clone());
        Log::from_parts(ring, Some(sink), OnceCell::new_with(Some(())))
    }

    /// Returns the log of an attempt that an earlier node has run. It is empty if there are no files.
    pub fn stored_log(&self, id: LogId) -> Arc<Log> {
        let files = LogFiles::stored(self.path(id), self.link(id), self.spool.limits);
        Log::stored(FileSink { spool: self.spool.clone(), files: Arc::new(files) })
    }

    fn path(&self, id: LogId) -> PathBuf {
        self.directory.join(id.container).join(format!("{}.log", id.restarts))
    }

    fn link(&self, id: LogId) -> Link {
        Link::new(&self.spool.directory, &self.namespace, &self.name, id.container, id.container_id)
    }

    /// Removes the files of `logs`. Their lines in memory stay readable.
    pub fn remove_files<'l>(&self, logs: impl IntoIterator<Item = &'l Arc<Log>>) {
        self.spool.queue_removal(Removal::Attempts(files_of(logs)));
    }

    /// Removes the files of a container, except those of the attempts after the numbers of restarts in `kept`.
    pub fn remove_other_files(&self, container: &str, kept: Vec<u32>) {
        self.spool.queue_removal(Removal::Others { directory: self.directory.join(container), kept });
    }

    /// Removes the pod's directory; `logs` are the logs of the pod that still have files.
    pub fn remove_directory<'l>(self, logs: impl IntoIterator<Item = &'l Arc<Log>>) {
        self.spool.queue_removal(Removal::Pod { attempts: files_of(logs), directory: self.directory });
    }
}

/// The pods whose logs a node takes over from an earlier one.
#[derive(Default)]
pub struct KeptLogs {
    directories: HashSet<PathBuf>,
    links: HashSet<PathBuf>,
}

impl KeptLogs {
    /// Keeps the directory of a pod.
    pub fn add_pod(&mut self, pod: &PodLogs) {
        self.directories.insert(pod.directory.clone());
    }

    /// Keeps the link to an attempt's log.
    pub fn add_log(&mut self, pod: &PodLogs, id: LogId) {
        self.links.insert(pod.link(id).path());
    }
}

fn files_of<'l>(logs: impl IntoIterator<Item = &'l Arc<Log>>) -> Vec<Arc<LogFiles>> {
    logs.into_iter().filter_map(|log| log.sink.as_ref()).map(|sink| sink.files.clone()).collect()
}

impl Spool {
    /// Creates a spool in `directory`, which is created if it is missing. Nothing else is written before
    /// [`run`](Spool::run).
    ///
    /// # Errors
    ///
    /// An I/O error if the directory cannot be created.
    pub fn new(directory: impl Into<PathBuf>) -> io::Result<Arc<Spool>> {
        let directory = directory.into();
        DirBuilder::new().recursive(true).mode(0o755).create(&directory)?;
        Ok(Arc::new(Spool::with_limits(directory, RING_CAPACITY, MAX_BUFFERED_BYTES, KUBELET_LIMITS)))
    }

    /// Marks `directory` as this node's own, so that the node may remove the pod logs in it. Creates
    /// the directory if it is missing.
    ///
    /// # Errors
    ///
    /// [`ClaimError::ForeignLogs`] if the unmarked directory already contains pod logs, and
    /// [`ClaimError::Io`] if it cannot be created, read or written.
    pub fn claim(directory: &Path) -> Result<(), ClaimError> {
        DirBuilder::new().recursive(true).mode(0o755).create(directory)?;
        let marker = directory.join(OWNER_MARKER);
        if marker.exists() {
            return Ok(());
        }
        for entry in fs::read_dir(directory)? {
            if entry?.file_name().to_str().is_some_and(is_pod_directory_name) {
                return Err(ClaimError::ForeignLogs);
            }
        }
        Ok(fs::write(marker, "")?)
    }

    pub(super) fn with_limits(
        directory: PathBuf,
        ring_capacity: usize,
        buffer_budget: usize,
        limits: RotationLimits,
    ) -> Spool {
        Spool {
            directory,
            ring_capacity,
            limits,
            work: PendingWork::default(),
            disk: Mutex::default(),
            shut_down: AtomicBool::new(false),
            buffer_budget: Arc::new(AtomicUsize::new(buffer_budget)),
            losses: LostLines::default(),
        }
    }

    /// Returns the directory of a pod's logs, named as by kubelet. It has a subdirectory for each container.
    pub fn pod_directory(&self, namespace: &str, name: &str, uid: &str) -> PathBuf {
        self.directory.join(format!("{namespace}_{name}_{uid}"))
    }

    /// Returns the logs of a pod.
    pub fn pod_logs(self: &Arc<Spool>, namespace: &str, name: &str, uid: &str) -> PodLogs {
        let directory = self.pod_directory(namespace, name, uid);
        PodLogs { spool: self.clone(), namespace: namespace.into(), name: name.into(), directory }
    }

    /// Returns the number of lines that are missing from the files, because the disk was full or too slow.
    pub fn lost_lines(&self) -> u64 {
        self.losses.count.load(Ordering::Relaxed)
    }

    /// Removes the logs that earlier nodes have left, except `kept`.
    pub async fn remove_others(self: &Arc<Spool>, kept: KeptLogs) {
        self.clone().run_blocking(move |spool| spool.remove_unless_kept(&kept)).await;
    }

    /// Writes and removes files until it is cancelled.
    pub async fn run(self: Arc<Spool>) {
        loop {
            self.work.added.notified().await;
            // Both outcomes start the work: the delay has passed, or the work is urgent.
            let _ = tokio::time::timeout(BATCH_DELAY, self.work.urgent_added.notified()).await;
            while self.has_work() {
                self.clone().run_blocking(Spool::process_queue).await;
            }
        }
    }

    /// Writes the remaining lines and stops: later lines and removals are ignored. The files stay for the next node
    /// that uses the directory. Blocks on the disk.
    pub fn shut_down(&self) {
        self.process_queue();
        self.shut_down.store(true, Ordering::Relaxed);
        let _disk = self.disk.lock();
        *self.work.queue.lock() = WorkQueue::default();
    }

    /// Queues a log with new lines.
    pub(super) fn request_flush(&self, log: Weak<Log>, priority: FlushPriority) {
        self.work.queue.lock().logs.push_back(log);
        self.work.added.notify_one();
        if priority == FlushPriority::Immediate {
            self.work.urgent_added.notify_one();
        }
    }

    fn queue_removal(&self, removal: Removal) {
        self.work.queue.lock().removals.push(removal);
        self.work.added.notify_one();
    }

    pub(super) fn has_work(&self) -> bool {
        let queue = self.work.queue.lock();
        !queue.logs.is_empty() || !queue.removals.is_empty()
    }

    async fn run_blocking(self: Arc<Spool>, work: impl FnOnce(&Spool) + Send + 'static) {
        if let Err(error) = tokio::task::spawn_blocking(move || work(&self)).await {
            tracing::error!(%error, "writing log files failed");
        }
    }

    /// Removes the files that are queued for removal, and gives each queued log a turn.
    pub(super) fn process_queue(&self) {
        let _disk = self.disk.lock();
        let WorkQueue { logs, removals } = std::mem::take(&mut *self.work.queue.lock());
        removals.into_iter().take_while(|_| !self.is_shut_down()).for_each(Removal::perform);
        for log in logs.into_iter().take_while(|_| !self.is_shut_down()) {
            if log.upgrade().is_some_and(|log| self.write_turn(&log)) {
                self.work.queue.lock().logs.push_back(log);
            }
        }
    }

    fn is_shut_down(&self) -> bool {
        self.shut_down.load(Ordering::Relaxed)
    }

    /// Writes new lines of `log`, up to the maximum per turn; returns whether there may be more.
    fn write_turn(&self, log: &Log) -> bool {
        let Some(sink) = &log.sink else { return false };
        for _ in 0..MAX_BATCHES_PER_TURN {
            let batch = log.ring.lock().take_batch(BATCH_BYTES);
            let Some(batch) = batch else { return false };
            if batch.lost > 0 {
                self.record_loss(batch.lost, || "the disk cannot keep up".into());
            }
            if let Err(error) = sink.files.append(batch.first, &batch.lines) {
                self.record_loss(error.lines, || format!("{error}: {}", error.source));
            }
            let dropped = log.ring.lock().mark_written(batch.end());
            log.changed.notify_waiters();
            drop(dropped);
        }
        true
    }

    /// Counts lost lines, and logs the first loss.
    fn record_loss(&self, lines: u64, reason: impl FnOnce() -> String) {
        self.losses.count.fetch_add(lines, Ordering::Relaxed);
        if !self.losses.is_reported.swap(true, Ordering::Relaxed) {
            tracing::warn!(directory = ?self.directory, "dropping log lines: {} (reported once)", reason());
        }
    }

    fn remove_unless_kept(&self, kept: &KeptLogs) {
        let _disk = self.disk.lock();
        if self.is_shut_down() {
            return;
        }
        for entry in entries(&self.directory) {
            let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let is_pod = is_directory && entry.file_name().to_str().is_some_and(is_pod_directory_name);
            if is_pod && !kept.directories.contains(&entry.path()) {
                remove_pod_directory(&entry.path());
            }
        }
        for entry in entries(&self.directory.join(LINKS_DIR)) {
            let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
            if is_link && !kept.links.contains(&entry.path()) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

impl Removal {
    fn perform(self) {
        match self {
            Removal::Attempts(attempts) => attempts.iter().for_each(|files| files.remove()),
            Removal::Pod { attempts, directory } => {
                attempts.iter().for_each(|files| files.remove());
                remove_pod_directory(&directory);
            }
            Removal::Others { directory, kept } => {
                for entry in entries(&directory) {
                    let restarts = entry.file_name().to_str().and_then(stored::restarts);
                    if restarts.is_some_and(|restarts| !kept.contains(&restarts)) {
                        let _ = fs::remove_file(entry.path());
                    }
                }
            }
        }
    }
}

/// Returns the entries of a directory; none if it cannot be read.
fn entries(directory: &Path) -> impl Iterator<Item = fs::DirEntry> {
    fs::read_dir(directory).into_iter().flatten().flatten()
}

/// Returns whether `name` has the form of [`Spool::pod_directory`]: names in Kubernetes contain no underscore.
fn is_pod_directory_name(name: &str) -> bool {
    let mut parts = name.split('_');
    let names = parts.by_ref().take(2).filter(|name| !name.is_empty()).count();
    let is_uid = |uid: &str| uid.len() >= 32 && uid.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
    names == 2 && parts.next().is_some_and(is_uid) && parts.next().is_none()
}

fn remove_pod_directory(directory: &Path) {
    if let Err(error) = fs::remove_dir_all(directory)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(?directory, %error, "cannot remove the logs of a pod");
    }
}
