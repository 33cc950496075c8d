//! The newest lines of an attempt, in bounded memory.
//!
//! Lines that are still to be written to files may exceed the bound, as long as the node's shared
//! buffer budget lasts. Once it is exhausted, the oldest lines are dropped, as they are without files.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::Timestamp;

use super::{Line, LogStreamType, MAX_LINE_BYTES};
use crate::budget::RetainedCharge;

/// Memory of a line in addition to its text.
const LINE_OVERHEAD_BYTES: usize = size_of::<Line>();
/// Unwritten lines of this many bytes are flushed immediately.
const URGENT_FLUSH_BYTES: usize = 256 * 1024;

fn line_bytes(line: &Line) -> usize {
    line.text.len() + LINE_OVERHEAD_BYTES
}

/// Accepts lines until they fill `budget` bytes; the line that crosses the budget is the last one accepted.
fn until_filled(mut budget: usize) -> impl FnMut(&&Line) -> bool {
    move |line| {
        let accepted = budget > 0;
        budget = budget.saturating_sub(line_bytes(line));
        accepted
    }
}

/// The newest lines of an attempt, in bounded memory.
pub(super) struct Ring {
    /// Bound on `bytes` while no line waits to be written to files.
    capacity: usize,
    lines: VecDeque<Line>,
    /// Bytes of text and bookkeeping in `lines`.
    bytes: usize,
    /// Number of the first line in `lines`, counted from the beginning of the attempt.
    first: u64,
    partial: PartialLines,
    closed: bool,
    /// Progress of writing the lines to files; `None` for a log in memory only.
    flush: Option<FlushState>,
    /// The memory that a closed log retains.
    retained: Option<RetainedCharge>,
}

/// Text after the last newline, per stream.
#[derive(Default)]
struct PartialLines {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl PartialLines {
    fn get_mut(&mut self, stream: LogStreamType) -> &mut Vec<u8> {
        match stream {
            LogStreamType::Stdout => &mut self.stdout,
            LogStreamType::Stderr => &mut self.stderr,
        }
    }
}

struct FlushState {
    /// All lines before this number were handed out for writing, or lost.
    taken: u64,
    /// All lines before this number are in the files, or lost.
    written: u64,
    /// Bytes of lines that were not handed out yet.
    pending_bytes: usize,
    /// Request that was made and not completed yet.
    requested: Option<FlushPriority>,
    reservation: BufferReservation,
}

/// The urgency with which lines are to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FlushPriority {
    /// Soon, in a batch with other logs.
    Batched,
    /// At once, because the ring fills up.
    Immediate,
}

/// Bytes beyond a ring's capacity, taken from a budget that all rings share; returned on drop.
struct BufferReservation {
    /// Bytes that are available to all rings.
    budget: Arc<AtomicUsize>,
    reserved: usize,
}

impl BufferReservation {
    /// Changes the reservation to `bytes`; returns false and changes nothing if the budget is too small.
    fn try_resize(&mut self, bytes: usize) -> bool {
        if bytes <= self.reserved {
            self.budget.fetch_add(self.reserved - bytes, Ordering::Relaxed);
        } else {
            let more = bytes - self.reserved;
            let reserve = |available: usize| available.checked_sub(more);
            if self.budget.fetch_update(Ordering::Relaxed, Ordering::Relaxed, reserve).is_err() {
                return false;
            }
        }
        self.reserved = bytes;
        true
    }
}

impl Drop for BufferReservation {
    fn drop(&mut self) {
        self.try_resize(0);
    }
}

/// Lines to be written to files.
pub(super) struct FlushBatch {
    /// Number of lines that were dropped before this batch could include them.
    pub(super) lost: u64,
    /// Number of the first of `lines`.
    pub(super) first: u64,
    pub(super) lines: Vec<Line>,
}

impl FlushBatch {
    /// Returns the number of the line after the last one.
    pub(super) fn end(&self) -> u64 {
        self.first + self.lines.len() as u64
    }
}

impl Ring {
    /// Returns an empty ring for a log in memory only.
    pub(super) fn new(capacity: usize) -> Ring {
        Ring {
            capacity,
            lines: VecDeque::new(),
            bytes: 0,
            first: 0,
            partial: PartialLines::default(),
            closed: false,
            flush: None,
            retained: None,
        }
    }

    /// Returns an empty ring whose lines are written to files; unwritten lines may also use `budget`.
    pub(super) fn with_flush(capacity: usize, budget: Arc<AtomicUsize>) -> Ring {
        let reservation = BufferReservation { budget, reserved: 0 };
        let flush = FlushState { taken: 0, written: 0, pending_bytes: 0, requested: None, reservation };
        Ring { flush: Some(flush), ..Ring::new(capacity) }
    }

