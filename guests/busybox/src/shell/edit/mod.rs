//! Line editing in interactive shells on a terminal.
//!
//! `editor` (with `buffer`, `view`, `completion` and `history`) is pure; this module reads the keys and writes what the
//! editor returns, and `candidates` finds the names that Tab completes. The terminal is in raw mode only while a line is
//! edited: commands find it in cooked mode.

mod buffer;
mod candidates;
mod completion;
mod editor;
mod history;
mod view;

use crate::console::keyboard::{Event, Keyboard};
use crate::console::keys::Key;
use crate::console::{DISABLE_PASTE, ENABLE_PASTE};
use crate::proc::Reader;

use super::Shell;

use editor::{Editor, Step};

pub use history::{DEFAULT_SIZE as DEFAULT_HISTORY_SIZE, History};

/// The width of a terminal that does not say.
const DEFAULT_COLUMNS: u16 = 80;

/// The terminal from which an interactive shell reads its commands.
pub struct LineEditor {
    reader: Reader,
    editor: Editor,
}

/// A line that was edited.
pub enum Line {
    /// The text with a newline.
    Text(String),
    Interrupted,
    End,
}

impl LineEditor {
    /// Returns the editor for a shell that reads from `reader`; `None` if that is not a terminal.
    pub fn new(reader: Reader) -> Option<LineEditor> {
        let usable = reader.is_terminal() && terminal::size().is_some();
        usable.then(|| LineEditor { reader, editor: Editor::new() })
    }
}

/// Returns the width of the terminal; asking acknowledges that it changed.
fn columns() -> usize {
    let columns = terminal::size().map_or(0, |size| size.columns);
    usize::from(if columns == 0 { DEFAULT_COLUMNS } else { columns })
}

impl Shell {
    /// Lets the user edit a line. Dropping the future leaves the line as it is and restores the terminal's mode.
    pub async fn edit_line(&self, LineEditor { reader, editor }: &mut LineEditor, prompt: &str) -> Line {
        let _raw = terminal::RawMode::enter();
        let mut keyboard = Keyboard::new(reader.clone());
        let output = self.descriptors.writer(2);
        editor.start(prompt, columns());
        let mut out = ENABLE_PASTE.to_string() + &editor.draw();
        let line = loop {
            let _ = output.write_all(out.as_bytes()).await;
            out.clear();
            let step = match keyboard.next().await {
                Event::Key(key) => self.press_keys(editor, key, &mut keyboard),
                // Even at the same size: a client that attaches changes it twice to see the line.
                Event::Resized => {
                    out = ENABLE_PASTE.to_string() + &editor.resize(columns());
                    continue;
                }
                Event::End => Step::End,
            };
            match step {
                Step::Edit => {}
                Step::Complete(target) => out = editor.complete(&target, &self.candidates(&target)),
                Step::Accept(text) => break Line::Text(text + "\n"),
                Step::Interrupt => break Line::Interrupted,
                Step::End => break Line::End,
            }
            out.push_str(&editor.draw());
        };
        let mark = if matches!(line, Line::Interrupted) { "^C" } else { "" };
        out = editor.leave(mark) + DISABLE_PASTE;
        let _ = output.write_all(out.as_bytes()).await;
        line
    }

    /// Applies a key and those that have arrived behind it, so that pasted text is drawn once. Stops at the first that
    /// does more than edit the line.
    fn press_keys(&self, editor: &mut Editor, first: Key, keyboard: &mut Keyboard) -> Step {
        let history = self.history.borrow();
        let mut step = editor.press(first, &history);
        while step == Step::Edit
            && let Some(key) = keyboard.next_arrived()
        {
            step = editor.press(key, &history);
        }
        step
    }
}
