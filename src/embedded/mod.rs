//! A whole node inside this process: control plane in memory, scheduler and node agent.
//!
//! All users of a node create it here: `run` and `serve`, the benchmarks, and the tests of other projects. A node
//! spawns its tasks on the Tokio runtime on which it is started. All nodes of a process share one engine ([`engine`]), so
//! that each program is compiled once.

mod apply;
mod capacity;
mod data_directory;
mod engine;
mod node_builder;
#[cfg(test)]
mod restart_tests;
mod wait;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, PodStatus};
use tokio::task::JoinSet;

pub use apply::{ApplyError, PodSource};
pub use capacity::{Capacity, CapacityError};
pub use engine::{engine, max_containers};
pub(crate) use node_builder::first_revision;
pub use node_builder::{NodeBuilder, NodeStartError};
pub use wait::WaitError;

use crate::control::{ControlPlane, Key, Reason, Status};
use crate::gateway::Gateway;
use crate::images::Images;
use crate::logs::{Line, Spool};
use crate::model::{outcome, pods};
use crate::node::Handle;
use data_directory::DataDirectory;

/// The maximum time that dropping a node waits for killed guests to release their files.
const DROP_TIMEOUT: Duration = Duration::from_millis(200);

/// A running node and its control plane.
///
/// Dropping the node kills all containers and removes their files. Pods are addressed by `name` in the namespace
/// `default`, or by `namespace/name`.
///
/// # Examples
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use wasmpod::Node;
///
/// let node = Node::in_memory()?;
/// node.apply(
///     "
///     apiVersion: v1
///     kind: Pod
///     metadata: {name: sleeper}
///     spec:
///       containers:
///       - {name: sleep, image: busybox, command: [sleep, '1000']}
///     ",
/// )
/// .await?;
/// node.wait_ready("sleeper").await?;
/// assert_eq!(node.status("sleeper").await?.phase.as_deref(), Some("Running"));
/// node.delete("sleeper").await?;
/// # Ok(())
/// # }
/// ```
pub struct Node {
    control: Arc<dyn ControlPlane>,
    handle: Handle,
    images: Arc<Images>,
    wait_timeout: Duration,
    tasks: JoinSet<()>,
    gateway: Arc<Gateway>,
    data_dir: DataDirectory,
    spool: Option<Arc<Spool>>,
}

impl Node {
    /// Starts a node with default settings, in a few milliseconds. Tests that run in parallel can each have one.
    ///
    /// # Errors
    ///
    /// Fails outside of a Tokio runtime, and if the engine or the node's data directory cannot be created.
    pub fn in_memory() -> Result<Node, NodeStartError> {
        Node::builder().start()
    }

    /// Returns a builder for a node with other settings.
    pub fn builder() -> NodeBuilder {
        NodeBuilder::default()
    }

    /// Returns the control plane, which is kept in memory and ends with the node.
    #[doc(hidden)]
    pub fn control(&self) -> &Arc<dyn ControlPlane> {
        &self.control
    }

    /// Returns the handle for requests to the node agent, such as logs and exec.
    #[doc(hidden)]
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Returns the directory that contains the files of the node's pods.
    pub fn data_dir(&self) -> &Path {
        self.data_dir.path()
    }

    /// Returns the current state of the pod.
    ///
    /// # Errors
    ///
    /// Fails if the pod does not exist.
    pub async fn pod(&self, pod: &str) -> Result<Arc<Pod>, Status> {
        let object = self.control.get(&pod_key(pod)).await?;
        object.decode().map_err(Status::internal)
    }

    /// Returns the status of the pod.
    ///
    /// # Errors
    ///
    /// Fails if the pod does not exist.
    pub async fn status(&self, pod: &str) -> Result<PodStatus, Status> {
        Ok(self.pod(pod).await?.status.clone().unwrap_or_default())
    }

    /// Returns the output of the container since its last start: the lines of standard output and standard error in
    /// the order in which they were written. Returns the newest megabyte of a longer log, and an empty text if the
    /// container has not started.
    ///
    /// # Errors
    ///
    /// Fails if the pod does not exist or has no such container.
    pub async fn logs(&self, pod: &str, container: &str) -> Result<String, Status> {
        let pod = self.pod(pod).await?;
        if !pods::container_names(&pod).any(|name| name == container) {
            let message = format!("container {container} is not valid for pod {}", pods::name(&pod));
            return Err(Status::new(Reason::BadRequest, message));
        }
        Ok(to_text(&self.log_lines(&pod, container, usize::MAX)))
    }

    /// Returns the last `count` log lines of the container's current attempt.
    fn log_lines(&self, pod: &Pod, container: &str, count: usize) -> Vec<Line> {
        let ephemeral = pod.status.iter().flat_map(|s| s.ephemeral_container_statuses.iter().flatten());
        let status = outcome::container_statuses(pod).chain(ephemeral).find(|status| status.name == container);
        let id = status.and_then(|status| status.container_id.as_deref()).unwrap_or_default();
        let log = self.handle.logs.find(pods::node_uid(pod), container, id);
        log.map(|log| log.tail(count)).unwrap_or_default()
    }

    /// Stops the node at once and waits for its tasks. Running containers are killed.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
        self.gateway.shut_down().await;
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.tasks.abort_all();
        self.handle.kill_guests(DROP_TIMEOUT);
        self.data_dir.remove();
        if let Some(spool) = &self.spool {
            spool.shut_down();
        }
    }
}

/// Parses `name` or `namespace/name`.
fn pod_key(pod: &str) -> Key {
    let (namespace, name) = pod.split_once('/').unwrap_or(("default", pod));
    Key::pod(namespace, name)
}

/// Joins log lines; bytes that are not valid UTF-8 are replaced.
fn to_text(lines: &[Line]) -> String {
    let all: Vec<String> = lines.iter().map(|line| format!("{}\n", String::from_utf8_lossy(&line.text))).collect();
    all.concat()
}
