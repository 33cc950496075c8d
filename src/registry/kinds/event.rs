//! Events: reports about other objects.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use serde_json::Value;
use std::borrow::Cow;

use crate::control::UnversionedObject;
use crate::model::selector::SelectableField;
use crate::registry::columns::{self, Column, age_since, non_empty_or};
use crate::registry::fields::ErrorList;
use crate::registry::kinds::{event_rules, events_v1};
use crate::registry::strategy::{KindInfo, OtherVersion, Strategy};

impl Strategy for Event {
    const INFO: KindInfo =
        KindInfo { short_names: &["ev"], is_acted_on: true, ..KindInfo::new("event", "r2yiGXH7wu8=") };
    const COLUMNS: &'static [Column] = &[
        Column::text("Last Seen", "Time since the last occurrence."),
        Column::text("Type", "Normal or Warning."),
        Column::text("Reason", "Machine-readable reason."),
        Column::text("Object", "The object that the event is about."),
        Column::wide("Subobject", "The part of the object that the event is about."),
        Column::wide("Source", "The component that reported the event."),
        Column::text("Message", "Human-readable description."),
        Column::wide("First Seen", "Time since the first occurrence."),
        Column::wide("Count", "Number of occurrences."),
        Column { name: "Name", kind: "string", format: "name", description: "Name of the event.", priority: 1 },
    ];
    const FIELDS: &'static [SelectableField<Self>] = &[
        ("involvedObject.kind", |e| e.involved_object.kind.as_deref().map(Cow::Borrowed)),
        ("involvedObject.namespace", |e| e.involved_object.namespace.as_deref().map(Cow::Borrowed)),
        ("involvedObject.name", |e| e.involved_object.name.as_deref().map(Cow::Borrowed)),
        ("involvedObject.uid", |e| e.involved_object.uid.as_deref().map(Cow::Borrowed)),
        ("involvedObject.apiVersion", |e| e.involved_object.api_version.as_deref().map(Cow::Borrowed)),
        ("involvedObject.resourceVersion", |e| e.involved_object.resource_version.as_deref().map(Cow::Borrowed)),
        ("involvedObject.fieldPath", |e| e.involved_object.field_path.as_deref().map(Cow::Borrowed)),
        ("reason", |e| e.reason.as_deref().map(Cow::Borrowed)),
        ("reportingComponent", |e| e.reporting_component.as_deref().map(Cow::Borrowed)),
        ("source", |e| {
            let component = e.source.as_ref().and_then(|source| source.component.as_deref());
            component.filter(|component| !component.is_empty()).or(e.reporting_component.as_deref()).map(Cow::Borrowed)
        }),
        ("type", |e| e.type_.as_deref().map(Cow::Borrowed)),
    ];

    const OTHER_VERSIONS: &'static [OtherVersion] = &[events_v1::VERSION];
    const ALLOW_CREATE_ON_UPDATE: bool = true;

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
            columns::name(&self.metadata),
        ]
    }

    // Nodes write events often, and as Go would.
    fn encode(self) -> Result<UnversionedObject, serde_json::Error> {
        UnversionedObject::encode(&self)
    }

    fn set_defaults(&mut self) {
        self.reporting_component.get_or_insert_default();
        self.reporting_instance.get_or_insert_default();
    }

    fn validate(&self, errors: &mut ErrorList) {
        event_rules::validate(errors, self);
    }

    fn validate_update(&self, _old: &Self, errors: &mut ErrorList) {
        event_rules::validate(errors, self);
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
