//! Formats log entries as lines: a prefix, then the bytes of the guest.

use super::pod_watcher::LogSource;
use crate::logs::{LogEntry, LogStreamType};

/// Returns `pod/container | text`. With `colour`, the prefix has the container's colour and standard error is red.
pub fn prefixed_line(source: &LogSource, entry: &LogEntry, colour: bool) -> Vec<u8> {
    let name = format!("{}/{}", source.pod, source.container);
    let mut line = match colour {
        true => format!("\x1b[{}m{name} |\x1b[0m ", colour_of(&name)).into_bytes(),
        false => format!("{name} | ").into_bytes(),
    };
    let is_stderr = colour && matches!(entry, LogEntry::Line(line) if line.stream == LogStreamType::Stderr);
    if is_stderr {
        line.extend_from_slice(b"\x1b[31m");
    }
    line.extend(entry_text(entry));
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
        assert_eq!(prefixed_line(&source, &entry, false), [b"p/c | ", text].concat());
        assert_eq!(prefixed_line(&source, &LogEntry::Gap(3), false), b"p/c | [3 lines were dropped]");
    }
}
