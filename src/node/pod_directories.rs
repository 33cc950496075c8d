//! Where a pod stores files, and how much it stores there.

use std::path::PathBuf;

use super::sandbox::CONTAINERS_DIR;
use crate::files::disk_usage;
use crate::volumes::VOLUMES_DIR;

/// The directories of a pod.
#[derive(Debug)]
pub(super) struct PodDirectories {
    /// That of its volumes and of the roots of its containers.
    pub(super) pod: PathBuf,
    /// That of its logs; `None` if they are in memory only.
    pub(super) logs: Option<PathBuf>,
}

impl PodDirectories {
    /// Measures what a container stores, its log files included. Blocks the thread.
    pub(super) fn container_usage(&self, container: &str) -> u64 {
        let logs = self.logs.as_ref().map_or(0, |logs| disk_usage(&logs.join(container)));
        disk_usage(&self.pod.join(CONTAINERS_DIR).join(container)) + logs
    }

    /// Measures what a volume stores. Blocks the thread.
    pub(super) fn volume_usage(&self, volume: &str) -> u64 {
        disk_usage(&self.pod.join(VOLUMES_DIR).join(volume))
    }

    /// Measures what all volumes store. Blocks the thread.
    pub(super) fn volumes_usage(&self) -> u64 {
        disk_usage(&self.pod.join(VOLUMES_DIR))
    }
}
