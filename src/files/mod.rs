//! A container's file tree: its own root and the volumes mounted into it.
//!
//! The root is a directory on the host, created when the guest first opens files; each mount is a preopened directory
//! beside it. Knows no WASI: `runtime` sees [`Mounts`] only, so that a real mount table can replace this form.

mod message;
mod open_files;
mod usage;

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags};

pub use open_files::{OpenFile, OpenFiles, TooManyOpenFiles, check_descriptors};
pub use usage::{MountUsage, disk_usage};

/// A volume mounted into a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// The path in the container: absolute, normalized.
    pub mount_path: String,
    /// The volume's directory on the host.
    pub volume_dir: PathBuf,
    /// The mounted path inside the volume, created if missing; empty for the whole volume.
    pub sub_path: String,
    /// Whether the container may only read the volume.
    pub read_only: bool,
    /// The volume's maximum size in bytes. Only reported here: `node` evicts pods that exceed it.
    pub size_limit: Option<u64>,
}

/// A file of an image: its absolute path and content.
pub type ImageFile = (&'static str, &'static [u8]);

/// The file tree of a container.
#[derive(Debug)]
pub struct Mounts {
    /// The host directory of `/`; `None` for a container without a root.
    root: Option<PathBuf>,
    image: &'static [ImageFile],
    mounts: Vec<Mount>,
    /// The initial working directory: absolute, normalized; created if missing.
    working_dir: String,
    termination_message: Option<message::TerminationMessageFile>,
    /// Files beside the image's, by path.
    files: Vec<(&'static str, String)>,
    open_files: OpenFiles,
}

/// An open directory of the file tree.
#[derive(Debug)]
pub struct OpenMount {
    /// The path in the container: absolute, normalized.
    pub mount_path: String,
    /// Whether the container may only read the directory.
    pub read_only: bool,
    dir: File,
}

impl OpenMount {
    /// Returns a path that leads to the open directory itself, even if its path is renamed or replaced by a link.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.dir.as_raw_fd()))
    }
}

