//! Puts records into the control plane as Event objects, counts repetitions, removes old ones.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use tokio::sync::mpsc;

use super::Record;
use crate::clock::Clock;
use crate::control::{Body, ControlPlane, DeleteOptions, Key, Preconditions, Resource, Status, Subresource, Update};
use crate::model::pods;

/// Events that are kept; the oldest go first.
pub const KEPT: usize = 10_000;
/// How long an event is kept after it happened last.
const TTL: Duration = Duration::from_secs(60 * 60);
/// How often old events are looked for.
const SWEEP: Duration = Duration::from_secs(60);

/// Writes what recorders tell; [`Writer::run`] is its life.
pub struct Writer {
    control: Arc<dyn ControlPlane>,
    clock: Clock,
    records: mpsc::Receiver<Record>,
    /// Events that may happen again, by what makes them the same.
    known: HashMap<Same, Written>,
    /// In the order of their last happening; an event that happened again is here twice, and its
    /// first entry is passed over.
    order: VecDeque<(Same, Duration)>,
    /// Makes names unique that are made within one tick of the clock.
    serial: u64,
}

/// What events share that count as one.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Same {
    uid: String,
    field_path: Option<String>,
    reason: String,
    message: String,
    component: &'static str,
}

struct Written {
    event: Event,
    key: Key,
    /// When it happened last.
    last: Duration,
}

impl Writer {
    pub(super) fn new(control: Arc<dyn ControlPlane>, clock: Clock, records: mpsc::Receiver<Record>) -> Writer {
        Writer { control, clock, records, known: HashMap::new(), order: VecDeque::new(), serial: 0 }
    }

    /// Writes events until all recorders are gone.
    pub async fn run(mut self) {
        let mut sweep = tokio::time::interval(SWEEP);
        sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                record = self.records.recv() => match record {
                    Some(record) => self.write(record).await,
                    None => return,
                },
                _ = sweep.tick() => self.sweep().await,
            }
        }
    }

    async fn write(&mut self, record: Record) {
        let now = self.clock.now();
        let same = Same {
            uid: record.pod.uid.clone(),
            field_path: record.field_path.clone(),
            reason: record.reason.clone(),
            message: record.message.clone(),
            component: record.source.component,
        };
        let written = match self.known.get_mut(&same) {
            Some(known) => {
                known.last = now.mono;
                known.event.count = Some(known.event.count.unwrap_or(1) + 1);
                known.event.last_timestamp = Some(pods::time(now.wall));
                let body = Body::Event(Box::new(known.event.clone()));
                self.control
                    .update(
                        &known.key,
                        Update::Replace { body, subresource: Subresource::Main },
                        Preconditions::default(),
                    )
                    .await
                    .map(drop)
            }
            None => self.create(&same, record, now.wall, now.mono).await,
        };
        if let Err(error) = written {
            tracing::debug!(%error, "an event was not written");
            self.known.remove(&same);
            return;
        }
        self.order.push_back((same, now.mono));
        while self.known.len() > KEPT {
            self.remove_oldest().await;
        }
    }

    async fn create(&mut self, same: &Same, record: Record, wall: Timestamp, mono: Duration) -> Result<(), Status> {
        self.serial += 1;
        let event = event(record, wall, self.serial);
        let object = self.control.create(Body::Event(Box::new(event.clone()))).await?;
        self.known.insert(same.clone(), Written { event, key: object.key.clone(), last: mono });
        Ok(())
    }

    async fn sweep(&mut self) {
        let now = self.clock.now().mono;
        while self.order.front().is_some_and(|(_, at)| now.saturating_sub(*at) > TTL) {
            self.remove_oldest().await;
        }
    }

    /// Takes the oldest entry off, and its event where it has not happened again since.
    async fn remove_oldest(&mut self) {
        let Some((same, at)) = self.order.pop_front() else { return };
        if self.known.get(&same).is_none_or(|written| written.last != at) {
            return;
        }
        if let Some(written) = self.known.remove(&same)
            && let Err(error) = self.control.delete(&written.key, DeleteOptions::default()).await
        {
            tracing::debug!(%error, "an old event was not removed");
        }
    }
}

/// A new event, named as a kubelet names them: after its pod and the time.
fn event(record: Record, wall: Timestamp, serial: u64) -> Event {
    let nanos = u64::try_from(wall.as_nanosecond()).unwrap_or(0).wrapping_add(serial);
    // The scheduler speaks a newer dialect of events: one exact time and an action.
    let scheduler = record.source.component == "default-scheduler";
    let at = Some(pods::time(wall)).filter(|_| !scheduler);
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{}.{nanos:x}", record.pod.name)),
            namespace: Some(record.pod.namespace.clone()),
            ..ObjectMeta::default()
        },
        involved_object: ObjectReference {
            api_version: Some("v1".into()),
            kind: Some(Resource::PODS.kind.into()),
            namespace: Some(record.pod.namespace),
            name: Some(record.pod.name),
            uid: Some(record.pod.uid),
            resource_version: record.pod.revision,
            field_path: record.field_path,
        },
        reason: Some(record.reason),
        message: Some(record.message),
        source: Some(EventSource {
            component: Some(record.source.component.into()).filter(|_| !scheduler),
            host: Some(record.source.host.to_string()).filter(|host| !scheduler && !host.is_empty()),
        }),
        first_timestamp: at.clone(),
        last_timestamp: at,
        count: Some(1).filter(|_| !scheduler),
        type_: Some(record.severity.word().into()),
        event_time: scheduler.then_some(MicroTime(wall)),
        action: scheduler.then(|| "Binding".into()),
        reporting_component: Some(record.source.component.into()),
        reporting_instance: Some(record.source.host.to_string()).filter(|host| !host.is_empty()),
        ..Event::default()
    }
}
