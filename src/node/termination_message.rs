//! The termination message of a container (K46): its message file, or else the end of its log.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Container, Pod};

use crate::files::Mounts;
use crate::logs::{Line, Log};
use crate::model::pods;
use crate::runtime::Exit;

/// Bytes read of a message file; a longer one loses its beginning.
const MAX_MESSAGE_BYTES: usize = 4096;
/// Bytes that the messages of all containers of a pod may take together.
const MAX_POD_MESSAGE_BYTES: usize = 12 * 1024;
/// Last lines of a log that may stand in for a message.
const MAX_LOG_LINES: usize = 80;
/// Last bytes of those lines.
const MAX_LOG_BYTES: usize = 2048;

/// The places where an attempt may leave its message.
#[derive(Clone)]
pub(super) struct TerminationMessage {
    mounts: Arc<Mounts>,
    log: Arc<Log>,
    /// Whether the log stands in for an empty file if the attempt fails (`FallbackToLogsOnError`).
    falls_back: bool,
    max_bytes: usize,
}

impl TerminationMessage {
    /// Returns the places for an attempt of `container`.
    pub(super) fn new(pod: &Pod, container: &Container, mounts: Arc<Mounts>, log: Arc<Log>) -> TerminationMessage {
        let count = pod.spec.as_ref().map_or(1, |spec| {
            let ephemeral = spec.ephemeral_containers.as_ref().map_or(0, Vec::len);
            pods::init_containers(spec).len() + spec.containers.len() + ephemeral
        });
        let falls_back = container.termination_message_policy.as_deref() == Some("FallbackToLogsOnError");
        TerminationMessage { mounts, log, falls_back, max_bytes: MAX_POD_MESSAGE_BYTES / count.max(1) }
    }

    /// Reads the message of an attempt that ended with `exit`: the runtime's message, then the container's own.
    pub(super) async fn read(self, exit: &Exit) -> Option<String> {
        let from_runtime = exit.message().map(String::from);
        let mut own = if self.mounts.may_have_termination_message() {
            let mounts = self.mounts.clone();
            // The disk may be slow, or a host directory on another machine.
            let read =
                tokio::task::spawn_blocking(move || mounts.read_termination_message(MAX_MESSAGE_BYTES as u64)).await;
            match read.map_err(std::io::Error::other).and_then(|read| read) {
                Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                Err(error) => format!("Error on reading termination log: {error}"),
            }
        } else {
            String::new()
        };
        // The log contains the runtime's message already.
        if own.is_empty() && from_runtime.is_none() && self.falls_back && exit.code() != 0 {
            own = last_bytes(&self.log.tail(MAX_LOG_LINES));
        }
        let parts = from_runtime.into_iter().chain(Some(own).filter(|own| !own.is_empty()));
        let mut message = parts.collect::<Vec<_>>().join(": ");
        message.truncate(message.floor_char_boundary(self.max_bytes));
        Some(message).filter(|message| !message.is_empty())
    }
}

/// Returns the last bytes of lines as they were written.
fn last_bytes(lines: &[Line]) -> String {
    let mut bytes = Vec::new();
    for line in lines {
        bytes.extend_from_slice(&line.text);
        if line.complete {
            bytes.push(b'\n');
        }
    }
    let start = bytes.len().saturating_sub(MAX_LOG_BYTES);
    String::from_utf8_lossy(bytes.get(start..).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::logs::LogStreamType;

    /// Returns the message of an attempt, of one of `containers` containers, that wrote `file` and `log`.
    async fn message(policy: &str, containers: usize, file: &str, log: &str, exit: Exit) -> Option<String> {
        let dir = tempfile::tempdir().expect("a directory");
        let mounts =
            Mounts::new(Some(dir.path().join("root")), &[], vec![]).with_termination_message("/dev/termination-log");
        mounts.open().expect("opens");
        std::fs::write(dir.path().join("root/dev/termination-log"), file).expect("written");
        let written = Log::new();
        written.write(LogStreamType::Stdout, log.as_bytes(), Timestamp::UNIX_EPOCH);
        written.close(Timestamp::UNIX_EPOCH);
        let container = Container { termination_message_policy: Some(policy.into()), ..Container::default() };
        let mut pod = Pod::default();
        pod.spec.get_or_insert_default().containers = vec![container.clone(); containers];
        TerminationMessage::new(&pod, &container, Arc::new(mounts), written).read(&exit).await
    }

    #[tokio::test]
    async fn message_comes_from_file_or_by_policy_from_log() {
        const FILE: &str = "File";
        const FALLBACK: &str = "FallbackToLogsOnError";
        let failed = || Exit::Code(1);
        let trap = || Exit::Trap { code: 134, message: "trapped".into() };
        for (policy, file, log, exit, expected) in [
            (FILE, "from file\n", "l1\n", failed(), Some("from file\n")),
            (FILE, "from file\n", "l1\n", Exit::Code(0), Some("from file\n")),
            (FILE, "", "l1\n", failed(), None),
            (FALLBACK, "", "l1\nl2\n", failed(), Some("l1\nl2\n")),
            (FALLBACK, "", "l1\nrest", failed(), Some("l1\nrest")),
            (FALLBACK, "", "l1\n", Exit::Code(0), None),
            (FALLBACK, "from file", "l1\n", failed(), Some("from file")),
            (FALLBACK, "", "l1\n", trap(), Some("trapped")),
            (FILE, "from file", "", trap(), Some("trapped: from file")),
        ] {
            let found = message(policy, 1, file, log, exit.clone()).await;
            assert_eq!(found.as_deref(), expected, "{policy} {file:?} {log:?} {exit:?}");
        }
    }

    #[tokio::test]
    async fn messages_are_cut_by_file_log_and_pod_limits() {
        let length = async |containers, file: &str, log: &str| {
            let message = message("FallbackToLogsOnError", containers, file, log, Exit::Code(1)).await;
            message.map_or(0, |message| message.len())
        };
        assert_eq!(length(1, &"x".repeat(9000), "").await, 4096);
        assert_eq!(length(6, &"x".repeat(9000), "").await, 2048);
        assert_eq!(length(1, "", &"x\n".repeat(100)).await, 160);
        assert_eq!(length(1, "", &format!("{}\n", "x".repeat(99)).repeat(90)).await, 2048);
        assert_eq!(length(6, &"é".repeat(4000), "").await, 2048);
    }
}
