//! Draws prompt and text: compares the new picture with the one on the terminal and returns the bytes that turn one
//! into the other. Pure.
//!
//! All positions are relative to the start of the prompt, so that the view need not know where on the screen it is. What
//! has not changed before the first difference is not laid out again: a key costs little in a long line.

use std::fmt::Write;

use crate::console::{CLEAR_BELOW, width};

/// Row and column from the start of the prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Position {
    row: usize,
    column: usize,
}

/// One character as it is drawn.
#[derive(Debug, Clone)]
struct Cell {
    output: String,
    at: Position,
    /// The layout's position before the character.
    before: Position,
}

impl Cell {
    fn looks_like(&self, other: &Cell) -> bool {
        self.at == other.at && self.output == other.output
    }
}

/// A complete drawing.
#[derive(Debug, Default)]
struct Picture {
    /// `None` if nothing is shown.
    prompt: Option<String>,
    text: Vec<char>,
    /// Those of the prompt, then one for each character of the text, then the newline behind a full last row.
    cells: Vec<Cell>,
    prompt_cells: usize,
    /// The layout's position behind the text.
    text_end: Position,
    /// The position behind the last cell, which is never behind the last column.
    end: Position,
    cursor: Position,
}

impl Picture {
    /// Returns the picture of `content`, the number of cells that it shares with this one, and this one's other cells.
    fn change_to(self, content: Content, columns: usize) -> (Picture, usize, Vec<Cell>) {
        let Picture { prompt, mut text, mut cells, mut prompt_cells, text_end, .. } = self;
        let has_prompt = prompt.as_deref() == Some(content.prompt);
        let same_text = match content.text.starts_with(&text) {
            true => text.len(),
            false => text.iter().zip(content.text).take_while(|(old, new)| old == new).count(),
        };
        let (kept_text, kept) = if has_prompt { (same_text, prompt_cells + same_text) } else { (0, 0) };
        text.truncate(kept_text);
        let replaced = cells.split_off(kept.min(cells.len()));
        let at = match has_prompt {
            true => replaced.first().map_or(text_end, |cell| cell.before),
            false => Position::default(),
        };
        let mut layout = Layout { columns, at, cells };
        if !has_prompt {
            layout.prompt(content.prompt);
            prompt_cells = layout.cells.len();
        }
        for c in content.text.iter().skip(kept_text) {
            layout.put(*c);
            text.push(*c);
        }
        let text_end = layout.at;
        if layout.at.column == columns {
            // The terminal keeps the cursor in the last column; this moves it on.
            layout.newline();
        }
        let cursor = match (content.text.get(content.cursor), layout.cells.get(prompt_cells + content.cursor)) {
            (Some(c), Some(cell)) => layout.cursor_before(*c, cell.before),
            _ if text_end.column == columns => layout.at,
            _ => text_end,
        };
        let prompt = Some(content.prompt.to_string());
        let Layout { at: end, cells, .. } = layout;
        (Picture { prompt, text, cells, prompt_cells, text_end, end, cursor }, kept, replaced)
    }
}

/// What is to be shown.
#[derive(Debug, Clone, Copy)]
pub struct Content<'a> {
    /// May contain escape sequences, and text without width between `\x01` and `\x02`.
    pub prompt: &'a str,
    pub text: &'a [char],
    pub cursor: usize,
}

/// The drawing on the terminal.
#[derive(Debug)]
pub struct View {
    columns: usize,
    shown: Picture,
}

impl View {
    pub fn new(columns: usize) -> View {
        View { columns: columns.max(2), shown: Picture::default() }
    }

    /// Returns the bytes that show `content` in place of what is shown.
    pub fn draw(&mut self, content: Content) -> String {
        let mut out = String::new();
        let old = std::mem::take(&mut self.shown);
        let mut at = old.cursor;
        let (picture, kept, replaced) = old.change_to(content, self.columns);
        let pairs = replaced.iter().zip(picture.cells.iter().skip(kept));
        let same = kept + pairs.take_while(|(old, new)| old.looks_like(new)).count();
        let old_cells = kept + replaced.len();
        if same < old_cells || same < picture.cells.len() {
            let mut start = picture.cells.get(same).map_or(picture.end, |cell| cell.at);
            let mut cells = picture.cells.iter().skip(same).map(|cell| cell.output.as_str());
            let mut first = cells.next().unwrap_or_default();
            if start.column == self.columns {
                // Something was drawn behind the last column before, so the next row exists.
                start = Position { row: start.row + 1, column: 0 };
                first = first.strip_prefix('\n').unwrap_or(first);
            }
            move_cursor(at, start, &mut out);
            if same < old_cells {
                out.push_str(CLEAR_BELOW);
            }
            out.push_str(first);
            out.extend(cells);
            at = picture.end;
        }
        move_cursor(at, picture.cursor, &mut out);
        self.shown = picture;
        out
    }

