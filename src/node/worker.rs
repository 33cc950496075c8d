//! One pod's worker: gathers facts, asks `lifecycle` what follows, has it performed, reports.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use k8s_openapi::api::core::v1::{Container, Pod, PodStatus};
use tokio::sync::watch;

use super::admission::Rejection;
use super::attempt::Running;
use super::events::PodEvents;
use super::eviction::Eviction;
use super::resize::{self, Answer, Given};
use super::sandbox::Sandbox;
use super::{Desired, Restarts, Shared};
use crate::control::{Object, Preconditions, Reason, Update};
use crate::lifecycle::{Attempt, ContainerRef, ContainerRole, ExitStatus, Input, PodState};
use crate::model::pods;
use crate::runtime::{Exit, Instance};

/// What the worker waits for beside the clock and its pod's desired state.
pub(super) enum WorkerMessage {
    /// It happened.
    Event(Input),
    /// The image of an attempt is there; next the attempt begins or fails.
    Pulled(Attempt, BoxFuture<'static, WorkerMessage>),
    /// Resources that could not be given may be now.
    GiveAgain,
    /// What the pod stores was measured; why it is too much, if it is.
    Measured(Option<String>),
    /// An attempt begins; next it runs, as this event tells.
    Spawned(Made, Box<Instance>, Arc<Running>),
    /// An attempt runs; next it will end.
    Running(Input, Attempt, Box<Instance>),
    /// An attempt ended before its program could run, as this event tells.
    NeverRan(Input),
}

pub(super) struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) object: Arc<Object>,
    pub(super) pod: Arc<Pod>,
    pub(super) state: PodState,
    pub(super) sandbox: Option<Arc<Sandbox>>,
    /// What runs: how to end it, and where to run more beside it.
    pub(super) running: HashMap<Attempt, Arc<Running>>,
    pub(super) facts: FuturesUnordered<BoxFuture<'static, WorkerMessage>>,
    /// When to look again without a fact.
    pub(super) wake: Option<Duration>,
    /// The status as it was last written, and the pod as it stood then: others may have written since.
    reported: (Option<PodStatus>, Arc<Pod>),
    /// Whether there may be something to report since.
    news: bool,
    /// How long the deletion that was last seen leaves.
    deletion_seen: Option<i64>,
    /// The generation of the spec that was last taken in.
    generation: Option<i64>,
    /// Restarts that were taken in, by container.
    restarts: BTreeMap<String, Restarts>,
    /// The agent's answer to other resources that was taken in, and of which generation.
    resize: Option<(i64, Answer)>,
    /// What its containers have.
    pub(super) given: Given,
    /// The object was removed; nothing is left to do.
    pub(super) gone: bool,
}

