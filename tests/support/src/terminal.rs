//! A pseudo-terminal for programs that behave differently on a terminal.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// A terminal of which the test is the user.
pub struct Terminal {
    user_side: File,
    path: PathBuf,
}

impl Terminal {
    /// Returns a new terminal of this size.
    pub fn new(columns: u16, rows: u16) -> Terminal {
        let user_side = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
        grantpt(&user_side).expect("granted");
        unlockpt(&user_side).expect("unlocked");
        let path = ptsname(&user_side, Vec::new()).expect("a name").into_string().expect("UTF-8").into();
        let terminal = Terminal { user_side: user_side.into(), path };
        terminal.resize(columns, rows);
        terminal
    }

    /// Changes the size, of which the terminal notifies its programs.
    pub fn resize(&self, columns: u16, rows: u16) {
        let size = Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.user_side, size).expect("resized");
    }

    /// Types `text`.
    pub fn type_text(&self, text: &str) {
        (&self.user_side).write_all(text.as_bytes()).expect("typed");
    }

    /// Returns the user's side, on which the output of the programs appears.
    pub fn output(&self) -> File {
        self.user_side.try_clone().expect("cloned")
    }

    /// Opens the programs' side.
    pub fn program_side(&self) -> File {
        let no_controlling_terminal = rustix::fs::OFlags::NOCTTY.bits();
        let flags = i32::try_from(no_controlling_terminal).expect("a flag");
        OpenOptions::new().read(true).write(true).custom_flags(flags).open(&self.path).expect("opened")
    }
}
