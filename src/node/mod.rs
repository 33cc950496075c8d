//! The node agent: watches the pods bound to it and runs each in a worker of its own.
//!
//! Desired state comes by watch, observed state goes back as status; nobody calls across. A
//! worker that panics is told of and started again from the stored status.

mod admission;
mod attempt;
mod checks;
mod config;
mod env;
mod events;
mod eviction;
mod exec;
mod hosts;
mod housekeeping;
mod limits;
mod logs;
mod message;
mod perform;
mod registration;
mod resize;
mod sandbox;
mod storage;
mod worker;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinSet};

use crate::budget::{Account, AccountLimits};
use crate::clock::Clock;
use crate::control::{Body, ChangeKind, ControlPlane, Object, Resource, Scope, Status, WatchEvent};
use crate::events::Recorder;
use crate::images::Images;
use crate::logs::Spool;
use crate::model::pods;
use crate::network::Addresses;
use crate::runtime::{InstanceSet, Runtime};
use crate::volumes::HostPaths;

use admission::Rejection;
use eviction::Eviction;
use housekeeping::Finished;
use resize::Answer;

pub use admission::Resources;
pub use logs::Logs;

/// Where the manifest of a pod came from; local images are relative to its folder.
pub const SOURCE_ANNOTATION: &str = "wasmpod.dev/source";

/// Where the pods' folders are, below the node's.
const PODS: &str = "pods";

/// What a node is made of.
pub struct Config {
    /// The node's name; it runs the pods whose `spec.nodeName` is the same.
    pub name: String,
    /// The address that pods are told the node has.
    pub host_ip: String,
    /// Pods' folders go below it.
    pub folder: PathBuf,
    /// Which folders of the host its pods may mount.
    pub host_paths: HostPaths,
    /// What its pods may ask for together; one that asks for more is rejected (`OutOfmemory`).
    pub capacity: Resources,
    /// Whether what pods have written to their volumes waits for the next pod of the same name.
    pub keep_volumes: bool,
    /// No container waits longer for its next restart; a kubelet's five minutes where nothing is said.
    pub longest_wait: Option<Duration>,
    /// Writes what containers say to files; logs are in memory alone where there is none.
    pub spool: Option<Arc<Spool>>,
}

/// What all workers of a node share.
struct Shared {
    config: Config,
    control: Arc<dyn ControlPlane>,
    runtime: Arc<Runtime>,
    images: Arc<Images>,
    addresses: Arc<Addresses>,
    clock: Clock,
    logs: Arc<Logs>,
    guests: Arc<InstanceSet>,
    recorder: Recorder,
    probes: checks::ProbeStagger,
    /// What all pods hold and use.
    account: Arc<Account>,
    /// The same by pod.
    accounts: eviction::Accounts,
}

impl Shared {
    /// Where a pod's logs lie, if they are written to files.
    fn log_folder(&self, pod: &Pod) -> Option<PathBuf> {
        let spool = self.config.spool.as_ref()?;
        Some(spool.pod_directory(pods::namespace(pod), pods::name(pod), pods::uid(pod)))
    }
}

/// The agent of one node; [`Agent::run`] is its life.
pub struct Agent {
    shared: Arc<Shared>,
    workers: JoinSet<()>,
    /// By UID.
    pods: HashMap<String, Worker>,
    /// What admitted pods that are not over may ask for.
    promised: Resources,
    finished: Finished,
    /// Whose task is whose, for a worker that panics.
    tasks: HashMap<Id, String>,
    /// It goes down, and pods have so long to end.
    shut_down: Option<Duration>,
    pressure: eviction::Pressure,
    requests: mpsc::Receiver<HandleRequest>,
    /// Kept for handles that are asked for later.
    asking: mpsc::Sender<HandleRequest>,
}

struct Worker {
    desired: watch::Sender<Desired>,
    /// What it is promised; nothing once it is over.
    share: Resources,
    /// The generation of the spec that this follows from.
    generation: Option<i64>,
    /// What it asks for and has to wait for.
    waits_for: Option<Resources>,
}

