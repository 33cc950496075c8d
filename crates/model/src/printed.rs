//! What prints of a pod in a line: STATUS, READY, RESTARTS.
//!
//! The one place that finds the word for a pod's state. Tables of the API, the command line and
//! the dashboard print what it says, which is what `kubectl get pods` prints of any cluster.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerState, ContainerStateTerminated, ContainerStatus, Pod, PodStatus};

use super::{duration, pods};

/// A pod in a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Printed {
    /// `Running`, `Init:0/2`, `CrashLoopBackOff`, …
    pub status: String,
    /// Containers that are ready, sidecars among them.
    pub ready: usize,
    /// Containers that could be.
    pub containers: usize,
    /// How often its containers have been restarted: while it initializes its init containers,
    /// afterwards the others and the sidecars.
    pub restarts: i32,
    /// When a container last ended to be restarted.
    pub last_restart: Option<Timestamp>,
}

impl Printed {
    /// What prints of `pod`.
    pub fn of(pod: &Pod) -> Printed {
        let nothing = PodStatus::default();
        let status = pod.status.as_ref().unwrap_or(&nothing);
        let init = Init::of(pod, status);
        let containers = pod.spec.as_ref().map_or(0, |spec| spec.containers.len()) + sidecars(pod);
        let mut printed = Printed {
            status: pod_word(pod, status),
            ready: init.ready_sidecars,
            containers,
            restarts: init.restarts,
            last_restart: init.last_restart,
        };
        let initializing = init.word.is_some();
        if let Some(word) = init.word {
            printed.status = format!("Init:{word}");
        }
        if !initializing || pods::has_condition(pod, "Initialized") {
            printed.restarts = init.sidecar_restarts;
            printed.last_restart = init.last_sidecar_restart;
            printed.add_containers(pod, status);
        }
        if pod.metadata.deletion_timestamp.is_some() {
            if status.reason.as_deref() == Some("NodeLost") {
                printed.status = "Unknown".into();
            } else if !pods::is_terminal(pod) {
                printed.status = "Terminating".into();
            }
        }
        printed
    }

    /// `1/2`
    pub fn ready_of_all(&self) -> String {
        format!("{}/{}", self.ready, self.containers)
    }

    /// `0`, or `3 (5s ago)`.
    pub fn restarts_at(&self, now: Timestamp) -> String {
        match self.last_restart {
            Some(at) if self.restarts != 0 => {
                format!("{} ({} ago)", self.restarts, duration::human(now.duration_since(at).as_secs()))
            }
            _ => self.restarts.to_string(),
        }
    }

    /// The containers beside the init containers; the first that has a word gives it.
    fn add_containers(&mut self, pod: &Pod, status: &PodStatus) {
        let mut runs = false;
        for container in status.container_statuses.as_deref().unwrap_or_default().iter().rev() {
            self.restarts += container.restart_count;
            self.last_restart = self.last_restart.max(last_end(container));
            if let Some(word) = container_word(container.state.as_ref()) {
                self.status = word;
            } else if container.ready && container.state.as_ref().is_some_and(|state| state.running.is_some()) {
                runs = true;
                self.ready += 1;
            }
        }
        // A pod is not over while one of its containers still runs.
        if self.status == "Completed" && runs {
            self.status = if pods::has_condition(pod, "Ready") { "Running" } else { "NotReady" }.into();
        }
    }
}

/// How far a pod's init containers are.
#[derive(Default)]
struct Init {
    /// What follows `Init:`; none where they are all done, or as far as the others may start.
    word: Option<String>,
    ready_sidecars: usize,
    restarts: i32,
    last_restart: Option<Timestamp>,
    sidecar_restarts: i32,
    last_sidecar_restart: Option<Timestamp>,
}

