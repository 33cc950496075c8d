//! A whole node inside this process: control plane in memory, scheduler, node agent.
//!
//! Whoever needs a node builds it here and nowhere else: `run` and `serve`, the benches, and the
//! tests of other projects. A node takes its tasks from the tokio runtime that it is started on;
//! all nodes of a process share one engine ([`engine`]), so that each program is compiled once.

mod builder;
mod engine;
mod folder;

use std::sync::Arc;

use tokio::task::JoinSet;

pub use builder::{Builder, StartError};
pub use engine::{capacity, engine};

use crate::control::ControlPlane;
use crate::node::Handle;
use folder::Folder;

/// A running node and its control plane. Dropped, it ends with all that runs on it.
pub struct Node {
    control: Arc<dyn ControlPlane>,
    handle: Handle,
    tasks: JoinSet<()>,
    /// Dropped last: what runs on the node has files in it.
    folder: Folder,
}

impl Node {
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

    /// Ends everything at once; what still runs is killed.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
        self.folder.remove();
    }
}
