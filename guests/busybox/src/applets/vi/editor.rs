//! The editor: keys go in, effects for the caller come out. Performs no input or output.
//!
//! `normal` holds the commands of normal mode, `colon` those after a colon, `view` what is shown.

use super::text::{Position, Text};
use crate::console::keys::Key;

/// What the caller does after a key.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect {
    None,
    Quit,
    /// Writes bytes to a file, then calls [`Editor::saved`].
    Write {
        file: String,
        bytes: Vec<u8>,
        is_whole: bool,
        quits: bool,
    },
    /// Reads a file, then calls [`Editor::open`].
    Edit {
        file: String,
    },
    /// Reads a file, then calls [`Editor::insert_file`].
    Read {
        file: String,
        line: usize,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    Normal,
    Insert,
    /// The bottom line is being typed, after `:`, `/` or `?`.
    Bottom {
        kind: char,
        text: String,
    },
}

/// The file that is edited.
#[derive(Debug, Default)]
pub struct FileState {
    pub name: Option<String>,
    pub is_modified: bool,
}

/// The text that was deleted or copied last.
#[derive(Debug, Clone)]
pub enum Register {
    Chars(String),
    Lines(Vec<Vec<char>>),
}

/// The parts of a command that were typed.
#[derive(Debug, Default)]
pub struct Pending {
    pub count: Option<usize>,
    /// An operator and the count before it.
    pub operator: Option<(char, Option<usize>)>,
    /// A key that needs another one: `f`, `g`, `r`, `Z` and so on.
    pub prefix: Option<char>,
}

/// The keys of the last change (`.`).
#[derive(Debug, Default)]
struct Repeat {
    recorded: Vec<Key>,
    last: Vec<Key>,
    is_replaying: bool,
    /// Whether the recorded command changes the text.
    changes: bool,
}

/// Earlier and later versions of the text.
#[derive(Debug, Default)]
struct Versions {
    undo: Vec<(Text, Position)>,
    redo: Vec<(Text, Position)>,
}

/// Text that is being inserted.
#[derive(Debug, Default)]
pub struct Insertion {
    typed: String,
    count: usize,
}

/// The last search, and the last search in a line.
#[derive(Debug, Default)]
pub struct Searches {
    pub pattern: String,
    pub is_forward: bool,
    /// `f`, `F`, `t` or `T`, and its character.
    pub in_line: Option<(char, char)>,
}

/// The part of the text on the screen.
#[derive(Debug)]
pub struct Viewport {
    pub columns: usize,
    /// Rows without the status line.
    pub height: usize,
    pub top: usize,
    /// The first column that is shown.
    pub left: usize,
    pub shows_numbers: bool,
}

pub struct Editor {
    pub text: Text,
    pub cursor: Position,
    /// The column that `j` and `k` keep to.
    pub wanted_column: usize,
    pub mode: Mode,
    pub file: FileState,
    pub message: String,
    pub register: Option<Register>,
    pub pending: Pending,
    pub searches: Searches,
    pub viewport: Viewport,
    pub ignores_case: bool,
    insertion: Insertion,
    repeat: Repeat,
    versions: Versions,
}

/// The number of changes that can be undone.
const MAX_UNDO: usize = 500;

impl Editor {
    pub fn new(columns: usize, rows: usize) -> Editor {
        let mut editor = Editor {
            text: Text::from_bytes(b""),
            cursor: Position::default(),
            wanted_column: 0,
            mode: Mode::Normal,
            file: FileState::default(),
            message: String::new(),
            register: None,
            pending: Pending::default(),
            searches: Searches::default(),
            viewport: Viewport { columns: 0, height: 0, top: 0, left: 0, shows_numbers: false },
            ignores_case: false,
            insertion: Insertion::default(),
            repeat: Repeat::default(),
            versions: Versions::default(),
        };
        editor.resize(columns, rows);
        editor
    }

    pub fn resize(&mut self, columns: usize, rows: usize) {
        self.viewport.columns = columns.max(2);
        self.viewport.height = rows.max(2) - 1;
        self.scroll();
    }

