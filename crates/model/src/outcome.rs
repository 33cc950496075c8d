//! How pods and containers fare, in words.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use super::pods;

/// All container statuses of a pod, init containers first.
pub fn statuses(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.as_ref();
    let init = status.and_then(|s| s.init_container_statuses.as_deref()).unwrap_or_default();
    let apps = status.and_then(|s| s.container_statuses.as_deref()).unwrap_or_default();
    init.iter().chain(apps)
}

/// Why a container waits that could not be started. A back-off only tells of an end before it.
pub fn waiting_problem(status: &ContainerStatus) -> Option<&str> {
    let waiting = status.state.as_ref()?.waiting.as_ref()?;
    let backs_off = waiting.reason.as_deref() == Some("CrashLoopBackOff");
    waiting.message.as_deref().filter(|_| !backs_off)
}

/// Why a container counts as failed: it ended, and not with 0.
pub fn container_failure(status: &ContainerStatus) -> Option<String> {
    let terminated = status.state.as_ref()?.terminated.as_ref().filter(|t| t.exit_code != 0)?;
    let reason = terminated.reason.as_deref().unwrap_or("Error");
    let first_line = terminated.message.as_deref().and_then(|m| m.lines().next());
    let why = first_line.map(|line| format!(": {line}")).unwrap_or_default();
    Some(format!("container {} ended with exit code {} ({reason}){why}", status.name, terminated.exit_code))
}

/// Why a pod failed, in a line.
pub fn failure(pod: &Pod) -> String {
    let status = pod.status.as_ref();
    if let Some(message) = status.and_then(|s| s.message.as_deref()) {
        return format!("pod {} failed: {message}", pods::name(pod));
    }
    let all: Vec<String> = statuses(pod).filter_map(container_failure).collect();
    format!("pod {} failed: {}", pods::name(pod), all.join("; "))
}

/// What keeps a pod from being ready, in a line: its condition's words, and what its containers wait for.
pub fn unreadiness(pod: &Pod) -> String {
    let conditions = pod.status.as_ref().and_then(|s| s.conditions.as_deref()).unwrap_or_default();
    let ready = conditions.iter().find(|c| c.type_ == "Ready").and_then(|c| c.message.clone());
    let mut words = vec![ready.unwrap_or_else(|| format!("it is {}", pods::phase(pod)))];
    words.extend(statuses(pod).filter_map(|s| waiting_problem(s).map(|why| format!("{} waits: {why}", s.name))));
    words.join("; ")
}
