//! A client that follows pods and their logs, as kubectl would: by list, watch and log.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;

use futures_util::stream;
use futures_util::stream::{BoxStream, SelectAll, StreamExt};
use k8s_openapi::api::core::v1::{ContainerStatus, Event, Pod};

use crate::control::{ChangeKind, ControlPlane, Key, Object, Reason, Resource, Scope, Status, WatchEvent, WatchStream};
use crate::logs::Entry;
use crate::model::{outcome, pods};
use crate::node::Handle;

/// A pod as it was last seen.
#[derive(Clone)]
pub struct ObservedPod {
    pub object: Arc<Object>,
    pub pod: Arc<Pod>,
    /// Removed from the control plane.
    pub gone: bool,
}

/// Whose log it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub pod: String,
    pub container: String,
}

/// What a follower tells.
pub enum RunEvent {
    Pod(Key),
    Log(Arc<Source>, Vec<Entry>),
    /// A pod was warned of something that its state does not show.
    Warning(String),
}

type LogStream = BoxStream<'static, (Arc<Source>, Vec<Entry>)>;

/// See the module's documentation.
pub struct PodWatcher {
    control: Arc<dyn ControlPlane>,
    handle: Handle,
    watch: WatchStream,
    /// Events of all pods; `None` once they can't be followed, which costs only their words.
    events: Option<WatchStream>,
    /// Changes found by listing, not told yet.
    changed: VecDeque<Key>,
    pods: BTreeMap<Key, ObservedPod>,
    logs: SelectAll<LogStream>,
    /// Attempts whose logs are followed.
    followed: HashSet<String>,
}

impl PodWatcher {
    /// Follows all pods that will be created.
    pub async fn start(control: &Arc<dyn ControlPlane>, handle: Handle) -> anyhow::Result<PodWatcher> {
        let list = control.list(&Scope::all(Resource::PODS)).await?;
        let watch = control.watch(&Scope::all(Resource::PODS), list.revision).await?;
        let events = control.watch(&Scope::all(Resource::EVENTS), list.revision).await?;
        Ok(PodWatcher {
            control: control.clone(),
            handle,
            watch,
            events: Some(events),
            changed: VecDeque::new(),
            pods: BTreeMap::new(),
            logs: SelectAll::new(),
            followed: HashSet::new(),
        })
    }

    pub fn pods(&self) -> impl Iterator<Item = &ObservedPod> {
        self.pods.values()
    }

    pub fn pod(&self, key: &Key) -> Option<&ObservedPod> {
        self.pods.get(key)
    }

    /// The next thing that happens. Cancel-safe.
    pub async fn next(&mut self) -> anyhow::Result<RunEvent> {
        loop {
            if let Some(key) = self.changed.pop_front() {
                return Ok(RunEvent::Pod(key));
            }
            tokio::select! {
                // States first, so that an attempt is known before its last lines are told.
                biased;
                event = self.watch.next() => match event {
                    Some(Ok(WatchEvent::Change(kind, object))) => {
                        let key = object.key.clone();
                        self.see(object, kind)?;
                        return Ok(RunEvent::Pod(key));
                    }
                    Some(Ok(WatchEvent::Bookmark(_))) => {}
                    // It fell behind what the store remembers.
                    Some(Err(status)) if status.reason == Reason::Expired => self.list_again().await?,
                    Some(Err(status)) => return Err(status.into()),
                    None => self.list_again().await?,
                },
                Some((source, entries)) = self.logs.next() => return Ok(RunEvent::Log(source, entries)),
                event = next_event(&mut self.events) => match event {
                    Some(Ok(WatchEvent::Change(ChangeKind::Added, object))) => {
                        if let Some(warning) = object.decode().ok().and_then(|event| warning(&event)) {
                            return Ok(RunEvent::Warning(warning));
                        }
                    }
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => self.events = None,
                },
            }
        }
    }

    /// What is left of the logs once nothing runs any more.
    pub async fn next_log(&mut self) -> Option<(Arc<Source>, Vec<Entry>)> {
        self.logs.next().await
    }

    /// Catches up by comparing what is there with what was seen.
    async fn list_again(&mut self) -> anyhow::Result<()> {
        let list = self.control.list(&Scope::all(Resource::PODS)).await?;
        self.watch = self.control.watch(&Scope::all(Resource::PODS), list.revision).await?;
        let there: HashSet<Key> = list.items.iter().map(|object| object.key.clone()).collect();
        for (key, seen) in self.pods.iter_mut().filter(|(key, seen)| !seen.gone && !there.contains(*key)) {
            seen.gone = true;
            self.changed.push_back(key.clone());
        }
        for object in list.items {
            let newer = self.pods.get(&object.key).is_none_or(|seen| seen.object.revision < object.revision);
            if newer {
                self.changed.push_back(object.key.clone());
                self.see(object, ChangeKind::Modified)?;
            }
        }
        Ok(())
    }

    fn see(&mut self, object: Arc<Object>, kind: ChangeKind) -> anyhow::Result<()> {
        let pod = object.decode::<Pod>()?;
        for status in outcome::statuses(&pod) {
            for id in attempts(status) {
                self.follow_log(&pod, &status.name, id);
            }
        }
        let seen = ObservedPod { object, pod, gone: kind == ChangeKind::Deleted };
        self.pods.insert(seen.object.key.clone(), seen);
        Ok(())
    }

    fn follow_log(&mut self, pod: &Pod, container: &str, container_id: &str) {
        if self.followed.contains(container_id) {
            return;
        }
        let Some(log) = self.handle.logs.of_attempt(pods::uid(pod), container, container_id) else { return };
        self.followed.insert(container_id.to_string());
        let source = Arc::new(Source { pod: pods::name(pod).into(), container: container.into() });
        let lines = stream::unfold(log.reader(), move |mut reader| {
            let source = source.clone();
            async move { reader.next().await.map(|entries| ((source, entries), reader)) }
        });
        self.logs.push(lines.boxed());
    }
}

async fn next_event(events: &mut Option<WatchStream>) -> Option<Result<WatchEvent, Status>> {
    match events {
        Some(events) => events.next().await,
        None => std::future::pending().await,
    }
}

/// Reasons of events that say what containers' states and pods' phases say as well.
const SHOWN: &[&str] = &["BackOff", "ErrImageNeverPull", "Evicted", "Failed", "InspectFailed"];

/// The words of an event that warns of what is not seen elsewhere.
fn warning(event: &Event) -> Option<String> {
    let reason = event.reason.as_deref().unwrap_or_default();
    if event.type_.as_deref() != Some("Warning") || SHOWN.contains(&reason) || reason.starts_with("OutOf") {
        return None;
    }
    let about = &event.involved_object;
    let pod = about.name.as_deref().unwrap_or_default();
    let container = about.field_path.as_deref().and_then(|path| path.split_once('{')).map(|(_, name)| name);
    let place = container.map_or(pod.to_string(), |name| format!("{pod}/{}", name.trim_end_matches('}')));
    Some(format!("{place}: {reason}: {}", event.message.as_deref().unwrap_or_default().trim_end()))
}

/// The attempts that a status tells of, the older first.
fn attempts(status: &ContainerStatus) -> impl Iterator<Item = &str> {
    let last = status.last_state.as_ref().and_then(|s| s.terminated.as_ref()).and_then(|t| t.container_id.as_deref());
    last.into_iter().chain(status.container_id.as_deref()).filter(|id| !id.is_empty())
}
