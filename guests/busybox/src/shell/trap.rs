//! Traps: the actions that run when a signal arrives or the shell exits.

use std::collections::BTreeMap;

use super::escape::quoted;
use super::signal;
use super::{Flow, Outcome, Shell};

/// Actions by signal number; 0 is EXIT. An empty action ignores the signal.
#[derive(Clone, Default)]
pub struct Traps {
    actions: BTreeMap<i32, String>,
    /// In a subshell: the traps of the parent, which `trap` without arguments still prints.
    inherited: bool,
}

impl Traps {
    /// Takes the EXIT action, which runs once.
    pub fn take_exit(&mut self) -> Option<String> {
        match self.inherited {
            true => None,
            false => self.actions.remove(&signal::EXIT),
        }
    }

    /// Resets the traps for a subshell, except ignored signals.
    pub fn enter_subshell(&mut self) {
        self.inherited = true;
    }

    pub fn clear_for_exec(&mut self) {
        self.actions.retain(|_, action| action.is_empty());
        self.actions.remove(&signal::EXIT);
    }

    fn get(&self, number: i32) -> Option<&String> {
        self.actions.get(&number).filter(|action| !self.inherited || action.is_empty())
    }

    /// Forgets the parent's traps at the first change in a subshell.
    fn change(&mut self) -> &mut BTreeMap<i32, String> {
        if std::mem::take(&mut self.inherited) {
            self.actions.retain(|_, action| action.is_empty());
        }
        &mut self.actions
    }
}

impl Shell {
    /// Handles the signals that have arrived.
    pub async fn take_signals(&mut self) -> Result<(), Flow> {
        while let Some(number) = self.process.next_signal() {
            let Some(action) = self.traps.get(number).cloned() else {
                self.status = if signal::is_harmless(number) { self.status } else { 128 + number };
                match signal::is_harmless(number) {
                    true => continue,
                    false => return Err(self.default_action(number)),
                }
            };
            let status = self.status;
            let outer = self.context.status_before_trap.replace(status);
            let outcome = Box::pin(self.run_text(&action)).await;
            self.context.status_before_trap = outer;
            self.status = status;
            outcome?;
        }
        Ok(())
    }

    /// Returns how a signal without a trap ends what is running.
    pub fn default_action(&self, number: i32) -> Flow {
        match number == signal::INT && self.options.interactive {
            true => Flow::Interrupt,
            false => Flow::Exit(128 + number),
        }
    }

    /// Whether there is a trap for a signal.
    pub fn catches(&self, number: i32) -> bool {
        self.traps.get(number).is_some()
    }

    /// `trap [action condition...]`.
    pub async fn builtin_trap(&mut self, args: &[String]) -> Outcome {
        let args = match args.first().map(String::as_str) {
            Some("--") => args.get(1..).unwrap_or_default(),
            _ => args,
        };
        let Some((first, rest)) = args.split_first() else {
            let mut out = String::new();
            for (number, action) in &self.traps.actions {
                let name = signal::name(*number);
                out.push_str(&["trap -- ", &quoted(action), " ", name, "\n"].concat());
            }
            self.print(&out).await?;
            return Ok(0);
        };
        if first == "-l" {
            return self.builtin_kill(args).await;
        }
        // A lone condition, or a number as the action, resets.
        let resets = first == "-" || rest.is_empty() || first.parse::<u32>().is_ok();
        let conditions = if first != "-" && resets { args } else { rest };
        let mut status = 0;
        for condition in conditions {
            let Some(number) = signal::number(condition) else {
                self.print_error(&format!("trap: {condition}: invalid signal specification")).await;
                status = 1;
                continue;
            };
            let actions = self.traps.change();
            match resets {
                true => actions.remove(&number),
                false => actions.insert(number, first.clone()),
            };
            self.process.ignore(number, !resets && first.is_empty());
        }
        Ok(status)
    }
}
