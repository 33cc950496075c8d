//! `sh` as a command: its options and the source of its script.

use std::iter::Peekable;
use std::rc::Rc;

use crate::proc::{Proc, strerror};

use super::edit::LineEditor;
use super::external::open_script;
use super::input::Input;
use super::process::Process;
use super::{Flow, Shell, interrupt};

/// Runs a shell with the arguments of `proc`; returns its exit status.
pub async fn run(proc: Proc, process: Rc<Process>) -> i32 {
    interrupt::deliver_to(&process);
    let mut shell = Shell::new(&proc, process);
    let outcome = match shell.prepare(&proc).await {
        Ok(input) => shell.run_input(input).await,
        Err(status) => Err(Flow::Exit(status)),
    };
    shell.conclude(outcome).await
}

impl Shell {
    /// Reads the command line; returns the input, or an exit status as the error.
    async fn prepare(&mut self, proc: &Proc) -> Result<Input, i32> {
        let mut args = proc.args.iter().skip(1).cloned().peekable();
        let command = self.read_options(&mut args).await?;
        if args.peek().is_some_and(|arg| arg == "-") && !command {
            args.next();
        }
        if command {
            let Some(text) = args.next() else {
                self.print_error("-c requires an argument").await;
                return Err(2);
            };
            if let Some(name) = args.next() {
                self.name = name;
            }
            self.positional = args.collect();
            return Ok(Input::from_text(text));
        }
        if !self.options.stdin
            && let Some(script) = args.next()
        {
            self.positional = args.collect();
            return self.script(script).await;
        }
        self.positional = args.collect();
        let reader = self.descriptors.reader(0);
        self.options.interactive |= reader.is_terminal();
        self.options.stdin = true;
        let is_dumb = self.variables.get("TERM") == Some("dumb");
        match LineEditor::new(reader.clone()).filter(|_| !is_dumb) {
            Some(editor) => {
                self.load_history();
                Ok(Input::Terminal(Box::new(editor)))
            }
            None => Ok(Input::Stream(reader)),
        }
    }

    /// Reads the options; returns whether `-c` is among them.
    async fn read_options(&mut self, args: &mut Peekable<impl Iterator<Item = String>>) -> Result<bool, i32> {
        let mut command = false;
        while let Some(arg) = args.next_if(|arg| arg.starts_with(['-', '+']) && arg.len() > 1) {
            let on = arg.starts_with('-');
            match arg.strip_prefix("--") {
                Some("") => break,
                Some("login" | "norc" | "noprofile" | "posix") => continue,
                Some(_) => {
                    self.print_error(&format!("bad option '{arg}'")).await;
                    return Err(2);
                }
                None => {}
            }
            for letter in arg.chars().skip(1) {
                let known = match letter {
                    'c' => {
                        command = on;
                        true
                    }
                    'l' | 'p' | 'h' | 'B' => true,
                    'o' => {
                        let name = args.next().unwrap_or_default();
                        self.options.set_name(&name, on)
                    }
                    letter => self.options.set_letter(letter, on),
                };
                if !known {
                    self.print_error(&format!("illegal option -{letter}")).await;
                    return Err(2);
                }
            }
        }
        Ok(command)
    }

    /// Reads a script from a file.
    async fn script(&mut self, name: String) -> Result<Input, i32> {
        let path = crate::proc::normalize(&self.cwd, &name);
        let opened = match path.is_dir() {
            true => Err(std::io::ErrorKind::IsADirectory.into()),
            false => open_script(&path),
        };
        let text = match opened {
            Ok(reader) => reader.read_to_end().await,
            Err(error) => Err(error),
        };
        match text {
            Ok(bytes) => {
                self.name = name;
                Ok(Input::from_text(String::from_utf8_lossy(&bytes).into_owned()))
            }
            Err(error) => {
                self.print_error(&format!("can't open '{name}': {}", strerror(&error))).await;
                Err(2)
            }
        }
    }
}
