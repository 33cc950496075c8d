//! A position in a log, which advances through the files and then through the lines in memory.

use std::sync::Arc;

use jiff::Timestamp;

use super::files::{LineChunk, LogFiles};
use super::{Line, Log, LogEntry};

/// A position in a log.
pub struct LogReader {
    log: Arc<Log>,
    /// Number of the next line.
    next: u64,
    /// Number of the line before which the reader stops.
    end: u64,
}

/// The source of the next entries.
enum NextEntries {
    /// These entries, from memory.
    InMemory(Vec<LogEntry>),
    /// The files, if the next line is still there; memory starts at line `memory_start`.
    InFiles { files: Arc<LogFiles>, memory_start: u64 },
    /// Output that the guest has yet to write, or that is being written to the files.
    Pending,
    /// None: the log has ended.
    End,
}

impl LogReader {
    pub(super) fn new(log: Arc<Log>) -> LogReader {
        LogReader { log, next: 0, end: u64::MAX }
    }

    /// Makes the reader stop at the current end of the log.
    pub fn stop_at_current_end(&mut self) {
        let ring = self.log.ring.lock();
        // The end of stored files is not known before they are read.
        self.end = if ring.is_closed() { u64::MAX } else { ring.end() };
    }

    /// Moves forward to the last `count` lines; the parts of a split line count as one.
    pub async fn skip_to_last(&mut self, count: usize) {
        self.log.load().await;
        let mut counter = BackwardLineCounter { remaining: count, started: false };
        let mut start;
        {
            let ring = self.log.ring.lock();
            let ring_end = ring.end();
            start = ring_end.min(self.end);
            let beyond_end = usize::try_from(ring_end - start).unwrap_or(usize::MAX);
            for line in ring.lines().rev().skip(beyond_end) {
                if !counter.count(line) {
                    self.next = self.next.max(start);
                    return;
                }
                start -= 1;
            }
        }
        let files = self.files();
        let start_in_files = read_blocking(move || {
            let files = files?;
            while let Some(chunk) = files.read_back(start) {
                start = chunk.first + chunk.lines.len() as u64;
                for line in chunk.lines.iter().rev() {
                    if !counter.count(line) {
                        return Some(start);
                    }
                    start -= 1;
                }
            }
            Some(start)
        });
        self.next = self.next.max(start_in_files.await.unwrap_or(start));
    }

    /// Moves forward towards the first line at or after `time`. May stop before that line, never behind it.
    pub async fn skip_towards(&mut self, time: Timestamp) {
        self.log.load().await;
        {
            let ring = self.log.ring.lock();
            if ring.lines().next().is_some_and(|line| line.timestamp < time) {
                self.next = self.next.max(ring.first());
                return;
            }
        }
        let files = self.files();
        if let Some(number) = read_blocking(move || files?.line_before_time(time)).await {
            self.next = self.next.max(number);
        }
    }

    /// Returns the next entries, at most about a ring's capacity of them, and waits until there is one.
    /// Returns `None` at the end of the attempt's log. Cancel-safe.
    pub async fn next(&mut self) -> Option<Vec<LogEntry>> {
        self.log.load().await;
        loop {
            let log = self.log.clone();
            let changed = log.changed.notified();
            match self.advance_in_memory() {
                NextEntries::InMemory(entries) => return Some(entries),
                NextEntries::InFiles { files, memory_start } => {
                    let from = self.next;
                    let chunk = read_blocking(move || files.read(from)).await;
                    let entries = self.advance_through(chunk, memory_start);
                    if !entries.is_empty() {
                        return Some(entries);
                    }
                }
                NextEntries::Pending => changed.await,
                NextEntries::End => return None,
            }
        }
    }

    fn files(&self) -> Option<Arc<LogFiles>> {
        self.log.sink.as_ref().map(|sink| sink.files.clone())
    }

    /// Reads the next entries from memory, or returns where they are.
    fn advance_in_memory(&mut self) -> NextEntries {
        let log = self.log.clone();
        let ring = log.ring.lock();
        if self.next >= self.end {
            return NextEntries::End;
        }
        let mut entries = Vec::new();
        if self.next < ring.first() {
            if ring.is_being_written(self.next) {
                return NextEntries::Pending;
            }
            if let Some(sink) = &self.log.sink {
                return NextEntries::InFiles { files: sink.files.clone(), memory_start: ring.first() };
            }
            entries.extend(self.skip_lost(ring.first()));
        }
        let mut lines = ring.lines_from(self.next);
        lines.truncate(usize::try_from(self.end - self.next).unwrap_or(usize::MAX));
        self.next += lines.len() as u64;
        entries.extend(lines.into_iter().map(LogEntry::Line));
        match (entries.is_empty(), ring.is_closed()) {
            (false, _) => NextEntries::InMemory(entries),
            (true, true) => NextEntries::End,
            (true, false) => NextEntries::Pending,
        }
    }

    /// Advances through a chunk from the files. Lines that are missing there and before `memory_start` are lost.
    fn advance_through(&mut self, chunk: Option<LineChunk>, memory_start: u64) -> Vec<LogEntry> {
        let Some(chunk) = chunk.filter(|chunk| chunk.first < memory_start) else {
            return self.skip_lost(memory_start).into_iter().collect();
        };
        let mut entries: Vec<LogEntry> = self.skip_lost(chunk.first).into_iter().collect();
        let mut lines = chunk.lines;
        lines.truncate(usize::try_from(self.end.saturating_sub(self.next)).unwrap_or(usize::MAX));
        self.next += lines.len() as u64;
        entries.extend(lines.into_iter().map(LogEntry::Line));
        entries.extend(self.skip_lost(chunk.end.min(memory_start)));
        entries
    }

    /// Advances to line `number` and returns the gap for the lines before it, which are lost.
    fn skip_lost(&mut self, number: u64) -> Option<LogEntry> {
        let number = number.min(self.end);
        let lost = number.checked_sub(self.next).filter(|lost| *lost > 0)?;
        self.next = number;
        Some(LogEntry::Gap(lost))
    }
}

/// Counts lines backwards from the last one.
struct BackwardLineCounter {
    remaining: usize,
    started: bool,
}

impl BackwardLineCounter {
    /// Counts the line before the previous one; returns false if it exceeds the number of lines to count.
    fn count(&mut self, line: &Line) -> bool {
        if line.complete || !self.started {
            let Some(remaining) = self.remaining.checked_sub(1) else { return false };
            self.remaining = remaining;
        }
        self.started = true;
        true
    }
}

/// Runs `read` on a blocking thread; returns `None` if it found nothing, or if the process is exiting.
pub(super) async fn read_blocking<T: Send + 'static>(read: impl FnOnce() -> Option<T> + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(read).await.ok().flatten()
}
