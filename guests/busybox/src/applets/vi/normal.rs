//! The commands of normal mode: counts, operators, motions and changes.

use super::editor::{Editor, Effect, Mode, Pending, Register};
use super::motion::{self, Extent, Target};
use super::text::Position;
use crate::console::keys::Key;

/// What a key means as a motion.
enum Motion {
    /// It is not a motion.
    None,
    Failed,
    To(Target),
}

impl Editor {
    pub fn press_normal(&mut self, key: Key) -> Effect {
        if let Some(prefix) = self.pending.prefix.take() {
            return self.press_after_prefix(prefix, key);
        }
        let c = match key {
            Key::Escape | Key::Ctrl('C') => {
                self.pending = Pending::default();
                return Effect::None;
            }
            Key::PageUp | Key::PageDown | Key::Ctrl(_) => {
                let c = match key {
                    Key::Ctrl(c) => c,
                    Key::PageDown => 'F',
                    _ => 'B',
                };
                let count = self.take_count();
                self.press_control(c, count);
                return Effect::None;
            }
            key => match character_of(&key) {
                Some(c) => c,
                None => return Effect::None,
            },
        };
        match c {
            '1'..='9' => self.add_digit(c),
            '0' if self.pending.count.is_some() => self.add_digit(c),
            'f' | 'F' | 't' | 'T' | 'r' | 'g' | 'Z' | 'z' => self.pending.prefix = Some(c),
            'd' | 'c' | 'y' | '<' | '>' => self.press_operator(c),
            c => match self.motion(c) {
                Motion::To(target) => self.finish_motion(target, matches!(c, 'j' | 'k' | '$')),
                Motion::Failed => self.pending = Pending::default(),
                Motion::None if self.pending.operator.is_some() && !matches!(c, '/' | '?') => {
                    self.pending = Pending::default();
                }
                Motion::None => return self.run_command(c),
            },
        }
        Effect::None
    }

    fn add_digit(&mut self, c: char) {
        let digit = c.to_digit(10).unwrap_or(0) as usize;
        self.pending.count =
            Some(self.pending.count.unwrap_or(0).saturating_mul(10).saturating_add(digit).min(1 << 20));
    }

    /// Takes the count; one before an operator multiplies one after it.
    fn take_count(&mut self) -> Option<usize> {
        let before = self.pending.operator.as_mut().and_then(|(_, count)| count.take());
        match (before, self.pending.count.take()) {
            (None, None) => None,
            (before, count) => Some(before.unwrap_or(1).saturating_mul(count.unwrap_or(1))),
        }
    }

    fn press_after_prefix(&mut self, prefix: char, key: Key) -> Effect {
        let Some(c) = character_of(&key).filter(|_| key != Key::Escape) else {
            self.pending = Pending::default();
            return Effect::None;
        };
        let c = if key == Key::Tab { '\t' } else { c };
        match prefix {
            'f' | 'F' | 't' | 'T' => {
                self.searches.in_line = Some((prefix, c));
                match self.find_in_line(prefix, c) {
                    Motion::To(target) => self.finish_motion(target, false),
                    Motion::Failed | Motion::None => self.pending = Pending::default(),
                }
            }
            'r' => self.replace_chars(if key == Key::Enter { '\n' } else { c }),
            'g' if c == 'g' => {
                let line = self.take_count().unwrap_or(1);
                self.finish_motion(self.to_line(line.saturating_sub(1)), false);
            }
            'Z' if c == 'Z' => return self.run_colon("x"),
            'Z' if c == 'Q' => return Effect::Quit,
            'z' => {
                let height = self.viewport.height;
                let above = match c {
                    '+' => 0,
                    '-' => height - 1,
                    _ => height / 2,
                };
                // Enter arrives as `+`, the motion of its own.
                self.viewport.top = self.cursor.line.saturating_sub(above);
                self.pending = Pending::default();
            }
            _ => self.pending = Pending::default(),
        }
        Effect::None
    }

    fn press_operator(&mut self, operator: char) {
        match self.pending.operator {
            None => self.pending.operator = Some((operator, self.pending.count.take())),
            Some((pending, _)) if pending == operator => {
                let lines = self.take_count().unwrap_or(1);
                let target = self.to_line((self.cursor.line + lines - 1).min(self.text.last_line()));
                self.finish_motion(target, false);
            }
            Some(_) => self.pending = Pending::default(),
        }
    }

    fn to_line(&self, line: usize) -> Target {
        let line = line.min(self.text.last_line());
        Target { to: Position { line, column: self.text.first_non_blank(line) }, extent: Extent::Lines }
    }

