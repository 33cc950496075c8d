//! What a node is built from, and what it takes where nothing is said.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::Node;
use super::capacity::Capacity;
use super::engine::engine;
use super::log_directory::LogDirectory;
use crate::clock::Clock;
use crate::control::ControlPlane;
use crate::controllers;
use crate::events::{self, EventSource};
use crate::images::{self, Images};
use crate::logs::Spool;
use crate::network::Addresses;
use crate::node::{Agent, Config};
use crate::registry::Registry;
use crate::runtime::{Runtime, RuntimeError};
use crate::store::ObjectStore;
use crate::volumes::HostPaths;

/// Changes that a slow watcher may lie behind.
const HISTORY: usize = 4096;

/// How long a node's user waits for a pod where nothing is said.
const PATIENCE: Duration = Duration::from_secs(60);

/// A node that is not started yet.
#[must_use = "a node runs once it is started"]
pub struct Builder {
    name: String,
    host_ip: String,
    folder: Option<PathBuf>,
    images: Option<Arc<Images>>,
    named: Vec<(String, images::ImageSource)>,
    host_paths: HostPaths,
    clock: Option<Clock>,
    speed: u32,
    capacity: Option<usize>,
    resources: Capacity,
    engine: Option<Arc<Runtime>>,
    scheduler: bool,
    keep_volumes: bool,
    longest_wait: Option<Duration>,
    log_folder: Option<PathBuf>,
    patience: Duration,
}

