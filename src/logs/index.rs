//! Where in an attempt's files its lines are: pure bookkeeping, a few dozen bytes for 64 KiB of text.
//!
//! Lines have numbers, counted from the beginning of the attempt. A *run* is a piece of a file with
//! lines that follow each other; where lines were lost, the numbers of the next run are higher.

use std::collections::VecDeque;
use std::path::PathBuf;

use jiff::Timestamp;

/// A run is not continued once it has so many bytes.
const RUN: u64 = 64 * 1024;

/// A piece of a file with lines that follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    /// The number of its first line.
    pub(super) first: u64,
    pub(super) lines: u64,
    /// Where it begins in its file.
    pub(super) offset: u64,
    pub(super) bytes: u64,
    /// When its first line was finished.
    pub(super) at: Timestamp,
}

impl Run {
    /// The number of the line behind it.
    pub(super) fn end(&self) -> u64 {
        self.first + self.lines
    }
}

/// One file.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) path: PathBuf,
    runs: Vec<Run>,
}

impl Segment {
    pub(super) fn new(path: PathBuf) -> Segment {
        Segment { path, runs: Vec::new() }
    }

    /// How long the file is.
    pub(super) fn bytes(&self) -> u64 {
        self.runs.last().map_or(0, |run| run.offset + run.bytes)
    }

    /// The number of the line behind its last.
    fn end(&self) -> u64 {
        self.runs.last().map_or(0, Run::end)
    }

    /// Takes a run in that was written behind all others.
    pub(super) fn add(&mut self, run: Run) {
        match self.runs.last_mut() {
            Some(last) if last.end() == run.first && last.bytes < RUN => {
                last.lines += run.lines;
                last.bytes += run.bytes;
            }
            _ => self.runs.push(run),
        }
    }

    /// What it held is no longer there.
    pub(super) fn forget(&mut self) {
        self.runs.clear();
    }
}

/// The files of an attempt, oldest first; the last one is written to.
#[derive(Debug, Default)]
pub(super) struct Index {
    pub(super) segments: VecDeque<Segment>,
    /// The files were removed for good.
    pub(super) gone: bool,
}

/// A run and the file that it is in.
pub(super) type Place<'a> = (&'a Segment, Run);

impl Index {
    /// The run with line `number`, or the next one behind it.
    pub(super) fn at_or_after(&self, number: u64) -> Option<Place<'_>> {
        let segment = self.segments.iter().find(|segment| segment.end() > number)?;
        let at = segment.runs.partition_point(|run| run.end() <= number);
        Some((segment, *segment.runs.get(at)?))
    }

    /// The last run that begins before line `number`.
    pub(super) fn before(&self, number: u64) -> Option<Place<'_>> {
        self.runs_backwards().find(|(_, run)| run.first < number)
    }

    /// The number of a line so early that none before it was finished at `time` or later, as far as
    /// the clock went forwards.
    pub(super) fn before_time(&self, time: Timestamp) -> Option<u64> {
        self.runs_backwards().find(|(_, run)| run.at < time).map(|(_, run)| run.first)
    }

    fn runs_backwards(&self) -> impl Iterator<Item = Place<'_>> {
        let segments = self.segments.iter().rev();
        segments.flat_map(|segment| segment.runs.iter().rev().map(move |run| (segment, *run)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(first: u64, lines: u64, offset: u64, bytes: u64) -> Run {
        let at = Timestamp::from_second(i64::try_from(first).expect("small")).expect("a time");
        Run { first, lines, offset, bytes, at }
    }

    #[test]
    fn lines_are_found_by_number_and_time() {
        let (mut a, mut b) = (Segment::new("a".into()), Segment::new("b".into()));
        a.add(run(10, 5, 0, 100));
        a.add(run(15, 5, 100, RUN)); // Continues the first one, which is full now.
        a.add(run(20, 5, 100 + RUN, 100));
        b.add(run(30, 5, 0, 10)); // Five lines were lost before.
        assert_eq!((a.bytes(), a.runs.len()), (200 + RUN, 2));
        let index = Index { segments: [a, b].into(), gone: false };
        let firsts = |place: Option<Place>| place.map(|(segment, run)| (segment.path.clone(), run.first));
        let (a, b) = (|first| Some(("a".into(), first)), |first| Some(("b".into(), first)));
        for (number, at_or_after, before) in [
            (0, a(10), None),
            (10, a(10), None),
            (19, a(10), a(10)),
            (20, a(20), a(10)),
            (27, b(30), a(20)),
            (34, b(30), b(30)),
            (35, None, b(30)),
        ] {
            assert_eq!(firsts(index.at_or_after(number)), at_or_after, "at or after {number}");
            assert_eq!(firsts(index.before(number)), before, "before {number}");
        }
        let time = |second| Timestamp::from_second(second).expect("a time");
        assert_eq!(index.before_time(time(10)), None);
        assert_eq!(index.before_time(time(21)), Some(20));
    }
}
