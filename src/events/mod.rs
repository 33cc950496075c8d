//! Records core/v1 Events about pods and other objects.
//!
//! Recording never waits: a [`Recorder`] queues events for the one [`EventWriter`]. Events that exceed the queue
//! are dropped, since they are hints rather than state. A repeated event increases the count of the existing
//! one. Events are kept for an hour, as by the API server, and at most [`MAX_EVENTS`] of them, as far as the memory that
//! the node retains permits. The events' reasons and messages are the callers'.

mod table;
mod writer;

use std::sync::Arc;

use k8s_openapi::api::core::v1::{ObjectReference, Pod};
use tokio::sync::mpsc;

use crate::budget::RetainedMemory;
use crate::clock::Clock;
use crate::control::{ControlPlane, Resource};
use crate::model::pods::{self, MIRROR_ANNOTATION};

pub use writer::{EventWriter, MAX_EVENTS};

/// Events that may wait to be written: more than a busy node records while the writer writes one.
const MAX_QUEUED_EVENTS: usize = 4096;

/// The type of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventType {
    /// Information about a regular step.
    Normal,
    /// A problem that may need attention.
    Warning,
}

impl EventType {
    /// Returns the value of an event's `type`.
    pub fn as_str(self) -> &'static str {
        match self {
            EventType::Normal => "Normal",
            EventType::Warning => "Warning",
        }
    }
}

/// The component that records an event.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EventSource {
    /// The component's name in Kubernetes: `kubelet`, `default-scheduler`.
    pub component: &'static str,
    /// The node's name, if the component runs on a node; else empty.
    pub host: Arc<str>,
}

/// An event that was recorded but not written yet.
#[derive(Debug, Clone, PartialEq)]
struct RecordedEvent {
    /// The object of the event; the part of a pod in its `field_path`: `spec.containers{c}`.
    object: ObjectReference,
    event_type: EventType,
    reason: String,
    message: String,
    source: EventSource,
}

/// Records events of one source. Cheap to clone.
#[derive(Clone)]
pub struct Recorder {
    queue: mpsc::Sender<RecordedEvent>,
    source: EventSource,
}

/// Returns the writer of a node's events and a recorder for `source`. The events count against `memory`.
pub fn recorder(
    control: Arc<dyn ControlPlane>,
    clock: Clock,
    source: EventSource,
    memory: &Arc<RetainedMemory>,
) -> (Recorder, EventWriter) {
    let (queue, recorded) = mpsc::channel(MAX_QUEUED_EVENTS);
    (Recorder { queue, source }, EventWriter::new(control, clock, recorded, memory))
}

impl Recorder {
    /// Returns a recorder for another source.
    #[must_use]
    pub fn for_source(&self, source: EventSource) -> Recorder {
        Recorder { queue: self.queue.clone(), source }
    }

    /// Records an event about `pod`, or about its part at `field_path`.
    pub fn record(&self, pod: &Pod, field_path: Option<String>, event_type: EventType, reason: &str, message: String) {
        let meta = &pod.metadata;
        let object = ObjectReference {
            api_version: Some("v1".into()),
            kind: Some(Resource::PODS.kind().into()),
            namespace: Some(meta.namespace.clone().unwrap_or_default()),
            name: Some(meta.name.clone().unwrap_or_default()),
            // kubectl looks up a static pod's events by the hash of its manifest.
            uid: Some(pods::annotation(pod, MIRROR_ANNOTATION).or(meta.uid.as_deref()).unwrap_or_default().into()),
            resource_version: meta.resource_version.clone(),
            field_path,
        };
        self.record_about(object, event_type, reason, message);
    }

    /// Records an event about an object of any kind. Events about cluster-scoped objects are in the namespace `default`.
    pub fn record_about(&self, object: ObjectReference, event_type: EventType, reason: &str, message: String) {
        let event = RecordedEvent { object, event_type, reason: reason.into(), message, source: self.source.clone() };
        if self.queue.try_send(event).is_err() {
            tracing::debug!(reason, "dropping an event: the writer cannot keep up");
        }
    }
}

#[cfg(test)]
mod tests;
