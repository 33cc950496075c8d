//! The paths of an OpenAPI document: every way to what is served, with its verbs and parameters.

use serde_json::{Map, Value, json};

use super::openapi::type_name;
use super::served::{self, Served, Subresource};
use crate::control::PatchKind;

/// All paths of a version of a group.
pub fn paths(group: &str, version: &str) -> Map<String, Value> {
    let root = format!("/{}", served::root(group, version));
    let mut paths = Map::new();
    for served in served::of_version(group, version) {
        let plural = served.resource.plural;
        let place = if served.namespaced { "/namespaces/{namespace}" } else { "" };
        let collection = format!("{root}{place}/{plural}");
        let of_namespace = Way { served, below: None, one: false, suffix: "" };
        paths.insert(collection.clone(), of_namespace.path(served.namespaced, served.verbs));
        if served.namespaced && served.allows("list") {
            let everywhere = Way { suffix: "ForAllNamespaces", ..of_namespace };
            paths.insert(format!("{root}/{plural}"), everywhere.path(false, &["list"]));
        }
        let object = Way { one: true, ..of_namespace };
        paths.insert(format!("{collection}/{{name}}"), object.path(served.namespaced, served.verbs));
        for below in served.subresources {
            let path = format!("{collection}/{{name}}/{}", below.name);
            let below = Way { below: Some(below), ..object };
            paths.insert(path, below.path(served.namespaced, below.below.map_or(&[], |below| below.verbs)));
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

/// Parameters of a deletion.
const DELETE: &[(&str, &str, &str)] = &[
    DRY_RUN,
    ("gracePeriodSeconds", "integer", "Seconds to end in; the object's own wish where nothing is said."),
    ("propagationPolicy", "string", "What becomes of what the object owns: `Orphan`, `Background` or `Foreground`."),
];

/// Parameters of a new or changed object.
const WRITE: &[(&str, &str, &str)] = &[
    DRY_RUN,
    ("fieldManager", "string", "Who makes the change."),
    ("fieldValidation", "string", "What becomes of fields that the kind does not have: `Ignore`, `Warn` or `Strict`."),
];

const DRY_RUN: (&str, &str, &str) =
    ("dryRun", "string", "`All`: the request is judged and answered, and nothing is stored.");

/// One path.
#[derive(Clone, Copy)]
struct Way {
    served: &'static Served,
    below: Option<&'static Subresource>,
    /// Whether it leads to one object.
    one: bool,
    suffix: &'static str,
}

impl Way {
    /// The path with what may be done there: of `verbs` those that are said to one object, or to many.
    fn path(self, namespaced: bool, verbs: &[&str]) -> Value {
        let mut path = Map::new();
        for verb in verbs {
            let of_one = self.below.is_some() || !matches!(*verb, "list" | "create" | "deletecollection");
            let method = match *verb {
                "get" | "list" => "get",
                "create" => "post",
                "update" => "put",
                "patch" => "patch",
                "delete" | "deletecollection" => "delete",
                // A list that goes on is a list.
                _ => continue,
            };
            if of_one == self.one {
                path.insert(method.into(), self.operation(verb, namespaced));
            }
        }
        let mut path = Value::Object(path);
        add_path_parameters(&mut path, namespaced, self.one.then_some(self.served));
        path
    }

    fn operation(self, verb: &str, namespaced: bool) -> Value {
        let Way { served, below, suffix, .. } = self;
        let kind = served.resource.kind;
        let below_name = below.map(|below| below.name).unwrap_or_default();
        let (word, about) = match verb {
            "get" => ("read", "read the specified"),
            "list" => ("list", "list or watch objects of kind"),
            "create" => ("create", "create a"),
            "update" => ("replace", "replace the specified"),
            "patch" => ("patch", "partially update the specified"),
            "delete" => ("delete", "delete a"),
            _ => ("deleteCollection", "delete a collection of"),
        };
        let part = if below_name.is_empty() { String::new() } else { format!("{below_name} of ") };
        let scope = if namespaced { "Namespaced" } else { "" };
        let (first, last) = about.split_once(' ').unwrap_or((about, ""));
        let mut operation = json!({
            "tags": [tag(served)],
            "description": format!("{first} {part}{last} {kind}"),
            "operationId": format!("{word}{}{scope}{kind}{}{suffix}", camel(served), capital(below_name)),
            "parameters": parameters(self.query(verb)),
            "responses": self.responses(verb),
            "x-kubernetes-action": if verb == "update" { "put" } else if verb == "create" { "post" } else { verb },
            "x-kubernetes-group-version-kind": self.gvk(),
        });
        if let (Some(body), Some(fields)) = (self.body(verb), operation.as_object_mut()) {
            fields.insert("requestBody".into(), body);
        }
        operation
    }

    fn is_log(self) -> bool {
        self.below.is_some_and(|below| below.name == "log")
    }

    fn query(self, verb: &str) -> &'static [(&'static str, &'static str, &'static str)] {
        match verb {
            "get" if self.is_log() => LOG,
            "get" => &[],
            "list" => LIST,
            "delete" | "deletecollection" => DELETE,
            _ => WRITE,
        }
    }

    fn responses(self, verb: &str) -> Value {
        if self.is_log() {
            return json!({"200": {"description": "OK", "content": {"text/plain": {"schema": {"type": "string"}}}}});
        }
        let served = self.served;
        match verb {
            "list" | "deletecollection" => responses(
                "200",
                &type_name(served, true),
                &["application/json", "application/json;stream=watch", "application/yaml"],
            ),
            verb => {
                let code = if verb == "create" { "201" } else { "200" };
                responses(code, &self.type_name(), &["application/json", "application/yaml"])
            }
        }
    }

    /// What the client sends.
    fn body(self, verb: &str) -> Option<Value> {
        match verb {
            "create" | "update" => Some(content(&self.type_name(), &["application/json", "application/yaml"])),
            "patch" => {
                let media: Vec<&str> = PatchKind::MEDIA_TYPES.iter().map(|(media, _)| *media).collect();
                Some(content(PATCH_TYPE, &media))
            }
            "delete" | "deletecollection" => Some(content(DELETE_TYPE, &["application/json", "application/yaml"])),
            _ => None,
        }
    }

    /// The type of what is sent and answered.
    fn type_name(self) -> String {
        match self.below {
            Some(below) if below.group == "policy" => format!("io.k8s.api.policy.{}.{}", below.version, below.kind),
            Some(below) if below.kind != self.served.resource.kind => format!("io.k8s.api.core.v1.{}", below.kind),
            _ => type_name(self.served, false),
        }
    }

    fn gvk(self) -> Value {
        let served = self.served;
        match self.below {
            Some(below) if !below.group.is_empty() => {
                json!({"group": below.group, "version": below.version, "kind": below.kind})
            }
            below => {
                let kind = below.map_or(served.resource.kind, |below| below.kind);
                json!({"group": served.group, "version": served.version, "kind": kind})
            }
        }
    }
}

/// The types of what clients send beside objects.
const PATCH_TYPE: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch";
const DELETE_TYPE: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";

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

fn responses(code: &str, of: &str, media: &[&str]) -> Value {
    let mut answer = content(of, media);
    if let Some(answer) = answer.as_object_mut() {
        answer.insert("description".into(), if code == "201" { "Created" } else { "OK" }.into());
    }
    json!({code: answer, "401": {"description": "Unauthorized"}})
}

fn content(of: &str, media: &[&str]) -> Value {
    let schema = json!({"schema": {"$ref": format!("#/components/schemas/{of}")}});
    let content: Map<String, Value> = media.iter().map(|media| (media.to_string(), schema.clone())).collect();
    json!({ "content": content })
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
