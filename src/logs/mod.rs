//! What a container attempt writes: lines with times, in a bounded ring.
//!
//! A writer never waits: when the ring is full the oldest lines go, and are counted. A reader
//! that falls behind is told how many lines it missed ([`Entry::Gap`]).

use std::collections::VecDeque;
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Bytes of text and bookkeeping that an attempt's log holds.
const CAPACITY: usize = 1024 * 1024;
/// A longer line is cut into several, as container runtimes do.
pub const MAX_LINE: usize = 16 * 1024;
/// What a line costs beside its text.
const LINE_OVERHEAD: usize = size_of::<Line>();

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

#[derive(Default)]
struct State {
    lines: VecDeque<Line>,
    size: usize,
    /// The number of the first line in `lines`, counted from the beginning of the attempt.
    first: u64,
    /// What was written behind the last newline, per stream.
    begun: Begun,
    closed: bool,
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

/// The log of one attempt.
#[derive(Default)]
pub struct Log {
    /// Protects the ring.
    state: Mutex<State>,
    changed: Notify,
}

impl Log {
    /// An empty log, open for writing.
    pub fn new() -> Arc<Log> {
        Arc::default()
    }

    /// Takes what the guest wrote at `at`.
    pub fn write(&self, stream: Stream, bytes: &[u8], at: Timestamp) {
        let mut state = self.state.lock();
        let before = state.end();
        let mut rest = bytes;
        while let Some(newline) = rest.iter().position(|b| *b == b'\n') {
            let (text, behind) = rest.split_at(newline);
            state.append(stream, text, at);
            state.finish_line(stream, true, at);
            rest = behind.get(1..).unwrap_or_default();
        }
        state.append(stream, rest, at);
        let new = state.end() != before;
        drop(state);
        if new {
            self.changed.notify_waiters();
        }
    }

    /// The guest has ended: no more will come.
    pub fn close(&self, at: Timestamp) {
        let mut state = self.state.lock();
        for stream in [Stream::Stdout, Stream::Stderr] {
            if !state.begun.of(stream).is_empty() {
                state.finish_line(stream, false, at);
            }
        }
        state.closed = true;
        drop(state);
        self.changed.notify_waiters();
    }

    /// Lines that are gone.
    pub fn dropped(&self) -> u64 {
        self.state.lock().first
    }

    /// Reads from the beginning.
    pub fn reader(self: &Arc<Log>) -> Reader {
        Reader { log: self.clone(), next: 0 }
    }

    /// The last `lines` lines, for messages.
    pub fn tail(&self, lines: usize) -> Vec<Line> {
        let state = self.state.lock();
        state.lines.iter().skip(state.lines.len().saturating_sub(lines)).cloned().collect()
    }
}

impl State {
    /// The number of the next line.
    fn end(&self) -> u64 {
        self.first + self.lines.len() as u64
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
        self.size += text.len() + LINE_OVERHEAD;
        self.lines.push_back(Line { at, stream, complete, text });
        while self.size > CAPACITY {
            let Some(oldest) = self.lines.pop_front() else { break };
            self.size -= oldest.text.len() + LINE_OVERHEAD;
            self.first += 1;
        }
    }
}

/// A place in a log.
pub struct Reader {
    log: Arc<Log>,
    next: u64,
}

impl Reader {
    /// What has come since the last call, waiting for something; `None` at the end of the
    /// attempt. Cancel-safe.
    pub async fn next(&mut self) -> Option<Vec<Entry>> {
        loop {
            let log = self.log.clone();
            let changed = log.changed.notified();
            let (entries, closed) = self.take();
            if !entries.is_empty() {
                return Some(entries);
            }
            if closed {
                return None;
            }
            changed.await;
        }
    }

    /// What has come since the last call, without waiting.
    pub fn take_now(&mut self) -> Vec<Entry> {
        self.take().0
    }

    fn take(&mut self) -> (Vec<Entry>, bool) {
        let state = self.log.state.lock();
        let mut entries = Vec::new();
        if self.next < state.first {
            entries.push(Entry::Gap(state.first - self.next));
            self.next = state.first;
        }
        let skip = usize::try_from(self.next - state.first).unwrap_or(usize::MAX);
        entries.extend(state.lines.iter().skip(skip).cloned().map(Entry::Line));
        self.next = state.end();
        (entries, state.closed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(entries: &[Entry]) -> Vec<String> {
        let text = |e: &Entry| match e {
            Entry::Line(line) => String::from_utf8_lossy(&line.text).into_owned(),
            Entry::Gap(n) => format!("gap of {n}"),
        };
        entries.iter().map(text).collect()
    }

    #[test]
    fn lines_are_put_together_per_stream() {
        let log = Log::new();
        let at = Timestamp::UNIX_EPOCH;
        log.write(Stream::Stdout, b"one\ntw", at);
        log.write(Stream::Stderr, b"err", at);
        log.write(Stream::Stdout, b"o\n\n", at);
        let mut reader = log.reader();
        assert_eq!(texts(&reader.take_now()), ["one", "two", ""]);
        log.close(at);
        assert_eq!(texts(&reader.take_now()), ["err"], "the end of an unfinished line");
    }

    #[test]
    fn long_lines_are_cut() {
        let log = Log::new();
        log.write(Stream::Stdout, &[b'x'; MAX_LINE * 2 + 1], Timestamp::UNIX_EPOCH);
        log.write(Stream::Stdout, b"\n", Timestamp::UNIX_EPOCH);
        let lines: Vec<_> = log.tail(9).iter().map(|l| (l.text.len(), l.complete)).collect();
        assert_eq!(lines, [(MAX_LINE, false), (MAX_LINE, false), (1, true)]);
    }

    #[test]
    fn the_oldest_lines_go_and_a_slow_reader_is_told() {
        let log = Log::new();
        let mut reader = log.reader();
        for _ in 0..3000 {
            log.write(Stream::Stdout, &[b"y".repeat(999), b"\n".to_vec()].concat(), Timestamp::UNIX_EPOCH);
        }
        let entries = reader.take_now();
        assert_eq!(entries.first(), Some(&Entry::Gap(log.dropped())));
        assert_eq!(entries.len() as u64 - 1 + log.dropped(), 3000);
        let held: usize = log.tail(usize::MAX).iter().map(|l| l.text.len()).sum();
        assert!(held < CAPACITY && held > CAPACITY / 2, "{held} bytes held");
    }

    #[tokio::test]
    async fn a_follower_sees_lines_as_they_come_and_the_end() {
        let log = Log::new();
        let mut reader = log.reader();
        let follower = tokio::spawn(async move {
            let mut seen = Vec::new();
            while let Some(entries) = reader.next().await {
                seen.extend(texts(&entries));
            }
            seen
        });
        for text in ["a\n", "b\n"] {
            log.write(Stream::Stdout, text.as_bytes(), Timestamp::UNIX_EPOCH);
            tokio::task::yield_now().await;
        }
        log.close(Timestamp::UNIX_EPOCH);
        assert_eq!(follower.await.expect("joined"), ["a", "b"]);
    }
}
