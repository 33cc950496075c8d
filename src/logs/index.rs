//! The positions of an attempt's lines in its files: pure bookkeeping, a few dozen bytes per 64 KiB of text.
//!
//! Lines are numbered from the beginning of the attempt. An *extent* is a range of a file with
//! consecutive lines; where lines were lost, the next extent starts at a higher number.

use std::collections::VecDeque;
use std::path::PathBuf;

use jiff::Timestamp;

/// An extent of at least this many bytes is not extended further.
pub(super) const FULL_EXTENT_BYTES: u64 = 64 * 1024;

/// A range of a file with consecutive lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    /// Number of the first line.
    pub(super) first: u64,
    pub(super) lines: u64,
    /// Offset in the file.
    pub(super) offset: u64,
    pub(super) bytes: u64,
    /// Timestamp of the first line.
    pub(super) timestamp: Timestamp,
}

impl Extent {
    /// Returns the number of the line after the last one.
    pub(super) fn end(&self) -> u64 {
        self.first + self.lines
    }
}

/// One file.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) path: PathBuf,
    extents: Vec<Extent>,
}

impl Segment {
    pub(super) fn new(path: PathBuf) -> Segment {
        Segment { path, extents: Vec::new() }
    }

    /// Returns the length of the file.
    pub(super) fn bytes(&self) -> u64 {
        self.extents.last().map_or(0, |extent| extent.offset + extent.bytes)
    }

    /// Returns the number of the line after the last one.
    pub(super) fn end(&self) -> u64 {
        self.extents.last().map_or(0, Extent::end)
    }

    /// Records an extent that was appended to the file.
    pub(super) fn add(&mut self, extent: Extent) {
        match self.extents.last_mut() {
            Some(last) if last.end() == extent.first && last.bytes < FULL_EXTENT_BYTES => {
                last.lines += extent.lines;
                last.bytes += extent.bytes;
            }
            _ => self.extents.push(extent),
        }
    }

    /// Drops all extents, because the content of the file is lost.
    pub(super) fn clear(&mut self) {
        self.extents.clear();
    }
}

/// The files of an attempt, oldest first; lines are appended to the last one.
#[derive(Debug, Default)]
pub(super) struct FileIndex {
    pub(super) segments: VecDeque<Segment>,
    pub(super) state: IndexState,
}

/// What an index knows about its files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum IndexState {
    /// The segments are the files.
    #[default]
    Complete,
    /// An earlier node has written the files, which were not read yet.
    Unread,
    /// The files were removed for good.
    Removed,
}

/// An extent and the file that contains it.
pub(super) type LocatedExtent<'a> = (&'a Segment, Extent);

impl FileIndex {
    /// Returns the extent with line `number`, or the first one after that line.
    pub(super) fn find_at_or_after(&self, number: u64) -> Option<LocatedExtent<'_>> {
        let segment = self.segments.iter().find(|segment| segment.end() > number)?;
        let position = segment.extents.partition_point(|extent| extent.end() <= number);
        Some((segment, *segment.extents.get(position)?))
    }

    /// Returns the last extent that begins before line `number`.
    pub(super) fn find_before(&self, number: u64) -> Option<LocatedExtent<'_>> {
        self.extents_backwards().find(|(_, extent)| extent.first < number)
    }

    /// Returns the number of a line before which every line is older than `time`, provided that the
    /// clock never went backwards.
    pub(super) fn line_before_time(&self, time: Timestamp) -> Option<u64> {
        self.extents_backwards().find(|(_, extent)| extent.timestamp < time).map(|(_, extent)| extent.first)
    }

    fn extents_backwards(&self) -> impl Iterator<Item = LocatedExtent<'_>> {
        let segments = self.segments.iter().rev();
        segments.flat_map(|segment| segment.extents.iter().rev().map(move |extent| (segment, *extent)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent(first: u64, lines: u64, offset: u64, bytes: u64) -> Extent {
        let timestamp = Timestamp::from_second(i64::try_from(first).expect("small number")).expect("valid timestamp");
        Extent { first, lines, offset, bytes, timestamp }
    }

    #[test]
    fn lines_are_found_by_number_and_time() {
        let (mut a, mut b) = (Segment::new("a".into()), Segment::new("b".into()));
        a.add(extent(10, 5, 0, 100));
        a.add(extent(15, 5, 100, FULL_EXTENT_BYTES)); // Extends the first one, which is full now.
        a.add(extent(20, 5, 100 + FULL_EXTENT_BYTES, 100));
        b.add(extent(30, 5, 0, 10)); // Five lines were lost before.
        assert_eq!((a.bytes(), a.extents.len()), (200 + FULL_EXTENT_BYTES, 2));
        let index = FileIndex { segments: [a, b].into(), state: IndexState::Complete };
        let first_line =
            |located: Option<LocatedExtent>| located.map(|(segment, extent)| (segment.path.clone(), extent.first));
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
            assert_eq!(first_line(index.find_at_or_after(number)), at_or_after, "at or after {number}");
            assert_eq!(first_line(index.find_before(number)), before, "before {number}");
        }
        let time = |second| Timestamp::from_second(second).expect("valid timestamp");
        assert_eq!(index.line_before_time(time(10)), None);
        assert_eq!(index.line_before_time(time(21)), Some(20));
    }
}
