//! Rows of the screen: where long lines wrap, and how a row is drawn.

use crate::console::{PLAIN, REVERSE, width};

/// A part of a line that fills at most one row: byte positions in the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    pub line: usize,
    pub start: usize,
    pub end: usize,
}

/// Returns the length of the colour sequence at the front of `text`, or 0.
fn colour_length(text: &str) -> usize {
    let Some(parameters) = text.strip_prefix("\x1b[") else { return 0 };
    let length = parameters.bytes().take_while(|b| b.is_ascii_digit() || *b == b';').count();
    match parameters.as_bytes().get(length) {
        Some(b'm') => length + 3,
        _ => 0,
    }
}

/// Returns the parts of a line that fill one row each.
pub fn split(line: &str, columns: usize, colours: bool) -> Vec<(usize, usize)> {
    let mut parts = Vec::new();
    let (mut start, mut column, mut at) = (0, 0, 0);
    let mut scratch = String::new();
    while let Some(c) = line.get(at..).and_then(|rest| rest.chars().next()) {
        let colour = if colours { colour_length(line.get(at..).unwrap_or_default()) } else { 0 };
        if colour > 0 {
            at += colour;
            continue;
        }
        scratch.clear();
        let mut width = width::push_visible(c, column, &mut scratch);
        if column + width > columns && column > 0 {
            parts.push((start, at));
            (start, column) = (at, 0);
            scratch.clear();
            width = width::push_visible(c, 0, &mut scratch);
        }
        column += width;
        at += c.len_utf8();
    }
    parts.push((start, line.len()));
    parts
}

/// Appends a row, cut to the width, with the marked ranges of the line in reverse video.
pub fn draw(line: &str, row: Row, columns: usize, colours: bool, marks: &[(usize, usize)], out: &mut String) {
    let (mut column, mut at) = (0, row.start);
    let mut is_marked = false;
    let mut has_colour = false;
    while at < row.end {
        let Some(c) = line.get(at..).and_then(|rest| rest.chars().next()) else { break };
        let colour = if colours { colour_length(line.get(at..).unwrap_or_default()) } else { 0 };
        if colour > 0 {
            out.push_str(line.get(at..at + colour).unwrap_or_default());
            has_colour = true;
            at += colour;
            continue;
        }
        let mark = marks.iter().any(|(start, end)| (*start..*end).contains(&at));
        if mark != is_marked {
            out.push_str(if mark { REVERSE } else { PLAIN });
            is_marked = mark;
        }
        let mut visible = String::new();
        let mut width = width::push_visible(c, column, &mut visible);
        if column + width > columns {
            if c != '\t' {
                break;
            }
            width = columns - column;
            visible.truncate(width);
        }
        out.push_str(&visible);
        column += width;
        at += c.len_utf8();
    }
    if is_marked || has_colour {
        out.push_str(PLAIN);
    }
}
