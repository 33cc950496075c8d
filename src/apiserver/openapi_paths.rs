//! The paths of an OpenAPI document, with their operations and parameters.

use serde_json::{Map, Value, json};

use super::served::{self, ServedResource, subresource_type_name, type_name};
use crate::control::PatchKind;
use crate::model::object::root_path;
use crate::model::schema::reference_to;
use crate::registry::strategy::SubresourceInfo;

/// Returns all paths of a group and version.
pub fn paths(group: &str, version: &str) -> Map<String, Value> {
    let root = format!("/{}", root_path(group, version));
    let mut paths = Map::new();
    for served in served::resources_of(group, version) {
        let plural = served.plural();
        let place = if served.is_namespaced() { "/namespaces/{namespace}" } else { "" };
        let collection = format!("{root}{place}/{plural}");
        let of_namespace = PathItem { served, subresource: None, is_object: false, suffix: "" };
        paths.insert(collection.clone(), of_namespace.path_item(served.is_namespaced(), served.info().verbs));
        if served.is_namespaced() && served.allows("list") {
            let everywhere = PathItem { suffix: "ForAllNamespaces", ..of_namespace };
            paths.insert(format!("{root}/{plural}"), everywhere.path_item(false, &["list"]));
        }
        if !served.kind.is_stored() {
            continue;
        }
        let object = PathItem { is_object: true, ..of_namespace };
        paths.insert(format!("{collection}/{{name}}"), object.path_item(served.is_namespaced(), served.info().verbs));
        for subresource in served.info().subresources {
            let path = format!("{collection}/{{name}}/{}", subresource.name);
            let endpoint = PathItem { subresource: Some(subresource), ..object };
            paths.insert(path, endpoint.path_item(served.is_namespaced(), subresource.verbs));
        }
    }
    paths
}

/// Parameters of a list or a watch.
const LIST: &[(&str, &str, &str)] = &[
    ("allowWatchBookmarks", "boolean", "Whether a watch may send bookmarks, which report its progress."),
    ("continue", "string", "The token of the previous page of the list."),
    ("fieldSelector", "string", "Selects objects by their fields."),
    ("labelSelector", "string", "Selects objects by their labels."),
    ("limit", "integer", "The maximum number of objects to return; `continue` returns the rest."),
    ("resourceVersion", "string", "The minimum revision of a list, or the revision at which a watch starts."),
    ("resourceVersionMatch", "string", "How `resourceVersion` applies: `Exact` or `NotOlderThan`."),
    ("sendInitialEvents", "boolean", "Whether a watch starts with the existing objects, followed by a bookmark."),
    ("timeoutSeconds", "integer", "The maximum duration of a watch."),
    ("watch", "boolean", "Whether to stream changes instead of returning a list."),
];

/// Parameters of a log.
const LOG: &[(&str, &str, &str)] = &[
    ("container", "string", "The container; required if the pod has more than one."),
    ("follow", "boolean", "Whether to stream new lines as they are written."),
    ("limitBytes", "integer", "The maximum number of bytes to return."),
    ("previous", "boolean", "Whether to return the log of the previous attempt."),
    ("sinceSeconds", "integer", "Returns only lines of the last seconds."),
    ("tailLines", "integer", "The number of lines to return from the end of the log."),
    ("timestamps", "boolean", "Whether to prefix each line with its time."),
];

/// Parameters of exec.
const EXEC: &[(&str, &str, &str)] = &[
    ("command", "string", "The program, or one of its arguments; repeated in their order."),
    CONTAINER,
    STDERR,
    STDIN,
    STDOUT,
    TTY,
];

/// Parameters of attach.
const ATTACH: &[(&str, &str, &str)] = &[CONTAINER, STDERR, STDIN, STDOUT, TTY];

/// Parameters of a port-forward.
const PORT_FORWARD: &[(&str, &str, &str)] =
    &[("ports", "integer", "A port to forward; required by clients that use WebSocket channels.")];

/// Parameters of a request to a server in a pod.
const PROXY: &[(&str, &str, &str)] = &[("path", "string", "The path at the server; follows `proxy` in the URL.")];

