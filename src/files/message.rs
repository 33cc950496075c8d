//! The termination message file: created empty when a guest first opens its files, written by the guest, and read by the
//! host after the guest has exited.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Mode, OFlags, ResolveFlags};

use super::{Mounts, OpenMount, find_mount, normalize, open_beneath};

/// The file of one container.
#[derive(Debug)]
pub(super) struct TerminationMessageFile {
    /// The path in the container: absolute, normalized.
    path: String,
    /// Whether a guest has opened its files; before, the file does not exist.
    created: AtomicBool,
}

impl TerminationMessageFile {
    /// Creates the file or empties it, once for all instances that open the tree. If that fails, for instance because the
    /// volume is read-only, the container has no termination message.
    pub(super) fn create(&self, opened: &[OpenMount]) {
        if self.created.swap(true, Ordering::Relaxed) {
            return;
        }
        let Some((mount, rest)) = find_mount(&self.path, opened).filter(|(mount, _)| !mount.read_only) else { return };
        if let Err(error) = create_empty(mount, rest) {
            tracing::debug!(path = self.path, %error, "cannot create the termination message file");
        }
    }
}

impl Mounts {
    /// Sets the path of the termination message file.
    pub fn with_termination_message(self, path: &str) -> Mounts {
        let message = TerminationMessageFile { path: normalize(path), created: AtomicBool::new(false) };
        Mounts { termination_message: Some(message), ..self }
    }

    /// Returns whether a guest may have written a message. Touches no disk.
    pub fn may_have_termination_message(&self) -> bool {
        self.termination_message.as_ref().is_some_and(|message| message.created.load(Ordering::Relaxed))
    }

    /// Reads the last `max` bytes of the message. Blocks on the disk.
    pub fn read_termination_message(&self, max: u64) -> io::Result<Vec<u8>> {
        let Some(message) = self.termination_message.as_ref().filter(|_| self.may_have_termination_message()) else {
            return Ok(Vec::new());
        };
        let opened = self.open().map_err(io::Error::other)?;
        let Some((mount, rest)) = find_mount(&message.path, &opened) else { return Ok(Vec::new()) };
        // A pipe in a host directory, for instance, must not block the reader.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let mut file = match rustix::fs::openat2(mount.dir.as_fd(), rest, flags, Mode::empty(), beneath()) {
            Ok(file) => File::from(file),
            Err(rustix::io::Errno::NOENT) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let meta = file.metadata()?;
        if !meta.is_file() {
            return Ok(Vec::new());
        }
        file.seek(SeekFrom::Start(meta.len().saturating_sub(max)))?;
        let mut bytes = Vec::new();
        file.take(max).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// Resolves paths without following links out of the mount, which guests may have created.
fn beneath() -> ResolveFlags {
    ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS
}

fn create_empty(mount: &OpenMount, rest: &str) -> io::Result<()> {
    let (parent, name) = rest.rsplit_once('/').unwrap_or(("", rest));
    let parent = open_beneath(mount.dir.try_clone()?, parent)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NONBLOCK | OFlags::CLOEXEC;
    rustix::fs::openat2(parent.as_fd(), name, flags, Mode::from_raw_mode(0o666), beneath())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::Mount;
    use super::*;

    #[test]
    fn message_is_read_from_the_path_that_the_guest_sees() {
        let dir = tempfile::tempdir().expect("a directory");
        let (root, volume) = (dir.path().join("root"), dir.path().join("v"));
        fs::create_dir(&volume).expect("a volume");
        for (path, file) in [("/dev/termination-log", root.join("dev/termination-log")), ("/m/a/b", volume.join("a/b"))]
        {
            let mount = Mount {
                mount_path: "/m".into(),
                volume_dir: volume.clone(),
                sub_path: String::new(),
                read_only: false,
                size_limit: None,
            };
            let mounts = Mounts::new(Some(root.clone()), &[], vec![mount]).with_termination_message(path);
            assert!(
                !mounts.may_have_termination_message()
                    && mounts.read_termination_message(9).expect("nothing").is_empty(),
                "{path}"
            );
            mounts.open().expect("opens");
            assert_eq!(fs::read(&file).expect("there is a file"), b"", "{path}");
            fs::write(&file, "the reason").expect("written");
            mounts.open().expect("opens for another instance");
            assert_eq!(mounts.read_termination_message(100).expect("a message"), b"the reason", "{path}");
            assert_eq!(mounts.read_termination_message(6).expect("a message"), b"reason", "{path}");
            fs::remove_file(&file).expect("removed");
            assert_eq!(mounts.read_termination_message(6).expect("nothing"), b"", "{path}");
        }
    }

    #[test]
    fn message_is_never_read_through_a_link_to_the_outside() {
        let dir = tempfile::tempdir().expect("a directory");
        let (root, secret) = (dir.path().join("root"), dir.path().join("secret"));
        fs::write(&secret, "secret").expect("written");
        for target in [secret.as_path(), std::path::Path::new("../../secret")] {
            let mounts = Mounts::new(Some(root.clone()), &[], vec![]).with_termination_message("/dev/termination-log");
            mounts.open().expect("opens");
            fs::remove_file(root.join("dev/termination-log")).expect("removed");
            std::os::unix::fs::symlink(target, root.join("dev/termination-log")).expect("a link");
            assert!(mounts.read_termination_message(100).is_err(), "{target:?}");
            fs::remove_file(root.join("dev/termination-log")).expect("removed");
        }
    }

    #[test]
    fn message_of_an_earlier_attempt_is_discarded() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("message");
        fs::write(&file, "long ago").expect("written");
        let mount = Mount {
            mount_path: "/m".into(),
            volume_dir: dir.path().into(),
            sub_path: String::new(),
            read_only: false,
            size_limit: None,
        };
        let mounts = Mounts::new(None, &[], vec![mount]).with_termination_message("/m/message");
        assert_eq!(mounts.read_termination_message(100).expect("nothing"), b"");
        mounts.open().expect("opens");
        assert_eq!(mounts.read_termination_message(100).expect("nothing"), b"");
    }
}
