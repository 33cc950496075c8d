//! OpenAPI v2 documents in protobuf, read back by means of the recorded table of the form (`tests/golden`).
#![expect(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::fmt::Write;

use serde_json::{Map, Value, json};
use wasmpod_model::openapi_v2::{OpenApiError, encode_document};

const GOLDEN: &str = include_str!("../../../tests/golden/openapi-v2-schema.json");

/// The recorded table.
struct Golden(Value);

impl Golden {
    fn new() -> Golden {
        Golden(serde_json::from_str(GOLDEN).expect("a table"))
    }

    /// Reads a message as the JSON that it stands for.
    fn read(&self, message: &str, mut bytes: &[u8]) -> Value {
        let mut object = Map::new();
        while !bytes.is_empty() {
            let (tag, value) = (varint(&mut bytes), &mut bytes);
            let fields = self.0[message].as_array().expect(message);
            let field = fields.iter().find(|field| field[0] == tag >> 3).expect(message);
            let (name, type_name) = (field[1].as_str().expect("a name"), field[2].as_str().expect("a type"));
            let item = type_name.trim_start_matches("[]");
            let value = self.read_value(item, tag & 7, value);
            if item != type_name && item.starts_with("Named") {
                let key = value["name"].as_str().expect("a name").to_string();
                assert!(name != "vendor_extension" || key.starts_with("x-"), "{key}");
                object.insert(key, value["value"].clone());
            } else if item == type_name {
                object.insert(json_name(name), value);
            } else {
                let list = object.entry(json_name(name)).or_insert(json!([]));
                list.as_array_mut().expect("a list").push(value);
            }
        }
        unwrap(message, object)
    }

    fn read_value(&self, type_name: &str, wire_type: u64, bytes: &mut &[u8]) -> Value {
        let wanted = match type_name {
            "bool" | "int64" => 0,
            "double" => 1,
            _ => 2,
        };
        assert_eq!(wire_type, wanted, "{type_name}");
        match type_name {
            "bool" => (varint(bytes) != 0).into(),
            "int64" => varint(bytes).cast_signed().into(),
            "double" => {
                let (double, rest) = bytes.split_first_chunk().expect("a double");
                *bytes = rest;
                f64::from_le_bytes(*double).into()
            }
            _ => {
                let (content, rest) = {
                    let length = varint(bytes) as usize;
                    bytes.split_at(length)
                };
                *bytes = rest;
                match type_name {
                    "string" => std::str::from_utf8(content).expect("text").into(),
                    message => self.read(message, content),
                }
            }
        }
    }
}

/// Returns the value that a message stands for.
fn unwrap(message: &str, mut object: Map<String, Value>) -> Value {
    let only = |object: Map<String, Value>| object.into_iter().next().map_or(Value::Null, |(_, value)| value);
    match message {
        "Any" => serde_yaml::from_str(object["yaml"].as_str().expect("YAML")).expect("YAML"),
        "TypeItem" if object["value"].as_array().is_some_and(|types| types.len() == 1) => object["value"][0].clone(),
        "TypeItem" => only(object),
        "ItemsItem" => object["schema"][0].clone(),
        "StringArray" => object.remove("value").unwrap_or(json!([])),
        "AdditionalPropertiesItem"
        | "NonBodyParameter"
        | "Parameter"
        | "ParametersItem"
        | "ResponseValue"
        | "SchemaItem"
        | "SecurityDefinitionsItem" => only(object),
        _ => Value::Object(object),
    }
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first().expect("an integer");
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if *byte < 0x80 {
            return value;
        }
    }
    panic!("the integer is too long")
}

/// Returns the name in JSON: `base_path` is `basePath`, `_ref` is `$ref`.
fn json_name(name: &str) -> String {
    if name == "_ref" {
        return "$ref".into();
    }
    let words = name.split('_').enumerate().map(|(index, word)| match (index, word.split_at_checked(1)) {
        (1.., Some((first, rest))) => first.to_uppercase() + rest,
        _ => word.to_string(),
    });
    words.collect()
}

#[track_caller]
fn assert_round_trip(document: &Value) {
    let encoded = encode_document(document).expect("a document");
    assert_eq!(&Golden::new().read("Document", &encoded), document);
}

