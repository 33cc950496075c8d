//! What the editor shows: the part of the text around the cursor, and the bottom line.

use super::editor::{Editor, Mode, Viewport};
use super::text::is_raw_byte;
use crate::console::width;

/// The columns of line numbers.
const NUMBER_WIDTH: usize = 7;

impl Viewport {
    /// Returns the columns for text.
    fn text_columns(&self) -> usize {
        let numbers = if self.shows_numbers { NUMBER_WIDTH + 1 } else { 0 };
        self.columns.saturating_sub(numbers).max(1)
    }
}

impl Editor {
    /// Scrolls so that the cursor is visible.
    pub fn scroll(&mut self) {
        let column = self.cursor_column();
        let line = self.cursor.line;
        let view = &mut self.viewport;
        let below = line.saturating_sub(view.top);
        if line < view.top {
            let is_near = view.top - line <= view.height;
            view.top = if is_near { line } else { line.saturating_sub(view.height / 2) };
        } else if below >= view.height {
            let is_near = below < view.height * 2;
            view.top = if is_near { line + 1 - view.height } else { line.saturating_sub(view.height / 2) };
        }
        let columns = view.text_columns();
        if column < columns {
            view.left = 0;
        } else if column < view.left || column >= view.left + columns {
            view.left = column - columns / 2;
        }
    }

    /// Ctrl-F and Ctrl-B.
    pub fn scroll_page(&mut self, forward: bool) {
        let page = self.viewport.height.saturating_sub(2).max(1) as isize;
        self.scroll_lines(if forward { page } else { -page }, false);
        if forward {
            self.cursor.line = self.viewport.top;
        } else {
            self.cursor.line = (self.viewport.top + self.viewport.height - 1).min(self.cursor.line);
        }
        self.cursor.column = self.text.first_non_blank(self.cursor.line);
    }

    /// Scrolls; the cursor stays on the screen, or moves as far.
    pub fn scroll_lines(&mut self, lines: isize, moves_cursor: bool) {
        let view = &mut self.viewport;
        view.top = view.top.saturating_add_signed(lines).min(self.text.last_line());
        if moves_cursor {
            self.cursor.line = self.cursor.line.saturating_add_signed(lines).min(self.text.last_line());
        }
        let last = (view.top + view.height - 1).min(self.text.last_line());
        self.cursor.line = self.cursor.line.clamp(view.top, last);
    }

    /// Returns the column of the cursor on an endless screen.
    fn cursor_column(&self) -> usize {
        let line = self.text.line(self.cursor.line);
        let mut visible = String::new();
        let mut column = 0;
        for c in line.iter().take(self.cursor.column) {
            column += push_visible(*c, column, &mut visible);
        }
        // In normal mode, the cursor is at the end of a tab.
        match line.get(self.cursor.column) {
            Some('\t') if self.mode == Mode::Normal => column + 7 - column % 8,
            _ => column,
        }
    }

    /// Returns the rows of the screen and the position of the cursor.
    pub fn draw(&self) -> (Vec<String>, (usize, usize)) {
        let view = &self.viewport;
        let mut rows: Vec<String> = (view.top..view.top + view.height).map(|line| self.draw_line(line)).collect();
        let margin = view.columns - view.text_columns().min(view.columns);
        let mut cursor = (self.cursor.line - view.top, margin + self.cursor_column() - view.left);
        let bottom = match &self.mode {
            Mode::Bottom { kind, text } => {
                let skipped = (width::of_str(text) + 2).saturating_sub(view.columns);
                let mut shown = String::from(*kind);
                text.chars().skip(skipped).for_each(|c| _ = push_visible(c, 0, &mut shown));
                cursor = (view.height, width::of_str(&shown).min(view.columns - 1));
                shown
            }
            _ if !self.message.is_empty() => self.message.clone(),
            _ => self.status(),
        };
        rows.push(clip(&bottom.chars().collect::<Vec<char>>(), 0, view.columns - 1));
        (rows, cursor)
    }

    fn draw_line(&self, line: usize) -> String {
        if line > self.text.last_line() {
            return "~".into();
        }
        let text = clip(self.text.line(line), self.viewport.left, self.viewport.text_columns());
        match self.viewport.shows_numbers {
            true => format!("{:>NUMBER_WIDTH$} {text}", line + 1),
            false => text,
        }
    }

    /// Returns the status line.
    pub fn status(&self) -> String {
        let mode = if self.mode == Mode::Insert { 'I' } else { '-' };
        let name = self.file.name.as_deref().unwrap_or("No file");
        let modified = if self.file.is_modified { " [Modified]" } else { "" };
        let (line, lines) = (self.cursor.line + 1, self.text.len());
        format!("{mode} {name}{modified} {line}/{lines} {}%", line * 100 / lines)
    }
}

fn push_visible(c: char, column: usize, out: &mut String) -> usize {
    if is_raw_byte(c) {
        out.push('?');
        return 1;
    }
    width::push_visible(c, column, out)
}

/// Returns the columns from `left` on of a line.
fn clip(line: &[char], left: usize, columns: usize) -> String {
    let mut out = String::new();
    let mut column = 0;
    for c in line {
        let mut visible = String::new();
        let width = push_visible(*c, column, &mut visible);
        let end = column + width;
        if end > left + columns {
            // A tab is cut, a wide character is left out.
            let free = (left + columns).saturating_sub(column.max(left));
            if *c == '\t' {
                out.extend(std::iter::repeat_n(' ', free));
            }
            break;
        }
        if column >= left {
            out.push_str(&visible);
        } else if end > left {
            out.extend(std::iter::repeat_n(' ', end - left));
        }
        column = end;
    }
    out
}
