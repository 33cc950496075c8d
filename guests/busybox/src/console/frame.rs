//! The rows of a full screen: writes only those that changed.

use super::{CLEAR_LINE, move_to};

/// What is on the screen, and where the cursor is.
#[derive(Debug, Default)]
pub struct Frame {
    shown: Vec<String>,
    cursor: Option<(usize, usize)>,
}

impl Frame {
    /// Returns the bytes that show `rows`, none of which is wider than the screen, and the cursor.
    pub fn update(&mut self, rows: Vec<String>, cursor: (usize, usize)) -> String {
        let mut out = String::new();
        for (i, row) in rows.iter().enumerate() {
            if self.shown.get(i) != Some(row) {
                // Cleared before the text: at the end of a full row, that would clear the last character.
                out.push_str(&move_to(i, 0));
                out.push_str(CLEAR_LINE);
                out.push_str(row);
            }
        }
        if !out.is_empty() || self.cursor != Some(cursor) {
            out.push_str(&move_to(cursor.0, cursor.1));
        }
        (self.shown, self.cursor) = (rows, Some(cursor));
        out
    }

    /// Forgets what is shown, because the screen changed.
    pub fn forget(&mut self) {
        *self = Frame::default();
    }
}
