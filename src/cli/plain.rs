//! A log entry as a line: prefix, then what the guest wrote, byte for byte.

use super::follow::Source;
use crate::logs::{Entry, Stream};

/// `pod/container | text`, the prefix coloured by container if wanted.
pub fn line(source: &Source, entry: &Entry, colour: bool) -> Vec<u8> {
    let name = format!("{}/{}", source.pod, source.container);
    let mut line = match colour {
        true => format!("\x1b[{}m{name} |\x1b[0m ", colour_of(&name)).into_bytes(),
        false => format!("{name} | ").into_bytes(),
    };
    let error = colour && matches!(entry, Entry::Line(line) if line.stream == Stream::Stderr);
    if error {
        line.extend_from_slice(b"\x1b[31m");
    }
    line.extend(text(entry));
    if error {
        line.extend_from_slice(b"\x1b[0m");
    }
    line
}

/// What the guest wrote, or how much of it is lost.
pub fn text(entry: &Entry) -> Vec<u8> {
    match entry {
        Entry::Line(line) => line.text.to_vec(),
        Entry::Gap(1) => b"[1 line was dropped]".to_vec(),
        Entry::Gap(lost) => format!("[{lost} lines were dropped]").into_bytes(),
    }
}

/// A colour that stays the same for a name: cyan, green, yellow, blue, magenta and their bright forms.
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
    fn bytes_are_passed_on_as_they_are() {
        let source = Source { pod: "p".into(), container: "c".into() };
        let text: &[u8] = &[b'a', 0xff, b'b'];
        let at = jiff::Timestamp::UNIX_EPOCH;
        let entry = Entry::Line(Line { timestamp: at, stream: Stream::Stdout, complete: true, text: text.into() });
        assert_eq!(line(&source, &entry, false), [b"p/c | ", text].concat());
        assert_eq!(line(&source, &Entry::Gap(3), false), b"p/c | [3 lines were dropped]");
    }
}
