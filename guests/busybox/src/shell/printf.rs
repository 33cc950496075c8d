//! `printf`.

use super::escape;
use super::print::escape_into;
use super::{Outcome, Shell};

/// One conversion: `%`, flags, width, precision, letter.
#[derive(Default)]
struct Conversion {
    left: bool,
    zero: bool,
    sign: Option<char>,
    alternate: bool,
    width: usize,
    precision: Option<usize>,
}

/// The arguments of a format, and the errors in them.
struct Arguments<'a> {
    rest: &'a [String],
    used: bool,
    errors: Vec<String>,
}

impl<'a> Arguments<'a> {
    fn next(&mut self) -> &'a str {
        self.used = true;
        match self.rest.split_first() {
            Some((first, rest)) => {
                self.rest = rest;
                first
            }
            None => "",
        }
    }

    fn next_integer(&mut self) -> i64 {
        let text = self.next();
        if let Some(quoted) = text.strip_prefix(['\'', '"']) {
            return quoted.chars().next().map_or(0, |c| i64::from(u32::from(c)));
        }
        let number = text.trim();
        let (negative, digits) = match number.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, number.strip_prefix('+').unwrap_or(number)),
        };
        let (radix, digits) = match digits.strip_prefix("0x").or(digits.strip_prefix("0X")) {
            Some(hex) => (16, hex),
            None if digits.len() > 1 && digits.starts_with('0') => (8, digits),
            None => (10, digits),
        };
        let length = digits.chars().take_while(|c| c.is_digit(radix)).count();
        let value = u64::from_str_radix(digits.get(..length).unwrap_or_default(), radix);
        if !text.is_empty() && (length < digits.len() || value.is_err()) {
            self.errors.push(format!("printf: invalid number '{text}'"));
        }
        let value = value.unwrap_or(0) as i64;
        if negative { value.wrapping_neg() } else { value }
    }

    fn next_float(&mut self) -> f64 {
        let text = self.next();
        text.trim().parse().unwrap_or_else(|_| {
            if !text.is_empty() {
                self.errors.push(format!("printf: invalid number '{text}'"));
            }
            0.0
        })
    }
}

impl Shell {
    pub async fn builtin_printf(&mut self, args: &[String]) -> Outcome {
        let args = match args.first().map(String::as_str) {
            Some("--") => args.get(1..).unwrap_or_default(),
            _ => args,
        };
        let Some((format, rest)) = args.split_first() else {
            self.print_error("printf: usage: printf FORMAT [ARG]...").await;
            return Ok(2);
        };
        let mut arguments = Arguments { rest, used: false, errors: Vec::new() };
        let mut out = Vec::new();
        // The format is reused while arguments remain and it consumes some.
        while apply_format(format, &mut arguments, &mut out) {
            if arguments.rest.is_empty() || !arguments.used {
                break;
            }
        }
        let status = self.print_or_fail("printf", &out).await?;
        for error in &arguments.errors {
            self.print_error(error).await;
        }
        Ok(status.max(i32::from(!arguments.errors.is_empty())))
    }
}

/// Applies the format once; false if the output ends here.
fn apply_format(format: &str, arguments: &mut Arguments<'_>, out: &mut Vec<u8>) -> bool {
    let mut rest = format;
    while let Some(at) = rest.find(['%', '\\']) {
        out.extend_from_slice(rest.get(..at).unwrap_or_default().as_bytes());
        let escapes = rest.as_bytes().get(at) == Some(&b'\\');
        rest = rest.get(at + 1..).unwrap_or_default();
        if escapes {
            match rest.strip_prefix('c') {
                Some(_) => return false,
                None => rest = escape::parse_escape(rest, false, out).unwrap_or_default(),
            }
        } else if let Some(tail) = rest.strip_prefix('%') {
            out.push(b'%');
            rest = tail;
        } else {
            match parse_conversion(rest, arguments, out) {
                Some(tail) => rest = tail,
                None => return false,
            }
        }
    }
    out.extend_from_slice(rest.as_bytes());
    true
}

/// Parses and performs the conversion after a `%`; `None` if the output ends here.
fn parse_conversion<'a>(text: &'a str, arguments: &mut Arguments<'_>, out: &mut Vec<u8>) -> Option<&'a str> {
    let mut with = Conversion::default();
    let mut chars = text.chars().peekable();
    let mut taken = 0;
    while let Some(flag) = chars.next_if(|c| "-0+ #".contains(*c)) {
        taken += 1;
        match flag {
            '-' => with.left = true,
            '0' => with.zero = true,
            '#' => with.alternate = true,
            sign => with.sign = Some(sign),
        }
    }
    let mut number = |arguments: &mut Arguments<'_>| -> i64 {
        if chars.next_if_eq(&'*').is_some() {
            taken += 1;
            return arguments.next_integer();
        }
        let mut value = 0i64;
        while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
            chars.next();
            taken += 1;
            value = (value * 10 + i64::from(digit)).min(1 << 20);
        }
        value
    };
    let width = number(arguments);
    with.left |= width < 0;
    with.width = width.unsigned_abs().min(1 << 20) as usize;
    let tail = text.get(taken..).unwrap_or_default();
    if tail.starts_with('.') {
        let mut rest = tail.get(1..).unwrap_or_default();
        let precision = match rest.strip_prefix('*') {
            Some(tail) => {
                rest = tail;
                arguments.next_integer()
            }
            None => {
                let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
                let value = rest.get(..digits).and_then(|d| d.parse().ok()).unwrap_or(0);
                rest = rest.get(digits..).unwrap_or_default();
                value
            }
        };
        with.precision = usize::try_from(precision).ok().map(|n| n.min(1 << 20));
        return convert(rest, with, arguments, out);
    }
    convert(tail, with, arguments, out)
}

