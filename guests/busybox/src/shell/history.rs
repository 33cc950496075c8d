//! The history of an interactive shell: `$HISTFILE`, `$HISTSIZE` and the builtin `history`.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

use crate::proc::normalize;

use super::edit::DEFAULT_HISTORY_SIZE;
use super::{Outcome, Shell};

impl Shell {
    fn history_file(&self) -> Option<PathBuf> {
        let name = self.variables.get("HISTFILE").filter(|name| !name.is_empty())?;
        Some(normalize(&self.cwd, name))
    }

    fn history_size(&self) -> usize {
        self.variables.get("HISTSIZE").and_then(|size| size.parse().ok()).unwrap_or(DEFAULT_HISTORY_SIZE)
    }

    /// Reads the history file; shortens it if it has more lines than are kept.
    pub fn load_history(&self) {
        let Some(path) = self.history_file() else { return };
        let Ok(bytes) = std::fs::read(&path) else { return };
        let mut history = self.history.borrow_mut();
        history.set_size(self.history_size());
        let text = String::from_utf8_lossy(&bytes);
        for line in text.lines() {
            history.add(line);
        }
        if text.lines().count() > self.history_size() {
            let kept: String = history.iter().flat_map(|line| [line, "\n"]).collect();
            // Without the file, the history is only in memory.
            let _ = std::fs::write(&path, kept);
        }
    }

    /// Adds a line that was entered.
    pub fn remember_line(&self, line: &str) {
        let mut history = self.history.borrow_mut();
        history.set_size(self.history_size());
        if !history.add(line) {
            return;
        }
        if let Some(path) = self.history_file()
            && let Ok(mut file) = OpenOptions::new().append(true).create(true).open(path)
        {
            let _ = writeln!(file, "{}", line.trim_end());
        }
    }

    /// `history [-c]`.
    pub async fn builtin_history(&mut self, args: &[String]) -> Outcome {
        match args.first().map(String::as_str) {
            None => {
                let numbered = |(i, line): (usize, &str)| format!("{i:4} {line}\n");
                let out: String = self.history.borrow().iter().enumerate().map(numbered).collect();
                self.print(&out).await?;
                Ok(0)
            }
            Some("-c") => {
                self.history.borrow_mut().clear();
                Ok(0)
            }
            Some(other) => {
                self.print_error(&format!("history: illegal option {other}")).await;
                Ok(2)
            }
        }
    }
}
