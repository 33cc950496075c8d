//! What a container leaves to say about its end (K46): its message file, else the end of its log.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Container, Pod};

use crate::files::Mounts;
use crate::logs::{Line, Log};
use crate::model::pods;
use crate::runtime::Exit;

/// A longer message loses its beginning.
const LONGEST: usize = 4096;
/// What the messages of all containers of a pod may take together.
const LONGEST_OF_POD: usize = 12 * 1024;
/// Where a log speaks for its container: so many of its last lines, of them so many bytes.
const LOG_LINES: usize = 80;
const LOG_BYTES: usize = 2048;

/// Where an attempt may have left its message.
#[derive(Clone)]
pub(super) struct TerminationMessage {
    mounts: Arc<Mounts>,
    log: Arc<Log>,
    /// Whether the log speaks where the file is silent and the attempt failed.
    falls_back: bool,
    most: usize,
}

impl TerminationMessage {
    /// Those of an attempt of `container`.
    pub(super) fn of(pod: &Pod, container: &Container, mounts: Arc<Mounts>, log: Arc<Log>) -> TerminationMessage {
        let count = pod.spec.as_ref().map_or(1, |spec| {
            let ephemeral = spec.ephemeral_containers.as_ref().map_or(0, Vec::len);
            pods::init_containers(spec).len() + spec.containers.len() + ephemeral
        });
        let falls_back = container.termination_message_policy.as_deref() == Some("FallbackToLogsOnError");
        TerminationMessage { mounts, log, falls_back, most: LONGEST_OF_POD / count.max(1) }
    }

    /// The message of an attempt that ended with `exit`: what the runtime says, then what the container said.
    pub(super) async fn after(self, exit: &Exit) -> Option<String> {
        let told = exit.message().map(String::from);
        let mut said = if self.mounts.may_have_message() {
            let mounts = self.mounts.clone();
            // The disk may be slow, or a folder of the host's on another machine.
            let read = tokio::task::spawn_blocking(move || mounts.message(LONGEST as u64)).await;
            match read.map_err(std::io::Error::other).and_then(|read| read) {
                Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                Err(error) => format!("Error on reading termination log: {error}"),
            }
        } else {
            String::new()
        };
        // What the runtime told stands in the log as well.
        if said.is_empty() && told.is_none() && self.falls_back && exit.code() != 0 {
            said = end_of(&self.log.tail(LOG_LINES));
        }
        let parts = told.into_iter().chain(Some(said).filter(|said| !said.is_empty()));
        let mut message = parts.collect::<Vec<_>>().join(": ");
        message.truncate(message.floor_char_boundary(self.most));
        Some(message).filter(|message| !message.is_empty())
    }
}

/// The last bytes of lines as they were written.
fn end_of(lines: &[Line]) -> String {
    let mut bytes = Vec::new();
    for line in lines {
        bytes.extend_from_slice(&line.text);
        if line.complete {
            bytes.push(b'\n');
        }
    }
    let from = bytes.len().saturating_sub(LOG_BYTES);
    String::from_utf8_lossy(bytes.get(from..).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::logs::Stream;

    /// What an attempt of the first of `containers` containers leaves, after it wrote `file` and `log`.
    async fn left(policy: &str, containers: usize, file: &str, log: &str, exit: Exit) -> Option<String> {
        let dir = tempfile::tempdir().expect("a folder");
        let mounts = Mounts::new(Some(dir.path().join("root")), &[], vec![]).with_message_file("/dev/termination-log");
        mounts.open().expect("opens");
        std::fs::write(dir.path().join("root/dev/termination-log"), file).expect("written");
        let written = Log::new();
        written.write(Stream::Stdout, log.as_bytes(), Timestamp::UNIX_EPOCH);
        written.close(Timestamp::UNIX_EPOCH);
        let container = Container { termination_message_policy: Some(policy.into()), ..Container::default() };
        let mut pod = Pod::default();
        pod.spec.get_or_insert_default().containers = vec![container.clone(); containers];
        TerminationMessage::of(&pod, &container, Arc::new(mounts), written).after(&exit).await
    }

    #[tokio::test]
    async fn k46_the_file_speaks_and_the_log_where_it_may() {
        const FILE: &str = "File";
        const FALLBACK: &str = "FallbackToLogsOnError";
        let failed = || Exit::Code(1);
        let trap = || Exit::Trap { code: 134, message: "trapped".into() };
        for (policy, file, log, exit, left_behind) in [
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
            let found = left(policy, 1, file, log, exit.clone()).await;
            assert_eq!(found.as_deref(), left_behind, "{policy} {file:?} {log:?} {exit:?}");
        }
    }

    #[tokio::test]
    async fn k46_messages_are_bounded_for_each_container_log_and_pod() {
        let length = async |containers, file: &str, log: &str| {
            let message = left("FallbackToLogsOnError", containers, file, log, Exit::Code(1)).await;
            message.map_or(0, |message| message.len())
        };
        assert_eq!(length(1, &"x".repeat(9000), "").await, 4096);
        assert_eq!(length(6, &"x".repeat(9000), "").await, 2048);
        assert_eq!(length(1, "", &"x\n".repeat(100)).await, 160);
        assert_eq!(length(1, "", &format!("{}\n", "x".repeat(99)).repeat(90)).await, 2048);
        assert_eq!(length(6, &"é".repeat(4000), "").await, 2048);
    }
}
