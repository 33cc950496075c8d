//! Discovery documents: groups, versions, resources, and the server's version.
//!
//! All of them are generated from [`served`](super::served). kubectl reads the aggregated documents;
//! older clients follow `/apis` to each version.

use serde_json::{Map, Value, json};

use super::accept::DiscoveryFormat;
use super::served::{self, ServedResource};
use crate::model::object::{api_version, root_path};
use crate::model::version;
use crate::registry::strategy::SubresourceInfo;

/// Returns `/version`. Commit, date and Go version are empty: a build does not know them.
pub fn version() -> Value {
    json!({
        "major": version::MAJOR,
        "minor": version::MINOR,
        "gitVersion": version::GIT_VERSION,
        "gitCommit": "",
        "gitTreeState": "",
        "buildDate": "",
        "goVersion": "",
        "compiler": "rustc",
        "platform": platform(),
    })
}

/// Returns the platform by its Go name, such as `linux/amd64`.
fn platform() -> String {
    let system = match std::env::consts::OS {
        "macos" => "darwin",
        other => other,
    };
    format!("{system}/{}", version::architecture())
}

/// Returns `/`: the paths of the API, and `others`.
pub fn paths(others: &[&str]) -> Value {
    let mut paths: Vec<String> = others.iter().map(ToString::to_string).collect();
    paths.extend(["/api".into(), "/apis".into(), "/openapi/v3".into(), "/version".into()]);
    for (group, version) in served::versions() {
        let root = format!("/{}", root_path(group, version));
        paths.push(format!("/openapi/v3{root}"));
        if !group.is_empty() {
            paths.push(format!("/apis/{group}"));
        }
        paths.push(root);
    }
    paths.sort_unstable();
    // A group has several versions.
    paths.dedup();
    json!({ "paths": paths })
}

/// Returns `/api`: the versions of the core group. `address` is the one at which the client reached this server.
pub fn api(form: DiscoveryFormat, address: &str) -> Value {
    match aggregated_api_version(form) {
        Some(api_version) => {
            let core = served::versions().filter(|(group, _)| group.is_empty());
            aggregated_list(api_version, core)
        }
        None => json!({
            "kind": "APIVersions",
            "versions": versions_of("").collect::<Vec<_>>(),
            "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
        }),
    }
}

/// Returns `/apis`: all other groups.
pub fn apis(form: DiscoveryFormat) -> Value {
    let groups = || served::versions().filter(|(group, _)| !group.is_empty());
    match aggregated_api_version(form) {
        Some(api_version) => aggregated_list(api_version, groups()),
        None => {
            let mut names: Vec<&str> = groups().map(|(group, _)| group).collect();
            names.dedup();
            let groups: Vec<Value> = names.into_iter().map(group_description).collect();
            json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
        }
    }
}

/// Returns `/apis/GROUP`, if there is such a group.
pub fn group(name: &str) -> Option<Value> {
    versions_of(name).next().filter(|_| !name.is_empty())?;
    let mut group = json!({"kind": "APIGroup", "apiVersion": "v1"});
    if let (Value::Object(group), Value::Object(rest)) = (&mut group, group_description(name)) {
        group.extend(rest);
    }
    Some(group)
}

/// Returns `/api/VERSION` or `/apis/GROUP/VERSION`, if it is served.
pub fn resources(group: &str, version: &str) -> Option<Value> {
    served::resources_of(group, version).next()?;
    let mut list = Map::new();
    list.insert("kind".into(), "APIResourceList".into());
    if !group.is_empty() {
        list.insert("apiVersion".into(), "v1".into());
    }
    list.insert("groupVersion".into(), api_version(group, version).into());
    let resources = served::resources_of(group, version).flat_map(|served| {
        let subresources = served.info().subresources.iter().map(move |subresource| {
            let mut resource = json!({
                "name": format!("{}/{}", served.plural(), subresource.name),
                "singularName": "",
                "namespaced": served.is_namespaced(),
                "kind": subresource.kind,
                "verbs": subresource.verbs,
            });
            if let (false, Some(fields)) = (subresource.group.is_empty(), resource.as_object_mut()) {
                fields.insert("group".into(), subresource.group.into());
                fields.insert("version".into(), subresource.version.into());
            }
            resource
        });
        std::iter::once(resource(served)).chain(subresources)
    });
    list.insert("resources".into(), resources.collect());
    Some(list.into())
}

