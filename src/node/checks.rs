//! Performs a container's probes and hooks: over the pod's network, or as programs in its context.
//!
//! When to probe, and what follows from a result, is `lifecycle`'s to decide.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Lifecycle, LifecycleHandler, Pod, Probe};
use parking_lot::Mutex;

use super::NodeContext;
use super::attempt::RunningAttempt;
use super::containers::container_at;
use super::exec::{ExecError, ExecOutput};
use crate::events::EventType;
use crate::lifecycle::{ContainerRef, MonoTime, ProbeKind, ProbeResult};
use crate::model::pods;
use crate::network::PodNetwork;
use crate::prober::{self, Check, CheckError, CheckResult};

/// Bytes of a probe's output that are kept.
const MAX_PROBE_OUTPUT: usize = 10 * 1024;
/// Bytes of a hook's output that are kept.
const MAX_HOOK_OUTPUT: usize = 10 * 1024;
/// Attempts of a probe that ends in an error (K59; kubelet's `maxProbeRetries`).
const MAX_PROBE_ATTEMPTS: u32 = 3;
/// The time after which an HTTP hook without an answer fails.
const HTTP_HOOK_TIMEOUT: Duration = Duration::from_secs(60);

/// A hook that failed, in kubelet's words (K47).
#[derive(Debug, thiserror::Error)]
pub(super) enum HookError {
    #[error(
        "Exec lifecycle hook ([{command}]) for Container {container:?} in Pod {pod:?} failed - error: {error}, \
         message: {output:?}"
    )]
    Exec { command: String, container: String, pod: String, error: String, output: String },
    #[error("HTTP lifecycle hook ({path}) for Container {container:?} in Pod {pod:?} failed - error: {error}")]
    Http { path: String, container: String, pod: String, error: String },
    #[error("Cannot run handler: {0}")]
    Handler(CheckError),
}

/// A running attempt as its probes and hooks see it.
pub(super) struct ProbeTarget {
    pub(super) node: Arc<NodeContext>,
    pub(super) network: Arc<PodNetwork>,
    pub(super) running: Arc<RunningAttempt>,
    pub(super) pod: Arc<Pod>,
    pub(super) container: ContainerRef,
}

impl ProbeTarget {
    /// Runs a probe; one that ends in an error is repeated at once, a few times.
    pub(super) async fn probe(&self, kind: ProbeKind) -> ProbeResult {
        let Some((container, probe)) = self.container().and_then(|c| Some((c, kind.probe_of(c)?))) else {
            return ProbeResult::Error("its container has no such probe".into());
        };
        let timeout =
            Duration::from_secs(probe.timeout_seconds.and_then(|s| u64::try_from(s).ok()).unwrap_or(1).max(1));
        with_retries(|| self.probe_once(container, probe, timeout)).await
    }

    /// Returns the container's spec; ephemeral containers have neither probes nor hooks.
    fn container(&self) -> Option<&Container> {
        container_at(&self.pod, self.container)
    }

    fn pod_ip(&self) -> String {
        self.network.ip().to_string()
    }

    async fn probe_once(&self, container: &Container, probe: &Probe, timeout: Duration) -> ProbeResult {
        match Check::from_probe(probe, container, &self.pod_ip()) {
            Some(Ok(check)) => prober::run_check(&self.network, &check, timeout, self.node.clock).await.into(),
            Some(Err(error)) => ProbeResult::Error(error.to_string()),
            None => {
                let command = probe.exec.as_ref().and_then(|exec| exec.command.as_deref()).unwrap_or_default();
                match Box::pin(self.running.exec(&self.node, command, MAX_PROBE_OUTPUT, Some(timeout))).await {
                    Ok(output) if output.code == 0 => ProbeResult::Success,
                    Ok(output) => ProbeResult::Failure(output.text),
                    Err(error @ ExecError::TimedOut { .. }) => ProbeResult::Failure(error.message()),
                    Err(error) => ProbeResult::Error(error.message()),
                }
            }
        }
    }

    /// Runs the hook that `select` selects, if the container has it.
    pub(super) async fn run_hook(
        &self,
        select: impl Fn(&Lifecycle) -> Option<&LifecycleHandler>,
    ) -> Result<(), HookError> {
        let hook = self.container().and_then(|c| Some((c, select(c.lifecycle.as_ref()?)?)));
        let Some((container, handler)) = hook else { return Ok(()) };
        if let Some(sleep) = &handler.sleep {
            self.node.clock.sleep(Duration::from_secs(u64::try_from(sleep.seconds).unwrap_or(0))).await;
            return Ok(());
        }
        match &handler.exec {
            Some(exec) => self.run_exec_hook(container, exec.command.as_deref().unwrap_or_default()).await,
            None => self.run_http_hook(container, handler).await,
        }
    }

