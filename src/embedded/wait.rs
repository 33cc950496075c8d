//! Waits for pods, at most for the node's wait timeout.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::Pod;

use super::{Node, pod_key, to_text};
use crate::control::{ChangeKind, DeleteOptions, DeleteResult, Key, Reason, Resource, Scope, Status, WatchEvent};
use crate::model::{outcome, pods};

/// Log lines of each container in an error.
const ERROR_LOG_LINES: usize = 10;

/// The error of a wait for a pod.
#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    /// The pod has failed.
    #[error("{message}{logs}")]
    Failed {
        /// The failed pod.
        pod: Arc<Pod>,
        /// The reason, in one line.
        message: String,
        /// The last log lines of each container, below a line with its name.
        logs: String,
    },
    /// The pod has completed, so that it can no longer become ready.
    #[error("pod {0} has completed; it can no longer become ready")]
    Completed(String),
    /// The wait timeout of the node has expired ([`NodeBuilder::wait_timeout`](super::NodeBuilder::wait_timeout)).
    #[error("pod {pod} is not {condition} after {timeout:?}: {reason}{logs}")]
    TimedOut {
        /// The name of the pod.
        pod: String,
        /// `ready`, `complete` or `deleted`.
        condition: &'static str,
        /// The wait timeout.
        timeout: Duration,
        /// The reason for which the pod is waiting.
        reason: String,
        /// The last log lines of each container, below a line with its name.
        logs: String,
    },
    /// The pod does not exist, or was deleted.
    #[error("pod {0} does not exist or was deleted")]
    NotFound(String),
    /// The control plane rejected a request, with the API server's message.
    #[error(transparent)]
    Rejected(#[from] Status),
}

/// Whether a pod has reached the condition that is waited for.
enum Progress {
    Reached,
    Pending,
    /// The pod has terminated and can no longer reach it.
    Unreachable,
}

impl Node {
    /// Waits until the pod is ready, and returns it.
    ///
    /// # Errors
    ///
    /// Fails if the pod fails, completes, does not exist, is deleted, or is not ready within the wait timeout.
    pub async fn wait_ready(&self, pod: &str) -> Result<Arc<Pod>, WaitError> {
        self.wait(pod, "ready", |pod| match pods::has_condition(pod, "Ready") {
            true => Progress::Reached,
            false if pods::is_terminal(pod) => Progress::Unreachable,
            false => Progress::Pending,
        })
        .await
    }

    /// Waits until the pod has succeeded, and returns it.
    ///
    /// # Errors
    ///
    /// Fails if the pod fails, does not exist, is deleted, or does not finish within the wait timeout. The error
    /// contains the last log lines of the containers:
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use wasmpod::{Node, WaitError};
    ///
    /// let node = Node::in_memory()?;
    /// node.apply(
    ///     "
    ///     apiVersion: v1
    ///     kind: Pod
    ///     metadata: {name: p}
    ///     spec:
    ///       restartPolicy: Never
    ///       containers:
    ///       - {name: c, image: busybox, command: [sh, -c, 'echo no such table >&2; exit 3']}
    ///     ",
    /// )
    /// .await?;
    /// let Err(WaitError::Failed { message, logs, .. }) = node.wait_complete("p").await else { panic!("it fails") };
    /// assert!(message.contains("exit code 3"));
    /// assert!(logs.contains("no such table"));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn wait_complete(&self, pod: &str) -> Result<Arc<Pod>, WaitError> {
        self.wait(pod, "complete", |pod| match pods::phase(pod) {
            "Succeeded" => Progress::Reached,
            "Failed" => Progress::Unreachable,
            _ => Progress::Pending,
        })
        .await
    }

    /// Deletes the pod gracefully, and waits until it is removed. Succeeds if the pod does not exist.
    ///
    /// # Errors
    ///
    /// Fails if the pod is not removed within the wait timeout.
    pub async fn delete(&self, pod: &str) -> Result<(), WaitError> {
        match self.control.delete(&pod_key(pod), DeleteOptions::default()).await {
            Ok(DeleteResult::Removed(_)) => return Ok(()),
            Ok(DeleteResult::Marked(_)) => {}
            Err(status) if status.reason == Reason::NotFound => return Ok(()),
            Err(status) => return Err(status.into()),
        }
        match self.wait(pod, "deleted", |_| Progress::Pending).await {
            Ok(_) | Err(WaitError::NotFound(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn wait(
        &self,
        pod: &str,
        condition: &'static str,
        progress: impl Fn(&Pod) -> Progress,
    ) -> Result<Arc<Pod>, WaitError> {
        let key = pod_key(pod);
        if let Ok(result) = tokio::time::timeout(self.wait_timeout, self.watch_pod(&key, &progress)).await {
            return result;
        }
        let last = self.pod(pod).await.map_err(|_| WaitError::NotFound(pod.into()))?;
        Err(WaitError::TimedOut {
            pod: pod.into(),
            condition,
            timeout: self.wait_timeout,
            reason: outcome::not_ready_message(&last),
            logs: self.last_log_lines(&last),
        })
    }

    /// Follows the pod until its progress is no longer pending. Lists again when the watch falls behind.
    async fn watch_pod(&self, key: &Key, progress: &impl Fn(&Pod) -> Progress) -> Result<Arc<Pod>, WaitError> {
        let scope = Scope::all(Resource::PODS).in_namespace(&key.namespace);
        let not_found = || WaitError::NotFound(key.name.to_string());
        loop {
            let list = self.control.list(&scope).await?;
            let listed = list.items.iter().find(|object| object.key == *key).ok_or_else(not_found)?;
            if let Some(result) = self.wait_result(listed.decode().map_err(Status::internal)?, progress) {
                return result;
            }
            let mut changes = self.control.watch(&scope, list.revision).await?;
            while let Some(change) = changes.next().await {
                let (kind, object) = match change {
                    Ok(WatchEvent::Change(kind, object)) if object.key == *key => (kind, object),
                    Ok(_) => continue,
                    Err(status) if status.reason == Reason::Expired => break,
                    Err(status) => return Err(status.into()),
                };
                if kind == ChangeKind::Deleted {
                    return Err(not_found());
                }
                if let Some(result) = self.wait_result(object.decode().map_err(Status::internal)?, progress) {
                    return result;
                }
            }
        }
    }

    /// Returns the result of a wait, unless the pod's progress is pending.
    fn wait_result(&self, pod: Arc<Pod>, progress: &impl Fn(&Pod) -> Progress) -> Option<Result<Arc<Pod>, WaitError>> {
        match progress(&pod) {
            Progress::Reached => Some(Ok(pod)),
            Progress::Pending => None,
            Progress::Unreachable if pods::phase(&pod) == "Failed" => {
                let (message, logs) = (outcome::failure_message(&pod), self.last_log_lines(&pod));
                Some(Err(WaitError::Failed { pod, message, logs }))
            }
            Progress::Unreachable => Some(Err(WaitError::Completed(pods::name(&pod).into()))),
        }
    }

    /// Returns the last log lines of each container, for error messages.
    fn last_log_lines(&self, pod: &Pod) -> String {
        let spec = pod.spec.iter().flat_map(|spec| pods::init_containers(spec).iter().chain(&spec.containers));
        let logs = spec.filter_map(|container| {
            let lines = self.log_lines(pod, &container.name, ERROR_LOG_LINES);
            (!lines.is_empty()).then(|| format!("\nlast lines of {}:\n{}", container.name, to_text(&lines)))
        });
        logs.collect::<String>().trim_end().to_string()
    }
}
