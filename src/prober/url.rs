//! Addresses of HTTP requests: as Go makes them of a probe's path, and as redirects change them.

use std::fmt;

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Url {
    pub https: bool,
    /// Without brackets.
    pub host: String,
    pub port: u16,
    /// As the address spells host and port, which is what `Host` says.
    pub authority: String,
    /// Path and query, encoded; begins with a slash.
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

    /// Where a `Location` leads that came from here; `None` where it is no address of HTTP.
    pub fn joined(&self, location: &str) -> Option<Url> {
        let location = location.split('#').next().unwrap_or_default();
        if let Some(rest) = location.strip_prefix("//") {
            return absolute(self.https, rest);
        }
        if let Some((scheme, rest)) = location.split_once("://")
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
        {
            return match scheme.to_ascii_lowercase().as_str() {
                "http" => absolute(false, rest),
                "https" => absolute(true, rest),
                _ => None,
            };
        }
        let path = self.target.split('?').next().unwrap_or_default();
        let target = match location.chars().next() {
            None => self.target.clone(),
            Some('/') => location.into(),
            Some('?') => format!("{path}{location}"),
            Some(_) => format!("{}/{location}", path.rsplit_once('/').map_or("", |(folder, _)| folder)),
        };
        Some(Url { target: encoded(&without_dots(&target)), ..self.clone() })
    }
}

/// What stands behind `scheme://`.
fn absolute(https: bool, rest: &str) -> Option<Url> {
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
    Some(Url { https, host, port, authority: host_and_port.into(), target: encoded(&without_dots(target)) })
}

/// The request target of a probe's `path`, which may have a query. A path that is no part of an
/// address is taken literally, as Kubernetes does.
pub(super) fn target(path: &str) -> String {
    let path = path.split('#').next().unwrap_or_default();
    let is_literal =
        path.chars().any(char::is_control) || !escapes_are_whole(path.split('?').next().unwrap_or_default());
    let path = match is_literal {
        true => path.replace('%', "%25").replace('?', "%3F"),
        false => path.into(),
    };
    encoded(&path)
}

fn escapes_are_whole(path: &str) -> bool {
    let hexadecimal = |text: &str| text.len() == 2 && text.bytes().all(|b| b.is_ascii_hexdigit());
    path.split('%').skip(1).all(|rest| rest.get(..2).is_some_and(hexadecimal))
}

/// `target` with a slash before it, and only bytes that may stand in a request.
fn encoded(target: &str) -> String {
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

/// The target with `.` and `..` resolved in its path.
fn without_dots(target: &str) -> String {
    let (path, query) = target.split_at_checked(target.find('?').unwrap_or(target.len())).unwrap_or((target, ""));
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/').skip(1) {
        match part {
            "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    if path.ends_with("/.") || path.ends_with("/..") {
        parts.push("");
    }
    format!("/{}{query}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probes_path_becomes_a_request_target() {
        for (path, wanted) in [
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
            assert_eq!(target(path), wanted, "{path:?}");
        }
    }

    #[test]
    fn locations_lead_where_a_browser_would_go() {
        let from = Url::new(false, "10.0.0.1", 8080, "/a/b?c".into());
        for (location, wanted) in [
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
            assert_eq!(from.joined(location).map(|url| url.to_string()).as_deref(), wanted, "{location}");
        }
        let secure = from.joined("https://[::1]/").expect("an address");
        assert_eq!((secure.host.as_str(), secure.port), ("::1", 443));
    }
}
