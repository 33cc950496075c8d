//! Formats errors and container states for people.

use k8s_openapi::api::core::v1::ContainerStatus;

use crate::model::pod_row;

/// Returns an error and its causes in one line.
pub fn error_chain(error: &anyhow::Error) -> String {
    let all: Vec<String> = error.chain().map(ToString::to_string).collect();
    all.join(": ")
}

/// Returns a number of things: `1 object`, `2 objects`.
pub fn count(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Returns the last of the errors of a command that continues after errors. Prints the others.
pub fn last_error(mut errors: Vec<anyhow::Error>) -> anyhow::Result<()> {
    let last = errors.pop();
    errors.iter().for_each(|error| stderrln!("error: {}", error_chain(error)));
    last.map_or(Ok(()), Err)
}

/// Returns whether the error is that the reader of our output closed it.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.chain().find_map(|cause| cause.downcast_ref::<std::io::Error>());
    io.is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
}

/// Returns a container's state: `Running`, `CrashLoopBackOff`, `Completed`, `Error (exit code 3)`.
pub fn container_state(status: &ContainerStatus) -> String {
    let Some(state) = &status.state else { return "Waiting".into() };
    if let Some(waiting) = &state.waiting {
        return waiting.reason.clone().unwrap_or_else(|| "Waiting".into());
    }
    if let Some(terminated) = &state.terminated {
        let (reason, code) = (pod_row::termination_reason(terminated), terminated.exit_code);
        // Without a reason, `end_word` contains the exit code.
        let has_code = code == 0 || terminated.reason.is_none();
        return if has_code { reason } else { format!("{reason} (exit code {code})") };
    }
    "Running".into()
}
