//! The READY, STATUS and RESTARTS cells of `kubectl get pods` (`printPod` in Kubernetes' `pkg/printers`).
//!
//! Both the API's tables and the command line print these cells.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerState, ContainerStateTerminated, ContainerStatus, Pod, PodStatus};

use super::{duration, pods};

/// A pod's row in `kubectl get pods`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodRow {
    /// STATUS, such as `Running`, `Init:0/2` or `CrashLoopBackOff`.
    pub status: String,
    /// Number of ready containers, sidecars included.
    pub ready: usize,
    /// Number of containers, sidecars included.
    pub containers: usize,
    /// Number of restarts: of the init containers while the pod initializes, afterwards of the regular
    /// containers and the sidecars.
    pub restarts: i32,
    /// Time of the last termination that was followed by a restart.
    pub last_restart: Option<Timestamp>,
}

impl PodRow {
    /// Computes the row of `pod`.
    pub fn from_pod(pod: &Pod) -> PodRow {
        let empty = PodStatus::default();
        let status = pod.status.as_ref().unwrap_or(&empty);
        let init = InitProgress::from_pod(pod, status);
        let containers = pod.spec.as_ref().map_or(0, |spec| spec.containers.len()) + sidecar_count(pod);
        let mut row = PodRow {
            status: pod_status(pod, status),
            ready: init.ready_sidecars,
            containers,
            restarts: init.restarts,
            last_restart: init.last_restart,
        };
        let initializing = init.status.is_some();
        if let Some(status) = init.status {
            row.status = format!("Init:{status}");
        }
        if !initializing || pods::has_condition(pod, "Initialized") {
            row.restarts = init.sidecar_restarts;
            row.last_restart = init.last_sidecar_restart;
            row.add_containers(pod, status);
        }
        if pod.metadata.deletion_timestamp.is_some() {
            if status.reason.as_deref() == Some("NodeLost") {
                row.status = "Unknown".into();
            } else if !pods::is_terminal(pod) {
                row.status = "Terminating".into();
            }
        }
        row
    }

    /// Returns the READY cell: `1/2`.
    pub fn ready_cell(&self) -> String {
        format!("{}/{}", self.ready, self.containers)
    }

    /// Returns the RESTARTS cell: `0`, or `3 (5s ago)`.
    pub fn restarts_cell(&self, now: Timestamp) -> String {
        match self.last_restart {
            Some(at) if self.restarts != 0 => {
                format!("{} ({} ago)", self.restarts, duration::human_duration(now.duration_since(at).as_secs()))
            }
            _ => self.restarts.to_string(),
        }
    }

    /// Adds the regular containers. The first one that is waiting or terminated determines the status.
    fn add_containers(&mut self, pod: &Pod, status: &PodStatus) {
        let mut any_running = false;
        for container in status.container_statuses.as_deref().unwrap_or_default().iter().rev() {
            self.restarts += container.restart_count;
            self.last_restart = self.last_restart.max(last_finished_at(container));
            if let Some(status) = container_status(container.state.as_ref()) {
                self.status = status;
            } else if container.ready && container.state.as_ref().is_some_and(|state| state.running.is_some()) {
                any_running = true;
                self.ready += 1;
            }
        }
        // A pod is not completed while one of its containers is running.
        if self.status == "Completed" && any_running {
            self.status = if pods::has_condition(pod, "Ready") { "Running" } else { "NotReady" }.into();
        }
    }
}

/// Progress of a pod's init containers.
#[derive(Default)]
struct InitProgress {
    /// The part after `Init:`; `None` once the regular containers may start.
    status: Option<String>,
    ready_sidecars: usize,
    restarts: i32,
    last_restart: Option<Timestamp>,
    sidecar_restarts: i32,
    last_sidecar_restart: Option<Timestamp>,
}

