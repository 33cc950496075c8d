//! Writes recorded events to the control plane as Event objects, counts repetitions, removes old events.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use tokio::sync::mpsc;

use super::RecordedEvent;
use super::table::EventTable;
use crate::budget::{RetainedKind, RetainedMemory};
use crate::clock::Clock;
use crate::control::{
    Body, ControlPlane, DeleteOptions, Key, Object, Preconditions, Resource, Scope, Status, Subresource, Update,
};
use crate::model::pods;

/// Number of events that are kept; beyond it, the oldest are removed.
pub const MAX_EVENTS: usize = 10_000;
/// The time that an event is kept after its last occurrence.
pub(super) const EVENT_TTL: Duration = Duration::from_secs(60 * 60);
/// Upper bound of the message of an event with an `eventTime`, in bytes.
const MAX_MESSAGE_BYTES: usize = 1024;
/// Times before this one are those of a clock that was not set: 2020.
const EARLIEST_TIME: Timestamp = Timestamp::constant(1_577_836_800, 0);
/// The period in which old events are removed.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);

/// Writes the events of all recorders while [`EventWriter::run`] runs.
pub struct EventWriter {
    control: Arc<dyn ControlPlane>,
    clock: Clock,
    recorded: mpsc::Receiver<RecordedEvent>,
    /// The events that are kept.
    table: EventTable,
    /// A number that keeps names unique within one tick of the clock.
    serial: u64,
}

/// The properties that repetitions of an event share.
#[derive(PartialEq, Eq, Hash)]
pub(super) struct EventKey {
    uid: String,
    field_path: Option<String>,
    reason: String,
    message: String,
    component: String,
}

impl EventKey {
    fn of(event: &Event) -> EventKey {
        let object = &event.involved_object;
        let source = event.source.as_ref().and_then(|source| source.component.clone());
        EventKey {
            uid: object.uid.clone().unwrap_or_default(),
            field_path: object.field_path.clone(),
            reason: event.reason.clone().unwrap_or_default(),
            message: event.message.clone().unwrap_or_default(),
            component: source.or_else(|| event.reporting_component.clone()).unwrap_or_default(),
        }
    }
}

impl EventWriter {
    pub(super) fn new(
        control: Arc<dyn ControlPlane>,
        clock: Clock,
        recorded: mpsc::Receiver<RecordedEvent>,
        memory: &Arc<RetainedMemory>,
    ) -> EventWriter {
        let table = EventTable::new(memory.charge(RetainedKind::Events));
        EventWriter { control, clock, recorded, table, serial: 0 }
    }

    /// Writes events until all recorders are gone.
    pub async fn run(mut self) {
        let mut sweep = tokio::time::interval(SWEEP_INTERVAL);
        sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // The first tick is due at once.
        sweep.tick().await;
        self.adopt().await;
        loop {
            tokio::select! {
                event = self.recorded.recv() => match event {
                    Some(event) => self.write(event).await,
                    None => return,
                },
                _ = sweep.tick() => self.adopt().await,
            }
            self.remove_surplus().await;
        }
    }

    /// Takes over the events that an earlier life of the node and other clients have written: they are repeated and removed
    /// like others.
    async fn adopt(&mut self) {
        let Ok(list) = self.control.list(&Scope::all(Resource::EVENTS)).await else { return };
        let now = self.clock.now();
        let unknown = self.table.reconcile(list.items.iter().map(|object| &**object));
        let events = unknown.into_iter().filter_map(|object| Some((object, object.decode::<Event>().ok()?)));
        let mut events: Vec<_> =
            events.map(|(object, event)| (now.mono - age(&event, now.wall), object, EventKey::of(&event))).collect();
        events.sort_by_key(|(last, ..)| *last);
        for (last, object, event_key) in events {
            self.table.add(self.table.id(&event_key), object, last);
        }
    }

    /// Creates the event, or counts it if it is written already.
    async fn write(&mut self, recorded: RecordedEvent) {
        let now = self.clock.now();
        self.serial += 1;
        let event = new_event(recorded, now.wall, self.serial);
        let event_key = EventKey::of(&event);
        let id = self.table.id(&event_key);
        let repeated = match self.table.find(id) {
            Some(key) => self.stored(key, &event_key).await,
            None => None,
        };
        let written = match repeated {
            Some((key, repeated)) => self.count(&key, repeated, now.wall).await,
            None => self.control.create(Body::from(event)).await,
        };
        match written {
            Ok(object) => self.table.add(id, &object, now.mono),
            Err(error) => {
                tracing::debug!(%error, "cannot write an event");
                self.table.remove(id);
            }
        }
    }

