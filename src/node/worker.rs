//! One pod's worker: gathers facts, asks `lifecycle` what follows, performs it, reports.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use k8s_openapi::api::core::v1::{Container, Pod, PodStatus};
use tokio::sync::watch;

use super::attempt::{Failure, Plan, Started};
use super::events::Told;
use super::sandbox::Sandbox;
use super::{Desired, Restarts, Shared};
use crate::control::{DeleteOptions, Object, Preconditions, Reason, Update};
use crate::lifecycle::{Action, Attempt, ContainerRef, Event, PodState, Role};
use crate::logs::Stream;
use crate::model::pods;
use crate::runtime::{Control, Exit, Instance};

/// What the worker waits for beside the clock and its pod's desired state.
enum Fact {
    /// It happened.
    Event(Event),
    /// An attempt begins; next it runs, as this event tells.
    Spawned(Event, Attempt, Box<Instance>),
    /// An attempt runs; next it will end.
    Running(Event, Attempt, Box<Instance>),
    /// An attempt ended before its program could run: how it began and how it ended.
    NeverRan(Event, Event),
}

struct Worker {
    shared: Arc<Shared>,
    object: Arc<Object>,
    pod: Arc<Pod>,
    state: PodState,
    sandbox: Option<Arc<Sandbox>>,
    /// How to end what runs.
    controls: HashMap<Attempt, Control>,
    facts: FuturesUnordered<BoxFuture<'static, Fact>>,
    /// When to look again without a fact.
    wake: Option<Duration>,
    /// The status as it was last written.
    reported: Option<PodStatus>,
    /// How long the deletion that was last seen leaves.
    deletion_seen: Option<i64>,
    /// Restarts that were taken in, by container.
    restarts: BTreeMap<String, Restarts>,
    /// The object was removed; nothing is left to do.
    gone: bool,
}

