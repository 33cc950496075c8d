//! Writes values as YAML in kubectl's style.
//!
//! A string is left unquoted only if every YAML parser reads it as a string: `yes`, `0644` and `1e3`
//! are quoted.

use serde_json::{Map, Value};

use super::scalars::{Scalar, resolve};

/// Formats `value` as a YAML document that ends with a newline.
pub fn to_yaml(value: &Value) -> String {
    let mut text = String::new();
    match value {
        Value::Object(fields) if !fields.is_empty() => map(&mut text, fields, 0, false),
        Value::Array(items) if !items.is_empty() => list(&mut text, items, 0, false),
        leaf => {
            scalar(&mut text, leaf, 0);
            text.push('\n');
        }
    }
    text
}

/// Writes fields on a line each. `inline_first`: the first field continues the current line.
fn map(text: &mut String, fields: &Map<String, Value>, indent: usize, inline_first: bool) {
    for (index, (key, value)) in fields.iter().enumerate() {
        if index > 0 || !inline_first {
            pad(text, indent);
        }
        string(text, key, None);
        text.push(':');
        match value {
            Value::Object(fields) if !fields.is_empty() => {
                text.push('\n');
                map(text, fields, indent + 2, false);
            }
            Value::Array(items) if !items.is_empty() => {
                text.push('\n');
                list(text, items, indent, false);
            }
            leaf => {
                text.push(' ');
                scalar(text, leaf, indent);
                text.push('\n');
            }
        }
    }
}

/// Writes items after dashes, which are indented like the list's key.
fn list(text: &mut String, items: &[Value], indent: usize, inline_first: bool) {
    for (index, item) in items.iter().enumerate() {
        if index > 0 || !inline_first {
            pad(text, indent);
        }
        text.push_str("- ");
        match item {
            Value::Object(fields) if !fields.is_empty() => map(text, fields, indent + 2, true),
            Value::Array(items) if !items.is_empty() => list(text, items, indent + 2, true),
            leaf => {
                scalar(text, leaf, indent);
                text.push('\n');
            }
        }
    }
}

fn pad(text: &mut String, indent: usize) {
    text.extend(std::iter::repeat_n(' ', indent));
}

fn scalar(text: &mut String, value: &Value, indent: usize) {
    match value {
        Value::String(value) => string(text, value, Some(indent + 2)),
        Value::Object(_) => text.push_str("{}"),
        Value::Array(_) => text.push_str("[]"),
        Value::Null | Value::Bool(_) | Value::Number(_) => text.push_str(&value.to_string()),
    }
}

/// Writes a string; with `block`, an indentation, a string of several lines becomes a literal block.
fn string(text: &mut String, value: &str, block: Option<usize>) {
    match block {
        _ if is_plain(value) => text.push_str(value),
        Some(indent) if fits_literal_block(value) => literal(text, value, indent),
        _ => quoted(text, value),
    }
}

/// Returns whether every YAML parser reads the unquoted `value` as a string. Values that begin like a number are
/// restricted further: other parsers recognize more dates and times than kubectl does.
fn is_plain(value: &str) -> bool {
    let is_safe = |c: char| c.is_ascii_alphanumeric() || " _./-+=@(){}[],;%$&*?!~<>|^'\":".contains(c);
    let is_safe_form = match value.bytes().next() {
        Some(first) if first.is_ascii_alphabetic() || first == b'/' || first == b'_' => {
            value.chars().all(is_safe) && !value.contains(": ") && !value.ends_with([':', ' '])
        }
        Some(first) if first.is_ascii_digit() => {
            let dated = value.as_bytes().get(4) == Some(&b'-');
            !dated && value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-')
        }
        Some(b'-') => {
            let flag = value.trim_start_matches('-');
            let starts_with_letter = flag.starts_with(|c: char| c.is_ascii_alphabetic());
            starts_with_letter && flag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        }
        _ => false,
    };
    is_safe_form && resolve(value) == Scalar::String
}

/// Returns whether a literal block preserves `value` exactly.
fn fits_literal_block(value: &str) -> bool {
    let is_printable = |c: char| c == '\n' || c == '\t' || !(c.is_control() || "\u{2028}\u{2029}\u{feff}".contains(c));
    let starts_with_text = !value.starts_with([' ', '\t', '\n']);
    value.contains('\n') && starts_with_text && value.chars().all(is_printable) && !value.ends_with("\n\n")
}

