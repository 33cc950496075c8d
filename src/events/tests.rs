use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use k8s_openapi::api::core::v1::Event;
use parking_lot::Mutex;
use tokio::task::JoinHandle;

use super::*;
use crate::control::{
    Body, DeleteOptions, DeleteResult, Key, List, Object, Preconditions, Reason, Resource, Revision, Scope, Status,
    UnversionedObject, Update, WatchStream,
};

/// A control plane that stores events only.
#[derive(Default)]
struct EventStore {
    /// Protects the stored events.
    events: Mutex<Vec<(Key, Event)>>,
}

impl EventStore {
    fn summaries(&self) -> Vec<String> {
        let events = self.events.lock();
        let summary =
            |(_, e): &(Key, Event)| format!("{} x{}", e.reason.clone().unwrap_or_default(), e.count.unwrap_or(0));
        events.iter().map(summary).collect()
    }
}

fn not_allowed<T: Send + 'static>() -> BoxFuture<'static, Result<T, Status>> {
    async { Err(Status::new(Reason::MethodNotAllowed, "not in this test")) }.boxed()
}

impl ControlPlane for EventStore {
    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Arc<Object>, Status>> {
        let stored = self.events.lock().iter().find(|(k, _)| k == key).map(|(_, event)| event.clone());
        let Some(event) = stored else { return not_allowed() };
        let object = UnversionedObject::encode(&event).expect("an event").with_revision(key.clone(), 1);
        std::future::ready(Ok(Arc::new(object))).boxed()
    }
    fn list<'a>(&'a self, _: &'a Scope) -> BoxFuture<'a, Result<List, Status>> {
        not_allowed()
    }
    fn list_at<'a>(&'a self, _: &'a Scope, _: Revision) -> BoxFuture<'a, Result<List, Status>> {
        not_allowed()
    }
    fn watch<'a>(&'a self, _: &'a Scope, _: Revision) -> BoxFuture<'a, Result<WatchStream, Status>> {
        not_allowed()
    }
    fn watch_all(&self, _: Revision) -> BoxFuture<'_, Result<WatchStream, Status>> {
        not_allowed()
    }
    fn revision(&self) -> BoxFuture<'_, Result<Revision, Status>> {
        not_allowed()
    }
    fn create(&self, body: Body) -> BoxFuture<'_, Result<Arc<Object>, Status>> {
        let Some(event) = body.downcast::<Event>() else { return not_allowed() };
        let name = event.metadata.name.clone().unwrap_or_default();
        let key = Key::new(Resource::EVENTS, "default", &name);
        let object = UnversionedObject::encode(&event).expect("an event").with_revision(key.clone(), 1);
        self.events.lock().push((key, *event));
        std::future::ready(Ok(Arc::new(object))).boxed()
    }
    fn update<'a>(
        &'a self,
        key: &'a Key,
        update: Update,
        _: Preconditions,
    ) -> BoxFuture<'a, Result<Arc<Object>, Status>> {
        let Update::Replace { body, .. } = update else { return not_allowed() };
        let Some(event) = body.downcast::<Event>() else { return not_allowed() };
        let object = UnversionedObject::encode(&event).expect("an event").with_revision(key.clone(), 1);
        for (_, stored) in self.events.lock().iter_mut().filter(|(k, _)| k == key) {
            *stored = (*event).clone();
        }
        std::future::ready(Ok(Arc::new(object))).boxed()
    }
    fn delete<'a>(&'a self, key: &'a Key, _: DeleteOptions) -> BoxFuture<'a, Result<DeleteResult, Status>> {
        let mut events = self.events.lock();
        let Some(index) = events.iter().position(|(k, _)| k == key) else { return not_allowed() };
        let (key, event) = events.remove(index);
        let object = UnversionedObject::encode(&event).expect("an event").with_revision(key, 1);
        std::future::ready(Ok(DeleteResult::Removed(Arc::new(object)))).boxed()
    }

    fn dry_run(&self) -> Arc<dyn ControlPlane> {
        Arc::new(EventStore::default())
    }
}

fn pod() -> Pod {
    serde_yaml::from_str("{metadata: {name: p, namespace: default, uid: u}}").expect("a pod")
}

/// Starts a writer; it ends with its recorders.
fn start(source: EventSource) -> (Arc<EventStore>, Recorder, JoinHandle<()>) {
    let control = Arc::new(EventStore::default());
    let clock = Clock::starting_at(jiff::Timestamp::UNIX_EPOCH);
    let (recorder, writer) = recorder(control.clone(), clock, source, &RetainedMemory::unlimited());
    (control, recorder, tokio::spawn(writer.run()))
}

#[tokio::test(start_paused = true)]
async fn repeated_events_are_counted_and_old_ones_removed() {
    let (control, recorder, task) = start(EventSource { component: "kubelet", host: "n".into() });
    let record = |reason: &str| recorder.record(&pod(), None, EventType::Warning, reason, "why".into());
    record("BackOff");
    record("Killing");
    tokio::time::sleep(Duration::from_secs(40 * 60)).await;
    record("BackOff");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(control.summaries(), ["BackOff x2", "Killing x1"]);
    tokio::time::sleep(Duration::from_secs(30 * 60)).await;
    assert_eq!(control.summaries(), ["BackOff x2"], "an hour after the last occurrence");
    drop(recorder);
    task.await.expect("the writer ends with its recorders");
}

#[tokio::test(start_paused = true)]
async fn repeated_event_that_a_client_deleted_is_created_anew() {
    let (control, recorder, task) = start(EventSource { component: "default-scheduler", host: "".into() });
    let record = || recorder.record(&pod(), None, EventType::Warning, "FailedScheduling", "x".repeat(2000));
    for expected in ["FailedScheduling x0", "FailedScheduling x2"] {
        record();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(control.summaries(), [expected]);
    }
    control.events.lock().clear();
    record();
    drop(recorder);
    task.await.expect("the writer ends with its recorders");
    assert_eq!(control.summaries(), ["FailedScheduling x0"]);
}

#[tokio::test(start_paused = true)]
async fn number_of_events_is_bounded() {
    let (control, recorder, task) = start(EventSource { component: "kubelet", host: "n".into() });
    for i in 0..MAX_EVENTS + 50 {
        recorder.record(&pod(), None, EventType::Normal, "Started", i.to_string());
        if i % 1000 == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    drop(recorder);
    task.await.expect("the writer ends with its recorders");
    assert_eq!(control.events.lock().len(), MAX_EVENTS);
    assert_eq!(control.events.lock().last().and_then(|(_, e)| e.message.clone()), Some((MAX_EVENTS + 49).to_string()));
}
