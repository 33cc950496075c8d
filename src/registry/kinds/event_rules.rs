//! Validation of events (`pkg/apis/core/validation/events.go`). It is stricter in `events.k8s.io/v1` than in `v1`.

use k8s_openapi::api::core::v1::Event;
use serde::Serialize;

use crate::model::formats;
use crate::registry::fields::{ErrorList, FieldPath};
use crate::registry::metadata;

/// Upper bound of the reporting instance, the action and the reason, in bytes.
const MAX_NAME_BYTES: usize = 128;
/// Upper bound of the message, in bytes.
const MAX_MESSAGE_BYTES: usize = 1024;

/// Validates an event that a client writes in `v1`.
pub fn validate(errors: &mut ErrorList, event: &Event) {
    let involved_namespace = text(&event.involved_object.namespace);
    let namespace = text(&event.metadata.namespace);
    let matches = match (&event.event_time, involved_namespace) {
        (None, "") => matches!(namespace, "" | "default"),
        (None, involved) => involved == namespace,
        (Some(_), "") => matches!(namespace, "default" | "kube-system"),
        (Some(_), _) => true,
    };
    if !matches {
        let path = FieldPath::root("involvedObject");
        errors.invalid(path.child("namespace"), involved_namespace, "does not match event.namespace");
    }
    if event.event_time.is_some() {
        validate_names(errors, event);
    }
    errors.invalid_each(FieldPath::root("namespace"), namespace, formats::dns_subdomain(namespace));
}

/// Validates what events with an `eventTime` need.
fn validate_names(errors: &mut ErrorList, event: &Event) {
    let controller = text(&event.reporting_component);
    errors.require_non_empty(FieldPath::root("reportingController"), controller);
    errors.invalid_each(FieldPath::root("reportingController"), controller, formats::qualified_name(controller));
    for (field, value) in
        [("reportingInstance", &event.reporting_instance), ("action", &event.action), ("reason", &event.reason)]
    {
        errors.require_non_empty(FieldPath::root(field), text(value));
        check_length(errors, FieldPath::root(field), text(value), MAX_NAME_BYTES);
    }
    check_length(errors, FieldPath::root("message"), text(&event.message), MAX_MESSAGE_BYTES);
}

/// Validates an event that a client creates in `events.k8s.io/v1`.
pub fn validate_events_v1(errors: &mut ErrorList, event: &Event) {
    validate(errors, event);
    metadata::validate_object_meta(errors, &event.metadata, formats::dns_subdomain);
    validate_series(errors, event);
    if event.event_time.is_none() {
        errors.required(FieldPath::root("eventTime"), "");
    }
    let kind = text(&event.type_);
    if !matches!(kind, "Normal" | "Warning") {
        errors.invalid(FieldPath::root("type"), "", format!("has invalid value: {kind}"));
    }
    let source = event.source.as_ref();
    let has_source = source.is_some_and(|source| !text(&source.component).is_empty() || !text(&source.host).is_empty());
    for (field, is_set) in [
        ("firstTimestamp", event.first_timestamp.is_some()),
        ("lastTimestamp", event.last_timestamp.is_some()),
        ("count", event.count.unwrap_or(0) != 0),
        ("source", has_source),
    ] {
        if is_set {
            errors.invalid(FieldPath::root(field), "", "needs to be unset");
        }
    }
}

/// Validates an event that replaces `old` in `events.k8s.io/v1`: only metadata and the series may change.
pub fn validate_events_v1_update(errors: &mut ErrorList, new: &Event, old: &Event) {
    validate(errors, new);
    metadata::validate_object_meta_update(errors, &new.metadata, &old.metadata);
    if new.series != old.series {
        validate_series(errors, new);
    }
    check_unchanged(errors, "involvedObject", &new.involved_object, &old.involved_object);
    check_unchanged(errors, "reason", &new.reason, &old.reason);
    check_unchanged(errors, "message", &new.message, &old.message);
    let source = |event: &Event| event.source.clone().unwrap_or_default();
    check_unchanged(errors, "source", &source(new), &source(old));
    check_unchanged(errors, "firstTimestamp", &new.first_timestamp, &old.first_timestamp);
    check_unchanged(errors, "lastTimestamp", &new.last_timestamp, &old.last_timestamp);
    check_unchanged(errors, "count", &new.count, &old.count);
    // Kubernetes checks the reason twice.
    check_unchanged(errors, "reason", &new.reason, &old.reason);
    check_unchanged(errors, "type", &new.type_, &old.type_);
    check_unchanged(errors, "eventTime", &new.event_time, &old.event_time);
    check_unchanged(errors, "action", &new.action, &old.action);
    check_unchanged(errors, "related", &new.related, &old.related);
    check_unchanged(errors, "reportingController", &new.reporting_component, &old.reporting_component);
    check_unchanged(errors, "reportingInstance", &new.reporting_instance, &old.reporting_instance);
}

