//! Motions: where a command moves the cursor.

use super::text::{Position, Text};

/// The end of a motion, and what an operator covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    pub to: Position,
    pub extent: Extent,
}

/// What an operator covers between the cursor and the end of a motion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// The characters without the last one.
    Exclusive,
    /// The characters with the last one.
    Inclusive,
    /// Whole lines.
    Lines,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Blank,
    Word,
    Other,
    EmptyLine,
}

fn class(text: &Text, at: Position, big: bool) -> Class {
    match text.at(at) {
        None if text.line_len(at.line) == 0 => Class::EmptyLine,
        None => Class::Blank,
        Some(c) if c.is_whitespace() => Class::Blank,
        Some(_) if big => Class::Word,
        Some(c) if c.is_alphanumeric() || c == '_' => Class::Word,
        Some(_) => Class::Other,
    }
}

/// Returns the next character's position; an empty line counts as one.
fn next(text: &Text, at: Position) -> Option<Position> {
    if at.column + 1 < text.line_len(at.line) {
        return Some(Position { column: at.column + 1, ..at });
    }
    (at.line < text.last_line()).then_some(Position { line: at.line + 1, column: 0 })
}

fn previous(text: &Text, at: Position) -> Option<Position> {
    if let Some(column) = at.column.checked_sub(1) {
        return Some(Position { column, ..at });
    }
    let line = at.line.checked_sub(1)?;
    Some(Position { line, column: text.line_len(line).saturating_sub(1) })
}

/// `w`: the start of the next word.
pub fn word_forward(text: &Text, from: Position, big: bool) -> Position {
    let start = class(text, from, big);
    let mut at = from;
    let mut was_blank = start == Class::Blank;
    while let Some(after) = next(text, at) {
        let crossed = after.line != at.line;
        at = after;
        match class(text, at, big) {
            Class::EmptyLine => return at,
            Class::Blank => was_blank = true,
            found if crossed || was_blank || found != start => return at,
            _ => {}
        }
    }
    Position { line: text.last_line(), column: text.line_len(text.last_line()) }
}

/// `e`: the end of a word.
pub fn word_end(text: &Text, from: Position, big: bool) -> Position {
    let Some(mut at) = next(text, from) else { return from };
    while matches!(class(text, at, big), Class::Blank | Class::EmptyLine) {
        match next(text, at) {
            Some(after) => at = after,
            None => return at,
        }
    }
    let found = class(text, at, big);
    while let Some(after) = next(text, at).filter(|after| after.line == at.line && class(text, *after, big) == found) {
        at = after;
    }
    at
}

/// `b`: the start of a word.
pub fn word_back(text: &Text, from: Position, big: bool) -> Position {
    let Some(mut at) = previous(text, from) else { return from };
    while class(text, at, big) == Class::Blank {
        match previous(text, at) {
            Some(before) => at = before,
            None => return at,
        }
    }
    let found = class(text, at, big);
    while let Some(before) =
        previous(text, at).filter(|before| before.line == at.line && class(text, *before, big) == found)
    {
        at = before;
    }
    at
}

/// `}` and `{`: the next empty line, or the end of the text.
pub fn paragraph(text: &Text, from: Position, forward: bool) -> Position {
    let is_empty = |line: &usize| text.line_len(*line) == 0;
    let line = match forward {
        true => (from.line..text.len()).skip_while(is_empty).find(is_empty),
        false => (0..=from.line).rev().skip_while(is_empty).find(is_empty),
    };
    match (line, forward) {
        (Some(line), _) => Position { line, column: 0 },
        (None, true) => Position { line: text.last_line(), column: text.line_len(text.last_line()) },
        (None, false) => Position::default(),
    }
}

/// `f`, `t`, `F` and `T`: a character in the line.
pub fn find_char(line: &[char], from: usize, kind: char, wanted: char, count: usize) -> Option<usize> {
    let is_wanted = |at: &usize| line.get(*at) == Some(&wanted);
    match kind {
        'f' => (from + 1..line.len()).filter(is_wanted).nth(count - 1),
        't' => (from + 1..line.len()).filter(is_wanted).nth(count - 1).map(|at| at - 1),
        'F' => (0..from).rev().filter(is_wanted).nth(count - 1),
        _ => (0..from).rev().filter(is_wanted).nth(count - 1).map(|at| at + 1),
    }
}

/// `%`: the bracket that matches the next one in the line.
pub fn matching_bracket(text: &Text, from: Position) -> Option<Position> {
    const BRACKETS: [(char, char); 3] = [('(', ')'), ('[', ']'), ('{', '}')];
    let line = text.line(from.line);
    let column = (from.column..line.len()).find(|at| line.get(*at).is_some_and(|c| "()[]{}".contains(*c)))?;
    let mut at = Position { column, ..from };
    let bracket = text.at(at)?;
    let (open, close) = BRACKETS.into_iter().find(|(open, close)| *open == bracket || *close == bracket)?;
    let mut depth = 0;
    loop {
        match text.at(at) {
            Some(c) if c == open => depth += 1,
            Some(c) if c == close => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
        at = if bracket == open { next(text, at)? } else { previous(text, at)? };
    }
}
