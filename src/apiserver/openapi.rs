//! OpenAPI v3 documents, one per API group and version.
//!
//! Types and descriptions come from k8s-openapi, paths from [`served`](super::served). `kubectl explain`
//! finds a kind's path and schema by `x-kubernetes-group-version-kind`. Documents are generated on the
//! first request and kept as bytes.

use std::sync::LazyLock;

use bytes::Bytes;
use k8s_openapi::api::autoscaling::v1::Scale;
use k8s_openapi::api::core::v1::Binding;
use k8s_openapi::api::policy::v1::Eviction;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{DeleteOptions, ListMeta, Patch};
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::openapi_paths::paths;
use super::served::{self, ServedResource, type_name};
use crate::control::Resource;
use crate::model::version;
use crate::registry::merge_keys::{self, PatchStrategy};

/// An OpenAPI document.
pub struct OpenApiDocument {
    /// Path of the group and version, such as `api/v1`.
    pub root: String,
    /// The document as JSON.
    pub json: Bytes,
    /// Hash of the document, by which clients cache it.
    pub hash: String,
}

/// Returns `/openapi/v3`: the URLs of the documents.
pub fn index() -> Bytes {
    static INDEX: LazyLock<Bytes> = LazyLock::new(|| {
        let entry = |document: &OpenApiDocument| {
            let url = format!("/openapi/v3/{}?hash={}", document.root, document.hash);
            (document.root.clone(), json!({ "serverRelativeURL": url }))
        };
        let paths: Map<String, Value> = documents().iter().map(entry).collect();
        json!({ "paths": paths }).to_string().into()
    });
    INDEX.clone()
}

/// Returns the document of a path such as `api/v1`.
pub fn document(root: &str) -> Option<&'static OpenApiDocument> {
    documents().iter().find(|document| document.root == root)
}

fn documents() -> &'static [OpenApiDocument] {
    static DOCUMENTS: LazyLock<Vec<OpenApiDocument>> = LazyLock::new(|| {
        let write = |(group, version): (&str, &str)| {
            let json: Bytes = build_document(group, version).to_string().into();
            let hash = Sha256::digest(&json).iter().map(|byte| format!("{byte:02X}")).collect();
            OpenApiDocument { root: served::path_root(group, version), json, hash }
        };
        served::versions().into_iter().map(write).collect()
    });
    &DOCUMENTS
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

const SCHEMAS_PATH: &str = "components/schemas";

/// Returns the schemas of a version's kinds and of the types that they use.
fn schemas(group: &str, version: &str) -> Map<String, Value> {
    let settings =
        SchemaSettings::draft2020_12().with(|settings| settings.definitions_path = format!("/{SCHEMAS_PATH}").into());
    let mut generator = settings.into_generator();
    for served in served::resources_of(group, version) {
        add_schema(&mut generator, served);
    }
    if served::resources_of(group, version).any(|served| served.allows("patch")) {
        generator.subschema_for::<DeleteOptions>();
        generator.subschema_for::<Patch>();
    }
    let list_metadata = generator.subschema_for::<ListMeta>().to_value();
    let mut schemas = generator.take_definitions(false);
    for served in served::resources_of(group, version) {
        schemas.insert(type_name(served, true), list_schema(served, &list_metadata));
    }
    schemas.values_mut().for_each(to_openapi_3_0);
    for served in served::resources_of(group, version) {
        for (path, strategy) in merge_keys::merged_lists(served.kind_name()) {
            add_merge_strategy(&mut schemas, &type_name(served, false), path, strategy);
        }
    }
    for served in served::resources_of(group, version) {
        let kind = schemas.get_mut(&type_name(served, false));
        // The Rust types always require metadata; Kubernetes does so only in core events.
        if let Some(required) = kind.filter(|_| !is_core_event(served)).and_then(|kind| kind.get_mut("required")) {
            required.as_array_mut().into_iter().for_each(|names| names.retain(|name| name != "metadata"));
        }
        for list in [false, true] {
            let schema = schemas.get_mut(&type_name(served, list)).and_then(Value::as_object_mut);
            let kind = format!("{}{}", served.kind_name(), if list { "List" } else { "" });
            if let Some(schema) = schema {
                let gvk = json!([{"group": group, "version": version, "kind": kind}]);
                schema.insert("x-kubernetes-group-version-kind".into(), gvk);
            }
        }
    }
    schemas
}

fn is_core_event(served: ServedResource) -> bool {
    served.group().is_empty() && served.resource() == Resource::EVENTS
}

