//! Events of `events.k8s.io/v1`, which are stored as those of `core/v1`.

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::events::v1::{Event, EventSeries};

use crate::control::{Body, Cause, Object, Patch, Status};
use crate::model::{BodyFormat, DecodeError, Decoded, KindType, decode_body};
use crate::registry::fields::ErrorList;
use crate::registry::kinds::event_rules;
use crate::registry::strategy::{OtherVersion, Strategy as _};
use crate::registry::{identity, patch};

/// The version of events.
pub const VERSION: OtherVersion = OtherVersion {
    group: "events.k8s.io",
    version: "v1",
    kind_type: KindType::of::<Event>(),
    convert: |object| object.as_any().downcast_ref().cloned().map(|event: Event| to_core(event).into()),
    encode,
    decode,
    patch: apply_patch,
    validate: Some(validate),
    fields: &[
        ("reason", "reason"),
        ("regarding.apiVersion", "involvedObject.apiVersion"),
        ("regarding.fieldPath", "involvedObject.fieldPath"),
        ("regarding.kind", "involvedObject.kind"),
        ("regarding.name", "involvedObject.name"),
        ("regarding.namespace", "involvedObject.namespace"),
        ("regarding.resourceVersion", "involvedObject.resourceVersion"),
        ("regarding.uid", "involvedObject.uid"),
        ("reportingController", "reportingComponent"),
        ("type", "type"),
    ],
};

/// Decodes an event of `events.k8s.io/v1` as one of `core/v1`.
fn decode(format: BodyFormat, body: &[u8]) -> Result<Decoded<Body>, DecodeError> {
    let Decoded { object, ignored_fields } = decode_body::<Event>("events.k8s.io/v1", "Event", format, body)?;
    Ok(Decoded { object: to_core(object).into(), ignored_fields })
}

/// Applies a patch of an event of `events.k8s.io/v1`.
fn apply_patch(object: &Object, patch: &Patch) -> Result<Body, Status> {
    let event = convert(serde_json::from_slice(&object.json).map_err(Status::internal)?);
    patch::apply(&event, patch).map(|event| to_core(event).into())
}

/// Validates a new event, or one in place of a stored one.
fn validate(new: &Body, old: Option<&Object>) -> Vec<Cause> {
    let mut errors = ErrorList::default();
    match (new.downcast_ref::<core::Event>(), old.and_then(|old| old.decode::<core::Event>().ok())) {
        (Some(new), Some(old)) => {
            let mut new = new.clone();
            identity::keep_system_fields(&old.metadata, &mut new.metadata);
            new.metadata.namespace.clone_from(&old.metadata.namespace);
            new.set_defaults();
            event_rules::validate_events_v1_update(&mut errors, &new, &old);
        }
        (Some(new), None) => event_rules::validate_events_v1(&mut errors, new),
        (None, _) => {}
    }
    errors.into_causes()
}

/// Converts an event to the stored version.
fn to_core(event: Event) -> core::Event {
    let series = |series: EventSeries| core::EventSeries {
        count: Some(series.count),
        last_observed_time: Some(series.last_observed_time),
    };
    core::Event {
        action: event.action,
        count: event.deprecated_count,
        event_time: event.event_time,
        first_timestamp: event.deprecated_first_timestamp,
        involved_object: event.regarding.unwrap_or_default(),
        last_timestamp: event.deprecated_last_timestamp,
        message: event.note,
        metadata: event.metadata,
        reason: event.reason,
        related: event.related,
        reporting_component: event.reporting_controller,
        reporting_instance: event.reporting_instance,
        series: event.series.map(series),
        source: event.deprecated_source,
        type_: event.type_,
    }
}

/// Encodes a stored event of `core/v1` as `events.k8s.io/v1`.
fn encode(object: &Object) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&convert(serde_json::from_slice(&object.json)?))
}

