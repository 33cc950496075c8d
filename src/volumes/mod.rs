//! A pod's volumes as directories: emptyDir, hostPath, and the files of configMaps and secrets.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::{fs, io};

use k8s_openapi::api::core::v1::{Container, HostPathVolumeSource, Volume};

use crate::files::{Mount, normalized};

/// Which folders of the host pods may mount.
#[derive(Debug, Clone)]
pub enum HostPaths {
    /// All that the user may read: pods are the user's own.
    All,
    /// Only what lies below these folders.
    Below(Vec<PathBuf>),
}

/// Why a volume can't be had.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// An emptyDir's folder can't be made.
    #[error("cannot make {path:?}")]
    EmptyDir {
        /// Where the folder should be.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The path is not what the hostPath's `type` demands.
    #[error("hostPath type check failed: {path} is not a {wanted}")]
    Type {
        /// The path as the manifest gives it.
        path: String,
        /// What is demanded, as a noun: `directory`.
        wanted: &'static str,
    },
    /// A hostPath can't be made or resolved.
    #[error("cannot use hostPath {path:?}")]
    HostPath {
        /// The path as the manifest gives it.
        path: String,
        /// What the system says.
        source: io::Error,
    },
    /// A hostPath leads out of the folders that pods may mount ([`HostPaths::Below`]).
    #[error("hostPath {path:?} is not below a folder given with --allow-host-path")]
    NotAllowed {
        /// Where it leads: links resolved, but as the manifest gives it if it was yet to be made.
        path: String,
    },
    /// wasmpod has no volumes of this kind yet.
    #[error("{kind} volumes are not supported yet")]
    Kind {
        /// The kind in Kubernetes' words: `configMap`.
        kind: &'static str,
    },
    /// A file of a configMap or secret volume can't be written.
    #[error("cannot write {path:?}")]
    Content {
        /// The file below the volume.
        path: String,
        /// What the system says.
        source: io::Error,
    },
    /// A container mounts a volume that its pod does not declare.
    #[error("volume {volume:?} is not declared")]
    Undeclared {
        /// The name that the container uses.
        volume: String,
    },
}

/// The files of a volume: their bytes and permissions, by path below it.
pub type Content = BTreeMap<String, (Vec<u8>, u32)>;

/// Where the volumes that live with a pod are, below its folder.
pub const VOLUMES: &str = "volumes";

/// The directories of a pod's volumes, by name.
#[derive(Debug, Default)]
pub struct Volumes(BTreeMap<String, PathBuf>);

impl Volumes {
    /// Makes `volume`; what lives with the pod goes below `folder`. `content` is given for those that
    /// show objects: their files.
    pub fn set_up(
        &mut self,
        volume: &Volume,
        folder: &Path,
        allowed: &HostPaths,
        content: Option<&Content>,
    ) -> Result<(), VolumeError> {
        let path = match content {
            Some(content) => fill(&volume.name, content, folder)?,
            None => set_up(volume, folder, allowed)?,
        };
        self.0.insert(volume.name.clone(), path);
        Ok(())
    }

    /// What `container` sees of them.
    pub fn mounts(&self, container: &Container) -> Result<Vec<Mount>, VolumeError> {
        let mounts = container.volume_mounts.iter().flatten();
        let mount = |mount: &k8s_openapi::api::core::v1::VolumeMount| {
            let undeclared = || VolumeError::Undeclared { volume: mount.name.clone() };
            Ok(Mount {
                at: normalized(&mount.mount_path),
                volume: self.0.get(&mount.name).ok_or_else(undeclared)?.clone(),
                sub_path: mount.sub_path.clone().unwrap_or_default(),
                read_only: mount.read_only == Some(true),
            })
        };
        mounts.map(mount).collect()
    }
}

/// Bytes that a folder takes on the disk, with all below it; what can't be read counts nothing. Links are
/// not followed. Blocks its thread.
pub fn used(folder: &Path) -> u64 {
    let (mut bytes, mut folders) = (0, vec![folder.to_path_buf()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(meta) if meta.is_dir() => folders.push(entry.path()),
                Ok(meta) => bytes += meta.blocks() * 512,
                Err(_) => {}
            }
        }
    }
    bytes
}

