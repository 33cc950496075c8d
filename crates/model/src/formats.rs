//! The formats of names and values. Each function returns the violations in the exact words of
//! `k8s.io/apimachinery` (`util/validation`).

use std::net::IpAddr;

/// Messages of a value's violations; empty for a valid value.
pub type Violations = Vec<String>;

const LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";

fn check_length(max: usize, text: &str, violations: &mut Violations) {
    if text.len() > max {
        violations.push(format!("must be no more than {max} characters"));
    }
}

fn check(holds: bool, violations: &mut Violations, message: impl FnOnce() -> String) {
    if !holds {
        violations.push(message());
    }
}

fn is_lower(c: u8) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit()
}

/// Returns whether the first and last bytes match `edge` and all others match `edge` or `inner`.
fn is_word(text: &str, edge: fn(u8) -> bool, inner: fn(u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    let ends = bytes.first().is_some_and(|c| edge(*c)) && bytes.last().is_some_and(|c| edge(*c));
    ends && bytes.iter().all(|c| edge(*c) || inner(*c))
}

fn is_label(text: &str) -> bool {
    is_word(text, is_lower, |c| c == b'-')
}

fn is_subdomain(text: &str) -> bool {
    text.split('.').all(is_label)
}

/// Checks a DNS label (RFC 1123): the name of a container, volume, host or namespace.
pub fn dns_label(text: &str) -> Violations {
    let mut violations = Violations::new();
    check_length(63, text, &mut violations);
    if !is_label(text) && is_subdomain(text) {
        violations.push("must not contain dots".into());
        return violations;
    }
    check(is_label(text), &mut violations, || {
        format!(
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and \
             end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '{LABEL}')"
        )
    });
    violations
}

/// Checks a DNS subdomain (RFC 1123): the name of most objects.
pub fn dns_subdomain(text: &str) -> Violations {
    let mut violations = Violations::new();
    check_length(253, text, &mut violations);
    check(is_subdomain(text), &mut violations, || {
        format!(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must \
             start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
             '{LABEL}(\\.{LABEL})*')"
        )
    });
    violations
}

/// Checks a DNS subdomain below a wildcard, `*.example.com`: the host of an Ingress.
pub fn wildcard_dns_subdomain(text: &str) -> Violations {
    let mut violations = Violations::new();
    check_length(253, text, &mut violations);
    check(text.strip_prefix("*.").is_some_and(is_subdomain), &mut violations, || {
        format!(
            "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist \
             of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. \
             '*.example.com', regex used for validation is '\\*\\.{LABEL}(\\.{LABEL})*')"
        )
    });
    violations
}

/// Checks a DNS subdomain whose labels may have underscores: a search domain.
pub fn dns_subdomain_with_underscores(text: &str) -> Violations {
    let mut violations = Violations::new();
    check_length(253, text, &mut violations);
    let label = |part: &str| is_word(part.strip_prefix('_').unwrap_or(part), is_lower, |c| matches!(c, b'-' | b'_'));
    check(text.split('.').all(label), &mut violations, || {
        let label = "_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?";
        format!(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and \
             must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
             '{label}(\\.{label})*')"
        )
    });
    violations
}

/// Checks a DNS label that starts with a letter (RFC 1035): the name of a Service.
pub fn dns_1035_label(text: &str) -> Violations {
    let mut violations = Violations::new();
    check_length(63, text, &mut violations);
    let fits = is_label(text) && text.starts_with(|c: char| c.is_ascii_lowercase());
    check(fits, &mut violations, || {
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic \
         character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation \
         is '[a-z]([-a-z0-9]*[a-z0-9])?')"
            .into()
    });
    violations
}

/// Checks a label's value.
pub fn label_value(text: &str) -> Violations {
    let mut violations = Violations::new();
    check(text.len() <= 63, &mut violations, || "must be no more than 63 bytes".into());
    check(text.is_empty() || is_name_part(text), &mut violations, || {
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start \
         and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for \
         validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
            .into()
    });
    violations
}

fn is_name_part(text: &str) -> bool {
    is_word(text, |c| c.is_ascii_alphanumeric(), |c| matches!(c, b'-' | b'_' | b'.'))
}

const NAME_PART: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
                         alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for \
                         validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