    /// Returns the bytes that move to a new line below the drawing, which then stays.
    pub fn leave(&mut self) -> String {
        let mut out = String::new();
        let shown = std::mem::take(&mut self.shown);
        move_cursor(shown.cursor, shown.end, &mut out);
        if shown.end.column > 0 || shown.cells.is_empty() {
            out.push('\n');
        }
        out
    }

    /// Forgets the drawing, because the screen was cleared.
    pub fn forget(&mut self) {
        self.shown = Picture::default();
    }

    /// Adapts to a new width: returns the bytes that remove the drawing, as far as the terminal moved its characters as
    /// most terminals do.
    pub fn resize(&mut self, columns: usize, content: Content) -> String {
        self.columns = columns.max(2);
        let (moved, ..) = Picture::default().change_to(content, self.columns);
        self.shown = Picture::default();
        let mut out = String::new();
        move_cursor(moved.cursor, Position::default(), &mut out);
        out.push_str(CLEAR_BELOW);
        out
    }
}

fn move_cursor(from: Position, to: Position, out: &mut String) {
    if to.row < from.row {
        let _ = write!(out, "\x1b[{}A", from.row - to.row);
    } else if to.row > from.row {
        let _ = write!(out, "\x1b[{}B", to.row - from.row);
    }
    if to.column == from.column {
        return;
    }
    if to.column == 0 {
        out.push('\r');
    } else if to.column + 1 == from.column {
        out.push('\x08');
    } else if to.column < from.column {
        let _ = write!(out, "\x1b[{}D", from.column - to.column);
    } else {
        let _ = write!(out, "\x1b[{}C", to.column - from.column);
    }
}

/// Places characters one after another.
struct Layout {
    columns: usize,
    /// The column may be behind the last one: then the next character wraps.
    at: Position,
    cells: Vec<Cell>,
}

impl Layout {
    /// Returns where the cursor is shown when it is before `c`, whose layout begins at `at`.
    fn cursor_before(&self, c: char, at: Position) -> Position {
        let width = if c == '\t' || c == '\n' { 1 } else { visible_width(c) };
        match at.column + width > self.columns && c != '\n' {
            true => Position { row: at.row + 1, column: 0 },
            false => Position { column: at.column.min(self.columns - 1), ..at },
        }
    }

    fn newline(&mut self) {
        self.cells.push(Cell { output: "\n".into(), at: self.at, before: self.at });
        self.at = Position { row: self.at.row + 1, column: 0 };
    }

    fn put(&mut self, c: char) {
        if c == '\n' {
            return self.newline();
        }
        let mut output = String::new();
        let before = self.at;
        if self.at.column == self.columns {
            // The terminal wraps by itself.
            self.at = Position { row: self.at.row + 1, column: 0 };
        }
        let mut visible = String::new();
        let mut width = width::push_visible(c, self.at.column, &mut visible);
        let free = self.columns - self.at.column;
        if c == '\t' {
            width = width.min(free);
            visible.truncate(width);
        }
        let mut at = self.at;
        if width > free {
            output.push('\n');
            self.at = Position { row: self.at.row + 1, column: 0 };
            at.column = at.column.min(self.columns - 1);
        }
        output.push_str(&visible);
        self.cells.push(Cell { output, at, before });
        self.at.column += width;
    }

    fn prompt(&mut self, prompt: &str) {
        let mut chars = prompt.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\x01' => {
                    let hidden: String = chars.by_ref().take_while(|c| *c != '\x02').collect();
                    self.put_hidden(hidden);
                }
                '\x02' | '\x07' => {}
                '\x1b' => {
                    let mut sequence = String::from(c);
                    if chars.peek() == Some(&'[') {
                        sequence.extend(chars.next());
                        for c in chars.by_ref() {
                            sequence.push(c);
                            if ('@'..='~').contains(&c) {
                                break;
                            }
                        }
                    }
                    self.put_hidden(sequence);
                }
                c => self.put(c),
            }
        }
    }

    /// Adds output that takes no column.
    fn put_hidden(&mut self, output: String) {
        self.cells.push(Cell { output, at: self.at, before: self.at });
    }
}

fn visible_width(c: char) -> usize {
    if width::is_control(c) { 2 } else { width::of_char(c) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Laid out as a whole at each key, a pasted text of 20,000 characters took more than 15 seconds.
    #[test]
    fn only_what_changed_is_laid_out() {
        let line: Vec<char> = "echo some words".chars().collect();
        let content = |length: usize| Content { prompt: "$ ", text: &line[..length], cursor: length };
        let mut picture = Picture::default();
        for (length, laid_out) in [(3, 5), (4, 1), (4, 0), (15, 11), (8, 0), (9, 1)] {
            let (next, kept, _) = picture.change_to(content(length), 80);
            assert_eq!(next.cells.len() - kept, laid_out, "{length}");
            picture = next;
        }
    }
}