/// Writes the files of a volume that shows objects.
fn fill(volume: &str, content: &Content, folder: &Path) -> Result<PathBuf, VolumeError> {
    let root = folder.join(VOLUMES).join(volume);
    let failed = |path: &str, source| VolumeError::Content { path: path.into(), source };
    // A pod before may have left something, links among it, through which nothing must be written.
    match fs::remove_dir_all(&root) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(failed("", source)),
        Ok(()) | Err(_) => {}
    }
    fs::create_dir_all(&root).map_err(|source| failed("", source))?;
    for (path, (bytes, mode)) in content {
        // Validation allows neither absolute paths nor `..`; whatever else comes here stays below the root.
        let below = normalized(path);
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

fn set_up(volume: &Volume, folder: &Path, allowed: &HostPaths) -> Result<PathBuf, VolumeError> {
    if let Some(host) = &volume.host_path {
        return host_path(host, allowed);
    }
    let others = [
        ("projected", volume.projected.is_some()),
        ("downwardAPI", volume.downward_api.is_some()),
        ("persistentVolumeClaim", volume.persistent_volume_claim.is_some()),
    ];
    if let Some((kind, _)) = others.iter().find(|(_, set)| *set) {
        return Err(VolumeError::Kind { kind });
    }
    // A volume that names no kind is an emptyDir, as in Kubernetes.
    let path = folder.join(VOLUMES).join(&volume.name);
    let failed = |source| VolumeError::EmptyDir { path: path.clone(), source };
    fs::create_dir_all(&path).map_err(failed)?;
    Ok(path)
}

fn host_path(host: &HostPathVolumeSource, allowed: &HostPaths) -> Result<PathBuf, VolumeError> {
    let path = PathBuf::from(&host.path);
    let failed = |source| VolumeError::HostPath { path: host.path.clone(), source };
    let wrong = |wanted| VolumeError::Type { path: host.path.clone(), wanted };
    match host.type_.as_deref().unwrap_or_default() {
        "DirectoryOrCreate" => {
            check_allowed(&path, allowed)?;
            fs::create_dir_all(&path).map_err(failed)?;
        }
        "Directory" if !path.is_dir() => return Err(wrong("directory")),
        "" | "Directory" => {}
        "File" | "FileOrCreate" => return Err(VolumeError::Kind { kind: "single-file hostPath" }),
        "Socket" => return Err(wrong("socket that a guest could use")),
        "CharDevice" => return Err(wrong("character device that a guest could use")),
        _ => return Err(wrong("device that a guest could use")),
    }
    // What is checked is where the path leads, links included, and that is what is mounted.
    let real = fs::canonicalize(&path).map_err(failed)?;
    check_allowed(&real, allowed)?;
    Ok(real)
}

fn check_allowed(path: &Path, allowed: &HostPaths) -> Result<(), VolumeError> {
    let below = |folder: &PathBuf| fs::canonicalize(folder).is_ok_and(|folder| path.starts_with(folder));
    let fine = match allowed {
        HostPaths::All => true,
        HostPaths::Below(folders) => folders.iter().any(below),
    };
    let refused = || VolumeError::NotAllowed { path: path.to_string_lossy().into_owned() };
    fine.then_some(()).ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The folder of volume `v`.
    fn made(yaml: &str, folder: &Path, allowed: &HostPaths, content: Option<&Content>) -> Result<PathBuf, VolumeError> {
        let volume: Volume = serde_yaml::from_str(yaml).expect("a volume");
        let mut volumes = Volumes::default();
        volumes.set_up(&volume, folder, allowed, content)?;
        Ok(volumes.0.remove("v").expect("the volume"))
    }

    #[test]
    fn the_files_of_a_volume_stay_below_it_and_have_their_permissions() {
        let dir = tempfile::tempdir().expect("a folder");
        let content = [("a", 0o644), ("b/c", 0o600), ("../../d", 0o644)];
        let content: Content = content.map(|(path, mode)| (path.into(), (path.as_bytes().to_vec(), mode))).into();
        let set_up = || made("{name: v}", dir.path(), &HostPaths::All, Some(&content)).expect("its folder");
        let root = set_up();
        for (path, mode) in [("a", 0o644), ("b/c", 0o600), ("d", 0o644)] {
            let meta = fs::metadata(root.join(path)).expect("the file");
            assert_eq!(meta.permissions().mode() & 0o777, mode, "{path}");
        }
        // A guest leaves a link in a file's place; the next pod of the name gets the file, and nobody else does.
        let outside = dir.path().join("outside");
        fs::write(&outside, "theirs").expect("written");
        fs::remove_file(root.join("a")).expect("removed");
        std::os::unix::fs::symlink(&outside, root.join("a")).expect("a link");
        set_up();
        assert_eq!(fs::read_to_string(&outside).expect("the file"), "theirs");
        assert_eq!(fs::read_to_string(root.join("a")).expect("the file"), "a");
    }

    #[test]
    fn host_paths_are_checked_by_type_and_by_what_is_allowed() {
        let dir = tempfile::tempdir().expect("a folder");
        let root = fs::canonicalize(dir.path()).expect("its path");
        fs::create_dir(root.join("inside")).expect("made");
        std::os::unix::fs::symlink("/etc", root.join("link")).expect("a link");
        let below = HostPaths::Below(vec![root.clone()]);
        for (path, kind, allowed, fine) in [
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
            let at = root.join(path);
            let yaml = format!("{{name: v, hostPath: {{path: {at:?}, type: {kind:?}}}}}");
            let made = made(&yaml, &root, allowed, None);
            assert_eq!(made.is_ok(), fine, "{path} as {kind:?} with {allowed:?}: {made:?}");
        }
    }
}
