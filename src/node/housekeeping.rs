//! What dead things leave behind: folders of attempts and of pods, logs of pods that are over.
//!
//! A pod's folder goes with it (`sandbox`), an attempt's log when two newer ones have begun (`logs`). Here goes the
//! rest: an attempt's writable files when the next one begins, folders of pods that nobody knows when the node begins,
//! and the logs of pods that are over once there are too many.

use std::collections::{HashSet, VecDeque};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::Logs;

/// Pods that are over and whose logs are kept: the last ones.
const FINISHED: usize = 1000;
/// Bytes of memory that their logs may take together.
const FINISHED_BYTES: usize = 256 * 1024 * 1024;

/// Removes what attempts before number `current` have written; `folder` has a folder for each.
pub(super) async fn remove_attempts(folder: PathBuf, current: u32) {
    remove_all(folder, move |name| {
        name.to_str().and_then(|name| name.parse::<u32>().ok()).is_some_and(|n| n < current)
    })
    .await;
}

/// Removes the folders of pods that are not among `known`, by UID: what a node before this one has left.
pub(super) async fn remove_orphans(folder: PathBuf, known: HashSet<String>) {
    remove_all(folder, move |name| name.to_str().is_some_and(|uid| !known.contains(uid))).await;
}

/// Removes the folders in `folder` that `goes` chooses, on a thread that may wait for the disk.
async fn remove_all(folder: PathBuf, goes: impl Fn(&OsStr) -> bool + Send + 'static) {
    if !folder.exists() {
        return;
    }
    let removed = tokio::task::spawn_blocking(move || {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten().filter(|e| goes(&e.file_name())) {
            remove(&entry.path());
        }
    });
    if let Err(error) = removed.await {
        tracing::error!(%error, "removing folders failed");
    }
}

fn remove(folder: &Path) {
    if let Err(error) = std::fs::remove_dir_all(folder) {
        tracing::warn!(?folder, %error, "cannot remove what was left behind");
    }
}

/// The pods that are over, the oldest first, with the bytes of their logs.
#[derive(Default)]
pub(super) struct Finished {
    pods: VecDeque<(String, usize)>,
    known: HashSet<String>,
    bytes: usize,
}

impl Finished {
    /// Takes in that a pod is over. Its logs stay; those of older ones go where there are too many.
    pub(super) fn add(&mut self, uid: &str, logs: &Logs) {
        if !self.known.insert(uid.into()) {
            return;
        }
        let bytes = logs.bytes(uid);
        self.bytes += bytes;
        self.pods.push_back((uid.into(), bytes));
        while (self.pods.len() > FINISHED || self.bytes > FINISHED_BYTES) && self.pods.len() > 1 {
            self.remove_oldest(logs);
        }
    }

    fn remove_oldest(&mut self, logs: &Logs) {
        if let Some((uid, bytes)) = self.pods.pop_front() {
            self.bytes -= bytes;
            self.known.remove(&uid);
            logs.forget(&uid);
        }
    }

    /// Takes in that a pod is gone, and its logs with it.
    pub(super) fn forget(&mut self, uid: &str) {
        if self.known.remove(uid)
            && let Some(at) = self.pods.iter().position(|(known, _)| known == uid)
            && let Some((_, bytes)) = self.pods.remove(at)
        {
            self.bytes -= bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use k8s_openapi::api::core::v1::Pod;

    use super::*;
    use crate::logs::Stream;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn folders_of_dead_attempts_and_of_unknown_pods_go_and_others_stay() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["1", "2", "3", "notes"] {
            std::fs::create_dir(folder.path().join(name)).expect("made");
        }
        remove_attempts(folder.path().into(), 3).await;
        assert_eq!(names(folder.path()), ["3", "notes"]);
        remove_orphans(folder.path().into(), ["3".to_string()].into()).await;
        assert_eq!(names(folder.path()), ["3"]);
        remove_orphans(folder.path().join("missing"), HashSet::new()).await;
    }

    #[tokio::test]
    async fn logs_of_the_pods_that_finished_last_are_kept() {
        let logs = Logs::new(None);
        let mut finished = Finished::default();
        let uid = |i: usize| format!("uid-{i}");
        for i in 0..FINISHED + 5 {
            let text = format!("{{metadata: {{namespace: ns, name: p, uid: {}}}}}", uid(i));
            let pod: Pod = serde_yaml::from_str(&text).expect("a pod");
            logs.open(&pod, "c", "id").write(Stream::Stdout, b"a line\n", Timestamp::UNIX_EPOCH);
            finished.add(&uid(i), &logs);
            finished.add(&uid(i), &logs);
        }
        let kept = |i: usize| logs.of_attempt(&uid(i), "c", "id").is_some();
        assert_eq!((kept(4), kept(5), kept(FINISHED + 4)), (false, true, true));
        finished.forget(&uid(5));
        assert_eq!((finished.pods.len(), finished.known.len()), (FINISHED - 1, FINISHED - 1));
        assert_eq!(finished.bytes, finished.pods.iter().map(|(_, bytes)| bytes).sum::<usize>());
    }
}
