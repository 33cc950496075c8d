//! Backslash escapes of `$'...'`, `echo -e` and `printf`, and quoting for output that a shell can read.

/// Returns `text` with C's escapes replaced (`$'...'`).
pub fn unescape(text: &str) -> String {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.extend_from_slice(rest.get(..at).unwrap_or_default().as_bytes());
        rest = rest.get(at + 1..).unwrap_or_default();
        rest = match rest.chars().next() {
            Some(c @ ('\'' | '"' | '?')) => {
                out.push(c as u8);
                rest.get(1..).unwrap_or_default()
            }
            _ => parse_escape(rest, false, &mut out).unwrap_or_default(),
        };
    }
    out.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&out).into_owned()
}

/// Parses one escape after its backslash; returns the rest, or `None` for `\c`, which ends the output. In `zero` style
/// (`echo -e`, `%b`), octal numbers start with 0.
pub fn parse_escape<'a>(rest: &'a str, zero: bool, out: &mut Vec<u8>) -> Option<&'a str> {
    let Some(c) = rest.chars().next() else {
        out.push(b'\\');
        return Some(rest);
    };
    let tail = rest.get(c.len_utf8()..).unwrap_or_default();
    let byte = match c {
        'a' => 7,
        'b' => 8,
        'e' => 27,
        'f' => 12,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 11,
        '\\' => b'\\',
        'c' if zero => return None,
        'x' => return Some(push_number(tail, 16, 2, out).unwrap_or_else(|| push_unchanged("x", tail, out))),
        '0' if zero => return Some(push_number(tail, 8, 3, out).unwrap_or_else(|| push_nul(tail, out))),
        '0'..='7' => return Some(push_number(rest, 8, 3, out).unwrap_or(tail)),
        _ => {
            let kept = rest.get(..c.len_utf8()).unwrap_or_default();
            return Some(push_unchanged(kept, tail, out));
        }
    };
    out.push(byte);
    Some(tail)
}

fn push_unchanged<'a>(kept: &str, tail: &'a str, out: &mut Vec<u8>) -> &'a str {
    out.push(b'\\');
    out.extend_from_slice(kept.as_bytes());
    tail
}

fn push_nul<'a>(tail: &'a str, out: &mut Vec<u8>) -> &'a str {
    out.push(0);
    tail
}

fn push_number<'a>(text: &'a str, radix: u32, most: usize, out: &mut Vec<u8>) -> Option<&'a str> {
    let length = text.chars().take(most).take_while(|c| c.is_digit(radix)).count();
    let digits = text.get(..length).filter(|d| !d.is_empty())?;
    out.push(u32::from_str_radix(digits, radix).ok()? as u8);
    text.get(length..)
}

/// Returns `text` in single quotes.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// Returns `text` in single quotes if it needs them (`set -x`).
pub fn quoted_if_needed(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-./:=,+@%^".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => text.to_string(),
        false => quoted(text),
    }
}