const CONTAINER: (&str, &str, &str) = ("container", "string", "The container; required if the pod has more than one.");
const STDERR: (&str, &str, &str) = ("stderr", "boolean", "Whether to receive standard error.");
const STDIN: (&str, &str, &str) = ("stdin", "boolean", "Whether to send standard input.");
const STDOUT: (&str, &str, &str) = ("stdout", "boolean", "Whether to receive standard output.");
const TTY: (&str, &str, &str) = ("tty", "boolean", "Whether the program has a terminal.");

/// Parameters of a deletion.
const DELETE: &[(&str, &str, &str)] = &[
    DRY_RUN,
    ("gracePeriodSeconds", "integer", "The grace period in seconds; defaults to that of the object."),
    ("propagationPolicy", "string", "How to delete dependents: `Orphan`, `Background` or `Foreground`."),
];

/// Parameters of a new or changed object.
const WRITE: &[(&str, &str, &str)] = &[
    DRY_RUN,
    ("fieldManager", "string", "The name of the client that makes the change."),
    ("fieldValidation", "string", "How to treat unknown fields: `Ignore`, `Warn` or `Strict`."),
];

const DRY_RUN: (&str, &str, &str) = ("dryRun", "string", "`All` to validate the request without storing anything.");

/// One path and its resource.
#[derive(Clone, Copy)]
struct PathItem {
    served: ServedResource,
    subresource: Option<&'static SubresourceInfo>,
    /// Whether the path names one object.
    is_object: bool,
    suffix: &'static str,
}

impl PathItem {
    /// Returns the path item: the operations for those of `verbs` that apply to an object, or to a collection.
    fn path_item(self, namespaced: bool, verbs: &[&str]) -> Value {
        let mut path = Map::new();
        for verb in verbs {
            let applies_to_object =
                self.subresource.is_some() || !matches!(*verb, "list" | "create" | "deletecollection");
            let method = match *verb {
                "get" | "list" => "get",
                "create" => "post",
                "update" => "put",
                "patch" => "patch",
                "delete" | "deletecollection" => "delete",
                // A watch is a list with a parameter.
                _ => continue,
            };
            if applies_to_object == self.is_object {
                path.insert(method.into(), self.operation(verb, namespaced));
            }
        }
        let mut path = Value::Object(path);
        add_path_parameters(&mut path, namespaced, self.is_object.then_some(self.served));
        path
    }

    fn operation(self, verb: &str, namespaced: bool) -> Value {
        if let Some(stream) = self.subresource.filter(|subresource| subresource.is_stream() || subresource.is_proxy()) {
            return self.connect_operation(verb, stream);
        }
        let PathItem { served, subresource, suffix, .. } = self;
        let kind = served.kind_name();
        let subresource_name = subresource.map(|subresource| subresource.name).unwrap_or_default();
        let (word, about) = match verb {
            "get" => ("read", "read the specified"),
            "list" => ("list", "list or watch objects of kind"),
            "create" => ("create", "create a"),
            "update" => ("replace", "replace the specified"),
            "patch" => ("patch", "partially update the specified"),
            "delete" => ("delete", "delete a"),
            _ => ("delete", "delete a collection of"),
        };
        let collection = if verb == "deletecollection" { "Collection" } else { "" };
        let part = if subresource_name.is_empty() { String::new() } else { format!("{subresource_name} of ") };
        let scope = if namespaced { "Namespaced" } else { "" };
        let (first, last) = about.split_once(' ').unwrap_or((about, ""));
        let mut operation = json!({
            "tags": [tag(served)],
            "description": format!("{first} {part}{last} {kind}"),
            "operationId": format!(
                "{word}{}{collection}{scope}{kind}{}{suffix}",
                group_version_camel(served),
                capitalized(subresource_name)
            ),
            "parameters": parameters(self.query_parameters(verb)),
            "responses": self.responses(verb),
            "x-kubernetes-action": if verb == "update" { "put" } else if verb == "create" { "post" } else { verb },
            "x-kubernetes-group-version-kind": self.gvk(),
        });
        if let (Some(body), Some(fields)) = (self.request_body(verb), operation.as_object_mut()) {
            fields.insert("requestBody".into(), body);
        }
        operation
    }

