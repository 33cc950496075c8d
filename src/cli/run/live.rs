//! The live view on a terminal: a line with the state of each container, above the newest log lines.
//!
//! The view is repainted when something changes. Log lines that no longer fit are printed above the states first, so
//! that they scroll into the terminal's history.

use std::collections::VecDeque;
use std::io::{self, Write};

use crossterm::cursor::{Hide, MoveToColumn, MoveUp, Show};
use crossterm::style::Print;
use crossterm::terminal::{BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, size};
use crossterm::{execute, queue};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use super::pod_watcher::PodWatcher;
use crate::cli::report::container_state;
use crate::clock::Clock;
use crate::model::{duration, outcome, pods};

/// The live view of a run's containers and newest log lines on a terminal.
pub struct Live {
    colour: bool,
    clock: Clock,
    states: Vec<String>,
    /// The newest log lines.
    lines: VecDeque<String>,
    /// Rows on the screen; the cursor is at the end of the last one.
    painted_rows: usize,
    is_cursor_hidden: bool,
}

/// The states take at most two thirds of the screen, but at least so many are shown.
const MIN_STATES: usize = 6;

impl Live {
    pub fn new(colour: bool, clock: Clock) -> Live {
        Live { colour, clock, states: Vec::new(), lines: VecDeque::new(), painted_rows: 0, is_cursor_hidden: false }
    }

    /// Repaints the containers' states if they have changed.
    pub fn update_states(&mut self, watcher: &PodWatcher) {
        let mut states = Vec::new();
        for observed in watcher.pods() {
            let statuses = outcome::container_statuses(&observed.pod);
            states.extend(statuses.map(|status| self.state_line(&observed.pod, status, observed.is_deleted)));
        }
        let (_, rows) = size().unwrap_or((80, 24));
        let max_states = (usize::from(rows) * 2 / 3).max(MIN_STATES);
        let hidden = states.len().saturating_sub(max_states);
        if hidden > 0 {
            states.truncate(max_states);
            states.push(format!("… and {hidden} more containers"));
        }
        if states != self.states {
            self.states = states;
            // A closed terminal does not stop the run.
            let _ = self.paint(Vec::new());
        }
    }

    /// Adds log lines.
    pub fn add_lines(&mut self, new: Vec<String>) -> io::Result<()> {
        self.lines.extend(new);
        let (_, rows) = size().unwrap_or((80, 24));
        let available = usize::from(rows).saturating_sub(self.states.len() + 1).max(1);
        let overflow = self.lines.len().saturating_sub(available);
        let scrolled = self.lines.drain(..overflow).collect();
        self.paint(scrolled)
    }

    /// Leaves the view on the screen and shows the cursor again.
    pub fn finish(&mut self) {
        if self.is_cursor_hidden {
            let _ = execute!(io::stdout(), Print("\r\n"), Show);
            self.is_cursor_hidden = false;
        }
    }

    /// Prints `scrolled` above the view, and repaints the view.
    fn paint(&mut self, scrolled: Vec<String>) -> io::Result<()> {
        let mut out = io::stdout().lock();
        let (columns, _) = size().unwrap_or((80, 24));
        let columns = usize::from(columns).max(10);
        queue!(out, BeginSynchronizedUpdate)?;
        if !std::mem::replace(&mut self.is_cursor_hidden, true) {
            queue!(out, Hide)?;
        }
        if self.painted_rows > 1 {
            queue!(out, MoveUp(u16::try_from(self.painted_rows - 1).unwrap_or(u16::MAX)))?;
        }
        queue!(out, MoveToColumn(0), Clear(ClearType::FromCursorDown))?;
        for line in scrolled {
            queue!(out, Print(line), Print("\r\n"))?;
        }
        let rows: Vec<String> =
            self.states.iter().chain(&self.lines).map(|row| truncate_row(row, columns - 1)).collect();
        queue!(out, Print(rows.join("\r\n")), EndSynchronizedUpdate)?;
        self.painted_rows = rows.len();
        out.flush()
    }

    fn state_line(&self, pod: &Pod, status: &ContainerStatus, is_deleted: bool) -> String {
        let name = format!("{}/{}", pods::name(pod), status.name);
        let state = container_state(status);
        let (mark, colour) = match (is_deleted, state.as_str()) {
            (true, _) => ("○", 90),
            (_, "Running") if pod.metadata.deletion_timestamp.is_some() => ("◐", 33),
            (_, "Running") => ("●", 32),
            (_, "Completed") => ("✔", 32),
            (_, "ContainerCreating" | "PodInitializing" | "Waiting") => ("○", 90),
            (_, "CrashLoopBackOff") => ("↻", 33),
            _ => ("✘", 31),
        };
        let restarts = match status.restart_count {
            0 => String::new(),
            1 => "  1 restart".into(),
            n => format!("  {n} restarts"),
        };
        let age = self
            .running_for(status)
            .map(|seconds| format!("  {}", duration::human_duration(seconds)))
            .unwrap_or_default();
        let mark = if self.colour { format!("\x1b[{colour}m{mark}\x1b[0m") } else { mark.into() };
        format!("{mark} {name:<32} {state}{restarts}{age}")
    }

    fn running_for(&self, status: &ContainerStatus) -> Option<i64> {
        let started = status.state.as_ref()?.running.as_ref()?.started_at.as_ref()?;
        Some(self.clock.now().wall.duration_since(started.0).as_secs())
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.finish();
    }
}

/// Returns the first `columns` visible characters of a row, and its colours.
fn truncate_row(row: &str, columns: usize) -> String {
    let mut out = String::with_capacity(row.len());
    let mut visible = 0;
    let mut chars = row.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\x1b' {
            // Colours are kept; other sequences, which could move the cursor, are dropped.
            let mut sequence = String::from(c);
            while let Some(next) = chars.next_if(|n| *n == '[' || n.is_ascii_digit() || *n == ';') {
                sequence.push(next);
            }
            if chars.next_if_eq(&'m').is_some() {
                out.push_str(&sequence);
                out.push('m');
            } else {
                chars.next();
            }
            continue;
        }
        if visible == columns {
            continue;
        }
        out.push(if c.is_control() { ' ' } else { c });
        visible += 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_truncated_and_keep_only_colours() {
        for (row, columns, want) in [
            ("abc", 2, "ab"),
            ("\x1b[31mabc\x1b[0m", 2, "\x1b[31mab\x1b[0m"),
            ("a\x1b[2Jb\x1b[1;1Hc", 9, "abc"),
            ("a\tb", 9, "a b"),
        ] {
            assert_eq!(truncate_row(row, columns), want, "{row:?}");
        }
    }
}
