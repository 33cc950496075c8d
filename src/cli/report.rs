//! Words for people: error chains, ages, states.

use k8s_openapi::api::core::v1::ContainerStatus;

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
        let reason = terminated.reason.clone().unwrap_or_else(|| "Terminated".into());
        let code = terminated.exit_code;
        return if code == 0 { reason } else { format!("{reason} (exit code {code})") };
    }
    "Running".into()
}

/// A time span as kubectl shows ages: `5s`, `2m10s`, `3h`.
pub fn age(seconds: i64) -> String {
    match seconds.max(0) {
        s if s < 120 => format!("{s}s"),
        s if s < 600 => format!("{}m{}s", s / 60, s % 60),
        s if s < 3 * 3600 => format!("{}m", s / 60),
        s if s < 48 * 3600 => format!("{}h", s / 3600),
        s => format!("{}d", s / 86400),
    }
}
