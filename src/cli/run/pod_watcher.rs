//! Follows pods, their logs and their warnings, as kubectl does: with list, watch and log requests.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;

use futures_util::stream;
use futures_util::stream::{BoxStream, SelectAll, StreamExt};
use k8s_openapi::api::core::v1::{ContainerStatus, Event, Pod};

use crate::control::{ChangeKind, ControlPlane, Key, Object, Reason, Resource, Scope, Status, WatchEvent, WatchStream};
use crate::logs::{LineJoiner, LogEntry};
use crate::model::{outcome, pods};
use crate::node::Handle;

/// The last observed state of a pod.
#[derive(Clone)]
pub struct ObservedPod {
    pub object: Arc<Object>,
    pub pod: Arc<Pod>,
    /// The pod was removed from the control plane.
    pub is_deleted: bool,
}

impl ObservedPod {
    /// Returns whether the pod exists and has not finished.
    pub fn is_active(&self) -> bool {
        !self.is_deleted && !pods::is_terminal(&self.pod)
    }
}

/// The container that wrote a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSource {
    pub pod: String,
    pub container: String,
}

/// A report of a [`PodWatcher`].
pub enum RunEvent {
    /// The pod at this key changed or was deleted.
    PodChanged(Key),
    Log(Arc<LogSource>, Vec<LogEntry>),
    /// A warning about a pod that its status does not show.
    Warning(String),
}

/// A report about the log of an attempt.
enum LogEvent {
    Entries(Arc<LogSource>, Vec<LogEntry>),
    /// The log of the attempt with this container ID is complete.
    End(String),
}

/// A change of a pod, and the container IDs of the attempts that have ended.
struct UnreportedChange {
    key: Key,
    ended: Vec<String>,
}

/// Follows the pods of a run, their logs and their warnings.
pub struct PodWatcher {
    control: Arc<dyn ControlPlane>,
    handle: Handle,
    pod_watch: WatchStream,
    /// The watch of all Events; `None` after it has failed, which costs only the warnings.
    event_watch: Option<WatchStream>,
    /// Changes that are not reported yet. A change is reported after the logs of the attempts whose end it tells.
    unreported: VecDeque<UnreportedChange>,
    pods: BTreeMap<Key, ObservedPod>,
    logs: SelectAll<BoxStream<'static, LogEvent>>,
    /// Container IDs of the attempts whose logs are or were in `logs`.
    followed: HashSet<String>,
    /// Those whose logs are not complete.
    unfinished: HashSet<String>,
}

impl PodWatcher {
    /// Starts to follow all pods that will be created.
    pub async fn start(control: &Arc<dyn ControlPlane>, handle: Handle) -> anyhow::Result<PodWatcher> {
        let list = control.list(&Scope::all(Resource::PODS)).await?;
        let pod_watch = control.watch(&Scope::all(Resource::PODS), list.revision).await?;
        let event_watch = control.watch(&Scope::all(Resource::EVENTS), list.revision).await?;
        Ok(PodWatcher {
            control: control.clone(),
            handle,
            pod_watch,
            event_watch: Some(event_watch),
            unreported: VecDeque::new(),
            pods: BTreeMap::new(),
            logs: SelectAll::new(),
            followed: HashSet::new(),
            unfinished: HashSet::new(),
        })
    }

    /// Returns all pods, deleted ones included.
    pub fn pods(&self) -> impl Iterator<Item = &ObservedPod> {
        self.pods.values()
    }

    /// Returns the pod at `key`, even if it was deleted.
    pub fn pod(&self, key: &Key) -> Option<&ObservedPod> {
        self.pods.get(key)
    }

    /// Waits for the next event. Cancel-safe.
    pub async fn next(&mut self) -> anyhow::Result<RunEvent> {
        loop {
            let unfinished = &self.unfinished;
            let is_reportable = |change: &mut UnreportedChange| change.ended.iter().all(|id| !unfinished.contains(id));
            if let Some(change) = self.unreported.pop_front_if(is_reportable) {
                return Ok(RunEvent::PodChanged(change.key));
            }
            let waits_for_logs = !self.unreported.is_empty();
            tokio::select! {
                // Pods first, so that an attempt is known before its last lines are reported.
                biased;
                event = self.pod_watch.next(), if !waits_for_logs => match event {
                    Some(Ok(WatchEvent::Change(kind, object))) => self.observe(object, kind)?,
                    Some(Ok(WatchEvent::Bookmark(_))) => {}
                    // The watch fell behind the store's history.
                    Some(Err(status)) if status.reason == Reason::Expired => self.relist().await?,
                    Some(Err(status)) => return Err(status.into()),
                    None => self.relist().await?,
                },
                Some(event) = self.logs.next() => {
                    if let Some((source, entries)) = self.apply(event) {
                        return Ok(RunEvent::Log(source, entries));
                    }
                }
                event = next_event(&mut self.event_watch) => match event {
                    Some(Ok(WatchEvent::Change(ChangeKind::Added, object))) => {
                        if let Some(warning) = object.decode().ok().and_then(|event| warning(&event)) {
                            return Ok(RunEvent::Warning(warning));
                        }
                    }
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => self.event_watch = None,
                },
            }
        }
    }

