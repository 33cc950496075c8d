//! Names as Kubernetes allows them, and the nearest of a set of names.
//!
//! Messages are `k8s.io/apimachinery`'s (`util/validation`), to the letter.

/// DNS-1123 label (RFC 1123): container and volume names.
pub fn check_dns_label(name: &str) -> Result<(), String> {
    if name.len() > 63 {
        return Err("must be no more than 63 characters".into());
    }
    let ok = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    let edge = |c: Option<&u8>| c.is_some_and(|c| *c != b'-' && ok(*c));
    let bytes = name.as_bytes();
    if bytes.iter().all(|c| ok(*c)) && edge(bytes.first()) && edge(bytes.last()) {
        return Ok(());
    }
    Err("a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and \
         end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
         '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
        .into())
}

/// DNS-1123 subdomain: pod names.
pub fn check_dns_subdomain(name: &str) -> Result<(), String> {
    if name.len() > 253 {
        return Err("must be no more than 253 characters".into());
    }
    let label = |part: &str| {
        let ok = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        !part.is_empty() && part.bytes().all(ok) && !part.starts_with('-') && !part.ends_with('-')
    };
    if name.split('.').all(label) {
        return Ok(());
    }
    Err("a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must \
         start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
         '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
        .into())
}

/// What is wrong with a qualified name: the keys of labels and annotations, condition types.
pub fn qualified_name_faults(name: &str) -> Vec<String> {
    let must = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
                alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
                '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
    let mut faults = Vec::new();
    let name = match name.split_once('/') {
        None => name,
        Some((_, name)) if name.contains('/') => {
            let optional = "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
            return vec![format!("a qualified name {must} {optional}")];
        }
        Some((prefix, name)) => {
            let prefixed =
                if prefix.is_empty() { Err("must be non-empty".into()) } else { check_dns_subdomain(prefix) };
            faults.extend(prefixed.err().map(|fault| format!("prefix part {fault}")));
            name
        }
    };
    if name.is_empty() {
        faults.push("name part must be non-empty".into());
    } else if name.len() > 63 {
        faults.push("name part must be no more than 63 bytes".into());
    }
    if name.is_empty() || !is_label_value(name) {
        faults.push(format!("name part {must}"));
    }
    faults
}

/// What is wrong with a label's value.
pub fn label_value_faults(value: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if value.len() > 63 {
        faults.push("must be no more than 63 bytes".into());
    }
    if !is_label_value(value) {
        let must = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and \
                    must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', \
                    regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
        faults.push(must.into());
    }
    faults
}

/// Empty, or letters, digits, `-_.` inside.
fn is_label_value(text: &str) -> bool {
    let inside = text.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_.".contains(&c));
    let edge = |c: Option<u8>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    inside && edge(text.bytes().next()) && edge(text.bytes().last())
}

/// The candidate that a typing error most likely meant: at most a third of its letters differ.
pub fn nearest<'a>(name: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let distances = candidates.iter().map(|c| (distance(&name.to_lowercase(), &c.to_lowercase()), *c));
    let (d, best) = distances.min_by_key(|(d, _)| *d)?;
    (d <= best.chars().count().div_ceil(3).min(3)).then_some(best)
}

/// Edits (insert, delete, replace, swap of neighbours) between two words.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let cell = |row: &[usize], k: usize| row.get(k).copied().unwrap_or(usize::MAX - 1);
            let mut best = (cell(&last, j) + usize::from(x != y)).min(cell(&last, j + 1) + 1).min(cell(&row, j) + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x);
            if swapped {
                best = best.min(cell(&before_last, j - 1) + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_finds_typing_errors_and_no_strangers() {
        let fields = ["resources", "restartPolicy", "image", "livenessProbe"];
        for (typed, meant) in [
            ("resouces", Some("resources")),
            ("limage", Some("image")),
            ("RestartPolicy", Some("restartPolicy")),
            ("volumes", None),
        ] {
            assert_eq!(nearest(typed, &fields), meant, "{typed}");
        }
    }

    #[test]
    fn qualified_names_and_label_values_are_judged_part_by_part() {
        for (name, faults) in [
            ("a", 0),
            ("A.b_c-1", 0),
            ("example.com/a", 0),
            ("", 2),
            ("-a", 1),
            ("a b", 1),
            ("/a", 1),
            ("A B/c", 1),
            ("a/", 2),
            ("a/b/c", 1),
        ] {
            assert_eq!(qualified_name_faults(name).len(), faults, "{name:?}");
        }
        for (value, faults) in [("", 0), ("a", 0), ("1.0_b-C", 0), ("-a", 1), ("a.", 1), ("a/b", 1)] {
            assert_eq!(label_value_faults(value).len(), faults, "{value:?}");
        }
        assert_eq!(qualified_name_faults(&"a".repeat(64)), ["name part must be no more than 63 bytes"]);
        assert_eq!(label_value_faults(&"a".repeat(64)), ["must be no more than 63 bytes"]);
    }

    #[test]
    fn labels_and_subdomains_follow_rfc_1123() {
        for (name, label, subdomain) in [
            ("a", true, true),
            ("a-b.c", false, true),
            ("-a", false, false),
            ("A", false, false),
            ("", false, false),
            ("a..b", false, false),
        ] {
            assert_eq!(check_dns_label(name).is_ok(), label, "label {name:?}");
            assert_eq!(check_dns_subdomain(name).is_ok(), subdomain, "subdomain {name:?}");
        }
    }
}
