//! The node agent: watches the pods bound to this node and runs each in a worker of its own.
//!
//! Desired state arrives by watch and observed state goes back as status. Other components reach the
//! node only through [`Handle`]. A worker that panics is logged and restarted from the stored status.

mod admission;
mod agent;
mod allocation;
mod attempt;
mod checks;
mod config_objects;
mod containers;
mod desired;
mod env;
mod events;
mod eviction;
mod exec;
mod free_memory;
mod handle;
mod hosts;
mod housekeeping;
mod lease;
mod limits;
mod logs;
mod pod_directories;
mod ports;
mod registration;
mod running_pods;
mod sandbox;
mod service_account;
mod services;
mod sessions;
mod termination_message;
mod worker;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use tokio_util::task::TaskTracker;

use self::pod_directories::PodDirectories;
use crate::budget::{Account, RetainedMemory};
use crate::clock::Clock;
use crate::control::ControlPlane;
use crate::events::Recorder;
use crate::images::Images;
use crate::logs::Spool;
use crate::model::pods;
use crate::network::{AddressPool, ServiceTable};
use crate::runtime::{InstanceSet, Runtime};
use crate::volumes::HostPaths;

pub use admission::ResourceAmounts;
pub use agent::Agent;
pub use desired::NodeShutdown;
pub use eviction::{EvictionThresholds, Threshold, ThresholdError};
pub use handle::Handle;
pub use logs::Logs;
pub use ports::{OpenedListener, PortConfig, PublishError, PublishedPort, PublishedPorts};
pub use sessions::{AttachSession, ExecProgram, ExecSession, PortForwardSession, SessionError};

/// The annotation with the path of a pod's manifest; local images are relative to its directory.
pub const SOURCE_ANNOTATION: &str = "wasmpod.dev/source";

/// The directory of the pods' directories, below the node's own.
const PODS_DIR: &str = "pods";

/// The settings of a node.
pub struct NodeConfig {
    /// The node's name; it runs the pods whose `spec.nodeName` is the same.
    pub name: String,
    /// The node's address as pods see it (`status.hostIP`).
    pub host_ip: String,
    /// The directory that holds the pods' directories.
    pub directory: PathBuf,
    /// Whether that directory is removed with the node.
    pub is_temporary: bool,
    /// The host directories that pods may mount.
    pub host_paths: HostPaths,
    /// The resources that pods may request together; a pod that exceeds them is rejected (`OutOfmemory`).
    pub capacity: ResourceAmounts,
    /// Whether a pod's volumes are kept for the next pod of the same name.
    pub keep_volumes: bool,
    /// The maximum restart back-off; defaults to kubelet's five minutes.
    pub max_restart_backoff: Option<Duration>,
    /// Writes the containers' logs to files; without it, logs are kept in memory only.
    pub spool: Option<Arc<Spool>>,
    /// When pods are evicted.
    pub eviction: EvictionThresholds,
    /// The account of what the node keeps for its clients.
    pub retained: Arc<RetainedMemory>,
    /// The ports of the host that lead to pods.
    pub ports: PortConfig,
}

/// Everything that the workers of a node share. One struct, because its parts live exactly as long as the node: none
/// is replaced, and what changes inside them is synchronized there.
struct NodeContext {
    config: NodeConfig,
    control: Arc<dyn ControlPlane>,
    runtime: Arc<Runtime>,
    images: Arc<Images>,
    addresses: Arc<AddressPool>,
    /// The Services of the cluster, which all pods resolve.
    services: Arc<ServiceTable>,
    clock: Clock,
    logs: Arc<Logs>,
    all_instances: Arc<InstanceSet>,
    recorder: Recorder,
    probe_stagger: checks::ProbeStagger,
    /// The resources that all pods use together.
    account: Arc<Account>,
    /// The resources that each pod uses.
    pod_usages: eviction::PodUsages,
    /// The pods that clients may connect to.
    running_pods: running_pods::RunningPods,
    /// Holds a token for each pod that may still run or report.
    unfinished_pods: TaskTracker,
}

impl NodeContext {
    /// Returns where a pod stores files.
    fn pod_directories(&self, pod: &Pod) -> PodDirectories {
        let of_logs =
            |spool: &Arc<Spool>| spool.pod_directory(pods::namespace(pod), pods::name(pod), pods::node_uid(pod));
        PodDirectories { pod: sandbox::pod_dir(self, pod), logs: self.config.spool.as_ref().map(of_logs) }
    }
}
