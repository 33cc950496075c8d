//! Performs colon commands and searches.

use super::editor::{Editor, Effect};
use super::ex::{self, Address, Command, Line, Range};
use super::motion::{Extent, Target};
use super::text::{Position, decode};
use crate::applets::pattern::{Extent as MatchExtent, Pattern};
use crate::applets::sed::Replacement;

impl Editor {
    /// Runs a command without its colon.
    pub fn run_colon(&mut self, text: &str) -> Effect {
        let (range, command) = ex::parse(text);
        let (first, last) = match self.resolve(&range) {
            Ok(lines) => lines,
            Err(message) => {
                self.message = message.into();
                return Effect::None;
            }
        };
        self.run_ex(text, &range, (first, last), command)
    }

    fn run_ex(&mut self, text: &str, range: &Range, (first, last): (usize, usize), command: Command) -> Effect {
        match command {
            Command::Go => {
                let column = self.text.first_non_blank(last);
                if *range != Range::None {
                    (self.cursor, self.wanted_column) = (Position { line: last, column }, column);
                }
            }
            Command::Write { file, quits, forced: _ } => return self.write(file, range, (first, last), quits),
            Command::WriteIfChanged if self.file.is_modified => return self.write(None, &Range::None, (0, 0), true),
            Command::WriteIfChanged => return Effect::Quit,
            Command::Quit { forced: false } | Command::Edit { forced: false, .. } if self.file.is_modified => {
                self.message = format!("No write since last change (:{}! overrides)", text.trim());
            }
            Command::Quit { .. } => return Effect::Quit,
            Command::Edit { file, .. } => match file.or_else(|| self.file.name.clone()) {
                Some(file) => return Effect::Edit { file },
                None => self.message = "No current filename".into(),
            },
            Command::Read { file } => return Effect::Read { file, line: last },
            Command::Delete => self.operate_on_lines('d', first, last),
            Command::Yank => {
                let cursor = self.cursor;
                self.operate_on_lines('y', first, last);
                self.cursor = cursor;
            }
            Command::Substitute { pattern, replacement, global, ignores_case } => {
                self.substitute((first, last), pattern, &replacement, global, ignores_case);
            }
            Command::Number => self.message = (last + 1).to_string(),
            Command::File => self.message = self.status(),
            Command::Set { option } => self.set_option(&option),
            Command::Unknown => self.message = format!("':{text}' is not implemented"),
        }
        Effect::None
    }

    fn set_option(&mut self, option: &str) {
        match option {
            "nu" | "number" => self.viewport.shows_numbers = true,
            "nonu" | "nonumber" => self.viewport.shows_numbers = false,
            "ic" | "ignorecase" => self.ignores_case = true,
            "noic" | "noignorecase" => self.ignores_case = false,
            _ => self.message = format!("bad option: {option}"),
        }
    }

    fn write(&mut self, file: Option<String>, range: &Range, lines: (usize, usize), quits: bool) -> Effect {
        let Some(file) = file.or_else(|| self.file.name.clone()) else {
            self.message = "No current filename".into();
            return Effect::None;
        };
        let is_whole = matches!(range, Range::None | Range::All);
        let (first, last) = if is_whole { (0, self.text.last_line()) } else { lines };
        Effect::Write { file, bytes: self.text.to_bytes(first, last), is_whole, quits }
    }

