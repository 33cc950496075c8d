//! What a URL of the Kubernetes API means.
//!
//! `/api/v1/namespaces/NS/pods/NAME/log` and `/apis/GROUP/VERSION/…` alike become a [`Target`];
//! parameters become [`Params`]. Nothing is looked up here.

use percent_encoding::percent_decode_str;

/// Which resource a path names; the parts are as the client wrote them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Empty for the core group.
    pub group: String,
    /// `v1`
    pub version: String,
    /// `pods`
    pub resource: String,
    /// `None` for all namespaces, and for what lies in none.
    pub namespace: Option<String>,
    /// `None` for the collection.
    pub name: Option<String>,
    /// `log`, `status`, …
    pub subresource: Option<String>,
}

impl Target {
    /// Reads the path of a request; `None` where it names no resource.
    pub fn of(path: &str) -> Option<Target> {
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
        // A namespace's own subresources look like resources in it.
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
            None => Some(Target { group, version, resource, namespace, name, subresource }),
        }
    }
}

/// The parameters of a URL, in its order.
#[derive(Debug, Clone, Default)]
pub struct Params(Vec<(String, String)>);

impl Params {
    /// Reads what stands behind the `?`.
    pub fn of(query: Option<&str>) -> Params {
        let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        Params(pairs.into_owned().collect())
    }

    /// The value of `name`; the first where it is there several times. An empty one counts as missing.
    pub fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(known, _)| known == name)?;
        Some(value.as_str()).filter(|value| !value.is_empty())
    }

    /// All values of `name`, empty ones too.
    pub fn all<'p>(&'p self, name: &'p str) -> impl Iterator<Item = &'p str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Whether `name` is there and doesn't say no: as Kubernetes reads flags, `watch`, `watch=1`
    /// and `watch=true` are alike.
    pub fn flag(&self, name: &str) -> bool {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.is_some_and(|(_, value)| !matches!(value.to_lowercase().as_str(), "0" | "false"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_resources_as_in_kubernetes() {
        for (path, wanted) in [
            ("/api/v1/pods", Some("|v1|pods|-|-|-")),
            ("/api/v1/namespaces/a%20b/pods", Some("|v1|pods|a b|-|-")),
            ("/api/v1/namespaces/ns/pods/p/log", Some("|v1|pods|ns|p|log")),
            ("/api/v1/namespaces", Some("|v1|namespaces|-|-|-")),
            ("/api/v1/namespaces/ns", Some("|v1|namespaces|-|ns|-")),
            ("/api/v1/namespaces/ns/status", Some("|v1|namespaces|-|ns|status")),
            ("/api/v1/nodes/n", Some("|v1|nodes|-|n|-")),
            ("/apis/events.k8s.io/v1/namespaces/ns/events", Some("events.k8s.io|v1|events|ns|-|-")),
            ("/api/v1/namespaces/ns/pods/p/proxy/x", None),
            ("/api/v1/namespaces/ns//p", None),
            ("/api/v1", None),
            ("/metrics", None),
            ("/", None),
        ] {
            let shown = Target::of(path).map(|t| {
                let or_dash = |o: Option<String>| o.unwrap_or("-".into());
                let (ns, name, sub) = (or_dash(t.namespace), or_dash(t.name), or_dash(t.subresource));
                format!("{}|{}|{}|{ns}|{name}|{sub}", t.group, t.version, t.resource)
            });
            assert_eq!(shown.as_deref(), wanted, "{path}");
        }
    }

    #[test]
    fn flags_are_on_unless_they_say_no() {
        for (query, on) in [
            ("", false),
            ("watch", true),
            ("watch=1", true),
            ("watch=true", true),
            ("watch=0", false),
            ("watch=False", false),
        ] {
            assert_eq!(Params::of(Some(query)).flag("watch"), on, "{query}");
        }
        assert_eq!(Params::of(Some("a=%2Fx&a=y&b=")).get("a"), Some("/x"));
        assert_eq!(Params::of(Some("b=")).get("b"), None);
        assert!(Params::of(Some("a=x&b=y&a=")).all("a").eq(["x", ""]));
    }
}
