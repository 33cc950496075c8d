//! The agent: one loop that starts, informs and collects the pods' workers.
//!
//! Owns the node's allocations, the finished pods and the node's conditions; the workers own the pods.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::task::TaskTracker;

use super::admission::{self, Rejection, ResourceAmounts};
use super::allocation::{PodResize, ResizeFit};
use super::desired::{DesiredState, NodeShutdown, RestartRequests};
use super::eviction::{self, EvictablePod, EvictionCandidate, FileSystem, PodUsages, Pressures, Shortage, Supply};
use super::free_memory::FreeMemory;
use super::handle::{Handle, HandleRequest, MAX_QUEUED_REQUESTS};
use super::housekeeping::{self, FinishedPods};
use super::running_pods::RunningPods;
use super::{Logs, NodeConfig, NodeContext, PODS_DIR, checks, lease, limits, registration, services, worker};
use crate::budget::Account;
use crate::clock::Clock;
use crate::control::{ChangeKind, ControlPlane, Object, Resource, Scope, Status, WatchEvent};
use crate::events::Recorder;
use crate::images::Images;
use crate::model::host_ports::{HostPort, host_ports};
use crate::model::pods;
use crate::network::AddressPool;
use crate::runtime::{InstanceSet, Runtime};

/// The agent of one node; it works while [`Agent::run`] does.
pub struct Agent {
    node: Arc<NodeContext>,
    /// The workers, and the watch of Services.
    tasks: JoinSet<()>,
    /// The pods' workers, by UID.
    workers: HashMap<String, WorkerHandle>,
    /// The resources allocated to admitted pods that have not finished.
    allocated: ResourceAmounts,
    finished: FinishedPods,
    /// The UID of each task's pod, to find the pod of a worker that panics.
    task_pods: HashMap<Id, String>,
    /// The newest objects of pods that wait until the worker of an earlier pod with their UID has ended.
    waiting: HashMap<String, Arc<Object>>,
    /// What becomes of the pods, once the node shuts down.
    shutdown: Option<NodeShutdown>,
    pressures: Pressures,
    free_memory: FreeMemory,
    requests: mpsc::Receiver<HandleRequest>,
    /// The sender that new handles clone.
    request_sender: mpsc::Sender<HandleRequest>,
}

/// The agent's side of a worker.
struct WorkerHandle {
    desired: watch::Sender<DesiredState>,
    /// The resources allocated to the pod; nothing once it has finished.
    allocation: ResourceAmounts,
    /// The host ports of the pod; none once it has finished.
    host_ports: Vec<HostPort>,
    /// The generation of the spec that the allocation follows.
    generation: Option<i64>,
    /// The resources that a deferred resize waits for.
    deferred: Option<ResourceAmounts>,
    /// Whether the pod was rejected, so that nothing runs.
    is_rejected: bool,
}

impl Agent {
    /// Returns an agent that runs nothing until [`Agent::run`]. Pods get their IPs from `addresses`.
    pub fn new(
        config: NodeConfig,
        control: Arc<dyn ControlPlane>,
        runtime: Arc<Runtime>,
        images: Arc<Images>,
        addresses: Arc<AddressPool>,
        clock: Clock,
        recorder: Recorder,
    ) -> Agent {
        let (request_sender, requests) = mpsc::channel(MAX_QUEUED_REQUESTS);
        let node = NodeContext {
            logs: Arc::new(Logs::new(config.spool.clone(), config.retained.clone())),
            all_instances: InstanceSet::new(),
            probe_stagger: checks::ProbeStagger::default(),
            account: Account::root(limits::node_limits(&config.capacity)),
            pod_usages: PodUsages::default(),
            running_pods: RunningPods::default(),
            unfinished_pods: TaskTracker::new(),
            config,
            control,
            runtime,
            images,
            addresses,
            services: Arc::default(),
            clock,
            recorder,
        };
        Agent {
            node: Arc::new(node),
            tasks: JoinSet::new(),
            workers: HashMap::new(),
            allocated: ResourceAmounts::default(),
            finished: FinishedPods::default(),
            task_pods: HashMap::new(),
            waiting: HashMap::new(),
            shutdown: None,
            pressures: Pressures::default(),
            free_memory: FreeMemory::default(),
            requests,
            request_sender,
        }
    }

    /// Returns a handle to the node; get it before [`Agent::run`], which consumes the agent.
    pub fn handle(&self) -> Handle {
        Handle {
            logs: self.node.logs.clone(),
            node: self.node.clone(),
            all_instances: self.node.all_instances.clone(),
            runtime: self.node.runtime.clone(),
            requests: self.request_sender.clone(),
        }
    }

