//! Events: what happened to pods, in Kubernetes' words, for whoever describes them later.
//!
//! Recording never waits: a [`Recorder`] hands its events to the one [`Writer`] and goes on; when
//! the writer can't keep up they are dropped, since events are hints and no state. What happens
//! again is counted in the event that is there already. Events are kept for an hour, as by a
//! real API server, and at most [`KEPT`] of them.

mod writer;

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use tokio::sync::mpsc;

use crate::clock::Clock;
use crate::control::ControlPlane;
use crate::model::pods::{self, MIRROR_ANNOTATION};

pub use writer::{KEPT, Writer};

/// Events that wait to be written; more than a busy node makes while the writer writes one.
const QUEUE: usize = 4096;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventType {
    /// All is as it should be.
    Normal,
    /// Somebody may have to do something.
    Warning,
}

impl EventType {
    /// As it stands in an event's `type`.
    pub fn word(self) -> &'static str {
        match self {
            EventType::Normal => "Normal",
            EventType::Warning => "Warning",
        }
    }
}

/// Who tells of an event.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EventSource {
    /// `kubelet`, `default-scheduler`: the names under which people know these parts.
    pub component: &'static str,
    /// The node, where it is one.
    pub host: Arc<str>,
}

/// One thing that happened to a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Record {
    pod: Involved,
    /// `spec.containers{c}`
    field_path: Option<String>,
    severity: EventType,
    reason: String,
    message: String,
    source: EventSource,
}

/// Which pod.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Involved {
    namespace: String,
    name: String,
    uid: String,
    revision: Option<String>,
}

/// Tells of events in the name of one source. Cheap to clone.
#[derive(Clone)]
pub struct Recorder {
    queue: mpsc::Sender<Record>,
    source: EventSource,
}

/// The writer of a node's events, and a recorder in the name of `source`.
pub fn recorder(control: Arc<dyn ControlPlane>, clock: Clock, source: EventSource) -> (Recorder, Writer) {
    let (queue, records) = mpsc::channel(QUEUE);
    (Recorder { queue, source }, Writer::new(control, clock, records))
}

impl Recorder {
    /// A recorder in another name.
    #[must_use]
    pub fn in_the_name_of(&self, source: EventSource) -> Recorder {
        Recorder { queue: self.queue.clone(), source }
    }

    /// `message` happened to `pod`, to its part at `field_path` where there is one.
    pub fn record(&self, pod: &Pod, field_path: Option<String>, severity: EventType, reason: &str, message: String) {
        let text = |part: &Option<String>| part.clone().unwrap_or_default();
        let meta = &pod.metadata;
        let record = Record {
            pod: Involved {
                namespace: text(&meta.namespace),
                name: text(&meta.name),
                // A static pod is known by its manifest: so kubectl asks for its events.
                uid: pods::annotation(pod, MIRROR_ANNOTATION).map_or_else(|| text(&meta.uid), Into::into),
                revision: meta.resource_version.clone(),
            },
            field_path,
            severity,
            reason: reason.into(),
            message,
            source: self.source.clone(),
        };
        if self.queue.try_send(record).is_err() {
            tracing::debug!(reason, "an event was dropped: they come faster than they are written");
        }
    }
}

#[cfg(test)]
mod tests;
