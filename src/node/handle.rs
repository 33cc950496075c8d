//! The handle through which other components read a running node's logs and send it requests.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::desired::NodeShutdown;
use super::{Logs, NodeContext};
use crate::runtime::{InstanceSet, Runtime};

/// A request to the agent.
pub(super) enum HandleRequest {
    /// Restart a container.
    Restart { uid: String, container: String, grace: Duration },
    /// Stop all pods and start no others. The answer says that it has begun.
    ShutDown { shutdown: NodeShutdown, answer: oneshot::Sender<()> },
    /// Answer, to show that the agent works.
    Ping { answer: oneshot::Sender<()> },
}

/// Requests that may wait for the agent; when the channel is full, senders wait.
pub(super) const MAX_QUEUED_REQUESTS: usize = 64;

/// A handle to a running node.
#[derive(Clone)]
pub struct Handle {
    /// The logs of the node's containers, as long as they are kept.
    pub logs: Arc<Logs>,
    pub(super) node: Arc<NodeContext>,
    pub(super) all_instances: Arc<InstanceSet>,
    pub(super) runtime: Arc<Runtime>,
    pub(super) requests: mpsc::Sender<HandleRequest>,
}

impl Handle {
    /// Restarts a container of pod `uid` at once, whatever its restart policy and back-off say.
    ///
    /// The running program is asked to exit and killed after `grace`. Restarting an init container
    /// restarts the containers after it as well. Unknown and finished pods are left alone.
    pub async fn restart(&self, uid: &str, container: &str, grace: Duration) {
        let request = HandleRequest::Restart { uid: uid.into(), container: container.into(), grace };
        // An agent that has ended restarts nothing.
        let _ = self.requests.send(request).await;
    }

    /// Stops all pods, and starts no others. Returns once they have stopped and their last status is written.
    pub async fn shut_down(&self, shutdown: NodeShutdown) {
        // An agent that has ended runs nothing.
        if self.ask(|answer| HandleRequest::ShutDown { shutdown, answer }).await {
            self.node.unfinished_pods.close();
            self.node.unfinished_pods.wait().await;
        }
    }

    /// Waits until the agent answers. Returns false if it has ended.
    pub async fn ping(&self) -> bool {
        self.ask(|answer| HandleRequest::Ping { answer }).await
    }

    /// Sends a request and waits for the agent's answer. Returns whether there was one.
    async fn ask(&self, request: impl FnOnce(oneshot::Sender<()>) -> HandleRequest) -> bool {
        let (answer, answered) = oneshot::channel();
        self.requests.send(request(answer)).await.is_ok() && answered.await.is_ok()
    }

    /// Kills all guests of the node and lets none start again.
    ///
    /// Blocks the thread until they are gone, usually for a few milliseconds, and for `timeout` at most.
    pub fn kill_guests(&self, timeout: Duration) {
        self.all_instances.kill_and_wait(&self.runtime, timeout);
    }
}
