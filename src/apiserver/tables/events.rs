//! Events: `LAST SEEN TYPE REASON OBJECT MESSAGE`, and with `-o wide` who tells, how often, since when.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, Time};
use serde_json::Value;

use super::{Column, Tabular, or, since};

impl Tabular for Event {
    const COLUMNS: &'static [Column] = &[
        Column::text("Last Seen", "How long ago it happened last."),
        Column::text("Type", "Normal or Warning."),
        Column::text("Reason", "What happened, in a word."),
        Column::text("Object", "What it happened to."),
        Column::wide("Subobject", "The part of the object that it happened to."),
        Column::wide("Source", "Who tells."),
        Column::text("Message", "What happened, for people."),
        Column::wide("First Seen", "How long ago it happened first."),
        Column::wide("Count", "How often it happened."),
        Column::wide("Name", "The event's own name."),
    ];

    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn cells(&self, now: Timestamp) -> Vec<Value> {
        let seconds = |time: &Option<Time>| time.as_ref().map(|Time(at)| *at);
        let micros = |time: &Option<MicroTime>| time.as_ref().map(|MicroTime(at)| *at);
        // What is told in series has its times and counts there, and its first time as `eventTime`.
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
        let component = or(source.and_then(|s| s.component.as_deref()), or(self.reporting_component.as_deref(), ""));
        let host = or(source.and_then(|s| s.host.as_deref()), or(self.reporting_instance.as_deref(), ""));
        vec![
            since(last, now).into(),
            or(self.type_.as_deref(), "").into(),
            or(self.reason.as_deref(), "").into(),
            object(self).into(),
            or(self.involved_object.field_path.as_deref(), "").into(),
            if host.is_empty() { component.into() } else { format!("{component}, {host}").into() },
            or(self.message.as_deref(), "").trim().into(),
            since(first, now).into(),
            count.into(),
            or(self.metadata.name.as_deref(), "").into(),
        ]
    }
}

/// `pod/web`
fn object(event: &Event) -> String {
    let kind = event.involved_object.kind.as_deref().unwrap_or_default().to_lowercase();
    match event.involved_object.name.as_deref() {
        Some(name) if !name.is_empty() => format!("{kind}/{name}"),
        _ => kind,
    }
}