    /// Returns a ring that no line enters.
    pub(super) fn closed() -> Ring {
        Ring { closed: true, ..Ring::new(0) }
    }

    /// Numbers the lines of an empty ring from `first` on.
    pub(super) fn begin_at(&mut self, first: u64) {
        if self.lines.is_empty() {
            self.first = first;
        }
    }

    /// Returns the number of the first line in the ring.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// Returns the number of the line after the last one.
    pub(super) fn end(&self) -> u64 {
        self.first + self.lines.len() as u64
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    pub(super) fn lines(&self) -> impl DoubleEndedIterator<Item = &Line> + ExactSizeIterator {
        self.lines.iter()
    }

    /// Returns the lines from number `from` on, which must be in the ring: at most about a ring's capacity.
    pub(super) fn lines_from(&self, from: u64) -> Vec<Line> {
        let skip = usize::try_from(from - self.first).unwrap_or(usize::MAX);
        self.lines.iter().skip(skip).take_while(until_filled(self.capacity)).cloned().collect()
    }

    /// Returns the memory that the lines occupy.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Appends output of the guest; returns how many lines it finished.
    pub(super) fn write(&mut self, stream: LogStreamType, output: &[u8], now: Timestamp) -> u64 {
        let end_before = self.end();
        let mut rest = output;
        while let Some(newline) = rest.iter().position(|b| *b == b'\n') {
            let (text, from_newline) = rest.split_at(newline);
            self.append(stream, text, now);
            self.finish_line(stream, true, now);
            rest = from_newline.get(1..).unwrap_or_default();
        }
        self.append(stream, rest, now);
        self.end() - end_before
    }

    /// Finishes partial lines; nothing may be written afterwards. From now on, `retained` is charged for the lines.
    pub(super) fn close(&mut self, now: Timestamp, retained: Option<RetainedCharge>) {
        for stream in [LogStreamType::Stdout, LogStreamType::Stderr] {
            if !self.partial.get_mut(stream).is_empty() {
                self.finish_line(stream, false, now);
            }
        }
        self.partial = PartialLines::default();
        self.lines.shrink_to_fit();
        self.closed = true;
        self.retained = retained;
        self.charge_retained();
    }

    fn charge_retained(&mut self) {
        if let Some(retained) = &mut self.retained {
            retained.resize(self.bytes as u64);
        }
    }

    /// Drops all lines, unless some still have to be written to files; returns them, so that the caller frees them
    /// without holding the lock.
    pub(super) fn drop_lines(&mut self) -> Option<VecDeque<Line>> {
        if self.flush.as_ref().is_some_and(|flush| flush.written < self.end()) {
            return None;
        }
        self.first = self.end();
        self.bytes = 0;
        self.charge_retained();
        Some(std::mem::take(&mut self.lines))
    }

    /// Appends text without newlines to the partial line, and splits it at the maximum length.
    fn append(&mut self, stream: LogStreamType, mut text: &[u8], now: Timestamp) {
        loop {
            let partial = self.partial.get_mut(stream);
            let available = MAX_LINE_BYTES - partial.len();
            let (fitting, excess) = text.split_at(available.min(text.len()));
            partial.extend_from_slice(fitting);
            if excess.is_empty() {
                return;
            }
            self.finish_line(stream, false, now);
            text = excess;
        }
    }

    fn finish_line(&mut self, stream: LogStreamType, complete: bool, now: Timestamp) {
        let partial = self.partial.get_mut(stream);
        let text: Arc<[u8]> = partial.as_slice().into();
        partial.clear();
        let line = Line { timestamp: now, stream, complete, text };
        self.bytes += line_bytes(&line);
        if let Some(flush) = &mut self.flush {
            flush.pending_bytes += line_bytes(&line);
        }
        self.lines.push_back(line);
        self.trim(drop);
    }

    /// Passes the oldest lines to `on_dropped` until the remaining ones fit.
    fn trim(&mut self, mut on_dropped: impl FnMut(Line)) {
        while self.bytes > self.capacity {
            let excess = self.bytes - self.capacity;
            if let Some(flush) = &mut self.flush
                && self.first >= flush.written
                && flush.reservation.try_resize(excess)
            {
                return;
            }
            let Some(oldest) = self.lines.pop_front() else { break };
            self.bytes -= line_bytes(&oldest);
            if let Some(flush) = &mut self.flush
                && self.first >= flush.taken
            {
                flush.pending_bytes = flush.pending_bytes.saturating_sub(line_bytes(&oldest));
            }
            self.first += 1;
            on_dropped(oldest);
        }
        if let Some(flush) = &mut self.flush
            && flush.reservation.reserved > 0
        {
            flush.reservation.try_resize(0);
            // A burst has ended: return the memory that it used.
            self.lines.shrink_to(self.lines.len() * 2);
        }
    }

    /// Returns the flush request that is due: one when lines start to wait, and another when there are
    /// many of them. The request then counts as made.
    pub(super) fn take_flush_request(&mut self) -> Option<FlushPriority> {
        let flush = self.flush.as_mut()?;
        let priority = match (flush.pending_bytes, flush.requested) {
            (0, _) | (_, Some(FlushPriority::Immediate)) => return None,
            (URGENT_FLUSH_BYTES.., _) => FlushPriority::Immediate,
            (_, Some(FlushPriority::Batched)) => return None,
            (_, None) => FlushPriority::Batched,
        };
        flush.requested.replace(priority).is_none_or(|earlier| earlier != priority).then_some(priority)
    }

    /// Returns the next lines to write, about `max_bytes` at most; `None` when all were handed out.
    pub(super) fn take_batch(&mut self, max_bytes: usize) -> Option<FlushBatch> {
        let (first, end) = (self.first, self.end());
        let flush = self.flush.as_mut()?;
        let from = flush.taken.max(first);
        let lost = from - flush.taken;
        let skip = usize::try_from(from - first).unwrap_or(usize::MAX);
        let lines: Vec<Line> = self.lines.iter().skip(skip).take_while(until_filled(max_bytes)).cloned().collect();
        flush.taken = from + lines.len() as u64;
        flush.pending_bytes = flush.pending_bytes.saturating_sub(lines.iter().map(line_bytes).sum());
        if lost == 0 && lines.is_empty() {
            flush.requested = None;
            return None;
        }
        // No request is needed while batches are being taken: they will include later lines.
        let requested = if flush.taken == end { FlushPriority::Batched } else { FlushPriority::Immediate };
        flush.requested = Some(requested);
        Some(FlushBatch { lost, first: from, lines })
    }

    /// Records that all lines before `end` are in the files, or lost. Returns the lines that it drops
    /// from memory, so that the caller frees them without holding the lock.
    pub(super) fn mark_written(&mut self, end: u64) -> Vec<Line> {
        let mut dropped = Vec::new();
        if let Some(flush) = &mut self.flush {
            flush.written = end;
            self.trim(|line| dropped.push(line));
            self.charge_retained();
        }
        dropped
    }

    /// Returns whether line `number` was handed out for writing and is not in the files yet.
    pub(super) fn is_being_written(&self, number: u64) -> bool {
        self.flush.as_ref().is_some_and(|flush| (flush.written..flush.taken).contains(&number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write_lines(ring: &mut Ring, count: usize) {
        for _ in 0..count {
            ring.write(LogStreamType::Stdout, &[b"y".repeat(999), b"\n".to_vec()].concat(), Timestamp::UNIX_EPOCH);
        }
    }

    #[test]
    fn unwritten_lines_use_the_shared_budget_and_return_it() {
        let budget = Arc::new(AtomicUsize::new(100_000));
        let mut ring = Ring::with_flush(10_000, budget.clone());
        write_lines(&mut ring, 50);
        assert_eq!((ring.first(), ring.end()), (0, 50), "all lines are in memory");
        assert!(budget.load(Ordering::Relaxed) < 70_000);
        let batch = ring.take_batch(usize::MAX).expect("pending lines");
        assert_eq!((batch.lost, batch.first, batch.end()), (0, 0, 50));
        assert_eq!(ring.mark_written(50).len(), ring.first() as usize);
        assert!(ring.first() > 35, "the newest lines stay");
        assert_eq!(budget.load(Ordering::Relaxed), 100_000, "the reservation was returned");
        assert!(ring.take_batch(usize::MAX).is_none());

        write_lines(&mut ring, 200);
        let (first, end) = (ring.first(), ring.end());
        assert!(first > 50, "the budget is too small for all lines");
        let batch = ring.take_batch(usize::MAX).expect("pending lines");
        assert_eq!((batch.lost, batch.first, batch.end()), (first - 50, first, end));
        drop(ring);
        assert_eq!(budget.load(Ordering::Relaxed), 100_000);
    }

    #[test]
    fn flush_is_requested_once_per_priority() {
        let mut ring = Ring::with_flush(10_000_000, Arc::default());
        assert_eq!(ring.take_flush_request(), None);
        write_lines(&mut ring, 1);
        assert_eq!((ring.take_flush_request(), ring.take_flush_request()), (Some(FlushPriority::Batched), None));
        write_lines(&mut ring, 300);
        assert_eq!((ring.take_flush_request(), ring.take_flush_request()), (Some(FlushPriority::Immediate), None));
        while ring.take_batch(100_000).is_some() {
            assert_eq!(ring.take_flush_request(), None, "a flush is in progress");
        }
        write_lines(&mut ring, 1);
        assert_eq!(ring.take_flush_request(), Some(FlushPriority::Batched));
    }
}
