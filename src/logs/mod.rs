//! The output of container attempts: timestamped lines, the newest in memory and, where the node has a
//! log directory, all of them in files.
//!
//! Writing never blocks. A [`Log`] holds a megabyte of lines in memory. With a [`Spool`], a task of the
//! node copies the lines into rotated files, and a [`LogReader`] continues from the files into memory
//! without a gap or a repetition. Lines can still be lost: the oldest file is deleted on rotation, the
//! disk may be full, or slower than a guest for a long time. Lost lines are counted and reported to
//! readers as [`LogEntry::Gap`].
//!
//! | file | owns |
//! |---|---|
//! | `ring` | the lines in memory |
//! | `reader` | a position in a log |
//! | `joiner` | the lines that readers see |
//! | `ended` | the lines of ended attempts in memory, which are dropped while memory is scarce |
//! | `spool` | the task that writes and removes files |
//! | `files`, `index` | the files of an attempt, and the position of each line in them |
//! | `stored` | the files that an earlier node has left, and the positions in them |
//! | `links` | the links to all logs of a node in one directory |
//! | `cri` | the format of a line in a file |

mod cri;
mod ended;
mod files;
mod index;
mod joiner;
mod links;
mod reader;
mod ring;
mod spool;
mod stored;
#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock, Weak};

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::{Notify, OnceCell};

use ended::EndedEntry;
use reader::read_blocking;
use ring::{FlushPriority, Ring};
use spool::FileSink;

pub use ended::EndedLogs;
pub use joiner::LineJoiner;
pub use reader::LogReader;
pub use spool::{ClaimError, KeptLogs, LogId, PodLogs, Spool};

/// Memory for the lines of one attempt, in bytes of text and bookkeeping.
const RING_CAPACITY: usize = 1024 * 1024;
/// Maximum length of a line in bytes; a longer one is split, as container runtimes do.
pub const MAX_LINE_BYTES: usize = 16 * 1024;

/// The output stream of a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogStreamType {
    /// The guest's standard output.
    Stdout,
    /// The guest's standard error, which also carries wasmpod's own messages about the guest's exit.
    Stderr,
}

/// A line without its newline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Time at which the line was finished: by its newline, by a split, or by the guest's exit.
    pub timestamp: Timestamp,
    /// Stream that the guest wrote to.
    pub stream: LogStreamType,
    /// Whether the line ended with a newline; false if it was split, or if the guest exited inside it.
    pub complete: bool,
    /// At most [`MAX_LINE_BYTES`] bytes unless it was joined by a [`LineJoiner`]; not necessarily UTF-8.
    pub text: Arc<[u8]>,
}

/// An item that a reader returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogEntry {
    /// The next line, in the order in which lines were finished.
    Line(Line),
    /// The number of lines that were dropped before they could be read.
    Gap(u64),
}

/// The log of one attempt.
pub struct Log {
    /// Protects the lines in memory.
    ring: Mutex<Ring>,
    /// Wakes readers.
    changed: Notify,
    /// The attempt's files; `None` for a log in memory only.
    sink: Option<FileSink>,
    /// Set once the files of an earlier node were indexed; there are none for an attempt of this node.
    loaded: OnceCell<()>,
    /// The node's ended logs, which the log joins at its end; not set for a log that counts nowhere.
    ended: OnceLock<EndedEntry>,
    weak_self: Weak<Log>,
}

impl Log {
    /// Returns an empty log in memory only, open for writing.
    pub fn new() -> Arc<Log> {
        Log::from_parts(Ring::new(RING_CAPACITY), None, OnceCell::new_with(Some(())))
    }

    /// Returns the log of an attempt that an earlier node has run. Its files are indexed when they are first read.
    fn stored(sink: FileSink) -> Arc<Log> {
        Log::from_parts(Ring::closed(), Some(sink), OnceCell::new())
    }

    fn from_parts(ring: Ring, sink: Option<FileSink>, loaded: OnceCell<()>) -> Arc<Log> {
        Arc::new_cyclic(|weak_self| Log {
            ring: Mutex::new(ring),
            changed: Notify::new(),
            sink,
            loaded,
            ended: OnceLock::new(),
            weak_self: weak_self.clone(),
        })
    }

    /// Indexes the files that an earlier node has left, unless that was done before.
    async fn load(&self) {
        let index = || async {
            let files = self.sink.as_ref().map(|sink| sink.files.clone());
            let end = read_blocking(move || files.map(|files| files.index_stored())).await;
            self.ring.lock().begin_at(end.unwrap_or(0));
        };
        self.loaded.get_or_init(index).await;
    }

    /// Appends output that the guest wrote at time `now`. Returns how many lines it finished: writers are slowed down by
    /// them, since even an empty line has to be stored, written to a file and read.
    pub fn write(&self, stream: LogStreamType, bytes: &[u8], now: Timestamp) -> u64 {
        let mut ring = self.ring.lock();
        let finished = ring.write(stream, bytes, now);
        if finished > 0 {
            let flush = ring.take_flush_request();
            drop(ring);
            self.notify(flush);
        }
        finished
    }

    /// Closes the log after the guest has exited; unfinished lines are finished at time `now`.
    pub fn close(&self, now: Timestamp) {
        let ended = self.ended.get();
        let mut ring = self.ring.lock();
        ring.close(now, ended.map(EndedEntry::charge));
        let has_lines = ring.bytes() > 0;
        let flush = ring.take_flush_request();
        drop(ring);
        self.notify(flush);
        if let Some(ended) = ended.filter(|_| has_lines) {
            ended.add(self.weak_self.clone());
        }
    }

    /// Drops the lines from memory, unless some still have to be written to a file. Returns whether it did.
    fn drop_lines(&self) -> bool {
        let lines = self.ring.lock().drop_lines();
        // Freed without the lock.
        lines.is_some()
    }

    /// Wakes readers, and requests a flush from the spool if one is due.
    fn notify(&self, flush: Option<FlushPriority>) {
        self.changed.notify_waiters();
        if let Some((sink, priority)) = self.sink.as_ref().zip(flush) {
            sink.spool.request_flush(self.weak_self.clone(), priority);
        }
    }

    /// Returns the number of lines that are no longer in memory.
    pub fn dropped_lines(&self) -> u64 {
        self.ring.lock().first()
    }

    /// Returns the memory that the lines occupy, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.ring.lock().bytes()
    }

    /// Returns a reader that starts at the first line.
    pub fn reader(self: &Arc<Log>) -> LogReader {
        LogReader::new(self.clone())
    }

    /// Returns the last `count` of the lines that are in memory.
    pub fn tail(&self, count: usize) -> Vec<Line> {
        let ring = self.ring.lock();
        let lines = ring.lines();
        let skipped = lines.len().saturating_sub(count);
        lines.skip(skipped).cloned().collect()
    }
}