    /// Returns the operation that connects to something in an object.
    fn connect_operation(self, verb: &str, stream: &SubresourceInfo) -> Value {
        let kind = self.served.kind_name();
        let method = match verb {
            "create" => "Post",
            "update" => "Put",
            "patch" => "Patch",
            "delete" => "Delete",
            _ => "Get",
        };
        let parameter_table = match stream.name {
            "exec" => EXEC,
            "attach" => ATTACH,
            "portforward" => PORT_FORWARD,
            _ => PROXY,
        };
        let (name, group_version) = (capitalized(stream.name), group_version_camel(self.served));
        json!({
            "tags": [tag(self.served)],
            "description": format!("connect {} requests to {} of {kind}", method.to_uppercase(), stream.name),
            "operationId": format!("connect{group_version}{method}Namespaced{kind}{name}"),
            "parameters": parameters(parameter_table),
            "responses": {
                "200": {"description": "OK", "content": {"*/*": {"schema": {"type": "string"}}}},
                "401": {"description": "Unauthorized"},
            },
            "x-kubernetes-action": "connect",
            "x-kubernetes-group-version-kind": self.gvk(),
        })
    }

    fn is_log(self) -> bool {
        self.subresource.is_some_and(|subresource| subresource.name == "log")
    }

    fn query_parameters(self, verb: &str) -> &'static [(&'static str, &'static str, &'static str)] {
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

    /// Returns the schema of the request body.
    fn request_body(self, verb: &str) -> Option<Value> {
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

    /// Returns the type of the request and response bodies.
    fn type_name(self) -> String {
        match self.subresource {
            Some(subresource) => subresource_type_name(self.served, subresource),
            None => type_name(self.served, false),
        }
    }

    fn gvk(self) -> Value {
        let served = self.served;
        match self.subresource {
            Some(subresource) if !subresource.group.is_empty() => {
                json!({"group": subresource.group, "version": subresource.version, "kind": subresource.kind})
            }
            subresource => {
                let kind = subresource.map_or(served.kind_name(), |subresource| subresource.kind);
                json!({"group": served.group(), "version": served.version(), "kind": kind})
            }
        }
    }
}

/// Types of request bodies that are not objects.
pub(super) const PATCH_TYPE: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch";
pub(super) const DELETE_TYPE: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";

/// Adds the parameters in the path: name and namespace.
fn add_path_parameters(path: &mut Value, namespaced: bool, named: Option<ServedResource>) {
    let mut parameters = Vec::new();
    let mut add = |name: &str, description: String| {
        let schema = json!({"type": "string", "uniqueItems": true});
        let parameter =
            json!({"name": name, "in": "path", "required": true, "description": description, "schema": schema});
        parameters.push(parameter);
    };
    if let Some(served) = named {
        add("name", format!("name of the {}", served.kind_name()));
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

fn responses(code: &str, type_name: &str, media: &[&str]) -> Value {
    let mut response = content(type_name, media);
    if let Some(response) = response.as_object_mut() {
        response.insert("description".into(), if code == "201" { "Created" } else { "OK" }.into());
    }
    json!({code: response, "401": {"description": "Unauthorized"}})
}

fn content(type_name: &str, media: &[&str]) -> Value {
    let schema = json!({"schema": reference_to(type_name)});
    let content: Map<String, Value> = media.iter().map(|media| (media.to_string(), schema.clone())).collect();
    json!({ "content": content })
}

/// Returns the tag of operations: `core_v1`, `rbacAuthorization_v1`.
fn tag(served: ServedResource) -> String {
    let group = group_camel(served);
    let mut chars = group.chars();
    let first = chars.next().map(|first| first.to_lowercase().collect::<String>()).unwrap_or_default();
    format!("{first}{}_{}", chars.as_str(), served.version())
}

/// Returns group and version in operation IDs: `CoreV1`.
fn group_version_camel(served: ServedResource) -> String {
    group_camel(served) + &capitalized(served.version())
}

/// Returns the group in operation IDs: `Core`, `RbacAuthorization`.
fn group_camel(served: ServedResource) -> String {
    let group = if served.group().is_empty() { "core" } else { served.group() };
    group.trim_end_matches(".k8s.io").split('.').map(capitalized).collect()
}

fn capitalized(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|first| first.to_uppercase().collect::<String>() + chars.as_str()).unwrap_or_default()
}