    /// Runs pods until cancelled; programs that still run then are killed.
    pub async fn run(mut self) {
        self.tasks.spawn(services::watch(self.node.control.clone(), self.node.services.clone()));
        if let Err(error) = registration::register(&self.node).await {
            tracing::warn!(%error, "cannot register the node");
        }
        let scope = Scope::all(Resource::PODS);
        if let Ok(list) = self.node.control.list(&scope).await {
            self.adopt_files(&list.items).await;
        }
        loop {
            if let Err(error) = self.list_and_watch(&scope).await {
                tracing::debug!(%error, "the node's watch ended; listing again");
            }
        }
    }

    /// Takes over the files of pods that an earlier node has run, and removes those of pods that no longer exist.
    async fn adopt_files(&mut self, items: &[Arc<Object>]) {
        let mut known: Vec<Arc<Pod>> = items.iter().filter_map(|object| object.decode().ok()).collect();
        let active = known.iter().filter(|pod| !pods::is_terminal(pod));
        let active = active.map(|pod| pods::node_uid(pod).to_string()).collect();
        housekeeping::remove_orphans(self.node.config.directory.join(PODS_DIR), active).await;
        self.node.logs.adopt(known.iter().map(|pod| &**pod)).await;
        known.retain(|pod| pods::is_terminal(pod));
        known.sort_by_cached_key(|pod| housekeeping::finished_at(pod));
        known.iter().for_each(|pod| self.finished.add(pods::node_uid(pod), &self.node.logs));
    }

    /// Lists the pods, then follows their changes until the watch ends.
    async fn list_and_watch(&mut self, scope: &Scope) -> Result<(), Status> {
        let control = self.node.control.clone();
        let list = control.list(scope).await?;
        self.drop_unlisted(&list.items);
        for object in list.items {
            self.on_pod(object);
        }
        let mut watch = control.watch(scope, list.revision).await?;
        let clock = self.node.clock;
        let mut next_memory_check = clock.now().mono + eviction::CHECK_INTERVAL;
        let mut next_renewal = clock.now().mono;
        loop {
            tokio::select! {
                event = watch.next() => match event {
                    Some(Ok(WatchEvent::Change(ChangeKind::Deleted, object))) => self.on_deleted(&object),
                    Some(Ok(WatchEvent::Change(_, object))) => self.on_pod(object),
                    Some(Ok(WatchEvent::Bookmark(_))) => {}
                    Some(Err(status)) => return Err(status),
                    None => return Ok(()),
                },
                Some(ended) = self.tasks.join_next_with_id() => self.on_worker_exit(ended),
                Some(request) = self.requests.recv() => self.handle_request(request),
                () = clock.sleep_until(next_memory_check) => {
                    self.evict_under_pressure().await;
                    self.node.logs.drop_excess();
                    self.free_memory.give_back();
                    next_memory_check = clock.now().mono + eviction::CHECK_INTERVAL;
                }
                () = clock.sleep_until(next_renewal) => {
                    lease::renew(&self.node).await;
                    next_renewal = clock.now().mono + lease::RENEW_INTERVAL;
                }
            }
        }
    }

    /// Drops the workers of pods that a new list no longer contains.
    fn drop_unlisted(&mut self, items: &[Arc<Object>]) {
        let listed: HashSet<String> =
            items.iter().filter_map(|o| o.decode::<Pod>().ok()).map(|pod| pods::node_uid(&pod).to_string()).collect();
        let gone: Vec<String> = self.workers.keys().filter(|uid| !listed.contains(*uid)).cloned().collect();
        for uid in gone {
            let object = self.workers.get(&uid).map(|worker| worker.desired.borrow().object.clone());
            object.iter().for_each(|object| self.on_deleted(object));
        }
    }

    /// Hands a pod's newest object to its worker and starts a worker for a new pod.
    fn on_pod(&mut self, object: Arc<Object>) {
        let pod: Arc<Pod> = match object.decode() {
            Ok(pod) => pod,
            Err(error) => return tracing::error!(pod = %object.key, %error, "cannot decode a stored pod"),
        };
        let node_name = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
        if node_name != Some(self.node.config.name.as_str()) {
            return;
        }
        let uid = pods::node_uid(&pod);
        if self.workers.get(uid).is_some_and(|worker| worker.desired.borrow().object.key != object.key) {
            return tracing::error!(pod = %object.key, "another pod has the manifest's hash; ignoring this one");
        }
        match (self.workers.contains_key(uid), pods::is_terminal(&pod)) {
            (true, true) => self.on_finished(uid, object),
            (true, false) => self.on_update(uid, &pod, object),
            // Only static pods have the UID of an earlier one.
            (false, _) if uid != pods::uid(&pod) && self.task_pods.values().any(|ending| ending == uid) => {
                self.waiting.insert(uid.to_string(), object);
            }
            (false, _) => self.start_worker(uid.to_string(), &pod, object),
        }
    }

