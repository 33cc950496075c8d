//! Records core/v1 Events about pods.
//!
//! Recording never waits: a [`Recorder`] queues events for the one [`EventWriter`]. Events that exceed the queue
//! are dropped, since they are hints rather than state. A repeated event increases the count of the existing
//! one. Events are kept for an hour, as by the API server, and at most [`MAX_EVENTS`] of them. The events'
//! reasons and messages are the callers'.

mod writer;

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use tokio::sync::mpsc;

use crate::clock::Clock;
use crate::control::ControlPlane;
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
#[derive(Debug, Clone, PartialEq, Eq)]
struct RecordedEvent {
    pod: InvolvedPod,
    /// The part of the pod: `spec.containers{c}`.
    field_path: Option<String>,
    event_type: EventType,
    reason: String,
    message: String,
    source: EventSource,
}

/// The pod of an event.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct InvolvedPod {
    namespace: String,
    name: String,
    uid: String,
    resource_version: Option<String>,
}

/// Records events of one source. Cheap to clone.
#[derive(Clone)]
pub struct Recorder {
    queue: mpsc::Sender<RecordedEvent>,
    source: EventSource,
}

/// Returns the writer of a node's events and a recorder for `source`.
pub fn recorder(control: Arc<dyn ControlPlane>, clock: Clock, source: EventSource) -> (Recorder, EventWriter) {
    let (queue, recorded) = mpsc::channel(MAX_QUEUED_EVENTS);
    (Recorder { queue, source }, EventWriter::new(control, clock, recorded))
}

impl Recorder {
    /// Returns a recorder for another source.
    #[must_use]
    pub fn for_source(&self, source: EventSource) -> Recorder {
        Recorder { queue: self.queue.clone(), source }
    }

    /// Records an event about `pod`, or about its part at `field_path`.
    pub fn record(&self, pod: &Pod, field_path: Option<String>, event_type: EventType, reason: &str, message: String) {
        let text = |part: &Option<String>| part.clone().unwrap_or_default();
        let meta = &pod.metadata;
        let event = RecordedEvent {
            pod: InvolvedPod {
                namespace: text(&meta.namespace),
                name: text(&meta.name),
                // kubectl looks up a static pod's events by the hash of its manifest.
                uid: pods::annotation(pod, MIRROR_ANNOTATION).map_or_else(|| text(&meta.uid), Into::into),
                resource_version: meta.resource_version.clone(),
            },
            field_path,
            event_type,
            reason: reason.into(),
            message,
            source: self.source.clone(),
        };
        if self.queue.try_send(event).is_err() {
            tracing::debug!(reason, "dropping an event: the writer cannot keep up");
        }
    }
}

#[cfg(test)]
mod tests;
