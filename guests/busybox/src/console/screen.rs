//! A model of a terminal for tests: applies output and shows what a user would see.

use super::width;

/// The visible part of a terminal. Written in the last column, a character leaves the cursor there until the next one
/// wraps, as in xterm.
pub struct Screen {
    columns: usize,
    rows: usize,
    /// `None` is the right half of a wide character.
    cells: Vec<Vec<Option<char>>>,
    row: usize,
    column: usize,
    wraps: bool,
    /// Sequences that were not known.
    pub unknown: Vec<String>,
}

impl Screen {
    pub fn new(columns: usize, rows: usize) -> Screen {
        let cells = vec![vec![Some(' '); columns]; rows];
        Screen { columns, rows, cells, row: 0, column: 0, wraps: false, unknown: Vec::new() }
    }

    /// Returns the lines without blanks at their ends, and without empty lines at the end.
    pub fn lines(&self) -> Vec<String> {
        let line = |cells: &Vec<Option<char>>| cells.iter().flatten().collect::<String>().trim_end().to_string();
        let mut lines: Vec<String> = self.cells.iter().map(line).collect();
        while lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        lines
    }

    /// Returns the cursor's row and column, from 0.
    pub fn cursor(&self) -> (usize, usize) {
        (self.row, self.column)
    }

    pub fn apply(&mut self, bytes: &[u8]) {
        let text = String::from_utf8(bytes.to_vec()).expect("output is UTF-8");
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\x1b' => {
                    let mut sequence = String::new();
                    if chars.next_if_eq(&'[').is_some() {
                        for c in chars.by_ref() {
                            sequence.push(c);
                            if ('@'..='~').contains(&c) {
                                break;
                            }
                        }
                    }
                    self.control(&sequence);
                }
                '\r' => (self.column, self.wraps) = (0, false),
                '\n' => {
                    // The host turns it into a carriage return and a line feed.
                    (self.column, self.wraps) = (0, false);
                    self.line_feed();
                }
                '\x08' => (self.column, self.wraps) = (self.column.saturating_sub(1), false),
                '\x07' => {}
                c => self.put(c),
            }
        }
    }

    fn line_feed(&mut self) {
        match self.row + 1 < self.rows {
            true => self.row += 1,
            false => {
                self.cells.remove(0);
                self.cells.push(vec![Some(' '); self.columns]);
            }
        }
    }

    fn put(&mut self, c: char) {
        assert!(!c.is_control(), "{c:?} is not printable");
        let width = width::of_char(c);
        if width == 0 {
            return;
        }
        if self.wraps || self.column + width > self.columns {
            (self.column, self.wraps) = (0, false);
            self.line_feed();
        }
        self.cells[self.row][self.column] = Some(c);
        if width == 2 {
            self.cells[self.row][self.column + 1] = None;
        }
        self.column += width;
        if self.column == self.columns {
            self.column -= 1;
            self.wraps = true;
        }
    }

    fn control(&mut self, sequence: &str) {
        let Some(letter) = sequence.chars().last() else { return };
        let parameters = &sequence[..sequence.len() - 1];
        let numbers: Vec<usize> = parameters.split(';').map(|n| n.parse().unwrap_or(0)).collect();
        let first = numbers[0];
        let count = first.max(1);
        let blank = |cells: &mut [Option<char>]| cells.fill(Some(' '));
        match letter {
            'A' => self.row = self.row.saturating_sub(count),
            'B' => self.row = (self.row + count).min(self.rows - 1),
            'C' => self.column = (self.column + count).min(self.columns - 1),
            'D' => self.column = self.column.saturating_sub(count),
            'H' => {
                self.row = (count - 1).min(self.rows - 1);
                self.column = (numbers.get(1).copied().unwrap_or(0).max(1) - 1).min(self.columns - 1);
            }
            'J' => {
                let from = if first == 2 { (0, 0) } else { (self.row, self.column) };
                blank(&mut self.cells[from.0][from.1..]);
                self.cells[from.0 + 1..].iter_mut().for_each(|line| blank(line));
            }
            'K' => blank(&mut self.cells[self.row][self.column..]),
            'm' => return,
            'h' | 'l' if parameters.starts_with('?') => return,
            _ => self.unknown.push(sequence.to_string()),
        }
        self.wraps = false;
    }
}
