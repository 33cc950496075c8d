//! Conversion of stored events (`core/v1`) to `events.k8s.io/v1`.

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::events::v1::{Event, EventSeries};

use crate::control::Object;

/// Encodes a stored event of `core/v1` as `events.k8s.io/v1`.
pub fn encode(object: &Object) -> Result<Vec<u8>, serde_json::Error> {
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
}
