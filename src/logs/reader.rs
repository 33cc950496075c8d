//! A place in a log, which goes on through its files and its lines in memory.

use std::sync::Arc;

use jiff::Timestamp;

use super::files::{Files, Piece};
use super::{Entry, Line, Log};

/// A place in a log.
pub struct Reader {
    log: Arc<Log>,
    /// The number of the next line.
    next: u64,
    /// The line to end before.
    until: u64,
}

/// What there is to be read.
enum Found {
    Entries(Vec<Entry>),
    /// The next line is in the files, if it is anywhere; from this number on lines are in memory.
    InFiles(Arc<Files>, u64),
    Nothing,
    End,
}

impl Reader {
    pub(super) fn new(log: Arc<Log>) -> Reader {
        Reader { log, next: 0, until: u64::MAX }
    }

    /// Lets it end where the log ends at this moment, whatever is written later.
    pub fn end_here(&mut self) {
        self.until = self.log.ring.lock().end();
    }

    /// Goes to where the last `count` lines begin; what was cut into pieces counts as the one line
    /// that it is.
    pub async fn skip_to_last(&mut self, count: usize) {
        let mut lines = LastLines { left: count, begun: false };
        let mut at;
        {
            let ring = self.log.ring.lock();
            let end = ring.end();
            at = end.min(self.until);
            let behind = usize::try_from(end - at).unwrap_or(usize::MAX);
            for line in ring.lines().rev().skip(behind) {
                if !lines.take(line) {
                    self.next = self.next.max(at);
                    return;
                }
                at -= 1;
            }
        }
        let files = self.files();
        let earlier = on_disk(move || {
            let files = files?;
            while let Some(piece) = files.read_back(at) {
                at = piece.first + piece.lines.len() as u64;
                for line in piece.lines.iter().rev() {
                    if !lines.take(line) {
                        return Some(at);
                    }
                    at -= 1;
                }
            }
            Some(at)
        });
        self.next = self.next.max(earlier.await.unwrap_or(at));
    }

    /// Goes on towards the first line of `time` or later: it may stop before that, never behind it.
    pub async fn skip_towards(&mut self, time: Timestamp) {
        {
            let ring = self.log.ring.lock();
            if ring.lines().next().is_some_and(|line| line.at < time) {
                self.next = self.next.max(ring.first());
                return;
            }
        }
        let files = self.files();
        if let Some(number) = on_disk(move || files?.before_time(time)).await {
            self.next = self.next.max(number);
        }
    }

    /// What has come since the last call, or a good piece of it, waiting for something; `None` at the
    /// end of the attempt. Cancel-safe.
    pub async fn next(&mut self) -> Option<Vec<Entry>> {
        loop {
            let log = self.log.clone();
            let changed = log.changed.notified();
            match self.find() {
                Found::Entries(entries) => return Some(entries),
                Found::InFiles(files, memory) => {
                    let from = self.next;
                    let piece = on_disk(move || files.read(from)).await;
                    let entries = self.take(piece, memory);
                    if !entries.is_empty() {
                        return Some(entries);
                    }
                }
                Found::Nothing => changed.await,
                Found::End => return None,
            }
        }
    }

    fn files(&self) -> Option<Arc<Files>> {
        self.log.sink.as_ref().map(|sink| sink.files.clone())
    }

    fn find(&mut self) -> Found {
        let log = self.log.clone();
        let ring = log.ring.lock();
        if self.next >= self.until {
            return Found::End;
        }
        let mut entries = Vec::new();
        if self.next < ring.first() {
            if ring.is_being_written(self.next) {
                return Found::Nothing;
            }
            if let Some(sink) = &self.log.sink {
                return Found::InFiles(sink.files.clone(), ring.first());
            }
            entries.extend(self.pass_over(ring.first()));
        }
        let mut lines = ring.since(self.next);
        lines.truncate(usize::try_from(self.until - self.next).unwrap_or(usize::MAX));
        self.next += lines.len() as u64;
        entries.extend(lines.into_iter().map(Entry::Line));
        match (entries.is_empty(), ring.is_closed()) {
            (false, _) => Found::Entries(entries),
            (true, true) => Found::End,
            (true, false) => Found::Nothing,
        }
    }

    /// Takes in what the files gave; what they lack is lost as far as it is not in `memory`.
    fn take(&mut self, piece: Option<Piece>, memory: u64) -> Vec<Entry> {
        let Some(piece) = piece.filter(|piece| piece.first < memory) else {
            return self.pass_over(memory).into_iter().collect();
        };
        let mut entries: Vec<Entry> = self.pass_over(piece.first).into_iter().collect();
        let mut lines = piece.lines;
        lines.truncate(usize::try_from(self.until.saturating_sub(self.next)).unwrap_or(usize::MAX));
        self.next += lines.len() as u64;
        entries.extend(lines.into_iter().map(Entry::Line));
        entries.extend(self.pass_over(piece.end.min(memory)));
        entries
    }

    /// Goes on to line `number`, the lines before it being lost.
    fn pass_over(&mut self, number: u64) -> Option<Entry> {
        let number = number.min(self.until);
        let lost = number.checked_sub(self.next).filter(|lost| *lost > 0)?;
        self.next = number;
        Some(Entry::Gap(lost))
    }
}

/// Counts lines from the last one backwards.
struct LastLines {
    left: usize,
    begun: bool,
}

impl LastLines {
    /// Whether the line before those that were taken is one of the last, too.
    fn take(&mut self, line: &Line) -> bool {
        if line.complete || !self.begun {
            let Some(left) = self.left.checked_sub(1) else { return false };
            self.left = left;
        }
        self.begun = true;
        true
    }
}

/// Does what waits for the disk; `None` where it found nothing, or the process is ending.
async fn on_disk<T: Send + 'static>(read: impl FnOnce() -> Option<T> + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(read).await.ok().flatten()
}
