//! What clients are told of the API: groups, versions, resources, and whose server this is.
//!
//! Everything is written from [`served`](super::served). kubectl reads the aggregated documents;
//! older clients go from `/apis` to each version.

use serde_json::{Map, Value, json};

use super::accept::Discovery;
use super::served::{self, Served, Subresource};
use crate::model::version;

/// `/version`. There is no Go here, and a build knows neither its commit nor its date.
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

/// `linux/amd64`, as Go names systems and processors.
fn platform() -> String {
    let system = match std::env::consts::OS {
        "macos" => "darwin",
        other => other,
    };
    format!("{system}/{}", version::architecture())
}

/// `/`: the paths that lead on; `others` beside those of the API's versions.
pub fn paths(others: &[&str]) -> Value {
    let mut paths: Vec<String> = others.iter().map(ToString::to_string).collect();
    paths.extend(["/api".into(), "/apis".into(), "/openapi/v3".into(), "/version".into()]);
    for (group, version) in served::versions() {
        let root = format!("/{}", served::root(group, version));
        paths.push(format!("/openapi/v3{root}"));
        if !group.is_empty() {
            paths.push(format!("/apis/{group}"));
        }
        paths.push(root);
    }
    paths.sort_unstable();
    json!({ "paths": paths })
}

/// `/api`: the versions of the core group. `address` is where the client reached this server.
pub fn api(form: Discovery, address: &str) -> Value {
    match aggregated(form) {
        Some(api_version) => {
            let core = served::versions().into_iter().filter(|(group, _)| group.is_empty());
            aggregated_list(api_version, core)
        }
        None => json!({
            "kind": "APIVersions",
            "versions": versions_of("").collect::<Vec<_>>(),
            "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
        }),
    }
}

/// `/apis`: all other groups.
pub fn apis(form: Discovery) -> Value {
    let groups = || served::versions().into_iter().filter(|(group, _)| !group.is_empty());
    match aggregated(form) {
        Some(api_version) => aggregated_list(api_version, groups()),
        None => {
            let mut names: Vec<&str> = groups().map(|(group, _)| group).collect();
            names.dedup();
            let groups: Vec<Value> = names.into_iter().map(described).collect();
            json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
        }
    }
}

/// `/apis/GROUP`; `None` where there is no such group.
pub fn group(name: &str) -> Option<Value> {
    versions_of(name).next().filter(|_| !name.is_empty())?;
    let mut group = json!({"kind": "APIGroup", "apiVersion": "v1"});
    if let (Value::Object(group), Value::Object(rest)) = (&mut group, described(name)) {
        group.extend(rest);
    }
    Some(group)
}

/// `/api/VERSION` and `/apis/GROUP/VERSION`; `None` where nothing of it is served.
pub fn resources(group: &str, version: &str) -> Option<Value> {
    served::of_version(group, version).next()?;
    let mut list = Map::new();
    list.insert("kind".into(), "APIResourceList".into());
    if !group.is_empty() {
        list.insert("apiVersion".into(), "v1".into());
    }
    list.insert("groupVersion".into(), served::group_version(group, version).into());
    let resources = served::of_version(group, version).flat_map(|served| {
        let below = served.subresources.iter().map(|subresource| {
            let mut resource = json!({
                "name": format!("{}/{}", served.resource.plural, subresource.name),
                "singularName": "",
                "namespaced": served.namespaced,
                "kind": subresource.kind,
                "verbs": subresource.verbs,
            });
            if let (false, Some(fields)) = (subresource.group.is_empty(), resource.as_object_mut()) {
                fields.insert("group".into(), subresource.group.into());
                fields.insert("version".into(), subresource.version.into());
            }
            resource
        });
        std::iter::once(resource(served)).chain(below)
    });
    list.insert("resources".into(), resources.collect());
    Some(list.into())
}

fn resource(served: &Served) -> Value {
    let mut resource = json!({
        "name": served.resource.plural,
        "singularName": served.singular,
        "namespaced": served.namespaced,
        "kind": served.resource.kind,
        "verbs": served.verbs,
        "storageVersionHash": served.storage_version_hash,
    });
    add_names(&mut resource, served);
    resource
}

/// Short names and categories, where there are any.
fn add_names(resource: &mut Value, served: &Served) {
    for (key, names) in [("shortNames", served.short_names), ("categories", served.categories)] {
        if let (false, Some(fields)) = (names.is_empty(), resource.as_object_mut()) {
            fields.insert(key.into(), names.into());
        }
    }
}

/// `APIGroup` without kind.
fn described(group: &str) -> Value {
    let versions: Vec<Value> = versions_of(group)
        .map(|version| json!({"groupVersion": served::group_version(group, version), "version": version}))
        .collect();
    json!({"name": group, "versions": versions, "preferredVersion": versions.first()})
}

fn versions_of(group: &str) -> impl Iterator<Item = &'static str> {
    served::versions().into_iter().filter(move |(of, _)| *of == group).map(|(_, version)| version)
}

// ---------------------------------------------------------------- aggregated

fn aggregated(form: Discovery) -> Option<&'static str> {
    match form {
        Discovery::Plain(_) => None,
        Discovery::AggregatedV2 => Some("apidiscovery.k8s.io/v2"),
        Discovery::AggregatedV2Beta1 => Some("apidiscovery.k8s.io/v2beta1"),
    }
}

