//! Builtins for control flow and the shell itself: `break`, `continue`, `return`, `exit`, `source`, `set`, `shift`.

use crate::proc::{normalize, strerror};

use super::escape::quoted;
use super::{Flow, Outcome, Shell};

impl Shell {
    /// Parses a numeric argument; an invalid one is an error that ends the shell.
    async fn parse_number(&mut self, builtin: &str, text: &str) -> Result<i32, Flow> {
        match text.parse::<i32>() {
            Ok(number) if number >= 0 => Ok(number),
            _ => {
                let message = format!("{builtin}: Illegal number: {text}");
                Err(self.report_failure(&message).await.0)
            }
        }
    }

    pub async fn builtin_break(&mut self, args: &[String], flow: fn(usize) -> Flow) -> Outcome {
        let levels = match args.first() {
            Some(arg) => self.parse_number("break", arg).await?,
            None => 1,
        };
        if levels == 0 {
            return Err(self.report_failure("break: Illegal number: 0").await.0);
        }
        match self.context.loops {
            0 => Ok(0),
            loops => Err(flow(loops.min(levels as usize))),
        }
    }

    pub async fn builtin_exit(&mut self, args: &[String]) -> Outcome {
        let status = match args.first() {
            Some(arg) => self.parse_number("exit", arg).await? & 0xff,
            None => self.context.status_before_trap.unwrap_or(self.status),
        };
        Err(Flow::Exit(status))
    }

    pub async fn builtin_return(&mut self, args: &[String]) -> Outcome {
        let status = match args.first() {
            Some(arg) => self.parse_number("return", arg).await? & 0xff,
            None => self.status,
        };
        Err(Flow::Return(status))
    }

    pub async fn builtin_shift(&mut self, args: &[String]) -> Outcome {
        let count = match args.first() {
            Some(arg) => self.parse_number("shift", arg).await? as usize,
            None => 1,
        };
        if count > self.positional.len() {
            return Ok(1);
        }
        self.positional.drain(..count);
        Ok(0)
    }

    pub async fn builtin_source(&mut self, args: &[String]) -> Outcome {
        let Some((name, rest)) = args.split_first() else {
            return Err(self.report_failure(".: filename argument required").await.0);
        };
        let here = normalize(&self.cwd, name);
        let file = match name.contains('/') {
            true => here,
            false => {
                let path = self.variables.get("PATH").unwrap_or_default();
                let files = path.split(':').map(|dir| normalize(&self.cwd, dir).join(name));
                files.into_iter().find(|file| file.is_file()).unwrap_or(here)
            }
        };
        let bytes = match std::fs::read(&file) {
            Ok(bytes) => bytes,
            Err(error) => {
                let message = format!(".: can't open '{name}': {}", strerror(&error));
                return Err(self.report_failure(&message).await.0);
            }
        };
        let caller = match rest.is_empty() {
            true => None,
            false => Some(std::mem::replace(&mut self.positional, rest.to_vec())),
        };
        self.status = 0;
        let input = super::input::Input::from_text(String::from_utf8_lossy(&bytes).into_owned());
        let outcome = Box::pin(self.run_input(input)).await;
        if let Some(caller) = caller {
            self.positional = caller;
        }
        match outcome {
            Err(Flow::Return(status)) => Ok(status),
            other => other,
        }
    }

    pub async fn builtin_set(&mut self, args: &[String]) -> Outcome {
        if args.is_empty() {
            let mut out = String::new();
            for (name, variable) in self.variables.iter() {
                if let Some(value) = &variable.value {
                    out.push_str(&[name.as_str(), "=", &quoted(value), "\n"].concat());
                }
            }
            self.print(&out).await?;
            return Ok(0);
        }
        let mut rest = args.iter().cloned().peekable();
        let mut positional = false;
        while let Some(arg) = rest.next_if(|arg| arg.starts_with(['-', '+'])) {
            if arg == "--" {
                positional = true;
                break;
            }
            let on = arg.starts_with('-');
            if arg == "-" {
                self.options.xtrace = false;
                self.options.verbose = false;
                break;
            }
            for letter in arg.chars().skip(1) {
                let known = match letter {
                    'o' => match rest.next() {
                        Some(name) => self.options.set_name(&name, on),
                        None => {
                            self.print_options(on).await?;
                            true
                        }
                    },
                    letter => self.options.set_letter(letter, on),
                };
                if !known {
                    let message = format!("set: illegal option {arg}");
                    return Err(self.report_failure(&message).await.0);
                }
            }
        }
        if positional || rest.peek().is_some() {
            self.positional = rest.collect();
        }
        Ok(0)
    }

    async fn print_options(&self, readable: bool) -> Result<(), Flow> {
        let mut out = String::new();
        for (name, on) in self.options.named() {
            out.push_str(&match (readable, on) {
                (true, true) => format!("{name:<16}on\n"),
                (true, false) => format!("{name:<16}off\n"),
                (false, true) => format!("set -o {name}\n"),
                (false, false) => format!("set +o {name}\n"),
            });
        }
        self.print(&out).await
    }
}
