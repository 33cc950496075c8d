//! A worker performs what `lifecycle` asks for; what comes of it goes back as facts.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Pod};

use super::attempt::{Failure, Plan, Started};
use super::checks::ProbeTarget;
use super::sandbox::{Sandbox, SandboxError};
use super::worker::{Made, Worker, WorkerMessage};
use crate::control::{DeleteOptions, Preconditions, Reason};
use crate::files::Mounts;
use crate::lifecycle::{Action, Attempt, ContainerRef, ContainerRole, Input, ProbeKind};
use crate::logs::Stream;
use crate::model::pods;
use crate::runtime::error_chain;

impl Worker {
    pub(super) async fn perform(&mut self, action: Action) -> Option<Input> {
        match action {
            Action::ReportStatus => self.report().await,
            Action::SetUpSandbox => return Some(self.set_up().await),
            Action::Start(attempt) => self.start(attempt),
            Action::PostStart(attempt) => self.post_start(attempt),
            Action::PreStop(attempt) => self.pre_stop(attempt),
            Action::Probe(attempt, kind) => self.probe(attempt, kind),
            Action::Terminate(attempt) => {
                if let Some(running) = self.running.get(&attempt) {
                    running.control.terminate(&self.stop_signal(attempt));
                }
            }
            Action::Kill(attempt) => {
                if let Some(running) = self.running.get(&attempt) {
                    running.control.kill();
                }
            }
            Action::WakeAt(at) => self.wake = Some(self.wake.map_or(at, |wake| wake.min(at))),
            Action::RecordEvent(note) => self.told().note(note),
            Action::TearDownSandbox => {
                self.tear_down().await;
                return Some(Input::SandboxRemoved);
            }
            Action::RemovePod => self.remove().await,
        }
        None
    }

    async fn set_up(&mut self) -> Input {
        match Sandbox::set_up(&self.shared, &self.pod).await {
            Ok(sandbox) => {
                let ip = sandbox.ip();
                self.shared.accounts.enter(&self.pod, &sandbox.account);
                self.sandbox = Some(Arc::new(sandbox));
                self.measure_later();
                Input::SandboxReady { ip }
            }
            // A kubelet tells of volumes by events alone.
            Err(SandboxError::Volumes(failed)) => {
                failed.iter().for_each(|why| self.told().failed_mount(why));
                Input::SandboxFailed { message: None }
            }
            Err(error) => {
                let message = error_chain(&error);
                self.told().no_sandbox(&message);
                Input::SandboxFailed { message: Some(message) }
            }
        }
    }

    /// Begins an attempt; that it runs, or why not, comes back as a fact.
    fn start(&mut self, attempt: Attempt) {
        let Some((sandbox, container)) = self.sandbox.clone().zip(self.container(attempt.container)) else { return };
        let container_id = format!("wasmpod://{}", uuid::Uuid::new_v4().simple());
        let log = self.shared.logs.open(&self.pod, &container.name, &container_id);
        let (shared, pod) = (self.shared.clone(), self.pod.clone());
        let (logs, uid) = (self.shared.logs.clone(), pods::uid(&self.pod).to_string());
        let (name, clock) = (container.name.clone(), self.shared.clock);
        let id = container_id.clone();
        let view = self.view(attempt.container);
        let plan = Plan { shared, pod, sandbox, attempt, container, log: log.clone(), view };
        let failed = move |error: super::attempt::StartError| {
            let now = clock.now().wall;
            let fact = match error.failure() {
                Failure::Retry(trouble) => {
                    logs.discard(&uid, &name, &container_id);
                    WorkerMessage::Event(Input::StartFailed { attempt, trouble })
                }
                Failure::Exit(exit) => {
                    let message = exit.message().unwrap_or_default();
                    log.write(Stream::Stderr, format!("{name}: {message}\n").as_bytes(), now);
                    Made { attempt, container_id, image_id: String::new() }.never_ran(&exit)
                }
            };
            log.close(now);
            fact
        };
        // That the image is there is told before anything else can go wrong.
        let fact = match plan.image() {
            Err(error) => failed(error),
            Ok(image) => {
                let image_id = image.id.clone();
                let start = async move {
                    match plan.start(image).await {
                        Ok(Started { instance, running }) => {
                            let made = Made { attempt, container_id: id, image_id };
                            WorkerMessage::Spawned(made, Box::new(instance), running)
                        }
                        Err(error) => failed(error),
                    }
                };
                WorkerMessage::Pulled(attempt, Box::pin(start))
            }
        };
        self.facts.push(Box::pin(std::future::ready(fact)));
    }

