//! Formatting as Go's `fmt` does it, for messages in which Kubernetes quotes a client's input.

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
}
