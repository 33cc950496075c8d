//! Words for people: error chains, states.

use k8s_openapi::api::core::v1::ContainerStatus;

use crate::model::printed;

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