/// Runs the pod until it is gone.
pub(super) async fn run(shared: Arc<Shared>, mut desired: watch::Receiver<Desired>) {
    let object = desired.borrow_and_update().object.clone();
    let pod: Arc<Pod> = match object.decode() {
        Ok(pod) => pod,
        Err(error) => return tracing::error!(pod = %object.key, %error, "cannot read a stored pod"),
    };
    let now = shared.clock.now();
    let state = PodState::restore(&pod, now).with_probes_earlier(shared.probes.part(now.mono));
    let state = match shared.config.longest_wait {
        Some(most) => state.with_waits_up_to(most),
        None => state,
    };
    let mut worker = Worker {
        reported: (pod.status.clone(), pod.clone()),
        news: true,
        generation: pod.metadata.generation,
        shared,
        object,
        pod,
        state,
        sandbox: None,
        running: HashMap::new(),
        facts: FuturesUnordered::new(),
        wake: None,
        deletion_seen: None,
        restarts: BTreeMap::new(),
        resize: None,
        given: Given::new(),
        gone: false,
    };
    worker.given = resize::given(&worker.pod);
    worker.step(Input::Tick).await;
    while !worker.gone {
        worker.report().await;
        // News may have come with the answer to the report.
        if worker.see_deletion().await || worker.see_changes().await {
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
                    let Desired { object, restarts, resize, eviction, shut_down } = desired.borrow_and_update().clone();
                    worker.see(object);
                    worker.restart(restarts).await;
                    worker.see_answer(resize).await;
                    worker.see_eviction(eviction).await;
                    worker.shut_down(shut_down).await;
                }
                // The object is gone, by force or because this worker removed it.
                Err(_) => break,
            },
            Some(fact) = worker.facts.next() => worker.take(fact).await,
            () = timer => worker.step(Input::Tick).await,
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
                self.step(Input::Restart { container, grace: *grace }).await;
            }
        }
        self.restarts = wanted;
    }

    async fn see_answer(&mut self, resize: Option<(i64, Answer)>) {
        if resize != self.resize {
            self.resize = resize.clone();
            if let Some((_, answer)) = resize {
                self.resized(answer).await;
            }
        }
    }

    /// Ends the pod because the node can't keep it.
    pub(super) async fn see_eviction(&mut self, eviction: Option<Eviction>) {
        if let Some(Eviction { message, grace, disrupts }) = eviction
            && !self.state.is_failing()
        {
            self.told().evicted(&message);
            let reason = "Evicted".into();
            self.step(Input::Evicted { reason, message, grace: Some(grace), disrupts }).await;
        }
    }

    /// Ends the pod with its node, as a kubelet does. Once it ends, hearing of it again changes nothing.
    async fn shut_down(&mut self, bound: Option<Duration>) {
        let Some(bound) = bound else { return };
        let own = self.pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds).unwrap_or(30);
        let grace = Some(Duration::from_secs(u64::try_from(own).unwrap_or(1)).min(bound));
        let message = "Pod was terminated in response to imminent node shutdown.".to_string();
        self.step(Input::Evicted { reason: "Terminated".into(), message, grace, disrupts: true }).await;
    }

    pub(super) fn place(&self, name: &str) -> Option<ContainerRef> {
        let spec = self.pod.spec.as_ref()?;
        let find = |role, all: &[Container]| {
            all.iter().position(|container| container.name == name).map(|index| ContainerRef { role, index })
        };
        find(ContainerRole::Init, pods::init_containers(spec)).or_else(|| find(ContainerRole::App, &spec.containers))
    }

    fn know(&mut self, object: Arc<Object>) {
        match object.decode::<Pod>() {
            Ok(pod) => (self.pod, self.object, self.news) = (pod, object, true),
            Err(error) => tracing::error!(pod = %object.key, %error, "cannot read a stored pod"),
        }
    }

    /// Takes a deletion in that was not known yet; whether there was one.
    async fn see_deletion(&mut self) -> bool {
        let grace = self.pod.metadata.deletion_timestamp.as_ref().and(self.pod.metadata.deletion_grace_period_seconds);
        let Some(grace) = grace.filter(|_| grace != self.deletion_seen) else { return false };
        self.deletion_seen = Some(grace);
        let grace = Duration::from_secs(u64::try_from(grace).unwrap_or(0));
        self.step(Input::Deleted { grace }).await;
        true
    }

    /// Takes another spec in than was known; whether there was one.
    async fn see_changes(&mut self) -> bool {
        if self.pod.metadata.generation == self.generation {
            return false;
        }
        self.generation = self.pod.metadata.generation;
        self.step(Input::PodUpdated(Box::new(Pod::clone(&self.pod)))).await;
        true
    }

    async fn take(&mut self, fact: WorkerMessage) {
        match fact {
            WorkerMessage::Event(event) => {
                match &event {
                    Input::Exited { attempt, .. } => drop(self.running.remove(attempt)),
                    Input::StartFailed { attempt, trouble } => self.told().failed(*attempt, trouble),
                    _ => {}
                }
                self.step(event).await;
            }
            WorkerMessage::GiveAgain => {
                if matches!(self.resize, Some((_, Answer::Fits))) {
                    self.resized(Answer::Fits).await;
                }
            }
            WorkerMessage::Measured(excess) => self.measured(excess).await,
            WorkerMessage::Pulled(attempt, next) => {
                self.told().pulled(attempt);
                self.facts.push(next);
            }
            WorkerMessage::NeverRan(event) => {
                if let Input::CannotRun { attempt, outcome, .. } = &event {
                    if self.running.remove(attempt).is_none() {
                        self.told().created(*attempt);
                    }
                    self.told().never_ran(*attempt, outcome.message.as_deref().unwrap_or_default());
                }
                self.step(event).await;
            }
            WorkerMessage::Spawned(made, mut instance, running) => {
                // From here on it can be ended, even if it never gets to run.
                let attempt = made.attempt;
                self.running.insert(attempt, running);
                self.told().created(attempt);
                self.facts.push(Box::pin(async move {
                    if instance.begun().await {
                        return WorkerMessage::Running(made.started(), attempt, instance);
                    }
                    made.never_ran(&instance.exited().await)
                }));
                self.step(Input::Tick).await;
            }
            WorkerMessage::Running(event, attempt, mut instance) => {
                self.told().started(attempt);
                let last_words = self.running.get(&attempt).map(|running| running.last_words.clone());
                self.facts.push(Box::pin(async move {
                    let exit = instance.exited().await;
                    let message = match last_words {
                        Some(last_words) => last_words.after(&exit).await,
                        None => exit.message().map(Into::into),
                    };
                    WorkerMessage::Event(exited(attempt, &exit, message))
                }));
                self.step(event).await;
            }
        }
    }

    /// Lets the state take `event` in and does what follows, and what follows from that.
    pub(super) async fn step(&mut self, event: Input) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            let now = self.shared.clock.now();
            self.wake = None;
            let (actions, news) = self.state.step_with_news(event, now);
            self.news |= news;
            for action in actions {
                events.extend(self.perform(action).await);
            }
        }
    }

    /// Writes the status if it says something new.
    pub(super) async fn report(&mut self) {
        while self.news && !self.gone {
            let status = self.state.status(&self.pod, &self.shared.config.host_ip, self.shared.clock.now().wall);
            let (reported, stood) = &self.reported;
            let untouched = Arc::ptr_eq(stood, &self.pod) || stood.status == self.pod.status;
            if untouched && reported.as_ref() == Some(&status) {
                self.news = false;
                return;
            }
            // Conditions of others may have come in between; theirs must not be written over.
            let revision = Some(self.object.revision.to_string());
            let same = Preconditions { uid: Some(pods::uid(&self.pod).into()), revision };
            let update = Update::PodStatus(Box::new(status.clone()));
            match self.shared.control.update(&self.object.key, update, same).await {
                Ok(object) => {
                    self.know(object);
                    self.reported = (Some(status), self.pod.clone());
                    return;
                }
                Err(error) if error.reason == Reason::Conflict => self.look_again().await,
                Err(error) if error.reason == Reason::NotFound => self.gone = true,
                Err(error) => return tracing::warn!(pod = %self.object.key, %error, "cannot report a pod's status"),
            }
        }
    }

    /// Takes in what the object is now.
    async fn look_again(&mut self) {
        match self.shared.control.get(&self.object.key).await {
            Ok(object) if object.decode::<Pod>().is_ok_and(|pod| pods::uid(&pod) == pods::uid(&self.pod)) => {
                self.know(object);
            }
            // Another pod has its name.
            Ok(_) => self.gone = true,
            Err(error) if error.reason == Reason::NotFound => self.gone = true,
            Err(error) => tracing::warn!(pod = %self.object.key, %error, "cannot read a pod"),
        }
    }

    pub(super) fn told(&self) -> PodEvents<'_> {
        PodEvents { recorder: &self.shared.recorder, pod: &self.pod, state: &self.state }
    }

    /// Ends what still runs, whose object has gone by force.
    async fn end(mut self) {
        for container in self.state.unasked() {
            self.told().killing(container);
        }
        self.tear_down().await;
        self.shared.logs.forget(pods::uid(&self.pod));
    }
}

