//! Expansion of `$(VAR)` in commands, arguments and environment values.

/// Maximum length in bytes of an expanded text, that of an argument or a variable on Linux (`MAX_ARG_STRLEN`). Without a
/// maximum, variables that refer to each other could grow exponentially.
pub const MAX_EXPANDED_BYTES: usize = 128 * 1024;

/// The error of a text that expands to more than [`MAX_EXPANDED_BYTES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expands to more than {} KiB", MAX_EXPANDED_BYTES / 1024)]
pub struct TooLong;

/// Replaces each `$(NAME)` with the value that `lookup` returns. Unknown references stay unchanged, and `$$`
/// becomes `$`, as in Kubernetes (`third_party/forked/golang/expansion`).
///
/// # Errors
/// [`TooLong`] if the result exceeds [`MAX_EXPANDED_BYTES`].
pub fn expand<'v>(text: &str, lookup: impl Fn(&str) -> Option<&'v str>) -> Result<String, TooLong> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while out.len() <= MAX_EXPANDED_BYTES
        && let Some(at) = rest.find('$')
    {
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
    if out.len() > MAX_EXPANDED_BYTES { Err(TooLong) } else { Ok(out) }
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
            assert_eq!(expand(text, lookup).as_deref(), Ok(want), "{text}");
        }
    }

    #[test]
    fn expanded_texts_are_bounded() {
        let half = "x".repeat(MAX_EXPANDED_BYTES / 2);
        let lookup = |_: &str| Some(half.as_str());
        assert_eq!(expand("$(A)$(A)", lookup).map(|text| text.len()), Ok(MAX_EXPANDED_BYTES));
        assert_eq!(expand("$(A)$(A).", lookup), Err(TooLong));
        assert_eq!(expand(&"$(A)".repeat(1_000_000), lookup), Err(TooLong));
    }
}
