//! A pod's volumes as directories: emptyDir, hostPath, and the files of ConfigMaps and Secrets.
//!
//! Promises that pods mount only allowed host directories, wherever links lead. Reading ConfigMaps and
//! Secrets is left to `node`, mounting to `files`.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::{fs, io};

use k8s_openapi::api::core::v1::{Container, HostPathVolumeSource, Volume};

use crate::files::{Mount, normalize};
use crate::model::quantity;

/// The host directories that pods may mount.
#[derive(Debug, Clone)]
pub enum HostPaths {
    /// All that the node's user may read: pods run as this user.
    All,
    /// Only these directories and those below them.
    Below(Vec<PathBuf>),
}

/// A volume that cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// The directory of an emptyDir cannot be created.
    #[error("cannot create {path:?}")]
    EmptyDir {
        /// The directory.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The path does not have the hostPath's `type`.
    #[error("hostPath type check failed: {path} is not a {expected}")]
    Type {
        /// The path in the manifest.
        path: String,
        /// The expected type as a noun: `directory`.
        expected: &'static str,
    },
    /// A hostPath cannot be created or resolved.
    #[error("cannot use hostPath {path:?}")]
    HostPath {
        /// The path in the manifest.
        path: String,
        /// The system's error.
        source: io::Error,
    },
    /// A hostPath leads out of the directories that pods may mount ([`HostPaths::Below`]).
    #[error(
        "hostPath {path:?} is not allowed; add a directory above it to `HostPaths::Below` in `NodeBuilder::host_paths`"
    )]
    NotAllowed {
        /// The path with links resolved, or as in the manifest if it does not exist yet.
        path: String,
    },
    /// Volumes of this kind are not supported yet.
    #[error("{kind} volumes are not supported yet")]
    Kind {
        /// The kind in Kubernetes' words: `configMap`.
        kind: &'static str,
    },
    /// A file of a configMap or secret volume cannot be written.
    #[error("cannot write {path:?}")]
    Content {
        /// The file's path below the volume.
        path: String,
        /// The system's error.
        source: io::Error,
    },
    /// A container mounts a volume that its pod does not declare.
    #[error("volume {volume:?} is not declared")]
    Undeclared {
        /// The volume's name in the container.
        volume: String,
    },
}

/// The files of a volume: bytes and permissions by path below the volume.
pub type Content = BTreeMap<String, (Vec<u8>, u32)>;

/// The directory of the volumes that live with a pod, below the pod's directory.
pub const VOLUMES_DIR: &str = "volumes";

/// The directories of a pod's volumes, by name.
#[derive(Debug, Default)]
pub struct Volumes(BTreeMap<String, VolumeDir>);

/// The directory of a volume.
#[derive(Debug)]
struct VolumeDir {
    path: PathBuf,
    /// Whether containers may only read it, whatever their mounts say: the API is the source of its files.
    read_only: bool,
    /// The `sizeLimit` of an emptyDir, in bytes.
    size_limit: Option<u64>,
}

impl Volumes {
    /// Creates `volume`, below the pod's directory `pod_dir` if it lives with the pod.
    ///
    /// `content` are the files of a volume that projects a ConfigMap or Secret.
    pub fn set_up(
        &mut self,
        volume: &Volume,
        pod_dir: &Path,
        allowed: &HostPaths,
        content: Option<&Content>,
    ) -> Result<(), VolumeError> {
        let path = match content {
            Some(content) => write_content(&volume.name, content, pod_dir)?,
            None => create(volume, pod_dir, allowed)?,
        };
        let limit = volume.empty_dir.as_ref().and_then(|dir| dir.size_limit.as_ref());
        let size_limit = limit.and_then(|limit| u64::try_from(quantity::units(limit).ok()?).ok());
        self.0.insert(volume.name.clone(), VolumeDir { path, read_only: content.is_some(), size_limit });
        Ok(())
    }

