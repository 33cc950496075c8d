//! One pod's worker: collects facts, asks `lifecycle` what follows, performs it and reports the status.
//!
//! The worker owns everything of its pod that lives: sandbox, attempts and pending work. Dropping it
//! ends them all. Decisions are left to `lifecycle`, allocations to the agent.

mod message;
mod mirror;
mod perform;
mod reject;
mod report;
mod resize;
mod storage;

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use k8s_openapi::api::core::v1::Pod;
use tokio::sync::{oneshot, watch};
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::NodeContext;
use super::allocation::{ContainerResources, PodResize, container_resources};
use super::attempt::RunningAttempt;
use super::containers::container_ref;
use super::desired::{DesiredState, NodeShutdown, RestartRequests};
use super::events::PodEvents;
use super::eviction::PodEviction;
use super::sandbox::Sandbox;
use crate::control::Object;
use crate::lifecycle::{Attempt, Input, MonoTime, PodState};
use crate::model::pods;
use crate::runtime::Instance;

use message::{CreatedAttempt, WorkerMessage, exit_input};
use report::StatusReporter;

pub(super) use reject::reject;

/// The worker of one pod.
struct Worker {
    node: Arc<NodeContext>,
    stored: StoredPod,
    state: PodState,
    live: LivePod,
    seen: SeenChanges,
    reporter: StatusReporter,
    /// The resources that the containers have now.
    resources: ContainerResources,
    /// Whether the object was removed, so that nothing is left to do.
    gone: bool,
    /// Held until the pod has terminated and its status is written; the node's shutdown waits for it.
    unfinished: Option<TaskTrackerToken>,
}

/// The pod's newest known object and its decoded form.
struct StoredPod {
    object: Arc<Object>,
    pod: Arc<Pod>,
}

/// Everything of the pod that runs.
struct LivePod {
    sandbox: Option<Arc<Sandbox>>,
    attempts: HashMap<Attempt, Arc<RunningAttempt>>,
    /// Attempts that are being created; dropping a sender abandons the attempt while its program is compiled.
    starting: HashMap<Attempt, oneshot::Sender<Infallible>>,
    /// Work in progress; each future yields a message for the worker.
    pending: FuturesUnordered<BoxFuture<'static, WorkerMessage>>,
    /// The monotonic time of the next step if no message comes before.
    wake_at: Option<MonoTime>,
}

/// Requested changes that the worker has handled.
struct SeenChanges {
    /// The grace period, in seconds, of the last deletion.
    deletion: Option<i64>,
    /// The generation of the last spec.
    generation: Option<i64>,
    /// Restart requests by container.
    restarts: BTreeMap<String, RestartRequests>,
    /// The agent's last answer to a resize.
    resize: Option<PodResize>,
}

/// Runs the pod until its object is gone.
pub(super) async fn run(node: Arc<NodeContext>, mut desired: watch::Receiver<DesiredState>) {
    let DesiredState { object, shutdown, .. } = desired.borrow_and_update().clone();
    let Some(stored) = StoredPod::decode(object) else { return };
    let mut worker = Worker::new(node, stored);
    match shutdown {
        Some(shutdown) => worker.shut_down(shutdown).await,
        None => worker.step(Input::Tick).await,
    }
    while !worker.gone {
        worker.report().await;
        if worker.state.is_terminated() {
            worker.unfinished = None;
        }
        // The object that the report returns may carry changes.
        if worker.observe_deletion().await || worker.observe_spec().await {
            continue;
        }
        if !worker.process_next(&mut desired).await {
            break;
        }
    }
    worker.finish().await;
}

impl StoredPod {
    fn decode(object: Arc<Object>) -> Option<StoredPod> {
        match object.decode() {
            Ok(pod) => Some(StoredPod { object, pod }),
            Err(error) => {
                tracing::error!(pod = %object.key, %error, "cannot decode a stored pod");
                None
            }
        }
    }

    /// Returns the UID by which the node knows the pod.
    fn uid(&self) -> &str {
        pods::node_uid(&self.pod)
    }

    /// Returns the UID of the object.
    fn object_uid(&self) -> &str {
        pods::uid(&self.pod)
    }
}

impl Worker {
    /// Returns a worker that continues from the pod's stored status.
    fn new(node: Arc<NodeContext>, stored: StoredPod) -> Worker {
        let now = node.clock.now();
        let state = PodState::restore(&stored.pod, now).with_probe_stagger(node.probe_stagger.offset_for_pod(now.mono));
        let state = match node.config.max_restart_backoff {
            Some(max) => state.with_max_backoff(max),
            None => state,
        };
        Worker {
            unfinished: Some(node.unfinished_pods.token()),
            node,
            state,
            live: LivePod {
                sandbox: None,
                attempts: HashMap::new(),
                starting: HashMap::new(),
                pending: FuturesUnordered::new(),
                wake_at: None,
            },
            seen: SeenChanges {
                deletion: None,
                generation: stored.pod.metadata.generation,
                restarts: BTreeMap::new(),
                resize: None,
            },
            reporter: StatusReporter::new(&stored.pod),
            resources: container_resources(&stored.pod),
            stored,
            gone: false,
        }
    }

