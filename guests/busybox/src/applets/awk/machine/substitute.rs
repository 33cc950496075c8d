//! `sub`, `gsub`, `gensub`, `split` and `match`.

use super::super::error::Problem;
use super::super::program::{FS, Place, RLENGTH, RSTART, Slot};
use super::super::record::split;
use super::super::value::{Bytes, Value};
use super::Machine;
use crate::applets::pattern::{NONE, Pattern, Spans};

impl Machine {
    /// Takes the key of the target, the replacement and the expression; leaves the number of replacements.
    pub(super) fn substitute(&mut self, place: Place, global: bool) -> Result<(), Problem> {
        let key = self.pop_key(place);
        let replacement = self.pop_bytes();
        let regex = self.pop_bytes();
        let pattern = self.regex(&regex)?;
        let before = self.load(place, key.as_ref())?;
        let before = self.text(&before);
        let which = if global { Which::All } else { Which::Number(1) };
        let (text, count) = replace(&pattern, &before, &replacement, which, false);
        if count > 0 {
            self.store(place, key.as_ref(), Value::Text(Bytes::from(text)))?;
        }
        self.push_number(count as f64);
        Ok(())
    }

    /// `gensub(regex, replacement, how [, text])`.
    pub(super) fn gensub(&mut self, count: usize) -> Result<(), Problem> {
        let text = match count {
            4 => self.pop(),
            _ => self.load(Place::Field, None)?,
        };
        let how = self.pop();
        let replacement = self.pop_bytes();
        let regex = self.pop_bytes();
        let pattern = self.regex(&regex)?;
        let which = match self.text(&how).first() {
            Some(b'g' | b'G') => Which::All,
            _ => Which::Number(how.number().max(1.0) as usize),
        };
        let (out, _) = replace(&pattern, &self.text(&text), &replacement, which, true);
        self.push(Value::Text(Bytes::from(out)));
        Ok(())
    }

    pub(super) fn split(&mut self, array: Slot, has_separator: bool) -> Result<(), Problem> {
        let separator = if has_separator { self.pop_bytes() } else { self.global_text(FS) };
        let text = self.pop_bytes();
        let separator = self.separator(separator, false);
        let parts = split(&text, &separator, &mut self.regexes)?;
        let array = self.array(array)?;
        let mut array = array.borrow_mut();
        array.clear();
        self.stack.push(Value::Number(parts.len() as f64));
        for (index, part) in parts.into_iter().enumerate() {
            array.insert(&Bytes::from((index + 1).to_string().as_bytes()), part);
        }
        Ok(())
    }

    pub(super) fn match_text(&mut self) -> Result<(), Problem> {
        let regex = self.pop_bytes();
        let text = self.pop_bytes();
        let (start, length) = match self.regex(&regex)?.find(&text, 0) {
            Some(spans) => (spans[0] as f64 + 1.0, (spans[1] - spans[0]) as f64),
            None => (0.0, -1.0),
        };
        self.set_global(RSTART, Value::Number(start));
        self.set_global(RLENGTH, Value::Number(length));
        self.push_number(start);
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Which {
    All,
    /// From 1.
    Number(usize),
}

/// Replaces matches; returns the new text and the number of replacements. With `groups`, `\1` to `\9` in the
/// replacement are groups.
fn replace(pattern: &Pattern, text: &[u8], replacement: &[u8], which: Which, groups: bool) -> (Vec<u8>, usize) {
    let mut out = Vec::with_capacity(text.len());
    let (mut copied, mut from, mut found, mut count) = (0, 0, 0, 0);
    let mut last_end = None;
    while from <= text.len()
        && let Some(spans) = pattern.find(text, from)
    {
        let (start, end) = (spans[0], spans[1]);
        from = if start == end { end + 1 } else { end };
        // An empty match directly behind a match is a part of it.
        if start == end && last_end == Some(start) {
            continue;
        }
        last_end = Some(end);
        found += 1;
        if which == Which::All || which == Which::Number(found) {
            out.extend_from_slice(text.get(copied..start).unwrap_or_default());
            expand(replacement, text, &spans, groups, &mut out);
            copied = end;
            count += 1;
        }
        if which == Which::Number(found) {
            break;
        }
    }
    out.extend_from_slice(text.get(copied..).unwrap_or_default());
    (out, count)
}

/// Appends a replacement, in which `&` is the match and a backslash takes its meaning away.
fn expand(replacement: &[u8], text: &[u8], spans: &Spans, groups: bool, out: &mut Vec<u8>) {
    let mut rest = replacement;
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        match (byte, behind.first()) {
            (b'&', _) => out.extend_from_slice(text.get(spans[0]..spans[1]).unwrap_or_default()),
            (b'\\', Some(next @ (b'&' | b'\\'))) => {
                out.push(*next);
                rest = behind.get(1..).unwrap_or_default();
            }
            (b'\\', Some(digit @ b'0'..=b'9')) if groups => {
                let group = usize::from(digit - b'0') * 2;
                if let (Some(start), Some(end)) = (spans.get(group), spans.get(group + 1))
                    && *start != NONE
                {
                    out.extend_from_slice(text.get(*start..*end).unwrap_or_default());
                }
                rest = behind.get(1..).unwrap_or_default();
            }
            (byte, _) => out.push(*byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::regex::compile;
    use super::*;

    #[track_caller]
    fn check(regex: &str, text: &str, replacement: &str, which: Which, expected: &str) {
        let pattern = compile(regex.as_bytes(), false).expect("a valid expression");
        let (out, _) = replace(&pattern, text.as_bytes(), replacement.as_bytes(), which, true);
        assert_eq!(String::from_utf8_lossy(&out), expected, "{regex} in {text}");
    }

    #[test]
    fn all_matches_are_replaced_from_left_to_right() {
        check("b", "abcb", "x", Which::All, "axcx");
        check("b+", "abbcb", "[&]", Which::All, "a[bb]c[b]");
        check("x*", "abc", "-", Which::All, "-a-b-c-");
        check("b*", "abc", "-", Which::All, "-a-c-");
        check("c*", "abc", "-", Which::All, "-a-b-");
        check("^a", "aaa", "x", Which::All, "xaa");
        check("$", "a", "x", Which::All, "ax");
        check("a", "", "x", Which::All, "");
    }

    #[test]
    fn replacements_name_the_match_and_groups() {
        check("a", "cat", r"\&", Which::Number(1), "c&t");
        check("a", "cat", r"\\&", Which::Number(1), r"c\at");
        check("(a)(t)", "cat", r"\2\1", Which::All, "cta");
        check("a", "aaa", "x", Which::Number(2), "axa");
    }
}
