//! OpenAPI v3 documents, one per API group and version.
//!
//! Types and descriptions come from k8s-openapi, paths from [`served`](super::served). `kubectl explain`
//! finds a kind's path and schema by `x-kubernetes-group-version-kind`. Documents are rendered when they are
//! requested.

use bytes::Bytes;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::openapi_paths::{DELETE_TYPE, PATCH_TYPE, paths};
use super::served::{self, ServedResource, subresource_type_name, type_name};
use crate::model::object::root_path;
use crate::model::schema::{self, reference_to};
use crate::model::{extensions, version};

/// Returns `/openapi/v3`: the URLs of the documents.
pub fn index() -> Bytes {
    let entry = |(group, version): (&str, &str)| {
        let root = root_path(group, version);
        let url = format!("/openapi/v3/{root}?hash={}", hash(&root));
        (root, json!({ "serverRelativeURL": url }))
    };
    let paths: Map<String, Value> = served::versions().map(entry).collect();
    json!({ "paths": paths }).to_string().into()
}

/// Returns the document of a path such as `api/v1`. It is rendered anew, since clients cache it and memory is scarce.
pub fn document(root: &str) -> Option<Bytes> {
    let (group, version) = find(root)?;
    Some(build_document(group, version).to_string().into())
}

/// Returns the hash by which clients cache the document of a path; `None` if there is no such document.
pub fn hash_of(root: &str) -> Option<String> {
    find(root).map(|_| hash(root))
}

/// Returns the hash by which clients cache the OpenAPI v2 document of this media type.
pub fn hash_of_v2(media_type: &str) -> String {
    hash(media_type)
}

fn find(root: &str) -> Option<(&'static str, &'static str)> {
    served::versions().find(|(group, version)| root_path(group, version) == root)
}

/// The documents follow from the build and the kinds.
fn hash(root: &str) -> String {
    let mut digest = Sha256::new();
    digest.update(version::GIT_VERSION);
    digest.update(root);
    for served in served::all() {
        digest.update(format!("{}/{} ", served.api_version(), served.plural()));
    }
    digest.finalize().iter().map(|byte| format!("{byte:02X}")).collect()
}

fn build_document(group: &str, version: &str) -> Value {
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": version::GIT_VERSION},
        "paths": paths(group, version),
        "components": {
            "schemas": schemas(group, version),
            "securitySchemes": {"BearerToken": {
                "type": "apiKey", "name": "authorization", "in": "header", "description": "Bearer Token authentication",
            }},
        },
    })
}

// ---------------------------------------------------------------- schemas

const LIST_METADATA: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";

/// Returns the schemas of a version's kinds and of the types that they use.
pub fn schemas(group: &str, version: &str) -> Map<String, Value> {
    let mut names = vec![LIST_METADATA.to_string()];
    for served in served::resources_of(group, version) {
        names.push(type_name(served, false));
        let subresources = served.info().subresources.iter();
        names.extend(subresources.map(|subresource| subresource_type_name(served, subresource)));
    }
    if served::resources_of(group, version).any(|served| served.allows("patch")) {
        names.extend([DELETE_TYPE.into(), PATCH_TYPE.into()]);
    }
    let mut schemas = schema::definitions(names);
    for served in served::resources_of(group, version) {
        schemas.insert(type_name(served, true), list_schema(served));
    }
    schemas.values_mut().for_each(to_openapi_3_0);
    for (name, schema) in &mut schemas {
        add_extensions(name, schema);
    }
    schemas
}

/// Returns the schema of a kind's list, which k8s-openapi lacks.
fn list_schema(served: ServedResource) -> Value {
    let items = reference_to(&type_name(served, false));
    json!({
        "description": format!("A list of objects of kind {} at one revision.", served.kind_name()),
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": {"type": "string", "description": "API group and version of the list."},
            "kind": {"type": "string", "description": format!("{}List", served.kind_name())},
            "metadata": reference_to(LIST_METADATA),
            "items": {"type": "array", "description": "Objects of the list.", "items": items},
        },
    })
}

/// Adds what Kubernetes says of the type `name` beyond its fields.
fn add_extensions(name: &str, schema: &mut Value) {
    let short = name.strip_prefix("io.k8s.api.").or(name.strip_prefix("io.k8s.apimachinery.pkg.")).unwrap_or(name);
    let (Some(mut extensions), Some(schema)) = (extensions::of_type(short), schema.as_object_mut()) else { return };
    match extensions.remove("required") {
        Some(required) => schema.insert("required".into(), required),
        None => schema.remove("required"),
    };
    let fields = extensions.remove("fields");
    add_prefixed(schema, extensions);
    let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
    if let (Some(Value::Object(fields)), Some(properties)) = (fields, properties) {
        for (name, extensions) in fields {
            let field = properties.get_mut(&name).and_then(Value::as_object_mut);
            if let (Some(field), Value::Object(mut extensions)) = (field, extensions) {
                field.extend(extensions.remove("default").map(|default| ("default".to_string(), default)));
                add_prefixed(field, extensions);
            }
        }
    }
}

