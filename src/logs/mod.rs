//! What a container attempt writes: lines with times, the newest in memory and, where the node has a
//! folder for them, all of them in files.
//!
//! A writer never waits. In memory a [`Log`] holds a megabyte; with a [`Spool`], a task of the node
//! copies the lines into rotated files, and a [`Reader`] goes from the files to memory without a gap
//! or a repetition. What is lost all the same, because the files are rotated, the disk is full or
//! slower than a guest for long, is counted, and a reader is told ([`Entry::Gap`]).
//!
//! | file | owns |
//! |---|---|
//! | `ring` | the lines in memory |
//! | `reader` | a place in a log |
//! | `spool` | the task that writes, and what it writes and removes |
//! | `files`, `index` | an attempt's files, and where in them its lines are |
//! | `cri` | a line as it stands in a file |

mod cri;
mod files;
mod index;
mod reader;
mod ring;
mod spool;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Weak};

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Notify;

use ring::{Ring, Urgency};
use spool::Sink;

pub use reader::Reader;
pub use spool::{PodLogs, Spool};

/// Bytes of text and bookkeeping that an attempt's log holds in memory.
const CAPACITY: usize = 1024 * 1024;
/// A longer line is cut into several, as container runtimes do.
pub const MAX_LINE: usize = 16 * 1024;

/// Where the guest wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Its standard output.
    Stdout,
    /// Its standard error, where wasmpod's own words about a guest's end go as well.
    Stderr,
}

/// A line without its newline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When the line was finished: by its newline, by a cut, or by the guest's end.
    pub at: Timestamp,
    /// Where the guest wrote it.
    pub stream: Stream,
    /// Whether the newline came; false where a long line was cut, or the guest ended inside one.
    pub complete: bool,
    /// At most [`MAX_LINE`] bytes, which need not be UTF-8.
    pub text: Arc<[u8]>,
}

/// What a reader gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// The next line, in the order in which lines were finished.
    Line(Line),
    /// So many lines were dropped before they could be read.
    Gap(u64),
}

/// The log of one attempt.
pub struct Log {
    /// Protects the lines in memory.
    ring: Mutex<Ring>,
    changed: Notify,
    /// Where lines go beside memory.
    sink: Option<Sink>,
    this: Weak<Log>,
}

impl Log {
    /// An empty log in memory alone, open for writing.
    pub fn new() -> Arc<Log> {
        Log::with(Ring::new(CAPACITY), None)
    }

    fn with(ring: Ring, sink: Option<Sink>) -> Arc<Log> {
        Arc::new_cyclic(|this| Log { ring: Mutex::new(ring), changed: Notify::new(), sink, this: this.clone() })
    }

    /// Takes what the guest wrote at `at`.
    pub fn write(&self, stream: Stream, bytes: &[u8], at: Timestamp) {
        let mut ring = self.ring.lock();
        if ring.write(stream, bytes, at) {
            let asks = ring.asks();
            drop(ring);
            self.tell(asks);
        }
    }

    /// The guest has ended: no more will come.
    pub fn close(&self, at: Timestamp) {
        let mut ring = self.ring.lock();
        ring.close(at);
        let asks = ring.asks();
        drop(ring);
        self.tell(asks);
    }

    /// Tells readers of new lines, and whoever writes files, if he is to know.
    fn tell(&self, asks: Option<Urgency>) {
        self.changed.notify_waiters();
        if let Some((sink, urgency)) = self.sink.as_ref().zip(asks) {
            sink.spool.ask(self.this.clone(), urgency);
        }
    }

    /// Lines that are gone from memory.
    pub fn dropped(&self) -> u64 {
        self.ring.lock().first()
    }

    /// Bytes of memory that its lines take.
    pub fn bytes(&self) -> usize {
        self.ring.lock().size()
    }

    /// Reads from the beginning.
    pub fn reader(self: &Arc<Log>) -> Reader {
        Reader::new(self.clone())
    }

    /// The last `lines` lines that are in memory, for messages.
    pub fn tail(&self, lines: usize) -> Vec<Line> {
        let ring = self.ring.lock();
        let all = ring.lines();
        let skipped = all.len().saturating_sub(lines);
        all.skip(skipped).cloned().collect()
    }
}