impl Init {
    fn of(pod: &Pod, status: &PodStatus) -> Init {
        let mut init = Init::default();
        let all = pod.spec.as_ref().map(pods::init_containers).unwrap_or_default();
        for (index, container) in status.init_container_statuses.as_deref().unwrap_or_default().iter().enumerate() {
            let sidecar = all.iter().any(|c| c.name == container.name && c.restart_policy.as_deref() == Some("Always"));
            init.restarts += container.restart_count;
            init.last_restart = init.last_restart.max(last_end(container));
            if sidecar {
                init.sidecar_restarts += container.restart_count;
                init.last_sidecar_restart = init.last_sidecar_restart.max(last_end(container));
            }
            let state = container.state.as_ref();
            let terminated = state.and_then(|state| state.terminated.as_ref());
            let waiting = state.and_then(|state| state.waiting.as_ref()?.reason.as_deref());
            let word = match (terminated, waiting) {
                (Some(end), _) if end.exit_code == 0 => continue,
                _ if sidecar && container.started == Some(true) => {
                    init.ready_sidecars += usize::from(container.ready);
                    continue;
                }
                (Some(end), _) => end_word(end),
                (None, Some(reason)) if !matches!(reason, "" | "PodInitializing") => reason.into(),
                (None, _) => format!("{index}/{}", all.len()),
            };
            init.word = Some(word);
            break;
        }
        init
    }
}

/// What is said of the pod as a whole.
fn pod_word(pod: &Pod, status: &PodStatus) -> String {
    let conditions = status.conditions.as_deref().unwrap_or_default();
    let gated = |c: &k8s_openapi::api::core::v1::PodCondition| {
        c.type_ == "PodScheduled" && c.reason.as_deref() == Some("SchedulingGated")
    };
    if conditions.iter().any(gated) {
        return "SchedulingGated".into();
    }
    let reason = status.reason.as_deref().filter(|reason| !reason.is_empty());
    reason.unwrap_or(pods::phase(pod)).into()
}

/// What a container that does not run is doing; none for one that runs, or says nothing.
fn container_word(state: Option<&ContainerState>) -> Option<String> {
    let state = state?;
    let waiting = state.waiting.as_ref().and_then(|waiting| waiting.reason.as_deref());
    match (waiting, &state.terminated) {
        (Some(reason), _) if !reason.is_empty() => Some(reason.into()),
        (_, Some(end)) => Some(end_word(end)),
        _ => None,
    }
}

/// How a container ended: its reason, else the signal, else the exit code.
pub fn end_word(end: &ContainerStateTerminated) -> String {
    match (end.reason.as_deref(), end.signal) {
        (Some(reason), _) if !reason.is_empty() => reason.into(),
        (_, Some(signal)) if signal != 0 => format!("Signal:{signal}"),
        _ => format!("ExitCode:{}", end.exit_code),
    }
}

fn sidecars(pod: &Pod) -> usize {
    let init = pod.spec.as_ref().map(pods::init_containers).unwrap_or_default();
    init.iter().filter(|container| container.restart_policy.as_deref() == Some("Always")).count()
}

fn last_end(container: &ContainerStatus) -> Option<Timestamp> {
    let end = container.last_state.as_ref()?.terminated.as_ref()?;
    end.finished_at.as_ref().map(|time| time.0)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn pods_print_as_a_real_api_server_prints_them() {
        let golden: Value =
            serde_json::from_str(include_str!("../../../tests/golden/pod-table-1.36.json")).expect("golden data");
        let cases = golden["pods"].as_array().expect("pods");
        assert_eq!(cases.len(), 47);
        for case in cases {
            let pod: Pod = serde_json::from_value(case["object"].clone()).expect("a pod");
            let now: Timestamp = serde_json::from_value(case["now"].clone()).expect("a time");
            let printed = Printed::of(&pod);
            let line = [printed.ready_of_all(), printed.status.clone(), printed.restarts_at(now)];
            let wanted: Vec<&str> = (1..4).filter_map(|cell| case["cells"][cell].as_str()).collect();
            assert_eq!(line.as_slice(), wanted, "{}", case["name"]);
        }
    }

    #[test]
    fn a_pod_without_status_is_pending() {
        let printed = Printed::of(&Pod::default());
        assert_eq!((printed.status.as_str(), printed.ready_of_all().as_str()), ("Pending", "0/0"));
    }
}