fn resource(served: ServedResource) -> Value {
    let mut resource = json!({
        "name": served.plural(),
        "singularName": served.info().singular,
        "namespaced": served.is_namespaced(),
        "kind": served.kind_name(),
        "verbs": served.info().verbs,
    });
    add_names(&mut resource, served);
    if let (false, Some(fields)) = (served.info().storage_version_hash.is_empty(), resource.as_object_mut()) {
        fields.insert("storageVersionHash".into(), served.info().storage_version_hash.into());
    }
    resource
}

/// Adds short names and categories, if there are any.
fn add_names(resource: &mut Value, served: ServedResource) {
    for (key, names) in [("shortNames", served.info().short_names), ("categories", served.info().categories)] {
        if let (false, Some(fields)) = (names.is_empty(), resource.as_object_mut()) {
            fields.insert(key.into(), names.into());
        }
    }
}

/// Returns an `APIGroup` without its kind.
fn group_description(group: &str) -> Value {
    let versions: Vec<Value> = versions_of(group)
        .map(|version| json!({"groupVersion": api_version(group, version), "version": version}))
        .collect();
    json!({"name": group, "versions": versions, "preferredVersion": versions.first()})
}

fn versions_of(group: &str) -> impl Iterator<Item = &'static str> {
    served::versions().filter(move |(name, _)| *name == group).map(|(_, version)| version)
}

// ---------------------------------------------------------------- aggregated

fn aggregated_api_version(form: DiscoveryFormat) -> Option<&'static str> {
    match form {
        DiscoveryFormat::Unaggregated(_) => None,
        DiscoveryFormat::AggregatedV2 => Some("apidiscovery.k8s.io/v2"),
        DiscoveryFormat::AggregatedV2Beta1 => Some("apidiscovery.k8s.io/v2beta1"),
    }
}

/// Returns an `APIGroupDiscoveryList`: groups with their versions and all resources.
fn aggregated_list(api_version: &str, versions: impl Iterator<Item = (&'static str, &'static str)>) -> Value {
    let mut groups: Vec<(&str, Vec<Value>)> = Vec::new();
    for (group, version) in versions {
        let resources: Vec<Value> = served::resources_of(group, version).map(aggregated_resource).collect();
        let version = json!({"version": version, "resources": resources, "freshness": "Current"});
        match groups.last_mut() {
            Some((last, versions)) if *last == group => versions.push(version),
            _ => groups.push((group, vec![version])),
        }
    }
    let items = groups.into_iter().map(|(name, versions)| {
        let metadata = if name.is_empty() { json!({}) } else { json!({ "name": name }) };
        json!({"metadata": metadata, "versions": versions})
    });
    json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": api_version,
        "metadata": {},
        "items": items.collect::<Vec<_>>(),
    })
}

/// Returns the kind of a response; group and version are empty if they are those of the resource.
fn response_kind(group: &str, version: &str, kind: &str) -> Value {
    json!({"group": group, "version": version, "kind": kind})
}

fn aggregated_resource(served: ServedResource) -> Value {
    let mut resource = json!({
        "resource": served.plural(),
        "responseKind": response_kind("", "", served.kind_name()),
        "scope": if served.is_namespaced() { "Namespaced" } else { "Cluster" },
        "singularResource": served.info().singular,
        "verbs": served.info().verbs,
    });
    add_names(&mut resource, served);
    let describe = |subresource: &SubresourceInfo| {
        json!({
            "subresource": subresource.name,
            "responseKind": response_kind(subresource.group, subresource.version, subresource.kind),
            "verbs": subresource.verbs,
        })
    };
    if let (false, Some(fields)) = (served.info().subresources.is_empty(), resource.as_object_mut()) {
        fields.insert("subresources".into(), served.info().subresources.iter().map(describe).collect());
    }
    resource
}

#[cfg(test)]
mod tests {
    use super::super::accept::Encoding;
    use super::*;

    fn golden() -> Value {
        serde_json::from_str(include_str!("../../tests/golden/discovery-1.36.json")).expect("golden data")
    }

    /// The aggregated documents, with all groups.
    fn golden_of_all() -> Value {
        serde_json::from_str(include_str!("../../tests/golden/discovery-all-1.36.json")).expect("golden data")
    }