impl InitProgress {
    fn from_pod(pod: &Pod, status: &PodStatus) -> InitProgress {
        let mut init = InitProgress::default();
        let all = pod.spec.as_ref().map(pods::init_containers).unwrap_or_default();
        for (index, container) in status.init_container_statuses.as_deref().unwrap_or_default().iter().enumerate() {
            let sidecar = all.iter().any(|c| c.name == container.name && c.restart_policy.as_deref() == Some("Always"));
            init.restarts += container.restart_count;
            init.last_restart = init.last_restart.max(last_finished_at(container));
            if sidecar {
                init.sidecar_restarts += container.restart_count;
                init.last_sidecar_restart = init.last_sidecar_restart.max(last_finished_at(container));
            }
            let state = container.state.as_ref();
            let terminated = state.and_then(|state| state.terminated.as_ref());
            let waiting = state.and_then(|state| state.waiting.as_ref()?.reason.as_deref());
            let status = match (terminated, waiting) {
                (Some(end), _) if end.exit_code == 0 => continue,
                _ if sidecar && container.started == Some(true) => {
                    init.ready_sidecars += usize::from(container.ready);
                    continue;
                }
                (Some(end), _) => termination_reason(end),
                (None, Some(reason)) if !matches!(reason, "" | "PodInitializing") => reason.into(),
                (None, _) => format!("{index}/{}", all.len()),
            };
            init.status = Some(status);
            break;
        }
        init
    }
}

/// Returns the pod's own status: `SchedulingGated`, its reason or its phase.
fn pod_status(pod: &Pod, status: &PodStatus) -> String {
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

/// Returns the reason of a waiting or terminated container; `None` if it is running or has no state.
fn container_status(state: Option<&ContainerState>) -> Option<String> {
    let state = state?;
    let waiting = state.waiting.as_ref().and_then(|waiting| waiting.reason.as_deref());
    match (waiting, &state.terminated) {
        (Some(reason), _) if !reason.is_empty() => Some(reason.into()),
        (_, Some(end)) => Some(termination_reason(end)),
        _ => None,
    }
}

/// Returns the reason of a termination, or else its signal, or else its exit code.
pub fn termination_reason(end: &ContainerStateTerminated) -> String {
    match (end.reason.as_deref(), end.signal) {
        (Some(reason), _) if !reason.is_empty() => reason.into(),
        (_, Some(signal)) if signal != 0 => format!("Signal:{signal}"),
        _ => format!("ExitCode:{}", end.exit_code),
    }
}

fn sidecar_count(pod: &Pod) -> usize {
    let init = pod.spec.as_ref().map(pods::init_containers).unwrap_or_default();
    init.iter().filter(|container| container.restart_policy.as_deref() == Some("Always")).count()
}

fn last_finished_at(container: &ContainerStatus) -> Option<Timestamp> {
    let end = container.last_state.as_ref()?.terminated.as_ref()?;
    end.finished_at.as_ref().map(|time| time.0)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn rows_match_a_recorded_api_server() {
        let golden: Value =
            serde_json::from_str(include_str!("../../../tests/golden/pod-table-1.36.json")).expect("golden data");
        let cases = golden["pods"].as_array().expect("pods");
        assert_eq!(cases.len(), 47);
        for case in cases {
            let pod: Pod = serde_json::from_value(case["object"].clone()).expect("a pod");
            let now: Timestamp = serde_json::from_value(case["now"].clone()).expect("a time");
            let row = PodRow::from_pod(&pod);
            let line = [row.ready_cell(), row.status.clone(), row.restarts_cell(now)];
            let expected: Vec<&str> = (1..4).filter_map(|cell| case["cells"][cell].as_str()).collect();
            assert_eq!(line.as_slice(), expected, "{}", case["name"]);
        }
    }

    #[test]
    fn pod_without_status_is_pending() {
        let row = PodRow::from_pod(&Pod::default());
        assert_eq!((row.status.as_str(), row.ready_cell().as_str()), ("Pending", "0/0"));
    }
}