    /// Waits for a change of the desired state, a message or the clock, and acts on it.
    ///
    /// Returns false once the pod's object is gone.
    async fn process_next(&mut self, desired: &mut watch::Receiver<DesiredState>) -> bool {
        let (clock, wake_at) = (self.node.clock, self.live.wake_at);
        let timer = async move {
            match wake_at {
                Some(at) => clock.sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = desired.changed() => match changed {
                Ok(()) => {
                    let desired = desired.borrow_and_update().clone();
                    if desired.is_removed {
                        return false;
                    }
                    self.observe_desired(desired).await;
                }
                // The node has ended and cancels this task, too. The pod may go on with the next node.
                Err(_) => std::future::pending().await,
            },
            Some(message) = self.live.pending.next() => self.handle_message(message).await,
            () = timer => self.step(Input::Tick).await,
        }
        true
    }

    async fn observe_desired(&mut self, desired: DesiredState) {
        let DesiredState { object, restarts, resize, eviction, shutdown, deleted_mirror, is_removed: _ } = desired;
        if object.revision > self.stored.object.revision {
            self.reporter.store(&mut self.stored, object);
        }
        if deleted_mirror.is_some_and(|uid| uid == self.stored.object_uid()) {
            self.create_mirror().await;
        }
        self.observe_restarts(restarts).await;
        self.observe_resize(resize).await;
        if let Some(eviction) = eviction {
            self.evict(eviction).await;
        }
        if let Some(shutdown) = shutdown {
            self.shut_down(shutdown).await;
        }
    }

    /// Restarts the containers with new restart requests.
    async fn observe_restarts(&mut self, restarts: BTreeMap<String, RestartRequests>) {
        for (name, RestartRequests { count, grace }) in &restarts {
            let seen = self.seen.restarts.get(name).map_or(0, |seen| seen.count);
            if let Some(container) = container_ref(&self.stored.pod, name).filter(|_| *count > seen) {
                self.step(Input::Restart { container, grace: *grace }).await;
            }
        }
        self.seen.restarts = restarts;
    }

    /// Applies an answer of the agent to a resize that was not applied yet.
    async fn observe_resize(&mut self, resize: Option<PodResize>) {
        if resize != self.seen.resize {
            self.seen.resize = resize.clone();
            if let Some(PodResize { fit, .. }) = resize {
                self.resize(fit).await;
            }
        }
    }

    /// Handles a new deletion. Returns whether there was one.
    async fn observe_deletion(&mut self) -> bool {
        let metadata = &self.stored.pod.metadata;
        let grace = metadata.deletion_timestamp.as_ref().and(metadata.deletion_grace_period_seconds);
        let Some(grace) = grace.filter(|_| grace != self.seen.deletion) else { return false };
        self.seen.deletion = Some(grace);
        if pods::outlives_mirror(&self.stored.pod) {
            self.replace_mirror().await;
            return true;
        }
        let grace = Duration::from_secs(u64::try_from(grace).unwrap_or(0));
        self.step(Input::Deleted { grace }).await;
        true
    }

    /// Handles a new spec. Returns whether there was one.
    async fn observe_spec(&mut self) -> bool {
        let generation = self.stored.pod.metadata.generation;
        if generation == self.seen.generation {
            return false;
        }
        self.seen.generation = generation;
        self.step(Input::PodUpdated(Box::new(Pod::clone(&self.stored.pod)))).await;
        true
    }

    /// Ends the pod because the node cannot keep it.
    async fn evict(&mut self, eviction: PodEviction) {
        if self.state.is_failing() || self.state.is_suspended() {
            return;
        }
        let PodEviction { message, grace, disrupts } = eviction;
        self.events().record_eviction(&message);
        let reason = "Evicted".into();
        self.step(Input::Evicted { reason, message, grace: Some(grace), disrupts }).await;
    }

    /// Stops the pod with its node. Repeating it changes nothing.
    async fn shut_down(&mut self, shutdown: NodeShutdown) {
        match shutdown {
            NodeShutdown::Terminate { grace } => self.terminate(grace).await,
            NodeShutdown::Suspend(suspension) => self.step(Input::Suspended(suspension)).await,
        }
    }

    /// Ends the pod as a kubelet does when its machine shuts down.
    async fn terminate(&mut self, max_grace: Duration) {
        let own = self.stored.pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds).unwrap_or(30);
        let grace = Some(Duration::from_secs(u64::try_from(own).unwrap_or(1)).min(max_grace));
        let message = "Pod was terminated in response to imminent node shutdown.".to_string();
        self.step(Input::Evicted { reason: "Terminated".into(), message, grace, disrupts: true }).await;
    }