/// Runs the pod until it is gone.
pub(super) async fn run(shared: Arc<Shared>, mut desired: watch::Receiver<Desired>) {
    let object = desired.borrow_and_update().object.clone();
    let pod: Arc<Pod> = match object.decode() {
        Ok(pod) => pod,
        Err(error) => return tracing::error!(pod = %object.key, %error, "cannot read a stored pod"),
    };
    let state = PodState::restore(&pod, shared.clock.now());
    let mut worker = Worker {
        reported: pod.status.clone(),
        shared,
        object,
        pod,
        state,
        sandbox: None,
        controls: HashMap::new(),
        facts: FuturesUnordered::new(),
        wake: None,
        deletion_seen: None,
        restarts: BTreeMap::new(),
        gone: false,
    };
    worker.step(Event::Tick).await;
    while !worker.gone {
        worker.report().await;
        // The mark may have come with the answer to the report.
        if worker.see_deletion().await {
            continue;
        }
        let clock = worker.shared.clock;
        let wake = worker.wake;
        let timer = async move {
            match wake {
                Some(at) => clock.sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = desired.changed() => match changed {
                Ok(()) => {
                    let Desired { object, restarts } = desired.borrow_and_update().clone();
                    worker.see(object);
                    worker.restart(restarts).await;
                }
                // The object is gone, by force or because this worker removed it.
                Err(_) => break,
            },
            Some(fact) = worker.facts.next() => worker.take(fact).await,
            () = timer => worker.step(Event::Tick).await,
        }
    }
    worker.end().await;
}

impl Worker {
    fn see(&mut self, object: Arc<Object>) {
        if object.revision > self.object.revision {
            self.know(object);
        }
    }

    /// Takes in which containers are to begin again.
    async fn restart(&mut self, wanted: BTreeMap<String, Restarts>) {
        for (name, Restarts { asked, grace }) in &wanted {
            let known = self.restarts.get(name).map_or(0, |known| known.asked);
            if let Some(container) = self.place(name).filter(|_| *asked > known) {
                self.step(Event::Restart { container, grace: *grace }).await;
            }
        }
        self.restarts = wanted;
    }

    fn place(&self, name: &str) -> Option<ContainerRef> {
        let spec = self.pod.spec.as_ref()?;
        let find = |role, all: &[Container]| {
            all.iter().position(|container| container.name == name).map(|index| ContainerRef { role, index })
        };
        find(Role::Init, pods::init_containers(spec)).or_else(|| find(Role::App, &spec.containers))
    }

    fn know(&mut self, object: Arc<Object>) {
        match object.decode::<Pod>() {
            Ok(pod) => (self.pod, self.object) = (pod, object),
            Err(error) => tracing::error!(pod = %object.key, %error, "cannot read a stored pod"),
        }
    }

    /// Takes a deletion in that was not known yet; whether there was one.
    async fn see_deletion(&mut self) -> bool {
        let grace = self.pod.metadata.deletion_timestamp.as_ref().and(self.pod.metadata.deletion_grace_period_seconds);
        let Some(grace) = grace.filter(|_| grace != self.deletion_seen) else { return false };
        self.deletion_seen = Some(grace);
        let grace = Duration::from_secs(u64::try_from(grace).unwrap_or(0));
        self.step(Event::Deleted { grace }).await;
        true
    }

    async fn take(&mut self, fact: Fact) {
        match fact {
            Fact::Event(event) => {
                match &event {
                    Event::Exited { attempt, .. } => drop(self.controls.remove(attempt)),
                    Event::StartFailed { attempt, trouble } => self.told().failed(*attempt, trouble),
                    _ => {}
                }
                self.step(event).await;
            }
            Fact::NeverRan(started, exited) => {
                if let Event::Exited { attempt, message, .. } = &exited {
                    self.controls.remove(attempt);
                    self.told().never_ran(*attempt, message.as_deref().unwrap_or_default());
                }
                self.step(started).await;
                self.step(exited).await;
            }
            Fact::Spawned(started, attempt, mut instance) => {
                // From here on it can be ended, even if it never gets to run.
                self.controls.insert(attempt, instance.control());
                self.told().created(attempt);
                self.facts.push(Box::pin(async move {
                    if instance.begun().await {
                        return Fact::Running(started, attempt, instance);
                    }
                    let exit = instance.exited().await;
                    Fact::NeverRan(started, exited(attempt, &exit))
                }));
                self.step(Event::Tick).await;
            }
            Fact::Running(event, attempt, mut instance) => {
                self.told().started(attempt);
                self.facts.push(Box::pin(async move { Fact::Event(exited(attempt, &instance.exited().await)) }));
                self.step(event).await;
            }
        }
    }

    /// Lets the state take `event` in and does what follows, and what follows from that.
    async fn step(&mut self, event: Event) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            let now = self.shared.clock.now();
            self.wake = None;
            for action in self.state.step(event, now) {
                events.extend(self.perform(action).await);
            }
        }
    }

    async fn perform(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::SetUp => {
                let event = match Sandbox::set_up(&self.shared, &self.pod) {
                    Ok(sandbox) => {
                        let ip = sandbox.ip();
                        self.sandbox = Some(Arc::new(sandbox));
                        Event::SetUp { ip }
                    }
                    Err(error) => {
                        let message = error.to_string();
                        self.told().no_sandbox(&message);
                        Event::SetUpFailed { message }
                    }
                };
                return Some(event);
            }
            Action::Start(attempt) => self.start(attempt),
            Action::AskToExit(attempt) => {
                if let Some(control) = self.controls.get(&attempt) {
                    self.told().killing(attempt);
                    control.ask_to_exit(&self.stop_signal(attempt));
                }
            }
            Action::Kill(attempt) => {
                if let Some(control) = self.controls.get(&attempt) {
                    control.kill();
                }
            }
            Action::WakeAt(at) => self.wake = Some(self.wake.map_or(at, |wake| wake.min(at))),
            Action::TearDown => self.tear_down().await,
            Action::Remove => self.remove().await,
        }
        None
    }

    /// Begins an attempt; that it runs, or why not, comes back as a fact.
    fn start(&mut self, attempt: Attempt) {
        let Some((sandbox, container)) = self.sandbox.clone().zip(self.container(attempt).cloned()) else { return };
        let container_id = format!("wasmpod://{}", uuid::Uuid::new_v4().simple());
        let log = self.shared.logs.open(&self.pod, &container.name, &container_id);
        let (shared, pod) = (self.shared.clone(), self.pod.clone());
        let (logs, uid) = (self.shared.logs.clone(), pods::uid(&self.pod).to_string());
        let (name, clock) = (container.name.clone(), self.shared.clock);
        let plan = Plan { shared, pod, sandbox, attempt, container, log: log.clone() };
        self.facts.push(Box::pin(async move {
            match plan.start().await {
                Ok(Started { instance, image_id }) => {
                    Fact::Spawned(Event::Started { attempt, container_id, image_id }, attempt, Box::new(instance))
                }
                Err(error) => {
                    let now = clock.now().wall;
                    let fact = match error.failure() {
                        Failure::Retry(trouble) => {
                            logs.discard(&uid, &name, &container_id);
                            Fact::Event(Event::StartFailed { attempt, trouble })
                        }
                        Failure::Exit(exit) => {
                            let message = exit.message().unwrap_or_default();
                            log.write(Stream::Stderr, format!("{name}: {message}\n").as_bytes(), now);
                            let started = Event::Started { attempt, container_id, image_id: String::new() };
                            Fact::NeverRan(started, exited(attempt, &exit))
                        }
                    };
                    log.close(now);
                    fact
                }
            }
        }));
    }

    /// The signal that asks the attempt to end.
    fn stop_signal(&self, attempt: Attempt) -> String {
        let lifecycle = self.container(attempt).and_then(|container| container.lifecycle.as_ref());
        lifecycle.and_then(|lifecycle| lifecycle.stop_signal.clone()).unwrap_or_else(|| "SIGTERM".into())
    }

    fn container(&self, attempt: Attempt) -> Option<&Container> {
        let spec = self.pod.spec.as_ref()?;
        match attempt.container.role {
            Role::Init => pods::init_containers(spec).get(attempt.container.index),
            Role::App => spec.containers.get(attempt.container.index),
        }
    }

    async fn tear_down(&mut self) {
        self.controls.clear();
        self.facts.clear();
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

    /// Writes the status if it says something new.
    async fn report(&mut self) {
        if self.gone {
            return;
        }
        let status = self.state.status(&self.pod, &self.shared.config.host_ip, self.shared.clock.now().wall);
        if self.reported.as_ref() == Some(&status) {
            return;
        }
        self.told().back_offs(self.reported.as_ref(), &status);
        let same = Preconditions { uid: Some(pods::uid(&self.pod).into()), revision: None };
        let update = Update::PodStatus(Box::new(status.clone()));
        match self.shared.control.update(&self.object.key, update, same).await {
            Ok(object) => {
                self.reported = Some(status);
                self.know(object);
            }
            Err(error) if matches!(error.reason, Reason::NotFound | Reason::Conflict) => self.gone = true,
            Err(error) => tracing::warn!(pod = %self.object.key, %error, "cannot report a pod's status"),
        }
    }

    fn told(&self) -> Told<'_> {
        Told { recorder: &self.shared.recorder, pod: &self.pod }
    }

    async fn end(mut self) {
        self.tear_down().await;
        self.shared.logs.forget(pods::uid(&self.pod));
    }
}

