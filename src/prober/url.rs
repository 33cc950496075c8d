//! URLs of HTTP requests: built from a probe's path as Go does, and changed by redirects.

use std::fmt;

/// The URL of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Url {
    pub https: bool,
    /// The host, without brackets.
    pub host: String,
    pub port: u16,
    /// Host and port as the URL spells them, which is the `Host` header.
    pub authority: String,
    /// Path and query, encoded, with a leading slash.
    pub target: String,
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.target)
    }
}

impl Url {
    pub fn new(https: bool, host: &str, port: u16, target: String) -> Url {
        let authority = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        Url { https, host: host.into(), port, authority, target }
    }

    /// Resolves a `Location` header relative to this URL; `None` if it is not an HTTP URL.
    pub fn join(&self, location: &str) -> Option<Url> {
        let location = location.split('#').next().unwrap_or_default();
        if let Some(rest) = location.strip_prefix("//") {
            return parse_absolute(self.https, rest);
        }
        if let Some((scheme, rest)) = location.split_once("://")
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
        {
            return match scheme.to_ascii_lowercase().as_str() {
                "http" => parse_absolute(false, rest),
                "https" => parse_absolute(true, rest),
                _ => None,
            };
        }
        let path = self.target.split('?').next().unwrap_or_default();
        let target = match location.chars().next() {
            None => self.target.clone(),
            Some('/') => location.into(),
            Some('?') => format!("{path}{location}"),
            Some(_) => format!("{}/{location}", path.rsplit_once('/').map_or("", |(parent, _)| parent)),
        };
        Some(Url { target: encode(&remove_dot_segments(&target)), ..self.clone() })
    }
}

/// Parses the part of a URL after `scheme://`.
fn parse_absolute(https: bool, rest: &str) -> Option<Url> {
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at_checked(end)?;
    let host_and_port = authority.rsplit('@').next().unwrap_or_default();
    let (host, port) = match host_and_port.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port).filter(|port| !port.is_empty())),
        _ => (host_and_port, None),
    };
    let port = match port {
        Some(port) => port.parse().ok()?,
        None => 80 + 363 * u16::from(https),
    };
    let host = host.trim_matches(['[', ']']).to_string();
    Some(Url { https, host, port, authority: host_and_port.into(), target: encode(&remove_dot_segments(target)) })
}

/// Returns the request target of a probe's `path`, which may have a query. A path that is not a valid part of
/// a URL is taken literally, as by Kubernetes.
pub(super) fn request_target(path: &str) -> String {
    let path = path.split('#').next().unwrap_or_default();
    let is_literal =
        path.chars().any(char::is_control) || !has_valid_escapes(path.split('?').next().unwrap_or_default());
    let path = match is_literal {
        true => path.replace('%', "%25").replace('?', "%3F"),
        false => path.into(),
    };
    encode(&path)
}

fn has_valid_escapes(path: &str) -> bool {
    let is_hexadecimal = |text: &str| text.len() == 2 && text.bytes().all(|b| b.is_ascii_hexdigit());
    path.split('%').skip(1).all(|rest| rest.get(..2).is_some_and(is_hexadecimal))
}

/// Percent-encodes `target` and adds a leading slash.
fn encode(target: &str) -> String {
    let mut encoded = String::with_capacity(target.len() + 1);
    if !target.starts_with('/') {
        encoded.push('/');
    }
    for byte in target.bytes() {
        match byte {
            b'!'..=b'~' if !b"\"<>\\^`{|}".contains(&byte) => encoded.push(char::from(byte)),
            _ => encoded.push_str(percent_encoding::percent_encode_byte(byte)),
        }
    }
    encoded
}

/// Resolves `.` and `..` in the target's path.
fn remove_dot_segments(target: &str) -> String {
    let (path, query) = target.split_at_checked(target.find('?').unwrap_or(target.len())).unwrap_or((target, ""));
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/').skip(1) {
        match segment {
            "." => {}
            ".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    if path.ends_with("/.") || path.ends_with("/..") {
        segments.push("");
    }
    format!("/{}{query}", segments.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probe_paths_become_request_targets_as_in_go() {
        for (path, expected) in [
            ("", "/"),
            ("/healthz", "/healthz"),
            ("healthz", "/healthz"),
            ("/a?b=c&d", "/a?b=c&d"),
            ("/a#b", "/a"),
            ("/with space", "/with%20space"),
            ("/ä", "/%C3%A4"),
            ("/50%25", "/50%25"),
            ("/50%?x", "/50%25%3Fx"),
        ] {
            assert_eq!(request_target(path), expected, "{path:?}");
        }
    }

    #[test]
    fn locations_resolve_relative_to_the_url() {
        let from = Url::new(false, "10.0.0.1", 8080, "/a/b?c".into());
        for (location, expected) in [
            ("/x", Some("http://10.0.0.1:8080/x")),
            ("x", Some("http://10.0.0.1:8080/a/x")),
            ("../x?y", Some("http://10.0.0.1:8080/x?y")),
            ("./", Some("http://10.0.0.1:8080/a/")),
            ("?z", Some("http://10.0.0.1:8080/a/b?z")),
            ("//other/x", Some("http://other/x")),
            ("https://10.0.0.1:8443/x#y", Some("https://10.0.0.1:8443/x")),
            ("HTTP://[::1]:9", Some("http://[::1]:9/")),
            ("/to?url=http://elsewhere", Some("http://10.0.0.1:8080/to?url=http://elsewhere")),
            ("ftp://10.0.0.1/", None),
            ("http://h:99999/", None),
        ] {
            assert_eq!(from.join(location).map(|url| url.to_string()).as_deref(), expected, "{location}");
        }
        let secure = from.join("https://[::1]/").expect("a URL");
        assert_eq!((secure.host.as_str(), secure.port), ("::1", 443));
    }
}