    /// Allocates the resources that a changed spec requests and informs the pod's worker.
    fn on_update(&mut self, uid: &str, pod: &Pod, object: Arc<Object>) {
        let Some(worker) = self.workers.get_mut(uid) else { return };
        let generation = pod.metadata.generation;
        // A rejected pod has no allocation to resize.
        let is_resize = worker.generation != generation && worker.allocation.pods > 0;
        let resize = is_resize.then(|| {
            worker.generation = generation;
            let requested = ResourceAmounts::requested_by(pod);
            worker.reallocate(requested, &mut self.allocated, &self.node.config.capacity)
        });
        worker.send_object(object, resize);
    }

    /// Frees the resources of a pod that has finished and informs its worker.
    fn on_finished(&mut self, uid: &str, object: Arc<Object>) {
        let Some(worker) = self.workers.get_mut(uid) else { return };
        self.allocated -= std::mem::take(&mut worker.allocation);
        worker.host_ports = Vec::new();
        self.finished.add(uid, &self.node.logs);
        worker.send_object(object, None);
        self.retry_deferred_resizes();
    }

    /// Starts a worker that runs the pod, or one that rejects it if the node cannot admit it (K13).
    fn start_worker(&mut self, uid: String, pod: &Pod, object: Arc<Object>) {
        let (requested, generation) = (ResourceAmounts::requested_by(pod), pod.metadata.generation);
        let (desired, receiver) = watch::channel(DesiredState::new(object, self.shutdown));
        let host_ports = if pods::is_terminal(pod) { Vec::new() } else { host_ports(pod) };
        let node = self.node.clone();
        let (task, allocation, host_ports, is_rejected) = match self.admit(pod, &requested, &host_ports) {
            Ok(()) => (self.tasks.spawn(worker::run(node, receiver)), requested, host_ports, false),
            Err(rejection) => {
                let task = self.tasks.spawn(worker::reject(node, receiver, rejection));
                (task, ResourceAmounts::default(), Vec::new(), true)
            }
        };
        self.allocated += allocation;
        self.task_pods.insert(task.id(), uid.clone());
        let worker = WorkerHandle { desired, allocation, host_ports, generation, deferred: None, is_rejected };
        self.workers.insert(uid, worker);
    }

    /// Decides whether the node runs the pod. A finished pod is admitted, so that its worker can clean up.
    fn admit(&self, pod: &Pod, requested: &ResourceAmounts, host_ports: &[HostPort]) -> Result<(), Rejection> {
        if pods::is_terminal(pod) {
            return Ok(());
        }
        match self.shutdown {
            Some(NodeShutdown::Terminate { .. }) => return Err(Rejection::shutting_down()),
            // It is admitted when the node runs again; until then its worker starts nothing.
            Some(NodeShutdown::Suspend(_)) => return Ok(()),
            None => {}
        }
        self.pressures.admit(pod)?;
        admission::check(requested, &self.allocated, &self.node.config.capacity)?;
        admission::check_host_ports(host_ports, self.workers.values().flat_map(|worker| &worker.host_ports))
    }

    fn handle_request(&mut self, request: HandleRequest) {
        match request {
            HandleRequest::Restart { uid, container, grace } => {
                if let Some(worker) = self.workers.get(&uid) {
                    worker.desired.send_modify(|desired| {
                        let requests = desired.restarts.entry(container).or_default();
                        *requests = RestartRequests { count: requests.count + 1, grace };
                    });
                }
            }
            HandleRequest::ShutDown { shutdown, answer } => {
                self.shutdown = Some(shutdown);
                for worker in self.workers.values() {
                    worker.desired.send_modify(|desired| desired.shutdown = Some(shutdown));
                }
                let _ = answer.send(());
            }
            HandleRequest::Ping { answer } => _ = answer.send(()),
        }
    }

    fn on_deleted(&mut self, object: &Object) {
        let Ok(pod) = object.decode::<Pod>() else { return };
        let uid = pods::node_uid(&pod);
        self.waiting.remove(uid);
        match self.workers.get(uid) {
            Some(worker) if worker.desired.borrow().object.key != object.key => {}
            Some(worker) if pods::outlives_mirror(&pod) && !worker.is_rejected => worker.mirror_deleted(&pod),
            _ => self.drop_worker(uid),
        }
    }

    /// Drops the handle of a worker, which ends because its object was removed, by force or by itself.
    fn drop_worker(&mut self, uid: &str) {
        self.finished.remove(uid);
        if let Some(worker) = self.workers.remove(uid) {
            worker.desired.send_modify(|desired| desired.is_removed = true);
            self.allocated -= worker.allocation;
            self.retry_deferred_resizes();
        }
    }