    /// The files that an ephemeral container with a target sees: its target's, while that runs (K55).
    fn view(&self, at: ContainerRef) -> Option<Arc<Mounts>> {
        let name = self.state.name_of(at).filter(|_| at.role == ContainerRole::Ephemeral)?;
        let target = pods::ephemeral(&self.pod, name)?.target_container_name.as_deref()?;
        let is_target = |at: ContainerRef| self.state.name_of(at) == Some(target);
        self.running.iter().find(|(attempt, _)| is_target(attempt.container)).map(|(_, r)| r.world.mounts.clone())
    }

    /// The signal that asks the attempt to end.
    fn stop_signal(&self, attempt: Attempt) -> String {
        let lifecycle = self.container(attempt.container).and_then(|container| container.lifecycle);
        lifecycle.and_then(|lifecycle| lifecycle.stop_signal).unwrap_or_else(|| "SIGTERM".into())
    }

    /// A container of the pod as its spec has it.
    pub(super) fn container(&self, at: ContainerRef) -> Option<Container> {
        match at.role {
            ContainerRole::Ephemeral => pods::ephemeral(&self.pod, self.state.name_of(at)?).map(pods::of_ephemeral),
            ContainerRole::Init | ContainerRole::App => container_of(&self.pod, at).cloned(),
        }
    }
}

/// A container of `pod` as its spec has it, unless it is an ephemeral one.
pub(super) fn container_of(pod: &Pod, at: ContainerRef) -> Option<&Container> {
    let spec = pod.spec.as_ref()?;
    match at.role {
        ContainerRole::Init => pods::init_containers(spec).get(at.index),
        ContainerRole::App => spec.containers.get(at.index),
        ContainerRole::Ephemeral => None,
    }
}

impl Worker {
    fn post_start(&mut self, attempt: Attempt) {
        let Some(place) = self.place_of(attempt) else { return };
        self.facts.push(Box::pin(async move {
            let failed = place.hook(|hooks| hooks.post_start.as_ref()).await.err();
            WorkerMessage::Event(Input::PostStartFinished { attempt, failed })
        }));
    }

    fn pre_stop(&mut self, attempt: Attempt) {
        let Some(place) = self.place_of(attempt) else { return };
        self.facts.push(Box::pin(async move {
            let failed = place.hook(|hooks| hooks.pre_stop.as_ref()).await;
            let failed = failed.inspect_err(|why| tracing::debug!(why, "a preStop hook failed"));
            WorkerMessage::Event(Input::PreStopFinished { attempt, failed: failed.is_err() })
        }));
    }

    fn probe(&mut self, attempt: Attempt, kind: ProbeKind) {
        let Some(place) = self.place_of(attempt) else { return };
        self.facts.push(Box::pin(async move {
            let probed = place.probe(kind).await;
            // What does not answer because it has ended says nothing about its health.
            match place.running.world.instances.ended() {
                true => WorkerMessage::Event(Input::Tick),
                false => WorkerMessage::Event(Input::ProbeFinished { attempt, kind, probed }),
            }
        }));
    }

    /// Where something is done with a running attempt.
    fn place_of(&self, attempt: Attempt) -> Option<ProbeTarget> {
        Some(ProbeTarget {
            shared: self.shared.clone(),
            network: self.sandbox.as_ref()?.network.clone(),
            running: self.running.get(&attempt)?.clone(),
            pod: self.pod.clone(),
            container: attempt.container,
        })
    }

    pub(super) async fn tear_down(&mut self) {
        self.running.clear();
        self.facts.clear();
        self.shared.accounts.leave(pods::uid(&self.pod));
        if let Some(sandbox) = self.sandbox.take().and_then(Arc::into_inner) {
            sandbox.tear_down().await;
        }
    }

    /// Removes the object for good, its last status reported.
    async fn remove(&mut self) {
        self.report().await;
        let preconditions = Preconditions { uid: Some(pods::uid(&self.pod).into()), revision: None };
        let options = DeleteOptions { grace_seconds: Some(0), preconditions };
        match self.shared.control.delete(&self.object.key, options).await {
            Ok(_) => self.gone = true,
            Err(status) if matches!(status.reason, Reason::NotFound | Reason::Conflict) => self.gone = true,
            Err(error) => {
                tracing::warn!(pod = %self.object.key, %error, "cannot remove a pod; it is tried again");
                self.wake = Some(self.shared.clock.now().mono + Duration::from_secs(1));
            }
        }
    }
}
