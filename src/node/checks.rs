//! A container's probes and hooks, performed: over the pod's network, or as programs in its World.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Lifecycle, LifecycleHandler, Pod, Probe};
use parking_lot::Mutex;

use super::Shared;
use super::attempt::Running;
use super::exec::ExecError;
use super::perform::container_of;
use crate::events::EventType;
use crate::lifecycle::{ContainerRef, ProbeKind, ProbeResult};
use crate::model::pods;
use crate::network::PodNetwork;
use crate::prober::{self, Check, ProbeVerdict};

/// Of what a probe's program writes, so much is told.
const PROBE_OUTPUT: usize = 10 * 1024;
/// Of what a hook's program writes, so much is told.
const HOOK_OUTPUT: usize = 10 * 1024;
/// Attempts of a probe that can't be made (K59).
const TRIES: u32 = 3;
/// An HTTP hook that has not answered after so long counts as failed.
const HOOK_ANSWER: Duration = Duration::from_secs(60);

/// Where checks of a container are made.
pub(super) struct ProbeTarget {
    pub(super) shared: Arc<Shared>,
    pub(super) network: Arc<PodNetwork>,
    pub(super) running: Arc<Running>,
    pub(super) pod: Arc<Pod>,
    pub(super) container: ContainerRef,
}

impl ProbeTarget {
    /// One attempt of a probe; what can't be made is tried again at once, a few times.
    pub(super) async fn probe(&self, kind: ProbeKind) -> ProbeResult {
        let Some((container, probe)) = self.container().and_then(|c| Some((c, kind.of(c)?))) else {
            return ProbeResult::Error("its container has no such probe".into());
        };
        let timeout =
            Duration::from_secs(probe.timeout_seconds.and_then(|s| u64::try_from(s).ok()).unwrap_or(1).max(1));
        insist(|| self.probe_once(container, probe, timeout)).await
    }

    /// Ephemeral containers have neither probes nor hooks.
    fn container(&self) -> Option<&Container> {
        container_of(&self.pod, self.container)
    }

    /// The pod's address.
    fn ip(&self) -> String {
        self.network.ip().to_string()
    }

    async fn probe_once(&self, container: &Container, probe: &Probe, timeout: Duration) -> ProbeResult {
        match Check::of_probe(probe, container, &self.ip()) {
            Some(Ok(check)) => match prober::attempt(&self.network, &check, timeout, self.shared.clock).await {
                ProbeVerdict::Success(_) => ProbeResult::Success,
                ProbeVerdict::Warning(text) => ProbeResult::Warning(text),
                ProbeVerdict::Failure(text) => ProbeResult::Failure(text),
                ProbeVerdict::Error(text) => ProbeResult::Error(text),
            },
            Some(Err(text)) => ProbeResult::Error(text),
            None => {
                let command = probe.exec.as_ref().and_then(|exec| exec.command.as_deref()).unwrap_or_default();
                match Box::pin(self.running.exec(&self.shared, command, PROBE_OUTPUT, Some(timeout))).await {
                    Ok(output) if output.code == 0 => ProbeResult::Success,
                    Ok(output) => ProbeResult::Failure(output.text),
                    Err(error @ ExecError::TimedOut { .. }) => ProbeResult::Failure(error.words()),
                    Err(error) => ProbeResult::Error(error.words()),
                }
            }
        }
    }

