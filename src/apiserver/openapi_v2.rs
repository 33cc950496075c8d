//! The OpenAPI v2 document, in JSON and protobuf: the definitions of all kinds, without paths. kubectl reads it for objects
//! in `kind: List` files, and older clients for all.

use serde_json::{Map, Value, json};

use super::{openapi, served};
pub use crate::model::openapi_v2::MEDIA_TYPE as PROTOBUF;
use crate::model::openapi_v2::{OpenApiError, encode_document};
use crate::model::version;

/// The media type of the answer: Go's parser of media types accepts no `@`.
pub const PROTOBUF_CONTENT_TYPE: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// Returns the document as JSON.
pub fn json() -> Vec<u8> {
    document().to_string().into_bytes()
}

/// Returns the document as protobuf.
pub fn protobuf() -> Result<Vec<u8>, OpenApiError> {
    encode_document(&document())
}

fn document() -> Value {
    let mut definitions = Map::new();
    for (group, version) in served::versions() {
        definitions.extend(openapi::schemas(group, version));
    }
    definitions.values_mut().for_each(to_openapi_2_0);
    json!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": version::GIT_VERSION},
        "paths": {},
        "definitions": definitions,
    })
}

/// Converts a schema of OpenAPI 3.0.
fn to_openapi_2_0(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get_mut("$ref") {
                *reference = reference.replace("#/components/schemas/", "#/definitions/");
            }
            // References stand alone in OpenAPI 3.0; 2.0 knows no alternatives.
            if let Some(Value::Array(all)) = fields.remove("allOf")
                && let Some(reference) = all.into_iter().next().and_then(|first| first.get("$ref").cloned())
            {
                fields.insert("$ref".into(), reference);
                return to_openapi_2_0(schema);
            }
            if fields.remove("oneOf").is_some() {
                fields.insert("type".into(), "string".into());
                fields.insert("format".into(), "int-or-string".into());
            }
            fields.values_mut().for_each(to_openapi_2_0);
        }
        Value::Array(items) => items.iter_mut().for_each(to_openapi_2_0),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_found_by_their_group_version_and_kind() {
        let document = document();
        for served in served::all() {
            let name = served::type_name(served, false);
            let schema = &document["definitions"][&name];
            assert_eq!(schema["x-kubernetes-group-version-kind"][0]["kind"], served.kind_name(), "{name}");
        }
        assert!(!document.to_string().contains("#/components/"), "references are those of OpenAPI 2.0");
        assert!(protobuf().expect("a document").len() > 100_000);
    }
}
