//! The private Unix sockets on which runs and nodes of this user serve their APIs, and by which client commands find
//! them.
//!
//! A socket has mode 0600, in a directory of mode 0700. It is named after its process, and removed at the end; those of
//! killed processes are removed when a client or the next process looks for sockets.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

use super::state_directory;

/// A socket of this process. Dropping it removes the file.
pub struct PrivateSocket {
    path: PathBuf,
}

impl PrivateSocket {
    /// Creates the socket of this process, which runs `command`.
    ///
    /// # Errors
    ///
    /// Fails if there is no directory in which only this user can create files.
    pub fn create(command: &str) -> io::Result<(PrivateSocket, UnixListener)> {
        let mut failure = io::Error::new(io::ErrorKind::NotFound, "neither XDG_RUNTIME_DIR nor HOME is set");
        for directory in directories() {
            match create_in(&directory, command) {
                Ok(created) => return Ok(created),
                Err(error) => failure = io::Error::new(error.kind(), format!("{}: {error}", directory.display())),
            }
        }
        Err(failure)
    }

    /// Returns the path of the socket.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for PrivateSocket {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(path = %self.path.display(), %error, "cannot remove the socket");
        }
    }
}

/// A socket on which a process listens.
#[derive(Debug, PartialEq, Eq)]
pub struct LiveSocket {
    /// The path of the socket.
    pub path: PathBuf,
    /// The command line of the process, if it is known.
    pub command: String,
}

/// Returns the sockets of running processes, and removes those of processes that were killed.
pub fn live_sockets() -> Vec<LiveSocket> {
    directories().iter().flat_map(|directory| live_sockets_in(directory)).collect()
}

/// The directories for sockets, the preferred one first.
fn directories() -> Vec<PathBuf> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    let state = state_directory::default_path().ok();
    let state = state.as_deref().and_then(Path::parent).map(|wasmpod| wasmpod.join("sockets"));
    runtime.map(|runtime| runtime.join("wasmpod")).into_iter().chain(state).collect()
}

fn create_in(directory: &Path, command: &str) -> io::Result<(PrivateSocket, UnixListener)> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    if !is_private(directory)? {
        fs::set_permissions(directory, Permissions::from_mode(0o700))?;
    }
    live_sockets_in(directory);
    let path = directory.join(format!("{command}-{}.sock", std::process::id()));
    let listener = UnixListener::bind(&path)?;
    let socket = PrivateSocket { path };
    fs::set_permissions(socket.path(), Permissions::from_mode(0o600))?;
    Ok((socket, listener))
}

/// Returns whether only this user can use a directory.
///
/// # Errors
///
/// Fails if it is not a directory of this user.
fn is_private(directory: &Path) -> io::Result<bool> {
    let metadata = fs::symlink_metadata(directory)?;
    let is_own = metadata.is_dir() && metadata.uid() == rustix::process::geteuid().as_raw();
    match is_own {
        true => Ok(metadata.mode() & 0o077 == 0),
        false => Err(io::Error::new(io::ErrorKind::PermissionDenied, "not a directory of this user")),
    }
}

fn live_sockets_in(directory: &Path) -> Vec<LiveSocket> {
    // Others may have put sockets into a directory that is not private.
    if !is_private(directory).unwrap_or(false) {
        return Vec::new();
    }
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut sockets: Vec<LiveSocket> = entries.filter_map(|entry| live_socket(entry.path())).collect();
    sockets.sort_by(|a, b| a.path.cmp(&b.path));
    sockets
}

/// Returns a socket on which a process listens. Removes that of a process that has ended.
fn live_socket(path: PathBuf) -> Option<LiveSocket> {
    let process = path.file_name()?.to_str()?.strip_suffix(".sock")?.rsplit_once('-')?.1.to_string();
    match UnixStream::connect(&path) {
        Ok(_) => Some(LiveSocket { command: command_line(&process).unwrap_or_default(), path }),
        Err(error) => {
            // A process that has just created its socket refuses connections for a moment.
            let is_abandoned = error.kind() == io::ErrorKind::ConnectionRefused && !process_exists(&process);
            if is_abandoned && let Err(error) = fs::remove_file(&path) {
                tracing::debug!(path = %path.display(), %error, "cannot remove an abandoned socket");
            }
            None
        }
    }
}

fn process_exists(process: &str) -> bool {
    Path::new("/proc").join(process).exists()
}

/// Returns the command line of a process, with the name of the program instead of its path.
fn command_line(process: &str) -> Option<String> {
    let bytes = fs::read(Path::new("/proc").join(process).join("cmdline")).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let mut words = text.trim_end_matches('\0').split('\0');
    let program = words.next()?;
    let program = program.rsplit_once('/').map_or(program, |(_, name)| name);
    Some([program].into_iter().chain(words).collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn private_directory() -> tempfile::TempDir {
        let directory = tempfile::tempdir().expect("a directory");
        fs::set_permissions(directory.path(), Permissions::from_mode(0o700)).expect("changed");
        directory
    }

    #[tokio::test]
    async fn sockets_are_private_found_and_removed() {
        let parent = tempfile::tempdir().expect("a directory");
        let directory = parent.path().join("wasmpod");
        let (socket, listener) = create_in(&directory, "run").expect("a socket");
        let mode = |path: &Path| fs::metadata(path).expect("metadata").mode() & 0o777;
        assert_eq!((mode(&directory), mode(socket.path())), (0o700, 0o600));
        let live = live_sockets_in(&directory);
        assert_eq!(live.iter().map(|socket| socket.path.as_path()).collect::<Vec<_>>(), [socket.path()]);
        assert!(!live.first().expect("a socket").command.is_empty());
        drop((socket, listener));
        assert_eq!(fs::read_dir(&directory).expect("listed").count(), 0);
    }

    #[test]
    fn abandoned_sockets_are_removed_and_other_files_kept() {
        let directory = private_directory();
        // No process has this number.
        let abandoned = directory.path().join("run-999999999.sock");
        drop(std::os::unix::net::UnixListener::bind(&abandoned).expect("a socket"));
        fs::write(directory.path().join("notes-1.txt"), "").expect("written");
        assert_eq!(live_sockets_in(directory.path()), []);
        let names: Vec<_> = fs::read_dir(directory.path()).expect("listed").flatten().map(|e| e.file_name()).collect();
        assert_eq!(names, ["notes-1.txt"]);
    }

    #[test]
    fn sockets_in_directories_open_to_others_are_ignored() {
        let directory = private_directory();
        let _listener = std::os::unix::net::UnixListener::bind(directory.path().join("run-1.sock")).expect("a socket");
        assert_eq!(live_sockets_in(directory.path()).len(), 1);
        fs::set_permissions(directory.path(), Permissions::from_mode(0o777)).expect("changed");
        assert_eq!(live_sockets_in(directory.path()), []);
    }
}