/// What is wanted of a pod.
#[derive(Clone)]
struct Desired {
    object: Arc<Object>,
    /// By container: how often a restart was asked for. Restarts that nobody has seen yet are one.
    restarts: BTreeMap<String, Restarts>,
    /// The answer to the resources that the spec of a generation asks for.
    resize: Option<(i64, Answer)>,
    /// The node can't keep it.
    eviction: Option<Eviction>,
    /// Its node goes down: how long it may take to end.
    shut_down: Option<Duration>,
}

#[derive(Clone, Copy, Default)]
struct Restarts {
    asked: u64,
    /// How long what runs may take to end.
    grace: Duration,
}

/// What others ask of the agent.
enum HandleRequest {
    /// A container is to begin again.
    Restart { uid: String, container: String, grace: Duration },
    /// All pods are to end, and none is to begin.
    ShutDown { grace: Duration },
}

/// Requests that wait for the agent; who asks for more waits himself.
const REQUESTS: usize = 64;

/// What others may ask of a running node beside its pods' status.
#[derive(Clone)]
pub struct Handle {
    /// The logs of the node's containers, while they are kept.
    pub logs: Arc<Logs>,
    guests: Arc<InstanceSet>,
    runtime: Arc<Runtime>,
    requests: mpsc::Sender<HandleRequest>,
}

impl Handle {
    /// Begins a container of pod `uid` again, since what it runs is outdated: at once, whatever its
    /// restart policy and back-off say. What runs is asked to end and killed after `grace`. An init
    /// container takes with it what comes after it. Pods that are over, or not there, stay as they are.
    pub async fn restart(&self, uid: &str, container: &str, grace: Duration) {
        let request = HandleRequest::Restart { uid: uid.into(), container: container.into(), grace };
        // An agent that has ended restarts nothing.
        let _ = self.requests.send(request).await;
    }

    /// Ends all pods as a kubelet does whose machine goes down: they fail with the reason `Terminated`, each
    /// within its own grace period and `grace`, and pods that come later are rejected.
    pub async fn shut_down(&self, grace: Duration) {
        // An agent that has ended runs nothing.
        let _ = self.requests.send(HandleRequest::ShutDown { grace }).await;
    }

    /// Kills all that runs on the node, for good, and waits until it has gone; blocks its thread for
    /// the few milliseconds that this takes, and for `patience` at the most.
    pub fn end_guests(&self, patience: Duration) {
        self.guests.end(&self.runtime, patience);
    }
}

impl Agent {
    /// An agent that has not begun: nothing runs before [`Agent::run`]. `addresses` are its pods'.
    pub fn new(
        config: Config,
        control: Arc<dyn ControlPlane>,
        runtime: Arc<Runtime>,
        images: Arc<Images>,
        addresses: Arc<Addresses>,
        clock: Clock,
        recorder: Recorder,
    ) -> Agent {
        let (logs, guests) = (Arc::new(Logs::new(config.spool.clone())), InstanceSet::new());
        let (asking, requests) = mpsc::channel(REQUESTS);
        let probes = checks::ProbeStagger::default();
        let (account, accounts) = (Account::root(AccountLimits::NONE), eviction::Accounts::default());
        let shared = Shared {
            config,
            control,
            runtime,
            images,
            addresses,
            clock,
            logs,
            guests,
            recorder,
            probes,
            account,
            accounts,
        };
        Agent {
            shared: Arc::new(shared),
            workers: JoinSet::new(),
            pods: HashMap::new(),
            promised: Resources::default(),
            finished: Finished::default(),
            tasks: HashMap::new(),
            shut_down: None,
            pressure: eviction::Pressure::default(),
            requests,
            asking,
        }
    }

    /// For asking the node while [`Agent::run`], which takes it, goes on.
    pub fn handle(&self) -> Handle {
        let shared = &self.shared;
        Handle {
            logs: shared.logs.clone(),
            guests: shared.guests.clone(),
            runtime: shared.runtime.clone(),
            requests: self.asking.clone(),
        }
    }