    /// Returns the stored event at `key` if it still exists, and repeats `event_key`.
    async fn stored(&self, key: &Key, event_key: &EventKey) -> Option<(Key, Event)> {
        let object = self.control.get(key).await.ok()?;
        let event = object.decode::<Event>().ok().filter(|event| EventKey::of(event) == *event_key)?;
        Some((key.clone(), Event::clone(&event)))
    }

    /// Counts another occurrence of a stored event.
    async fn count(&self, key: &Key, mut event: Event, wall: Timestamp) -> Result<Arc<Object>, Status> {
        event.count = Some(event.count.unwrap_or(1) + 1);
        event.last_timestamp = Some(pods::api_time(wall));
        event.metadata.resource_version = None;
        let update = Update::Replace { body: Body::from(event), subresource: Subresource::Main };
        self.control.update(key, update, Preconditions::default()).await
    }

    /// Removes the events that are too old or too many.
    async fn remove_surplus(&mut self) {
        let now = self.clock.now().mono;
        while let Some(key) = self.table.pop_surplus(now) {
            if let Err(error) = self.control.delete(&key, DeleteOptions::default()).await {
                tracing::debug!(%error, "cannot remove an old event");
            }
        }
    }
}

/// Returns the time since the last occurrence of an event; nothing if it was written before the clock was set.
fn age(event: &Event, now: Timestamp) -> Duration {
    let times = [
        event.last_timestamp.as_ref().map(|at| at.0),
        event.event_time.as_ref().map(|at| at.0),
        event.metadata.creation_timestamp.as_ref().map(|at| at.0),
    ];
    let last = times.into_iter().flatten().max().filter(|last| *last >= EARLIEST_TIME);
    last.and_then(|last| Duration::try_from(now.duration_since(last)).ok()).unwrap_or_default()
}

/// Cuts a message to the length that the newer form of events permits, as Kubernetes' scheduler does.
fn truncated(mut message: String) -> String {
    const MARK: &str = " ...";
    if message.len() > MAX_MESSAGE_BYTES {
        message.truncate(message.floor_char_boundary(MAX_MESSAGE_BYTES - MARK.len()));
        message += MARK;
    }
    message
}

/// Returns a new event, named as by kubelet: after its object and the time.
fn new_event(recorded: RecordedEvent, wall: Timestamp, serial: u64) -> Event {
    let nanos = u64::try_from(wall.as_nanosecond()).unwrap_or(0).wrapping_add(serial);
    // The scheduler uses the newer form of events: one exact time and an action.
    let scheduler = recorded.source.component == "default-scheduler";
    let timestamp = Some(pods::api_time(wall)).filter(|_| !scheduler);
    let instance = match &*recorded.source.host {
        "" if scheduler => recorded.source.component,
        host => host,
    };
    let instance = instance.to_string();
    let namespace = recorded.object.namespace.clone().filter(|namespace| !namespace.is_empty());
    let namespace = namespace.unwrap_or_else(|| "default".into());
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{}.{nanos:x}", recorded.object.name.as_deref().unwrap_or_default())),
            namespace: Some(namespace),
            ..ObjectMeta::default()
        },
        involved_object: recorded.object,
        reason: Some(recorded.reason),
        message: Some(if scheduler { truncated(recorded.message) } else { recorded.message }),
        source: Some(EventSource {
            component: Some(recorded.source.component.into()).filter(|_| !scheduler),
            host: Some(recorded.source.host.to_string()).filter(|host| !scheduler && !host.is_empty()),
        }),
        first_timestamp: timestamp.clone(),
        last_timestamp: timestamp,
        count: Some(1).filter(|_| !scheduler),
        type_: Some(recorded.event_type.as_str().into()),
        event_time: scheduler.then_some(MicroTime(wall)),
        action: scheduler.then(|| "Binding".into()),
        reporting_component: Some(recorded.source.component.into()),
        reporting_instance: Some(instance),
        ..Event::default()
    }
}
