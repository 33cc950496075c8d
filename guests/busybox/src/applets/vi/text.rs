//! The text of a file: lines of characters, never without a line.

use std::rc::Rc;

/// Bytes that are not UTF-8 become characters from here on, so that they are saved unchanged.
const RAW_BYTES: u32 = 0x10_ff00;

/// A place in the text. The column counts characters; it is behind the last one only while text is inserted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

/// The lines; clones share those that are equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    lines: Vec<Rc<Vec<char>>>,
}

impl Text {
    pub fn from_bytes(bytes: &[u8]) -> Text {
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        Text { lines: bytes.split(|b| *b == b'\n').map(|line| Rc::new(decode(line))).collect() }
    }

    /// Returns the lines of a range, each with a newline.
    pub fn to_bytes(&self, first: usize, last: usize) -> Vec<u8> {
        let mut out = Vec::new();
        for line in self.lines.iter().take(last + 1).skip(first) {
            encode(line, &mut out);
            out.push(b'\n');
        }
        out
    }

    /// Returns the number of lines.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    pub fn last_line(&self) -> usize {
        self.lines.len() - 1
    }

    pub fn line(&self, number: usize) -> &[char] {
        self.lines.get(number).map_or(&[], |line| line.as_slice())
    }

    /// Returns the number of characters of a line.
    pub fn line_len(&self, number: usize) -> usize {
        self.line(number).len()
    }

    pub fn at(&self, position: Position) -> Option<char> {
        self.line(position.line).get(position.column).copied()
    }

    /// Returns the column of the first character that is not blank.
    pub fn first_non_blank(&self, number: usize) -> usize {
        let line = self.line(number);
        line.iter().position(|c| !c.is_whitespace()).unwrap_or(line.len().saturating_sub(1))
    }

    /// Returns the bytes of a line, and for each character its position in them.
    pub fn line_bytes(&self, number: usize) -> (Vec<u8>, Vec<usize>) {
        let mut bytes = Vec::new();
        let mut starts = Vec::new();
        for c in self.line(number) {
            starts.push(bytes.len());
            encode(&[*c], &mut bytes);
        }
        (bytes, starts)
    }

    /// Inserts text; returns the position behind it.
    pub fn insert(&mut self, at: Position, text: &str) -> Position {
        let mut parts = text.split('\n').map(|part| part.chars().collect::<Vec<char>>());
        let first = parts.next().unwrap_or_default();
        let Some(line) = self.lines.get_mut(at.line) else { return at };
        let line = Rc::make_mut(line);
        let rest = line.split_off(at.column.min(line.len()));
        line.extend(first);
        let mut number = at.line;
        for part in parts {
            number += 1;
            self.lines.insert(number, Rc::new(part));
        }
        let mut end = Position { line: number, column: 0 };
        if let Some(line) = self.lines.get_mut(number) {
            let line = Rc::make_mut(line);
            end.column = line.len();
            line.extend(rest);
        }
        end
    }

    /// Returns the characters from `start` to before `end`.
    pub fn copy(&self, start: Position, end: Position) -> String {
        let mut out = String::new();
        for number in start.line..=end.line.min(self.last_line()) {
            let line = self.line(number);
            let from = if number == start.line { start.column.min(line.len()) } else { 0 };
            let to = if number == end.line { end.column.min(line.len()) } else { line.len() };
            out.extend(line.get(from..to).unwrap_or_default());
            if number < end.line {
                out.push('\n');
            }
        }
        out
    }

    /// Removes the characters from `start` to before `end`.
    pub fn remove(&mut self, start: Position, end: Position) {
        let end_line = end.line.min(self.last_line());
        let rest: Vec<char> = self.line(end_line).iter().skip(end.column).copied().collect();
        self.lines.drain(start.line + 1..=end_line.max(start.line));
        if let Some(line) = self.lines.get_mut(start.line) {
            let line = Rc::make_mut(line);
            line.truncate(start.column);
            line.extend(rest);
        }
    }

    /// Returns the lines of a range.
    pub fn copy_lines(&self, first: usize, last: usize) -> Vec<Vec<char>> {
        self.lines.iter().take(last + 1).skip(first).map(|line| line.to_vec()).collect()
    }

    /// Removes lines; an empty one remains if they were all.
    pub fn remove_lines(&mut self, first: usize, last: usize) {
        self.lines.drain(first..=last.min(self.lines.len() - 1));
        if self.lines.is_empty() {
            self.lines.push(Rc::default());
        }
    }

    /// Inserts lines before line `at`.
    pub fn insert_lines(&mut self, at: usize, lines: impl IntoIterator<Item = Vec<char>>) {
        let at = at.min(self.lines.len());
        self.lines.splice(at..at, lines.into_iter().map(Rc::new));
    }

    pub fn set_line(&mut self, number: usize, line: Vec<char>) {
        if let Some(old) = self.lines.get_mut(number) {
            *old = Rc::new(line);
        }
    }
}

/// Returns the characters of a line.
pub fn decode(bytes: &[u8]) -> Vec<char> {
    let mut out = Vec::new();
    for chunk in bytes.utf8_chunks() {
        out.extend(chunk.valid().chars());
        out.extend(chunk.invalid().iter().filter_map(|byte| char::from_u32(RAW_BYTES + u32::from(*byte))));
    }
    out
}

fn encode(chars: &[char], out: &mut Vec<u8>) {
    for c in chars {
        match (*c as u32).checked_sub(RAW_BYTES).and_then(|byte| u8::try_from(byte).ok()) {
            Some(byte) if byte >= 0x80 => out.push(byte),
            _ => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// Whether a character stands for a byte that is not UTF-8.
pub fn is_raw_byte(c: char) -> bool {
    c as u32 >= RAW_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_saved_unchanged() {
        for bytes in [b"a\nb\n".as_slice(), b"\n", b"\xff\xc3\xa4\x00\r\n\n", "漢\n".as_bytes()] {
            let text = Text::from_bytes(bytes);
            assert_eq!(text.to_bytes(0, text.last_line()), bytes);
        }
        assert_eq!(Text::from_bytes(b"no newline").to_bytes(0, 0), b"no newline\n");
    }

    #[test]
    fn ranges_are_copied_and_removed() {
        let mut text = Text::from_bytes(b"one\ntwo\nthree\n");
        let (start, end) = (Position { line: 0, column: 2 }, Position { line: 2, column: 1 });
        assert_eq!(text.copy(start, end), "e\ntwo\nt");
        text.remove(start, end);
        assert_eq!(text.to_bytes(0, 9), b"onhree\n");
        assert_eq!(text.insert(start, "x\ny"), Position { line: 1, column: 1 });
        assert_eq!(text.to_bytes(0, 9), b"onx\nyhree\n");
    }
}