    /// Runs pods until cancelled; whatever still runs then is killed.
    pub async fn run(mut self) {
        let node = registration::object(&self.shared.config, self.shared.clock.now().wall);
        if let Err(error) = self.shared.control.create(Body::Node(Box::new(node))).await {
            tracing::warn!(%error, "the node could not be registered");
        }
        let scope = Scope::all(Resource::PODS);
        if let Ok(list) = self.shared.control.list(&scope).await {
            let known = list.items.iter().filter_map(|object| object.decode::<Pod>().ok());
            let known = known.map(|pod| pods::uid(&pod).to_string()).collect();
            housekeeping::remove_orphans(self.shared.config.folder.join(PODS), known).await;
        }
        loop {
            if let Err(error) = self.follow(&scope).await {
                tracing::debug!(%error, "the node's watch ended; it lists again");
            }
        }
    }

    async fn follow(&mut self, scope: &Scope) -> Result<(), Status> {
        let control = self.shared.control.clone();
        let list = control.list(scope).await?;
        let listed: HashSet<String> =
            list.items.iter().filter_map(|o| o.decode::<Pod>().ok()).map(|pod| pods::uid(&pod).to_string()).collect();
        let gone: Vec<String> = self.pods.keys().filter(|uid| !listed.contains(*uid)).cloned().collect();
        gone.iter().for_each(|uid| self.drop_worker(uid));
        for object in list.items {
            self.take(object);
        }
        let mut watch = control.watch(scope, list.revision).await?;
        let clock = self.shared.clock;
        let mut look = clock.now().mono + eviction::INTERVAL;
        loop {
            tokio::select! {
                event = watch.next() => match event {
                    Some(Ok(WatchEvent::Change(ChangeKind::Deleted, object))) => self.forget(&object),
                    Some(Ok(WatchEvent::Change(_, object))) => self.take(object),
                    Some(Ok(WatchEvent::Bookmark(_))) => {}
                    Some(Err(status)) => return Err(status),
                    None => return Ok(()),
                },
                Some(ended) = self.workers.join_next_with_id() => self.reap(ended),
                Some(request) = self.requests.recv() => self.heed(request),
                () = clock.sleep_until(look) => {
                    self.relieve().await;
                    look = clock.now().mono + eviction::INTERVAL;
                }
            }
        }
    }

    /// Hands a pod's newest state to its worker, which is started with the first.
    fn take(&mut self, object: Arc<Object>) {
        let pod: Arc<Pod> = match object.decode() {
            Ok(pod) => pod,
            Err(error) => return tracing::error!(pod = %object.key, %error, "cannot read a stored pod"),
        };
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
        if node != Some(self.shared.config.name.as_str()) {
            return;
        }
        let uid = pods::uid(&pod).to_string();
        if let Some(worker) = self.pods.get_mut(&uid) {
            // A resize changes what a pod asks for, its end what it is promised.
            let resized = worker.generation != pod.metadata.generation && worker.share.pods > 0;
            let mut answer = None;
            if pods::is_terminal(&pod) {
                self.promised -= std::mem::take(&mut worker.share);
            } else if resized {
                worker.generation = pod.metadata.generation;
                answer = Some(promise(worker, Resources::of(&pod), &mut self.promised, &self.shared.config.capacity));
            }
            if pods::is_terminal(&pod) {
                self.finished.add(&uid, &self.shared.logs);
            }
            worker.desired.send_if_modified(|known| {
                let newer = object.revision > known.object.revision;
                if newer {
                    known.object = object;
                    let generation = pod.metadata.generation.unwrap_or(0);
                    known.resize = answer.map(|answer| (generation, answer)).or(known.resize.take());
                }
                newer
            });
            if pods::is_terminal(&pod) {
                self.grant_what_waits();
            }
            return;
        }
        self.start(uid, &pod, object);
    }

    /// Starts the pod's worker, or one that rejects it where there is no room (K13).
    fn start(&mut self, uid: String, pod: &Pod, object: Arc<Object>) {
        let (asked, generation) = (Resources::of(pod), pod.metadata.generation);
        let shut_down = self.shut_down;
        let (desired, seen) =
            watch::channel(Desired { object, restarts: BTreeMap::new(), resize: None, eviction: None, shut_down });
        let shared = self.shared.clone();
        let admitted = match self.shut_down {
            Some(_) if !pods::is_terminal(pod) => Err(Rejection::shutting_down()),
            _ => match self.pressure.refuses(pod).filter(|_| !pods::is_terminal(pod)) {
                Some(refusal) => Err(refusal),
                None => admission::check(&asked, &self.promised, &shared.config.capacity),
            },
        };
        let (task, share) = match admitted {
            Ok(()) => (self.workers.spawn(worker::run(shared, seen)), asked),
            Err(refusal) => (self.workers.spawn(worker::reject(shared, seen, refusal)), Resources::default()),
        };
        self.promised += share;
        self.tasks.insert(task.id(), uid.clone());
        self.pods.insert(uid, Worker { desired, share, generation, waits_for: None });
    }

