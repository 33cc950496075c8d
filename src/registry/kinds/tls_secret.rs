//! Warnings about secrets with a certificate, in the words of Go's `crypto/tls`. Whether key and certificate belong
//! together is not checked.

/// Returns the warning about a certificate and its key.
pub fn warning(certificate: &[u8], key: &[u8]) -> Option<String> {
    certificate_warning(&block_types(certificate)).or_else(|| key_warning(&block_types(key)))
}

fn certificate_warning(types: &[String]) -> Option<String> {
    let input = "certificate input";
    match types {
        types if types.iter().any(|kind| kind == "CERTIFICATE") => None,
        [] => Some(format!("tls: failed to find any PEM data in {input}")),
        [kind] if is_key(kind) => Some(format!(
            "tls: failed to find certificate PEM data in {input}, but did find a private key; PEM inputs may have been \
             switched"
        )),
        types => Some(format!(
            "tls: failed to find \"CERTIFICATE\" PEM block in {input} after skipping PEM blocks of the following types: {}",
            list(types)
        )),
    }
}

fn key_warning(types: &[String]) -> Option<String> {
    match types {
        types if types.iter().any(|kind| is_key(kind)) => None,
        [] => Some("tls: failed to find any PEM data in key input".into()),
        [kind] if kind == "CERTIFICATE" => {
            Some("tls: found a certificate rather than a key in the PEM for the private key".into())
        }
        types => Some(format!(
            "tls: failed to find PEM block with type ending in \"PRIVATE KEY\" in key input after skipping PEM blocks of \
             the following types: {}",
            list(types)
        )),
    }
}

fn is_key(kind: &str) -> bool {
    kind == "PRIVATE KEY" || kind.ends_with(" PRIVATE KEY")
}

fn list(types: &[String]) -> String {
    format!("[{}]", types.join(" "))
}

/// Returns the types of the PEM blocks in a text.
fn block_types(text: &[u8]) -> Vec<String> {
    let (mut types, mut open) = (Vec::new(), None);
    for line in String::from_utf8_lossy(text).lines().map(str::trim_end) {
        if let Some(kind) = line.strip_prefix("-----BEGIN ").and_then(|rest| rest.strip_suffix("-----")) {
            open = Some(kind.to_string());
        } else if let Some(kind) = line.strip_prefix("-----END ").and_then(|rest| rest.strip_suffix("-----")) {
            types.extend(open.take().filter(|begun| begun == kind));
        }
    }
    types
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_and_keys_are_told_apart() {
        let block = |kind: &str| format!("-----BEGIN {kind}-----\nAAAA\n-----END {kind}-----\n");
        let (certificate, key) = (block("CERTIFICATE"), block("EC PRIVATE KEY"));
        for (a, b, want) in [
            (certificate.as_str(), key.as_str(), None),
            ("x", key.as_str(), Some("tls: failed to find any PEM data in certificate input")),
            (certificate.as_str(), "y", Some("tls: failed to find any PEM data in key input")),
            (
                key.as_str(),
                certificate.as_str(),
                Some(
                    "tls: failed to find certificate PEM data in certificate input, but did find a private key; PEM inputs \
                     may have been switched",
                ),
            ),
            (
                certificate.as_str(),
                certificate.as_str(),
                Some("tls: found a certificate rather than a key in the PEM for the private key"),
            ),
        ] {
            assert_eq!(warning(a.as_bytes(), b.as_bytes()).as_deref(), want, "{a} {b}");
        }
    }
}