/// Converts an event. The fields that older recorders set become the deprecated ones.
fn convert(core: core::Event) -> Event {
    let series = |series: core::EventSeries| EventSeries {
        count: series.count.unwrap_or_default(),
        last_observed_time: series.last_observed_time.unwrap_or(EPOCH),
    };
    Event {
        action: core.action,
        deprecated_count: core.count,
        deprecated_first_timestamp: core.first_timestamp,
        deprecated_last_timestamp: core.last_timestamp,
        deprecated_source: core.source,
        event_time: core.event_time,
        metadata: core.metadata,
        note: core.message,
        reason: core.reason,
        regarding: Some(core.involved_object),
        related: core.related,
        reporting_controller: core.reporting_component,
        reporting_instance: core.reporting_instance,
        series: core.series.map(series),
        type_: core.type_,
    }
}

/// Time of a series without one: the field is required.
const EPOCH: k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime =
    k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime(k8s_openapi::jiff::Timestamp::UNIX_EPOCH);

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::control::{Key, Resource, UnversionedObject};

    #[test]
    fn core_event_converts_to_events_v1() {
        let core: core::Event = serde_json::from_value(json!({
            "metadata": {"name": "e", "namespace": "ns"}, "involvedObject": {"kind": "Pod", "name": "p"},
            "reason": "Started", "message": "Container started", "type": "Normal", "count": 2,
            "source": {"component": "kubelet", "host": "n"}, "reportingComponent": "kubelet", "reportingInstance": "n",
            "firstTimestamp": "2026-11-20T10:00:00Z", "lastTimestamp": "2026-11-20T11:00:00Z",
            "series": {"count": 2, "lastObservedTime": "2026-11-20T11:00:00.000000Z"},
        }))
        .expect("an event");
        let stored =
            UnversionedObject::encode(&core).expect("encodes").with_revision(Key::new(Resource::EVENTS, "ns", "e"), 7);
        let sent: Value = serde_json::from_slice(&encode(&stored).expect("converts")).expect("JSON");
        let expected = json!({
            "apiVersion": "events.k8s.io/v1", "kind": "Event",
            "metadata": {"name": "e", "namespace": "ns", "resourceVersion": "7"},
            "regarding": {"kind": "Pod", "name": "p"}, "reason": "Started", "note": "Container started", "type": "Normal",
            "deprecatedCount": 2, "deprecatedSource": {"component": "kubelet", "host": "n"},
            "deprecatedFirstTimestamp": "2026-11-20T10:00:00Z", "deprecatedLastTimestamp": "2026-11-20T11:00:00Z",
            "reportingController": "kubelet", "reportingInstance": "n",
            "series": {"count": 2, "lastObservedTime": "2026-11-20T11:00:00.000000Z"},
        });
        assert_eq!(sent, expected);
    }

    #[test]
    fn patches_of_events_v1_change_the_stored_event() {
        let core: core::Event = serde_json::from_value(json!({
            "metadata": {"name": "e", "namespace": "ns", "uid": "u"}, "involvedObject": {"namespace": "ns"},
            "reason": "R", "message": "m", "type": "Normal", "action": "A", "reportingComponent": "c",
            "reportingInstance": "i", "eventTime": "2026-11-20T11:00:00.000000Z",
        }))
        .expect("an event");
        let stored =
            UnversionedObject::encode(&core).expect("encodes").with_revision(Key::new(Resource::EVENTS, "ns", "e"), 7);
        let patched = |body: Value| {
            let patch = Patch {
                kind: crate::control::PatchKind::Merge,
                body: body.to_string().into_bytes(),
                field_validation: crate::control::FieldValidation::Strict,
            };
            let body = apply_patch(&stored, &patch).expect("a patch");
            let causes = validate(&body, Some(&stored)).iter().map(ToString::to_string).collect::<Vec<_>>();
            (body.downcast_ref::<core::Event>().expect("an event").clone(), causes)
        };
        let series = json!({"count": 2, "lastObservedTime": "2026-11-20T12:00:00.000000Z"});
        let (event, causes) = patched(json!({"series": series}));
        assert_eq!((event.series.and_then(|series| series.count), causes), (Some(2), Vec::new()));
        let (event, causes) = patched(json!({"note": "other"}));
        assert_eq!(event.message.as_deref(), Some("other"));
        assert_eq!(causes, ["message: Invalid value: \"other\": field is immutable"]);
    }
}
