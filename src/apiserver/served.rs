//! What the API serves: one table, from which requests are routed, discovery is told and the
//! OpenAPI documents are written, so that they never part ways.

use std::borrow::Cow;

use super::events_v1;
use crate::control::{Object, Resource};

/// A resource in a version of a group.
#[derive(Debug, PartialEq, Eq)]
pub struct Served {
    /// Empty for the core group.
    pub group: &'static str,
    /// `v1`
    pub version: &'static str,
    /// What is stored.
    pub resource: Resource,
    /// `pod`
    pub singular: &'static str,
    /// `po`
    pub short_names: &'static [&'static str],
    /// Names of sets of resources: `kubectl get all`.
    pub categories: &'static [&'static str],
    /// Whether its objects lie in namespaces.
    pub namespaced: bool,
    /// What may be done to it, sorted.
    pub verbs: &'static [&'static str],
    /// What lies below an object, sorted by name.
    pub subresources: &'static [Subresource],
    /// Kubernetes' hash of the kind that is stored, by which clients know a migration.
    pub storage_version_hash: &'static str,
}

/// A part of an object with a path of its own.
#[derive(Debug, PartialEq, Eq)]
pub struct Subresource {
    /// `log`
    pub name: &'static str,
    /// The group of its kind, and the version of that group; empty for the object's own.
    pub group: &'static str,
    /// See [`Subresource::group`].
    pub version: &'static str,
    /// The kind of what is answered.
    pub kind: &'static str,
    /// What may be done to it, sorted.
    pub verbs: &'static [&'static str],
}

const READ: &[&str] = &["get", "list", "watch"];
const ALL: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
const PART: &[&str] = &["get", "patch", "update"];

const fn below(name: &'static str, kind: &'static str, verbs: &'static [&'static str]) -> Subresource {
    Subresource { name, group: "", version: "", kind, verbs }
}

/// Sorted by group, version and name.
pub static SERVED: [Served; 7] = [
    Served {
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
    Served {
        group: "",
        version: "v1",
        resource: Resource::EVENTS,
        singular: "event",
        short_names: &["ev"],
        categories: &[],
        namespaced: true,
        verbs: READ,
        subresources: &[],
        storage_version_hash: "r2yiGXH7wu8=",
    },
    Served {
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
    Served {
        group: "",
        version: "v1",
        resource: Resource::NODES,
        singular: "node",
        short_names: &["no"],
        categories: &[],
        namespaced: false,
        verbs: READ,
        subresources: &[below("status", "Node", &["get"])],
        storage_version_hash: "XwShjMxG9Fs=",
    },
    Served {
        group: "",
        version: "v1",
        resource: Resource::PODS,
        singular: "pod",
        short_names: &["po"],
        categories: &["all"],
        namespaced: true,
        verbs: ALL,
        subresources: &[
            below("binding", "Binding", &["create"]),
            below("ephemeralcontainers", "Pod", PART),
            Subresource { name: "eviction", group: "policy", version: "v1", kind: "Eviction", verbs: &["create"] },
            below("log", "Pod", &["get"]),
            below("resize", "Pod", PART),
            below("status", "Pod", PART),
        ],
        storage_version_hash: "xPOwRZ+Yhw8=",
    },
    Served {
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
    Served {
        group: "events.k8s.io",
        version: "v1",
        resource: Resource::EVENTS,
        singular: "event",
        short_names: &["ev"],
        categories: &[],
        namespaced: true,
        verbs: READ,
        subresources: &[],
        storage_version_hash: "r2yiGXH7wu8=",
    },
];

/// The resource that a URL names.
pub fn find(group: &str, version: &str, plural: &str) -> Option<&'static Served> {
    SERVED.iter().find(|s| s.group == group && s.version == version && s.resource.plural == plural)
}

/// All resources of a version of a group.
pub fn of_version(group: &str, version: &str) -> impl Iterator<Item = &'static Served> {
    SERVED.iter().filter(move |s| s.group == group && s.version == version)
}

/// The groups and their versions, the core group first; of a group's versions the preferred first.
pub fn versions() -> Vec<(&'static str, &'static str)> {
    let mut versions: Vec<_> = SERVED.iter().map(|s| (s.group, s.version)).collect();
    versions.dedup();
    versions
}

/// `v1`, `events.k8s.io/v1`
pub fn group_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.into() } else { format!("{group}/{version}") }
}

/// `api/v1`, `apis/events.k8s.io/v1`: where the resources of a version lie.
pub fn root(group: &str, version: &str) -> String {
    if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") }
}

impl Served {
    /// `v1`, `events.k8s.io/v1`
    pub fn api_version(&self) -> String {
        group_version(self.group, self.version)
    }

    /// Whether `verb` may be done to it.
    pub fn allows(&self, verb: &str) -> bool {
        self.verbs.contains(&verb)
    }

    /// The subresource `name`.
    pub fn subresource(&self, name: &str) -> Option<&'static Subresource> {
        self.subresources.iter().find(|subresource| subresource.name == name)
    }

    /// Whether objects are sent as they are stored.
    pub fn is_stored_form(&self) -> bool {
        self.group.is_empty()
    }

    /// A stored object as this version writes it.
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
    fn the_table_is_sorted_and_each_resource_stands_in_it_once() {
        let keys: Vec<_> = SERVED.iter().map(|s| (s.group, s.version, s.resource.plural)).collect();
        assert!(keys.is_sorted() && keys.windows(2).all(|pair| pair[0] != pair[1]), "{keys:?}");
        for served in &SERVED {
            assert!(served.verbs.is_sorted(), "{keys:?}");
            assert!(served.subresources.iter().map(|s| s.name).is_sorted(), "{keys:?}");
        }
    }

    #[test]
    fn resources_are_found_by_their_urls() {
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
