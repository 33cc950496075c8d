//! Parses the URLs of the Kubernetes API.
//!
//! `/api/v1/namespaces/NS/pods/NAME/log` and `/apis/GROUP/VERSION/…` alike become a [`Target`];
//! query parameters become [`Params`]. Whether the resource exists is not checked here.

use percent_encoding::percent_decode_str;

/// The resource that a path names; its parts are not validated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// API group; empty for the core group.
    pub group: String,
    /// API version, such as `v1`.
    pub version: String,
    /// Resource, such as `pods`.
    pub resource: String,
    /// Namespace; `None` for all namespaces and for cluster-scoped resources.
    pub namespace: Option<String>,
    /// Object name; `None` for the collection.
    pub name: Option<String>,
    /// Subresource, such as `log` or `status`.
    pub subresource: Option<String>,
    /// What follows the subresource `proxy`, percent-encoded: empty or with a leading slash.
    pub remainder: String,
}

impl Target {
    /// Parses the path of a request; returns `None` if it does not name a resource.
    pub fn parse(path: &str) -> Option<Target> {
        let (path, remainder) = split_proxy_path(path);
        let mut parts = Vec::new();
        for part in path.trim_matches('/').split('/') {
            parts.push(percent_decode_str(part).decode_utf8().ok()?.into_owned());
        }
        let mut parts = parts.into_iter();
        let (group, version) = match parts.next()?.as_str() {
            "api" => (String::new(), parts.next()?),
            "apis" => (parts.next()?, parts.next()?),
            _ => return None,
        };
        let mut rest: Vec<String> = parts.collect();
        if rest.iter().any(String::is_empty) {
            return None;
        }
        // The subresources of a namespace look like resources in it.
        let of_namespace = matches!(rest.get(2).map(String::as_str), Some("status" | "finalize")) && rest.len() == 3;
        let namespaced = rest.first().is_some_and(|r| r == "namespaces") && rest.len() > 2 && !of_namespace;
        let namespace = if namespaced {
            rest.remove(0);
            Some(rest.remove(0))
        } else {
            None
        };
        let mut rest = rest.into_iter();
        let (resource, name, subresource) = (rest.next()?, rest.next(), rest.next());
        match rest.next() {
            Some(_) => None,
            None => {
                Some(Target { group, version, resource, namespace, name, subresource, remainder: remainder.into() })
            }
        }
    }
}

/// Splits the path of a proxy request behind `namespaces/NS/pods/NAME/proxy`; other paths have no remainder.
fn split_proxy_path(path: &str) -> (&str, &str) {
    const PROXY: &str = "/proxy";
    const SEGMENTS_BEFORE: usize = 6;
    let mut slashes = path.match_indices('/').map(|(at, _)| at);
    let subresource = slashes.nth(SEGMENTS_BEFORE).and_then(|at| path.split_at_checked(at));
    match subresource.and_then(|(_, rest)| rest.strip_prefix(PROXY)) {
        Some(remainder) if remainder.is_empty() || remainder.starts_with('/') => {
            path.split_at_checked(path.len() - remainder.len()).unwrap_or((path, ""))
        }
        Some(_) | None => (path, ""),
    }
}

/// The query parameters of a URL, in order.
#[derive(Debug, Clone, Default)]
pub struct Params(Vec<(String, String)>);

impl Params {
    /// Parses a query string.
    pub fn parse(query: Option<&str>) -> Params {
        let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        Params(pairs.into_owned().collect())
    }

    /// Returns the first value of `name`, unless it is empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(known, _)| known == name)?;
        Some(value.as_str()).filter(|value| !value.is_empty())
    }

    /// Returns all values of `name`, empty ones included.
    pub fn all<'p>(&'p self, name: &'p str) -> impl Iterator<Item = &'p str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Returns whether the flag `name` is set. As in Kubernetes, any value but `0` and `false` sets it.
    pub fn flag(&self, name: &str) -> bool {
        let parameter = self.0.iter().find(|(known, _)| known == name);
        parameter.is_some_and(|(_, value)| !matches!(value.to_lowercase().as_str(), "0" | "false"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_parsed_as_in_kubernetes() {
        for (path, expected) in [
            ("/api/v1/pods", Some("|v1|pods|-|-|-")),
            ("/api/v1/namespaces/a%20b/pods", Some("|v1|pods|a b|-|-")),
            ("/api/v1/namespaces/ns/pods/p/log", Some("|v1|pods|ns|p|log")),
            ("/api/v1/namespaces", Some("|v1|namespaces|-|-|-")),
            ("/api/v1/namespaces/ns", Some("|v1|namespaces|-|ns|-")),
            ("/api/v1/namespaces/ns/status", Some("|v1|namespaces|-|ns|status")),
            ("/api/v1/nodes/n", Some("|v1|nodes|-|n|-")),
            ("/apis/events.k8s.io/v1/namespaces/ns/events", Some("events.k8s.io|v1|events|ns|-|-")),
            ("/api/v1/namespaces/ns/pods/p/proxy", Some("|v1|pods|ns|p|proxy")),
            ("/api/v1/namespaces/ns/pods/p/proxy//x/", Some("|v1|pods|ns|p|proxy//x/")),
            ("/api/v1/namespaces/ns/pods/p/log/x", None),
            ("/api/v1/namespaces/ns//p", None),
            ("/api/v1", None),
            ("/metrics", None),
            ("/", None),
        ] {
            let shown = Target::parse(path).map(|t| {
                let or_dash = |o: Option<String>| o.unwrap_or("-".into());
                let (ns, name, sub) = (or_dash(t.namespace), or_dash(t.name), or_dash(t.subresource));
                format!("{}|{}|{}|{ns}|{name}|{sub}{}", t.group, t.version, t.resource, t.remainder)
            });
            assert_eq!(shown.as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn flags_are_set_unless_0_or_false() {
        for (query, on) in [
            ("", false),
            ("watch", true),
            ("watch=1", true),
            ("watch=true", true),
            ("watch=0", false),
            ("watch=False", false),
        ] {
            assert_eq!(Params::parse(Some(query)).flag("watch"), on, "{query}");
        }
        assert_eq!(Params::parse(Some("a=%2Fx&a=y&b=")).get("a"), Some("/x"));
        assert_eq!(Params::parse(Some("b=")).get("b"), None);
        assert!(Params::parse(Some("a=x&b=y&a=")).all("a").eq(["x", ""]));
    }
}
