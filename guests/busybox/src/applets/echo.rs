//! echo, yes, true, false and the escapes that echo and printf share.

use super::{Outcome, Output};
use crate::proc::Proc;

pub async fn echo(p: Proc) -> Outcome {
    let (mut newline, mut escapes) = (true, false);
    let mut args = p.args.get(1..).unwrap_or_default();
    while let Some((first, rest)) = args.split_first() {
        let Some(letters) = first.strip_prefix('-').filter(|l| !l.is_empty()) else { break };
        if letters.contains(|c| !"neE".contains(c)) {
            break;
        }
        for letter in letters.chars() {
            match letter {
                'n' => newline = false,
                letter => escapes = letter == 'e',
            }
        }
        args = rest;
    }
    let mut line = Vec::new();
    for (i, arg) in args.iter().enumerate() {
        if i > 0 {
            line.push(b' ');
        }
        if !escapes {
            line.extend_from_slice(arg.as_bytes());
        } else if unescape(arg.as_bytes(), &mut line, true) {
            newline = false;
            break;
        }
    }
    if newline {
        line.push(b'\n');
    }
    if !line.is_empty() {
        p.stdout.write_all(&line).await?;
    }
    Ok(0)
}

/// Expands all escapes; returns whether `\c` ended the output. With `zero`, octal numbers begin with a zero, as for
/// echo and `%b`.
pub fn unescape(text: &[u8], out: &mut Vec<u8>, zero: bool) -> bool {
    let mut rest = text;
    while let Some((first, behind)) = rest.split_first() {
        if *first != b'\\' {
            out.push(*first);
            rest = behind;
            continue;
        }
        match parse_escape(behind, zero) {
            (Some(byte), used) => {
                out.push(byte);
                rest = behind.get(used..).unwrap_or_default();
            }
            (None, 1) => return true,
            (None, _) => {
                out.push(b'\\');
                rest = behind;
            }
        }
    }
    false
}

/// Parses the escape after a backslash: its byte and length; `(None, 1)` is `\c`, `(None, 0)` not an escape.
pub fn parse_escape(text: &[u8], zero: bool) -> (Option<u8>, usize) {
    let digits = |from: usize, most: usize, base: u32| {
        let mut value = 0;
        let mut used = from;
        for byte in text.iter().skip(from).take(most) {
            let Some(digit) = (*byte as char).to_digit(base) else { break };
            value = value * base + digit;
            used += 1;
        }
        (value as u8, used)
    };
    let byte = match text.first() {
        Some(b'a') => 7,
        Some(b'b') => 8,
        Some(b'e' | b'E') => 27,
        Some(b'f') => 12,
        Some(b'n') => b'\n',
        Some(b'r') => b'\r',
        Some(b't') => b'\t',
        Some(b'v') => 11,
        Some(b'\\') => b'\\',
        Some(b'c') => return (None, 1),
        Some(b'x') => {
            let (value, used) = digits(1, 2, 16);
            return if used > 1 { (Some(value), used) } else { (None, 0) };
        }
        Some(b'0') if zero => {
            let (value, used) = digits(1, 3, 8);
            return (Some(value), used);
        }
        Some(b'0'..=b'7') => {
            let (value, used) = digits(0, 3, 8);
            return (Some(value), used);
        }
        _ => return (None, 0),
    };
    (Some(byte), 1)
}

pub async fn yes(p: Proc) -> Outcome {
    let words = p.args.get(1..).unwrap_or_default().join(" ");
    let line = if words.is_empty() { "y\n".to_string() } else { words + "\n" };
    let mut out = Output::new(&p);
    loop {
        out.put(&line).await?;
    }
}

pub async fn exit_0(_: Proc) -> Outcome {
    Ok(0)
}

pub async fn exit_1(_: Proc) -> Outcome {
    Ok(1)
}