    /// Reduces a recorded document to the resources and verbs that are served here. `name` is the field with the name.
    fn reduce(resources: &mut Value, group: &str, version: &str, name: &str, parent: Option<&str>) {
        resources.as_array_mut().expect("resources").retain_mut(|resource| {
            let full = match parent {
                Some(parent) => format!("{parent}/{}", resource[name].as_str().expect("a name")),
                None => resource[name].as_str().expect("a name").to_string(),
            };
            let (plural, subresource) = full.split_once('/').unwrap_or((&full, ""));
            let Some(served) = served::find(group, version, plural) else { return false };
            let verbs = match subresource {
                "" => served.info().verbs,
                other => served.subresource(other).map(|s| s.verbs).unwrap_or_default(),
            };
            let (verbs, plural) = (verbs.to_vec(), plural.to_string());
            let recorded = resource["verbs"].as_array_mut().expect("verbs");
            recorded.retain(|verb| verbs.iter().any(|served| verb == served));
            let keep = !recorded.is_empty();
            if !resource["subresources"].is_null() {
                reduce(&mut resource["subresources"], group, version, "subresource", Some(&plural));
                let none_left = resource["subresources"].as_array().is_some_and(Vec::is_empty);
                resource.as_object_mut().expect("a resource").retain(|key, _| !(none_left && key == "subresources"));
            }
            keep
        });
    }

    fn is_served(group: &str) -> bool {
        served::versions().any(|(served, _)| served == group)
    }

    #[test]
    fn resource_lists_match_a_recorded_api_server() {
        let golden = golden();
        let mut compared = 0;
        for (group, version) in served::versions() {
            let path = format!("/{}", root_path(group, version));
            if golden[&path].is_null() {
                continue;
            }
            let mut expected = golden[&path].clone();
            reduce(&mut expected["resources"], group, version, "name", None);
            assert_eq!(resources(group, version), Some(expected), "{path}");
            compared += 1;
        }
        assert!(compared > 8, "{compared} documents");
        assert_eq!(resources("example.com", "v1"), None);
        assert_eq!(resources("", "v2"), None);
    }

    #[test]
    fn aggregated_discovery_matches_a_recorded_server() {
        let golden = golden_of_all();
        for (path, document) in
            [("/api", api(DiscoveryFormat::AggregatedV2, "")), ("/apis", apis(DiscoveryFormat::AggregatedV2))]
        {
            let mut expected = golden[path].clone();
            let groups = expected["items"].as_array_mut().expect("groups");
            groups
                .retain(|group| is_served(group.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()));
            for group in groups {
                group["metadata"].as_object_mut().expect("metadata").retain(|_, value| !value.is_null());
                let name = group.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_string();
                for version in group["versions"].as_array_mut().expect("versions") {
                    let number = version["version"].as_str().expect("a version").to_string();
                    reduce(&mut version["resources"], &name, &number, "resource", None);
                }
            }
            assert_eq!(document["items"], expected["items"], "{path}");
        }
        assert_eq!(apis(DiscoveryFormat::AggregatedV2Beta1)["apiVersion"], "apidiscovery.k8s.io/v2beta1");
    }

    #[test]
    fn groups_match_a_recorded_api_server() {
        let plain = DiscoveryFormat::Unaggregated(Encoding::Json);
        let mut expected = golden_of_all()["/apis (APIGroupList)"].clone();
        let groups = expected["groups"].as_array_mut().expect("groups");
        groups.retain(|group| is_served(group["name"].as_str().unwrap_or_default()));
        assert_eq!(apis(plain), expected);
        let mut group = group("apps").expect("the group");
        let fields = group.as_object_mut().expect("fields");
        assert_eq!((fields.remove("kind"), fields.remove("apiVersion")), (Some(json!("APIGroup")), Some(json!("v1"))));
        assert_eq!(group, expected["groups"][0]);
        assert_eq!((super::group("example.com"), super::group("")), (None, None));
        assert_eq!(api(plain, "127.0.0.1:6443")["versions"], json!(["v1"]));
    }

    #[test]
    fn version_is_that_of_kubernetes_plus_ours() {
        let (version, golden) = (version(), golden());
        for field in ["major", "minor"] {
            assert_eq!(version[field], golden["/version"][field]);
        }
        let git_version = version["gitVersion"].as_str().expect("a version");
        let (kubernetes, ours) = git_version.split_once("+wasmpod-").expect("both versions");
        assert_eq!(kubernetes, golden["/version"]["gitVersion"]);
        assert_eq!(ours, env!("CARGO_PKG_VERSION"));
    }

    #[test]
    fn root_lists_all_paths() {
        let expected =
            ["/api", "/api/v1", "/apis", "/apis/events.k8s.io", "/apis/events.k8s.io/v1", "/livez", "/openapi/v3"];
        let paths = paths(&["/livez"]);
        for path in expected {
            assert!(paths["paths"].as_array().expect("paths").contains(&json!(path)), "{path}");
        }
        let paths = paths["paths"].as_array().expect("paths");
        assert!(paths.is_sorted_by(|a, b| a.as_str() < b.as_str()), "no path is listed twice");
    }
}