/// Adds the schema of a kind and of the types that it and its subresources use.
fn add_schema(generator: &mut SchemaGenerator, served: ServedResource) {
    served.add_schema(generator);
    for subresource in served.info().subresources {
        match subresource.kind {
            "Binding" => drop(generator.subschema_for::<Binding>()),
            "Eviction" => drop(generator.subschema_for::<Eviction>()),
            "Scale" => drop(generator.subschema_for::<Scale>()),
            _ => {}
        }
    }
}

/// Returns the schema of a kind's list, which k8s-openapi lacks.
fn list_schema(served: ServedResource, metadata: &Value) -> Value {
    let items = format!("#/{SCHEMAS_PATH}/{}", type_name(served, false));
    json!({
        "description": format!("A list of objects of kind {} at one revision.", served.kind_name()),
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": {"type": "string", "description": "API group and version of the list."},
            "kind": {"type": "string", "description": format!("{}List", served.kind_name())},
            "metadata": metadata,
            "items": {"type": "array", "description": "Objects of the list.", "items": {"$ref": items}},
        },
    })
}

/// Adds the merge strategy of the list at `path` of type `type_name`, from which clients compute strategic merge
/// patches.
fn add_merge_strategy(schemas: &mut Map<String, Value>, type_name: &str, path: &str, strategy: PatchStrategy) {
    let (step, rest) = path.split_once('.').unwrap_or((path, ""));
    let step = step.trim_end_matches("[]");
    let matches = |name: &str| match step.strip_prefix('*') {
        Some(end) => name.ends_with(end),
        None => name == step,
    };
    let Some(fields) = schemas.get_mut(type_name).and_then(|schema| schema["properties"].as_object_mut()) else {
        return;
    };
    let mut nested = Vec::new();
    for (_, field) in fields.iter_mut().filter(|(name, _)| matches(name)) {
        if !rest.is_empty() {
            nested.extend(referenced_type(field));
            continue;
        }
        let Some(field) = field.as_object_mut() else { continue };
        match strategy {
            PatchStrategy::Replace => {}
            PatchStrategy::Set => drop(field.insert("x-kubernetes-patch-strategy".into(), "merge".into())),
            PatchStrategy::ByKey(key) => {
                field.insert("x-kubernetes-patch-strategy".into(), "merge".into());
                field.insert("x-kubernetes-patch-merge-key".into(), key.into());
            }
        }
    }
    for type_name in nested {
        add_merge_strategy(schemas, &type_name, rest, strategy);
    }
}

/// Returns the type of a field or of its items.
fn referenced_type(field: &Value) -> Option<String> {
    let field = field.get("items").unwrap_or(field);
    let reference = field.get("$ref").or_else(|| field.pointer("/allOf/0/$ref"))?.as_str()?;
    reference.rsplit('/').next().map(Into::into)
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

    fn read(root: &str) -> Value {
        serde_json::from_slice(&document(root).expect(root).json).expect("JSON")
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
            let document = read(&served::path_root(group, version));
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
        for served in served::all() {
            let document = read(&served::path_root(served.group(), served.version()));
            let mut path = format!("/{}/", served::path_root(served.group(), served.version()));
            if served.is_namespaced() {
                path += "namespaces/{namespace}/";
            }
            path += served.plural();
            for (path, list) in [(path.clone(), true), (format!("{path}/{{name}}"), false)] {
                let get = &document["paths"][&path]["get"];
                let gvk = json!({"group": served.group(), "version": served.version(), "kind": served.kind_name()});
                assert_eq!(get["x-kubernetes-group-version-kind"], gvk, "{path}");
                let answer = &get["responses"]["200"]["content"]["application/json"]["schema"]["$ref"];
                assert_eq!(*answer, format!("#/{SCHEMAS_PATH}/{}", type_name(served, list)), "{path}");
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
            let document = read(&served::path_root(served.group(), served.version()));
            let place = if served.is_namespaced() { "namespaces/{namespace}/" } else { "" };
            let path =
                format!("/{}/{place}{}/{{name}}", served::path_root(served.group(), served.version()), served.plural());
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
            let root = served::path_root(group, version);
            let url = index["paths"][&root]["serverRelativeURL"].as_str().expect("a URL");
            let hash = url.strip_prefix(&format!("/openapi/v3/{root}?hash=")).expect("a hash");
            assert_eq!(hash.len(), 64);
            assert_eq!(document(&root).expect("the document").hash, hash);
        }
        assert!(document("apis/apps/v1").is_none());
    }

    #[test]
    fn schemas_match_kubernetes() {
        let document = read("api/v1");
        let schemas = &document["components"]["schemas"];
        assert_eq!(schemas["io.k8s.api.core.v1.Pod"]["required"], json!([]));
        assert_eq!(schemas["io.k8s.api.core.v1.Event"]["required"], json!(["involvedObject", "metadata"]));
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
}