fn exited(attempt: Attempt, exit: &Exit, message: Option<String>) -> Input {
    Input::Exited { attempt, outcome: ExitStatus { code: exit.code(), reason: exit.reason().into(), message } }
}

/// An attempt as its status names it.
pub(super) struct Made {
    pub(super) attempt: Attempt,
    pub(super) container_id: String,
    pub(super) image_id: String,
}

impl Made {
    fn started(self) -> Input {
        let Made { attempt, container_id, image_id } = self;
        Input::Started { attempt, container_id, image_id }
    }

    pub(super) fn never_ran(self, exit: &Exit) -> WorkerMessage {
        let Made { attempt, container_id, image_id } = self;
        let message = exit.message().map(Into::into);
        let outcome = ExitStatus { code: exit.code(), reason: exit.reason().into(), message };
        WorkerMessage::NeverRan(Input::CannotRun { attempt, container_id, image_id, outcome })
    }
}

/// Refuses a pod that the node has no room for (K13, K14).
pub(super) async fn reject(shared: Arc<Shared>, mut desired: watch::Receiver<Desired>, refusal: Rejection) {
    let object = desired.borrow_and_update().object.clone();
    let Ok(pod) = object.decode::<Pod>() else { return };
    let Rejection { reason, message } = refusal;
    PodEvents { recorder: &shared.recorder, pod: &pod, state: &PodState::new(&pod) }.rejected(&reason, &message);
    let status = PodStatus {
        phase: Some("Failed".into()),
        reason: Some(reason),
        message: Some(format!("Pod was rejected: {message}")),
        start_time: Some(pods::time(shared.clock.now().wall)),
        observed_generation: pod.metadata.generation,
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
