//! The formats that names and values must have. Each function returns what is wrong, in the words of
//! `k8s.io/apimachinery` (`util/validation`), to the letter; nothing where all is well.

use std::net::IpAddr;

/// What is wrong with a text; usually nothing, often one thing, sometimes more.
pub type Wrongs = Vec<String>;

const LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";

fn at_most(characters: usize, text: &str, wrongs: &mut Wrongs) {
    if text.len() > characters {
        wrongs.push(format!("must be no more than {characters} characters"));
    }
}

fn expect(holds: bool, wrongs: &mut Wrongs, words: impl FnOnce() -> String) {
    if !holds {
        wrongs.push(words());
    }
}

fn is_lower(c: u8) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit()
}

/// Begins and ends with what `edge` allows; between, `inner` is allowed, too.
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

/// A DNS label (RFC 1123): containers, volumes, host names, namespaces.
pub fn dns_label(text: &str) -> Wrongs {
    let mut wrongs = Wrongs::new();
    at_most(63, text, &mut wrongs);
    if !is_label(text) && is_subdomain(text) {
        wrongs.push("must not contain dots".into());
        return wrongs;
    }
    expect(is_label(text), &mut wrongs, || {
        format!(
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and \
             end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '{LABEL}')"
        )
    });
    wrongs
}

/// A DNS subdomain (RFC 1123): the names of most objects.
pub fn dns_subdomain(text: &str) -> Wrongs {
    let mut wrongs = Wrongs::new();
    at_most(253, text, &mut wrongs);
    expect(is_subdomain(text), &mut wrongs, || {
        format!(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must \
             start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
             '{LABEL}(\\.{LABEL})*')"
        )
    });
    wrongs
}

/// A DNS subdomain whose labels may have underscores: search domains.
pub fn dns_subdomain_with_underscores(text: &str) -> Wrongs {
    let mut wrongs = Wrongs::new();
    at_most(253, text, &mut wrongs);
    let label = |part: &str| is_word(part.strip_prefix('_').unwrap_or(part), is_lower, |c| matches!(c, b'-' | b'_'));
    expect(text.split('.').all(label), &mut wrongs, || {
        let label = "_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?";
        format!(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and \
             must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
             '{label}(\\.{label})*')"
        )
    });
    wrongs
}

/// A DNS label that starts with a letter (RFC 1035): Services.
pub fn dns_1035_label(text: &str) -> Wrongs {
    let mut wrongs = Wrongs::new();
    at_most(63, text, &mut wrongs);
    let fits = is_label(text) && text.starts_with(|c: char| c.is_ascii_lowercase());
    expect(fits, &mut wrongs, || {
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic \
         character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation \
         is '[a-z]([-a-z0-9]*[a-z0-9])?')"
            .into()
    });
    wrongs
}

/// A label's value.
pub fn label_value(text: &str) -> Wrongs {
    let mut wrongs = Wrongs::new();
    expect(text.len() <= 63, &mut wrongs, || "must be no more than 63 bytes".into());
    expect(text.is_empty() || is_name_part(text), &mut wrongs, || {
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start \
         and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for \
         validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
            .into()
    });
    wrongs
}

fn is_name_part(text: &str) -> bool {
    is_word(text, |c| c.is_ascii_alphanumeric(), |c| matches!(c, b'-' | b'_' | b'.'))
}

const NAME_PART: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
                         alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for \
                         validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

