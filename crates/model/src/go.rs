//! Formatting as Go's `fmt` does it, for messages in which Kubernetes quotes a client's input, and parsing as Go does it,
//! with its errors.

use std::fmt::Write;

use serde_json::Value;

/// Formats a string as `%q` does.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        let number = u32::from(c);
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            _ if is_printable(c) => out.push(c),
            // Writing to a String cannot fail.
            _ => drop(match number {
                0..0x80 => write!(out, "\\x{number:02x}"),
                0x80..0x10000 => write!(out, "\\u{number:04x}"),
                _ => write!(out, "\\U{number:08x}"),
            }),
        }
    }
    out.push('"');
    out
}

/// Returns whether Go prints the character unescaped (`strconv.IsPrint`).
pub fn is_printable(c: char) -> bool {
    matches!(c, '"' | '\'' | '\\') || c.escape_debug().len() == 1
}

/// Formats decoded JSON as `%v` does: `map[a:1 b:[x y]]`.
pub fn format_value(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".into(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(items) => format!("[{}]", items.iter().map(format_value).collect::<Vec<_>>().join(" ")),
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(name, _)| *name);
            let fields: Vec<String> =
                fields.iter().map(|(name, value)| format!("{name}:{}", format_value(value))).collect();
            format!("map[{}]", fields.join(" "))
        }
    }
}

/// The text is not of the wanted form; the message is Go's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseError(String);

/// Parses a decimal integer as `strconv.Atoi` does.
///
/// # Errors
/// The text is not an integer of 64 bits.
pub fn parse_int(text: &str) -> Result<i64, ParseError> {
    let error = |reason: &str| ParseError(format!("strconv.Atoi: parsing {}: {reason}", quote(text)));
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|c| c.is_ascii_digit()) {
        return Err(error("invalid syntax"));
    }
    text.parse().map_err(|_| error("value out of range"))
}

/// Nanoseconds of the units of durations.
const DURATION_UNITS: [(&str, f64); 8] = [
    ("ns", 1.0),
    ("us", 1e3),
    ("\u{b5}s", 1e3),
    ("\u{3bc}s", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 60.0 * 1e9),
    ("h", 3600.0 * 1e9),
];

/// Parses a duration such as `1h30m` as `time.ParseDuration` does.
///
/// # Errors
/// The text is not a duration, or exceeds its range.
pub fn parse_duration(text: &str) -> Result<jiff::SignedDuration, ParseError> {
    let error = |reason: String| ParseError(format!("time: {reason}duration {}", quote(text)));
    let invalid = || error("invalid ".into());
    let mut rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    if rest == "0" {
        return Ok(jiff::SignedDuration::ZERO);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut nanoseconds = 0.0;
    while !rest.is_empty() {
        let (number, after) = split_number(rest);
        let number: f64 = number.parse().map_err(|_| invalid())?;
        let unit_end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        if unit.is_empty() {
            return Err(error("missing unit in ".into()));
        }
        let known = DURATION_UNITS.iter().find(|(name, _)| *name == unit);
        let (_, length) = known.ok_or_else(|| error(format!("unknown unit {} in ", quote(unit))))?;
        nanoseconds += number * length;
        rest = after;
    }
    let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
    jiff::SignedDuration::try_from_secs_f64(sign * nanoseconds / 1e9).map_err(|_| invalid())
}

/// Splits digits with at most one point from the front of the text.
fn split_number(text: &str) -> (&str, &str) {
    let digits_end = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let mut end = digits_end(text);
    if let Some(fraction) = text.get(end..).and_then(|rest| rest.strip_prefix('.')) {
        end += 1 + digits_end(fraction);
    }
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_formatted_like_go() {
        let value = json!({"b": [1, "x y", null], "a": {"c": true}});
        assert_eq!(format_value(&value), "map[a:map[c:true] b:[1 x y <nil>]]");
        assert_eq!(quote("a\"\n\0\u{a0}ä"), "\"a\\\"\\n\\x00\\u00a0ä\"");
    }

    #[test]
    fn durations_are_parsed_like_go() {
        for (text, milliseconds) in [("0", 0), ("90s", 90_000), ("1h30m", 5_400_000), ("-1.5s", -1500), ("20ms", 20)] {
            let duration = jiff::SignedDuration::from_millis(milliseconds);
            assert_eq!(parse_duration(text), Ok(duration), "{text}");
        }
        for text in ["", "-", "s", ".s"] {
            assert_eq!(parse_duration(text), Err(ParseError(format!("time: invalid duration {text:?}"))));
        }
        let missing = ParseError("time: missing unit in duration \"1.2.3s\"".into());
        assert_eq!(parse_duration("1.2.3s"), Err(missing));
    }
}
