//! The table of served resources, from which routing, discovery and the OpenAPI documents are derived.

use std::borrow::Cow;

use super::events_v1;
use crate::control::{Object, Resource};

/// A resource in an API group and version.
#[derive(Debug, PartialEq, Eq)]
pub struct ServedResource {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// API version, such as `v1`.
    pub version: &'static str,
    /// The stored resource.
    pub resource: Resource,
    /// Singular name, such as `pod`.
    pub singular: &'static str,
    /// Short names, such as `po`.
    pub short_names: &'static [&'static str],
    /// Categories, such as `all` of `kubectl get all`.
    pub categories: &'static [&'static str],
    /// Whether objects have a namespace.
    pub namespaced: bool,
    /// Supported verbs, sorted.
    pub verbs: &'static [&'static str],
    /// Subresources, sorted by name.
    pub subresources: &'static [ServedSubresource],
    /// Kubernetes' hash of the stored version, by which clients detect a migration.
    pub storage_version_hash: &'static str,
}

/// A subresource of an object.
#[derive(Debug, PartialEq, Eq)]
pub struct ServedSubresource {
    /// Name, such as `log`.
    pub name: &'static str,
    /// API group of `kind`; empty together with `version` if they are those of the resource.
    pub group: &'static str,
    /// API version of `kind`; see `group`.
    pub version: &'static str,
    /// Kind of the response.
    pub kind: &'static str,
    /// Supported verbs, sorted.
    pub verbs: &'static [&'static str],
}

const READ_ONLY: &[&str] = &["get", "list", "watch"];
const ALL: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
/// Streams: GET upgrades to WebSocket, POST to SPDY.
const CONNECT: &[&str] = &["create", "get"];
const READ_WRITE: &[&str] = &["get", "patch", "update"];

const fn subresource(name: &'static str, kind: &'static str, verbs: &'static [&'static str]) -> ServedSubresource {
    ServedSubresource { name, group: "", version: "", kind, verbs }
}

impl ServedSubresource {
    /// Returns whether requests are passed on to a server in a pod.
    pub fn is_proxy(&self) -> bool {
        self.name == "proxy"
    }

    /// Returns whether requests open a stream into a pod.
    pub fn is_stream(&self) -> bool {
        matches!(self.name, "attach" | "exec" | "portforward")
    }
}

/// Sorted by group, version and name.
pub static SERVED: [ServedResource; 7] = [
    ServedResource {
        group: "",
        version: "v1",
        resource: Resource::CONFIG_MAPS,
        singular: "configmap",
        short_names: &["cm"],
        categories: &[],
        namespaced: true,
        verbs: ALL,
        subresources: &[],
        storage_version_hash: "qFsyl6wFWjQ=",
    },
    ServedResource {
        group: "",
        version: "v1",
        resource: Resource::EVENTS,
        singular: "event",
        short_names: &["ev"],
        categories: &[],
        namespaced: true,
        verbs: READ_ONLY,
        subresources: &[],
        storage_version_hash: "r2yiGXH7wu8=",
    },
    ServedResource {
        group: "",
        version: "v1",
        resource: Resource::NAMESPACES,
        singular: "namespace",
        short_names: &["ns"],
        categories: &[],
        namespaced: false,
        verbs: &["create", "get", "list", "patch", "update", "watch"],
        subresources: &[],
        storage_version_hash: "Q3oi5N2YM8M=",
    },
    ServedResource {
        group: "",
        version: "v1",
        resource: Resource::NODES,
        singular: "node",
        short_names: &["no"],
        categories: &[],
        namespaced: false,
        verbs: READ_ONLY,
        subresources: &[subresource("status", "Node", &["get"])],
        storage_version_hash: "XwShjMxG9Fs=",
    },
    ServedResource {
        group: "",
        version: "v1",
        resource: Resource::PODS,
        singular: "pod",
        short_names: &["po"],
        categories: &["all"],
        namespaced: true,
        verbs: ALL,
        subresources: &[
            subresource("attach", "PodAttachOptions", CONNECT),
            subresource("binding", "Binding", &["create"]),
            subresource("ephemeralcontainers", "Pod", READ_WRITE),
            ServedSubresource {
                name: "eviction",
                group: "policy",
                version: "v1",
                kind: "Eviction",
                verbs: &["create"],
            },
            subresource("exec", "PodExecOptions", CONNECT),
            subresource("log", "Pod", &["get"]),
            subresource("portforward", "PodPortForwardOptions", CONNECT),
            subresource("proxy", "PodProxyOptions", &["create", "delete", "get", "patch", "update"]),
            subresource("resize", "Pod", READ_WRITE),
            subresource("status", "Pod", READ_WRITE),
        ],
        storage_version_hash: "xPOwRZ+Yhw8=",
    },
    ServedResource {
        group: "",
        version: "v1",
        resource: Resource::SECRETS,
        singular: "secret",
        short_names: &[],
        categories: &[],
        namespaced: true,
        verbs: ALL,
        subresources: &[],
        storage_version_hash: "S6u1pOWzb84=",
    },
    ServedResource {
        group: "events.k8s.io",
        version: "v1",
        resource: Resource::EVENTS,
        singular: "event",
        short_names: &["ev"],
        categories: &[],
        namespaced: true,
        verbs: READ_ONLY,
        subresources: &[],
        storage_version_hash: "r2yiGXH7wu8=",
    },
];