/// A qualified name, `example.com/name` or `name`: keys of labels and annotations, conditions, finalizers, resources.
pub fn qualified_name(text: &str) -> Wrongs {
    let mut wrongs = Wrongs::new();
    let name = match text.split_once('/') {
        Some((_, rest)) if rest.contains('/') => {
            wrongs.push(format!(
                "a valid label key {NAME_PART} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            ));
            return wrongs;
        }
        Some(("", name)) => {
            wrongs.push("prefix part must be non-empty".into());
            name
        }
        Some((prefix, name)) => {
            wrongs.extend(dns_subdomain(prefix).into_iter().map(|wrong| format!("prefix part {wrong}")));
            name
        }
        None => text,
    };
    expect(!name.is_empty(), &mut wrongs, || "name part must be non-empty".into());
    expect(name.len() <= 63, &mut wrongs, || "name part must be no more than 63 bytes".into());
    expect(is_name_part(name), &mut wrongs, || format!("name part {NAME_PART}"));
    wrongs
}

/// The name of a container's port.
pub fn port_name(text: &str) -> Wrongs {
    let mut wrongs = Wrongs::new();
    at_most(15, text, &mut wrongs);
    let charset = !text.is_empty() && text.bytes().all(|c| is_lower(c) || c == b'-');
    expect(charset, &mut wrongs, || "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".into());
    let letter = text.bytes().any(|c| c.is_ascii_lowercase());
    expect(letter, &mut wrongs, || "must contain at least one letter (a-z)".into());
    expect(!text.contains("--"), &mut wrongs, || "must not contain consecutive hyphens".into());
    let edges = text.starts_with('-') || text.ends_with('-');
    expect(!edges, &mut wrongs, || "must not begin or end with a hyphen".into());
    wrongs
}

/// A number from `low` to `high`.
pub fn between(low: i64, high: i64, number: i64) -> Wrongs {
    let mut wrongs = Wrongs::new();
    expect((low..=high).contains(&number), &mut wrongs, || format!("must be between {low} and {high}, inclusive"));
    wrongs
}

/// A port's number.
pub fn port_number(number: i32) -> Wrongs {
    between(1, 65535, i64::from(number))
}

/// A user's or a group's number.
pub fn id_number(number: i64) -> Wrongs {
    between(0, i64::from(i32::MAX), number)
}

/// The name of an environment variable.
pub fn env_var_name(text: &str) -> Wrongs {
    let mut wrongs = Wrongs::new();
    expect(!text.is_empty(), &mut wrongs, || "environment variable name must be non-empty".into());
    let printable = text.chars().all(|c| (' '..='~').contains(&c) && c != '=');
    expect(printable, &mut wrongs, || {
        "a valid environment variable name must consist only of printable ASCII characters other than '='".into()
    });
    wrongs
}

/// A key of a ConfigMap or a Secret.
pub fn config_map_key(text: &str) -> Wrongs {
    let mut wrongs = Wrongs::new();
    at_most(253, text, &mut wrongs);
    let charset =
        !text.is_empty() && text.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.'));
    expect(charset, &mut wrongs, || {
        "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or \
         'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
            .into()
    });
    match text {
        "." => wrongs.push("must not be '.'".into()),
        ".." => wrongs.push("must not be '..'".into()),
        _ if text.starts_with("..") => wrongs.push("must not start with '..'".into()),
        _ => {}
    }
    wrongs
}

/// The name of an HTTP header.
pub fn http_header_name(text: &str) -> Wrongs {
    let mut wrongs = Wrongs::new();
    let charset = !text.is_empty() && text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-');
    expect(charset, &mut wrongs, || {
        "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for \
         validation is '[-A-Za-z0-9]+')"
            .into()
    });
    wrongs
}

/// An IP address of either family.
pub fn ip_address(text: &str) -> Wrongs {
    let mut wrongs = Wrongs::new();
    expect(text.parse::<IpAddr>().is_ok(), &mut wrongs, || {
        "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)".into()
    });
    wrongs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_take_what_kubernetes_takes() {
        let long = "x".repeat(64);
        for (format, good, bad) in [
            (dns_label as fn(&str) -> Wrongs, vec!["a", "0", "a-b"], vec!["", "-a", "a-", "A", "a.b", long.as_str()]),
            (dns_subdomain, vec!["a", "a.b-c.0"], vec!["", "a..b", ".a", "A", "-a"]),
            (dns_subdomain_with_underscores, vec!["_a.b_c"], vec!["a_.b", "__a"]),
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
                assert_eq!(format(text), Wrongs::new(), "{text:?}");
            }
            for text in bad {
                assert!(!format(text).is_empty(), "{text:?}");
            }
        }
    }
}
