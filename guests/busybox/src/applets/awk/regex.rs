//! awk's regular expressions: extended ones, in which a backslash is an escape within brackets as well.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::error::Problem;
use super::lexer::parse_escape;
use super::value::Bytes;
use crate::applets::pattern::{Extent, Pattern};

/// The most expressions that are kept compiled.
const MAX_CACHED: usize = 200;

/// Compiled expressions by their text.
#[derive(Default)]
pub struct Regexes {
    compiled: BTreeMap<Bytes, Rc<Pattern>>,
    /// `IGNORECASE`, for which the expressions are compiled.
    ignore_case: bool,
}

impl Regexes {
    /// Returns the compiled expression.
    ///
    /// # Errors
    /// `BadRegex`.
    pub fn get(&mut self, text: &Bytes, ignore_case: bool) -> Result<Rc<Pattern>, Problem> {
        if self.compiled.len() > MAX_CACHED || self.ignore_case != ignore_case {
            self.compiled.clear();
            self.ignore_case = ignore_case;
        }
        if let Some(pattern) = self.compiled.get(text) {
            return Ok(pattern.clone());
        }
        let pattern = Rc::new(compile(text, ignore_case)?);
        self.compiled.insert(text.clone(), pattern.clone());
        Ok(pattern)
    }
}

/// Compiles an expression.
///
/// # Errors
/// `BadRegex`.
pub fn compile(text: &[u8], ignore_case: bool) -> Result<Pattern, Problem> {
    Pattern::new(&translate(text), true, ignore_case, Extent::Any)
        .map_err(|why| Problem::BadRegex(String::from_utf8_lossy(text).into_owned(), why))
}

/// Rewrites awk's escapes to those of the pattern engine.
fn translate(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        match byte {
            b'\\' => rest = translate_escape(behind, &mut out),
            b'[' => {
                out.push(b'[');
                rest = translate_set(behind, &mut out);
            }
            byte => out.push(*byte),
        }
    }
    out
}

/// Translates an escape outside of brackets; returns the text behind it.
fn translate_escape<'a>(text: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    let (value, used) = parse_escape(text);
    match (value, text.first()) {
        // `\"` and `\/` are plain characters, as are all that the lexer knows.
        (Some(byte), Some(_)) => {
            if !byte.is_ascii_alphanumeric() && !byte.is_ascii_whitespace() && byte.is_ascii() {
                out.push(b'\\');
            }
            out.push(byte);
            text.get(used..).unwrap_or_default()
        }
        (None, Some(byte)) => {
            // GNU's word boundary, since `\b` is a backspace.
            out.extend([b'\\', if *byte == b'y' { b'b' } else { *byte }]);
            text.get(1..).unwrap_or_default()
        }
        (_, None) => {
            out.push(b'\\');
            text
        }
    }
}

/// Translates a bracket expression up to its end; returns the text behind it.
fn translate_set<'a>(text: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    let mut rest = text;
    for first in [b'^', b']'] {
        if let Some(behind) = rest.strip_prefix(&[first]) {
            out.push(first);
            rest = behind;
        }
    }
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        match (byte, behind.first()) {
            (b']', _) => {
                out.push(b']');
                break;
            }
            (b'[', Some(kind @ (b':' | b'.' | b'='))) => {
                let inner = behind.get(1..).unwrap_or_default();
                let length = crate::applets::pattern::find_bytes(inner, &[*kind, b']']).map_or(0, |at| at + 3);
                let (class, after) = behind.split_at(length.min(behind.len()));
                out.push(b'[');
                out.extend(class);
                rest = after;
            }
            (b'\\', Some(next)) => {
                let (value, used) = parse_escape(behind);
                let byte = value.unwrap_or(*next);
                match byte {
                    b']' | b'-' | b'^' | b'[' => out.extend([b'[', b'.', byte, b'.', b']']),
                    byte => out.push(byte),
                }
                rest = behind.get(used.max(1)..).unwrap_or_default();
            }
            _ => out.push(*byte),
        }
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(regex: &str, text: &str, expected: Option<(usize, usize)>) {
        let pattern = compile(regex.as_bytes(), false).expect("a valid expression");
        let found = pattern.find(text.as_bytes(), 0).map(|spans| (spans[0], spans[1]));
        assert_eq!(found, expected, "{regex} in {text}");
    }

    #[test]
    fn backslashes_escape_within_brackets() {
        check(r"[\]]", "a]", Some((1, 2)));
        check(r"[\/a]+", "x/a/", Some((1, 4)));
        check(r"[^\t ]+", " \tab c", Some((2, 4)));
        check(r"[a\-z]+", "m-", Some((1, 2)));
        check(r"[[:digit:].]+", "v1.2", Some((1, 4)));
        check(r"[]a]+", "]a", Some((0, 2)));
    }

    #[test]
    fn escapes_name_characters() {
        check(r"\.", "a.b", Some((1, 2)));
        check(r"\/", "a/b", Some((1, 2)));
        check(r#"\"x\""#, r#"a"x""#, Some((1, 4)));
        check(r"\$", "a$", Some((1, 2)));
        check(r"a\053", "a+", Some((0, 2)));
        check(r"a+(b|c){2}$", "xaabc", Some((1, 5)));
    }
}