fn exited(attempt: Attempt, exit: &Exit) -> Event {
    let message = exit.message().map(Into::into);
    Event::Exited { attempt, code: exit.code(), reason: exit.reason().into(), message }
}

/// Refuses a pod that the node has no room for (K13, K14).
pub(super) async fn reject(shared: Arc<Shared>, mut desired: watch::Receiver<Desired>, needed: usize, used: usize) {
    let object = desired.borrow_and_update().object.clone();
    let Ok(pod) = object.decode::<Pod>() else { return };
    let capacity = shared.config.max_containers;
    let why = format!(
        "Node didn't have enough resource: pods, requested: {needed}, used: {used}, capacity: {capacity} (a container \
         counts as one: each takes memory maps, of which this process has few)"
    );
    Told { recorder: &shared.recorder, pod: &pod }.rejected("OutOfpods", &why);
    let status = PodStatus {
        phase: Some("Failed".into()),
        reason: Some("OutOfpods".into()),
        message: Some(format!("Pod was rejected: {why}")),
        start_time: Some(pods::time(shared.clock.now().wall)),
        ..pod.status.clone().unwrap_or_default()
    };
    let same = Preconditions { uid: Some(pods::uid(&pod).into()), revision: None };
    let written = shared.control.update(&object.key, Update::PodStatus(Box::new(status)), same).await;
    if let Err(error) = written {
        tracing::debug!(pod = %object.key, %error, "cannot report that a pod was rejected");
    }
    drop(pod);
    // It has nothing to end: a deletion is final at once, and closes the channel.
    while desired.changed().await.is_ok() {}
}
