//! Events: `LAST SEEN TYPE REASON OBJECT MESSAGE`, and with `-o wide` the source, count and first time.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, Time};
use serde_json::Value;

use super::{ColumnDefinition, Tabular, age_since, non_empty_or};

impl Tabular for Event {
    const COLUMNS: &'static [ColumnDefinition] = &[
        ColumnDefinition::text("Last Seen", "Time since the last occurrence."),
        ColumnDefinition::text("Type", "Normal or Warning."),
        ColumnDefinition::text("Reason", "Machine-readable reason."),
        ColumnDefinition::text("Object", "The object that the event is about."),
        ColumnDefinition::wide("Subobject", "The part of the object that the event is about."),
        ColumnDefinition::wide("Source", "The component that reported the event."),
        ColumnDefinition::text("Message", "Human-readable description."),
        ColumnDefinition::wide("First Seen", "Time since the first occurrence."),
        ColumnDefinition::wide("Count", "Number of occurrences."),
        ColumnDefinition::wide("Name", "Name of the event."),
    ];

    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn cells(&self, now: Timestamp) -> Vec<Value> {
        let seconds = |time: &Option<Time>| time.as_ref().map(|Time(at)| *at);
        let micros = |time: &Option<MicroTime>| time.as_ref().map(|MicroTime(at)| *at);
        // A series has its own count and last time; its first time is `eventTime`.
        let series = self.series.as_ref();
        let first = seconds(&self.first_timestamp).or(micros(&self.event_time));
        let last = match series {
            Some(series) => micros(&series.last_observed_time),
            None => seconds(&self.last_timestamp).or(first),
        };
        let count = match series {
            Some(series) => series.count.unwrap_or_default(),
            None => self.count.filter(|count| *count != 0).unwrap_or(1),
        };
        let source = self.source.as_ref();
        let component = non_empty_or(
            source.and_then(|s| s.component.as_deref()),
            non_empty_or(self.reporting_component.as_deref(), ""),
        );
        let host =
            non_empty_or(source.and_then(|s| s.host.as_deref()), non_empty_or(self.reporting_instance.as_deref(), ""));
        vec![
            age_since(last, now).into(),
            non_empty_or(self.type_.as_deref(), "").into(),
            non_empty_or(self.reason.as_deref(), "").into(),
            object(self).into(),
            non_empty_or(self.involved_object.field_path.as_deref(), "").into(),
            if host.is_empty() { component.into() } else { format!("{component}, {host}").into() },
            non_empty_or(self.message.as_deref(), "").trim().into(),
            age_since(first, now).into(),
            count.into(),
            non_empty_or(self.metadata.name.as_deref(), "").into(),
        ]
    }
}

/// Returns the event's object, such as `pod/web`.
fn object(event: &Event) -> String {
    let kind = event.involved_object.kind.as_deref().unwrap_or_default().to_lowercase();
    match event.involved_object.name.as_deref() {
        Some(name) if !name.is_empty() => format!("{kind}/{name}"),
        _ => kind,
    }
}