/// Groups with their versions and all resources.
fn aggregated_list(api_version: &str, versions: impl Iterator<Item = (&'static str, &'static str)>) -> Value {
    let mut groups: Vec<(&str, Vec<Value>)> = Vec::new();
    for (group, version) in versions {
        let resources: Vec<Value> = served::of_version(group, version).map(aggregated_resource).collect();
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

/// Kinds of the same group and version tell neither.
fn response_kind(group: &str, version: &str, kind: &str) -> Value {
    json!({"group": group, "version": version, "kind": kind})
}

fn aggregated_resource(served: &Served) -> Value {
    let mut resource = json!({
        "resource": served.resource.plural,
        "responseKind": response_kind("", "", served.resource.kind),
        "scope": if served.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": served.singular,
        "verbs": served.verbs,
    });
    add_names(&mut resource, served);
    let below = |subresource: &Subresource| {
        json!({
            "subresource": subresource.name,
            "responseKind": response_kind(subresource.group, subresource.version, subresource.kind),
            "verbs": subresource.verbs,
        })
    };
    if let (false, Some(fields)) = (served.subresources.is_empty(), resource.as_object_mut()) {
        fields.insert("subresources".into(), served.subresources.iter().map(below).collect());
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

    /// Cuts what a real server tells to what is served here: names, verbs, and what refers to them.
    fn cut(resources: &mut Value, group: &str, name: &str, below: Option<&str>) {
        resources.as_array_mut().expect("resources").retain_mut(|resource| {
            let full = match below {
                Some(parent) => format!("{parent}/{}", resource[name].as_str().expect("a name")),
                None => resource[name].as_str().expect("a name").to_string(),
            };
            let (plural, subresource) = full.split_once('/').unwrap_or((&full, ""));
            let Some(served) = served::find(group, "v1", plural) else { return false };
            let verbs = match subresource {
                "" => served.verbs,
                other => served.subresource(other).map(|s| s.verbs).unwrap_or_default(),
            };
            let (verbs, plural) = (verbs.to_vec(), plural.to_string());
            let told = resource["verbs"].as_array_mut().expect("verbs");
            told.retain(|verb| verbs.iter().any(|served| verb == served));
            let keep = !told.is_empty();
            if !resource["subresources"].is_null() {
                cut(&mut resource["subresources"], group, "subresource", Some(&plural));
                let none_left = resource["subresources"].as_array().is_some_and(Vec::is_empty);
                resource.as_object_mut().expect("a resource").retain(|key, _| !(none_left && key == "subresources"));
            }
            keep
        });
    }

    #[test]
    fn what_is_told_of_versions_is_what_a_real_api_server_tells() {
        let golden = golden();
        for (path, group) in [("/api/v1", ""), ("/apis/events.k8s.io/v1", "events.k8s.io")] {
            let mut wanted = golden[path].clone();
            cut(&mut wanted["resources"], group, "name", None);
            assert_eq!(resources(group, "v1"), Some(wanted), "{path}");
        }
        assert_eq!(resources("apps", "v1"), None);
        assert_eq!(resources("", "v2"), None);
    }

    #[test]
    fn aggregated_documents_are_a_real_api_servers() {
        let golden = golden();
        for (path, told) in [
            ("/api (aggregated)", api(Discovery::AggregatedV2, "")),
            ("/apis (aggregated)", apis(Discovery::AggregatedV2)),
        ] {
            let mut wanted = golden[path].clone();
            let served_here = |name: &str| served::versions().iter().any(|(group, _)| *group == name);
            let groups = wanted["items"].as_array_mut().expect("groups");
            groups.retain(|group| served_here(group["metadata"]["name"].as_str().unwrap_or_default()));
            for group in groups {
                let name = group["metadata"]["name"].as_str().unwrap_or_default().to_string();
                cut(&mut group["versions"][0]["resources"], &name, "resource", None);
            }
            assert_eq!(told, wanted, "{path}");
        }
        assert_eq!(apis(Discovery::AggregatedV2Beta1)["apiVersion"], "apidiscovery.k8s.io/v2beta1");
    }

    #[test]
    fn groups_are_told_as_a_real_api_server_tells_them() {
        let plain = Discovery::Plain(Encoding::Json);
        let mut wanted = golden()["/apis"].clone();
        wanted["groups"].as_array_mut().expect("groups").retain(|group| group["name"] == "events.k8s.io");
        assert_eq!(apis(plain), wanted);
        let mut group = group("events.k8s.io").expect("the group");
        let fields = group.as_object_mut().expect("fields");
        assert_eq!((fields.remove("kind"), fields.remove("apiVersion")), (Some(json!("APIGroup")), Some(json!("v1"))));
        assert_eq!(group, wanted["groups"][0]);
        assert_eq!((super::group("apps"), super::group("")), (None, None));
        assert_eq!(api(plain, "127.0.0.1:6443")["versions"], json!(["v1"]));
    }

    #[test]
    fn the_version_is_kubernetes_with_ours_behind_it() {
        let (version, golden) = (version(), golden());
        for field in ["major", "minor"] {
            assert_eq!(version[field], golden["/version"][field]);
        }
        let told = version["gitVersion"].as_str().expect("a version");
        let (kubernetes, ours) = told.split_once("+wasmpod-").expect("both versions");
        assert_eq!(kubernetes, golden["/version"]["gitVersion"]);
        assert_eq!(ours, env!("CARGO_PKG_VERSION"));
    }

    #[test]
    fn the_root_names_every_way_in() {
        let wanted =
            ["/api", "/api/v1", "/apis", "/apis/events.k8s.io", "/apis/events.k8s.io/v1", "/livez", "/openapi/v3"];
        let paths = paths(&["/livez"]);
        for path in wanted {
            assert!(paths["paths"].as_array().expect("paths").contains(&json!(path)), "{path}");
        }
    }
}
