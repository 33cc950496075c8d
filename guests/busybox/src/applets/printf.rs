//! printf, with all POSIX conversions, `%b`, and reuse of the format while arguments remain.

use std::fmt;

use super::echo::{parse_escape, unescape};
use super::numbers::FormatSpec;
use super::{Outcome, usage};
use crate::proc::Proc;

pub async fn printf(p: Proc) -> Outcome {
    let mut args = p.args.get(1..).unwrap_or_default();
    if args.first().is_some_and(|a| a == "--") {
        args = &args[1..];
    }
    let Some((format, args)) = args.split_first() else { return usage(&p).await };
    let mut formatter = Formatter { args: args.iter(), used: false, out: vec![], errors: vec![], ended: false };
    loop {
        formatter.used = false;
        if let Err(error) = formatter.apply_format(format.as_bytes()) {
            p.stdout.write_all(&formatter.out).await?;
            p.print_error(error).await;
            return Ok(1);
        }
        if formatter.ended || !formatter.used || formatter.args.len() == 0 {
            break;
        }
        if formatter.out.len() > 32 * 1024 {
            p.stdout.write_all(&formatter.out).await?;
            formatter.out.clear();
        }
    }
    for bad in &formatter.errors {
        p.print_error(format_args!("invalid number '{bad}'")).await;
    }
    if !formatter.out.is_empty() {
        p.stdout.write_all(&formatter.out).await?;
    }
    Ok(i32::from(!formatter.errors.is_empty()))
}

/// A format with a conversion that is not known.
struct InvalidFormat {
    /// The text from the percent sign to the end of the conversion.
    conversion: String,
}

impl fmt::Display for InvalidFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: invalid format", self.conversion)
    }
}

struct Formatter<'a> {
    args: std::slice::Iter<'a, String>,
    /// Whether this round used an argument.
    used: bool,
    out: Vec<u8>,
    errors: Vec<String>,
    ended: bool,
}

impl<'a> Formatter<'a> {
    fn next_argument(&mut self) -> &'a str {
        self.used = true;
        self.args.next().map_or("", String::as_str)
    }

    /// Applies the format once.
    fn apply_format(&mut self, format: &[u8]) -> Result<(), InvalidFormat> {
        let mut at = 0;
        while let Some(byte) = format.get(at) {
            at += 1;
            match byte {
                b'\\' => match parse_escape(format.get(at..).unwrap_or_default(), false) {
                    (Some(byte), used) => {
                        self.out.push(byte);
                        at += used;
                    }
                    (None, 1) => {
                        self.ended = true;
                        return Ok(());
                    }
                    _ => self.out.push(b'\\'),
                },
                b'%' if format.get(at) == Some(&b'%') => {
                    self.out.push(b'%');
                    at += 1;
                }
                b'%' => {
                    at = self.apply_conversion(format, at)?;
                    if self.ended {
                        return Ok(());
                    }
                }
                byte => self.out.push(*byte),
            }
        }
        Ok(())
    }

    fn apply_conversion(&mut self, format: &[u8], start: usize) -> Result<usize, InvalidFormat> {
        let mut spec = FormatSpec::default();
        let mut at = start + spec.read_flags(format.get(start..).unwrap_or_default());
        if let Some(width) = self.parse_count(format, &mut at) {
            spec.left |= width < 0;
            spec.width = width.unsigned_abs().min(1 << 20) as usize;
        }
        if format.get(at) == Some(&b'.') {
            at += 1;
            let precision = self.parse_count(format, &mut at).unwrap_or(0);
            spec.precision = usize::try_from(precision).ok().map(|n| n.min(1 << 20));
        }
        while matches!(format.get(at), Some(b'l' | b'h' | b'j' | b'z' | b'L')) {
            at += 1;
        }
        let invalid = || InvalidFormat {
            conversion: format!("%{}", String::from_utf8_lossy(format.get(start..=at).unwrap_or_default())),
        };
        let conversion = *format.get(at).ok_or_else(invalid)? as char;
        match conversion {
            'd' | 'i' | 'u' | 'o' | 'x' | 'X' => {
                let text = self.next_argument();
                let value = self.integer_or_error(text);
                spec.integer(value, conversion, &mut self.out);
            }
            'e' | 'E' | 'f' | 'F' | 'g' | 'G' | 'a' | 'A' => {
                let text = self.next_argument();
                let value = match text.trim_start().parse::<f64>() {
                    Ok(value) => value,
                    Err(_) => self.integer_or_error(text) as f64,
                };
                spec.float(value, conversion, &mut self.out);
            }
            'c' => {
                let text = self.next_argument().as_bytes();
                spec.pad(text.get(..1).unwrap_or_default(), false, &mut self.out);
            }
            's' | 'b' => {
                let mut text = self.next_argument().as_bytes().to_vec();
                if conversion == 'b' {
                    let mut expanded = Vec::new();
                    self.ended = unescape(&text, &mut expanded, true);
                    text = expanded;
                }
                text.truncate(spec.precision.unwrap_or(usize::MAX));
                spec.pad(&text, false, &mut self.out);
            }
            _ => return Err(invalid()),
        }
        Ok(at + 1)
    }

    /// Parses a width or precision: digits or `*`.
    fn parse_count(&mut self, format: &[u8], at: &mut usize) -> Option<i64> {
        if format.get(*at) == Some(&b'*') {
            *at += 1;
            let text = self.next_argument();
            return Some(self.integer_or_error(text) as i64);
        }
        let mut value = None;
        while let Some(digit) = format.get(*at).filter(|b| b.is_ascii_digit()) {
            value = Some(value.unwrap_or(0i64).saturating_mul(10) + i64::from(digit - b'0'));
            *at += 1;
        }
        value
    }

    fn integer_or_error(&mut self, text: &str) -> i128 {
        match parse_integer(text) {
            Some(value) => value,
            None => {
                self.errors.push(text.to_string());
                0
            }
        }
    }
}

/// Parses an integer as C's strtoll does, or the code of a character after a quote. Empty text is zero.
fn parse_integer(text: &str) -> Option<i128> {
    let text = text.trim_start();
    if let Some(quoted) = text.strip_prefix(['\'', '"']) {
        return Some(quoted.chars().next().map_or(0, |c| c as i128));
    }
    if text.is_empty() {
        return Some(0);
    }
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let value = if let Some(hex) = digits.strip_prefix("0x").or(digits.strip_prefix("0X")) {
        u64::from_str_radix(hex, 16)
    } else if digits.len() > 1 && digits.starts_with('0') {
        u64::from_str_radix(digits, 8)
    } else {
        digits.parse()
    };
    let value = i128::from(value.ok()?);
    Some(if negative { -value } else { value })
}