    /// Returns the remaining log lines; `None` after the last one of terminated containers.
    pub async fn next_log(&mut self) -> Option<(Arc<LogSource>, Vec<LogEntry>)> {
        loop {
            let event = self.logs.next().await?;
            if let Some(entries) = self.apply(event) {
                return Some(entries);
            }
        }
    }

    fn apply(&mut self, event: LogEvent) -> Option<(Arc<LogSource>, Vec<LogEntry>)> {
        match event {
            LogEvent::Entries(source, entries) => (!entries.is_empty()).then_some((source, entries)),
            LogEvent::End(id) => {
                self.unfinished.remove(&id);
                None
            }
        }
    }

    /// Lists all pods, queues those that differ from the observed ones, and restarts the watch.
    async fn relist(&mut self) -> anyhow::Result<()> {
        let list = self.control.list(&Scope::all(Resource::PODS)).await?;
        self.pod_watch = self.control.watch(&Scope::all(Resource::PODS), list.revision).await?;
        let listed: HashSet<Key> = list.items.iter().map(|object| object.key.clone()).collect();
        for (key, observed) in self.pods.iter_mut().filter(|(key, pod)| !pod.is_deleted && !listed.contains(*key)) {
            observed.is_deleted = true;
            self.unreported.push_back(UnreportedChange { key: key.clone(), ended: Vec::new() });
        }
        for object in list.items {
            let is_newer = self.pods.get(&object.key).is_none_or(|pod| pod.object.revision < object.revision);
            if is_newer {
                self.observe(object, ChangeKind::Modified)?;
            }
        }
        Ok(())
    }

    /// Takes note of a pod's new state, which is reported later.
    fn observe(&mut self, object: Arc<Object>, kind: ChangeKind) -> anyhow::Result<()> {
        let pod = object.decode::<Pod>()?;
        let ended = outcome::container_statuses(&pod).flat_map(ended_attempts).map(String::from).collect();
        for status in outcome::container_statuses(&pod) {
            for id in attempt_ids(status) {
                self.follow_log(&pod, &status.name, id);
            }
        }
        let observed = ObservedPod { object, pod, is_deleted: kind == ChangeKind::Deleted };
        let key = observed.object.key.clone();
        self.unreported.push_back(UnreportedChange { key: key.clone(), ended });
        self.pods.insert(key, observed);
        Ok(())
    }

    fn follow_log(&mut self, pod: &Pod, container: &str, container_id: &str) {
        if self.followed.contains(container_id) {
            return;
        }
        let Some(log) = self.handle.logs.find(pods::node_uid(pod), container, container_id) else { return };
        self.followed.insert(container_id.to_string());
        self.unfinished.insert(container_id.to_string());
        let source = Arc::new(LogSource { pod: pods::name(pod).into(), container: container.into() });
        let lines = stream::unfold(Some((log.reader(), LineJoiner::default())), async |state| {
            let (mut reader, mut joiner) = state?;
            match reader.next().await {
                Some(entries) => Some((joiner.join(entries), Some((reader, joiner)))),
                None => Some((joiner.finish(), None)),
            }
        });
        let entries = lines.map(move |entries| LogEvent::Entries(source.clone(), entries));
        let id = container_id.to_string();
        self.logs.push(entries.chain(stream::once(async { LogEvent::End(id) })).boxed());
    }
}

async fn next_event(watch: &mut Option<WatchStream>) -> Option<Result<WatchEvent, Status>> {
    match watch {
        Some(watch) => watch.next().await,
        None => std::future::pending().await,
    }
}

/// Reasons of Events that repeat the state of a container or the phase of a pod.
const REASONS_IN_STATUS: &[&str] = &["BackOff", "ErrImageNeverPull", "Evicted", "Failed", "InspectFailed", "NodePorts"];

/// Returns the text of a warning Event, unless the pod's status has the same information.
fn warning(event: &Event) -> Option<String> {
    let reason = event.reason.as_deref().unwrap_or_default();
    let is_warning = event.type_.as_deref() == Some("Warning");
    if !is_warning || REASONS_IN_STATUS.contains(&reason) || reason.starts_with("OutOf") {
        return None;
    }
    let object = &event.involved_object;
    let pod = object.name.as_deref().unwrap_or_default();
    let container = object.field_path.as_deref().and_then(|path| path.split_once('{')).map(|(_, name)| name);
    let source = container.map_or(pod.to_string(), |name| format!("{pod}/{}", name.trim_end_matches('}')));
    Some(format!("{source}: {reason}: {}", event.message.as_deref().unwrap_or_default().trim_end()))
}

/// Returns the container IDs of the attempts in a status that have ended.
fn ended_attempts(status: &ContainerStatus) -> impl Iterator<Item = &str> {
    let states = [&status.last_state, &status.state].into_iter().flatten();
    states.filter_map(|state| state.terminated.as_ref()?.container_id.as_deref())
}

/// Returns the container IDs of the attempts in a status, the older one first.
fn attempt_ids(status: &ContainerStatus) -> impl Iterator<Item = &str> {
    let last = status.last_state.as_ref().and_then(|s| s.terminated.as_ref()).and_then(|t| t.container_id.as_deref());
    last.into_iter().chain(status.container_id.as_deref()).filter(|id| !id.is_empty())
}