fn validate_series(errors: &mut ErrorList, event: &Event) {
    let Some(series) = &event.series else { return };
    if series.count.unwrap_or(0) < 2 {
        errors.invalid(FieldPath::root("series.count"), "", "should be at least 2");
    }
    // A missing time is read as the first second of 1970.
    if series.last_observed_time.as_ref().is_none_or(|time| time.0.as_second() == 0) {
        errors.required(FieldPath::root("series.lastObservedTime"), "");
    }
}

fn check_unchanged<T: PartialEq + Serialize>(errors: &mut ErrorList, field: &str, new: &T, old: &T) {
    if new != old {
        errors.invalid(FieldPath::root(field), new, "field is immutable");
    }
}

fn check_length(errors: &mut ErrorList, path: FieldPath<'_>, value: &str, max: usize) {
    if value.len() > max {
        errors.invalid(path, "", format!("can have at most {max} characters"));
    }
}

fn text(field: &Option<String>) -> &str {
    field.as_deref().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn event(namespace: &str, fields: Value) -> Event {
        let mut json = json!({"metadata": {"name": "e", "namespace": namespace}, "involvedObject": {}});
        for (name, value) in fields.as_object().expect("fields") {
            json[name] = value.clone();
        }
        serde_json::from_value(json).expect("an event")
    }

    fn causes(validate: impl Fn(&mut ErrorList)) -> Vec<String> {
        let mut errors = ErrorList::default();
        validate(&mut errors);
        errors.into_causes().iter().map(ToString::to_string).collect()
    }

    /// The fields of an event that is valid in both versions.
    fn strict_fields() -> Value {
        json!({
            "involvedObject": {"namespace": "ns"}, "eventTime": "2026-01-01T00:00:00.000000Z", "type": "Normal",
            "reportingComponent": "example.com/c", "reportingInstance": "i", "action": "Act", "reason": "R",
        })
    }

    #[test]
    fn namespaces_of_event_and_object_agree() {
        let time = "2026-01-01T00:00:00.000000Z";
        let mut strict = strict_fields();
        strict["involvedObject"] = json!({"namespace": ""});
        for (namespace, fields, is_valid) in [
            ("default", json!({}), true),
            ("ns", json!({}), false),
            ("ns", json!({"involvedObject": {"namespace": "ns"}}), true),
            ("ns", json!({"involvedObject": {"namespace": "other"}}), false),
            ("kube-system", strict.clone(), true),
            ("ns", strict, false),
            ("ns", json!({"involvedObject": {"namespace": "ns"}, "eventTime": time}), false),
        ] {
            let event = event(namespace, fields.clone());
            assert_eq!(causes(|errors| validate(errors, &event)).is_empty(), is_valid, "{namespace} {fields}");
        }
    }

    #[test]
    fn new_events_have_no_deprecated_fields() {
        let mut fields = strict_fields();
        assert_eq!(causes(|errors| validate_events_v1(errors, &event("ns", fields.clone()))), [""; 0]);
        fields["count"] = 2.into();
        fields["type"] = "Odd".into();
        fields["series"] = json!({"count": 1, "lastObservedTime": "2026-01-01T00:00:00.000000Z"});
        let want = [
            "series.count: Invalid value: \"\": should be at least 2",
            "type: Invalid value: \"\": has invalid value: Odd",
            "count: Invalid value: \"\": needs to be unset",
        ];
        assert_eq!(causes(|errors| validate_events_v1(errors, &event("ns", fields.clone()))), want);
    }

    #[test]
    fn only_the_series_of_an_event_changes() {
        let old = event("ns", strict_fields());
        let mut fields = strict_fields();
        fields["series"] = json!({"count": 2, "lastObservedTime": "2026-01-01T00:00:00.000000Z"});
        let new = event("ns", fields.clone());
        assert_eq!(causes(|errors| validate_events_v1_update(errors, &new, &old)), [""; 0]);
        fields["action"] = "Other".into();
        let new = event("ns", fields);
        let want = ["action: Invalid value: \"Other\": field is immutable"];
        assert_eq!(causes(|errors| validate_events_v1_update(errors, &new, &old)), want);
    }
}
