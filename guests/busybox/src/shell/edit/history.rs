//! The lines that were entered.

use std::collections::VecDeque;

/// The number of lines to keep if `HISTSIZE` does not say.
pub const DEFAULT_SIZE: usize = 1000;

/// The latest lines, the oldest first.
#[derive(Debug)]
pub struct History {
    lines: VecDeque<String>,
    size: usize,
}

impl Default for History {
    fn default() -> History {
        History { lines: VecDeque::new(), size: DEFAULT_SIZE }
    }
}

impl History {
    /// Limits the number of lines.
    pub fn set_size(&mut self, size: usize) {
        self.size = size;
        self.trim();
    }

    fn trim(&mut self) {
        let surplus = self.lines.len().saturating_sub(self.size);
        self.lines.drain(..surplus);
    }

    /// Adds a line; false if it is empty or repeats the last one.
    pub fn add(&mut self, line: &str) -> bool {
        let line = line.trim_end();
        if line.is_empty() || self.lines.back().is_some_and(|last| last == line) {
            return false;
        }
        self.lines.push_back(line.to_string());
        self.trim();
        true
    }

    pub fn clear(&mut self) {
        self.lines.clear();
    }

    pub fn len(&self) -> usize {
        self.lines.len()
    }

    pub fn get(&self, index: usize) -> Option<&str> {
        self.lines.get(index).map(String::as_str)
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }

    /// Returns the last line before `end` that contains `text`.
    pub fn search(&self, text: &str, end: usize) -> Option<usize> {
        (0..end.min(self.lines.len())).rev().find(|index| self.get(*index).is_some_and(|line| line.contains(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_and_empty_lines_are_not_kept() {
        let mut history = History::default();
        let added: Vec<bool> = ["a", "a", "", "  ", "b \n", "a"].iter().map(|line| history.add(line)).collect();
        assert_eq!(added, [true, false, false, false, true, true]);
        assert_eq!(history.iter().collect::<Vec<_>>(), ["a", "b", "a"]);
    }

    #[test]
    fn the_oldest_lines_are_dropped() {
        let mut history = History::default();
        history.set_size(2);
        for line in ["a", "b", "c"] {
            history.add(line);
        }
        assert_eq!(history.iter().collect::<Vec<_>>(), ["b", "c"]);
        history.set_size(0);
        assert_eq!((history.len(), history.add("d"), history.len()), (0, true, 0));
    }
}
