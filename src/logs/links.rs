//! The links to all logs of a node in one directory, under the names that a kubelet gives them in `/var/log/containers`
//! (`pkg/kubelet/kuberuntime/legacy.go`): log shippers read pod, namespace and container from them.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

/// The directory of the links, beside those of the pods.
pub(super) const LINKS_DIR: &str = "containers";
/// The maximum length of a file name; a kubelet cuts longer ones as well.
const MAX_FILE_NAME_BYTES: usize = 255;
const SUFFIX: &str = ".log";

/// The link to the log of one attempt.
#[derive(Debug, Clone)]
pub(super) struct Link {
    /// The directory of the pods' directories.
    logs: PathBuf,
    name: String,
}

impl Link {
    /// Describes the link to the log of a container's attempt `container_id`.
    pub(super) fn new(logs: &Path, namespace: &str, pod: &str, container: &str, container_id: &str) -> Link {
        let id = container_id.rsplit('/').next().unwrap_or(container_id);
        let mut name = format!("{pod}_{namespace}_{container}-{id}");
        name.truncate(MAX_FILE_NAME_BYTES - SUFFIX.len());
        Link { logs: logs.into(), name: name + SUFFIX }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.logs.join(LINKS_DIR).join(&self.name)
    }

    /// Makes the link to `file`, which need not exist yet. The link is relative, so that the directory may be mounted
    /// elsewhere.
    pub(super) fn create(&self, file: &Path) {
        let path = self.path();
        let target = Path::new("..").join(file.strip_prefix(&self.logs).unwrap_or(file));
        let created = match symlink(&target, &path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let made = DirBuilder::new().recursive(true).mode(0o755).create(self.logs.join(LINKS_DIR));
                made.and_then(|()| symlink(&target, &path))
            }
            created => created,
        };
        if let Err(error) = created
            && error.kind() != io::ErrorKind::AlreadyExists
        {
            tracing::debug!(?path, %error, "cannot link to a log file");
        }
    }

    pub(super) fn remove(&self) {
        // Another process may have removed it already.
        let _ = fs::remove_file(self.path());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_have_kubelets_names_and_lead_to_the_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let link = Link::new(dir.path(), "ns", "web", "app", "wasmpod://0af3");
        let file = dir.path().join("ns_web_uid/app/0.log");
        link.create(&file);
        link.create(&file);
        fs::create_dir_all(dir.path().join("ns_web_uid/app")).expect("made");
        fs::write(&file, "text").expect("written");
        let path = dir.path().join("containers/web_ns_app-0af3.log");
        assert_eq!(fs::read_to_string(&path).expect("the file"), "text");
        link.remove();
        assert!(!path.exists() && file.exists());
    }

    #[test]
    fn long_names_are_cut_as_by_kubelet() {
        let link = Link::new(Path::new("/logs"), "ns", &"p".repeat(253), "app", "wasmpod://0af3");
        assert_eq!(link.name, format!("{}.log", "p".repeat(251)));
    }
}
