//! Waiting for pods. Nobody waits for ever: when patience is over, the error says what is missing.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::Pod;

use super::{Node, key, text};
use crate::control::{ChangeKind, DeleteOptions, DeleteResult, Key, Reason, Resource, Scope, Status, WatchEvent};
use crate::model::{outcome, pods};

/// Log lines that an error brings along, for each container.
const TAIL: usize = 10;

/// Why the wait is over and the pod is not what was waited for.
#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    /// The pod has failed, for good.
    #[error("{message}{logs}")]
    Failed {
        /// The pod as it ended.
        pod: Arc<Pod>,
        /// Why, in a line.
        message: String,
        /// The containers' last lines, each behind a line that names its container.
        logs: String,
    },
    /// The pod has run to its end and is never going to be ready.
    #[error("pod {0} has completed: it will not be ready any more")]
    Completed(String),
    /// Patience is over.
    #[error("pod {pod} is not {wanted} after {waited:?}: {missing}{logs}")]
    TimedOut {
        /// The pod's name.
        pod: String,
        /// `ready`, `complete` or `gone`.
        wanted: &'static str,
        /// How long that was.
        waited: Duration,
        /// What it lacks.
        missing: String,
        /// The containers' last lines, each behind a line that names its container.
        logs: String,
    },
    /// There is no such pod, or no longer.
    #[error("pod {0} is gone")]
    Gone(String),
    /// The control plane does not answer.
    #[error(transparent)]
    Refused(#[from] Status),
}

/// How far a pod is.
enum Progress {
    Far,
    NotYet,
    /// It is never going to be.
    Never,
}

impl Node {
    /// Waits until the pod is ready; it may complete before and count as ready if it has been.
    pub async fn wait_ready(&self, pod: &str) -> Result<Arc<Pod>, WaitError> {
        self.wait(pod, "ready", |pod| match pods::has_condition(pod, "Ready") {
            true => Progress::Far,
            false if pods::is_terminal(pod) => Progress::Never,
            false => Progress::NotYet,
        })
        .await
    }

    /// Waits until the pod has succeeded; one that fails is an error.
    pub async fn wait_complete(&self, pod: &str) -> Result<Arc<Pod>, WaitError> {
        self.wait(pod, "complete", |pod| match pods::phase(pod) {
            "Succeeded" => Progress::Far,
            "Failed" => Progress::Never,
            _ => Progress::NotYet,
        })
        .await
    }

    /// Deletes the pod gracefully and waits until it is gone. One that is not there is gone already.
    pub async fn delete(&self, pod: &str) -> Result<(), WaitError> {
        match self.control.delete(&key(pod), DeleteOptions::default()).await {
            Ok(DeleteResult::Removed(_)) => return Ok(()),
            Ok(DeleteResult::Marked(_)) => {}
            Err(status) if status.reason == Reason::NotFound => return Ok(()),
            Err(status) => return Err(status.into()),
        }
        match self.wait(pod, "gone", |_| Progress::NotYet).await {
            Ok(_) | Err(WaitError::Gone(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn wait(
        &self,
        pod: &str,
        wanted: &'static str,
        judge: impl Fn(&Pod) -> Progress,
    ) -> Result<Arc<Pod>, WaitError> {
        let key = key(pod);
        if let Ok(done) = tokio::time::timeout(self.patience, self.watch(&key, &judge)).await {
            return done;
        }
        let last = self.pod(pod).await.map_err(|_| WaitError::Gone(pod.into()))?;
        Err(WaitError::TimedOut {
            pod: pod.into(),
            wanted,
            waited: self.patience,
            missing: outcome::unreadiness(&last),
            logs: self.last_lines(&last),
        })
    }

    /// Lists and watches until `judge` has an answer; again where the watch fell behind.
    async fn watch(&self, key: &Key, judge: &impl Fn(&Pod) -> Progress) -> Result<Arc<Pod>, WaitError> {
        let scope = Scope::all(Resource::PODS).in_namespace(&key.namespace);
        let gone = || WaitError::Gone(key.name.to_string());
        loop {
            let list = self.control.list(&scope).await?;
            let there = list.items.iter().find(|object| object.key == *key).ok_or_else(gone)?;
            if let Some(answer) = self.answer(there.decode().map_err(Status::internal)?, judge) {
                return answer;
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
                    return Err(gone());
                }
                if let Some(answer) = self.answer(object.decode().map_err(Status::internal)?, judge) {
                    return answer;
                }
            }
        }
    }

    fn answer(&self, pod: Arc<Pod>, judge: &impl Fn(&Pod) -> Progress) -> Option<Result<Arc<Pod>, WaitError>> {
        match judge(&pod) {
            Progress::Far => Some(Ok(pod)),
            Progress::NotYet => None,
            Progress::Never if pods::phase(&pod) == "Failed" => {
                let (message, logs) = (outcome::failure(&pod), self.last_lines(&pod));
                Some(Err(WaitError::Failed { pod, message, logs }))
            }
            Progress::Never => Some(Err(WaitError::Completed(pods::name(&pod).into()))),
        }
    }

    /// What the containers wrote last, for people who look for the reason.
    fn last_lines(&self, pod: &Pod) -> String {
        let spec = pod.spec.iter().flat_map(|spec| pods::init_containers(spec).iter().chain(&spec.containers));
        let told = spec.filter_map(|container| {
            let lines = self.lines(pod, &container.name, TAIL);
            (!lines.is_empty()).then(|| format!("\nlast lines of {}:\n{}", container.name, text(&lines)))
        });
        told.collect::<String>().trim_end().to_string()
    }
}
