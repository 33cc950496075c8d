//! Reads scripts one complete command at a time, so that commands before an error still run, and so that `read` gets
//! the lines after its own command when the script comes from standard input.

use brush_parser::ast::Program;

use crate::proc::Reader;

use super::grammar::{self, Parsed};
use super::{Flow, Shell};

/// The source of a script's text.
pub enum Input {
    Text {
        text: String,
        at: usize,
    },
    /// A stream that the commands share, read line by line.
    Stream(Reader),
}

impl Input {
    pub fn from_text(text: String) -> Input {
        Input::Text { text, at: 0 }
    }

    /// Returns the next line with its newline; empty at the end.
    async fn read_line(&mut self) -> String {
        match self {
            Input::Text { text, at } => {
                let rest = text.get(*at..).unwrap_or_default();
                let length = rest.find('\n').map_or(rest.len(), |n| n + 1);
                *at += length;
                rest.get(..length).unwrap_or_default().to_string()
            }
            Input::Stream(reader) => match reader.read_line().await {
                Ok(line) => String::from_utf8_lossy(&line).into_owned(),
                Err(_) => String::new(),
            },
        }
    }
}

impl Shell {
    /// Reads and runs all of `input`; returns the status of the last command.
    pub async fn run_input(&mut self, mut input: Input) -> super::Outcome {
        loop {
            let program = match self.next_command(&mut input).await {
                Ok(Some(program)) => program,
                Ok(None) => return Ok(self.status),
                Err(Flow::Abandon) => continue,
                Err(flow) => return Err(flow),
            };
            if self.options.noexec {
                continue;
            }
            match self.run_program(&program).await {
                Ok(_) => {}
                Err(Flow::Abandon) if self.options.interactive => {}
                Err(flow) => return Err(flow),
            }
        }
    }

    /// Returns the next complete command; `None` at the end.
    async fn next_command(&mut self, input: &mut Input) -> Result<Option<Program>, Flow> {
        let mut text = String::new();
        self.print_prompt(input, "PS1").await;
        loop {
            let process = self.process.clone();
            let line = match process.interruptible(input.read_line()).await {
                Ok(line) => line,
                Err(_) => {
                    self.take_signals().await?;
                    continue;
                }
            };
            if self.options.verbose {
                let _ = self.descriptors.writer(2).write_all(line.as_bytes()).await;
            }
            let at_end = line.is_empty();
            text.push_str(&line);
            if at_end && text.is_empty() {
                return Ok(None);
            }
            match grammar::parse(&text, at_end || !line.ends_with('\n'), &self.aliases) {
                Parsed::Program(program) if program.complete_commands.is_empty() && !at_end => {
                    text.clear();
                    self.print_prompt(input, "PS1").await;
                }
                Parsed::Program(program) => return Ok(Some(program)),
                Parsed::Incomplete(_) => self.print_prompt(input, "PS2").await,
                Parsed::Error(message) => {
                    self.print_error(&["syntax error: ", &message].concat()).await;
                    self.status = 2;
                    return Err(match self.options.interactive {
                        true => Flow::Abandon,
                        false => Flow::Exit(2),
                    });
                }
            }
        }
    }

    async fn print_prompt(&self, input: &Input, name: &str) {
        if !self.options.interactive || !matches!(input, Input::Stream(_)) {
            return;
        }
        let home = self.variables.get("HOME").unwrap_or_default();
        let cwd = self.cwd.to_string_lossy();
        let shown = match cwd.strip_prefix(home).filter(|_| !home.is_empty()) {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("~{rest}"),
            _ => cwd.into_owned(),
        };
        let text = self.variables.get(name).unwrap_or_default();
        let text = text.replace("\\w", &shown).replace("\\$", "#");
        let _ = self.descriptors.writer(2).write_all(text.as_bytes()).await;
    }

    /// Runs text in this environment (`eval`, traps).
    pub async fn run_text(&mut self, text: &str) -> super::Outcome {
        match grammar::parse(text, true, &self.aliases) {
            Parsed::Program(program) if program.complete_commands.is_empty() => Ok(0),
            Parsed::Program(program) => self.run_program(&program).await,
            Parsed::Incomplete(message) | Parsed::Error(message) => {
                Err(self.report_failure(&["syntax error: ", &message].concat()).await.0)
            }
        }
    }
}
