//! Formats log entries as lines: a prefix, then the bytes of the guest.

use super::pod_watcher::LogSource;
use crate::cli::terminal_text::escape_log_line;
use crate::logs::{LogEntry, LogStreamType};

/// How lines are formatted.
#[derive(Clone, Copy)]
pub struct LineStyle {
    /// Whether prefixes and standard error are coloured.
    pub colour: bool,
    /// Whether control characters are made visible, since the lines go to a terminal.
    pub escapes: bool,
}

/// Returns `pod/container | text`. With `colour`, the prefix has the container's colour and standard error is red.
pub fn prefixed_line(source: &LogSource, entry: &LogEntry, style: LineStyle) -> Vec<u8> {
    let LineStyle { colour, escapes } = style;
    let name = format!("{}/{}", source.pod, source.container);
    let mut line = match colour {
        true => format!("\x1b[{}m{name} |\x1b[0m ", colour_of(&name)).into_bytes(),
        false => format!("{name} | ").into_bytes(),
    };
    let is_stderr = colour && matches!(entry, LogEntry::Line(line) if line.stream == LogStreamType::Stderr);
    if is_stderr {
        line.extend_from_slice(b"\x1b[31m");
    }
    let text = entry_text(entry);
    match escapes {
        true => line.extend_from_slice(escape_log_line(&String::from_utf8_lossy(&text)).as_bytes()),
        false => line.extend(text),
    }
    if is_stderr {
        line.extend_from_slice(b"\x1b[0m");
    }
    line
}

/// Returns the bytes of a line, or a note about dropped lines.
pub fn entry_text(entry: &LogEntry) -> Vec<u8> {
    match entry {
        LogEntry::Line(line) => line.text.to_vec(),
        LogEntry::Gap(1) => b"[1 line was dropped]".to_vec(),
        LogEntry::Gap(lost) => format!("[{lost} lines were dropped]").into_bytes(),
    }
}

/// Returns the colour for a name, always the same: cyan, green, yellow, blue, magenta or one of their bright forms.
fn colour_of(name: &str) -> u8 {
    const COLOURS: [u8; 8] = [36, 32, 33, 34, 35, 96, 92, 94];
    let sum = name.bytes().fold(0usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte)));
    COLOURS.get(sum % COLOURS.len()).copied().unwrap_or(36)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::Line;

    #[test]
    fn log_bytes_are_copied_unchanged() {
        let source = LogSource { pod: "p".into(), container: "c".into() };
        let text: &[u8] = &[b'a', 0xff, b'b'];
        let at = jiff::Timestamp::UNIX_EPOCH;
        let entry =
            LogEntry::Line(Line { timestamp: at, stream: LogStreamType::Stdout, complete: true, text: text.into() });
        let style = LineStyle { colour: false, escapes: false };
        assert_eq!(prefixed_line(&source, &entry, style), [b"p/c | ", text].concat());
        assert_eq!(prefixed_line(&source, &LogEntry::Gap(3), style), b"p/c | [3 lines were dropped]");
    }
}
