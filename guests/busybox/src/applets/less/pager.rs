//! The pager: text and keys go in, the screen comes out. Pure; `mod` reads the text and the keys.

#[cfg(test)]
mod tests;

use std::fmt::Write;

use super::rows::{self, Row};
use crate::applets::pattern::{Extent, Pattern};
use crate::console::keys::Key;
use crate::console::{PLAIN, REVERSE};

/// How text is shown.
#[derive(Debug, Clone, Copy, Default)]
pub struct Style {
    /// `-S`: cuts long lines.
    pub chops: bool,
    /// `-N`: shows the numbers of lines.
    pub numbers: bool,
    /// `-R`: passes colours on.
    pub colours: bool,
    /// `-i`: searches ignore case.
    pub ignores_case: bool,
}

/// What the caller does after a key.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    Continue,
    Quit,
    /// Shows the next file, or the one before.
    NextFile,
    PreviousFile,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Forward,
    Backward,
}

impl Direction {
    fn reverse(self) -> Direction {
        match self {
            Direction::Forward => Direction::Backward,
            Direction::Backward => Direction::Forward,
        }
    }
}

/// What the bottom line is used for.
enum Bottom {
    Status,
    /// A pattern is being typed.
    Search(Direction, String),
    /// After `:` or `Z`.
    Command(char),
}

/// A file, and the part of it on the screen.
pub struct Pager {
    name: String,
    style: Style,
    columns: usize,
    /// Rows of text: those of the screen without the status line.
    height: usize,
    lines: Vec<String>,
    /// The beginning of a line whose end was not read yet.
    partial: Vec<u8>,
    is_complete: bool,
    rows: Vec<Row>,
    /// The first row on the screen.
    top: usize,
    /// The first row that the user asked for, which may not have been read yet.
    wanted: usize,
    bottom: Bottom,
    message: Option<String>,
    pattern: Option<Pattern>,
    direction: Direction,
    /// A search that continues with the lines that are read: the line at which it goes on.
    pending_search: Option<usize>,
    count: Option<usize>,
    /// Whether the name is shown, until the first key.
    shows_name: bool,
}

impl Pager {
    pub fn new(name: &str, style: Style, columns: usize, rows: usize) -> Pager {
        Pager {
            name: name.to_string(),
            style,
            columns: columns.max(2),
            height: rows.max(2) - 1,
            lines: Vec::new(),
            partial: Vec::new(),
            is_complete: false,
            rows: Vec::new(),
            top: 0,
            wanted: 0,
            bottom: Bottom::Status,
            message: None,
            pattern: None,
            direction: Direction::Forward,
            pending_search: None,
            count: None,
            shows_name: true,
        }
    }

    /// Whether more text is needed to show what the user asked for.
    pub fn wants_text(&self) -> bool {
        let needed = self.wanted.saturating_add(2 * self.height);
        !self.is_complete && (self.rows.len() < needed || self.pending_search.is_some())
    }