/// The error of a file tree that cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// The root directory cannot be created, filled or opened.
    #[error("cannot create root directory {path:?}")]
    Root {
        /// The directory on the host.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A volume cannot be opened, or is not a directory.
    #[error("cannot open volume directory {path:?} for {mount_path}")]
    Open {
        /// The path in the container.
        mount_path: String,
        /// The directory on the host.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A sub path cannot be created or opened, or leads out of its volume.
    #[error("cannot create sub path {sub_path:?} for {mount_path}")]
    SubPath {
        /// The path in the container.
        mount_path: String,
        /// The path inside the volume, as in the manifest.
        sub_path: String,
        /// The system's error.
        source: io::Error,
    },
    /// A sub path names a single file.
    #[error("sub path {sub_path:?} for {mount_path} is a file: not supported yet: mount its directory instead")]
    SingleFile {
        /// The path in the container.
        mount_path: String,
        /// The path inside the volume, as in the manifest.
        sub_path: String,
    },
    /// The working directory cannot be created, or leads out of its mount.
    #[error("cannot create working directory {path:?}")]
    WorkingDir {
        /// The path in the container.
        path: String,
        /// The system's error.
        source: io::Error,
    },
}

impl Mounts {
    /// Returns a tree with `root` as `/`, which is filled with the image's files on first use.
    pub fn new(root: Option<PathBuf>, image: &'static [ImageFile], mounts: Vec<Mount>) -> Mounts {
        Mounts {
            root,
            image,
            mounts,
            working_dir: "/".into(),
            termination_message: None,
            files: Vec::new(),
            open_files: OpenFiles::default(),
        }
    }

    /// Returns the files that the container's guests have open.
    pub fn open_files(&self) -> &OpenFiles {
        &self.open_files
    }

    /// Adds a file to the root; `path` is absolute and normalized.
    pub fn with_file(mut self, path: &'static str, content: String) -> Mounts {
        self.files.push((path, content));
        self
    }

    /// Sets the initial working directory, which is created if missing, as by other container runtimes.
    pub fn with_working_dir(self, path: &str) -> Mounts {
        Mounts { working_dir: normalize(path), ..self }
    }

    /// Opens root and mounts; the first call creates the root.
    pub fn open(&self) -> Result<Vec<OpenMount>, MountError> {
        let mut opened = Vec::with_capacity(self.mounts.len() + 1);
        if let Some(root) = &self.root {
            let root_error = |source| MountError::Root { path: root.clone(), source };
            self.create_root(root).map_err(root_error)?;
            opened.push(OpenMount {
                mount_path: "/".into(),
                read_only: false,
                dir: File::open(root).map_err(root_error)?,
            });
        }
        for mount in &self.mounts {
            opened.push(OpenMount {
                mount_path: mount.mount_path.clone(),
                read_only: mount.read_only,
                dir: open_mount(mount)?,
            });
        }
        self.create_working_dir(&opened)?;
        if let Some(message) = &self.termination_message {
            message.create(&opened);
        }
        Ok(opened)
    }

    fn create_working_dir(&self, opened: &[OpenMount]) -> Result<(), MountError> {
        let Some((mount, rest)) = find_mount(&self.working_dir, opened) else { return Ok(()) };
        if rest.is_empty() || mount.read_only {
            return Ok(());
        }
        let dir_error = |source| MountError::WorkingDir { path: self.working_dir.clone(), source };
        let dir = mount.dir.try_clone().map_err(dir_error)?;
        open_beneath(dir, rest).map(drop).map_err(dir_error)
    }

    fn create_root(&self, root: &Path) -> io::Result<()> {
        if root.exists() {
            return Ok(());
        }
        fs::create_dir_all(root.join("tmp"))?;
        let added = self.files.iter().map(|(path, content)| (*path, content.as_bytes()));
        for (path, content) in self.image.iter().copied().chain(added) {
            let file = root.join(path.trim_start_matches('/'));
            if let Some(parent) = file.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(file, content)?;
        }
        // Mount points appear in directory listings.
        for mount in &self.mounts {
            fs::create_dir_all(root.join(mount.mount_path.trim_start_matches('/')))?;
        }
        Ok(())
    }
}

impl Mount {
    /// Checks that the mount can be opened now. Guests that share the volume may change that at any time.
    pub fn check(&self) -> Result<(), MountError> {
        open_mount(self).map(drop)
    }
}

/// Creates a symbolic link at `path` below `dir` with any `target`.
///
/// # Errors
/// If `path` exists or leads out of `dir`.
pub fn create_symlink(dir: &File, target: &str, path: &str) -> io::Result<()> {
    let (parent, name) = path.rsplit_once('/').unwrap_or((".", path));
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let parent = rustix::fs::openat2(dir.as_fd(), parent, flags, Mode::empty(), resolve)?;
    Ok(rustix::fs::symlinkat(target, parent, name)?)
}

/// Returns `path` as an absolute path without `.`, `..` and double slashes.
pub fn normalize(path: &str) -> String {
    let mut out = PathBuf::from("/");
    for part in Path::new(path).components() {
        match part {
            Component::Normal(name) => out.push(name),
            Component::ParentDir => _ = out.pop(),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    out.to_string_lossy().into_owned()
}

/// Returns `path` relative to `dir`; empty if both are the same, `None` if it is not below `dir`.
fn relative_to<'p>(path: &'p str, dir: &str) -> Option<&'p str> {
    let rest = path.strip_prefix(dir.trim_end_matches('/'))?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
}

/// Returns the mount that contains `path`, and its path in that mount.
fn find_mount<'m, 'p>(path: &'p str, opened: &'m [OpenMount]) -> Option<(&'m OpenMount, &'p str)> {
    let mounts = opened.iter().filter_map(|mount| relative_to(path, &mount.mount_path).map(|rest| (mount, rest)));
    mounts.min_by_key(|(_, rest)| rest.len())
}

fn open_mount(mount: &Mount) -> Result<File, MountError> {
    let open_error =
        |source| MountError::Open { mount_path: mount.mount_path.clone(), path: mount.volume_dir.clone(), source };
    let volume = File::open(&mount.volume_dir).map_err(open_error)?;
    if !volume.metadata().map_err(open_error)?.is_dir() {
        let error = io::Error::new(io::ErrorKind::NotADirectory, "mounting single files is not supported yet");
        return Err(open_error(error));
    }
    if mount.sub_path.is_empty() {
        return Ok(volume);
    }
    open_beneath(volume, &mount.sub_path).map_err(|source| {
        let (mount_path, sub_path) = (mount.mount_path.clone(), mount.sub_path.clone());
        match source.kind() {
            io::ErrorKind::NotADirectory => MountError::SingleFile { mount_path, sub_path },
            _ => MountError::SubPath { mount_path, sub_path, source },
        }
    })
}

/// Opens directory `sub_path` below `volume`, and creates missing ones. The kernel itself refuses links that lead out of
/// the volume, so a guest that replaces a directory by a link meanwhile gains nothing.
fn open_beneath(volume: File, sub_path: &str) -> io::Result<File> {
    let mut dir = volume;
    for part in sub_path.split('/').filter(|part| !part.is_empty() && *part != ".") {
        match rustix::fs::mkdirat(dir.as_fd(), part, Mode::from_raw_mode(0o777)) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        dir = rustix::fs::openat2(dir.as_fd(), part, flags, Mode::empty(), resolve)?.into();
    }
    Ok(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(volume: &Path, sub_path: &str) -> Mount {
        let (volume_dir, sub_path) = (volume.into(), sub_path.into());
        Mount { mount_path: "/m".into(), volume_dir, sub_path, read_only: false, size_limit: None }
    }

    #[test]
    fn root_is_created_on_first_use_with_image_and_mounts() {
        let dir = tempfile::tempdir().expect("a directory");
        let (root, volume) = (dir.path().join("root"), dir.path().join("v"));
        fs::create_dir(&volume).expect("a volume");
        let image: &[ImageFile] = &[("/etc/motd", b"hello")];
        let mounts = Mounts::new(Some(root.clone()), image, vec![mount(&volume, "")]);
        assert!(!root.exists());
        let opened = mounts.open().expect("opens");
        assert_eq!(opened.iter().map(|o| o.mount_path.as_str()).collect::<Vec<_>>(), ["/", "/m"]);
        assert_eq!(fs::read(root.join("etc/motd")).expect("the image's file"), b"hello");
        assert!(root.join("m").is_dir() && root.join("tmp").is_dir());
    }

    #[test]
    fn working_directory_is_created_in_its_mount() {
        let dir = tempfile::tempdir().expect("a directory");
        let (root, volume) = (dir.path().join("root"), dir.path().join("v"));
        fs::create_dir(&volume).expect("a volume");
        std::os::unix::fs::symlink("/tmp", volume.join("link")).expect("a link");
        let open = |path: &str, read_only: bool| {
            let mount = Mount { read_only, ..mount(&volume, "") };
            Mounts::new(Some(root.clone()), &[], vec![mount]).with_working_dir(path).open().is_ok()
        };
        assert!(open("/a/../b/c", false) && root.join("b/c").is_dir());
        assert!(open("/m/d/e", false) && volume.join("d/e").is_dir());
        assert!(open("/mine", false) && root.join("mine").is_dir(), "beside the mount");
        assert!(open("/m/f", true) && !volume.join("f").exists());
        assert!(!open("/m/link/x", false), "a link that leads out of the volume");
    }

    #[test]
    fn symlinks_are_created_below_their_directory_only() {
        let scratch = tempfile::tempdir().expect("a directory");
        let inside = scratch.path().join("inside");
        fs::create_dir_all(inside.join("sub")).expect("a directory");
        std::os::unix::fs::symlink("..", inside.join("out")).expect("a link");
        let dir = File::open(&inside).expect("opens");
        for (path, created) in [("a", true), ("sub/b", true), ("./c", true), ("a", false), ("none/d", false)] {
            assert_eq!(create_symlink(&dir, "/etc", path).is_ok(), created, "{path}");
        }
        assert_eq!(fs::read_link(inside.join("sub/b")).expect("a link"), Path::new("/etc"));
        for path in ["../x", "out/x", "/tmp/x", "a/x", "sub/../../x", "", ".."] {
            assert!(create_symlink(&dir, "/etc", path).is_err(), "{path:?}");
        }
    }

    #[test]
    fn paths_are_normalized() {
        for (path, want) in [("/a//b/", "/a/b"), ("a/../b", "/b"), ("/", "/"), ("/a/./b/..", "/a")] {
            assert_eq!(normalize(path), want, "{path}");
        }
    }

    #[test]
    fn sub_path_is_created_and_never_leaves_its_volume() {
        let dir = tempfile::tempdir().expect("a directory");
        let (volume, outside) = (dir.path().join("v"), dir.path().join("outside"));
        fs::create_dir(&volume).expect("a volume");
        fs::create_dir(&outside).expect("a directory");
        std::os::unix::fs::symlink("../outside", volume.join("relative")).expect("a link");
        std::os::unix::fs::symlink(&outside, volume.join("absolute")).expect("a link");
        std::os::unix::fs::symlink("inside", volume.join("fine")).expect("a link");
        fs::create_dir(volume.join("inside")).expect("a directory");
        for (sub_path, opens) in [("a/b", true), ("fine", true), ("relative", false), ("absolute", false)] {
            assert_eq!(open_mount(&mount(&volume, sub_path)).is_ok(), opens, "{sub_path}");
        }
        assert!(volume.join("a/b").is_dir());
        fs::write(volume.join("file"), "text").expect("written");
        for sub_path in ["file", "file/below"] {
            let error = open_mount(&mount(&volume, sub_path)).expect_err("a file");
            assert!(matches!(error, MountError::SingleFile { .. }), "{error}");
        }
    }
}
