//! A container's files: a root of its own and what is mounted into it.
//!
//! First form: the root is a folder on the host, made when the guest first asks for files, and
//! every mount is a preopened directory beside it. `runtime` sees [`Mounts`] alone, so the true
//! mount table can take its place. Knows no WASI.

mod message;

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags};

/// A directory that is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where the guest sees it: absolute, normalised.
    pub at: String,
    /// The volume's directory on the host.
    pub volume: PathBuf,
    /// What of the volume is shown; empty for all. Made where it is missing.
    pub sub_path: String,
    /// Whether guests may only read it.
    pub read_only: bool,
}

/// A file that an image brings along.
pub type ImageFile = (&'static str, &'static [u8]);

/// See the module's documentation.
#[derive(Debug)]
pub struct Mounts {
    /// The folder that is `/`; `None` where the guest gets none.
    root: Option<PathBuf>,
    image: &'static [ImageFile],
    mounts: Vec<Mount>,
    /// Where the guest begins; absolute, normalised. Made where it is missing.
    working_dir: String,
    message: Option<message::MessageFile>,
    /// Files of this container's own, by path.
    files: Vec<(&'static str, String)>,
}

/// A directory that the guest may see, held open.
#[derive(Debug)]
pub struct OpenMount {
    /// Where the guest sees it: absolute, normalised.
    pub at: String,
    /// Whether the guest may only read it.
    pub read_only: bool,
    dir: File,
}

impl OpenMount {
    /// A path to the open directory itself: whoever renames or links meanwhile changes nothing.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.dir.as_raw_fd()))
    }
}

/// Why a file tree can't be shown.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// The folder that is `/` can't be made, filled or opened.
    #[error("cannot make the root folder {path:?}")]
    Root {
        /// Where it should be on the host.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A volume can't be opened, or is no directory.
    #[error("cannot open volume folder {path:?} for {at}")]
    Open {
        /// Where the guest would see it.
        at: String,
        /// The volume's place on the host.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A sub path can't be made or opened, or leads out of its volume.
    #[error("cannot make sub path {sub_path:?} for {at}")]
    SubPath {
        /// Where the guest would see it.
        at: String,
        /// The path inside the volume, as the manifest gives it.
        sub_path: String,
        /// What the system says.
        source: io::Error,
    },
    /// The guest's working directory can't be made, or leads out of its mount.
    #[error("cannot make working directory {path:?}")]
    WorkingDir {
        /// Where the guest would see it.
        path: String,
        /// What the system says.
        source: io::Error,
    },
}

impl Mounts {
    /// A tree with `root` as `/`, filled with the image's files on first use.
    pub fn new(root: Option<PathBuf>, image: &'static [ImageFile], mounts: Vec<Mount>) -> Mounts {
        Mounts { root, image, mounts, working_dir: "/".into(), message: None, files: Vec::new() }
    }

    /// The same tree with a file of this container's own in its root; `path` is absolute and normalised.
    pub fn with_file(mut self, path: &'static str, content: String) -> Mounts {
        self.files.push((path, content));
        self
    }

    /// The same tree with a directory in which the guest begins, as container runtimes make it.
    pub fn with_working_dir(self, path: &str) -> Mounts {
        Mounts { working_dir: normalized(path), ..self }
    }

    /// Opens everything; the root is made now if it was not yet.
    pub fn open(&self) -> Result<Vec<OpenMount>, MountError> {
        let mut opened = Vec::with_capacity(self.mounts.len() + 1);
        if let Some(root) = &self.root {
            let failed = |source| MountError::Root { path: root.clone(), source };
            self.make_root(root).map_err(failed)?;
            opened.push(OpenMount { at: "/".into(), read_only: false, dir: File::open(root).map_err(failed)? });
        }
        for mount in &self.mounts {
            opened.push(OpenMount { at: mount.at.clone(), read_only: mount.read_only, dir: open_mount(mount)? });
        }
        self.make_working_dir(&opened)?;
        if let Some(message) = &self.message {
            message.make(&opened);
        }
        Ok(opened)
    }

    fn make_working_dir(&self, opened: &[OpenMount]) -> Result<(), MountError> {
        let Some((mount, rest)) = place_of(&self.working_dir, opened) else { return Ok(()) };
        if rest.is_empty() || mount.read_only {
            return Ok(());
        }
        let failed = |source| MountError::WorkingDir { path: self.working_dir.clone(), source };
        let dir = mount.dir.try_clone().map_err(failed)?;
        open_beneath(dir, rest).map(drop).map_err(failed)
    }

    fn make_root(&self, root: &Path) -> io::Result<()> {
        if root.exists() {
            return Ok(());
        }
        fs::create_dir_all(root.join("tmp"))?;
        let own = self.files.iter().map(|(path, content)| (*path, content.as_bytes()));
        for (path, content) in self.image.iter().copied().chain(own) {
            let file = root.join(path.trim_start_matches('/'));
            if let Some(parent) = file.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(file, content)?;
        }
        // So that listings show where something is mounted.
        for mount in &self.mounts {
            fs::create_dir_all(root.join(mount.at.trim_start_matches('/')))?;
        }
        Ok(())
    }
}

impl Mount {
    /// Whether it can be opened as it is now. Guests that share the volume may change that at any time.
    pub fn check(&self) -> Result<(), MountError> {
        open_mount(self).map(drop)
    }
}

/// Makes a link at `at` below `folder` that leads to `target`, whatever that is.
pub fn make_link(folder: &File, target: &str, at: &str) -> io::Result<()> {
    let (parent, name) = at.rsplit_once('/').unwrap_or((".", at));
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let parent = rustix::fs::openat2(folder.as_fd(), parent, flags, Mode::empty(), resolve)?;
    Ok(rustix::fs::symlinkat(target, parent, name)?)
}

/// An absolute path without `.`, `..` and double slashes.
pub fn normalized(path: &str) -> String {
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

/// What of `path` lies below `folder`; empty if it is the folder itself.
fn below<'p>(path: &'p str, folder: &str) -> Option<&'p str> {
    let rest = path.strip_prefix(folder.trim_end_matches('/'))?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
}

