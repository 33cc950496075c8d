//! The file in which a guest leaves a message about its end. It is there, empty, when the guest first
//! looks; the host reads it afterwards.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Mode, OFlags, ResolveFlags};

use super::{Mounts, OpenMount, normalized, open_beneath, place_of};

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct MessageFile {
    at: String,
    /// Whether a guest has looked; before, there is no file.
    made: AtomicBool,
}

impl MessageFile {
    /// Makes the file empty, once for all instances that open the tree. Where it can't be (the volume is
    /// only for reading, a directory has its name), no message can be left.
    pub(super) fn make(&self, opened: &[OpenMount]) {
        if self.made.swap(true, Ordering::Relaxed) {
            return;
        }
        let Some((mount, rest)) = place_of(&self.at, opened).filter(|(mount, _)| !mount.read_only) else { return };
        if let Err(error) = make_empty(mount, rest) {
            tracing::debug!(path = self.at, %error, "cannot make the file for a message");
        }
    }
}

impl Mounts {
    /// The same tree with an empty file at `path`.
    pub fn with_message_file(self, path: &str) -> Mounts {
        let message = MessageFile { at: normalized(path), made: AtomicBool::new(false) };
        Mounts { message: Some(message), ..self }
    }

    /// Whether a guest may have left a message. The answer costs nothing, reading it does.
    pub fn may_have_message(&self) -> bool {
        self.message.as_ref().is_some_and(|message| message.made.load(Ordering::Relaxed))
    }

    /// The last `most` bytes of the message. Blocks as long as the disk does.
    pub fn message(&self, most: u64) -> io::Result<Vec<u8>> {
        let Some(message) = self.message.as_ref().filter(|_| self.may_have_message()) else { return Ok(Vec::new()) };
        let opened = self.open().map_err(io::Error::other)?;
        let Some((mount, rest)) = place_of(&message.at, &opened) else { return Ok(Vec::new()) };
        // What is no plain file (in a folder of the host's, say a pipe) must not hold the reader up.
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
        file.seek(SeekFrom::Start(meta.len().saturating_sub(most)))?;
        let mut bytes = Vec::new();
        file.take(most).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// Guests may have planted links.
fn beneath() -> ResolveFlags {
    ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS
}

fn make_empty(mount: &OpenMount, rest: &str) -> io::Result<()> {
    let (folder, name) = rest.rsplit_once('/').unwrap_or(("", rest));
    let folder = open_beneath(mount.dir.try_clone()?, folder)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NONBLOCK | OFlags::CLOEXEC;
    rustix::fs::openat2(folder.as_fd(), name, flags, Mode::from_raw_mode(0o666), beneath())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::Mount;
    use super::*;

    #[test]
    fn a_message_is_read_from_where_the_guest_sees_its_file() {
        let dir = tempfile::tempdir().expect("a folder");
        let (root, volume) = (dir.path().join("root"), dir.path().join("v"));
        fs::create_dir(&volume).expect("a volume");
        for (path, file) in [("/dev/termination-log", root.join("dev/termination-log")), ("/m/a/b", volume.join("a/b"))]
        {
            let mount = Mount { at: "/m".into(), volume: volume.clone(), sub_path: String::new(), read_only: false };
            let mounts = Mounts::new(Some(root.clone()), &[], vec![mount]).with_message_file(path);
            assert!(!mounts.may_have_message() && mounts.message(9).expect("nothing").is_empty(), "{path}");
            mounts.open().expect("opens");
            assert_eq!(fs::read(&file).expect("there is a file"), b"", "{path}");
            fs::write(&file, "the reason").expect("written");
            mounts.open().expect("opens for another instance");
            assert_eq!(mounts.message(100).expect("a message"), b"the reason", "{path}");
            assert_eq!(mounts.message(6).expect("a message"), b"reason", "{path}");
            fs::remove_file(&file).expect("removed");
            assert_eq!(mounts.message(6).expect("nothing"), b"", "{path}");
        }
    }

    #[test]
    fn a_message_is_never_read_through_a_link_that_leads_outside() {
        let dir = tempfile::tempdir().expect("a folder");
        let (root, secret) = (dir.path().join("root"), dir.path().join("secret"));
        fs::write(&secret, "secret").expect("written");
        for target in [secret.as_path(), std::path::Path::new("../../secret")] {
            let mounts = Mounts::new(Some(root.clone()), &[], vec![]).with_message_file("/dev/termination-log");
            mounts.open().expect("opens");
            fs::remove_file(root.join("dev/termination-log")).expect("removed");
            std::os::unix::fs::symlink(target, root.join("dev/termination-log")).expect("a link");
            assert!(mounts.message(100).is_err(), "{target:?}");
            fs::remove_file(root.join("dev/termination-log")).expect("removed");
        }
    }

    #[test]
    fn what_an_earlier_attempt_left_in_a_volume_is_no_message() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("said");
        fs::write(&file, "long ago").expect("written");
        let mount = Mount { at: "/m".into(), volume: dir.path().into(), sub_path: String::new(), read_only: false };
        let mounts = Mounts::new(None, &[], vec![mount]).with_message_file("/m/said");
        assert_eq!(mounts.message(100).expect("nothing"), b"");
        mounts.open().expect("opens");
        assert_eq!(mounts.message(100).expect("nothing"), b"");
    }
}