    async fn handle_message(&mut self, message: WorkerMessage) {
        match message {
            WorkerMessage::Input(input) => {
                match &input {
                    Input::Exited { attempt, .. } => drop(self.live.attempts.remove(attempt)),
                    Input::StartFailed { attempt, waiting } => {
                        // An abandoned start did not fail.
                        let has_failed = self.live.starting.remove(attempt).is_some();
                        if has_failed {
                            self.events().record_start_failure(*attempt, waiting);
                        }
                    }
                    _ => {}
                }
                self.step(input).await;
            }
            WorkerMessage::RetryResize => self.retry_resize().await,
            // Every message is followed by a report.
            WorkerMessage::RetryReport => self.reporter.is_retry_planned = false,
            WorkerMessage::RetryMirror => self.create_mirror().await,
            WorkerMessage::StorageMeasured(excess) => self.on_storage_measured(excess).await,
            WorkerMessage::ImageReady(attempt, start) => {
                self.events().record_pulled(attempt);
                self.live.pending.push(start);
            }
            WorkerMessage::CannotRun(input) => self.on_cannot_run(input).await,
            WorkerMessage::Created(created, instance, running) => self.on_created(created, instance, running).await,
            WorkerMessage::Started(input, attempt, instance) => self.on_started(input, attempt, instance).await,
        }
    }

    async fn on_cannot_run(&mut self, input: Input) {
        if let Input::CannotRun { attempt, outcome, .. } = &input {
            self.live.starting.remove(attempt);
            if self.live.attempts.remove(attempt).is_none() {
                self.events().record_created(*attempt);
            }
            self.events().record_run_failure(*attempt, outcome.message.as_deref().unwrap_or_default());
        }
        self.step(input).await;
    }

    /// Registers the attempt, which can be killed from here on, and waits for its program to start.
    async fn on_created(&mut self, created: CreatedAttempt, mut instance: Box<Instance>, running: Arc<RunningAttempt>) {
        let attempt = created.attempt;
        self.live.starting.remove(&attempt);
        self.node.running_pods.set_container(self.stored.uid(), &running.context.name, &running);
        self.live.attempts.insert(attempt, running);
        self.events().record_created(attempt);
        self.live.pending.push(Box::pin(async move {
            if instance.wait_for_start().await {
                return WorkerMessage::Started(created.into_started(), attempt, instance);
            }
            created.into_cannot_run(&instance.wait_for_exit().await)
        }));
        self.step(Input::Tick).await;
    }

    /// Records that the attempt's program runs, and waits for its exit.
    async fn on_started(&mut self, input: Input, attempt: Attempt, mut instance: Box<Instance>) {
        self.events().record_started(attempt);
        let message = self.live.attempts.get(&attempt).map(|running| running.termination_message.clone());
        self.live.pending.push(Box::pin(async move {
            let exit = instance.wait_for_exit().await;
            let message = match message {
                Some(message) => message.read(&exit).await,
                None => exit.message().map(Into::into),
            };
            WorkerMessage::Input(exit_input(attempt, &exit, message))
        }));
        self.step(input).await;
    }

    /// Feeds `input` to the state, performs the actions that follow, and feeds their results back.
    async fn step(&mut self, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let now = self.node.clock.now();
            self.live.wake_at = None;
            let (actions, status_changed) = self.state.step_and_check_status(input, now);
            self.reporter.dirty |= status_changed;
            for action in actions {
                inputs.extend(self.perform(action).await);
            }
        }
    }

    /// Reports the pod's status if it differs from the stored one. That of a suspended pod stays as it is.
    async fn report(&mut self) {
        if self.gone
            || self.state.is_suspended()
            || self.reporter.report(&self.node, &mut self.stored, &self.state).await
        {
            if self.reporter.dirty && !self.reporter.is_retry_planned && !self.state.is_suspended() {
                self.reporter.is_retry_planned = true;
                let clock = self.node.clock;
                self.live.pending.push(Box::pin(async move {
                    clock.sleep(report::RETRY_DELAY).await;
                    WorkerMessage::RetryReport
                }));
            }
            return;
        }
        // The agent says when a mirror object is gone.
        self.gone = !pods::outlives_mirror(&self.stored.pod);
    }

    fn events(&self) -> PodEvents<'_> {
        PodEvents { recorder: &self.node.recorder, pod: &self.stored.pod, state: &self.state }
    }

    /// Ends what still runs of a pod whose object was removed by force.
    async fn finish(mut self) {
        for container in self.state.live_and_not_stopping() {
            self.events().record_killing(container);
        }
        self.tear_down().await;
        self.node.logs.remove_pod(self.stored.uid());
    }
}
