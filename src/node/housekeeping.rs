//! Removes what attempts and pods leave behind.
//!
//! `sandbox` removes a pod's directory with the pod, and `logs` an attempt's log once there are two newer ones.
//! The rest is removed here: an attempt's writable files when the next attempt starts, directories of unknown
//! pods when the node starts, and the oldest logs of finished pods when they are too many.

use std::collections::{HashSet, VecDeque};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use super::Logs;
use crate::model::outcome;

/// Number of finished pods whose logs are kept: the last ones.
const MAX_FINISHED_PODS: usize = 1000;

/// Removes the files of attempts before number `current`; `dir` has one directory per attempt.
pub(super) async fn remove_attempts(dir: PathBuf, current: u32) {
    remove_matching(dir, move |name| {
        name.to_str().and_then(|name| name.parse::<u32>().ok()).is_some_and(|n| n < current)
    })
    .await;
}

/// Removes the directories of pods whose UID is not in `known`, which an earlier node has left.
pub(super) async fn remove_orphans(dir: PathBuf, known: HashSet<String>) {
    remove_matching(dir, move |name| name.to_str().is_some_and(|uid| !known.contains(uid))).await;
}

/// Removes the directories in `dir` whose names match, on a blocking thread.
async fn remove_matching(dir: PathBuf, matches: impl Fn(&OsStr) -> bool + Send + 'static) {
    if !dir.exists() {
        return;
    }
    let removed = tokio::task::spawn_blocking(move || {
        for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten().filter(|e| matches(&e.file_name())) {
            remove(&entry.path());
        }
    });
    if let Err(error) = removed.await {
        tracing::error!(%error, "cannot remove directories");
    }
}

fn remove(dir: &Path) {
    if let Err(error) = std::fs::remove_dir_all(dir) {
        tracing::warn!(?dir, %error, "cannot remove a directory that is no longer used");
    }
}

/// Returns the time at which the last container of a pod terminated; `None` if none has run.
pub(super) fn finished_at(pod: &Pod) -> Option<Timestamp> {
    let states = outcome::container_statuses(pod).filter_map(|status| status.state.as_ref()?.terminated.as_ref());
    states.filter_map(|terminated| terminated.finished_at.as_ref()).map(|time| time.0).max()
}

/// The finished pods.
#[derive(Default)]
pub(super) struct FinishedPods {
    /// The UIDs, of the oldest pod first.
    pods: VecDeque<String>,
    known: HashSet<String>,
}

impl FinishedPods {
    /// Adds a pod and keeps its logs; if there are too many pods then, the logs of the oldest are removed.
    pub(super) fn add(&mut self, uid: &str, logs: &Logs) {
        if !self.known.insert(uid.into()) {
            return;
        }
        self.pods.push_back(uid.into());
        while self.pods.len() > MAX_FINISHED_PODS
            && let Some(oldest) = self.pods.pop_front()
        {
            self.known.remove(&oldest);
            logs.remove_pod(&oldest);
        }
    }

    /// Removes a pod whose logs are removed elsewhere.
    pub(super) fn remove(&mut self, uid: &str) {
        if self.known.remove(uid) {
            self.pods.retain(|known| known != uid);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::RetainedMemory;
    use crate::logs::LogStreamType;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(dir)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn directories_of_old_attempts_and_unknown_pods_are_removed() {
        let dir = tempfile::tempdir().expect("a directory");
        for name in ["1", "2", "3", "notes"] {
            std::fs::create_dir(dir.path().join(name)).expect("made");
        }
        remove_attempts(dir.path().into(), 3).await;
        assert_eq!(names(dir.path()), ["3", "notes"]);
        remove_orphans(dir.path().into(), ["3".to_string()].into()).await;
        assert_eq!(names(dir.path()), ["3"]);
        remove_orphans(dir.path().join("missing"), HashSet::new()).await;
    }

    #[tokio::test]
    async fn logs_of_the_last_finished_pods_are_kept() {
        let logs = Logs::new(None, RetainedMemory::unlimited());
        let mut finished = FinishedPods::default();
        let uid = |i: usize| format!("uid-{i}");
        for i in 0..MAX_FINISHED_PODS + 5 {
            let text = format!("{{metadata: {{namespace: ns, name: p, uid: {}}}}}", uid(i));
            let pod: Pod = serde_yaml::from_str(&text).expect("a pod");
            logs.open(&pod, "c", "id", 0).write(LogStreamType::Stdout, b"a line\n", Timestamp::UNIX_EPOCH);
            finished.add(&uid(i), &logs);
            finished.add(&uid(i), &logs);
        }
        let kept = |i: usize| logs.find(&uid(i), "c", "id").is_some();
        assert_eq!((kept(4), kept(5), kept(MAX_FINISHED_PODS + 4)), (false, true, true));
        finished.remove(&uid(5));
        assert_eq!((finished.pods.len(), finished.known.len()), (MAX_FINISHED_PODS - 1, MAX_FINISHED_PODS - 1));
    }
}
