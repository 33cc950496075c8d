//! Joins the parts of lines that were too long for a log.

use super::{Line, LogEntry, LogStreamType};

/// Maximum length of a joined line; a longer one is passed on in several.
const MAX_JOINED_BYTES: usize = 1024 * 1024;

/// Joins the parts of long lines, so that readers see each line as its guest wrote it, even if the parts of the two
/// streams alternate.
#[derive(Default)]
pub struct LineJoiner {
    /// The begun lines of both streams.
    begun: [Option<BegunLine>; 2],
}

struct BegunLine {
    /// Its first part.
    line: Line,
    text: Vec<u8>,
}

impl LineJoiner {
    /// Returns `entries` with the parts of lines joined. A line whose last part is missing is kept for later.
    pub fn join(&mut self, entries: Vec<LogEntry>) -> Vec<LogEntry> {
        let has_parts = |entry: &LogEntry| matches!(entry, LogEntry::Line(line) if !line.complete);
        if self.begun.iter().all(Option::is_none) && !entries.iter().any(has_parts) {
            return entries;
        }
        let mut joined = Vec::with_capacity(entries.len());
        for entry in entries {
            match entry {
                LogEntry::Line(line) => joined.extend(self.add(line).map(LogEntry::Line)),
                LogEntry::Gap(lost) => {
                    joined.extend(self.finish());
                    joined.push(LogEntry::Gap(lost));
                }
            }
        }
        joined
    }

    /// Returns the lines that have begun, at the end of the log.
    pub fn finish(&mut self) -> Vec<LogEntry> {
        let mut lines: Vec<Line> = self.begun.iter_mut().filter_map(Option::take).map(BegunLine::end).collect();
        lines.sort_by_key(|line| line.timestamp);
        lines.into_iter().map(LogEntry::Line).collect()
    }

    /// Adds a part. Returns the line if it is complete or too long.
    fn add(&mut self, part: Line) -> Option<Line> {
        let [stdout, stderr] = &mut self.begun;
        let begun = match part.stream {
            LogStreamType::Stdout => stdout,
            LogStreamType::Stderr => stderr,
        };
        if begun.is_none() && part.complete {
            return Some(part);
        }
        let (is_complete, text) = (part.complete, part.text.clone());
        let line = begun.get_or_insert_with(|| BegunLine { line: part, text: Vec::new() });
        line.text.extend_from_slice(&text);
        line.line.complete = is_complete;
        match is_complete || line.text.len() >= MAX_JOINED_BYTES {
            true => begun.take().map(BegunLine::end),
            false => None,
        }
    }
}

impl BegunLine {
    fn end(self) -> Line {
        Line { text: self.text.into(), ..self.line }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn line(second: i64, stream: LogStreamType, complete: bool, text: &[u8]) -> LogEntry {
        let timestamp = Timestamp::from_second(second).expect("a time");
        LogEntry::Line(Line { timestamp, stream, complete, text: text.into() })
    }

    #[test]
    fn parts_are_joined_by_stream_with_the_time_of_the_first() {
        use LogStreamType::{Stderr, Stdout};
        let mut joiner = LineJoiner::default();
        let first = joiner.join(vec![
            line(1, Stdout, true, b"whole"),
            line(2, Stdout, false, b"ab"),
            line(3, Stderr, true, b"between"),
        ]);
        assert_eq!(first, [line(1, Stdout, true, b"whole"), line(3, Stderr, true, b"between")]);
        let second = joiner.join(vec![line(4, Stdout, false, b"cd"), line(5, Stdout, true, b"e")]);
        assert_eq!(second, [line(2, Stdout, true, b"abcde")]);
        let third = joiner.join(vec![line(6, Stderr, false, b"x"), line(7, Stdout, false, b"y")]);
        assert_eq!(
            (third, joiner.finish()),
            (vec![], vec![line(6, Stderr, false, b"x"), line(7, Stdout, false, b"y")])
        );
        assert_eq!(joiner.finish(), []);
    }

    #[test]
    fn gaps_and_very_long_lines_end_a_line() {
        let mut joiner = LineJoiner::default();
        let part = |text: &[u8]| line(1, LogStreamType::Stdout, false, text);
        assert_eq!(joiner.join(vec![part(b"a"), LogEntry::Gap(3)]), [part(b"a"), LogEntry::Gap(3)]);
        let long = vec![b'x'; MAX_JOINED_BYTES - 1];
        assert_eq!(joiner.join(vec![part(&long)]), []);
        assert_eq!(joiner.join(vec![part(b"y"), part(b"z")]), [part(&[&long[..], b"y"].concat())]);
        assert_eq!(joiner.finish(), [part(b"z")]);
    }
}
