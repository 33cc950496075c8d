//! What the user sees of a run: plain lines, or a live view on a terminal.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;

use super::follow::{ObservedPod, PodWatcher, Source};
use super::live::Live;
use super::plain;
use super::report;
use crate::clock::Clock;
use crate::control::Key;
use crate::logs::Entry;
use crate::model::{outcome, pods};

/// Where and how a run is shown.
pub struct RunOutput {
    view: View,
    /// Final objects go to standard output, so logs keep away from it.
    stdout_is_taken: bool,
    colour: bool,
    /// The state that was last told of each container.
    told: BTreeMap<(Key, String), String>,
    /// What keeps pods from starting, as far as it was told.
    troubles: BTreeSet<(Key, String)>,
}

enum View {
    Plain,
    Live(Live),
}

impl RunOutput {
    /// A live view where both outputs are a terminal, else plain lines. Ages are told by `clock`.
    pub fn new(stdout_is_taken: bool, clock: Clock) -> RunOutput {
        let terminal = io::stdout().is_terminal() && io::stderr().is_terminal() && !stdout_is_taken;
        let capable = std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let colour = terminal && capable && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
        let view = if terminal && capable { View::Live(Live::new(colour, clock)) } else { View::Plain };
        RunOutput { view, stdout_is_taken, colour, told: BTreeMap::new(), troubles: BTreeSet::new() }
    }

    /// A pod has changed.
    pub fn pod(&mut self, follower: &PodWatcher, key: &Key) {
        if let Some(seen) = follower.pod(key) {
            self.tell_troubles(seen);
        }
        match &mut self.view {
            View::Live(live) => live.states(follower),
            View::Plain => {
                if let Some(seen) = follower.pod(key) {
                    self.tell_changes(seen);
                }
            }
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, follower: &PodWatcher) {
        if let View::Live(live) = &mut self.view {
            live.states(follower);
        }
    }

    /// Lines of a container. A reader of ours that has gone away ends nothing but the showing.
    pub fn log(&mut self, source: &Arc<Source>, entries: &[Entry]) -> io::Result<()> {
        let lines = entries.iter().map(|entry| plain::line(source, entry, self.colour));
        match &mut self.view {
            View::Live(live) => live.log(lines.map(|line| String::from_utf8_lossy(&line).into_owned()).collect()),
            View::Plain if self.stdout_is_taken => write(io::stderr().lock(), lines),
            View::Plain => write(io::stdout().lock(), lines),
        }
    }

    /// A word of our own.
    pub fn note(&mut self, text: &str) {
        match &mut self.view {
            View::Live(live) => {
                // The terminal is gone: there is nobody to tell.
                let _ = live.log(vec![text.to_string()]);
            }
            View::Plain => tell!("{text}"),
        }
    }

    /// The run is over.
    pub fn finish(&mut self) {
        if let View::Live(live) = &mut self.view {
            live.finish();
        }
    }

    /// Why containers wait that can't start, once for each reason.
    fn tell_troubles(&mut self, seen: &ObservedPod) {
        for status in outcome::statuses(&seen.pod) {
            let Some(trouble) = outcome::waiting_problem(status) else { continue };
            if self.troubles.insert((seen.object.key.clone(), trouble.to_string())) {
                self.note(&format!("{}/{} waits: {trouble}", pods::name(&seen.pod), status.name));
            }
        }
    }

    /// In plain form each new state of a container is a line on standard error.
    fn tell_changes(&mut self, seen: &ObservedPod) {
        let key = &seen.object.key;
        let phase = if seen.gone { "gone".to_string() } else { pods::phase(&seen.pod).to_string() };
        let mut changes = Vec::new();
        for status in outcome::statuses(&seen.pod) {
            let state = report::state(status);
            let told = self.told.insert((key.clone(), status.name.clone()), state.clone());
            if told.as_ref() != Some(&state) && !is_dull(&state) {
                let restarts = match status.restart_count {
                    0 => String::new(),
                    1 => " (restarted once)".into(),
                    n => format!(" (restarted {n} times)"),
                };
                changes.push(format!("{}/{}: {state}{restarts}", pods::name(&seen.pod), status.name));
            }
        }
        if self.told.insert((key.clone(), String::new()), phase.clone()).as_ref() != Some(&phase) && phase != "Pending"
        {
            changes.push(format!("{}: {phase}", pods::name(&seen.pod)));
        }
        changes.iter().for_each(|change| tell!("{change}"));
    }
}

/// States that every container passes and nobody asks about.
fn is_dull(state: &str) -> bool {
    matches!(state, "ContainerCreating" | "PodInitializing" | "Waiting")
}

fn write(mut out: impl Write, lines: impl Iterator<Item = Vec<u8>>) -> io::Result<()> {
    for line in lines {
        out.write_all(&line)?;
        out.write_all(b"\n")?;
    }
    out.flush()
}