    /// Whether no text was read yet.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && !self.is_complete
    }

    /// Whether all text is known and fits on the screen.
    pub fn fits(&self) -> bool {
        self.is_complete && self.rows.len() <= self.height
    }

    /// Adds text that was read.
    pub fn add(&mut self, bytes: &[u8]) {
        self.partial.extend_from_slice(bytes);
        let complete = self.partial.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        let rest = self.partial.split_off(complete);
        let text = std::mem::replace(&mut self.partial, rest);
        for line in text.split_inclusive(|b| *b == b'\n') {
            self.push_line(line.strip_suffix(b"\n").unwrap_or(line));
        }
        self.settle();
    }

    /// Ends the text.
    pub fn finish(&mut self) {
        let rest = std::mem::take(&mut self.partial);
        if !rest.is_empty() {
            self.push_line(&rest);
        }
        self.is_complete = true;
        self.settle();
    }

    fn push_line(&mut self, line: &[u8]) {
        let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned();
        self.push_rows(self.lines.len(), &line);
        self.lines.push(line);
    }

    fn push_rows(&mut self, number: usize, line: &str) {
        let columns = self.text_columns();
        let parts = match self.style.chops {
            true => vec![(0, line.len())],
            false => rows::split(line, columns, self.style.colours),
        };
        self.rows.extend(parts.into_iter().map(|(start, end)| Row { line: number, start, end }));
    }

    fn text_columns(&self) -> usize {
        let numbers = if self.style.numbers { NUMBER_WIDTH } else { 0 };
        self.columns.saturating_sub(numbers).max(2)
    }

    /// Adapts to a new size of the screen; the first line stays.
    pub fn resize(&mut self, columns: usize, rows: usize) {
        let line = self.rows.get(self.top).map_or(0, |row| row.line);
        (self.columns, self.height) = (columns.max(2), rows.max(2) - 1);
        self.rows.clear();
        let lines = std::mem::take(&mut self.lines);
        for (number, line) in lines.iter().enumerate() {
            self.push_rows(number, line);
        }
        self.lines = lines;
        self.go_to_line(line);
    }

    /// Moves as far towards what the user asked for as the text allows.
    fn settle(&mut self) {
        if let Some(from) = self.pending_search.take() {
            self.search_lines(from, 1);
        }
        let last = self.rows.len().saturating_sub(self.height);
        self.top = self.wanted.min(last);
        if self.is_complete {
            self.wanted = self.top;
        }
    }

    fn go_to_row(&mut self, row: usize) {
        self.wanted = row;
        self.settle();
    }

    fn go_to_line(&mut self, line: usize) {
        let known = self.rows.partition_point(|row| row.line < line);
        // Lines that were not read have at least one row each.
        let unknown = line.saturating_sub(self.lines.len());
        self.go_to_row(known.saturating_add(unknown));
    }

    /// Applies a key.
    pub fn press(&mut self, key: Key) -> Step {
        self.shows_name = false;
        self.message = None;
        match std::mem::replace(&mut self.bottom, Bottom::Status) {
            Bottom::Status => self.press_command(key),
            Bottom::Search(direction, text) => {
                self.press_in_pattern(key, direction, text);
                Step::Continue
            }
            Bottom::Command(before) => match (before, key) {
                (':', Key::Char('n')) => Step::NextFile,
                (':', Key::Char('p')) => Step::PreviousFile,
                (':', Key::Char('q' | 'Q')) | ('Z', Key::Char('Z')) => Step::Quit,
                _ => Step::Continue,
            },
        }
    }

    fn press_command(&mut self, key: Key) -> Step {
        if let Key::Char(c @ '0'..='9') = key {
            let digit = c.to_digit(10).unwrap_or(0) as usize;
            self.count = Some(self.count.unwrap_or(0).saturating_mul(10).saturating_add(digit));
            return Step::Continue;
        }
        let count = self.count.take();
        let rows = count.unwrap_or(1);
        let page = count.unwrap_or(self.height);
        let half = count.unwrap_or(self.height / 2).max(1);
        match key {
            Key::Char('q' | 'Q') => return Step::Quit,
            Key::Ctrl('C') if self.wants_text() => {
                // Gives up waiting for text that is far away.
                (self.wanted, self.pending_search) = (self.top, None);
            }
            Key::Ctrl('C') => return Step::Quit,
            Key::Char(' ' | 'f') | Key::Ctrl('F' | 'V') | Key::PageDown => self.scroll_down(page),
            Key::Char('b') | Key::Ctrl('B') | Key::Alt('v') | Key::PageUp => self.scroll_up(page),
            Key::Char('j' | 'e') | Key::Ctrl('N' | 'E') | Key::Enter | Key::Down => self.scroll_down(rows),
            Key::Char('k' | 'y') | Key::Ctrl('P' | 'Y' | 'K') | Key::Up => self.scroll_up(rows),
            Key::Char('d') | Key::Ctrl('D') => self.scroll_down(half),
            Key::Char('u') | Key::Ctrl('U') => self.scroll_up(half),
            Key::Char('g' | '<') | Key::Home => self.go_to_line(rows.saturating_sub(1)),
            Key::Char('G' | '>') | Key::End => match count {
                Some(line) => self.go_to_line(line.saturating_sub(1)),
                None => self.go_to_row(usize::MAX),
            },
            Key::Char('/') => self.bottom = Bottom::Search(Direction::Forward, String::new()),
            Key::Char('?') => self.bottom = Bottom::Search(Direction::Backward, String::new()),
            Key::Char('n') => self.search(self.direction, rows),
            Key::Char('N') => self.search(self.direction.reverse(), rows),
            Key::Char('=') | Key::Ctrl('G') => self.message = Some(self.position()),
            Key::Char(c @ (':' | 'Z')) => self.bottom = Bottom::Command(c),
            _ => {}
        }
        Step::Continue
    }

    fn press_in_pattern(&mut self, key: Key, direction: Direction, mut text: String) {
        match key {
            Key::Enter => {
                self.direction = direction;
                if !text.is_empty() {
                    match Pattern::new(text.as_bytes(), true, self.style.ignores_case, Extent::Any) {
                        Ok(pattern) => self.pattern = Some(pattern),
                        Err(why) => {
                            self.message = Some(format!("Invalid pattern: {why}"));
                            return;
                        }
                    }
                }
                return self.search(direction, 1);
            }
            Key::Escape | Key::Ctrl('C' | 'G') => return,
            Key::Backspace if text.is_empty() => return,
            Key::Backspace => _ = text.pop(),
            Key::Ctrl('U') => text.clear(),
            Key::Char(c) => text.push(c),
            Key::Paste(pasted) => text.push_str(&pasted),
            _ => {}
        }
        self.bottom = Bottom::Search(direction, text);
    }

    fn scroll_down(&mut self, rows: usize) {
        self.go_to_row(self.top.saturating_add(rows));
    }

    fn scroll_up(&mut self, rows: usize) {
        self.go_to_row(self.top.saturating_sub(rows));
    }

    fn search(&mut self, direction: Direction, count: usize) {
        if self.pattern.is_none() {
            self.message = Some("No previous search pattern".into());
            return;
        }
        let line = self.rows.get(self.top).map_or(0, |row| row.line);
        match direction {
            Direction::Forward => self.search_lines(line + 1, count),
            Direction::Backward => {
                let matching = (0..line).rev().filter(|line| self.matches(*line)).nth(count.saturating_sub(1));
                match matching {
                    Some(line) => self.go_to_line(line),
                    None => self.message = Some("Pattern not found".into()),
                }
            }
        }
    }

    /// Searches forward from a line; waits for more text if it is necessary.
    fn search_lines(&mut self, from: usize, count: usize) {
        let matching = (from..self.lines.len()).filter(|line| self.matches(*line)).nth(count.saturating_sub(1));
        match matching {
            Some(line) => self.wanted = self.rows.partition_point(|row| row.line < line),
            None if !self.is_complete => self.pending_search = Some(from.max(self.lines.len())),
            None => self.message = Some("Pattern not found".into()),
        }
        let last = self.rows.len().saturating_sub(self.height);
        self.top = self.wanted.min(last);
    }

    fn matches(&self, line: usize) -> bool {
        let text = self.lines.get(line).map_or("", String::as_str);
        self.pattern.as_ref().is_some_and(|pattern| pattern.is_match(text.as_bytes()))
    }

    fn position(&self) -> String {
        let line = |row: usize| self.rows.get(row).map_or(self.lines.len(), |row| row.line + 1);
        let total = if self.is_complete { format!("/{}", self.lines.len()) } else { String::new() };
        let last = (self.top + self.height).min(self.rows.len()).saturating_sub(1);
        format!("{} lines {}-{}{total}", self.name, line(self.top), line(last))
    }

    fn is_at_end(&self) -> bool {
        self.is_complete && self.top + self.height >= self.rows.len()
    }

    /// Returns the rows of the screen.
    pub fn draw(&self) -> Vec<String> {
        let mut rows: Vec<String> = (self.top..self.top + self.height)
            .map(|row| self.rows.get(row).map_or_else(|| "~".into(), |row| self.draw_row(*row)))
            .collect();
        rows.push(self.bottom_line());
        rows
    }

    fn draw_row(&self, row: Row) -> String {
        let mut out = String::new();
        let line = self.lines.get(row.line).map_or("", String::as_str);
        if self.style.numbers {
            let _ = match row.start {
                0 => write!(out, "{:>7} ", row.line + 1),
                _ => write!(out, "{:8}", ""),
            };
        }
        let marks = self.marks(line);
        rows::draw(line, row, self.text_columns(), self.style.colours, &marks, &mut out);
        out
    }

    /// Returns the ranges of a line that match the pattern.
    fn marks(&self, line: &str) -> Vec<(usize, usize)> {
        let mut marks = Vec::new();
        let Some(pattern) = &self.pattern else { return marks };
        let mut from = 0;
        while let Some([start, end, ..]) = pattern.find(line.as_bytes(), from).as_deref() {
            if end > start {
                marks.push((*start, *end));
            }
            from = (*end).max(start + 1);
            if from > line.len() {
                break;
            }
        }
        marks
    }

    fn bottom_line(&self) -> String {
        let reverse = |text: &str| {
            let text: String = text.chars().take(self.columns - 1).collect();
            [REVERSE, &text, PLAIN].concat()
        };
        match (&self.bottom, &self.message, self.count) {
            (Bottom::Search(direction, text), ..) => {
                let mark = if *direction == Direction::Forward { '/' } else { '?' };
                let skipped = (text.chars().count() + 2).saturating_sub(self.columns);
                std::iter::once(mark).chain(text.chars().skip(skipped)).collect()
            }
            (Bottom::Command(c), ..) => c.to_string(),
            (Bottom::Status, Some(message), _) => reverse(message),
            (Bottom::Status, None, Some(count)) => format!(":{count}"),
            (Bottom::Status, None, None) if self.wants_text() && self.wanted > self.top => reverse("Reading..."),
            (Bottom::Status, None, None) if self.shows_name && !self.name.is_empty() => match self.is_at_end() {
                true => reverse(&format!("{} (END)", self.name)),
                false => reverse(&self.name),
            },
            (Bottom::Status, None, None) if self.is_at_end() => reverse("(END)"),
            (Bottom::Status, None, None) => ":".into(),
        }
    }
}

/// The columns of a line's number.
const NUMBER_WIDTH: usize = 8;
