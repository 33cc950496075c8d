//! One-line messages about failed and unready pods.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use super::pods;

/// Returns the pod's container statuses, init containers first.
pub fn container_statuses(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.as_ref();
    let init = status.and_then(|s| s.init_container_statuses.as_deref()).unwrap_or_default();
    let apps = status.and_then(|s| s.container_statuses.as_deref()).unwrap_or_default();
    init.iter().chain(apps)
}

/// Returns why the container could not be started. A `CrashLoopBackOff` is left out: the previous termination
/// explains it.
pub fn waiting_message(status: &ContainerStatus) -> Option<&str> {
    let waiting = status.state.as_ref()?.waiting.as_ref()?;
    let backs_off = waiting.reason.as_deref() == Some("CrashLoopBackOff");
    waiting.message.as_deref().filter(|_| !backs_off)
}

/// Describes the failure of a container that terminated with a code other than 0.
pub fn container_failure_message(status: &ContainerStatus) -> Option<String> {
    let terminated = status.state.as_ref()?.terminated.as_ref().filter(|t| t.exit_code != 0)?;
    let reason = terminated.reason.as_deref().unwrap_or("Error");
    let first_line = terminated.message.as_deref().and_then(|m| m.lines().next());
    let detail = first_line.map(|line| format!(": {line}")).unwrap_or_default();
    Some(format!("container {} terminated with exit code {} ({reason}){detail}", status.name, terminated.exit_code))
}

/// Describes in one line why a pod failed.
pub fn failure_message(pod: &Pod) -> String {
    let status = pod.status.as_ref();
    if let Some(message) = status.and_then(|s| s.message.as_deref()) {
        return format!("pod {} failed: {message}", pods::name(pod));
    }
    let all: Vec<String> = container_statuses(pod).filter_map(container_failure_message).collect();
    format!("pod {} failed: {}", pods::name(pod), all.join("; "))
}

/// Describes in one line why a pod is not ready: the message of its condition and its waiting containers.
pub fn not_ready_message(pod: &Pod) -> String {
    let conditions = pod.status.as_ref().and_then(|s| s.conditions.as_deref()).unwrap_or_default();
    let ready = conditions.iter().find(|c| c.type_ == "Ready").and_then(|c| c.message.clone());
    let mut reasons = vec![ready.unwrap_or_else(|| format!("it is {}", pods::phase(pod)))];
    reasons.extend(
        container_statuses(pod)
            .filter_map(|s| waiting_message(s).map(|message| format!("container {} is waiting: {message}", s.name))),
    );
    reasons.join("; ")
}