    fn motion(&mut self, c: char) -> Motion {
        let operator = self.pending.operator.map(|(operator, _)| operator);
        let count = match "hjkl wWbBeE0^$G+-{}%;,nNHML|_".contains(c) {
            true => self.take_count(),
            false => return Motion::None,
        };
        let n = count.unwrap_or(1);
        let at = self.cursor;
        let length = self.text.line_len(at.line);
        let exclusive = |to| Motion::To(Target { to, extent: Extent::Exclusive });
        let inclusive = |to| Motion::To(Target { to, extent: Extent::Inclusive });
        let in_line = |column| exclusive(Position { column, ..at });
        let repeat = |step: &dyn Fn(Position) -> Position| (0..n).fold(at, |at, _| step(at));
        let height = self.viewport.height;
        match c {
            'h' if at.column == 0 => Motion::Failed,
            'h' => in_line(at.column.saturating_sub(n)),
            'l' | ' ' => in_line((at.column + n).min(length)),
            '0' => in_line(0),
            '^' | '_' => in_line(self.text.first_non_blank(at.line)),
            '|' => in_line((n - 1).min(length)),
            '$' => {
                self.wanted_column = usize::MAX;
                let line = (at.line + n - 1).min(self.text.last_line());
                inclusive(Position { line, column: self.text.line_len(line).saturating_sub(1) })
            }
            'j' | 'k' => {
                let line = if c == 'j' { at.line.checked_add(n) } else { at.line.checked_sub(n) };
                match line.filter(|line| *line <= self.text.last_line()) {
                    Some(line) => {
                        let to = Position { line, column: self.wanted_column };
                        Motion::To(Target { to, extent: Extent::Lines })
                    }
                    None => Motion::Failed,
                }
            }
            '+' => Motion::To(self.to_line(at.line + n)),
            '-' => Motion::To(self.to_line(at.line.saturating_sub(n))),
            'G' => Motion::To(self.to_line(count.map_or(usize::MAX, |line| line.saturating_sub(1)))),
            'H' => Motion::To(self.to_line(self.viewport.top + n - 1)),
            'M' => Motion::To(
                self.to_line(self.viewport.top + height.min(self.text.len().saturating_sub(self.viewport.top)) / 2),
            ),
            'L' => Motion::To(self.to_line((self.viewport.top + height).saturating_sub(n))),
            'w' | 'W' if operator == Some('c') && self.text.at(at).is_some_and(|c| !c.is_whitespace()) => {
                // Changes to the end of the word, unlike other operators.
                let first = word_end_here(self, at, c == 'W');
                inclusive((1..n).fold(first, |at, _| motion::word_end(&self.text, at, c == 'W')))
            }
            'w' | 'W' => {
                let to = repeat(&|at| motion::word_forward(&self.text, at, c == 'W'));
                // An operator does not reach the next line because of its last word.
                match operator.is_some() && to.line > at.line && to.column <= self.text.first_non_blank(to.line) {
                    true => exclusive(Position { line: to.line - 1, column: self.text.line_len(to.line - 1) }),
                    false => exclusive(to),
                }
            }
            'b' | 'B' => exclusive(repeat(&|at| motion::word_back(&self.text, at, c == 'B'))),
            'e' | 'E' => inclusive(repeat(&|at| motion::word_end(&self.text, at, c == 'E'))),
            '{' | '}' => exclusive(repeat(&|at| motion::paragraph(&self.text, at, c == '}'))),
            '%' => motion::matching_bracket(&self.text, at).map_or(Motion::Failed, inclusive),
            ';' | ',' => match self.searches.in_line {
                Some((kind, wanted)) => {
                    self.pending.count = count;
                    let reversed =
                        if kind.is_lowercase() { kind.to_ascii_uppercase() } else { kind.to_ascii_lowercase() };
                    self.find_in_line(if c == ';' { kind } else { reversed }, wanted)
                }
                None => Motion::Failed,
            },
            _ => {
                let is_forward = self.searches.is_forward == (c == 'n');
                self.search(is_forward, n).map_or(Motion::Failed, exclusive)
            }
        }
    }

    fn find_in_line(&mut self, kind: char, wanted: char) -> Motion {
        let count = self.take_count().unwrap_or(1).max(1);
        let line = self.text.line(self.cursor.line);
        let Some(column) = motion::find_char(line, self.cursor.column, kind, wanted, count) else {
            return Motion::Failed;
        };
        let extent = if kind.is_lowercase() { Extent::Inclusive } else { Extent::Exclusive };
        Motion::To(Target { to: Position { column, ..self.cursor }, extent })
    }

