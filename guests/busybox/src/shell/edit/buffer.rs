//! The text being edited, and the cursor in it.

/// A text with a cursor between its characters.
#[derive(Debug, Default)]
pub struct Buffer {
    chars: Vec<char>,
    cursor: usize,
}

/// Where the words of a motion end.
#[derive(Debug, Clone, Copy)]
pub enum Words {
    /// Letters and digits (Alt-B, Alt-F, Alt-D).
    Alphanumeric,
    /// Everything but blanks (Ctrl-W).
    Blank,
}

impl Words {
    fn has(self, c: char) -> bool {
        match self {
            Words::Alphanumeric => c.is_alphanumeric(),
            Words::Blank => !c.is_whitespace(),
        }
    }
}

impl Buffer {
    pub fn chars(&self) -> &[char] {
        &self.chars
    }

    pub fn cursor(&self) -> usize {
        self.cursor
    }

    pub fn text(&self) -> String {
        self.chars.iter().collect()
    }

    pub fn is_empty(&self) -> bool {
        self.chars.is_empty()
    }

    /// Replaces the text; the cursor moves to its end.
    pub fn set(&mut self, text: &str) {
        self.chars = text.chars().collect();
        self.cursor = self.chars.len();
    }

    pub fn insert(&mut self, text: &str) {
        let before = self.chars.len();
        self.chars.splice(self.cursor..self.cursor, text.chars());
        self.cursor += self.chars.len() - before;
    }

    /// Replaces the characters from `start` to the cursor.
    pub fn replace_before(&mut self, start: usize, text: &str) {
        self.remove(start.min(self.cursor), self.cursor);
        self.insert(text);
    }

    pub fn move_to(&mut self, position: usize) {
        self.cursor = position.min(self.chars.len());
    }

    pub fn end(&self) -> usize {
        self.chars.len()
    }

    /// Removes a range and returns it; the cursor moves to its start.
    pub fn remove(&mut self, start: usize, end: usize) -> String {
        let end = end.min(self.chars.len());
        let start = start.min(end);
        self.cursor = start;
        self.chars.drain(start..end).collect()
    }

    /// Returns the start of the word before the cursor.
    pub fn word_start(&self, words: Words) -> usize {
        let before = self.chars.get(..self.cursor).unwrap_or_default();
        let gap = before.iter().rev().take_while(|c| !words.has(**c)).count();
        let word = before.iter().rev().skip(gap).take_while(|c| words.has(**c)).count();
        self.cursor - gap - word
    }

    /// Returns the end of the word after the cursor.
    pub fn word_end(&self, words: Words) -> usize {
        let after = self.chars.get(self.cursor..).unwrap_or_default();
        let gap = after.iter().take_while(|c| !words.has(**c)).count();
        let word = after.iter().skip(gap).take_while(|c| words.has(**c)).count();
        self.cursor + gap + word
    }

    /// Exchanges the characters around the cursor, or the last two at the end, and moves on.
    pub fn transpose(&mut self) {
        let second = self.cursor.min(self.chars.len().saturating_sub(1));
        if second > 0 {
            self.chars.swap(second - 1, second);
            self.cursor = second + 1;
        }
    }
}