    async fn run_exec_hook(&self, container: &Container, command: &[String]) -> Result<(), HookError> {
        let (error, output) = match self.running.exec(&self.node, command, MAX_HOOK_OUTPUT, None).await {
            Ok(ExecOutput { code: 0, .. }) => return Ok(()),
            Ok(ExecOutput { code, text }) => (format!("command '{}' exited with {code}: ", command.join(" ")), text),
            Err(error) => (error.message(), String::new()),
        };
        let (container, pod) = (container.name.clone(), pods::display_name(&self.pod));
        Err(HookError::Exec { command: command.join(" "), container, pod, error, output })
    }

    async fn run_http_hook(&self, container: &Container, handler: &LifecycleHandler) -> Result<(), HookError> {
        let failed = |error: String| {
            let path = handler.http_get.as_ref().and_then(|get| get.path.clone()).unwrap_or_default();
            let (container, pod) = (container.name.clone(), pods::display_name(&self.pod));
            Err(HookError::Http { path, container, pod, error })
        };
        match Check::from_hook(handler, container, &self.pod_ip()) {
            Some(Ok(check)) => match prober::run_check(&self.network, &check, HTTP_HOOK_TIMEOUT, self.node.clock).await
            {
                CheckResult::Success(_) => Ok(()),
                CheckResult::Warning(message) => {
                    let recorder = &self.node.recorder;
                    recorder.record(&self.pod, None, EventType::Warning, "LifecycleHTTPFallback", message);
                    Ok(())
                }
                CheckResult::Failure(error) | CheckResult::Error(error) => failed(error),
            },
            Some(Err(error)) if handler.http_get.is_some() => failed(error.to_string()),
            Some(Err(error)) => Err(HookError::Handler(error)),
            None => Ok(()),
        }
    }
}

/// Repeats a probe that ends in an error, up to three attempts (K59).
async fn with_retries<F: Future<Output = ProbeResult>>(probe: impl Fn() -> F) -> ProbeResult {
    let mut attempts = 1;
    loop {
        let result = probe().await;
        if attempts == MAX_PROBE_ATTEMPTS || !matches!(result, ProbeResult::Error(_)) {
            return result;
        }
        attempts += 1;
    }
}

/// Number of pods that may start within a second without being staggered.
const MAX_UNSTAGGERED_PODS: u32 = 32;

/// Keeps pods that start together from being probed together for ever.
///
/// The first pods of a second are probed as by a kubelet: a whole period after their start, and so on. The
/// probes of later ones come earlier, each at a different point of the period.
#[derive(Default)]
pub(super) struct ProbeStagger {
    /// Protects the current second and the number of pods that started in it.
    second: Mutex<(u64, u32)>,
}

impl ProbeStagger {
    /// Returns how much earlier the probes of a pod that starts at `now` come, in 1/256 of their periods.
    pub(super) fn offset_for_pod(&self, now: MonoTime) -> u8 {
        let mut second = self.second.lock();
        if second.0 != now.since_origin().as_secs() {
            *second = (now.since_origin().as_secs(), 0);
        }
        second.1 = second.1.saturating_add(1);
        let number = second.1.saturating_sub(MAX_UNSTAGGERED_PODS);
        // Steps of the golden ratio fill a circle evenly, however many there are.
        (number.wrapping_mul(158) & 0xff) as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn probe_errors_are_retried_up_to_three_attempts() {
        let error = || ProbeResult::Error("broken".into());
        for (errors, attempts, want) in [(0, 1, ProbeResult::Success), (2, 3, ProbeResult::Success), (9, 3, error())] {
            let count = std::cell::Cell::new(0);
            let result = with_retries(|| {
                count.set(count.get() + 1);
                std::future::ready(if count.get() > errors { ProbeResult::Success } else { error() })
            });
            assert_eq!((result.await, count.get()), (want, attempts), "{errors} errors");
        }
    }

    #[test]
    fn few_pods_probe_on_the_period_and_many_are_spread_over_it() {
        let stagger = ProbeStagger::default();
        let offsets: Vec<u8> =
            (0..1000).map(|_| stagger.offset_for_pod(MonoTime::from_origin(Duration::from_secs(7)))).collect();
        assert!(offsets[..MAX_UNSTAGGERED_PODS as usize].iter().all(|offset| *offset == 0));
        for quarter in 0..4u8 {
            let count = offsets.iter().filter(|offset| **offset / 64 == quarter).count();
            assert!((200..320).contains(&count), "{count} in quarter {quarter}");
        }
        assert_eq!(stagger.offset_for_pod(MonoTime::from_origin(Duration::from_secs(8))), 0, "a new second");
    }
}