    /// Begins to edit a file; `None` if it does not exist yet.
    pub fn open(&mut self, name: Option<String>, bytes: Option<&[u8]>) {
        self.text = Text::from_bytes(bytes.unwrap_or_default());
        self.message = match (&name, bytes) {
            (None, _) => String::new(),
            (Some(name), None) => format!("'{name}' [New file]"),
            (Some(name), Some(bytes)) => self.describe(name, bytes),
        };
        self.file = FileState { name, is_modified: false };
        (self.cursor, self.wanted_column) = (Position::default(), 0);
        (self.viewport.top, self.viewport.left) = (0, 0);
        self.versions = Versions::default();
        self.mode = Mode::Normal;
    }

    /// Reports that the text, or a part of it, was written.
    pub fn saved(&mut self, name: &str, bytes: &[u8], is_whole: bool) {
        self.message = self.describe(name, bytes);
        if self.file.name.is_none() {
            self.file.name = Some(name.to_string());
        }
        if is_whole && self.file.name.as_deref() == Some(name) {
            self.file.is_modified = false;
        }
    }

    fn describe(&self, name: &str, bytes: &[u8]) -> String {
        let lines = bytes.iter().filter(|b| **b == b'\n').count();
        format!("'{name}' {lines}L, {}C", bytes.len())
    }

    /// Inserts a file that was read behind a line.
    pub fn insert_file(&mut self, line: usize, bytes: &[u8]) {
        self.save_version();
        let read = Text::from_bytes(bytes);
        self.text.insert_lines(line + 1, read.copy_lines(0, read.last_line()));
        self.cursor = Position { line: line + 1, column: 0 };
        self.settle();
    }

    /// Applies a key.
    pub fn press(&mut self, key: Key) -> Effect {
        self.message.clear();
        let effect = match key {
            // Escape, and another key soon after it.
            Key::Alt(c) => {
                self.apply(Key::Escape);
                self.apply(Key::Char(c))
            }
            key => self.apply(key),
        };
        self.settle();
        effect
    }

    fn apply(&mut self, key: Key) -> Effect {
        if !self.repeat.is_replaying {
            self.repeat.recorded.push(key.clone());
        }
        let effect = match &mut self.mode {
            Mode::Normal => self.press_normal(key),
            Mode::Insert => {
                self.press_insert(key);
                Effect::None
            }
            Mode::Bottom { .. } => self.press_bottom(key),
        };
        self.clamp();
        let is_idle = self.mode == Mode::Normal && self.pending.is_idle();
        if is_idle && !self.repeat.is_replaying {
            let recorded = std::mem::take(&mut self.repeat.recorded);
            if std::mem::take(&mut self.repeat.changes) {
                self.repeat.last = recorded;
            }
        }
        effect
    }

    /// `.`: repeats the last change, with another count if there is one.
    pub fn repeat_change(&mut self, count: Option<usize>) {
        let mut keys = self.repeat.last.clone();
        if let Some(count) = count {
            let digits = keys.iter().take_while(|key| matches!(key, Key::Char('0'..='9'))).count();
            keys.splice(..digits, count.to_string().chars().map(Key::Char));
        }
        self.repeat.is_replaying = true;
        for key in keys {
            self.apply(key);
        }
        self.repeat.is_replaying = false;
        self.repeat.changes = false;
    }

    /// Keeps the text for `u`, before a change.
    pub fn save_version(&mut self) {
        self.versions.undo.push((self.text.clone(), self.cursor));
        if self.versions.undo.len() > MAX_UNDO {
            self.versions.undo.remove(0);
        }
        self.versions.redo.clear();
        self.file.is_modified = true;
    }

    /// Like [`Editor::save_version`], for a command that `.` repeats.
    pub fn begin_change(&mut self) {
        self.save_version();
        self.repeat.changes = true;
    }

    /// `u` and Ctrl-R.
    pub fn change_version(&mut self, is_undo: bool) {
        let (from, to) = match is_undo {
            true => (&mut self.versions.undo, &mut self.versions.redo),
            false => (&mut self.versions.redo, &mut self.versions.undo),
        };
        let Some((text, cursor)) = from.pop() else {
            self.message = format!("Nothing to {}", if is_undo { "undo" } else { "redo" });
            return;
        };
        to.push((std::mem::replace(&mut self.text, text), self.cursor));
        self.cursor = cursor;
        self.file.is_modified = true;
    }

    /// Switches to insert mode; what is typed is inserted `count` times.
    pub fn begin_insert(&mut self, count: usize) {
        self.mode = Mode::Insert;
        self.insertion = Insertion { typed: String::new(), count };
    }

