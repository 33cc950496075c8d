//! Performs the actions that `lifecycle` decides on; their results come back as messages.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Pod};
use tokio::sync::oneshot;

use super::super::NodeContext;
use super::super::attempt::{AttemptPlan, AttemptStartError, StartFailure, StartedAttempt};
use super::super::checks::ProbeTarget;
use super::super::containers::container_at;
use super::super::sandbox::{self, Sandbox, SandboxError};
use super::{CreatedAttempt, Worker, WorkerMessage};
use crate::control::{DeleteOptions, Preconditions, Reason};
use crate::files::Mounts;
use crate::lifecycle::{Action, Attempt, ContainerRef, ContainerRole, Input, ProbeKind};
use crate::logs::{Log, LogStreamType};
use crate::model::pods;
use crate::runtime::error_chain;

/// The delay before the removal of a pod's object is tried again.
const REMOVAL_RETRY_DELAY: Duration = Duration::from_secs(1);

impl Worker {
    /// Performs `action`. Returns the input that follows at once, if any.
    pub(super) async fn perform(&mut self, action: Action) -> Option<Input> {
        match action {
            Action::ReportStatus => self.report().await,
            Action::SetUpSandbox => return Some(self.set_up_sandbox().await),
            Action::Start(attempt) => self.start(attempt),
            // Dropping the sender, too, abandons the start.
            Action::AbandonStart(attempt) => drop(self.live.starting.remove(&attempt)),
            Action::PostStart(attempt) => self.post_start(attempt),
            Action::PreStop(attempt) => self.pre_stop(attempt),
            Action::Probe(attempt, kind) => self.probe(attempt, kind),
            Action::Terminate(attempt) => {
                if let Some(running) = self.live.attempts.get(&attempt) {
                    running.handle.terminate(&self.stop_signal(attempt));
                }
            }
            Action::Kill(attempt) => {
                if let Some(running) = self.live.attempts.get(&attempt) {
                    running.handle.kill();
                }
            }
            Action::WakeAt(at) => self.live.wake_at = Some(self.live.wake_at.map_or(at, |wake_at| wake_at.min(at))),
            Action::RecordEvent(event) => self.events().record(event),
            Action::TearDownSandbox => {
                self.tear_down().await;
                return Some(Input::SandboxRemoved);
            }
            Action::RemovePod => self.remove_pod().await,
        }
        None
    }

    async fn set_up_sandbox(&mut self) -> Input {
        match Sandbox::set_up(&self.node, &self.stored.pod).await {
            Ok(sandbox) => {
                let ip = sandbox.ip();
                self.node.pod_usages.add_pod(&self.stored.pod, &sandbox.account);
                self.node.running_pods.add_pod(self.stored.uid(), &sandbox.network);
                self.live.sandbox = Some(Arc::new(sandbox));
                self.schedule_storage_measurement();
                Input::SandboxReady { ip }
            }
            // A kubelet reports volumes that cannot be mounted by events alone.
            Err(SandboxError::Volumes(failed)) => {
                failed.iter().for_each(|message| self.events().record_mount_failure(message));
                Input::SandboxFailed { message: None }
            }
            Err(error) => {
                let message = error_chain(&error);
                self.events().record_sandbox_failure(&message);
                Input::SandboxFailed { message: Some(message) }
            }
        }
    }

    /// Begins an attempt; a message says how far it came.
    fn start(&mut self, attempt: Attempt) {
        let sandbox = self.live.sandbox.clone();
        let Some((sandbox, container)) = sandbox.zip(self.container(attempt.container)) else { return };
        let (node, pod) = (self.node.clone(), self.stored.pod.clone());
        let container_id = format!("wasmpod://{}", uuid::Uuid::new_v4().simple());
        let restarts = self.state.next_restart_count(attempt.container);
        let log = node.logs.open(&pod, &container.name, &container_id, restarts);
        let start = AttemptStart {
            node: node.clone(),
            pod: pod.clone(),
            container: container.name.clone(),
            attempt,
            container_id,
            log: log.clone(),
        };
        let visible_files = self.target_files(attempt.container);
        let (starting, abandoned) = oneshot::channel();
        self.live.starting.insert(attempt, starting);
        let plan = AttemptPlan { node, pod, sandbox, attempt, container, log, visible_files, abandoned };
        // The image is reported as present before anything else can fail.
        let message = match plan.image() {
            Err(error) => start.failed(&error),
            Ok(image) => {
                let image_id = image.id.clone();
                let started = async move {
                    match plan.start(image).await {
                        Ok(started) => start.created(started, image_id),
                        Err(error) => start.failed(&error),
                    }
                };
                WorkerMessage::ImageReady(attempt, Box::pin(started))
            }
        };
        self.live.pending.push(Box::pin(std::future::ready(message)));
    }

    /// Returns the files that an ephemeral container with a target sees: its target's, while that runs (K55).
    fn target_files(&self, container: ContainerRef) -> Option<Arc<Mounts>> {
        let name = self.state.name_of(container).filter(|_| container.role == ContainerRole::Ephemeral)?;
        let target = pods::ephemeral_container(&self.stored.pod, name)?.target_container_name.as_deref()?;
        let is_target = |container: ContainerRef| self.state.name_of(container) == Some(target);
        let mut attempts = self.live.attempts.iter();
        attempts.find(|(attempt, _)| is_target(attempt.container)).map(|(_, running)| running.context.mounts.clone())
    }