fn add_prefixed(schema: &mut Map<String, Value>, extensions: Map<String, Value>) {
    for (name, value) in extensions {
        let name = if name == "oneOf" { name } else { format!("x-kubernetes-{name}") };
        schema.insert(name, value);
    }
}

/// Converts JSON Schema to OpenAPI 3.0 in Kubernetes' style.
fn to_openapi_3_0(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            // OpenAPI 3.0 ignores siblings of a reference.
            if fields.len() > 1
                && let Some(reference) = fields.remove("$ref")
            {
                fields.insert("allOf".into(), json!([{ "$ref": reference }]));
            }
            if fields.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true)) {
                fields.remove("x-kubernetes-int-or-string");
                fields.insert("oneOf".into(), json!([{"type": "integer"}, {"type": "string"}]));
            }
            fields.values_mut().for_each(to_openapi_3_0);
        }
        Value::Array(items) => items.iter_mut().for_each(to_openapi_3_0),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::object::api_version;

    fn read(root: &str) -> Value {
        serde_json::from_slice(&document(root).expect(root)).expect("JSON")
    }

    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
                    assert_eq!(fields.len(), 1, "{reference} stands alone");
                    found.push(reference.into());
                }
                fields.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn references_resolve_within_their_document() {
        for (group, version) in served::versions() {
            let document = read(&root_path(group, version));
            let schemas = document["components"]["schemas"].as_object().expect("schemas");
            let mut found = Vec::new();
            references(&document, &mut found);
            assert!(found.len() > 10, "{} references", found.len());
            for reference in found {
                let name = reference.strip_prefix("#/components/schemas/").expect("a schema");
                assert!(schemas.contains_key(name), "{reference} in {group}/{version}");
            }
        }
    }

    #[test]
    fn served_kinds_are_found_by_path_and_name() {
        for served in served::all().filter(|served| served.kind.is_stored()) {
            let document = read(&root_path(served.group(), served.version()));
            let mut path = format!("/{}/", root_path(served.group(), served.version()));
            if served.is_namespaced() {
                path += "namespaces/{namespace}/";
            }
            path += served.plural();
            for (path, list) in [(path.clone(), true), (format!("{path}/{{name}}"), false)] {
                let get = &document["paths"][&path]["get"];
                let gvk = json!({"group": served.group(), "version": served.version(), "kind": served.kind_name()});
                assert_eq!(get["x-kubernetes-group-version-kind"], gvk, "{path}");
                let answer = &get["responses"]["200"]["content"]["application/json"]["schema"]["$ref"];
                assert_eq!(*answer, format!("#/components/schemas/{}", type_name(served, list)), "{path}");
                let schema = &document["components"]["schemas"][type_name(served, list)];
                let kind = if list { format!("{}List", served.kind_name()) } else { served.kind_name().into() };
                assert_eq!(schema["x-kubernetes-group-version-kind"][0]["kind"], kind, "{path}");
                assert!(schema["description"].as_str().is_some_and(|text| !text.is_empty()), "{path}");
            }
        }
    }

    /// kubectl checks this before it sends `fieldValidation` or `dryRun`.
    #[test]
    fn patch_operations_list_their_parameters() {
        for served in served::all().filter(|served| served.allows("patch")) {
            let document = read(&root_path(served.group(), served.version()));
            let place = if served.is_namespaced() { "namespaces/{namespace}/" } else { "" };
            let path = format!("/{}/{place}{}/{{name}}", root_path(served.group(), served.version()), served.plural());
            let patch = &document["paths"][&path]["patch"];
            let gvk = json!({"group": served.group(), "version": served.version(), "kind": served.kind_name()});
            assert_eq!(patch["x-kubernetes-group-version-kind"], gvk, "{path}");
            let names: Vec<&Value> = patch["parameters"].as_array().into_iter().flatten().map(|p| &p["name"]).collect();
            assert!(
                names.contains(&&json!("fieldValidation")) && names.contains(&&json!("dryRun")),
                "{path}: {names:?}"
            );
            assert!(patch["requestBody"]["content"]["application/strategic-merge-patch+json"].is_object(), "{path}");
        }
    }

    #[test]
    fn index_urls_contain_the_documents_hashes() {
        let index: Value = serde_json::from_slice(&index()).expect("JSON");
        for (group, version) in served::versions() {
            let root = root_path(group, version);
            let url = index["paths"][&root]["serverRelativeURL"].as_str().expect("a URL");
            let hash = url.strip_prefix(&format!("/openapi/v3/{root}?hash=")).expect("a hash");
            assert_eq!(hash.len(), 64);
            assert_eq!(hash_of(&root).as_deref(), Some(hash));
        }
        assert!(document("apis/example.com/v1").is_none());
    }

    #[test]
    fn schemas_match_kubernetes() {
        let document = read("api/v1");
        let schemas = &document["components"]["schemas"];
        assert_eq!(schemas["io.k8s.api.core.v1.Pod"]["required"], Value::Null);
        assert_eq!(schemas["io.k8s.api.core.v1.Event"]["required"], json!(["metadata", "involvedObject"]));
        let spec = &schemas["io.k8s.api.core.v1.PodSpec"];
        assert_eq!(spec["required"], json!(["containers"]));
        assert_eq!(
            spec["properties"]["affinity"]["allOf"][0]["$ref"],
            "#/components/schemas/io.k8s.api.core.v1.Affinity"
        );
        assert!(spec["properties"]["nodeName"]["description"].as_str().is_some_and(|text| text.len() > 40));
        let (containers, env) = (&spec["properties"]["containers"], "io.k8s.api.core.v1.Container");
        assert_eq!(containers["x-kubernetes-patch-merge-key"], "name");
        assert_eq!(schemas[env]["properties"]["env"]["x-kubernetes-patch-strategy"], "merge");
        assert!(spec["properties"]["tolerations"]["x-kubernetes-patch-strategy"].is_null());
        let port = &schemas["io.k8s.apimachinery.pkg.util.intstr.IntOrString"];
        assert_eq!(port["oneOf"], json!([{"type": "integer"}, {"type": "string"}]));
    }

    fn recorded() -> Value {
        let golden = include_str!("../../tests/golden/openapi-extensions-1.36.json");
        serde_json::from_str(golden).expect("golden data")
    }

    #[test]
    fn schemas_have_the_extensions_of_a_recorded_server() {
        let golden = recorded();
        let recorded = golden["schemas"].as_object().expect("schemas");
        let mut compared = 0;
        for (group, version) in served::versions() {
            for (name, schema) in schemas(group, version) {
                let Some(recorded) = recorded.get(&name) else { continue };
                compared += 1;
                assert_eq!(schema["required"], recorded["required"], "{name}");
                let kinds = &schema["x-kubernetes-group-version-kind"];
                assert_eq!(*kinds, recorded["group-version-kind"], "{name}");
                for (field, extensions) in recorded["fields"].as_object().into_iter().flatten() {
                    for (extension, value) in extensions.as_object().into_iter().flatten() {
                        let key = if extension == "default" {
                            extension.clone()
                        } else {
                            format!("x-kubernetes-{extension}")
                        };
                        assert_eq!(schema["properties"][field][&key], *value, "{name} {field}");
                    }
                }
            }
        }
        assert!(compared > 100, "{compared} schemas");
    }

    #[test]
    fn operations_are_those_of_a_recorded_server() {
        let golden = recorded();
        let (recorded, queries) = (golden["paths"].as_object().expect("paths"), &golden["queries"]);
        let mut differences = Vec::new();
        for (group, version) in served::versions() {
            for (path, item) in paths(group, version) {
                let Some(golden) = recorded.get(&path) else {
                    differences.push(format!("{path}: not recorded"));
                    continue;
                };
                for (method, operation) in
                    item.as_object().into_iter().flatten().filter(|(key, _)| *key != "parameters")
                {
                    let gvk = &operation["x-kubernetes-group-version-kind"];
                    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
                    let version = api_version(&text(&gvk["group"]), &text(&gvk["version"]));
                    let ours = json!([
                        operation["x-kubernetes-action"],
                        format!("{version} {}", text(&gvk["kind"])),
                        operation["operationId"],
                    ]);
                    if ours != golden[method] {
                        differences.push(format!("{method} {path}: {ours}, recorded {}", golden[method]));
                    }
                    let known = &queries[golden["query"].as_u64().unwrap_or(u64::MAX) as usize];
                    for parameter in operation["parameters"].as_array().into_iter().flatten() {
                        if !known.as_array().is_some_and(|known| known.contains(&parameter["name"])) {
                            differences
                                .push(format!("{method} {path}: parameter {} is not recorded", parameter["name"]));
                        }
                    }
                }
            }
        }
        assert!(differences.is_empty(), "{}", differences.join("\n"));
    }
}