    /// Runs a hook, if there is such a one; why it failed, in a kubelet's words (K47).
    pub(super) async fn hook(&self, which: impl Fn(&Lifecycle) -> Option<&LifecycleHandler>) -> Result<(), String> {
        let hook = self.container().and_then(|c| Some((c, which(c.lifecycle.as_ref()?)?)));
        let Some((container, handler)) = hook else { return Ok(()) };
        let (name, pod) = (&container.name, pods::place(&self.pod));
        if let Some(sleep) = &handler.sleep {
            self.shared.clock.sleep(Duration::from_secs(u64::try_from(sleep.seconds).unwrap_or(0))).await;
            return Ok(());
        }
        if let Some(exec) = &handler.exec {
            let command = exec.command.as_deref().unwrap_or_default();
            let words = command.join(" ");
            let failed = |error: String, output: &str| {
                let hook = format!("Exec lifecycle hook ([{words}])");
                Err(format!(
                    "{hook} for Container {name:?} in Pod {pod:?} failed - error: {error}, message: {output:?}"
                ))
            };
            return match self.running.exec(&self.shared, command, HOOK_OUTPUT, None).await {
                Ok(output) if output.code == 0 => Ok(()),
                Ok(output) => failed(format!("command '{words}' exited with {}: ", output.code), &output.text),
                Err(error) => failed(error.words(), ""),
            };
        }
        let http_failed = |error: String| {
            let path = handler.http_get.as_ref().and_then(|get| get.path.as_deref()).unwrap_or_default();
            let hook = format!("HTTP lifecycle hook ({path})");
            Err(format!("{hook} for Container {name:?} in Pod {pod:?} failed - error: {error}"))
        };
        match Check::of_hook(handler, container, &self.ip()) {
            Some(Ok(check)) => match prober::attempt(&self.network, &check, HOOK_ANSWER, self.shared.clock).await {
                ProbeVerdict::Success(_) => Ok(()),
                ProbeVerdict::Warning(text) => {
                    let recorder = &self.shared.recorder;
                    recorder.record(&self.pod, None, EventType::Warning, "LifecycleHTTPFallback", text);
                    Ok(())
                }
                ProbeVerdict::Failure(error) | ProbeVerdict::Error(error) => http_failed(error),
            },
            Some(Err(error)) if handler.http_get.is_some() => http_failed(error),
            Some(Err(error)) => Err(format!("Cannot run handler: {error}")),
            None => Ok(()),
        }
    }
}

/// Asks up to three times for an answer that says something (K59).
async fn insist<F: Future<Output = ProbeResult>>(ask: impl Fn() -> F) -> ProbeResult {
    let mut tries = 1;
    loop {
        let probed = ask().await;
        if tries == TRIES || !matches!(probed, ProbeResult::Error(_)) {
            return probed;
        }
        tries += 1;
    }
}

/// Keeps pods that begin together from being probed together for ever.
///
/// A few pods are probed as by a kubelet, a whole period after their begin. Of many that begin within
/// a second the later ones begin their rhythm earlier, each at another point of the period.
#[derive(Default)]
pub(super) struct ProbeStagger {
    /// Protects the current second and how many pods began in it.
    second: Mutex<(u64, u32)>,
}

/// Pods that may begin within a second before others are spread.
const TOGETHER: u32 = 32;

impl ProbeStagger {
    /// How much of a period (in 1/256) the probes of a pod that begins at `now` come earlier.
    pub(super) fn part(&self, now: Duration) -> u8 {
        let mut second = self.second.lock();
        if second.0 != now.as_secs() {
            *second = (now.as_secs(), 0);
        }
        second.1 = second.1.saturating_add(1);
        let number = second.1.saturating_sub(TOGETHER);
        // Steps of the golden ratio fill a circle evenly, however many there are.
        (number.wrapping_mul(158) & 0xff) as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn k59_an_attempt_that_cannot_be_made_is_made_again_up_to_three_times() {
        let error = || ProbeResult::Error("broken".into());
        for (errors, asked, want) in [(0, 1, ProbeResult::Success), (2, 3, ProbeResult::Success), (9, 3, error())] {
            let count = std::cell::Cell::new(0);
            let probed = insist(|| {
                count.set(count.get() + 1);
                std::future::ready(if count.get() > errors { ProbeResult::Success } else { error() })
            });
            assert_eq!((probed.await, count.get()), (want, asked), "{errors} errors");
        }
    }

    #[test]
    fn a_few_pods_keep_kubernetes_rhythm_and_many_are_spread_over_it() {
        let spread = ProbeStagger::default();
        let parts: Vec<u8> = (0..1000).map(|_| spread.part(Duration::from_secs(7))).collect();
        assert!(parts[..TOGETHER as usize].iter().all(|part| *part == 0));
        for quarter in 0..4u8 {
            let there = parts.iter().filter(|part| **part / 64 == quarter).count();
            assert!((200..320).contains(&there), "{there} in quarter {quarter}");
        }
        assert_eq!(spread.part(Duration::from_secs(8)), 0, "a new second");
    }
}