    fn heed(&mut self, request: HandleRequest) {
        match request {
            HandleRequest::Restart { uid, container, grace } => {
                if let Some(worker) = self.pods.get(&uid) {
                    worker.desired.send_modify(|desired| {
                        let restarts = desired.restarts.entry(container).or_default();
                        *restarts = Restarts { asked: restarts.asked + 1, grace };
                    });
                }
            }
            HandleRequest::ShutDown { grace } => {
                self.shut_down = Some(grace);
                for worker in self.pods.values() {
                    worker.desired.send_modify(|desired| desired.shut_down = Some(grace));
                }
            }
        }
    }

    fn forget(&mut self, object: &Object) {
        let Ok(pod) = object.decode::<Pod>() else { return };
        // Its worker sees its channel close and ends.
        self.drop_worker(pods::uid(&pod));
    }

    fn drop_worker(&mut self, uid: &str) {
        self.finished.forget(uid);
        if let Some(worker) = self.pods.remove(uid) {
            self.promised -= worker.share;
            self.grant_what_waits();
        }
    }

    /// Gives pods that wait for more what others have left.
    fn grant_what_waits(&mut self) {
        for worker in self.pods.values_mut() {
            let Some(wanted) = worker.waits_for else { continue };
            let answer = promise(worker, wanted, &mut self.promised, &self.shared.config.capacity);
            let generation = worker.generation.unwrap_or(0);
            worker.desired.send_if_modified(|desired| {
                let answer = Some((generation, answer));
                let changed = desired.resize != answer;
                desired.resize = answer;
                changed
            });
        }
    }

    /// Shows whether memory runs out, and ends a pod where it does.
    async fn relieve(&mut self) {
        let capacity = u64::try_from(self.shared.config.capacity.memory).unwrap_or(0);
        let left = capacity.saturating_sub(self.shared.account.usage().memory);
        let available = eviction::available_memory().map_or(left, |host| host.min(left));
        let now = self.shared.clock.now();
        if self.pressure.observe(eviction::is_short(available, capacity), now.mono) {
            registration::tell_pressure(&self.shared, self.pressure.holds()).await;
        }
        let candidates = || self.shared.accounts.candidates();
        let Some((uid, eviction)) = eviction::choose(candidates, available, capacity) else { return };
        tracing::warn!(%uid, available, "memory is low: a pod is evicted");
        if let Some(worker) = self.pods.get(&uid) {
            worker.desired.send_modify(|desired| desired.eviction = Some(eviction));
        }
    }

    fn reap(&mut self, ended: Result<(Id, ()), tokio::task::JoinError>) {
        let (id, panicked) = match &ended {
            Ok((id, ())) => (*id, false),
            Err(error) => (error.id(), error.is_panic()),
        };
        let Some(uid) = self.tasks.remove(&id) else { return };
        if panicked && let Some(worker) = self.pods.remove(&uid) {
            self.promised -= worker.share;
            let object = worker.desired.borrow().object.clone();
            tracing::error!(pod = %object.key, %uid, "a pod's worker failed; it starts again from the stored status");
            if let Ok(pod) = object.decode::<Pod>() {
                self.start(uid, &pod, object);
            }
        }
    }
}

/// Promises `worker` what it asks for now, where there is room beside what others are promised.
fn promise(worker: &mut Worker, wanted: Resources, promised: &mut Resources, capacity: &Resources) -> Answer {
    let mut others = *promised;
    others -= worker.share;
    let answer = Answer::of(&wanted, &others, capacity);
    worker.waits_for = matches!(answer, Answer::Deferred(_)).then_some(wanted);
    if answer == Answer::Fits {
        worker.share = wanted;
        others += wanted;
        *promised = others;
    }
    answer
}
