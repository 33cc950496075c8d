//! Reads scripts one complete command at a time, so that commands before an error still run, and so that `read` gets
//! the lines after its own command when the script comes from standard input.

use brush_parser::ast::Program;

use crate::proc::Reader;

use super::edit::{Line, LineEditor};
use super::grammar::{self, Parsed};
use super::prompt::without_marks;
use super::{Flow, Shell, signal};

/// The source of a script's text.
pub enum Input {
    Text {
        text: String,
        at: usize,
    },
    /// A stream that the commands share, read line by line.
    Stream(Reader),
    /// A terminal on which the user edits each line.
    Terminal(Box<LineEditor>),
}

impl Input {
    pub fn from_text(text: String) -> Input {
        Input::Text { text, at: 0 }
    }

    /// Whether a user types the commands, rather than a script that ends at an error.
    fn has_prompt(&self, shell: &Shell) -> bool {
        match self {
            Input::Text { .. } => false,
            Input::Stream(_) => shell.options.interactive,
            Input::Terminal(_) => true,
        }
    }
}

/// Returns the line of `text` at a position, with its newline; empty at the end.
fn take_line(text: &str, at: &mut usize) -> String {
    let rest = text.get(*at..).unwrap_or_default();
    let length = rest.find('\n').map_or(rest.len(), |n| n + 1);
    *at += length;
    rest.get(..length).unwrap_or_default().to_string()
}

impl Shell {
    /// Reads and runs all of `input`; returns the status of the last command.
    pub async fn run_input(&mut self, mut input: Input) -> super::Outcome {
        loop {
            let program = match self.next_command(&mut input).await {
                Ok(Some(program)) => program,
                Ok(None) => return Ok(self.status),
                Err(flow) => match self.returns_to_prompt(&input, flow).await {
                    true => continue,
                    false => return Err(flow),
                },
            };
            if self.options.noexec {
                continue;
            }
            match self.run_program(&program).await {
                Ok(_) => {}
                Err(flow) => match self.returns_to_prompt(&input, flow).await {
                    true => {}
                    false => return Err(flow),
                },
            }
        }
    }

    /// Whether an error or Ctrl-C only ends the command that was entered.
    async fn returns_to_prompt(&self, input: &Input, flow: Flow) -> bool {
        if flow == Flow::Interrupt && input.has_prompt(self) {
            let _ = self.descriptors.writer(2).write_all(b"\n").await;
        }
        matches!(flow, Flow::Abandon | Flow::Interrupt) && input.has_prompt(self)
    }

    /// Returns the next complete command; `None` at the end.
    async fn next_command(&mut self, input: &mut Input) -> Result<Option<Program>, Flow> {
        let mut text = String::new();
        let mut prompt = "PS1";
        loop {
            let Some(line) = self.next_line(input, prompt).await? else {
                // Ctrl-C discards the lines before it, too.
                text.clear();
                prompt = "PS1";
                continue;
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
                    prompt = "PS1";
                }
                Parsed::Program(program) => return Ok(Some(program)),
                Parsed::Incomplete(_) => prompt = "PS2",
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

    /// Returns the next line with its newline; empty at the end, `None` if Ctrl-C was typed instead.
    async fn next_line(&mut self, input: &mut Input, prompt: &str) -> Result<Option<String>, Flow> {
        let process = self.process.clone();
        match input {
            Input::Text { text, at } => Ok(Some(take_line(text, at))),
            Input::Stream(reader) => {
                if self.options.interactive {
                    let prompt = without_marks(&self.prompt(prompt).await);
                    let _ = self.descriptors.writer(2).write_all(prompt.as_bytes()).await;
                }
                loop {
                    match process.interruptible(reader.read_line()).await {
                        Ok(line) => return Ok(Some(String::from_utf8_lossy(&line.unwrap_or_default()).into_owned())),
                        Err(_) => self.take_signals().await?,
                    }
                }
            }
            Input::Terminal(editor) => loop {
                let prompt = self.prompt(prompt).await;
                match process.interruptible(self.edit_line(editor, &prompt)).await {
                    Ok(Line::Text(line)) => {
                        self.remember_line(&line);
                        return Ok(Some(line));
                    }
                    Ok(Line::End) => return Ok(Some(String::new())),
                    Ok(Line::Interrupted) => {
                        self.status = 128 + signal::INT;
                        if self.catches(signal::INT) {
                            process.signal(signal::INT);
                            self.take_signals().await?;
                        }
                        return Ok(None);
                    }
                    Err(_) => self.take_signals().await?,
                }
            },
        }
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
