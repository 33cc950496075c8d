//! The newest lines of an attempt, in memory, within a bound.
//!
//! Lines that still have to go to files may stay beyond the bound for as long as the node has room
//! for such lines; when it has none the oldest go first, as they do where there are no files.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::Timestamp;

use super::{Line, MAX_LINE, Stream};

/// What a line costs beside its text.
const LINE_OVERHEAD: usize = size_of::<Line>();

fn size(line: &Line) -> usize {
    line.text.len() + LINE_OVERHEAD
}

/// Lets lines pass until they have filled `room` bytes; the one that fills it is the last.
fn within(mut room: usize) -> impl FnMut(&&Line) -> bool {
    move |line| {
        let passes = room > 0;
        room = room.saturating_sub(size(line));
        passes
    }
}

/// See the module's documentation.
pub(super) struct Ring {
    /// Bytes of text and bookkeeping that it holds where nothing waits for files.
    capacity: usize,
    lines: VecDeque<Line>,
    size: usize,
    /// The number of the first line in `lines`, counted from the beginning of the attempt.
    first: u64,
    /// What was written behind the last newline, per stream.
    begun: Begun,
    closed: bool,
    /// How far the lines have come on their way to files, where there are any.
    on_the_way: Option<OnTheWay>,
}

/// Unfinished lines.
#[derive(Default)]
struct Begun {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Begun {
    fn of(&mut self, stream: Stream) -> &mut Vec<u8> {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }
}

struct OnTheWay {
    /// All lines before this one were taken for writing, or lost.
    taken: u64,
    /// All lines before this one are in the files, or lost.
    written: u64,
    /// Bytes that nobody has taken yet.
    waiting: usize,
    /// Whoever writes files knows that lines wait.
    asked: Option<Urgency>,
    loan: Loan,
}

/// How soon lines are to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Urgency {
    /// Soon, together with those of others.
    Soon,
    /// At once: the ring fills.
    Now,
}

/// So many bytes are not left to wait for others.
const MANY: usize = 256 * 1024;

/// Bytes beyond a ring's capacity, out of what all rings have in common; dropped, it gives them back.
struct Loan {
    room: Arc<AtomicUsize>,
    held: usize,
}

impl Loan {
    /// Holds `wanted` bytes from now on, if there is room for them.
    fn resize(&mut self, wanted: usize) -> bool {
        if wanted <= self.held {
            self.room.fetch_add(self.held - wanted, Ordering::Relaxed);
        } else {
            let more = wanted - self.held;
            let taken = self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |room| room.checked_sub(more));
            if taken.is_err() {
                return false;
            }
        }
        self.held = wanted;
        true
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        self.resize(0);
    }
}

/// Lines on their way to files.
pub(super) struct Batch {
    /// Lines that went before anybody took them.
    pub(super) lost: u64,
    /// The number of the first of `lines`.
    pub(super) first: u64,
    pub(super) lines: Vec<Line>,
}

impl Batch {
    /// The number of the line that follows.
    pub(super) fn end(&self) -> u64 {
        self.first + self.lines.len() as u64
    }
}

impl Ring {
    pub(super) fn new(capacity: usize) -> Ring {
        Ring {
            capacity,
            lines: VecDeque::new(),
            size: 0,
            first: 0,
            begun: Begun::default(),
            closed: false,
            on_the_way: None,
        }
    }

    /// A ring whose lines are to be written to files; those that wait may use `room`, too.
    pub(super) fn on_the_way(capacity: usize, room: Arc<AtomicUsize>) -> Ring {
        let loan = Loan { room, held: 0 };
        let on_the_way = OnTheWay { taken: 0, written: 0, waiting: 0, asked: None, loan };
        Ring { on_the_way: Some(on_the_way), ..Ring::new(capacity) }
    }

