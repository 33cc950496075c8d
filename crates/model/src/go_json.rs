//! Objects as Go writes them: a field is present or absent by its declaration in Kubernetes' types, whatever the client
//! sent. `labels: {}` is dropped, a Deployment's empty `strategy` is written.

use serde_json::{Map, Value};

use super::protobuf::schema::{Cardinality, Field, MessageId, Presence, Schema, ValueType};

/// Drops and adds fields of `object`, a `kind` of `api_version`. Does nothing to objects of other kinds.
pub fn normalize(api_version: &str, kind: &str, object: &mut Map<String, Value>) {
    let schema = Schema::get();
    if let Some(message) = schema.message_of_kind(api_version, kind) {
        normalize_message(schema, message, object);
    }
}

fn normalize_message(schema: &Schema, message: MessageId, object: &mut Map<String, Value>) {
    for field in schema.fields(message) {
        if let (Presence::Inline, ValueType::Message(inner)) = (field.presence, field.value_type) {
            normalize_message(schema, inner, object);
            continue;
        }
        if let Some(value) = object.get_mut(field.name) {
            normalize_value(schema, field, value);
            if is_omitted(field, value) {
                object.remove(field.name);
            } else if is_empty_list(field, value) {
                *value = Value::Null;
            }
        } else if field.presence == Presence::Always {
            object.insert(field.name.into(), zero_value(schema, field));
        }
    }
}

/// Normalizes the messages within a field's value.
fn normalize_value(schema: &Schema, field: &Field, value: &mut Value) {
    let ValueType::Message(message) = field.value_type else { return };
    let normalize = |value: &mut Value| {
        if let Value::Object(object) = value {
            normalize_message(schema, message, object);
        }
    };
    match (field.cardinality, value) {
        (Cardinality::Single, value) => normalize(value),
        (Cardinality::List, Value::Array(items)) => items.iter_mut().for_each(normalize),
        (Cardinality::Map, Value::Object(entries)) => entries.values_mut().for_each(normalize),
        _ => {}
    }
}

/// Returns whether a field that is always written has an empty list or map, which Go does not keep apart from none.
fn is_empty_list(field: &Field, value: &Value) -> bool {
    let is_empty = match value {
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty(),
        _ => false,
    };
    is_empty && field.cardinality != Cardinality::Single && field.presence == Presence::Always
}

fn is_omitted(field: &Field, value: &Value) -> bool {
    let is_zero = match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => {
            fields.is_empty() && (field.cardinality == Cardinality::Map || field.presence == Presence::Omitzero)
        }
    };
    match field.presence {
        Presence::Omitempty | Presence::Omitzero => is_zero,
        Presence::Pointer => value.is_null(),
        Presence::Always | Presence::NullablePointer | Presence::Inline => false,
    }
}

/// Returns what Go writes for a field that is not set.
fn zero_value(schema: &Schema, field: &Field) -> Value {
    if field.cardinality != Cardinality::Single {
        return Value::Null;
    }
    match field.value_type {
        ValueType::Message(message) => {
            let mut object = Map::new();
            normalize_message(schema, message, &mut object);
            object.into()
        }
        ValueType::String => "".into(),
        ValueType::Quantity => "0".into(),
        ValueType::Bool => false.into(),
        ValueType::Int32 | ValueType::Int64 | ValueType::IntOrString => 0.into(),
        ValueType::Bytes | ValueType::Time | ValueType::MicroTime | ValueType::RawJson | ValueType::StringList => {
            Value::Null
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn normalized(api_version: &str, kind: &str, mut object: Value) -> Value {
        normalize(api_version, kind, object.as_object_mut().expect("an object"));
        object
    }

    #[test]
    fn fields_are_present_as_go_writes_them() {
        for (version, kind, object, expected) in [
            (
                "v1",
                "ConfigMap",
                json!({"metadata": {"name": "m", "labels": {}, "finalizers": []}, "data": {}, "immutable": false}),
                json!({"metadata": {"name": "m"}, "immutable": false}),
            ),
            (
                "rbac.authorization.k8s.io/v1",
                "Role",
                json!({"metadata": {"name": "r"}, "rules": []}),
                json!({"metadata": {"name": "r"}, "rules": null}),
            ),
            ("example.com/v1", "Thing", json!({"a": ""}), json!({"a": ""})),
        ] {
            assert_eq!(normalized(version, kind, object), expected, "{kind}");
        }
    }
}
