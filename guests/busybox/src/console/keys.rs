//! Keys: decodes the bytes that a terminal in raw mode sends. Pure.

/// A key, or pasted text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    Char(char),
    /// Ctrl with a character from `@` to `_`: `Ctrl('A')`.
    Ctrl(char),
    Alt(char),
    Enter,
    Tab,
    Backspace,
    AltBackspace,
    Escape,
    Up,
    Down,
    Left,
    Right,
    WordLeft,
    WordRight,
    Home,
    End,
    Insert,
    Delete,
    PageUp,
    PageDown,
    /// Text between the marks of bracketed paste.
    Paste(String),
    /// A sequence that means nothing here.
    Unknown,
}

const PASTE_START: &[u8] = b"\x1b[200~";
const PASTE_END: &[u8] = b"\x1b[201~";

/// Turns bytes into keys; keeps the beginning of a key that is not complete.
#[derive(Default)]
pub struct Decoder {
    bytes: Vec<u8>,
}

/// The result of decoding the front of the bytes.
enum Decoded {
    /// The key and its number of bytes.
    Key(Key, usize),
    Incomplete,
}

impl Decoder {
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Whether the bytes end within a key.
    pub fn is_incomplete(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// Returns the next complete key.
    pub fn next_key(&mut self) -> Option<Key> {
        match decode(&self.bytes) {
            Decoded::Key(key, length) => {
                self.bytes.drain(..length.max(1));
                Some(key)
            }
            Decoded::Incomplete => None,
        }
    }

    /// Returns the key of an incomplete sequence to which nothing was added for a while: Escape, if it begins with one.
    pub fn flush(&mut self) -> Option<Key> {
        // Pasted text continues however slow it is.
        if self.bytes.starts_with(PASTE_START) {
            return None;
        }
        let first = *self.bytes.first()?;
        match (first, self.bytes.get(1)) {
            (0x1b, Some(b'[' | b'O')) => {
                self.bytes.clear();
                Some(Key::Unknown)
            }
            (0x1b, _) => {
                self.bytes.remove(0);
                Some(Key::Escape)
            }
            _ => {
                self.bytes.clear();
                Some(Key::Char(char::REPLACEMENT_CHARACTER))
            }
        }
    }

    /// Takes the bytes that are not decoded yet.
    pub fn take_rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }
}

fn decode(bytes: &[u8]) -> Decoded {
    match bytes {
        [] => Decoded::Incomplete,
        [0x1b, rest @ ..] => decode_escape(bytes, rest),
        [b'\r' | b'\n', ..] => Decoded::Key(Key::Enter, 1),
        [b'\t', ..] => Decoded::Key(Key::Tab, 1),
        [0x7f | 0x08, ..] => Decoded::Key(Key::Backspace, 1),
        [byte @ 0..0x20, ..] => Decoded::Key(Key::Ctrl(char::from(byte | 0x40)), 1),
        _ => match decode_char(bytes) {
            Some((c, length)) => Decoded::Key(Key::Char(c), length),
            None => Decoded::Incomplete,
        },
    }
}

/// Decodes one character of UTF-8; `None` if its bytes are not complete.
fn decode_char(bytes: &[u8]) -> Option<(char, usize)> {
    let length = match bytes.first()? {
        0..0x80 => 1,
        0xc2..0xe0 => 2,
        0xe0..0xf0 => 3,
        0xf0..0xf5 => 4,
        _ => return Some((char::REPLACEMENT_CHARACTER, 1)),
    };
    let part = bytes.get(..length.min(bytes.len()))?;
    match std::str::from_utf8(part) {
        Ok(text) => Some((text.chars().next()?, length)),
        Err(error) if error.error_len().is_none() => None,
        Err(_) => Some((char::REPLACEMENT_CHARACTER, 1)),
    }
}

fn decode_escape(bytes: &[u8], rest: &[u8]) -> Decoded {
    match rest {
        [] => Decoded::Incomplete,
        [b'[', parameters @ ..] => decode_csi(bytes, parameters),
        [b'O'] => Decoded::Incomplete,
        [b'O', letter, ..] => Decoded::Key(cursor_key(*letter, false), 3),
        // Escape, then another sequence.
        [0x1b, ..] => Decoded::Key(Key::Escape, 1),
        [0x7f | 0x08, ..] => Decoded::Key(Key::AltBackspace, 2),
        [b'\r' | b'\n', ..] => Decoded::Key(Key::Escape, 1),
        [0..0x20, ..] => Decoded::Key(Key::Escape, 1),
        _ => match decode_char(rest) {
            Some((c, length)) => Decoded::Key(Key::Alt(c), length + 1),
            None => Decoded::Incomplete,
        },
    }
}