#[test]
fn document_keeps_paths_definitions_and_extensions() {
    let group_version_kind = json!([{"group": "", "kind": "Pod", "version": "v1"}]);
    let parameters = json!([
        {"$ref": "#/parameters/pretty"},
        {"in": "path", "name": "name", "required": true, "type": "string", "uniqueItems": true},
        {"in": "query", "name": "limit", "type": "integer", "maximum": 2.5, "minLength": 1, "enum": [1, "a", null]},
        {"in": "header", "name": "h", "type": "array", "items": {"type": "string"}, "default": "x"},
        {"in": "formData", "name": "f", "type": "file"},
        {"in": "body", "name": "body", "schema": {"$ref": "#/definitions/Pod"}, "x-example": true},
    ]);
    let operation = json!({
        "operationId": "readCoreV1NamespacedPod", "consumes": ["*/*"], "produces": ["application/json"],
        "schemes": ["https"], "tags": ["core_v1"], "description": "read the specified Pod", "deprecated": true,
        "parameters": parameters,
        "responses": {
            "200": {"description": "OK", "schema": {"$ref": "#/definitions/Pod"}, "headers": {"A": {"type": "string"}}},
            "401": {"$ref": "#/responses/Unauthorized"},
            "default": {"description": "File", "schema": {"type": "file"}, "examples": {"application/json": {"a": 1}}},
        },
        "security": [{"BearerToken": []}, {"OAuth": ["read"]}],
        "x-kubernetes-action": "get", "x-kubernetes-group-version-kind": {"group": "", "kind": "Pod", "version": "v1"},
    });
    assert_round_trip(&json!({
        "swagger": "2.0", "host": "localhost", "basePath": "/", "schemes": ["https"],
        "info": {"title": "Kubernetes", "version": "v1.36.0", "license": {"name": "Apache-2.0"}, "contact": {"url": "u"}},
        "paths": {"/api/v1/namespaces/{namespace}/pods/{name}": {"get": operation, "x-path": {"a": [true]}}, "x-all": 1},
        "definitions": {
            "io.k8s.api.core.v1.Pod": {
                "type": "object", "description": "Pod is a collection of containers.",
                "required": ["spec"], "x-kubernetes-group-version-kind": group_version_kind,
                "properties": {
                    "spec": {"$ref": "#/definitions/Spec", "default": {}},
                    "x-named": {"type": ["string", "null"], "format": "byte", "readOnly": true},
                    "list": {
                        "type": "array", "items": {"type": "string", "default": ""}, "maxItems": 3,
                        "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["port", "protocol"],
                    },
                    "map": {"type": "object", "additionalProperties": {"type": "integer", "minimum": -1.0}},
                    "closed": {"additionalProperties": false, "allOf": [{"title": "t"}]},
                    "open": {"additionalProperties": true, "xml": {"name": "n", "attribute": true}},
                    "quoted": {"x-a": "yes", "x-b": "1", "x-c": "a\nb: \"ü\"\n", "x-d": null, "x-e": [], "x-f": 0.5},
                },
            },
        },
        "responses": {"Unauthorized": {"description": "Unauthorized"}},
        "parameters": {"pretty": {"in": "query", "name": "pretty", "type": "string"}},
        "security": [{"BearerToken": []}],
        "securityDefinitions": {
            "BearerToken": {"type": "apiKey", "in": "header", "name": "authorization", "description": "Bearer"},
            "Basic": {"type": "basic"},
            "OAuth": {"type": "oauth2", "flow": "implicit", "authorizationUrl": "u", "scopes": {"read": "reads"}},
        },
        "tags": [{"name": "core_v1", "externalDocs": {"url": "u"}}],
        "x-kubernetes-unknown": "value",
    }));
}

#[test]
fn values_that_openapi_does_not_define_are_rejected() {
    let wrong = |message, field, wanted| OpenApiError::WrongType { message, field, wanted };
    let definition = |schema: Value| json!({"definitions": {"A": schema}});
    for (document, want) in [
        (json!([]), wrong("Document", "", "an object")),
        (json!({"swagger": 2}), wrong("Document", "swagger", "a string")),
        (definition(json!({"maxLength": 1.5})), wrong("Schema", "maxLength", "an integer")),
        (definition(json!({"maximum": "1"})), wrong("Schema", "maximum", "a number")),
        (definition(json!({"readOnly": "no"})), wrong("Schema", "readOnly", "a boolean")),
        (definition(json!({"properties": 1})), wrong("Properties", "", "an object")),
        (json!({"parameters": {"a": {"in": "cookie"}}}), OpenApiError::UnknownVariant("NonBodyParameter")),
    ] {
        assert_eq!(encode_document(&document), Err(want), "{document}");
    }
    assert_eq!(encode_document(&json!({"unknown": 1})), Ok(vec![]));
}

#[test]
fn openapi_messages_are_generated_from_the_recorded_table() {
    let Golden(golden) = Golden::new();
    let mut wanted = String::new();
    for (message, fields) in golden.as_object().expect("messages") {
        writeln!(wanted, "message {message}").expect("written");
        for field in fields.as_array().expect("fields") {
            let (name, type_name) = (field[1].as_str().expect("a name"), field[2].as_str().expect("a type"));
            writeln!(wanted, "{} {} {type_name}", field[0], json_name(name)).expect("written");
        }
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/openapi_v2/messages.txt");
    if std::env::var_os("WASMPOD_BLESS").is_some() {
        std::fs::write(path, &wanted).expect("written");
    }
    let written = std::fs::read_to_string(path).expect("a file");
    assert!(written == wanted, "{path} is stale: run WASMPOD_BLESS=1 cargo test -p wasmpod-model openapi_messages");
}