    /// Returns the lines of a range, from 0; the current one without a range.
    fn resolve(&self, range: &Range) -> Result<(usize, usize), &'static str> {
        let (first, last) = match range {
            Range::None => (self.cursor.line, self.cursor.line),
            Range::All => (0, self.text.last_line()),
            Range::One(line) => {
                let line = self.resolve_line(line)?;
                (line, line)
            }
            Range::Two(first, last) => (self.resolve_line(first)?, self.resolve_line(last)?),
        };
        match first <= last {
            true => Ok((first, last)),
            false => Err("First address exceeds second"),
        }
    }

    fn resolve_line(&self, Line { address, offset }: &Line) -> Result<usize, &'static str> {
        let line = match address {
            Address::Number(number) => number.saturating_sub(1),
            Address::Current => self.cursor.line,
            Address::Last => self.text.last_line(),
            Address::Pattern(pattern, is_forward) => {
                let pattern = self.compile(pattern, self.ignores_case)?;
                // Searches begin with the next line.
                let from = Position { column: if *is_forward { usize::MAX } else { 0 }, ..self.cursor };
                self.find(&pattern, from, *is_forward).ok_or("Pattern not found")?.line
            }
        };
        Ok(line.saturating_add_signed(*offset).min(self.text.last_line()))
    }

    fn compile(&self, pattern: &str, ignores_case: bool) -> Result<Pattern, &'static str> {
        let pattern = if pattern.is_empty() { &self.searches.pattern } else { pattern };
        if pattern.is_empty() {
            return Err("No previous search");
        }
        Pattern::new(pattern.as_bytes(), false, ignores_case, MatchExtent::Any)
    }

    fn substitute(
        &mut self,
        (first, last): (usize, usize),
        pattern: String,
        replacement: &str,
        global: bool,
        ignores_case: bool,
    ) {
        let compiled = match self.compile(&pattern, ignores_case || self.ignores_case) {
            Ok(compiled) => compiled,
            Err(why) => {
                self.message = why.into();
                return;
            }
        };
        if !pattern.is_empty() {
            self.searches.pattern = pattern;
        }
        let Ok(replacement) = Replacement::parse(replacement.as_bytes(), compiled.groups()) else {
            self.message = "Invalid reference in the replacement".into();
            return;
        };
        let mut changed: Vec<(usize, Vec<u8>)> = Vec::new();
        for number in first..=last {
            let (bytes, _) = self.text.line_bytes(number);
            if let Some(replaced) = replace(&compiled, &replacement, &bytes, global) {
                changed.push((number, replaced));
            }
        }
        let Some((last_changed, _)) = changed.last() else {
            self.message = "Pattern not found".into();
            return;
        };
        let mut line = *last_changed;
        self.save_version();
        // From the end, since a replacement may contain newlines.
        for (number, bytes) in changed.iter().rev() {
            let lines: Vec<Vec<char>> = bytes.split(|b| *b == b'\n').map(decode).collect();
            line += lines.len() - 1;
            // Inserted first, since the text is never without a line.
            let old = *number + lines.len();
            self.text.insert_lines(*number, lines);
            self.text.remove_lines(old, old);
        }
        self.cursor = Position { line, column: self.text.first_non_blank(line) };
        if changed.len() > 1 {
            self.message = format!("{} substitutions", changed.len());
        }
    }

    /// Searches for what was typed after `/` or `?`.
    pub fn finish_search(&mut self, is_forward: bool, pattern: String) {
        if !pattern.is_empty() {
            self.searches.pattern = pattern;
        }
        self.searches.is_forward = is_forward;
        let count = self.pending.count.take().unwrap_or(1);
        match self.search(is_forward, count) {
            Some(to) => self.finish_motion(Target { to, extent: Extent::Exclusive }, false),
            None => self.pending = Default::default(),
        }
    }

    /// Returns where the last pattern matches next.
    pub fn search(&mut self, is_forward: bool, count: usize) -> Option<Position> {
        let pattern = match self.compile("", self.ignores_case) {
            Ok(pattern) => pattern,
            Err(why) => {
                self.message = why.into();
                return None;
            }
        };
        let mut at = self.cursor;
        for _ in 0..count {
            match self.find(&pattern, at, is_forward) {
                Some(found) => at = found,
                None => {
                    self.message = "Pattern not found".into();
                    return None;
                }
            }
        }
        Some(at)
    }

    /// Returns the next match, or the previous one; the search wraps around the ends of the text.
    fn find(&self, pattern: &Pattern, from: Position, is_forward: bool) -> Option<Position> {
        let lines = self.text.len();
        (0..=lines).find_map(|i| {
            let line = match is_forward {
                true => (from.line + i) % lines,
                false => (from.line + lines * 2 - i) % lines,
            };
            let columns = self.matches(pattern, line);
            // The line of the cursor comes first, from the cursor on, and once more at the end.
            let column = match (is_forward, i == 0) {
                (true, true) => columns.into_iter().find(|column| *column > from.column),
                (true, false) => columns.into_iter().next(),
                (false, true) => columns.into_iter().rfind(|column| *column < from.column),
                (false, false) => columns.into_iter().next_back(),
            };
            column.map(|column| Position { line, column })
        })
    }

    /// Returns the columns at which a pattern matches in a line.
    fn matches(&self, pattern: &Pattern, line: usize) -> Vec<usize> {
        let (bytes, starts) = self.text.line_bytes(line);
        let mut columns = Vec::new();
        let mut from = 0;
        while let Some(start) = pattern.find(&bytes, from).and_then(|spans| spans.first().copied()) {
            let column = starts.partition_point(|at| *at < start);
            columns.push(column);
            // The next match begins at a later character.
            from = match starts.get(column + 1) {
                Some(next) => *next,
                None => break,
            };
        }
        columns
    }
}

/// Returns the line with replacements; `None` if nothing matches.
fn replace(pattern: &Pattern, replacement: &Replacement, bytes: &[u8], global: bool) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut from = 0;
    let mut copied = 0;
    let mut any = false;
    while let Some(spans) = pattern.find(bytes, from) {
        let (start, end) = (*spans.first()?, *spans.get(1)?);
        any = true;
        out.extend_from_slice(bytes.get(copied..start).unwrap_or_default());
        replacement.append_to(bytes, &spans, &mut out);
        copied = end;
        from = if end > start { end } else { end + 1 };
        if !global || from > bytes.len() {
            break;
        }
    }
    out.extend_from_slice(bytes.get(copied..).unwrap_or_default());
    any.then_some(out)
}
