//! Indentation of JSON text, as Go's `json.MarshalIndent` writes it. Fields keep their order.

/// Indents valid JSON by two spaces, without a newline at the end.
pub fn indent(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len() + json.len() / 2);
    let (mut depth, mut in_string, mut is_escaped, mut is_opened) = (0_usize, false, false, false);
    for byte in json.iter().copied() {
        if in_string {
            out.push(byte);
            in_string = byte != b'"' || is_escaped;
            is_escaped = byte == b'\\' && !is_escaped;
            continue;
        }
        if byte.is_ascii_whitespace() {
            continue;
        }
        let is_closing = matches!(byte, b'}' | b']');
        if is_closing {
            depth = depth.saturating_sub(1);
        }
        // An empty object or array stays on its line.
        if is_opened != is_closing {
            begin_line(&mut out, depth);
        }
        out.push(byte);
        is_opened = matches!(byte, b'{' | b'[');
        match byte {
            b'{' | b'[' => depth += 1,
            b',' => begin_line(&mut out, depth),
            b':' => out.push(b' '),
            b'"' => in_string = true,
            _ => {}
        }
    }
    out
}

fn begin_line(out: &mut Vec<u8>, depth: usize) {
    out.push(b'\n');
    out.resize(out.len() + 2 * depth, b' ');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn indented(json: &str) -> String {
        String::from_utf8(indent(json.as_bytes())).expect("text")
    }

    #[test]
    fn json_is_indented_as_go_does() {
        for (json, want) in [
            ("{}\n", "{}"),
            ("[ ]", "[]"),
            ("1", "1"),
            (r#"{"b":1,"a":[]}"#, "{\n  \"b\": 1,\n  \"a\": []\n}"),
            (
                r#"[{"a":{}},[1,-2.5e3,null]]"#,
                "[\n  {\n    \"a\": {}\n  },\n  [\n    1,\n    -2.5e3,\n    null\n  ]\n]",
            ),
            (r#"{"a\"{":"\\","b":"[1, 2]:\\\""}"#, "{\n  \"a\\\"{\": \"\\\\\",\n  \"b\": \"[1, 2]:\\\\\\\"\"\n}"),
        ] {
            assert_eq!(indented(json), want, "{json}");
            assert_eq!(indented(want), want, "{json}");
        }
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![any::<i64>().prop_map(Into::into), "[ -~é]{0,8}".prop_map(serde_json::Value::from)];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::vec(("[ -~é]{0,4}", inner), 0..4)
                    .prop_map(|fields| serde_json::Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn indentation_agrees_with_serde_json(value in any_json()) {
            let want = serde_json::to_string_pretty(&value).expect("JSON");
            prop_assert_eq!(indented(&value.to_string()), want);
        }
    }
}
