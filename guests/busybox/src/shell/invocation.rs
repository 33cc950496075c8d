//! `sh` as a command: its own options, and where its script comes from.

use std::rc::Rc;

use crate::proc::{Proc, strerror};

use super::external::open_script;
use super::input::Input;
use super::process::Process;
use super::{Flow, Shell};

/// Runs a shell as `proc` asks for; its exit status.
pub async fn run(proc: Proc, process: Rc<Process>) -> i32 {
    let mut shell = Shell::new(&proc, process);
    let outcome = match shell.prepare(&proc).await {
        Ok(input) => shell.run_input(input).await,
        Err(status) => Err(Flow::Exit(status)),
    };
    shell.conclude(outcome).await
}

impl Shell {
    /// Reads the command line. The error is an exit status.
    async fn prepare(&mut self, proc: &Proc) -> Result<Input, i32> {
        let mut args = proc.args.iter().skip(1).cloned().peekable();
        let mut command = false;
        while let Some(arg) = args.next_if(|arg| arg.starts_with(['-', '+']) && arg.len() > 1) {
            if arg == "--" {
                break;
            }
            let on = arg.starts_with('-');
            if let Some(long) = arg.strip_prefix("--") {
                match long {
                    "login" | "norc" | "noprofile" | "posix" => continue,
                    _ => {
                        self.complain(&format!("bad option '{arg}'")).await;
                        return Err(2);
                    }
                }
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
                    self.complain(&format!("illegal option -{letter}")).await;
                    return Err(2);
                }
            }
        }
        if args.peek().is_some_and(|arg| arg == "-") && !command {
            args.next();
        }
        if command {
            let Some(text) = args.next() else {
                self.complain("-c requires an argument").await;
                return Err(2);
            };
            if let Some(name) = args.next() {
                self.name = name;
            }
            self.positional = args.collect();
            return Ok(Input::text(text));
        }
        if !self.options.stdin
            && let Some(script) = args.next()
        {
            self.positional = args.collect();
            let path = crate::proc::normalize(&self.cwd, &script);
            let opened = match path.is_dir() {
                true => Err(std::io::ErrorKind::IsADirectory.into()),
                false => open_script(&path),
            };
            let text = match opened {
                Ok(reader) => reader.read_to_end().await,
                Err(error) => Err(error),
            };
            return match text {
                Ok(bytes) => {
                    self.name = script;
                    Ok(Input::text(String::from_utf8_lossy(&bytes).into_owned()))
                }
                Err(error) => {
                    let message = format!("can't open '{script}': {}", strerror(&error));
                    self.complain(&message).await;
                    Err(2)
                }
            };
        }
        self.positional = args.collect();
        if wasip2::cli::terminal_stdin::get_terminal_stdin().is_some() {
            self.options.interactive = true;
        }
        self.options.stdin = true;
        Ok(Input::Stream(self.descriptors.reader(0)))
    }
}