    /// The number of the first line that is here.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// The number of the next line.
    pub(super) fn end(&self) -> u64 {
        self.first + self.lines.len() as u64
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    pub(super) fn lines(&self) -> impl DoubleEndedIterator<Item = &Line> + ExactSizeIterator {
        self.lines.iter()
    }

    /// The lines from number `from`, which is here, on: at most about a ring's capacity of them.
    pub(super) fn since(&self, from: u64) -> Vec<Line> {
        let skip = usize::try_from(from - self.first).unwrap_or(usize::MAX);
        self.lines.iter().skip(skip).take_while(within(self.capacity)).cloned().collect()
    }

    /// Bytes that the lines take.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Takes what the guest wrote; whether a line was finished.
    pub(super) fn write(&mut self, stream: Stream, bytes: &[u8], at: Timestamp) -> bool {
        let before = self.end();
        let mut rest = bytes;
        while let Some(newline) = rest.iter().position(|b| *b == b'\n') {
            let (text, behind) = rest.split_at(newline);
            self.append(stream, text, at);
            self.finish_line(stream, true, at);
            rest = behind.get(1..).unwrap_or_default();
        }
        self.append(stream, rest, at);
        self.end() != before
    }

    /// No more will come: what was begun is finished.
    pub(super) fn close(&mut self, at: Timestamp) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            if !self.begun.of(stream).is_empty() {
                self.finish_line(stream, false, at);
            }
        }
        self.closed = true;
    }

    fn append(&mut self, stream: Stream, mut text: &[u8], at: Timestamp) {
        loop {
            let begun = self.begun.of(stream);
            let room = MAX_LINE - begun.len();
            let (now, later) = text.split_at(room.min(text.len()));
            begun.extend_from_slice(now);
            if later.is_empty() {
                return;
            }
            self.finish_line(stream, false, at);
            text = later;
        }
    }

    fn finish_line(&mut self, stream: Stream, complete: bool, at: Timestamp) {
        let begun = self.begun.of(stream);
        let text: Arc<[u8]> = begun.as_slice().into();
        begun.clear();
        let line = Line { at, stream, complete, text };
        self.size += size(&line);
        if let Some(way) = &mut self.on_the_way {
            way.waiting += size(&line);
        }
        self.lines.push_back(line);
        self.trim(drop);
    }

    /// Lets the oldest lines go until the rest fits.
    fn trim(&mut self, mut gone: impl FnMut(Line)) {
        while self.size > self.capacity {
            let beyond = self.size - self.capacity;
            if let Some(way) = &mut self.on_the_way
                && self.first >= way.written
                && way.loan.resize(beyond)
            {
                return;
            }
            let Some(oldest) = self.lines.pop_front() else { break };
            self.size -= size(&oldest);
            if let Some(way) = &mut self.on_the_way
                && self.first >= way.taken
            {
                way.waiting = way.waiting.saturating_sub(size(&oldest));
            }
            self.first += 1;
            gone(oldest);
        }
        if let Some(way) = &mut self.on_the_way
            && way.loan.held > 0
        {
            way.loan.resize(0);
            // A burst is over; what it took is given back.
            self.lines.shrink_to(self.lines.len() * 2);
        }
    }

    /// Whether somebody is to be told that lines wait; told once, and once more when there are many.
    pub(super) fn asks(&mut self) -> Option<Urgency> {
        let way = self.on_the_way.as_mut()?;
        let urgency = match (way.waiting, way.asked) {
            (0, _) | (_, Some(Urgency::Now)) => return None,
            (MANY.., _) => Urgency::Now,
            (_, Some(Urgency::Soon)) => return None,
            (_, None) => Urgency::Soon,
        };
        way.asked.replace(urgency).is_none_or(|asked| asked != urgency).then_some(urgency)
    }

    /// Lines to be written, about `room` bytes at the most; `None` when all have been taken.
    pub(super) fn take(&mut self, room: usize) -> Option<Batch> {
        let (first, end) = (self.first, self.end());
        let way = self.on_the_way.as_mut()?;
        let from = way.taken.max(first);
        let lost = from - way.taken;
        let skip = usize::try_from(from - first).unwrap_or(usize::MAX);
        let lines: Vec<Line> = self.lines.iter().skip(skip).take_while(within(room)).cloned().collect();
        way.taken = from + lines.len() as u64;
        way.waiting = way.waiting.saturating_sub(lines.iter().map(size).sum());
        if lost == 0 && lines.is_empty() {
            way.asked = None;
            return None;
        }
        // While lines are being taken, nobody need ask; what comes behind them is taken, too.
        way.asked = Some(if way.taken == end { Urgency::Soon } else { Urgency::Now });
        Some(Batch { lost, first: from, lines })
    }

    /// All lines before `end` are in the files, or lost. Returns those that need not be here any more.
    pub(super) fn written(&mut self, end: u64) -> Vec<Line> {
        let mut gone = Vec::new();
        if let Some(way) = &mut self.on_the_way {
            way.written = end;
            self.trim(|line| gone.push(line));
        }
        gone
    }

    /// Whether line `number` is neither here nor in the files yet, but on its way.
    pub(super) fn is_being_written(&self, number: u64) -> bool {
        self.on_the_way.as_ref().is_some_and(|way| (way.written..way.taken).contains(&number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(ring: &mut Ring, lines: usize) {
        for _ in 0..lines {
            ring.write(Stream::Stdout, &[b"y".repeat(999), b"\n".to_vec()].concat(), Timestamp::UNIX_EPOCH);
        }
    }

    #[test]
    fn what_waits_for_files_stays_while_there_is_room_for_it_and_gives_the_room_back() {
        let room = Arc::new(AtomicUsize::new(100_000));
        let mut ring = Ring::on_the_way(10_000, room.clone());
        write(&mut ring, 50);
        assert_eq!((ring.first(), ring.end()), (0, 50), "all are here");
        assert!(room.load(Ordering::Relaxed) < 70_000);
        let batch = ring.take(usize::MAX).expect("lines");
        assert_eq!((batch.lost, batch.first, batch.end()), (0, 0, 50));
        assert_eq!(ring.written(50).len(), ring.first() as usize);
        assert!(ring.first() > 35, "the newest stay");
        assert_eq!(room.load(Ordering::Relaxed), 100_000, "what was borrowed is back");
        assert!(ring.take(usize::MAX).is_none());

        write(&mut ring, 200);
        let (first, end) = (ring.first(), ring.end());
        assert!(first > 50, "there was no room for all");
        let batch = ring.take(usize::MAX).expect("lines");
        assert_eq!((batch.lost, batch.first, batch.end()), (first - 50, first, end));
        drop(ring);
        assert_eq!(room.load(Ordering::Relaxed), 100_000);
    }

    #[test]
    fn whoever_writes_files_is_asked_once_and_once_more_when_many_lines_wait() {
        let mut ring = Ring::on_the_way(10_000_000, Arc::default());
        assert_eq!(ring.asks(), None);
        write(&mut ring, 1);
        assert_eq!((ring.asks(), ring.asks()), (Some(Urgency::Soon), None));
        write(&mut ring, 300);
        assert_eq!((ring.asks(), ring.asks()), (Some(Urgency::Now), None));
        while ring.take(100_000).is_some() {
            assert_eq!(ring.asks(), None, "it is at it");
        }
        write(&mut ring, 1);
        assert_eq!(ring.asks(), Some(Urgency::Soon));
    }
}
