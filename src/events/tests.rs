use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use k8s_openapi::api::core::v1::Event;
use parking_lot::Mutex;

use super::*;
use crate::control::{
    Body, DeleteOptions, DeleteResult, Key, List, Object, Preconditions, Reason, Resource, Revision, Scope, Status,
    UnversionedObject, Update, WatchStream,
};

/// Keeps events and nothing else.
#[derive(Default)]
struct Kept {
    /// Protects what was written.
    events: Mutex<Vec<(Key, Event)>>,
}

impl Kept {
    fn shown(&self) -> Vec<String> {
        let events = self.events.lock();
        let show =
            |(_, e): &(Key, Event)| format!("{} x{}", e.reason.clone().unwrap_or_default(), e.count.unwrap_or(0));
        events.iter().map(show).collect()
    }
}

fn refused<T: Send + 'static>() -> BoxFuture<'static, Result<T, Status>> {
    async { Err(Status::new(Reason::MethodNotAllowed, "not in this test")) }.boxed()
}

impl ControlPlane for Kept {
    fn get<'a>(&'a self, _: &'a Key) -> BoxFuture<'a, Result<Arc<Object>, Status>> {
        refused()
    }
    fn list<'a>(&'a self, _: &'a Scope) -> BoxFuture<'a, Result<List, Status>> {
        refused()
    }
    fn list_at<'a>(&'a self, _: &'a Scope, _: Revision) -> BoxFuture<'a, Result<List, Status>> {
        refused()
    }
    fn watch<'a>(&'a self, _: &'a Scope, _: Revision) -> BoxFuture<'a, Result<WatchStream, Status>> {
        refused()
    }
    fn revision(&self) -> BoxFuture<'_, Result<Revision, Status>> {
        refused()
    }
    fn create(&self, body: Body) -> BoxFuture<'_, Result<Arc<Object>, Status>> {
        let Body::Event(event) = body else { return refused() };
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
        let Update::Replace { body: Body::Event(event), .. } = update else { return refused() };
        let object = UnversionedObject::encode(&event).expect("an event").with_revision(key.clone(), 1);
        for (_, kept) in self.events.lock().iter_mut().filter(|(k, _)| k == key) {
            *kept = (*event).clone();
        }
        std::future::ready(Ok(Arc::new(object))).boxed()
    }
    fn delete<'a>(&'a self, key: &'a Key, _: DeleteOptions) -> BoxFuture<'a, Result<DeleteResult, Status>> {
        let mut events = self.events.lock();
        let Some(at) = events.iter().position(|(k, _)| k == key) else { return refused() };
        let (key, event) = events.remove(at);
        let object = UnversionedObject::encode(&event).expect("an event").with_revision(key, 1);
        std::future::ready(Ok(DeleteResult::Removed(Arc::new(object)))).boxed()
    }

    fn dry_run(&self) -> Arc<dyn ControlPlane> {
        Arc::new(Kept::default())
    }
}

fn pod() -> Pod {
    serde_yaml::from_str("{metadata: {name: p, namespace: default, uid: u}}").expect("a pod")
}

#[tokio::test(start_paused = true)]
async fn what_happens_again_is_counted_and_what_is_old_goes() {
    let control = Arc::new(Kept::default());
    let clock = Clock::starting_at(jiff::Timestamp::UNIX_EPOCH);
    let source = EventSource { component: "kubelet", host: "n".into() };
    let (recorder, writer) = recorder(control.clone(), clock, source);
    let task = tokio::spawn(writer.run());
    let tell = |reason: &str| recorder.record(&pod(), None, EventType::Warning, reason, "why".into());
    tell("BackOff");
    tell("Killing");
    tokio::time::sleep(Duration::from_secs(40 * 60)).await;
    tell("BackOff");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(control.shown(), ["BackOff x2", "Killing x1"]);
    tokio::time::sleep(Duration::from_secs(30 * 60)).await;
    assert_eq!(control.shown(), ["BackOff x2"], "an hour after it happened last");
    drop(recorder);
    task.await.expect("the writer ends with its recorders");
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_events_is_bounded() {
    let control = Arc::new(Kept::default());
    let clock = Clock::starting_at(jiff::Timestamp::UNIX_EPOCH);
    let (recorder, writer) = recorder(control.clone(), clock, EventSource { component: "kubelet", host: "n".into() });
    let task = tokio::spawn(writer.run());
    for i in 0..KEPT + 50 {
        recorder.record(&pod(), None, EventType::Normal, "Started", i.to_string());
        if i % 1000 == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    drop(recorder);
    task.await.expect("the writer ends with its recorders");
    assert_eq!(control.events.lock().len(), KEPT);
    assert_eq!(control.events.lock().last().and_then(|(_, e)| e.message.clone()), Some((KEPT + 49).to_string()));
}
