//! The table of a pod's Events, the newest last.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};

use super::prefix_writer::PrefixWriter;
use crate::model::duration;

/// Writes the table of events.
pub fn describe(out: &mut PrefixWriter, mut events: Vec<Event>, now: Timestamp) {
    if events.is_empty() {
        out.field(0, "Events", "<none>");
        return;
    }
    events.sort_by_key(last_seen);
    out.line(0, "Events:");
    out.line(1, "Type\tReason\tAge\tFrom\tMessage");
    out.line(1, "----\t------\t----\t----\t-------");
    for event in &events {
        let text_of = |text: &Option<String>| text.clone().unwrap_or_default();
        let source = event.source.as_ref().and_then(|source| source.component.clone()).filter(|name| !name.is_empty());
        let source = source.unwrap_or_else(|| text_of(&event.reporting_component));
        let (kind, reason, message) = (text_of(&event.type_), text_of(&event.reason), text_of(&event.message));
        let field = event.involved_object.field_path.iter().filter(|path| !path.is_empty());
        let field: String = field.map(|path| format!("{path}: ")).collect();
        out.line(1, format_args!("{kind}\t{reason}\t{}\t{source}\t{field}{}", age(event, now), message.trim()));
    }
}

/// Returns when the event last occurred.
pub fn last_seen(event: &Event) -> Option<Timestamp> {
    event.last_timestamp.as_ref().map(|Time(at)| *at)
}

/// Returns the time by which `kubectl events` sorts: of the last occurrence, in a field that depends on the reporter.
pub fn sort_time(event: &Event) -> Option<Timestamp> {
    let micros = |time: &Option<MicroTime>| time.as_ref().map(|MicroTime(at)| *at);
    let series = event.series.as_ref().and_then(|series| micros(&series.last_observed_time));
    series.or(last_seen(event)).or(micros(&event.event_time))
}

/// Returns the age: `5s`, or `5s (x3 over 1m)`.
pub fn age(event: &Event, now: Timestamp) -> String {
    let ago = |at: Option<Timestamp>| {
        at.map_or_else(|| "<unknown>".to_string(), |at| duration::human_duration(now.duration_since(at).as_secs()))
    };
    let micros = |time: &Option<MicroTime>| time.as_ref().map(|MicroTime(at)| *at);
    let first = ago(micros(&event.event_time).or(event.first_timestamp.as_ref().map(|Time(at)| *at)));
    match (&event.series, event.count) {
        (Some(series), _) => {
            let last = ago(micros(&series.last_observed_time));
            format!("{last} (x{} over {first})", series.count.unwrap_or_default())
        }
        (None, Some(count)) if count > 1 => format!("{} (x{count} over {first})", ago(last_seen(event))),
        (None, _) => first,
    }
}
