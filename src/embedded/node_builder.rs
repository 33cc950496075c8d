//! The settings of a node, and its start.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::runtime::Handle as TokioHandle;
use tokio::task::JoinSet;

use super::Node;
use super::capacity::Capacity;
use super::data_directory::DataDirectory;
use super::engine::engine;
use crate::budget::{DEFAULT_RETAINED_MEMORY, RetainedMemory};
use crate::clock::Clock;
use crate::control::{ControlPlane, Revision};
use crate::controllers::garbage_collector::GarbageCollector;
use crate::controllers::namespaces::Namespaces;
use crate::controllers::pod_gc::{self, PodGarbageCollector};
use crate::controllers::scheduler::Scheduler;
use crate::events::{self, EventSource};
use crate::gateway::Gateway;
use crate::images::{ImageSource, Images};
use crate::logs::Spool;
use crate::network::AddressPool;
use crate::node::{Agent, EvictionThresholds, NodeConfig, PortConfig};
use crate::registry::{Registry, TokenCheck};
use crate::runtime::{Runtime, RuntimeError};
use crate::store::{HistoryLimits, ObjectStore};
use crate::volumes::HostPaths;

const DEFAULT_WAIT_TIMEOUT: Duration = Duration::from_secs(60);

/// Returns the revision of a store that replaces others which are lost: above all of theirs, so that clients which resume a
/// watch are told to list again.
pub fn first_revision(now: Timestamp) -> Revision {
    Revision::try_from(now.as_microsecond()).unwrap_or(0).max(1)
}

/// Configures and starts a [`Node`].
///
/// # Examples
///
/// ```no_run
/// # async fn example() -> Result<(), wasmpod::NodeStartError> {
/// use std::time::Duration;
/// use wasmpod::Node;
///
/// let node = Node::builder()
///     .image("web", "target/wasm32-wasip2/release/web.wasm")
///     .speed(100)
///     .wait_timeout(Duration::from_secs(10))
///     .start()?;
/// # Ok(())
/// # }
/// ```
#[must_use = "call `start` to start the node"]
pub struct NodeBuilder {
    name: String,
    host_ip: String,
    data_dir: Option<PathBuf>,
    log_dir: Option<PathBuf>,
    images: Option<Arc<Images>>,
    named_images: Vec<(String, ImageSource)>,
    engine: Option<Arc<Runtime>>,
    clock: Option<Clock>,
    speed: u32,
    limits: Limits,
    publish_address: IpAddr,
    ports: Option<PortConfig>,
    root_ca: String,
    has_scheduler: bool,
    keeps_volumes: bool,
    wait_timeout: Duration,
    token_check: Option<TokenCheck>,
    store: Option<Arc<ObjectStore>>,
}

/// The limits of a node's pods: resources, host directories and restarts.
struct Limits {
    capacity: Capacity,
    max_containers: Option<usize>,
    max_container_restart_period: Option<Duration>,
    host_paths: HostPaths,
    terminated_pods: usize,
    eviction: EvictionThresholds,
}