fn convert<'a>(text: &'a str, with: Conversion, arguments: &mut Arguments<'_>, out: &mut Vec<u8>) -> Option<&'a str> {
    let text = text.trim_start_matches(['l', 'h', 'q', 'L', 'j', 'z', 't']);
    let Some(letter) = text.chars().next() else {
        arguments.errors.push("printf: %: invalid format".into());
        return None;
    };
    let signed = |value: i64| match (value < 0, with.sign) {
        (true, _) => "-".to_string(),
        (false, Some(sign)) => sign.to_string(),
        (false, None) => String::new(),
    };
    match letter {
        's' => {
            let bytes = arguments.next();
            let end = with.precision.and_then(|n| bytes.char_indices().nth(n)).map(|(at, _)| at);
            with.pad("", bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default(), false, out);
        }
        'c' => {
            let argument = arguments.next();
            let first = argument.chars().next().map(String::from).unwrap_or_default();
            with.pad("", &first, false, out);
        }
        'b' => {
            if !with.push_escaped(arguments.next(), out) {
                return None;
            }
        }
        'd' | 'i' => {
            let value = arguments.next_integer();
            with.push_digits(&signed(value), value.unsigned_abs().to_string(), out);
        }
        'u' => with.push_digits("", (arguments.next_integer() as u64).to_string(), out),
        'o' => {
            let prefix = if with.alternate { "0" } else { "" };
            with.push_digits(prefix, format!("{:o}", arguments.next_integer()), out);
        }
        'x' => {
            let prefix = if with.alternate { "0x" } else { "" };
            with.push_digits(prefix, format!("{:x}", arguments.next_integer()), out);
        }
        'X' => {
            let prefix = if with.alternate { "0X" } else { "" };
            with.push_digits(prefix, format!("{:X}", arguments.next_integer()), out);
        }
        'f' | 'F' | 'e' | 'E' | 'g' | 'G' => {
            let value = arguments.next_float();
            let digits = format_float(value.abs(), letter, with.precision.unwrap_or(6));
            with.pad(&signed(if value.is_sign_negative() { -1 } else { 1 }), &digits, with.zero, out);
        }
        other => {
            arguments.errors.push(format!("printf: %{other}: invalid format"));
            return None;
        }
    }
    text.get(letter.len_utf8()..)
}

fn format_float(value: f64, letter: char, precision: usize) -> String {
    let text = match letter {
        'f' | 'F' => format!("{value:.precision$}"),
        'e' | 'E' => format_exponent(value, precision),
        _ => {
            let precision = precision.max(1);
            let power = if value == 0.0 { 0 } else { value.log10().floor() as i32 };
            let plain = match power < -4 || power >= precision as i32 {
                true => return shorten(format_exponent(value, precision - 1)),
                false => format!("{value:.*}", (precision as i32 - 1 - power).max(0) as usize),
            };
            shorten(plain)
        }
    };
    if letter.is_uppercase() { text.to_uppercase() } else { text }
}

/// Formats a number with an exponent of a sign and at least two digits, as in C.
fn format_exponent(value: f64, precision: usize) -> String {
    let text = format!("{value:.precision$e}");
    let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
    match power.strip_prefix('-') {
        Some(power) => format!("{digits}e-{power:0>2}"),
        None => format!("{digits}e+{power:0>2}"),
    }
}

/// Removes zeros at the end of the fraction, as `%g` does.
fn shorten(text: String) -> String {
    let (digits, power) = match text.find('e') {
        Some(at) => text.split_at(at),
        None => (text.as_str(), ""),
    };
    let digits = match digits.contains('.') {
        true => digits.trim_end_matches('0').trim_end_matches('.'),
        false => digits,
    };
    [digits, power].concat()
}

impl Conversion {
    /// Writes an integer; a precision is the minimum number of digits and disables zero padding.
    fn push_digits(&self, prefix: &str, digits: String, out: &mut Vec<u8>) {
        match self.precision {
            Some(least) => self.pad(prefix, &format!("{digits:0>least$}"), false, out),
            None => self.pad(prefix, &digits, self.zero, out),
        }
    }

    /// Writes the text of `%b`, padded; false if a `\c` in it ends the output.
    fn push_escaped(&self, text: &str, out: &mut Vec<u8>) -> bool {
        let mut bytes = Vec::new();
        let goes_on = escape_into(text, &mut bytes);
        let spaces = vec![b' '; self.width.saturating_sub(bytes.len())];
        let (first, second) = if self.left { (bytes, spaces) } else { (spaces, bytes) };
        out.extend(first);
        out.extend(second);
        goes_on
    }

    fn pad(&self, prefix: &str, text: &str, zero: bool, out: &mut Vec<u8>) {
        let missing = self.width.saturating_sub(prefix.chars().count() + text.chars().count());
        let (spaces, zeros, after) = match (self.left, zero) {
            (true, _) => (0, 0, missing),
            (false, true) => (0, missing, 0),
            (false, false) => (missing, 0, 0),
        };
        out.extend(std::iter::repeat_n(b' ', spaces));
        out.extend_from_slice(prefix.as_bytes());
        out.extend(std::iter::repeat_n(b'0', zeros));
        out.extend_from_slice(text.as_bytes());
        out.extend(std::iter::repeat_n(b' ', after));
    }
}
