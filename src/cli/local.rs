//! A throw-away node in this process: control plane in memory, scheduler, node agent.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::control::ControlPlane;
use crate::controllers::scheduler;
use crate::images::Images;
use crate::network::Addresses;
use crate::node::{Config, Handle, Node};
use crate::registry::Registry;
use crate::runtime::{CacheFolders, Runtime};
use crate::store::ObjectStore;
use crate::volumes::HostPaths;

/// Changes that a slow watcher may lie behind.
const HISTORY: usize = 4096;

const NODE_NAME: &str = "wasmpod";

/// A running node and its control plane.
pub struct Local {
    /// The node's control plane, which lives in memory and ends with it.
    pub control: Arc<dyn ControlPlane>,
    /// For asking the running node, after [`Node::run`] has taken it.
    pub handle: Handle,
    tasks: JoinSet<()>,
    folder: PathBuf,
}

impl Local {
    /// Starts everything; in milliseconds.
    pub fn start(runtime: Arc<Runtime>, images: Arc<Images>, max_containers: usize) -> anyhow::Result<Local> {
        let folder = folder()?;
        let clock = Clock::system();
        let control: Arc<dyn ControlPlane> = Arc::new(Registry::new(ObjectStore::new(HISTORY), clock));
        let config = Config {
            name: NODE_NAME.into(),
            host_ip: "127.0.0.1".into(),
            folder: folder.clone(),
            host_paths: HostPaths::All,
            max_containers,
        };
        let addresses = Addresses::new([10, 88, 0, 0].into(), 16);
        let node = Node::new(config, control.clone(), runtime, images, addresses, clock);
        let handle = node.handle();
        let mut tasks = JoinSet::new();
        tasks.spawn(node.run());
        tasks.spawn(scheduler::run(control.clone(), NODE_NAME.into()));
        Ok(Local { control, handle, tasks, folder })
    }

    /// Ends everything at once; what still runs is killed.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
        remove(&self.folder);
    }
}

/// Where this process's pods have their folders. Made when the first file is written.
fn folder() -> anyhow::Result<PathBuf> {
    let base = std::env::temp_dir();
    remove_abandoned(&base);
    let id = uuid::Uuid::new_v4().simple().to_string();
    let name = format!("{FOLDER_PREFIX}{}-{}", std::process::id(), id.get(..8).unwrap_or_default());
    let folder = base.join(name);
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new().mode(0o700).create(&folder);
    made.with_context(|| format!("cannot make a folder in {} (set TMPDIR to another place)", base.display()))?;
    Ok(folder)
}

const FOLDER_PREFIX: &str = "wasmpod-run-";

/// Removes what runs that were killed have left: folders whose process is no more.
fn remove_abandoned(base: &Path) {
    for entry in std::fs::read_dir(base).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|n| n.strip_prefix(FOLDER_PREFIX)).and_then(|n| n.split('-').next());
        if owner.is_some_and(|pid| !pid.is_empty() && !Path::new("/proc").join(pid).exists()) {
            remove(&entry.path());
        }
    }
}

fn remove(folder: &Path) {
    if let Err(error) = std::fs::remove_dir_all(folder)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::debug!(?folder, %error, "cannot remove a folder");
    }
}

/// The guests' runtime with the user's own cache.
pub fn runtime() -> anyhow::Result<Arc<Runtime>> {
    raise_file_limit();
    Ok(Runtime::new(cache_folders())?)
}

/// XDG's places for caches and state.
fn cache_folders() -> Option<CacheFolders> {
    let place = |variable: &str, default: &str| {
        let set = std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
        set.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(default))).map(|path| path.join("wasmpod"))
    };
    Some(CacheFolders { cache: place("XDG_CACHE_HOME", ".cache")?, state: place("XDG_STATE_HOME", ".local/state")? })
}

/// Guests' files and connections are this process's: as many as the system lets us.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!(%error, "cannot raise the limit of open files");
    }
}

/// Memory maps that a running container takes.
const MAPS_PER_CONTAINER: usize = 6;
/// Maps for everything else: this program, its threads, compiled code.
const MAPS_RESERVED: usize = 4096;
/// The kernel's own default.
const DEFAULT_MAX_MAPS: usize = 65530;

/// Containers that this process can map; one more would end it, so they are refused before.
pub fn capacity() -> usize {
    let limit = std::fs::read_to_string("/proc/sys/vm/max_map_count").ok().and_then(|text| text.trim().parse().ok());
    limit.unwrap_or(DEFAULT_MAX_MAPS).saturating_sub(MAPS_RESERVED) / MAPS_PER_CONTAINER
}
