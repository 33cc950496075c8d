//! A local directory below which files are created without following links.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;

/// A directory. Paths below it are given by their parts, of which none may be `..`.
pub struct TargetDirectory(OwnedFd);

const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

impl TargetDirectory {
    /// Opens a directory, which it creates if it does not exist.
    pub fn open(path: &Path) -> io::Result<TargetDirectory> {
        std::fs::create_dir_all(path)?;
        Ok(TargetDirectory(rustix::fs::openat(CWD, path, DIRECTORY, Mode::empty())?))
    }

    /// Creates a directory and those that lead to it.
    pub fn create_directory(&self, parts: &[&OsStr]) -> io::Result<()> {
        self.open_below(parts).map(drop)
    }

    /// Creates a file, or empties an existing one. A link of its name is replaced.
    pub fn create_file(&self, parts: &[&OsStr], mode: u32) -> io::Result<File> {
        let (parent, name) = self.parent(parts)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(mode & 0o777);
        match rustix::fs::openat(&parent, name, flags, mode) {
            Err(Errno::LOOP) => {
                rustix::fs::unlinkat(&parent, name, AtFlags::empty())?;
                Ok(rustix::fs::openat(&parent, name, flags | OFlags::EXCL, mode)?.into())
            }
            file => Ok(file?.into()),
        }
    }

    /// Creates a symbolic link, in the place of what has its name.
    pub fn create_link(&self, parts: &[&OsStr], target: &Path) -> io::Result<()> {
        let (parent, name) = self.parent(parts)?;
        replacing(&parent, name, || rustix::fs::symlinkat(target, &parent, name))
    }

    /// Creates another name for an existing file, in the place of what has this name.
    pub fn create_hard_link(&self, parts: &[&OsStr], existing: &[&OsStr]) -> io::Result<()> {
        let (old_parent, old_name) = self.parent(existing)?;
        let (parent, name) = self.parent(parts)?;
        if parts == existing {
            return Ok(());
        }
        replacing(&parent, name, || rustix::fs::linkat(&old_parent, old_name, &parent, name, AtFlags::empty()))
    }

    /// Returns the directory of a path, which it creates if it does not exist, and the last part.
    fn parent<'n>(&self, parts: &[&'n OsStr]) -> io::Result<(OwnedFd, &'n OsStr)> {
        let (name, directories) = parts.split_last().ok_or(Errno::ISDIR)?;
        Ok((self.open_below(directories)?, name))
    }

    fn open_below(&self, parts: &[&OsStr]) -> io::Result<OwnedFd> {
        let mut directory = self.0.try_clone()?;
        for part in parts {
            match rustix::fs::mkdirat(&directory, *part, Mode::from_raw_mode(0o777)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            directory = rustix::fs::openat(&directory, *part, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?;
        }
        Ok(directory)
    }
}

/// Calls `create`, and again without the file `name` if that exists.
fn replacing(parent: &OwnedFd, name: &OsStr, create: impl Fn() -> rustix::io::Result<()>) -> io::Result<()> {
    match create() {
        Err(Errno::EXIST) => {
            rustix::fs::unlinkat(parent, name, AtFlags::empty())?;
            Ok(create()?)
        }
        created => Ok(created?),
    }
}