    fn press_insert(&mut self, key: Key) {
        let line_len = self.text.line_len(self.cursor.line);
        match key {
            Key::Escape | Key::Ctrl('C') => self.end_insert(),
            Key::Char(c) => self.type_text(c.encode_utf8(&mut [0; 4])),
            Key::Enter => self.type_text("\n"),
            Key::Tab => self.type_text("\t"),
            Key::Paste(text) => self.type_text(&text),
            Key::Backspace | Key::Ctrl('H') => {
                self.insertion.typed.pop();
                self.remove_before(self.cursor.column.saturating_sub(1));
            }
            Key::Ctrl('W') => {
                let before: Vec<char> =
                    self.text.line(self.cursor.line).iter().take(self.cursor.column).copied().collect();
                let blanks = before.iter().rev().take_while(|c| c.is_whitespace()).count();
                let word = before.iter().rev().skip(blanks).take_while(|c| !c.is_whitespace()).count();
                self.remove_before(self.cursor.column - blanks - word);
            }
            Key::Ctrl('U') => self.remove_before(0),
            Key::Delete => {
                let end = Position { column: self.cursor.column + 1, ..self.cursor };
                if self.cursor.column < line_len {
                    self.text.remove(self.cursor, end);
                }
            }
            Key::Left => self.cursor.column = self.cursor.column.saturating_sub(1),
            Key::Right => self.cursor.column += 1,
            Key::Up => self.cursor.line = self.cursor.line.saturating_sub(1),
            Key::Down => self.cursor.line = (self.cursor.line + 1).min(self.text.last_line()),
            Key::Home => self.cursor.column = 0,
            Key::End => self.cursor.column = line_len,
            Key::PageUp => self.scroll_page(false),
            Key::PageDown => self.scroll_page(true),
            _ => {}
        }
    }

    fn type_text(&mut self, text: &str) {
        self.insertion.typed.push_str(text);
        self.cursor = self.text.insert(self.cursor, text);
    }

    /// Removes the characters of the line from a column to the cursor; at the start of a line, joins it to the one before.
    fn remove_before(&mut self, column: usize) {
        let start = match (self.cursor.column, self.cursor.line) {
            (0, 0) => return,
            (0, line) => Position { line: line - 1, column: self.text.line_len(line - 1) },
            _ => Position { column, ..self.cursor },
        };
        self.text.remove(start, self.cursor);
        self.cursor = start;
    }

    fn end_insert(&mut self) {
        let insertion = std::mem::take(&mut self.insertion);
        for _ in 1..insertion.count {
            self.cursor = self.text.insert(self.cursor, &insertion.typed);
        }
        self.mode = Mode::Normal;
        self.cursor.column = self.cursor.column.saturating_sub(1);
        self.wanted_column = self.cursor.column;
    }

    fn press_bottom(&mut self, key: Key) -> Effect {
        let Mode::Bottom { kind, text } = &mut self.mode else { return Effect::None };
        match key {
            Key::Enter => {
                let (kind, text) = (*kind, std::mem::take(text));
                self.mode = Mode::Normal;
                return match kind {
                    ':' => self.run_colon(&text),
                    _ => {
                        self.finish_search(kind == '/', text);
                        Effect::None
                    }
                };
            }
            Key::Char(c) => text.push(c),
            Key::Tab => text.push('\t'),
            Key::Paste(pasted) => text.push_str(&pasted),
            Key::Ctrl('U') => text.clear(),
            Key::Backspace | Key::Ctrl('H') if !text.is_empty() => _ = text.pop(),
            Key::Backspace | Key::Ctrl('H' | 'C') | Key::Escape => {
                self.mode = Mode::Normal;
                self.pending = Pending::default();
            }
            _ => {}
        }
        Effect::None
    }

    /// Keeps the cursor within the text.
    fn clamp(&mut self) {
        self.cursor.line = self.cursor.line.min(self.text.last_line());
        let length = self.text.line_len(self.cursor.line);
        let last = if self.mode == Mode::Insert { length } else { length.saturating_sub(1) };
        self.cursor.column = self.cursor.column.min(last);
    }

    fn settle(&mut self) {
        self.clamp();
        self.scroll();
    }
}

impl Pending {
    pub fn is_idle(&self) -> bool {
        self.count.is_none() && self.operator.is_none() && self.prefix.is_none()
    }
}