fn literal(text: &mut String, value: &str, indent: usize) {
    text.push_str(if value.ends_with('\n') { "|" } else { "|-" });
    for line in value.lines() {
        text.push('\n');
        if !line.is_empty() {
            pad(text, indent);
            text.push_str(line);
        }
    }
}

/// Writes a JSON string, which is valid YAML, and also escapes what YAML reads as a line break or drops.
fn quoted(text: &mut String, value: &str) {
    for c in Value::from(value).to_string().chars() {
        match c {
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' => {
                text.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => text.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_match_kubectl() {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"labels": {"example.com/a": "b"}, "name": "p"},
            "spec": {
                "containers": [
                    {"args": ["-c", "echo 1\nexit 0\n", ""], "image": "busybox:1.36@sha256:00", "name": "c",
                     "ports": [{"containerPort": 80}], "resources": {"limits": {"cpu": "100m", "memory": "64Mi"}}},
                    {"name": "d", "env": [], "securityContext": {}},
                ],
                "matrix": [["a", "b"], []], "text": "a\n\n b", "ready": true, "none": null,
            },
            "status": {"podIP": "10.0.0.1", "startTime": "2026-11-20T10:55:44Z"},
        });
        let expected = r#"apiVersion: v1
kind: Pod
metadata:
  labels:
    example.com/a: b
  name: p
spec:
  containers:
  - args:
    - -c
    - |
      echo 1
      exit 0
    - ""
    image: busybox:1.36@sha256:00
    name: c
    ports:
    - containerPort: 80
    resources:
      limits:
        cpu: 100m
        memory: 64Mi
  - env: []
    name: d
    securityContext: {}
  matrix:
  - - a
    - b
  - []
  none: null
  ready: true
  text: |-
    a

     b
status:
  podIP: 10.0.0.1
  startTime: "2026-11-20T10:55:44Z"
"#;
        assert_eq!(to_yaml(&pod), expected);
        assert_eq!(to_yaml(&json!({})), "{}\n");
        assert_eq!(to_yaml(&json!("yes")), "\"yes\"\n");
    }

    #[test]
    fn ambiguous_strings_are_quoted() {
        let ambiguous = "y yes Yes no NO on off true null ~ 0644 0x1f 0o7 0b1 1e3 1.5 1. .5 -1 +1 12:30 12:30:45 \
                     2026-11-20 .inf - -- : a: #a &a *a !a %a @a `a {a [a 1_000";
        for text in ambiguous.split_whitespace().chain(["", " a", "a ", "a: b", "a #b", "\t", "é\u{85}", "\u{feff}"]) {
            let written = to_yaml(&json!(text));
            assert!(written.starts_with('"'), "{text:?}: {written}");
            assert_eq!(serde_yaml::from_str::<Value>(&written).expect("YAML"), json!(text));
        }
        for text in
            "-c --now-please 6824528f-8cb7-4639-8d52-1fb410108a25 a A/b a-b_c.d=e yesterday 1.14.2 64Mi 5s 10.0.0.1 spec.containers{c} http://a:80/b?c=d&e".split(' ')
        {
            assert_eq!(to_yaml(&json!(text)), format!("{text}\n"));
        }
    }

    proptest! {
        #[test]
        fn values_round_trip(value in any_value()) {
            let written = to_yaml(&value);
            let read: Value = serde_yaml::from_str(&written).map_err(|e| TestCaseError::fail(format!("{e}: {written}")))?;
            prop_assert_eq!(read, value, "{}", written);
        }
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let text = prop_oneof!["[ -~]{0,12}", "[a-z \n]{0,12}", "\\PC{0,6}", any::<String>()];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            text.clone().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, move |inner| {
            let fields = proptest::collection::vec((text.clone(), inner.clone()), 0..4);
            let object = fields.prop_map(|fields| Value::Object(fields.into_iter().collect()));
            prop_oneof![proptest::collection::vec(inner, 0..4).prop_map(Value::from), object]
        })
    }
}
