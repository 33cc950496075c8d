//! The paths of an OpenAPI document: every way to what is served, with its verbs and parameters.

use serde_json::{Map, Value, json};

use super::openapi::type_name;
use super::served::{self, Served, Subresource};

/// All paths of a version of a group.
pub fn paths(group: &str, version: &str) -> Map<String, Value> {
    let root = format!("/{}", served::root(group, version));
    let mut paths = Map::new();
    for served in served::of_version(group, version) {
        let plural = served.resource.plural;
        let place = if served.namespaced { "/namespaces/{namespace}" } else { "" };
        let collection = format!("{root}{place}/{plural}");
        if served.allows("list") {
            paths.insert(collection.clone(), list(served, served.namespaced, ""));
            if served.namespaced {
                paths.insert(format!("{root}/{plural}"), list(served, false, "ForAllNamespaces"));
            }
        }
        if served.allows("get") {
            paths.insert(format!("{collection}/{{name}}"), object(served, None));
        }
        for subresource in served.subresources {
            let path = format!("{collection}/{{name}}/{}", subresource.name);
            paths.insert(path, object(served, Some(subresource)));
        }
    }
    paths
}

/// Parameters of a list or a watch.
const LIST: &[(&str, &str, &str)] = &[
    ("allowWatchBookmarks", "boolean", "Whether a watch may send bookmarks, which tell how far it has come."),
    ("continue", "string", "Where an earlier part of the list ended, as it was told there."),
    ("fieldSelector", "string", "Only objects with such fields."),
    ("labelSelector", "string", "Only objects with such labels."),
    ("limit", "integer", "The largest number of objects to answer with; the rest can be had with `continue`."),
    ("resourceVersion", "string", "How new the list must be at least, or where the watch begins."),
    ("resourceVersionMatch", "string", "How `resourceVersion` is meant: `Exact` or `NotOlderThan`."),
    ("sendInitialEvents", "boolean", "Whether a watch begins with what there is, and a bookmark behind it."),
    ("timeoutSeconds", "integer", "When a watch ends by itself."),
    ("watch", "boolean", "Whether to go on with changes in place of a list."),
];

/// Parameters of a log.
const LOG: &[(&str, &str, &str)] = &[
    ("container", "string", "Whose log; needed where a pod has several containers."),
    ("follow", "boolean", "Whether to go on with what is yet to be written."),
    ("limitBytes", "integer", "The largest number of bytes to answer with."),
    ("previous", "boolean", "Whether the log of the attempt before is meant."),
    ("sinceSeconds", "integer", "Only lines of the last so many seconds."),
    ("sinceTime", "string", "Only lines written after this time (RFC 3339)."),
    ("tailLines", "integer", "Only so many lines from the end."),
    ("timestamps", "boolean", "Whether each line begins with its time."),
];

fn list(served: &Served, namespaced: bool, suffix: &str) -> Value {
    let kind = served.resource.kind;
    let scope = if namespaced { "Namespaced" } else { "" };
    let mut path = json!({"get": {
        "tags": [tag(served)],
        "description": format!("list or watch objects of kind {kind}"),
        "operationId": format!("list{}{scope}{kind}{suffix}", camel(served)),
        "parameters": parameters(LIST),
        "responses": responses(&type_name(served, true), &["application/json", "application/json;stream=watch", "application/yaml"]),
        "x-kubernetes-action": "list",
        "x-kubernetes-group-version-kind": gvk(served, kind),
    }});
    add_path_parameters(&mut path, namespaced, None);
    path
}

fn object(served: &Served, subresource: Option<&Subresource>) -> Value {
    let kind = subresource.map_or(served.resource.kind, |subresource| subresource.kind);
    let scope = if served.namespaced { "Namespaced" } else { "" };
    let (of, suffix) = match subresource {
        None => (String::new(), String::new()),
        Some(subresource) => (format!("{} of ", subresource.name), capital(subresource.name)),
    };
    let is_log = subresource.is_some_and(|subresource| subresource.name == "log");
    let mut get = json!({
        "tags": [tag(served)],
        "description": format!("read {of}the specified {}", served.resource.kind),
        "operationId": format!("read{}{scope}{}{suffix}", camel(served), served.resource.kind),
        "responses": responses(&type_name(served, false), &["application/json", "application/yaml"]),
        "x-kubernetes-action": "get",
        "x-kubernetes-group-version-kind": gvk(served, kind),
    });
    if let (true, Some(get)) = (is_log, get.as_object_mut()) {
        get.insert("parameters".into(), parameters(LOG));
        let text = json!({"200": {"description": "OK", "content": {"text/plain": {"schema": {"type": "string"}}}}});
        get.insert("responses".into(), text);
    }
    let mut path = json!({ "get": get });
    add_path_parameters(&mut path, served.namespaced, Some(served));
    path
}

/// The parts of a path that are names.
fn add_path_parameters(path: &mut Value, namespaced: bool, named: Option<&Served>) {
    let mut parameters = Vec::new();
    let mut add = |name: &str, description: String| {
        let schema = json!({"type": "string", "uniqueItems": true});
        let parameter =
            json!({"name": name, "in": "path", "required": true, "description": description, "schema": schema});
        parameters.push(parameter);
    };
    if let Some(served) = named {
        add("name", format!("name of the {}", served.resource.kind));
    }
    if namespaced {
        add("namespace", "object name and auth scope, such as for teams and projects".into());
    }
    if let (false, Some(path)) = (parameters.is_empty(), path.as_object_mut()) {
        path.insert("parameters".into(), parameters.into());
    }
}

fn parameters(table: &[(&str, &str, &str)]) -> Value {
    let parameter = |(name, kind, description): &(&str, &str, &str)| {
        let schema = json!({"type": kind, "uniqueItems": true});
        json!({"name": name, "in": "query", "description": description, "schema": schema})
    };
    table.iter().map(parameter).collect()
}

fn responses(of: &str, media: &[&str]) -> Value {
    let schema = json!({"schema": {"$ref": format!("#/components/schemas/{of}")}});
    let content: Map<String, Value> = media.iter().map(|media| (media.to_string(), schema.clone())).collect();
    json!({"200": {"description": "OK", "content": content}, "401": {"description": "Unauthorized"}})
}

fn gvk(served: &Served, kind: &str) -> Value {
    json!({"group": served.group, "version": served.version, "kind": kind})
}

/// `core_v1`
fn tag(served: &Served) -> String {
    format!("{}_{}", group_word(served), served.version)
}

/// `CoreV1`
fn camel(served: &Served) -> String {
    capital(group_word(served)) + &capital(served.version)
}

/// `core`, `events`
fn group_word(served: &Served) -> &'static str {
    match served.group {
        "" => "core",
        group => group.split('.').next().unwrap_or(group),
    }
}

fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|first| first.to_uppercase().collect::<String>() + chars.as_str()).unwrap_or_default()
}