/// Checks a qualified name, `example.com/name` or `name`: the key of a label or annotation, a condition, a finalizer
/// or a resource.
pub fn qualified_name(text: &str) -> Violations {
    let mut violations = Violations::new();
    let name = match text.split_once('/') {
        Some((_, rest)) if rest.contains('/') => {
            violations.push(format!(
                "a valid label key {NAME_PART} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            ));
            return violations;
        }
        Some(("", name)) => {
            violations.push("prefix part must be non-empty".into());
            name
        }
        Some((prefix, name)) => {
            violations.extend(dns_subdomain(prefix).into_iter().map(|violation| format!("prefix part {violation}")));
            name
        }
        None => text,
    };
    check(!name.is_empty(), &mut violations, || "name part must be non-empty".into());
    check(name.len() <= 63, &mut violations, || "name part must be no more than 63 bytes".into());
    check(is_name_part(name), &mut violations, || format!("name part {NAME_PART}"));
    violations
}

/// Checks the name of a container's port.
pub fn port_name(text: &str) -> Violations {
    let mut violations = Violations::new();
    check_length(15, text, &mut violations);
    let charset = !text.is_empty() && text.bytes().all(|c| is_lower(c) || c == b'-');
    check(charset, &mut violations, || "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".into());
    let letter = text.bytes().any(|c| c.is_ascii_lowercase());
    check(letter, &mut violations, || "must contain at least one letter (a-z)".into());
    check(!text.contains("--"), &mut violations, || "must not contain consecutive hyphens".into());
    let edges = text.starts_with('-') || text.ends_with('-');
    check(!edges, &mut violations, || "must not begin or end with a hyphen".into());
    violations
}

/// Checks that a number is between `low` and `high`.
pub fn between(low: i64, high: i64, number: i64) -> Violations {
    let mut violations = Violations::new();
    check((low..=high).contains(&number), &mut violations, || format!("must be between {low} and {high}, inclusive"));
    violations
}

/// Checks a port number.
pub fn port_number(number: i32) -> Violations {
    between(1, 65535, i64::from(number))
}

/// Checks a user or group ID.
pub fn id_number(number: i64) -> Violations {
    between(0, i64::from(i32::MAX), number)
}

/// Checks the name of an environment variable.
pub fn env_var_name(text: &str) -> Violations {
    let mut violations = Violations::new();
    check(!text.is_empty(), &mut violations, || "environment variable name must be non-empty".into());
    let printable = text.chars().all(|c| (' '..='~').contains(&c) && c != '=');
    check(printable, &mut violations, || {
        "a valid environment variable name must consist only of printable ASCII characters other than '='".into()
    });
    violations
}

/// Checks a key of a ConfigMap or Secret.
pub fn config_map_key(text: &str) -> Violations {
    let mut violations = Violations::new();
    check_length(253, text, &mut violations);
    let charset =
        !text.is_empty() && text.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.'));
    check(charset, &mut violations, || {
        "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or \
         'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
            .into()
    });
    match text {
        "." => violations.push("must not be '.'".into()),
        ".." => violations.push("must not be '..'".into()),
        _ if text.starts_with("..") => violations.push("must not start with '..'".into()),
        _ => {}
    }
    violations
}

/// Checks the name of an HTTP header.
pub fn http_header_name(text: &str) -> Violations {
    let mut violations = Violations::new();
    let charset = !text.is_empty() && text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-');
    check(charset, &mut violations, || {
        "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for \
         validation is '[-A-Za-z0-9]+')"
            .into()
    });
    violations
}

/// Checks an IP address of either family.
pub fn ip_address(text: &str) -> Violations {
    let mut violations = Violations::new();
    check(text.parse::<IpAddr>().is_ok(), &mut violations, || {
        "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)".into()
    });
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_accept_what_kubernetes_accepts() {
        let long = "x".repeat(64);
        for (format, good, bad) in [
            (
                dns_label as fn(&str) -> Violations,
                vec!["a", "0", "a-b"],
                vec!["", "-a", "a-", "A", "a.b", long.as_str()],
            ),
            (dns_subdomain, vec!["a", "a.b-c.0"], vec!["", "a..b", ".a", "A", "-a"]),
            (dns_subdomain_with_underscores, vec!["_a.b_c"], vec!["a_.b", "__a"]),
            (wildcard_dns_subdomain, vec!["*.a", "*.a.b"], vec!["", "a.b", "*", "*.", "*a.b", "a.*.b"]),
            (dns_1035_label, vec!["a", "a1"], vec!["1a", "", "a.b"]),
            (label_value, vec!["", "A_b.c-1"], vec!["-a", "a b", long.as_str()]),
            (qualified_name, vec!["a", "a.b/C_d"], vec!["", "/a", "a/", "A/b", "a/b/c", "a b"]),
            (port_name, vec!["http", "a-1"], vec!["", "1", "a--b", "-a", "averyveryverylongname"]),
            (env_var_name, vec!["A", "1 b"], vec!["", "a=b", "\u{e9}"]),
            (config_map_key, vec!["a", ".a", "_"], vec!["", ".", "..", "..a", "a/b"]),
            (http_header_name, vec!["X-A"], vec!["", "a b", "a_b"]),
            (ip_address, vec!["1.2.3.4", "::1"], vec!["", "1.2.3", "999.1.1.1", "01.1.1.1"]),
        ] {
            for text in good {
                assert_eq!(format(text), Violations::new(), "{text:?}");
            }
            for text in bad {
                assert!(!format(text).is_empty(), "{text:?}");
            }
        }
    }
}
