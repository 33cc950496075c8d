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

/// The candidate that a typing error most likely meant: at most a third of its letters differ.
pub fn nearest<'a>(name: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let distances = candidates.iter().map(|c| (distance(&name.to_lowercase(), &c.to_lowercase()), *c));
    let (d, best) = distances.min_by_key(|(d, _)| *d)?;
    (d <= best.chars().count().div_ceil(3).min(3)).then_some(best)
}

/// Edits (insert, delete, replace, swap of neighbours) between two words.
pub fn distance(a: &str, b: &str) -> usize {
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
