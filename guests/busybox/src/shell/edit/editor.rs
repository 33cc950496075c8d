//! The line editor: keys go in, the edited line and the bytes to show come out. Performs no input or output.

#[cfg(test)]
mod tests;

use crate::console::keys::Key;
use crate::console::{CLEAR_SCREEN, width};

use super::buffer::{Buffer, Words};
use super::completion::{self, Candidate, Completion, Target};
use super::history::History;
use super::view::{Content, View};

/// What the caller does after a key.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Continues; the line may have changed.
    Edit,
    /// The line is complete.
    Accept(String),
    /// Ctrl-C: discards the line.
    Interrupt,
    /// Ctrl-D on an empty line.
    End,
    /// Tab: finds the names and passes them to [`Editor::complete`].
    Complete(Target),
}

/// The command before a key, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Previous {
    Other,
    /// Removed text; the next removal adds to it.
    Kill,
    /// Completed nothing; the next Tab lists the names.
    Ambiguous,
}

/// An incremental search in the history.
#[derive(Debug)]
struct Search {
    query: String,
    /// The line that was found last.
    found: Option<usize>,
    is_failing: bool,
    /// The text before the search.
    saved: String,
}

/// Edits one line after another.
#[derive(Debug)]
pub struct Editor {
    prompt: String,
    buffer: Buffer,
    view: View,
    columns: usize,
    /// The text that was removed last (Ctrl-Y).
    killed: String,
    /// The line of the history in the buffer, and the text that was there before.
    visited: Option<usize>,
    draft: String,
    search: Option<Search>,
    previous: Previous,
    /// Whether the screen is to be cleared.
    clears: bool,
}

impl Editor {
    pub fn new() -> Editor {
        Editor {
            prompt: String::new(),
            buffer: Buffer::default(),
            view: View::new(80),
            columns: 80,
            killed: String::new(),
            visited: None,
            draft: String::new(),
            search: None,
            previous: Previous::Other,
            clears: false,
        }
    }

    /// Begins a new line on a terminal of this width.
    pub fn start(&mut self, prompt: &str, columns: usize) {
        self.prompt = prompt.to_string();
        self.buffer.set("");
        self.columns = columns;
        self.view = View::new(columns);
        (self.visited, self.search, self.previous, self.clears) = (None, None, Previous::Other, false);
    }

    /// Returns the bytes that show the current state.
    pub fn draw(&mut self) -> String {
        let mut out = String::new();
        if std::mem::take(&mut self.clears) {
            self.view.forget();
            out.push_str(CLEAR_SCREEN);
        }
        let prompt = self.shown_prompt();
        let (text, cursor) = (self.buffer.chars(), self.buffer.cursor());
        out.push_str(&self.view.draw(Content { prompt: &prompt, text, cursor }));
        out
    }

    fn shown_prompt(&self) -> String {
        match &self.search {
            None => self.prompt.clone(),
            Some(search) => {
                let failing = if search.is_failing { "failing " } else { "" };
                format!("({failing}reverse-i-search)`{}': ", search.query)
            }
        }
    }

    /// Returns the bytes that leave the line as it is, with a mark behind it, and move below it.
    pub fn leave(&mut self, mark: &str) -> String {
        self.buffer.move_to(self.buffer.end());
        self.buffer.insert(mark);
        self.draw() + &self.view.leave()
    }

    /// Adapts to a new width; returns the bytes that show the line again.
    pub fn resize(&mut self, columns: usize) -> String {
        self.columns = columns;
        let prompt = self.shown_prompt();
        let content = Content { prompt: &prompt, text: self.buffer.chars(), cursor: self.buffer.cursor() };
        self.view.resize(columns, content) + &self.draw()
    }

    /// Applies a key.
    pub fn press(&mut self, key: Key, history: &History) -> Step {
        let key = match self.search_key(key, history) {
            Some(key) => key,
            None => return Step::Edit,
        };
        let previous = std::mem::replace(&mut self.previous, Previous::Other);
        match key {
            Key::Enter | Key::Ctrl('J' | 'M') => return Step::Accept(self.buffer.text()),
            Key::Ctrl('C') => return Step::Interrupt,
            Key::Ctrl('D') if self.buffer.is_empty() => return Step::End,
            Key::Tab => {
                self.previous = previous;
                return Step::Complete(completion::find_target(self.buffer.chars(), self.buffer.cursor()));
            }
            Key::Up | Key::Ctrl('P') => self.visit(history, self.visited.unwrap_or(history.len()).checked_sub(1)),
            Key::Down | Key::Ctrl('N') => self.visit(history, self.visited.map(|index| index + 1)),
            Key::Ctrl('R') => self.start_search(),
            Key::Ctrl('L') => self.clears = true,
            key => self.edit(key, previous),
        }
        Step::Edit
    }