    /// Moves, or applies the operator that waits for a motion.
    pub fn finish_motion(&mut self, target: Target, keeps_column: bool) {
        match std::mem::take(&mut self.pending).operator {
            Some((operator, _)) => self.operate(operator, target),
            None => {
                self.cursor = target.to;
                if !keeps_column {
                    self.wanted_column = target.to.column;
                }
            }
        }
    }

    fn operate(&mut self, operator: char, target: Target) {
        let (start, mut end) = (self.cursor.min(target.to), self.cursor.max(target.to));
        if target.extent == Extent::Lines || matches!(operator, '<' | '>') {
            return self.operate_on_lines(operator, start.line, end.line);
        }
        if target.extent == Extent::Inclusive {
            end.column = (end.column + 1).min(self.text.line_len(end.line));
        }
        self.register = Some(Register::Chars(self.text.copy(start, end)));
        if operator != 'y' {
            self.begin_change();
            self.text.remove(start, end);
        }
        self.cursor = start;
        self.wanted_column = start.column;
        if operator == 'c' {
            self.begin_insert(1);
        }
    }

    pub fn operate_on_lines(&mut self, operator: char, first: usize, last: usize) {
        if matches!(operator, '<' | '>') {
            self.begin_change();
            (first..=last).for_each(|line| self.shift_line(line, operator == '>'));
            self.cursor = self.to_line(first).to;
            return;
        }
        self.register = Some(Register::Lines(self.text.copy_lines(first, last)));
        if operator == 'y' {
            self.cursor.line = first;
            return;
        }
        self.begin_change();
        if operator == 'c' {
            self.text.insert_lines(last + 1, [Vec::new()]);
        }
        self.text.remove_lines(first, last);
        if operator == 'c' {
            self.cursor = Position { line: first, column: 0 };
            self.begin_insert(1);
        } else {
            self.cursor = self.to_line(first).to;
        }
    }

    fn shift_line(&mut self, number: usize, right: bool) {
        let mut line = self.text.line(number).to_vec();
        if right && !line.is_empty() {
            line.insert(0, '\t');
        } else if line.first() == Some(&'\t') {
            line.remove(0);
        } else {
            let blanks = line.iter().take(8).take_while(|c| **c == ' ').count();
            line.drain(..blanks);
        }
        self.text.set_line(number, line);
    }

    fn run_command(&mut self, c: char) -> Effect {
        if let '/' | '?' | ':' = c {
            if c == ':' {
                self.pending = Pending::default();
            }
            self.mode = Mode::Bottom { kind: c, text: String::new() };
            return Effect::None;
        }
        let count = self.take_count();
        let n = count.unwrap_or(1);
        let length = self.text.line_len(self.cursor.line);
        let column = self.cursor.column;
        let to = |column| Target { to: Position { column, ..self.cursor }, extent: Extent::Exclusive };
        match c {
            'x' if length == 0 => {}
            'x' => self.operate('d', to((column + n).min(length))),
            's' => self.operate('c', to((column + n).min(length))),
            'X' if column == 0 => {}
            'X' => self.operate('d', to(column.saturating_sub(n))),
            'D' => self.operate('d', to(length)),
            'C' => self.operate('c', to(length)),
            'S' | 'Y' => {
                let last = (self.cursor.line + n - 1).min(self.text.last_line());
                self.operate_on_lines(if c == 'S' { 'c' } else { 'y' }, self.cursor.line, last);
            }
            'i' | 'a' | 'I' | 'A' => {
                self.begin_change();
                self.begin_insert(n);
                self.cursor.column = match c {
                    'a' => (column + 1).min(length),
                    'I' => self.text.line(self.cursor.line).iter().take_while(|c| c.is_whitespace()).count(),
                    'A' => length,
                    _ => column,
                };
            }
            'o' | 'O' => {
                self.begin_change();
                let line = self.cursor.line + usize::from(c == 'o');
                self.text.insert_lines(line, [Vec::new()]);
                self.cursor = Position { line, column: 0 };
                self.begin_insert(1);
            }
            'p' | 'P' => self.put(c == 'p', n),
            'J' => self.join_lines(n.max(2) - 1),
            '~' => self.switch_case(n),
            'u' => (0..n).for_each(|_| self.change_version(true)),
            '.' => self.repeat_change(count),
            _ => {}
        }
        Effect::None
    }

