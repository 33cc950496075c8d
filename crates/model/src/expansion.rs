//! Expansion of `$(VAR)` in commands, arguments and environment values.

/// Replaces each `$(NAME)` with the value that `lookup` returns. Unknown references stay unchanged, and `$$`
/// becomes `$`, as in Kubernetes (`third_party/forked/golang/expansion`).
pub fn expand<'v>(text: &str, lookup: impl Fn(&str) -> Option<&'v str>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let after = &from[1..];
        if let Some(next) = after.strip_prefix('$') {
            out.push('$');
            rest = next;
        } else if let Some((name, next)) = after.strip_prefix('(').and_then(|inner| inner.split_once(')')) {
            match lookup(name) {
                Some(value) => out.push_str(value),
                None => {
                    out.push_str("$(");
                    out.push_str(name);
                    out.push(')');
                }
            }
            rest = next;
        } else {
            out.push('$');
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_expand_as_in_kubernetes() {
        let lookup = |name: &str| (name == "A").then_some("x$(B)");
        for (text, want) in [
            ("$(A)", "x$(B)"),
            ("$$(A)", "$(A)"),
            ("$$$(A)", "$x$(B)"),
            ("$(B)-$(A", "$(B)-$(A"),
            ("100$", "100$"),
            ("$A ${A}", "$A ${A}"),
        ] {
            assert_eq!(expand(text, lookup), want, "{text}");
        }
    }
}