/// The error of a node that cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum NodeStartError {
    /// `start` was called outside of a Tokio runtime.
    #[error("no tokio runtime; start the node in an async function or test")]
    NoTokioRuntime,
    /// The WebAssembly engine cannot be started.
    #[error(transparent)]
    Engine(#[from] RuntimeError),
    /// The temporary data directory cannot be created.
    #[error("cannot create a temporary directory in {}; set TMPDIR to another directory", path.display())]
    DataDirectory {
        /// The directory for temporary files.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The directory for logs cannot be created.
    #[error("cannot create log directory {}", path.display())]
    LogDirectory {
        /// The path of the directory.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

impl Default for NodeBuilder {
    fn default() -> NodeBuilder {
        NodeBuilder {
            name: "wasmpod".into(),
            host_ip: "127.0.0.1".into(),
            data_dir: None,
            log_dir: None,
            images: None,
            named_images: Vec::new(),
            engine: None,
            clock: None,
            speed: 1,
            limits: Limits {
                capacity: Capacity::default(),
                max_containers: None,
                max_container_restart_period: None,
                host_paths: HostPaths::All,
                terminated_pods: pod_gc::DEFAULT_THRESHOLD,
                eviction: EvictionThresholds::MEMORY_ONLY,
            },
            publish_address: Ipv4Addr::LOCALHOST.into(),
            ports: None,
            root_ca: String::new(),
            has_scheduler: true,
            keeps_volumes: false,
            wait_timeout: DEFAULT_WAIT_TIMEOUT,
            token_check: None,
            store: None,
        }
    }
}

impl NodeBuilder {
    /// Sets the name of the node. Defaults to `wasmpod`.
    pub fn name(mut self, name: impl Into<String>) -> NodeBuilder {
        self.name = name.into();
        self
    }

    /// Sets the IP address of the node in the status of its pods. Defaults to 127.0.0.1.
    pub fn host_ip(mut self, ip: impl Into<String>) -> NodeBuilder {
        self.host_ip = ip.into();
        self
    }

    /// Stores the files of pods in `directory`, which must exist and is not removed. The node continues with the
    /// volumes that a previous node has left there of pods that still exist, and removes the files of all others, so that nodes
    /// must not share a directory. Defaults to a temporary directory, which is removed with the node.
    pub fn data_dir(mut self, directory: impl Into<PathBuf>) -> NodeBuilder {
        self.data_dir = Some(directory.into());
        self
    }

    /// Writes container logs to files in `directory`, under kubelet's file names and with kubelet's rotation, and links
    /// to them in its subdirectory `containers`. Creates the directory if it does not exist. The node takes over the logs that a
    /// previous node has left there of pods that still exist, and removes those of others. The logs of a pod are
    /// removed with the pod. By default, the newest megabyte of each container's log is kept in memory.
    pub fn log_dir(mut self, directory: impl Into<PathBuf>) -> NodeBuilder {
        self.log_dir = Some(directory.into());
        self
    }

    /// Uses `source`, the path of a file or its bytes, for containers with `image: name`.
    pub fn image(mut self, name: &str, source: impl Into<ImageSource>) -> NodeBuilder {
        self.named_images.push((name.into(), source.into()));
        self
    }

    /// Replaces the images of the node. Defaults to those named with [`image`](NodeBuilder::image), built-in images
    /// and local files.
    #[doc(hidden)]
    pub fn images(mut self, images: Arc<Images>) -> NodeBuilder {
        self.images = Some(images);
        self
    }

    /// Sets the engine that compiles and runs programs. Defaults to the engine that all nodes of this process share.
    #[doc(hidden)]
    pub fn engine(mut self, engine: Arc<Runtime>) -> NodeBuilder {
        self.engine = Some(engine);
        self
    }

    /// Sets the clock of the node. Defaults to the system clock.
    #[doc(hidden)]
    pub fn clock(mut self, clock: Clock) -> NodeBuilder {
        self.clock = Some(clock);
        self
    }

    /// Accelerates time by `factor` for the node and its programs: at 1000, a back-off of five minutes takes 0.3 s.
    /// CPU time is not accelerated, and [`wait_timeout`](NodeBuilder::wait_timeout) is in real time.
    pub fn speed(mut self, factor: u32) -> NodeBuilder {
        self.speed = factor;
        self
    }

    /// Sets the resources that pods may request in total. A pod that requests more is rejected as by kubelet
    /// (`OutOfmemory`). Resources that are not set default to those of the machine.
    pub fn capacity(mut self, capacity: Capacity) -> NodeBuilder {
        self.limits.capacity = capacity;
        self
    }

    /// Sets the maximum number of running containers. Defaults to what this process can hold.
    pub fn max_containers(mut self, count: usize) -> NodeBuilder {
        self.limits.max_containers = Some(count);
        self
    }

    /// Sets the maximum restart back-off, like kubelet's `maxContainerRestartPeriod`. Defaults to five minutes, which
    /// is also the maximum.
    pub fn max_container_restart_period(mut self, period: Duration) -> NodeBuilder {
        self.limits.max_container_restart_period = Some(period);
        self
    }

    /// Restricts the host directories that pods can mount. By default, all are allowed.
    pub fn host_paths(mut self, allowed: HostPaths) -> NodeBuilder {
        self.limits.host_paths = allowed;
        self
    }

    /// Sets the number of finished pods that are kept: beyond it, the oldest are deleted. Zero keeps all. Defaults to
    /// 12,500, as in Kubernetes (`--terminated-pod-gc-threshold` of kube-controller-manager).
    pub fn terminated_pod_gc_threshold(mut self, count: usize) -> NodeBuilder {
        self.limits.terminated_pods = count;
        self
    }

    /// Sets the amounts of memory and disk below which pods are evicted. By default, only memory is watched.
    #[doc(hidden)]
    pub fn eviction(mut self, thresholds: EvictionThresholds) -> NodeBuilder {
        self.limits.eviction = thresholds;
        self
    }

    /// Sets the address of the host on which pods' host ports are opened, unless they name a `hostIP`. Defaults to
    /// `127.0.0.1`.
    pub fn publish_address(mut self, address: IpAddr) -> NodeBuilder {
        self.publish_address = address;
        self
    }

    /// Sets how the node offers ports of its pods on the host. Replaces the
    /// [`publish_address`](NodeBuilder::publish_address).
    #[doc(hidden)]
    pub fn ports(mut self, ports: PortConfig) -> NodeBuilder {
        self.ports = Some(ports);
        self
    }

    /// Sets the certificate authority of the API server, as PEM, which each namespace gets in a ConfigMap. Defaults to an
    /// empty text.
    #[doc(hidden)]
    pub fn root_ca(mut self, pem: &str) -> NodeBuilder {
        self.root_ca = pem.into();
        self
    }

    /// Sets whether a scheduler binds pods to the node. Defaults to `true`.
    pub fn scheduler(mut self, enabled: bool) -> NodeBuilder {
        self.has_scheduler = enabled;
        self
    }

    /// Sets whether the volumes of a deleted pod are kept for the next pod of the same name. Defaults to `false`, as
    /// in Kubernetes.
    pub fn keep_volumes(mut self, keep: bool) -> NodeBuilder {
        self.keeps_volumes = keep;
        self
    }

    /// Sets the timeout of [`Node::wait_ready`], [`Node::wait_complete`] and [`Node::delete`]. Defaults to one minute.
    pub fn wait_timeout(mut self, timeout: Duration) -> NodeBuilder {
        self.wait_timeout = timeout;
        self
    }

    /// Sets the check of bearer tokens in reviews of tokens.
    pub(crate) fn token_check(mut self, check: TokenCheck) -> NodeBuilder {
        self.token_check = Some(check);
        self
    }

    /// Sets the store of the node's objects. Defaults to one in memory.
    #[doc(hidden)]
    pub fn store(mut self, store: Arc<ObjectStore>) -> NodeBuilder {
        self.store = Some(store);
        self
    }

    /// Starts the node.
    ///
    /// # Errors
    ///
    /// Fails outside of a Tokio runtime, and if the engine or a directory cannot be created.
    pub fn start(self) -> Result<Node, NodeStartError> {
        let tokio = TokioHandle::try_current().map_err(|_| NodeStartError::NoTokioRuntime)?;
        let engine = match self.engine {
            Some(engine) => engine,
            None => engine()?,
        };
        let data_dir = match self.data_dir {
            Some(directory) => DataDirectory::Provided(directory),
            None => DataDirectory::temporary()?,
        };
        let spool = match self.log_dir {
            Some(path) => Some(Spool::new(&path).map_err(|source| NodeStartError::LogDirectory { path, source })?),
            None => None,
        };
        let clock = self.clock.unwrap_or_else(Clock::system).with_speed(self.speed);
        let images = self.images.unwrap_or_else(|| Arc::new(with_named_images(self.named_images)));
        let default_store =
            || ObjectStore::in_memory(HistoryLimits::within(RetainedMemory::new(DEFAULT_RETAINED_MEMORY)), 1);
        let store = self.store.unwrap_or_else(default_store);
        let retained = store.retained_memory().clone();
        let registry = Registry::new(store, clock).with_token_check(self.token_check);
        let control: Arc<dyn ControlPlane> = Arc::new(registry);
        let ports = self.ports.unwrap_or_else(|| PortConfig::new(Gateway::new(engine.threads()), self.publish_address));
        let gateway = ports.gateway.clone();
        let config = NodeConfig {
            name: self.name.clone(),
            host_ip: self.host_ip,
            directory: data_dir.path().into(),
            is_temporary: data_dir.is_temporary(),
            host_paths: self.limits.host_paths,
            capacity: self.limits.capacity.resources(data_dir.path(), self.limits.max_containers),
            keep_volumes: self.keeps_volumes,
            max_restart_backoff: self.limits.max_container_restart_period,
            spool: spool.clone(),
            eviction: self.limits.eviction,
            retained: retained.clone(),
            ports,
        };
        let source = EventSource { component: "kubelet", host: self.name.as_str().into() };
        let (recorder, writer) = events::recorder(control.clone(), clock, source, &retained);
        let addresses = AddressPool::new([10, 88, 0, 0].into(), 16);
        let agent = Agent::new(config, control.clone(), engine, images.clone(), addresses, clock, recorder.clone());
        let handle = agent.handle();
        let mut tasks = JoinSet::new();
        tasks.spawn_on(writer.run(), &tokio);
        tasks.spawn_on(agent.run(), &tokio);
        if let Some(spool) = &spool {
            tasks.spawn_on(spool.clone().run(), &tokio);
        }
        tasks.spawn_on(Namespaces { control: control.clone(), clock, root_ca: self.root_ca }.run(), &tokio);
        let source = EventSource { component: "garbage-collector-controller", host: "".into() };
        let collector = GarbageCollector { control: control.clone(), clock, recorder: recorder.for_source(source) };
        tasks.spawn_on(collector.run(), &tokio);
        let threshold = self.limits.terminated_pods;
        tasks.spawn_on(PodGarbageCollector { control: control.clone(), clock, threshold }.run(), &tokio);
        if self.has_scheduler {
            let source = EventSource { component: "default-scheduler", host: "".into() };
            let recorder = recorder.for_source(source);
            let scheduler = Scheduler { control: control.clone(), node: self.name, recorder, clock };
            tasks.spawn_on(scheduler.run(), &tokio);
        }
        Ok(Node { control, handle, images, wait_timeout: self.wait_timeout, tasks, gateway, data_dir, spool })
    }
}

/// Returns the default images with the named ones.
fn with_named_images(named: Vec<(String, ImageSource)>) -> Images {
    let images = Images::new(Default::default(), true);
    named.into_iter().fold(images, |images, (name, source)| images.with_image(&name, source))
}