    /// Returns the mounts of `container`.
    pub fn mounts(&self, container: &Container) -> Result<Vec<Mount>, VolumeError> {
        let mounts = container.volume_mounts.iter().flatten();
        let mount = |mount: &k8s_openapi::api::core::v1::VolumeMount| {
            let undeclared = || VolumeError::Undeclared { volume: mount.name.clone() };
            let volume = self.0.get(&mount.name).ok_or_else(undeclared)?;
            Ok(Mount {
                mount_path: normalize(&mount.mount_path),
                volume_dir: volume.path.clone(),
                sub_path: mount.sub_path.clone().unwrap_or_default(),
                read_only: volume.read_only || mount.read_only == Some(true),
                size_limit: volume.size_limit,
            })
        };
        mounts.map(mount).collect()
    }
}

/// Writes the files of a volume that projects a ConfigMap or Secret.
fn write_content(volume: &str, content: &Content, pod_dir: &Path) -> Result<PathBuf, VolumeError> {
    let root = pod_dir.join(VOLUMES_DIR).join(volume);
    let failed = |path: &str, source| VolumeError::Content { path: path.into(), source };
    // An earlier pod may have left files, among them links through which nothing must be written.
    match fs::remove_dir_all(&root) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(failed("", source)),
        Ok(()) | Err(_) => {}
    }
    fs::create_dir_all(&root).map_err(|source| failed("", source))?;
    for (path, (bytes, mode)) in content {
        // Validation rejects absolute paths and `..`; any other path stays below the root.
        let below = normalize(path);
        let file = root.join(below.trim_start_matches('/'));
        let write = || {
            file.parent().map_or(Ok(()), fs::create_dir_all)?;
            fs::write(&file, bytes)?;
            fs::set_permissions(&file, fs::Permissions::from_mode(mode & 0o777))
        };
        write().map_err(|source| failed(path, source))?;
    }
    Ok(root)
}

fn create(volume: &Volume, pod_dir: &Path, allowed: &HostPaths) -> Result<PathBuf, VolumeError> {
    if let Some(host) = &volume.host_path {
        return host_path(host, allowed);
    }
    let unsupported = [
        ("projected", volume.projected.is_some()),
        ("downwardAPI", volume.downward_api.is_some()),
        ("persistentVolumeClaim", volume.persistent_volume_claim.is_some()),
    ];
    if let Some((kind, _)) = unsupported.iter().find(|(_, set)| *set) {
        return Err(VolumeError::Kind { kind });
    }
    // A volume that names no kind is an emptyDir, as in Kubernetes.
    let path = pod_dir.join(VOLUMES_DIR).join(&volume.name);
    let failed = |source| VolumeError::EmptyDir { path: path.clone(), source };
    fs::create_dir_all(&path).map_err(failed)?;
    Ok(path)
}

fn host_path(host: &HostPathVolumeSource, allowed: &HostPaths) -> Result<PathBuf, VolumeError> {
    let path = PathBuf::from(&host.path);
    let failed = |source| VolumeError::HostPath { path: host.path.clone(), source };
    let mismatch = |expected| VolumeError::Type { path: host.path.clone(), expected };
    match host.type_.as_deref().unwrap_or_default() {
        "DirectoryOrCreate" => {
            check_allowed(&path, allowed)?;
            fs::create_dir_all(&path).map_err(failed)?;
        }
        "Directory" if !path.is_dir() => return Err(mismatch("directory")),
        "" | "Directory" => {}
        "File" | "FileOrCreate" => return Err(VolumeError::Kind { kind: "single-file hostPath" }),
        "Socket" => return Err(mismatch("socket that a guest could use")),
        "CharDevice" => return Err(mismatch("character device that a guest could use")),
        _ => return Err(mismatch("device that a guest could use")),
    }
    // The resolved path is checked and mounted, so that links cannot lead out.
    let real = fs::canonicalize(&path).map_err(failed)?;
    check_allowed(&real, allowed)?;
    Ok(real)
}