    /// Applies a key that only changes the buffer.
    fn edit(&mut self, key: Key, previous: Previous) {
        let (cursor, end) = (self.buffer.cursor(), self.buffer.end());
        match key {
            Key::Char(c) => self.buffer.insert(c.encode_utf8(&mut [0; 4])),
            Key::Paste(text) => self.buffer.insert(&text),
            Key::Left | Key::Ctrl('B') => self.buffer.move_to(self.step_left(cursor)),
            Key::Right | Key::Ctrl('F') => self.buffer.move_to(self.step_right(cursor)),
            Key::Home | Key::Ctrl('A') => self.buffer.move_to(0),
            Key::End | Key::Ctrl('E') => self.buffer.move_to(end),
            Key::WordLeft | Key::Alt('b') => self.buffer.move_to(self.buffer.word_start(Words::Alphanumeric)),
            Key::WordRight | Key::Alt('f') => self.buffer.move_to(self.buffer.word_end(Words::Alphanumeric)),
            Key::Backspace | Key::Ctrl('H') => _ = self.buffer.remove(self.step_left(cursor), cursor),
            Key::Delete | Key::Ctrl('D') => _ = self.buffer.remove(cursor, self.step_right(cursor)),
            Key::Ctrl('T') => self.buffer.transpose(),
            Key::Ctrl('K') => self.kill(cursor, end, previous),
            Key::Ctrl('U') => self.kill(0, cursor, previous),
            Key::Ctrl('W') => self.kill(self.buffer.word_start(Words::Blank), cursor, previous),
            Key::AltBackspace => self.kill(self.buffer.word_start(Words::Alphanumeric), cursor, previous),
            Key::Alt('d') => self.kill(cursor, self.buffer.word_end(Words::Alphanumeric), previous),
            Key::Ctrl('Y') => self.buffer.insert(&self.killed),
            _ => {}
        }
    }

    /// Returns the position left of another; a mark stays with its letter.
    fn step_left(&self, from: usize) -> usize {
        let chars = self.buffer.chars();
        let mut at = from.saturating_sub(1);
        while at > 0 && chars.get(at).is_some_and(is_mark) {
            at -= 1;
        }
        at
    }

    fn step_right(&self, from: usize) -> usize {
        let chars = self.buffer.chars();
        let mut at = (from + 1).min(chars.len());
        while chars.get(at).is_some_and(is_mark) {
            at += 1;
        }
        at
    }

    /// Removes a range; removals one after another are kept together.
    fn kill(&mut self, start: usize, end: usize, previous: Previous) {
        let is_backward = end == self.buffer.cursor() && start < end;
        let text = self.buffer.remove(start, end);
        self.killed = match previous {
            Previous::Kill if is_backward => text + &self.killed,
            Previous::Kill => std::mem::take(&mut self.killed) + &text,
            _ if text.is_empty() => return,
            _ => text,
        };
        self.previous = Previous::Kill;
    }

    /// Shows a line of the history; behind the last one is the line that was being written.
    fn visit(&mut self, history: &History, to: Option<usize>) {
        let Some(to) = to.filter(|to| *to <= history.len()) else { return };
        if self.visited.is_none() {
            self.draft = self.buffer.text();
        }
        match history.get(to) {
            Some(line) => {
                self.buffer.set(line);
                self.visited = Some(to);
            }
            None => {
                self.buffer.set(&self.draft);
                self.visited = None;
            }
        }
    }

    fn start_search(&mut self) {
        let saved = self.buffer.text();
        self.search = Some(Search { query: String::new(), found: None, is_failing: false, saved });
    }

    /// Applies a key to the running search; returns keys that do not belong to it.
    fn search_key(&mut self, key: Key, history: &History) -> Option<Key> {
        let Some(search) = &mut self.search else { return Some(key) };
        match key {
            Key::Char(c) => search.query.push(c),
            Key::Paste(ref text) => search.query.push_str(text),
            Key::Backspace | Key::Ctrl('H') => {
                search.query.pop();
                search.found = None;
            }
            Key::Ctrl('R') => {}
            Key::Ctrl('G') => {
                let saved = std::mem::take(&mut search.saved);
                self.buffer.set(&saved);
                self.search = None;
                return None;
            }
            Key::Escape => {
                self.search = None;
                return None;
            }
            key => {
                self.search = None;
                return Some(key);
            }
        }
        // A longer text may be in the line that was found; Ctrl-R looks further.
        let end = match (search.found, key) {
            (Some(found), Key::Ctrl('R')) => found,
            (Some(found), _) => found + 1,
            (None, _) => history.len(),
        };
        if search.query.is_empty() {
            return None;
        }
        match history.search(&search.query, end) {
            Some(found) => {
                (search.found, search.is_failing) = (Some(found), false);
                self.visited = Some(found);
                let line = history.get(found).unwrap_or_default();
                self.buffer.set(line);
                let at = line.rfind(&search.query).map_or(0, |at| line.get(..at).unwrap_or_default().chars().count());
                self.buffer.move_to(at);
            }
            None => search.is_failing = true,
        }
        None
    }

    /// Completes with these names, which begin with the target's prefix; returns what to write before the next
    /// [`Editor::draw`].
    pub fn complete(&mut self, target: &Target, candidates: &[Candidate]) -> String {
        match completion::complete(target, candidates) {
            Completion::Insert(text) => {
                self.buffer.replace_before(target.start, &text);
                self.previous = Previous::Other;
                String::new()
            }
            Completion::Ambiguous if self.previous == Previous::Ambiguous => {
                let cursor = self.buffer.cursor();
                let out = self.leave("") + &completion::list(candidates, self.columns);
                self.buffer.move_to(cursor);
                out
            }
            Completion::Ambiguous => {
                self.previous = Previous::Ambiguous;
                "\x07".into()
            }
            Completion::None => "\x07".into(),
        }
    }
}

fn is_mark(c: &char) -> bool {
    !width::is_control(*c) && width::of_char(*c) == 0
}
