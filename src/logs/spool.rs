//! Copies log lines from memory into files: one task for all logs of a node.
//!
//! Guests only ever write to memory. A log with new lines adds itself to a queue. The task waits a
//! moment for other logs, then works through the queue on a blocking thread, a bounded number of bytes
//! per log at a time. No file stays open in between. Lines that wait for the disk may use
//! [`MAX_BUFFERED_BYTES`] of memory beyond the capacity of each log; further ones are missing from the
//! files. They are counted, and the first loss is logged as a warning.

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

use super::files::{KUBELET_LIMITS, LogFiles, RotationLimits};
use super::ring::{FlushPriority, Ring};
use super::{Log, RING_CAPACITY};

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

/// Files to remove, and the pod's directory if it is removed as well.
struct Removal {
    files: Vec<Arc<LogFiles>>,
    directory: Option<PathBuf>,
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
    directory: PathBuf,
}

impl PodLogs {
    /// Creates the log of an attempt of `container`, open for writing. `restarts` is the number of
    /// restarts before it, and unique among the container's attempts.
    pub fn create_log(&self, container: &str, restarts: u32) -> Arc<Log> {
        let Spool { ring_capacity, limits, buffer_budget, .. } = &*self.spool;
        let path = self.directory.join(container).join(format!("{restarts}.log"));
        let sink = FileSink { spool: self.spool.clone(), files: Arc::new(LogFiles::new(path, *limits)) };
        Log::from_parts(Ring::with_flush(*ring_capacity, buffer_budget.clone()), Some(sink))
    }

    /// Removes the files of `logs`. Their lines in memory stay readable.
    pub fn remove_files<'l>(&self, logs: impl IntoIterator<Item = &'l Arc<Log>>) {
        self.spool.queue_removal(Removal { files: files_of(logs), directory: None });
    }

    /// Removes the pod's directory; `logs` are the logs of the pod that still have files.
    pub fn remove_directory<'l>(self, logs: impl IntoIterator<Item = &'l Arc<Log>>) {
        self.spool.queue_removal(Removal { files: files_of(logs), directory: Some(self.directory) });
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
        DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
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
        PodLogs { spool: self.clone(), directory: self.pod_directory(namespace, name, uid) }
    }

    /// Returns the number of lines that are missing from the files, because the disk was full or too slow.
    pub fn lost_lines(&self) -> u64 {
        self.losses.count.load(Ordering::Relaxed)
    }

    /// Removes the pod logs of previous nodes, then writes and removes files until it is cancelled.
    pub async fn run(self: Arc<Spool>) {
        self.clone().run_blocking(Spool::remove_stale_pods).await;
        loop {
            self.work.added.notified().await;
            // Both outcomes start the work: the delay has passed, or the work is urgent.
            let _ = tokio::time::timeout(BATCH_DELAY, self.work.urgent_added.notified()).await;
            while self.has_work() {
                self.clone().run_blocking(Spool::process_queue).await;
            }
        }
    }

    /// Writes the remaining lines and stops: later lines and removals are ignored. The files stay, and
    /// the next node that uses the directory removes them. Blocks on the disk.
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
        for Removal { files, directory } in removals.into_iter().take_while(|_| !self.is_shut_down()) {
            files.iter().for_each(|files| files.remove());
            directory.iter().for_each(|directory| remove_pod_directory(directory));
        }
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

    fn remove_stale_pods(&self) {
        let _disk = self.disk.lock();
        if !self.is_shut_down() {
            self.remove_pod_directories();
        }
    }

    /// Removes the directories of pods, and leaves everything else in place.
    fn remove_pod_directories(&self) {
        for entry in fs::read_dir(&self.directory).into_iter().flatten().flatten() {
            let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_directory && entry.file_name().to_str().is_some_and(is_pod_directory_name) {
                remove_pod_directory(&entry.path());
            }
        }
    }
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
