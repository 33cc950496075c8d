//! What the line editor and the full-screen applets share: keys, widths of characters, and escape sequences. Only
//! `keyboard` performs input; the rest is pure.

pub mod frame;
pub mod keyboard;
pub mod keys;
pub mod width;

#[cfg(test)]
pub mod screen;

/// Clears the screen from the cursor to its end.
pub const CLEAR_BELOW: &str = "\x1b[J";

/// Clears the line from the cursor to its end.
pub const CLEAR_LINE: &str = "\x1b[K";

/// Clears the screen and moves to its upper left corner.
pub const CLEAR_SCREEN: &str = "\x1b[H\x1b[J";

/// Switches to the alternate screen, which has no scroll-back, and back.
pub const ENTER_ALTERNATE: &str = "\x1b[?1049h";
pub const LEAVE_ALTERNATE: &str = "\x1b[?1049l";

/// Makes the terminal mark pasted text, and stops that.
pub const ENABLE_PASTE: &str = "\x1b[?2004h";
pub const DISABLE_PASTE: &str = "\x1b[?2004l";

/// Reverse video, and its end.
pub const REVERSE: &str = "\x1b[7m";
pub const PLAIN: &str = "\x1b[m";

/// Returns the sequence that moves the cursor to a row and column, both from 0.
pub fn move_to(row: usize, column: usize) -> String {
    format!("\x1b[{};{}H", row + 1, column + 1)
}
