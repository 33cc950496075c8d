//! A whole node inside this process: control plane in memory, scheduler, node agent.
//!
//! Whoever needs a node builds it here and nowhere else: `run` and `serve`, the benches, and the
//! tests of other projects. A node takes its tasks from the tokio runtime that it is started on;
//! all nodes of a process share one engine ([`engine`]), so that each program is compiled once.

mod apply;
mod builder;
mod capacity;
mod engine;
mod log_directory;
mod wait;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, PodStatus};
use tokio::task::JoinSet;

pub use apply::{ApplyError, Desired};
pub use builder::{Builder, StartError};
pub use capacity::{Capacity, CapacityError};
pub use engine::{capacity, engine};
pub use wait::WaitError;

use crate::control::{ControlPlane, Key, Status};
use crate::images::Images;
use crate::logs::{Line, Spool};
use crate::model::{outcome, pods};
use crate::node::Handle;
use log_directory::LogDirectory;

/// What killed guests may take to let go of their files.
const LETTING_GO: Duration = Duration::from_millis(200);

/// A running node and its control plane. Dropped, it ends with all that runs on it, and leaves
/// nothing behind.
///
/// Pods are named as `name`, in namespace `default`, or as `namespace/name`.
pub struct Node {
    control: Arc<dyn ControlPlane>,
    handle: Handle,
    images: Arc<Images>,
    patience: Duration,
    tasks: JoinSet<()>,
    folder: LogDirectory,
    spool: Option<Arc<Spool>>,
}

impl Node {
    /// A node of which nothing stays, for tests: up in milliseconds, and as many of them in one
    /// process as there are tests. Its tasks are the caller's tokio runtime's.
    pub fn in_memory() -> Result<Node, StartError> {
        Node::builder().start()
    }

    /// A node to be described and started.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The node's control plane, which lives in memory and ends with it.
    pub fn control(&self) -> &Arc<dyn ControlPlane> {
        &self.control
    }

    /// For asking the node what its pods' status does not say: logs.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Where its pods have their folders.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The pod as it stands, or why there is none.
    pub async fn pod(&self, pod: &str) -> Result<Arc<Pod>, Status> {
        let object = self.control.get(&key(pod)).await?;
        object.decode().map_err(Status::internal)
    }

    /// The pod's status, or why there is none.
    pub async fn status(&self, pod: &str) -> Result<PodStatus, Status> {
        Ok(self.pod(pod).await?.status.clone().unwrap_or_default())
    }

    /// What the container's current attempt has written so far, both streams in the order of their
    /// lines; empty while it has not begun. The newest megabyte of it, if there is more.
    pub async fn logs(&self, pod: &str, container: &str) -> Result<String, Status> {
        let pod = self.pod(pod).await?;
        if !pods::container_names(&pod).any(|name| name == container) {
            let message = format!("container {container} is not valid for pod {}", pods::name(&pod));
            return Err(Status::new(crate::control::Reason::BadRequest, message));
        }
        Ok(text(&self.lines(&pod, container, usize::MAX)))
    }

    /// The last lines of a container's current attempt.
    fn lines(&self, pod: &Pod, container: &str, count: usize) -> Vec<Line> {
        let ephemeral = pod.status.iter().flat_map(|s| s.ephemeral_container_statuses.iter().flatten());
        let status = outcome::statuses(pod).chain(ephemeral).find(|status| status.name == container);
        let id = status.and_then(|status| status.container_id.as_deref()).unwrap_or_default();
        let log = self.handle.logs.of_attempt(pods::uid(pod), container, id);
        log.map(|log| log.tail(count)).unwrap_or_default()
    }

    /// Ends everything at once; what still runs is killed.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.tasks.abort_all();
        self.handle.end_guests(LETTING_GO);
        self.folder.remove();
        if let Some(spool) = &self.spool {
            spool.shut_down();
        }
    }
}

/// `name` or `namespace/name`.
fn key(pod: &str) -> Key {
    let (namespace, name) = pod.split_once('/').unwrap_or(("default", pod));
    Key::pod(namespace, name)
}

/// Lines as the guest wrote them.
fn text(lines: &[Line]) -> String {
    let all: Vec<String> = lines.iter().map(|line| format!("{}\n", String::from_utf8_lossy(&line.text))).collect();
    all.concat()
}
