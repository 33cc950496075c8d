//! Applies a resize to a running pod (K26): new limits, and restarts of the containers that ask for them.

use std::time::Duration;

use super::super::allocation::{ResizeFit, container_resources, restarts};
use super::super::containers::container_ref;
use super::super::limits;
use super::{PodResize, Worker, WorkerMessage};
use crate::lifecycle::{Input, ResizeResult};

/// The delay before a memory limit below the current usage is tried again.
const RETRY_DELAY: Duration = Duration::from_secs(10);

/// A resize that cannot be applied, in kubelet's words.
#[derive(Debug, thiserror::Error)]
#[error("cannot decrease memory limits: attempting to set pod memory limit ({limit}) below current usage ({used})")]
struct MemoryInUse {
    limit: u64,
    used: u64,
}

impl Worker {
    /// Acts on the agent's answer to a resize.
    pub(super) async fn resize(&mut self, fit: ResizeFit) {
        let result = match fit {
            ResizeFit::Deferred(message) => ResizeResult::Pending { reason: "Deferred", message },
            ResizeFit::Infeasible(message) => ResizeResult::Pending { reason: "Infeasible", message },
            ResizeFit::Fits => match self.apply_limits() {
                Ok(()) => ResizeResult::Done(Box::new(self.stored.pod.as_ref().clone())),
                Err(error) => {
                    self.schedule_retry();
                    ResizeResult::Failed { message: error.to_string() }
                }
            },
        };
        if let ResizeResult::Done(pod) = &result {
            let old = std::mem::replace(&mut self.resources, container_resources(pod));
            for (grace, name) in restarts(pod, &old) {
                if let Some(container) = container_ref(&self.stored.pod, &name) {
                    self.step(Input::Restart { container, grace: Duration::from_secs(grace) }).await;
                }
            }
        }
        self.step(Input::Resized(result)).await;
    }

    /// Tries a resize again that failed, unless another answer has replaced it.
    pub(super) async fn retry_resize(&mut self) {
        if matches!(self.seen.resize, Some(PodResize { fit: ResizeFit::Fits, .. })) {
            self.resize(ResizeFit::Fits).await;
        }
    }

    fn schedule_retry(&mut self) {
        let clock = self.node.clock;
        self.live.pending.push(Box::pin(async move {
            clock.sleep(RETRY_DELAY).await;
            WorkerMessage::RetryResize
        }));
    }

    /// Sets the limits of the running attempts and of the pod. Sets none if one is below the current usage.
    fn apply_limits(&self) -> Result<(), MemoryInUse> {
        let attempts = self.live.attempts.iter();
        let limits = attempts.filter_map(|(attempt, running)| {
            let container = self.container(attempt.container)?;
            Some((running, limits::container_limits(container.resources.as_ref())))
        });
        let limits: Vec<_> = limits.collect();
        for (running, limits) in &limits {
            let used = running.context.account.usage().memory;
            if let Some(limit) = limits.memory.filter(|limit| *limit < used) {
                return Err(MemoryInUse { limit, used });
            }
        }
        limits.iter().for_each(|(running, limits)| running.context.account.set_limits(*limits));
        if let (Some(sandbox), Some(spec)) = (&self.live.sandbox, &self.stored.pod.spec) {
            sandbox.account.set_limits(limits::pod_limits(spec));
        }
        Ok(())
    }
}