/// The mount in which `path` lies, and its path there.
fn place_of<'m, 'p>(path: &'p str, opened: &'m [OpenMount]) -> Option<(&'m OpenMount, &'p str)> {
    let places = opened.iter().filter_map(|mount| below(path, &mount.at).map(|rest| (mount, rest)));
    places.min_by_key(|(_, rest)| rest.len())
}

fn open_mount(mount: &Mount) -> Result<File, MountError> {
    let failed = |source| MountError::Open { at: mount.at.clone(), path: mount.volume.clone(), source };
    let volume = File::open(&mount.volume).map_err(failed)?;
    if !volume.metadata().map_err(failed)?.is_dir() {
        return Err(failed(io::Error::new(io::ErrorKind::NotADirectory, "single files can't be mounted yet")));
    }
    if mount.sub_path.is_empty() {
        return Ok(volume);
    }
    let failed = |source| MountError::SubPath { at: mount.at.clone(), sub_path: mount.sub_path.clone(), source };
    open_beneath(volume, &mount.sub_path).map_err(failed)
}

/// Opens `sub_path` below `volume`, making what is missing. A link that leads out of the volume is
/// refused by the kernel itself, so that a guest that plants one between two looks gains nothing.
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
        Mount { at: "/m".into(), volume: volume.into(), sub_path: sub_path.into(), read_only: false }
    }

    #[test]
    fn the_root_is_made_on_first_use_and_shows_image_and_mount_points() {
        let dir = tempfile::tempdir().expect("a folder");
        let (root, volume) = (dir.path().join("root"), dir.path().join("v"));
        fs::create_dir(&volume).expect("a volume");
        let image: &[ImageFile] = &[("/etc/motd", b"hello")];
        let mounts = Mounts::new(Some(root.clone()), image, vec![mount(&volume, "")]);
        assert!(!root.exists());
        let opened = mounts.open().expect("opens");
        assert_eq!(opened.iter().map(|o| o.at.as_str()).collect::<Vec<_>>(), ["/", "/m"]);
        assert_eq!(fs::read(root.join("etc/motd")).expect("the image's file"), b"hello");
        assert!(root.join("m").is_dir() && root.join("tmp").is_dir());
    }

    #[test]
    fn the_working_directory_is_made_where_it_lies() {
        let dir = tempfile::tempdir().expect("a folder");
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
    fn links_are_made_below_their_folder_and_lead_anywhere() {
        let dir = tempfile::tempdir().expect("a folder");
        let inside = dir.path().join("inside");
        fs::create_dir_all(inside.join("sub")).expect("a folder");
        std::os::unix::fs::symlink("..", inside.join("out")).expect("a link");
        let folder = File::open(&inside).expect("opens");
        for (at, made) in [("a", true), ("sub/b", true), ("./c", true), ("a", false), ("none/d", false)] {
            assert_eq!(make_link(&folder, "/etc", at).is_ok(), made, "{at}");
        }
        assert_eq!(fs::read_link(inside.join("sub/b")).expect("a link"), Path::new("/etc"));
        for at in ["../x", "out/x", "/tmp/x", "a/x", "sub/../../x", "", ".."] {
            assert!(make_link(&folder, "/etc", at).is_err(), "{at:?}");
        }
    }

    #[test]
    fn paths_are_normalised() {
        for (path, want) in [("/a//b/", "/a/b"), ("a/../b", "/b"), ("/", "/"), ("/a/./b/..", "/a")] {
            assert_eq!(normalized(path), want, "{path}");
        }
    }

    #[test]
    fn a_sub_path_is_made_and_never_leads_out_of_its_volume() {
        let dir = tempfile::tempdir().expect("a folder");
        let (volume, outside) = (dir.path().join("v"), dir.path().join("outside"));
        fs::create_dir(&volume).expect("a volume");
        fs::create_dir(&outside).expect("a folder");
        std::os::unix::fs::symlink("../outside", volume.join("relative")).expect("a link");
        std::os::unix::fs::symlink(&outside, volume.join("absolute")).expect("a link");
        std::os::unix::fs::symlink("inside", volume.join("fine")).expect("a link");
        fs::create_dir(volume.join("inside")).expect("a folder");
        for (sub_path, opens) in [("a/b", true), ("fine", true), ("relative", false), ("absolute", false)] {
            assert_eq!(open_mount(&mount(&volume, sub_path)).is_ok(), opens, "{sub_path}");
        }
        assert!(volume.join("a/b").is_dir());
    }
}
