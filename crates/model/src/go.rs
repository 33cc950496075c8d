//! Values in the words of Go's `fmt`, in which Kubernetes shows what clients sent.

use std::fmt::Write;

use serde_json::Value;

/// `%q` of a text.
pub fn quoted(text: &str) -> String {
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
            // Writing into a String does not fail.
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

/// Whether Go prints the letter as it is.
pub fn is_printable(c: char) -> bool {
    matches!(c, '"' | '\'' | '\\') || c.escape_debug().len() == 1
}

/// `%v` of what JSON was read into: `map[a:1 b:[x y]]`.
pub fn shown(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".into(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(" ")),
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(name, _)| *name);
            let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name}:{}", shown(value))).collect();
            format!("map[{}]", fields.join(" "))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_shown_as_go_shows_them() {
        let value = json!({"b": [1, "x y", null], "a": {"c": true}});
        assert_eq!(shown(&value), "map[a:map[c:true] b:[1 x y <nil>]]");
        assert_eq!(quoted("a\"\n\0\u{a0}ä"), "\"a\\\"\\n\\x00\\u00a0ä\"");
    }
}
