//! The CRI log format, in which container runtimes write lines to files:
//! `2026-01-31T12:00:00.123456789Z stdout F text`, with `P` for a partial line that the next one continues.

use jiff::Timestamp;

use super::{Line, LogStreamType};

const NANOS_PER_SECOND: i32 = 1_000_000_000;

/// A Unix time in seconds and its text. It is cached, because many lines share a second.
struct FormattedSecond {
    unix_seconds: i64,
    /// `2026-01-31T12:00:00`
    text: String,
}

impl FormattedSecond {
    fn format(unix_seconds: i64) -> FormattedSecond {
        let timestamp = Timestamp::from_second(unix_seconds).unwrap_or_default();
        let text = format!("{timestamp:.0}").trim_end_matches('Z').to_string();
        FormattedSecond { unix_seconds, text }
    }
}

/// Formats lines.
#[derive(Default)]
pub(super) struct CriFormatter {
    last_second: Option<FormattedSecond>,
}

impl CriFormatter {
    /// Appends `line` and its newline to `text`.
    pub(super) fn append(&mut self, line: &Line, text: &mut Vec<u8>) {
        // Before 1970 both parts are negative, while the text counts up from the second before.
        let (seconds, nanos) = match (line.timestamp.as_second(), line.timestamp.subsec_nanosecond()) {
            (seconds, nanos @ ..0) => (seconds - 1, nanos + NANOS_PER_SECOND),
            positive => positive,
        };
        let second = match self.last_second.take_if(|last| last.unix_seconds != seconds) {
            Some(_) => self.last_second.insert(FormattedSecond::format(seconds)),
            None => self.last_second.get_or_insert_with(|| FormattedSecond::format(seconds)),
        };
        text.extend_from_slice(second.text.as_bytes());
        text.push(b'.');
        text.extend_from_slice(&nine_digits(nanos.unsigned_abs()));
        text.extend_from_slice(match line.stream {
            LogStreamType::Stdout => b"Z stdout ",
            LogStreamType::Stderr => b"Z stderr ",
        });
        text.extend_from_slice(if line.complete { b"F " } else { b"P " });
        text.extend_from_slice(&line.text);
        text.push(b'\n');
    }
}

/// Formats `number` with leading zeros. `format!` would dominate the cost of writing a line.
fn nine_digits(number: u32) -> [u8; 9] {
    let (mut digits, mut rest) = ([b'0'; 9], number);
    for digit in digits.iter_mut().rev() {
        *digit += u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
    }
    digits
}

/// Parses lines.
#[derive(Default)]
pub(super) struct LineParser {
    last_second: Option<FormattedSecond>,
}

impl LineParser {
    /// Parses a line without its newline; returns `None` if `text` is not in the CRI format.
    pub(super) fn parse(&mut self, text: &[u8]) -> Option<Line> {
        let mut parts = text.splitn(4, |byte| *byte == b' ');
        let timestamp = self.parse_timestamp(std::str::from_utf8(parts.next()?).ok()?)?;
        let stream = match parts.next()? {
            b"stdout" => LogStreamType::Stdout,
            b"stderr" => LogStreamType::Stderr,
            _ => return None,
        };
        let complete = match parts.next()? {
            b"F" => true,
            b"P" => false,
            _ => return None,
        };
        Some(Line { timestamp, stream, complete, text: parts.next()?.into() })
    }

    fn parse_timestamp(&mut self, text: &str) -> Option<Timestamp> {
        let (second, nanos) = text.strip_suffix('Z')?.split_once('.')?;
        let nanos = i32::try_from(nanos.parse::<u32>().ok().filter(|_| nanos.len() == 9)?).ok()?;
        let unix_seconds = match &self.last_second {
            Some(last) if last.text == second => last.unix_seconds,
            _ => {
                let parsed: Timestamp = format!("{second}Z").parse().ok()?;
                let unix_seconds = parsed.as_second();
                self.last_second = Some(FormattedSecond { unix_seconds, text: second.into() });
                unix_seconds
            }
        };
        Timestamp::new(unix_seconds, 0).ok()?.checked_add(jiff::SignedDuration::new(0, nanos)).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_are_written_in_the_cri_format() {
        let mut text = Vec::new();
        let mut formatter = CriFormatter::default();
        for (timestamp, stream, complete, content) in [
            ("2026-01-31T12:00:00.123456789Z", LogStreamType::Stdout, true, "text with  spaces"),
            ("2026-01-31T12:00:00Z", LogStreamType::Stderr, false, "a part"),
            ("1969-12-31T23:59:59.5Z", LogStreamType::Stdout, true, ""),
        ] {
            let timestamp = timestamp.parse().expect("valid timestamp");
            formatter.append(&Line { timestamp, stream, complete, text: content.as_bytes().into() }, &mut text);
        }
        let expected = "2026-01-31T12:00:00.123456789Z stdout F text with  spaces\n\
             2026-01-31T12:00:00.000000000Z stderr P a part\n\
             1969-12-31T23:59:59.500000000Z stdout F \n";
        assert_eq!(String::from_utf8_lossy(&text), expected);
    }

    #[test]
    fn malformed_lines_are_not_parsed() {
        let mut parser = LineParser::default();
        for text in [
            "",
            "2026-01-31T12:00:00.123456789Z",
            "2026-01-31T12:00:00.123456789Z stdout F",
            "2026-01-31T12:00:00.123456789Z stdin F x",
            "2026-01-31T12:00:00.123456789Z stdout G x",
            "2026-01-31T12:00:00.12Z stdout F x",
            "yesterday.123456789Z stdout F x",
        ] {
            assert_eq!(parser.parse(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn formatted_lines_parse_back(
            lines in prop::collection::vec((-5_000_000_000_i128..5_000_000_000_000, any::<[bool; 2]>(), "[^\n]{0,20}"), 1..9),
        ) {
            let (mut formatter, mut parser) = (CriFormatter::default(), LineParser::default());
            for (nanos, [stdout, complete], text) in lines {
                let stream = if stdout { LogStreamType::Stdout } else { LogStreamType::Stderr };
                let timestamp = Timestamp::from_nanosecond(nanos).expect("valid timestamp");
                let line = Line { timestamp, stream, complete, text: text.as_bytes().into() };
                let mut written = Vec::new();
                formatter.append(&line, &mut written);
                prop_assert_eq!(parser.parse(&written[..written.len() - 1]), Some(line));
            }
        }
    }
}
