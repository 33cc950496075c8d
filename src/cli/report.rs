//! Words for people: error chains, states.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use crate::model::{pods, printed};

/// An error and its causes in one line, no backtrace.
pub fn chain(error: &anyhow::Error) -> String {
    let all: Vec<String> = error.chain().map(ToString::to_string).collect();
    all.join(": ")
}

/// Whether all that went wrong is that nobody reads our output any more.
pub fn reader_is_gone(error: &anyhow::Error) -> bool {
    let io = error.chain().find_map(|cause| cause.downcast_ref::<std::io::Error>());
    io.is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
}

/// What a container does, in a word: `Running`, `CrashLoopBackOff`, `Completed`, `Error (exit code 3)`.
pub fn state(status: &ContainerStatus) -> String {
    let Some(state) = &status.state else { return "Waiting".into() };
    if let Some(waiting) = &state.waiting {
        return waiting.reason.clone().unwrap_or_else(|| "Waiting".into());
    }
    if let Some(terminated) = &state.terminated {
        let (word, code) = (printed::end_word(terminated), terminated.exit_code);
        // Without a reason the word tells the code already.
        let told = code == 0 || terminated.reason.is_none();
        return if told { word } else { format!("{word} (exit code {code})") };
    }
    "Running".into()
}

/// Why a container waits that could not be started. A back-off only tells of an end before it.
pub fn trouble(status: &ContainerStatus) -> Option<&str> {
    let waiting = status.state.as_ref()?.waiting.as_ref()?;
    let backs_off = waiting.reason.as_deref() == Some("CrashLoopBackOff");
    waiting.message.as_deref().filter(|_| !backs_off)
}

/// All container statuses of a pod, init containers first.
pub fn statuses(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.as_ref();
    let init = status.and_then(|s| s.init_container_statuses.as_deref()).unwrap_or_default();
    let apps = status.and_then(|s| s.container_statuses.as_deref()).unwrap_or_default();
    init.iter().chain(apps)
}

/// Why a pod failed, in a line.
pub fn failure(pod: &Pod) -> String {
    let status = pod.status.as_ref();
    if let Some(message) = status.and_then(|s| s.message.as_deref()) {
        return format!("pod {} failed: {message}", pods::name(pod));
    }
    let failed = statuses(pod).filter_map(|c| {
        let terminated = c.state.as_ref()?.terminated.as_ref().filter(|t| t.exit_code != 0)?;
        let reason = terminated.reason.as_deref().unwrap_or("Error");
        let first_line = terminated.message.as_deref().and_then(|m| m.lines().next());
        let why = first_line.map(|line| format!(": {line}")).unwrap_or_default();
        Some(format!("container {} ended with exit code {} ({reason}){why}", c.name, terminated.exit_code))
    });
    let all: Vec<String> = failed.collect();
    format!("pod {} failed: {}", pods::name(pod), all.join("; "))
}
