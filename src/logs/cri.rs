//! Lines as container runtimes write them into files (the CRI's log format):
//! `2026-01-31T12:00:00.123456789Z stdout F text`, with `P` for a piece whose line goes on.

use std::io::Write;

use jiff::Timestamp;

use super::{Line, Stream};

/// A second and its text. Lines come many to a second: each is written and read once.
struct Second {
    number: i64,
    /// `2026-01-31T12:00:00`
    text: String,
}

impl Second {
    fn of(number: i64) -> Second {
        let at = Timestamp::from_second(number).unwrap_or_default();
        let text = format!("{at:.0}").trim_end_matches('Z').to_string();
        Second { number, text }
    }
}

/// Writes lines.
#[derive(Default)]
pub(super) struct Writer(Option<Second>);

impl Writer {
    /// Adds `line` and its newline to `text`.
    pub(super) fn write(&mut self, line: &Line, text: &mut Vec<u8>) {
        let nanos = line.at.as_nanosecond();
        let number = i64::try_from(nanos.div_euclid(NANOS)).unwrap_or_default();
        let second = match self.0.take_if(|known| known.number != number) {
            Some(_) => self.0.insert(Second::of(number)),
            None => self.0.get_or_insert_with(|| Second::of(number)),
        };
        let stream = match line.stream {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        };
        let tag = if line.complete { 'F' } else { 'P' };
        // A vector takes everything.
        let _ = write!(text, "{}.{:09}Z {stream} {tag} ", second.text, nanos.rem_euclid(NANOS));
        text.extend_from_slice(&line.text);
        text.push(b'\n');
    }
}

const NANOS: i128 = 1_000_000_000;

/// Reads lines.
#[derive(Default)]
pub(super) struct Reader(Option<Second>);

impl Reader {
    /// The line that `text` is, without its newline; `None` where it is none.
    pub(super) fn read(&mut self, text: &[u8]) -> Option<Line> {
        let mut parts = text.splitn(4, |byte| *byte == b' ');
        let at = self.time(std::str::from_utf8(parts.next()?).ok()?)?;
        let stream = match parts.next()? {
            b"stdout" => Stream::Stdout,
            b"stderr" => Stream::Stderr,
            _ => return None,
        };
        let complete = match parts.next()? {
            b"F" => true,
            b"P" => false,
            _ => return None,
        };
        Some(Line { at, stream, complete, text: parts.next()?.into() })
    }

    fn time(&mut self, text: &str) -> Option<Timestamp> {
        let (second, nanos) = text.strip_suffix('Z')?.split_once('.')?;
        let nanos = i32::try_from(nanos.parse::<u32>().ok().filter(|_| nanos.len() == 9)?).ok()?;
        let known = match &self.0 {
            Some(known) if known.text == second => known.number,
            _ => {
                let at: Timestamp = format!("{second}Z").parse().ok()?;
                self.0 = Some(Second { number: at.as_second(), text: second.into() });
                at.as_second()
            }
        };
        Timestamp::new(known, 0).ok()?.checked_add(jiff::SignedDuration::new(0, nanos)).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_look_as_container_runtimes_write_them() {
        let mut text = Vec::new();
        let mut writer = Writer::default();
        for (at, stream, complete, said) in [
            ("2026-01-31T12:00:00.123456789Z", Stream::Stdout, true, "text with  spaces"),
            ("2026-01-31T12:00:00Z", Stream::Stderr, false, "a piece"),
            ("1969-12-31T23:59:59.5Z", Stream::Stdout, true, ""),
        ] {
            let at = at.parse().expect("a time");
            writer.write(&Line { at, stream, complete, text: said.as_bytes().into() }, &mut text);
        }
        let want = "2026-01-31T12:00:00.123456789Z stdout F text with  spaces\n\
             2026-01-31T12:00:00.000000000Z stderr P a piece\n\
             1969-12-31T23:59:59.500000000Z stdout F \n";
        assert_eq!(String::from_utf8_lossy(&text), want);
    }

    #[test]
    fn what_is_no_line_is_not_read() {
        let mut reader = Reader::default();
        for text in [
            "",
            "2026-01-31T12:00:00.123456789Z",
            "2026-01-31T12:00:00.123456789Z stdout F",
            "2026-01-31T12:00:00.123456789Z stdin F x",
            "2026-01-31T12:00:00.123456789Z stdout G x",
            "2026-01-31T12:00:00.12Z stdout F x",
            "yesterday.123456789Z stdout F x",
        ] {
            assert_eq!(reader.read(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_line_is_read_as_it_was_written(
            lines in prop::collection::vec((-5_000_000_000_i128..5_000_000_000_000, any::<[bool; 2]>(), "[^\n]{0,20}"), 1..9),
        ) {
            let (mut writer, mut reader) = (Writer::default(), Reader::default());
            for (nanos, [stdout, complete], text) in lines {
                let stream = if stdout { Stream::Stdout } else { Stream::Stderr };
                let at = Timestamp::from_nanosecond(nanos).expect("a time");
                let line = Line { at, stream, complete, text: text.as_bytes().into() };
                let mut written = Vec::new();
                writer.write(&line, &mut written);
                prop_assert_eq!(reader.read(&written[..written.len() - 1]), Some(line));
            }
        }
    }
}
