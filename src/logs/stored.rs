//! The files that an earlier node has left of an attempt.
//!
//! A file is read once, from its beginning, to find the positions of its lines. Text after the last newline, which a
//! power cut may leave, does not count.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use super::cri::LineParser;
use super::index::{Extent, FULL_EXTENT_BYTES, Segment};

/// Returns the number of restarts in the name of a log file: `2.log` or, if it was rotated, `2.log.20260131-120000`.
pub(super) fn restarts(file_name: &str) -> Option<u32> {
    let (number, suffix) = file_name.split_once(".log")?;
    (suffix.is_empty() || suffix.starts_with('.')).then(|| number.parse().ok()).flatten()
}

/// Returns the files of the attempt whose current file is `current`, the oldest first.
pub(super) fn paths(current: &Path) -> Vec<PathBuf> {
    let wanted = current.file_name().and_then(|name| restarts(name.to_str()?));
    let entries = current.parent().map(fs::read_dir).into_iter().flatten().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries
        .filter(|entry| entry.file_name().to_str().and_then(restarts).is_some_and(|number| Some(number) == wanted))
        .map(|entry| entry.path())
        .collect();
    // The names of rotated files grow with time, and the current one is the newest.
    paths.sort_by(|a, b| (a == current, a).cmp(&(b == current, b)));
    paths
}

/// Indexes the files of the attempt whose current file is `current`. A file that cannot be read has no lines.
pub(super) fn segments(current: &Path) -> VecDeque<Segment> {
    let mut segments = VecDeque::new();
    let mut next_line = 0;
    for path in paths(current) {
        let mut segment = Segment::new(path);
        if let Err(error) = index_file(&mut segment, &mut next_line) {
            tracing::warn!(path = ?segment.path, %error, "cannot read a log file");
        }
        segments.push_back(segment);
    }
    segments
}

/// Adds the lines of a file to its segment. The first one has number `next_line`, which is advanced.
fn index_file(segment: &mut Segment, next_line: &mut u64) -> io::Result<()> {
    let mut file = BufReader::with_capacity(64 * 1024, File::open(&segment.path)?);
    let (mut text, mut offset, mut parser) = (Vec::new(), 0, LineParser::default());
    let mut extent: Option<Extent> = None;
    loop {
        text.clear();
        let bytes = file.read_until(b'\n', &mut text)? as u64;
        let Some(line) = text.strip_suffix(b"\n") else { break };
        match &mut extent {
            Some(extent) if extent.bytes < FULL_EXTENT_BYTES => {
                extent.lines += 1;
                extent.bytes += bytes;
            }
            _ => {
                // A line that is not in the format of logs is lost.
                let parsed = parser.parse(line);
                let first = *next_line;
                let next = parsed.map(|line| Extent { first, lines: 1, offset, bytes, timestamp: line.timestamp });
                std::mem::replace(&mut extent, next).into_iter().for_each(|full| segment.add(full));
            }
        }
        offset += bytes;
        *next_line += 1;
    }
    extent.into_iter().for_each(|last| segment.add(last));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_tell_the_number_of_restarts() {
        for (name, number) in [
            ("0.log", Some(0)),
            ("12.log.20260131-120000", Some(12)),
            ("12.log.20260131-120000.gz", Some(12)),
            ("x.log", None),
            ("1.logs", None),
            ("1", None),
        ] {
            assert_eq!(restarts(name), number, "{name}");
        }
    }

    #[test]
    fn files_of_an_attempt_are_ordered_by_time() {
        let dir = tempfile::tempdir().expect("a directory");
        let names = ["1.log", "1.log.20260131-120001", "1.log.20260131-120000", "11.log", "0.log"];
        names.iter().for_each(|name| fs::write(dir.path().join(name), "").expect("written"));
        let found = paths(&dir.path().join("1.log"));
        let expected = ["1.log.20260131-120000", "1.log.20260131-120001", "1.log"];
        assert_eq!(found, expected.map(|name| dir.path().join(name)));
        assert_eq!(paths(&dir.path().join("missing/1.log")), [] as [PathBuf; 0]);
    }

    #[test]
    fn damaged_lines_and_torn_ends_are_left_out() {
        let dir = tempfile::tempdir().expect("a directory");
        let current = dir.path().join("0.log");
        let line = |text: &str| format!("2026-01-31T12:00:00.000000000Z stdout F {text}\n");
        let text = ["damaged\n".into(), line("one"), line("two"), line("torn").trim_end().to_string()].concat();
        fs::write(&current, text).expect("written");
        let [segment] = &segments(&current).into_iter().collect::<Vec<_>>()[..] else { panic!("one file") };
        assert_eq!((segment.end(), segment.bytes()), (3, (8 + 2 * line("one").len()) as u64));
    }
}