    fn press_control(&mut self, c: char, count: Option<usize>) {
        let half = self.viewport.height / 2;
        match c {
            'F' => (0..count.unwrap_or(1)).for_each(|_| self.scroll_page(true)),
            'B' => (0..count.unwrap_or(1)).for_each(|_| self.scroll_page(false)),
            'D' => self.scroll_lines(count.unwrap_or(half) as isize, true),
            'U' => self.scroll_lines(-(count.unwrap_or(half) as isize), true),
            'E' => self.scroll_lines(count.unwrap_or(1) as isize, false),
            'Y' => self.scroll_lines(-(count.unwrap_or(1) as isize), false),
            'R' => self.change_version(false),
            'G' => self.message = self.status(),
            _ => {}
        }
    }

    fn replace_chars(&mut self, c: char) {
        let count = self.take_count().unwrap_or(1);
        self.pending = Pending::default();
        let end = self.cursor.column + count;
        if end > self.text.line_len(self.cursor.line) {
            return;
        }
        self.begin_change();
        self.text.remove(self.cursor, Position { column: end, ..self.cursor });
        match c {
            '\n' => self.cursor = self.text.insert(self.cursor, "\n"),
            c => {
                let text: String = std::iter::repeat_n(c, count).collect();
                self.text.insert(self.cursor, &text);
                self.cursor.column = end - 1;
            }
        }
    }

    fn switch_case(&mut self, count: usize) {
        let (start, end) = (self.cursor.column, (self.cursor.column + count).min(self.text.line_len(self.cursor.line)));
        if start == end {
            return;
        }
        self.begin_change();
        let mut line = self.text.line(self.cursor.line).to_vec();
        for c in line.iter_mut().take(end).skip(start) {
            let mut switched = match c.is_lowercase() {
                true => c.to_uppercase().collect::<Vec<char>>(),
                false => c.to_lowercase().collect(),
            };
            // A character that becomes several ones stays.
            if switched.len() == 1 {
                *c = switched.remove(0);
            }
        }
        self.text.set_line(self.cursor.line, line);
        self.cursor.column = end;
    }

    fn join_lines(&mut self, count: usize) {
        if self.cursor.line == self.text.last_line() {
            return;
        }
        self.begin_change();
        for _ in 0..count.min(self.text.last_line() - self.cursor.line) {
            let mut line = self.text.line(self.cursor.line).to_vec();
            let next = self.text.line(self.cursor.line + 1);
            let next: Vec<char> = next.iter().copied().skip_while(|c| c.is_whitespace()).collect();
            self.cursor.column = line.len();
            let needs_blank =
                line.last().is_some_and(|c| !c.is_whitespace()) && !matches!(next.first(), None | Some(')'));
            if needs_blank {
                line.push(' ');
            }
            line.extend(next);
            self.text.set_line(self.cursor.line, line);
            self.text.remove_lines(self.cursor.line + 1, self.cursor.line + 1);
        }
    }

    fn put(&mut self, after: bool, count: usize) {
        let Some(register) = self.register.clone() else {
            self.message = "Nothing to put".into();
            return;
        };
        self.begin_change();
        match register {
            Register::Lines(lines) => {
                let at = self.cursor.line + usize::from(after);
                let copies = std::iter::repeat_n(lines, count).flatten();
                self.text.insert_lines(at, copies);
                self.cursor = self.to_line(at).to;
            }
            Register::Chars(text) => {
                let length = self.text.line_len(self.cursor.line);
                let start = Position { column: (self.cursor.column + usize::from(after)).min(length), ..self.cursor };
                let end = self.text.insert(start, &text.repeat(count));
                self.cursor = match end.line == start.line {
                    true => Position { column: end.column.saturating_sub(1), ..end },
                    false => start,
                };
            }
        }
        self.wanted_column = self.cursor.column;
    }
}

/// Returns the end of the word that `at` is in.
fn word_end_here(editor: &Editor, at: Position, big: bool) -> Position {
    let line = editor.text.line(at.line);
    let class = |c: &char| match c {
        c if c.is_whitespace() => 0,
        c if big || c.is_alphanumeric() || *c == '_' => 1,
        _ => 2,
    };
    let first = line.get(at.column).map_or(0, class);
    let length = line.iter().skip(at.column).take_while(|c| class(c) == first).count();
    Position { column: at.column + length.max(1) - 1, ..at }
}

/// Returns the command character of a key.
fn character_of(key: &Key) -> Option<char> {
    Some(match key {
        Key::Char(c) => *c,
        Key::Left | Key::Backspace => 'h',
        Key::Right => 'l',
        Key::Up => 'k',
        Key::Down => 'j',
        Key::Home => '0',
        Key::End => '$',
        Key::Enter => '+',
        Key::WordLeft => 'b',
        Key::WordRight => 'w',
        Key::Delete => 'x',
        Key::Insert => 'i',
        Key::Tab => '\t',
        _ => return None,
    })
}