/// Returns the resource that a URL names.
pub fn find(group: &str, version: &str, plural: &str) -> Option<&'static ServedResource> {
    SERVED.iter().find(|s| s.group == group && s.version == version && s.resource.plural == plural)
}

/// Returns all resources of a group and version.
pub fn resources_of(group: &str, version: &str) -> impl Iterator<Item = &'static ServedResource> {
    SERVED.iter().filter(move |s| s.group == group && s.version == version)
}

/// Returns all groups and versions: the core group first, and each group's preferred version first.
pub fn versions() -> Vec<(&'static str, &'static str)> {
    let mut versions: Vec<_> = SERVED.iter().map(|s| (s.group, s.version)).collect();
    versions.dedup();
    versions
}

/// Returns the API version, such as `v1` or `events.k8s.io/v1`.
pub fn group_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.into() } else { format!("{group}/{version}") }
}

/// Returns the root path of a group and version: `api/v1`, `apis/events.k8s.io/v1`.
pub fn path_root(group: &str, version: &str) -> String {
    if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") }
}

/// Returns the name of a resource's type, such as `io.k8s.api.core.v1.Pod`, or of its list.
pub fn type_name(served: &ServedResource, list: bool) -> String {
    let group = match served.group {
        "" => "core",
        group => group.split('.').next().unwrap_or(group),
    };
    let list = if list { "List" } else { "" };
    format!("io.k8s.api.{group}.{}.{}{list}", served.version, served.resource.kind)
}

impl ServedResource {
    /// Returns the API version, such as `v1` or `events.k8s.io/v1`.
    pub fn api_version(&self) -> String {
        group_version(self.group, self.version)
    }

    /// Returns whether the resource supports `verb`.
    pub fn allows(&self, verb: &str) -> bool {
        self.verbs.contains(&verb)
    }

    /// Returns the subresource `name`.
    pub fn subresource(&self, name: &str) -> Option<&'static ServedSubresource> {
        self.subresources.iter().find(|subresource| subresource.name == name)
    }

    /// Returns whether objects are served in their stored encoding.
    pub fn is_served_as_stored(&self) -> bool {
        self.group.is_empty()
    }

    /// Encodes a stored object in this group and version.
    pub fn encode<'o>(&self, object: &'o Object) -> Result<Cow<'o, [u8]>, serde_json::Error> {
        match (self.group, self.resource) {
            ("events.k8s.io", Resource::EVENTS) => Ok(Cow::Owned(events_v1::encode(object)?)),
            _ => Ok(Cow::Borrowed(&object.json)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_sorted_and_has_no_duplicates() {
        let keys: Vec<_> = SERVED.iter().map(|s| (s.group, s.version, s.resource.plural)).collect();
        assert!(keys.is_sorted() && keys.windows(2).all(|pair| pair[0] != pair[1]), "{keys:?}");
        for served in &SERVED {
            assert!(served.verbs.is_sorted(), "{keys:?}");
            assert!(served.subresources.iter().map(|s| s.name).is_sorted(), "{keys:?}");
        }
    }

    #[test]
    fn resources_are_found_by_group_version_and_name() {
        assert_eq!(find("", "v1", "pods").map(|s| s.resource), Some(Resource::PODS));
        assert!(
            find("", "v1", "podz").is_none() && find("", "v2", "pods").is_none() && find("x", "v1", "pods").is_none()
        );
        let pods = find("", "v1", "pods").expect("pods");
        assert!(pods.allows("watch") && !pods.allows("connect"));
        assert!(pods.subresource("log").is_some() && pods.subresource("wings").is_none());
        assert_eq!(versions(), [("", "v1"), ("events.k8s.io", "v1")]);
    }
}