/// Decodes `ESC [ parameters letter`.
fn decode_csi(bytes: &[u8], rest: &[u8]) -> Decoded {
    if let [b'[', letter, ..] = rest {
        // The Linux console's function keys.
        return Decoded::Key(if letter.is_ascii_alphabetic() { Key::Unknown } else { Key::Escape }, 4);
    }
    if rest == b"[" {
        return Decoded::Incomplete;
    }
    let Some(end) = rest.iter().position(|b| (0x40..0x7f).contains(b)) else {
        return Decoded::Incomplete;
    };
    let (parameters, letter) = (rest.get(..end).unwrap_or_default(), rest.get(end).copied().unwrap_or_default());
    let length = end + 3;
    let text = String::from_utf8_lossy(parameters);
    let mut numbers = text.split(';').map(|n| n.parse::<u32>().unwrap_or(0));
    let first = numbers.next().unwrap_or(0);
    let modified = numbers.next().unwrap_or(0) > 1;
    if letter != b'~' {
        return Decoded::Key(cursor_key(letter, modified), length);
    }
    let key = match first {
        1 | 7 => Key::Home,
        2 => Key::Insert,
        3 => Key::Delete,
        4 | 8 => Key::End,
        5 => Key::PageUp,
        6 => Key::PageDown,
        200 => return decode_paste(bytes),
        _ => Key::Unknown,
    };
    Decoded::Key(key, length)
}

fn cursor_key(letter: u8, modified: bool) -> Key {
    match (letter, modified) {
        (b'A', _) => Key::Up,
        (b'B', _) => Key::Down,
        (b'C', false) => Key::Right,
        (b'D', false) => Key::Left,
        (b'C', true) => Key::WordRight,
        (b'D', true) => Key::WordLeft,
        (b'H', _) => Key::Home,
        (b'F', _) => Key::End,
        (b'M', _) => Key::Enter,
        _ => Key::Unknown,
    }
}

fn decode_paste(bytes: &[u8]) -> Decoded {
    let text = bytes.get(PASTE_START.len()..).unwrap_or_default();
    let Some(end) = text.windows(PASTE_END.len()).position(|window| window == PASTE_END) else {
        return Decoded::Incomplete;
    };
    let pasted = String::from_utf8_lossy(text.get(..end).unwrap_or_default());
    // Terminals send the Enter key for the ends of lines.
    let pasted = pasted.replace("\r\n", "\n").replace('\r', "\n");
    Decoded::Key(Key::Paste(pasted), PASTE_START.len() + end + PASTE_END.len())
}

/// Decodes complete input, for tests of other modules.
#[cfg(test)]
pub fn decode_all(text: &str) -> Vec<Key> {
    let mut decoder = Decoder::default();
    decoder.push(text.as_bytes());
    let mut keys: Vec<Key> = std::iter::from_fn(|| decoder.next_key()).collect();
    keys.extend(decoder.flush());
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_decode_to_keys() {
        let table: [(&str, &[Key]); 16] = [
            ("aä漢", &[Key::Char('a'), Key::Char('ä'), Key::Char('漢')]),
            ("\r\n\t", &[Key::Enter, Key::Enter, Key::Tab]),
            ("\x01\x1a\x7f\x08", &[Key::Ctrl('A'), Key::Ctrl('Z'), Key::Backspace, Key::Backspace]),
            ("\x1b[A\x1bOB", &[Key::Up, Key::Down]),
            ("\x1b[1;5C\x1b[1;3D", &[Key::WordRight, Key::WordLeft]),
            ("\x1b[H\x1b[4~\x1bOF\x1b[1~", &[Key::Home, Key::End, Key::End, Key::Home]),
            ("\x1b[3~\x1b[5~\x1b[6~", &[Key::Delete, Key::PageUp, Key::PageDown]),
            ("\x1bb\x1bä\x1b\x7f", &[Key::Alt('b'), Key::Alt('ä'), Key::AltBackspace]),
            ("\x1b", &[Key::Escape]),
            ("\x1b\x1b", &[Key::Escape, Key::Escape]),
            ("\x1b\x1b[A", &[Key::Escape, Key::Up]),
            ("\x1b[?1;2c", &[Key::Unknown]),
            ("\x1b[200~a\rb\x1b[201~c", &[Key::Paste("a\nb".into()), Key::Char('c')]),
            ("\x1b[[A", &[Key::Unknown]),
            ("\x1b[15~x", &[Key::Unknown, Key::Char('x')]),
            ("\x00", &[Key::Ctrl('@')]),
        ];
        for (bytes, keys) in table {
            assert_eq!(decode_all(bytes), keys, "{bytes:?}");
        }
    }

    #[test]
    fn keys_may_arrive_in_parts() {
        let mut decoder = Decoder::default();
        for byte in "\x1b[1;5C漢".as_bytes() {
            assert_eq!(decoder.next_key().filter(|key| *key != Key::WordRight), None);
            decoder.push(&[*byte]);
        }
        assert_eq!(decoder.next_key(), Some(Key::Char('漢')));
        assert!(!decoder.is_incomplete());
    }

    #[test]
    fn bytes_that_are_not_utf8_are_replaced() {
        let mut decoder = Decoder::default();
        decoder.push(b"\xffa\xe6\xbcb");
        let keys: Vec<Key> = std::iter::from_fn(|| decoder.next_key()).collect();
        let unknown = Key::Char(char::REPLACEMENT_CHARACTER);
        assert_eq!(keys, [unknown.clone(), Key::Char('a'), unknown.clone(), unknown, Key::Char('b')]);
    }
}
