//! The POSIX calls that std does not offer for WASI: link counts and inodes, symbolic links, times by name.
//!
//! The only module of the applets with `unsafe`: each call passes NUL-terminated strings from `CString`, or a zeroed
//! struct that the call fills.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.to_string_lossy().as_bytes()).map_err(|_| io::ErrorKind::InvalidInput.into())
}

fn check(result: i32) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The fields of `stat` that std's `Metadata` hides.
pub struct Status {
    pub inode: u64,
    pub device: u64,
    pub links: u64,
}

pub fn read_status(path: &Path, follow: bool) -> io::Result<Status> {
    let name = c_path(path)?;
    let mut stat = MaybeUninit::<libc::stat>::zeroed();
    let call = if follow { libc::stat } else { libc::lstat };
    // SAFETY: the name is NUL-terminated; the struct is ours, and zeroes are valid for it.
    let stat = unsafe {
        check(call(name.as_ptr(), stat.as_mut_ptr()))?;
        stat.assume_init()
    };
    Ok(Status { inode: stat.st_ino, device: stat.st_dev, links: stat.st_nlink })
}

pub fn symlink(target: &str, link: &Path) -> io::Result<()> {
    let (target, link) = (c_path(Path::new(target))?, c_path(link)?);
    // SAFETY: both names are NUL-terminated.
    check(unsafe { libc::symlink(target.as_ptr(), link.as_ptr()) })
}

/// Sets access and modification time; `None` leaves one unchanged.
pub fn set_times(path: &Path, accessed: Option<SystemTime>, modified: Option<SystemTime>) -> io::Result<()> {
    let name = c_path(path)?;
    let spec = |time: Option<SystemTime>| {
        // SAFETY: zeroes are valid for a timespec.
        let mut spec: libc::timespec = unsafe { std::mem::zeroed() };
        match time {
            None => spec.tv_nsec = libc::UTIME_OMIT as _,
            Some(time) => {
                let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
                spec.tv_sec = since.as_secs() as _;
                spec.tv_nsec = since.subsec_nanos() as _;
            }
        }
        spec
    };
    let times = [spec(accessed), spec(modified)];
    // SAFETY: the name is NUL-terminated; the array has the two entries that the call reads.
    check(unsafe { libc::utimensat(libc::AT_FDCWD, name.as_ptr(), times.as_ptr(), 0) })
}
