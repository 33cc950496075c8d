//! The output of a run: plain lines, or a live view on a terminal.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;

use super::live::Live;
use super::log_line::{LineStyle, prefixed_line};
use super::pod_watcher::{LogSource, ObservedPod, PodWatcher};
use crate::cli::report::container_state;
use crate::cli::terminal_text::escape;
use crate::clock::Clock;
use crate::control::Key;
use crate::logs::LogEntry;
use crate::model::{outcome, pods};

/// Prints logs, state changes and messages.
pub struct RunOutput {
    view: View,
    /// Standard output is for the final objects, so logs go to standard error.
    prints_objects: bool,
    line_style: LineStyle,
    /// The last printed state of each container, and under an empty name that of the pod.
    printed_states: BTreeMap<(Key, String), String>,
    /// The printed reasons why containers of a pod cannot start.
    printed_problems: BTreeSet<(Key, String)>,
}

enum View {
    Plain,
    Live(Live),
}

impl RunOutput {
    /// Creates a live view if standard output and standard error are terminals, or else plain output. Ages are
    /// computed with `clock`.
    pub fn new(prints_objects: bool, clock: Clock) -> RunOutput {
        let terminal = io::stdout().is_terminal() && io::stderr().is_terminal() && !prints_objects;
        let capable = std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let colour = terminal && capable && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
        let view = if terminal && capable { View::Live(Live::new(colour, clock)) } else { View::Plain };
        let logs_to_terminal = if prints_objects { io::stderr().is_terminal() } else { io::stdout().is_terminal() };
        let line_style = LineStyle { colour, escapes: logs_to_terminal };
        RunOutput {
            view,
            prints_objects,
            line_style,
            printed_states: BTreeMap::new(),
            printed_problems: BTreeSet::new(),
        }
    }

    /// Prints the changes of the pod at `key`.
    pub fn update_pod(&mut self, watcher: &PodWatcher, key: &Key) {
        if let Some(observed) = watcher.pod(key) {
            self.print_problems(observed);
        }
        match &mut self.view {
            View::Live(live) => live.update_states(watcher),
            View::Plain => {
                if let Some(observed) = watcher.pod(key) {
                    self.print_states(observed);
                }
            }
        }
    }

    /// Updates the ages in the live view.
    pub fn tick(&mut self, watcher: &PodWatcher) {
        if let View::Live(live) = &mut self.view {
            live.update_states(watcher);
        }
    }

    /// Prints log lines of a container.
    pub fn log(&mut self, source: &Arc<LogSource>, entries: &[LogEntry]) -> io::Result<()> {
        let lines = entries.iter().map(|entry| prefixed_line(source, entry, self.line_style));
        match &mut self.view {
            View::Live(live) => live.add_lines(lines.map(|line| String::from_utf8_lossy(&line).into_owned()).collect()),
            View::Plain if self.prints_objects => write(io::stderr().lock(), lines),
            View::Plain => write(io::stdout().lock(), lines),
        }
    }

    /// Prints a message of wasmpod.
    pub fn note(&mut self, text: &str) {
        match &mut self.view {
            View::Live(live) => {
                // A closed terminal does not stop the run.
                let _ = live.add_lines(vec![escape(text).into_owned()]);
            }
            View::Plain => stderrln!("{text}"),
        }
    }

    /// Ends the live view.
    pub fn finish(&mut self) {
        if let View::Live(live) = &mut self.view {
            live.finish();
        }
    }

    /// Prints why containers cannot start, once for each reason.
    fn print_problems(&mut self, observed: &ObservedPod) {
        for status in outcome::container_statuses(&observed.pod) {
            let Some(problem) = outcome::waiting_message(status) else { continue };
            if self.printed_problems.insert((observed.object.key.clone(), problem.to_string())) {
                self.note(&format!("{}/{} is waiting: {problem}", pods::name(&observed.pod), status.name));
            }
        }
    }

    /// Prints the new states of the containers and the new phase of the pod, each in a line on standard error.
    fn print_states(&mut self, observed: &ObservedPod) {
        let (key, name) = (&observed.object.key, pods::name(&observed.pod));
        let phase = if observed.is_deleted { "deleted" } else { pods::phase(&observed.pod) }.to_string();
        let mut changes = Vec::new();
        for status in outcome::container_statuses(&observed.pod) {
            let state = container_state(status);
            let printed = self.printed_states.insert((key.clone(), status.name.clone()), state.clone());
            if printed.as_ref() != Some(&state) && !is_starting(&state) {
                let restarts = match status.restart_count {
                    0 => String::new(),
                    1 => " (restarted once)".into(),
                    n => format!(" (restarted {n} times)"),
                };
                changes.push(format!("{name}/{}: {state}{restarts}", status.name));
            }
        }
        let printed = self.printed_states.insert((key.clone(), String::new()), phase.clone());
        if printed.as_ref() != Some(&phase) && phase != "Pending" {
            changes.push(format!("{name}: {phase}"));
        }
        changes.iter().for_each(|change| stderrln!("{change}"));
    }
}

/// Returns whether every container passes through the state before it runs.
fn is_starting(state: &str) -> bool {
    matches!(state, "ContainerCreating" | "PodInitializing" | "Waiting")
}

fn write(mut out: impl Write, lines: impl Iterator<Item = Vec<u8>>) -> io::Result<()> {
    for line in lines {
        out.write_all(&line)?;
        out.write_all(b"\n")?;
    }
    out.flush()
}
