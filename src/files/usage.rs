//! The sizes of a container's file systems, and the bytes that directories take on the disk.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{Mount, MountError, Mounts, OpenMount};

/// The size of a file system of a container: its root, or a mounted volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountUsage {
    /// The path in the container: absolute, normalized.
    pub mount_path: String,
    /// Whether the container may only read the directory.
    pub read_only: bool,
    /// Bytes in total: those of the host's file system, or the volume's limit.
    pub size: u64,
    /// Bytes that are not in use.
    pub free: u64,
    /// Free bytes that the container may use.
    pub available: u64,
    /// Files in total.
    pub inodes: u64,
    /// Files that may still be created.
    pub free_inodes: u64,
}

impl MountUsage {
    /// Returns the usage of a volume with a limit of `size` bytes of which `used` are used.
    fn limited_to(self, size: u64, used: u64) -> MountUsage {
        let free = size.saturating_sub(used);
        MountUsage { size, free, available: free.min(self.available), ..self }
    }
}

impl Mounts {
    /// Returns the usage of root and mounts. Blocks on the disk.
    ///
    /// # Errors
    /// If the tree cannot be opened.
    pub fn usages(&self) -> Result<Vec<MountUsage>, MountError> {
        let opened = self.open()?;
        let roots = self.root.iter().map(|_| None);
        let volumes = roots.chain(self.mounts.iter().map(Some));
        Ok(opened.iter().zip(volumes).filter_map(|(open, volume)| usage(open, volume)).collect())
    }
}

/// Returns the usage of an open mount; `None` if the host's file system does not tell.
fn usage(open: &OpenMount, volume: Option<&Mount>) -> Option<MountUsage> {
    let stats = rustix::fs::fstatvfs(open.dir.as_fd()).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(stats.f_frsize);
    let usage = MountUsage {
        mount_path: open.mount_path.clone(),
        read_only: open.read_only,
        size: bytes(stats.f_blocks),
        free: bytes(stats.f_bfree),
        available: bytes(stats.f_bavail),
        inodes: stats.f_files,
        free_inodes: stats.f_ffree,
    };
    Some(match volume.and_then(|volume| volume.size_limit.map(|limit| (volume, limit))) {
        Some((volume, limit)) => usage.limited_to(limit, disk_usage(&volume.volume_dir)),
        None => usage,
    })
}

/// Returns the bytes that a directory and everything below it take on the disk.
///
/// Unreadable entries count nothing, links are not followed. Blocks the thread.
pub fn disk_usage(dir: &Path) -> u64 {
    let (mut bytes, mut dirs) = (0, vec![dir.to_path_buf()]);
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(meta) if meta.is_dir() => dirs.push(entry.path()),
                Ok(meta) => bytes += meta.blocks() * 512,
                Err(_) => {}
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limited_volumes_have_the_size_of_their_limit() {
        let dir = tempfile::tempdir().expect("a directory");
        let (root, volume) = (dir.path().join("root"), dir.path().join("v"));
        fs::create_dir_all(volume.join("sub")).expect("a volume");
        fs::write(volume.join("file"), [1; 8192]).expect("written");
        let mount = Mount {
            mount_path: "/m".into(),
            volume_dir: volume,
            sub_path: "sub".into(),
            read_only: true,
            size_limit: Some(20_000),
        };
        let usages = Mounts::new(Some(root), &[], vec![mount]).usages().expect("usages");
        let [root, limited] = usages.as_slice() else { panic!("{usages:?}") };
        assert!(root.mount_path == "/" && root.size > root.free && root.free >= root.available && root.inodes > 0);
        assert!(limited.mount_path == "/m" && limited.read_only && limited.size == 20_000);
        assert!(limited.free <= 20_000 - 8192, "files beside the sub path count: {limited:?}");
    }
}