/// Why a node can't be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The caller is on no tokio runtime, from which the node could take its tasks.
    #[error("a node is started on a tokio runtime: call this in an async test or function")]
    NoTokio,
    /// Guests can't be run at all.
    #[error(transparent)]
    Engine(#[from] RuntimeError),
    /// The node's folder can't be made.
    #[error("cannot make a folder in {} (set TMPDIR to another place)", path.display())]
    Folder {
        /// Where it should be.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The folder for logs can't be made.
    #[error("cannot make the folder {path:?} for logs")]
    LogFolder {
        /// Where it should be.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl Default for Builder {
    fn default() -> Builder {
        Builder {
            name: "wasmpod".into(),
            host_ip: "127.0.0.1".into(),
            folder: None,
            images: None,
            named: Vec::new(),
            host_paths: HostPaths::All,
            clock: None,
            speed: 1,
            capacity: None,
            resources: Capacity::default(),
            engine: None,
            scheduler: true,
            keep_volumes: false,
            longest_wait: None,
            log_folder: None,
            patience: PATIENCE,
        }
    }
}

impl Builder {
    /// The node's name, by which pods are bound to it; `wasmpod` where nothing is said.
    pub fn name(mut self, name: impl Into<String>) -> Builder {
        self.name = name.into();
        self
    }

    /// The address that pods are told the node has; 127.0.0.1 where nothing is said.
    pub fn host_ip(mut self, ip: impl Into<String>) -> Builder {
        self.host_ip = ip.into();
        self
    }

    /// Keeps the pods' folders below `folder`, which exists and is not removed; it is this node's alone, which
    /// removes what an earlier one has left there. Where nothing is said, the node makes a folder for temporary
    /// files and removes it at its end.
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Builder {
        self.folder = Some(folder.into());
        self
    }

    /// Runs `source`, a file or its bytes, for containers with `image: name`.
    pub fn image(mut self, name: &str, source: impl Into<images::ImageSource>) -> Builder {
        self.named.push((name.into(), source.into()));
        self
    }

    /// Where images come from; what [`image`](Builder::image) named, the built-in ones and local files
    /// where nothing is said.
    pub fn images(mut self, images: Arc<Images>) -> Builder {
        self.images = Some(images);
        self
    }

    /// Which folders of the host pods may mount; all where nothing is said.
    pub fn host_paths(mut self, allowed: HostPaths) -> Builder {
        self.host_paths = allowed;
        self
    }

    /// The time by which the node lives; the system's where nothing is said.
    pub fn clock(mut self, clock: Clock) -> Builder {
        self.clock = Some(clock);
        self
    }

    /// Lets time on the node go `times` as fast, for its guests, too: five minutes of back-off are over in
    /// 0.3 s at 1000. Processor time is not made faster, and what waits for the node
    /// ([`Builder::patience`]) waits in real time.
    pub fn speed(mut self, times: u32) -> Builder {
        self.speed = times;
        self
    }

    /// No container waits longer than `most` for its next restart: a kubelet's `maxContainerRestartPeriod`, which is
    /// five minutes where nothing is said, and no more.
    pub fn longest_restart_wait(mut self, most: Duration) -> Builder {
        self.longest_wait = Some(most);
        self
    }

    /// Containers that may run at once; as many as this process can hold where nothing is said.
    pub fn capacity(mut self, containers: usize) -> Builder {
        self.capacity = Some(containers);
        self
    }

    /// What pods may ask for together; what `resources` does not name, and all where nothing is said, is as
    /// much as the machine has. A pod that asks for more is rejected, as by a kubelet (`OutOfmemory`).
    pub fn resources(mut self, resources: Capacity) -> Builder {
        self.resources = resources;
        self
    }

    /// Runs guests; the engine that all nodes of this process share where nothing is said.
    pub fn engine(mut self, engine: Arc<Runtime>) -> Builder {
        self.engine = Some(engine);
        self
    }

    /// Whether pods that name no node are bound to this one, as they are where nothing is said.
    pub fn scheduler(mut self, runs: bool) -> Builder {
        self.scheduler = runs;
        self
    }

    /// Whether what a pod has written to its volumes waits for the next pod of the same name, while the
    /// node lives. Where nothing is said, it goes with the pod, as in Kubernetes.
    pub fn keep_volumes(mut self, keep: bool) -> Builder {
        self.keep_volumes = keep;
        self
    }

    /// Writes all that containers say to files below `folder`, under kubelet's names, rotated as kubelet
    /// rotates them. Where nothing is said, a container's newest megabyte is kept in memory and nothing
    /// is written. The folder is made where it is missing; the pods' folders in it that an earlier node
    /// has left are removed, and those of this one go with their pods, or with the node.
    pub fn log_folder(mut self, folder: impl Into<PathBuf>) -> Builder {
        self.log_folder = Some(folder.into());
        self
    }

    /// How long [`Node::wait_ready`], [`Node::wait_complete`] and [`Node::delete`] wait before they
    /// give up and say what is missing; a minute where nothing is said.
    pub fn patience(mut self, patience: Duration) -> Builder {
        self.patience = patience;
        self
    }

    /// Starts the node; in milliseconds.
    pub fn start(self) -> Result<Node, StartError> {
        let tokio = tokio::runtime::Handle::try_current().map_err(|_| StartError::NoTokio)?;
        let engine = match self.engine {
            Some(engine) => engine,
            None => engine()?,
        };
        let folder = match self.folder {
            Some(folder) => LogDirectory::Kept(folder),
            None => LogDirectory::temporary()?,
        };
        let spool =
            self.log_folder.map(|path| Spool::new(&path).map_err(|source| StartError::LogFolder { path, source }));
        let spool = spool.transpose()?;
        let clock = self.clock.unwrap_or_else(Clock::system).faster(self.speed);
        let control: Arc<dyn ControlPlane> = Arc::new(Registry::new(ObjectStore::new(HISTORY), clock));
        let config = Config {
            name: self.name.clone(),
            host_ip: self.host_ip,
            folder: folder.path().into(),
            host_paths: self.host_paths,
            capacity: self.resources.or_the_machines(folder.path(), self.capacity),
            keep_volumes: self.keep_volumes,
            longest_wait: self.longest_wait,
            spool: spool.clone(),
        };
        let named = self.named.into_iter();
        let of_names =
            || named.fold(Images::new(Default::default(), true), |all, (name, source)| all.with_image(&name, source));
        let images = self.images.unwrap_or_else(|| Arc::new(of_names()));
        let addresses = Addresses::new([10, 88, 0, 0].into(), 16);
        let source = EventSource { component: "kubelet", host: self.name.as_str().into() };
        let (recorder, writer) = events::recorder(control.clone(), clock, source);
        let agent = Agent::new(config, control.clone(), engine, images.clone(), addresses, clock, recorder.clone());
        let handle = agent.handle();
        let mut tasks = JoinSet::new();
        tasks.spawn_on(writer.run(), &tokio);
        tasks.spawn_on(agent.run(), &tokio);
        if let Some(spool) = &spool {
            tasks.spawn_on(spool.clone().run(), &tokio);
        }
        if self.scheduler {
            let scheduler = EventSource { component: "default-scheduler", host: "".into() };
            tasks.spawn_on(
                controllers::scheduler::run(control.clone(), self.name, recorder.in_the_name_of(scheduler)),
                &tokio,
            );
        }
        Ok(Node { control, handle, images, patience: self.patience, tasks, folder, spool })
    }
}