    /// Returns the signal that asks the attempt to exit.
    fn stop_signal(&self, attempt: Attempt) -> String {
        let lifecycle = self.container(attempt.container).and_then(|container| container.lifecycle);
        lifecycle.and_then(|lifecycle| lifecycle.stop_signal).unwrap_or_else(|| "SIGTERM".into())
    }

    /// Returns a container of the pod as its spec defines it.
    pub(super) fn container(&self, container: ContainerRef) -> Option<Container> {
        let pod = &self.stored.pod;
        match container.role {
            ContainerRole::Ephemeral => {
                pods::ephemeral_container(pod, self.state.name_of(container)?).map(pods::container_from_ephemeral)
            }
            ContainerRole::Init | ContainerRole::App => container_at(pod, container).cloned(),
        }
    }

    fn post_start(&mut self, attempt: Attempt) {
        let Some(target) = self.probe_target(attempt) else { return };
        self.live.pending.push(Box::pin(async move {
            let result = target.run_hook(|hooks| hooks.post_start.as_ref()).await;
            let failure = result.err().map(|error| error.to_string());
            WorkerMessage::Input(Input::PostStartFinished { attempt, failure })
        }));
    }

    fn pre_stop(&mut self, attempt: Attempt) {
        let Some(target) = self.probe_target(attempt) else { return };
        self.live.pending.push(Box::pin(async move {
            let result = target.run_hook(|hooks| hooks.pre_stop.as_ref()).await;
            let result = result.inspect_err(|error| tracing::debug!(%error, "a preStop hook failed"));
            WorkerMessage::Input(Input::PreStopFinished { attempt, failed: result.is_err() })
        }));
    }

    fn probe(&mut self, attempt: Attempt, kind: ProbeKind) {
        let Some(target) = self.probe_target(attempt) else { return };
        self.live.pending.push(Box::pin(async move {
            let result = target.probe(kind).await;
            // A container that has ended meanwhile did not answer for that reason: its health is unknown.
            match target.running.context.instances.is_closed() {
                true => WorkerMessage::Input(Input::Tick),
                false => WorkerMessage::Input(Input::ProbeFinished { attempt, kind, result }),
            }
        }));
    }

    /// Returns what probes and hooks of a running attempt need.
    fn probe_target(&self, attempt: Attempt) -> Option<ProbeTarget> {
        Some(ProbeTarget {
            node: self.node.clone(),
            network: self.live.sandbox.as_ref()?.network.clone(),
            running: self.live.attempts.get(&attempt)?.clone(),
            pod: self.stored.pod.clone(),
            container: attempt.container,
        })
    }

    /// Ends everything that runs and removes the sandbox. The files of a suspended pod stay.
    pub(super) async fn tear_down(&mut self) {
        self.live.attempts.clear();
        self.live.starting.clear();
        self.live.pending.clear();
        self.node.pod_usages.remove_pod(self.stored.uid());
        self.node.running_pods.remove_pod(self.stored.uid());
        drop(self.live.sandbox.take());
        if !self.state.is_suspended() {
            // An earlier node may have made the directory, too.
            sandbox::remove_pod_dir(&self.node, &self.stored.pod).await;
        }
    }

    /// Reports the last status and removes the pod's object for good.
    async fn remove_pod(&mut self) {
        self.report().await;
        let preconditions = Preconditions { uid: Some(self.stored.object_uid().into()), revision: None };
        let options = DeleteOptions { grace_seconds: Some(0), preconditions, ..DeleteOptions::default() };
        match self.node.control.delete(&self.stored.object.key, options).await {
            Ok(_) => self.gone = true,
            Err(status) if matches!(status.reason, Reason::NotFound | Reason::Conflict) => self.gone = true,
            Err(error) => {
                tracing::warn!(pod = %self.stored.object.key, %error, "cannot remove a pod; retrying");
                self.live.wake_at = Some(self.node.clock.now().mono + REMOVAL_RETRY_DELAY);
            }
        }
    }
}

/// An attempt that is being started, and what its result needs.
struct AttemptStart {
    node: Arc<NodeContext>,
    pod: Arc<Pod>,
    container: String,
    attempt: Attempt,
    container_id: String,
    log: Arc<Log>,
}

impl AttemptStart {
    fn created(self, started: StartedAttempt, image_id: String) -> WorkerMessage {
        let created = CreatedAttempt { attempt: self.attempt, container_id: self.container_id, image_id };
        WorkerMessage::Created(created, Box::new(started.instance), started.running)
    }

    /// Closes the attempt's log and returns the message for a start that failed.
    fn failed(self, error: &AttemptStartError) -> WorkerMessage {
        let AttemptStart { node, pod, container, attempt, container_id, log } = self;
        let now = node.clock.now().wall;
        let message = match error.failure() {
            StartFailure::Retry(waiting) => {
                node.logs.discard(pods::node_uid(&pod), &container, &container_id);
                WorkerMessage::Input(Input::StartFailed { attempt, waiting })
            }
            StartFailure::Exit(exit) => {
                let message = exit.message().unwrap_or_default();
                log.write(LogStreamType::Stderr, format!("{container}: {message}\n").as_bytes(), now);
                CreatedAttempt { attempt, container_id, image_id: String::new() }.into_cannot_run(&exit)
            }
        };
        log.close(now);
        message
    }
}