    /// Offers resources that have become free to the pods with deferred resizes.
    fn retry_deferred_resizes(&mut self) {
        for worker in self.workers.values_mut() {
            let Some(requested) = worker.deferred else { continue };
            let resize = Some(worker.reallocate(requested, &mut self.allocated, &self.node.config.capacity));
            worker.desired.send_if_modified(|desired| {
                let changed = desired.resize != resize;
                desired.resize = resize;
                changed
            });
        }
    }

    /// Reports pressures in the node's conditions and evicts a pod while memory or disk is scarce.
    async fn evict_under_pressure(&mut self) {
        let thresholds = self.node.config.eviction;
        let memory = thresholds.memory_shortage(self.memory_supply());
        let disk = thresholds.disk_shortage(|| FileSystem::of(&self.node.config.directory));
        if self.pressures.observe(memory.is_some(), disk.is_some(), self.node.clock.now().mono) {
            registration::report_pressures(&self.node, &self.pressures).await;
        }
        if let Some(shortage) = memory {
            self.evict(&self.node.pod_usages.memory_candidates(), &shortage);
        } else if let Some(shortage) = disk {
            self.evict(&self.measure_disk_usage().await, &shortage);
        }
    }

    /// Returns the memory of the node: what is left of its capacity and of the host.
    fn memory_supply(&self) -> Supply {
        let capacity = u64::try_from(self.node.config.capacity.memory).unwrap_or(0);
        let unused = capacity.saturating_sub(self.node.account.usage().memory);
        let available = eviction::host_available_memory().map_or(unused, |host| host.min(unused));
        Supply { available, capacity }
    }

    async fn measure_disk_usage(&self) -> Vec<EvictionCandidate> {
        let pods = self.node.pod_usages.evictable(|pod| self.node.pod_directories(pod));
        let measured = tokio::task::spawn_blocking(move || pods.iter().map(EvictablePod::measure).collect());
        measured.await.unwrap_or_default()
    }

    fn evict(&self, candidates: &[EvictionCandidate], shortage: &Shortage) {
        let Some((uid, eviction)) = eviction::select_victim(candidates, shortage) else { return };
        tracing::warn!(%uid, resource = %shortage.resource, available = shortage.available, "evicting a pod");
        if let Some(worker) = self.workers.get(&uid) {
            worker.desired.send_modify(|desired| desired.eviction = Some(eviction));
        }
    }

    /// Forgets a worker's task; a worker that panicked is started again.
    fn on_worker_exit(&mut self, ended: Result<(Id, ()), JoinError>) {
        let (id, panicked) = match &ended {
            Ok((id, ())) => (*id, false),
            Err(error) => (error.id(), error.is_panic()),
        };
        let Some(uid) = self.task_pods.remove(&id) else { return };
        if panicked && let Some(worker) = self.workers.remove(&uid) {
            self.allocated -= worker.allocation;
            let object = worker.desired.borrow().object.clone();
            tracing::error!(pod = %object.key, %uid, "a pod's worker panicked; restarting it from the stored status");
            if let Ok(pod) = object.decode::<Pod>() {
                self.start_worker(uid, &pod, object);
            }
        } else if let Some(object) = self.waiting.remove(&uid) {
            self.on_pod(object);
        }
    }
}

impl WorkerHandle {
    /// Allocates `requested` to the pod if it fits beside what other pods have of `allocated`.
    fn reallocate(
        &mut self,
        requested: ResourceAmounts,
        allocated: &mut ResourceAmounts,
        capacity: &ResourceAmounts,
    ) -> PodResize {
        let mut others = *allocated;
        others -= self.allocation;
        let fit = ResizeFit::check(&requested, &others, capacity);
        self.deferred = matches!(fit, ResizeFit::Deferred(_)).then_some(requested);
        if fit == ResizeFit::Fits {
            self.allocation = requested;
            others += requested;
            *allocated = others;
        }
        PodResize { generation: self.generation.unwrap_or(0), fit }
    }

    /// Informs the worker of a static pod that its mirror object was deleted.
    fn mirror_deleted(&self, pod: &Pod) {
        self.desired.send_modify(|desired| desired.deleted_mirror = pod.metadata.uid.clone());
    }

    /// Sends the pod's object to the worker, unless the worker has a newer one.
    fn send_object(&self, object: Arc<Object>, resize: Option<PodResize>) {
        self.desired.send_if_modified(|desired| {
            let is_newer = object.revision > desired.object.revision;
            if is_newer {
                desired.object = object;
                desired.resize = resize.or(desired.resize.take());
            }
            is_newer
        });
    }
}