fn check_allowed(path: &Path, allowed: &HostPaths) -> Result<(), VolumeError> {
    let is_below = |dir: &PathBuf| fs::canonicalize(dir).is_ok_and(|dir| path.starts_with(dir));
    let is_allowed = match allowed {
        HostPaths::All => true,
        HostPaths::Below(dirs) => dirs.iter().any(is_below),
    };
    let not_allowed = || VolumeError::NotAllowed { path: path.to_string_lossy().into_owned() };
    is_allowed.then_some(()).ok_or_else(not_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the directory of volume `v`.
    fn set_up(
        yaml: &str,
        pod_dir: &Path,
        allowed: &HostPaths,
        content: Option<&Content>,
    ) -> Result<PathBuf, VolumeError> {
        let volume: Volume = serde_yaml::from_str(yaml).expect("a volume");
        let mut volumes = Volumes::default();
        volumes.set_up(&volume, pod_dir, allowed, content)?;
        Ok(volumes.0.remove("v").expect("the volume").path)
    }

    #[test]
    fn projected_files_stay_below_the_volume_with_their_modes() {
        let dir = tempfile::tempdir().expect("a directory");
        let content = [("a", 0o644), ("b/c", 0o600), ("../../d", 0o644)];
        let content: Content = content.map(|(path, mode)| (path.into(), (path.as_bytes().to_vec(), mode))).into();
        let project = || set_up("{name: v}", dir.path(), &HostPaths::All, Some(&content)).expect("its directory");
        let root = project();
        for (path, mode) in [("a", 0o644), ("b/c", 0o600), ("d", 0o644)] {
            let meta = fs::metadata(root.join(path)).expect("the file");
            assert_eq!(meta.permissions().mode() & 0o777, mode, "{path}");
        }
        // A guest replaces a file by a link; the next pod of that name gets the file, and the link's target stays.
        let outside = dir.path().join("outside");
        fs::write(&outside, "theirs").expect("written");
        fs::remove_file(root.join("a")).expect("removed");
        std::os::unix::fs::symlink(&outside, root.join("a")).expect("a link");
        project();
        assert_eq!(fs::read_to_string(&outside).expect("the file"), "theirs");
        assert_eq!(fs::read_to_string(root.join("a")).expect("the file"), "a");
    }

    #[test]
    fn volumes_of_the_api_are_read_only_in_every_container() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut volumes = Volumes::default();
        let content: Content = [("a".into(), (Vec::new(), 0o644))].into();
        for (yaml, content) in [("{name: map, configMap: {name: m}}", Some(&content)), ("{name: own}", None)] {
            let volume: Volume = serde_yaml::from_str(yaml).expect("a volume");
            volumes.set_up(&volume, dir.path(), &HostPaths::All, content).expect("set up");
        }
        let mounts = "{name: c, volumeMounts: [{name: map, mountPath: /a}, {name: map, mountPath: /b, readOnly: false},
            {name: own, mountPath: /c}, {name: own, mountPath: /d, readOnly: true}]}";
        let container: Container = serde_yaml::from_str(mounts).expect("a container");
        let read_only: Vec<bool> = volumes.mounts(&container).expect("mounts").iter().map(|m| m.read_only).collect();
        assert_eq!(read_only, [true, true, false, true]);
    }

    #[test]
    fn host_paths_are_checked_by_type_and_allowed_directories() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = fs::canonicalize(dir.path()).expect("its path");
        fs::create_dir(root.join("inside")).expect("made");
        std::os::unix::fs::symlink("/etc", root.join("link")).expect("a link");
        let below = HostPaths::Below(vec![root.clone()]);
        for (path, kind, allowed, is_ok) in [
            ("inside", "", &HostPaths::All, true),
            ("inside", "Directory", &below, true),
            ("new", "DirectoryOrCreate", &below, true),
            ("missing", "Directory", &HostPaths::All, false),
            ("missing", "", &HostPaths::All, false),
            ("inside", "Socket", &HostPaths::All, false),
            ("link", "", &HostPaths::All, true),
            ("link", "", &below, false),
            ("../other", "DirectoryOrCreate", &below, false),
        ] {
            let host_path = root.join(path);
            let yaml = format!("{{name: v, hostPath: {{path: {host_path:?}, type: {kind:?}}}}}");
            let result = set_up(&yaml, &root, allowed, None);
            assert_eq!(result.is_ok(), is_ok, "{path} as {kind:?} with {allowed:?}: {result:?}");
        }
    }
}
