//! Writes recorded events to the control plane as Event objects, counts repetitions, removes old events.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use tokio::sync::mpsc;

use super::RecordedEvent;
use crate::clock::Clock;
use crate::control::{
    Body, ControlPlane, DeleteOptions, Key, Preconditions, Resource, Scope, Status, Subresource, Update,
};
use crate::lifecycle::MonoTime;
use crate::model::pods;

/// Number of events that are kept; beyond it, the oldest are removed.
pub const MAX_EVENTS: usize = 10_000;
/// The time that an event is kept after its last occurrence.
const EVENT_TTL: Duration = Duration::from_secs(60 * 60);
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
    written: HashMap<EventKey, WrittenEvent>,
    /// Occurrences in order. A repeated event has several entries, of which only the last counts.
    order: VecDeque<(EventKey, MonoTime)>,
    /// A number that keeps names unique within one tick of the clock.
    serial: u64,
}

/// The properties that repetitions of an event share.
#[derive(Clone, PartialEq, Eq, Hash)]
struct EventKey {
    uid: String,
    field_path: Option<String>,
    reason: String,
    message: String,
    component: Cow<'static, str>,
}

impl EventKey {
    fn of(event: &Event) -> EventKey {
        let object = &event.involved_object;
        let component = event.source.as_ref().and_then(|source| source.component.clone()).unwrap_or_default();
        EventKey {
            uid: object.uid.clone().unwrap_or_default(),
            field_path: object.field_path.clone(),
            reason: event.reason.clone().unwrap_or_default(),
            message: event.message.clone().unwrap_or_default(),
            component: component.into(),
        }
    }
}

struct WrittenEvent {
    event: Event,
    key: Key,
    /// The monotonic time of the last occurrence.
    last: MonoTime,
}

impl EventWriter {
    pub(super) fn new(
        control: Arc<dyn ControlPlane>,
        clock: Clock,
        recorded: mpsc::Receiver<RecordedEvent>,
    ) -> EventWriter {
        EventWriter { control, clock, recorded, written: HashMap::new(), order: VecDeque::new(), serial: 0 }
    }

    /// Writes events until all recorders are gone.
    pub async fn run(mut self) {
        self.adopt().await;
        let mut sweep = tokio::time::interval(SWEEP_INTERVAL);
        sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                event = self.recorded.recv() => match event {
                    Some(event) => self.write(event).await,
                    None => return,
                },
                _ = sweep.tick() => self.sweep().await,
            }
        }
    }

    /// Takes over the events that an earlier life of the node has written: they are repeated and removed like others.
    async fn adopt(&mut self) {
        let Ok(list) = self.control.list(&Scope::all(Resource::EVENTS)).await else { return };
        let now = self.clock.now();
        let events = list.items.iter().filter_map(|object| Some((object, object.decode::<Event>().ok()?)));
        let mut events: Vec<(MonoTime, Key, Event)> = events
            .map(|(object, event)| (now.mono - age(&event, now.wall), object.key.clone(), Event::clone(&event)))
            .collect();
        events.sort_by_key(|(last, ..)| *last);
        for (last, key, event) in events {
            let event_key = EventKey::of(&event);
            self.order.push_back((event_key.clone(), last));
            self.written.insert(event_key, WrittenEvent { event, key, last });
        }
    }

    /// Creates the event, or counts it if it is written already.
    async fn write(&mut self, recorded: RecordedEvent) {
        let now = self.clock.now();
        let event_key = EventKey {
            uid: recorded.object.uid.clone().unwrap_or_default(),
            field_path: recorded.object.field_path.clone(),
            reason: recorded.reason.clone(),
            message: recorded.message.clone(),
            component: recorded.source.component.into(),
        };
        let result = match self.written.get_mut(&event_key) {
            Some(written) => {
                written.last = now.mono;
                written.event.count = Some(written.event.count.unwrap_or(1) + 1);
                written.event.last_timestamp = Some(pods::api_time(now.wall));
                let body = Body::from(written.event.clone());
                let update = Update::Replace { body, subresource: Subresource::Main };
                self.control.update(&written.key, update, Preconditions::default()).await.map(drop)
            }
            None => self.create(&event_key, recorded, now.wall, now.mono).await,
        };
        if let Err(error) = result {
            tracing::debug!(%error, "cannot write an event");
            self.written.remove(&event_key);
            return;
        }
        self.order.push_back((event_key, now.mono));
        while self.written.len() > MAX_EVENTS {
            self.remove_oldest().await;
        }
    }

    async fn create(
        &mut self,
        event_key: &EventKey,
        recorded: RecordedEvent,
        wall: Timestamp,
        mono: MonoTime,
    ) -> Result<(), Status> {
        self.serial += 1;
        let event = new_event(recorded, wall, self.serial);
        let object = self.control.create(Body::from(event.clone())).await?;
        self.written.insert(event_key.clone(), WrittenEvent { event, key: object.key.clone(), last: mono });
        Ok(())
    }

    /// Removes the events whose time is up.
    async fn sweep(&mut self) {
        let now = self.clock.now().mono;
        while self.order.front().is_some_and(|(_, at)| now - *at > EVENT_TTL) {
            self.remove_oldest().await;
        }
    }

    /// Removes the oldest occurrence, and its event unless that has been repeated since.
    async fn remove_oldest(&mut self) {
        let Some((event_key, occurred)) = self.order.pop_front() else { return };
        if self.written.get(&event_key).is_none_or(|written| written.last != occurred) {
            return;
        }
        if let Some(written) = self.written.remove(&event_key)
            && let Err(error) = self.control.delete(&written.key, DeleteOptions::default()).await
        {
            tracing::debug!(%error, "cannot remove an old event");
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
