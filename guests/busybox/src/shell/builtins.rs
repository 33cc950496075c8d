//! The table of builtins, which of them are special, and the small ones.

use std::path::Path;

use crate::proc::normalize;

use super::external::External;
use super::{Flow, Outcome, Shell, filesystem, test};

/// A builtin: its name, and whether it is special in POSIX (assignments before it persist, errors in it end the shell).
#[derive(Debug, Clone, Copy)]
pub struct Builtin {
    pub name: &'static str,
    pub special: bool,
}

const SPECIAL: [&str; 16] = [
    ".", ":", "break", "continue", "eval", "exec", "exit", "export", "readonly", "return", "set", "shift", "source",
    "times", "trap", "unset",
];

const REGULAR: [&str; 30] = [
    "[", "[[", "alias", "bg", "cd", "chdir", "command", "echo", "false", "fg", "getopts", "hash", "help", "history",
    "jobs", "kill", "let", "local", "printf", "pwd", "read", "test", "true", "type", "ulimit", "umask", "unalias",
    "wait", "builtin", "declare",
];

/// Returns the names of all builtins.
pub fn names() -> impl Iterator<Item = &'static str> {
    SPECIAL.into_iter().chain(REGULAR)
}

pub fn find(name: &str) -> Option<Builtin> {
    let special = SPECIAL.iter().find(|known| **known == name);
    let regular = REGULAR.iter().find(|known| **known == name);
    match (special, regular) {
        (Some(name), _) => Some(Builtin { name, special: true }),
        (None, Some(name)) => Some(Builtin { name, special: false }),
        (None, None) => None,
    }
}

/// Whether the arguments of `name` are assignments, whose values are not split.
pub fn declares(name: &str) -> bool {
    matches!(name, "export" | "readonly" | "local" | "declare")
}

/// Reserved words, for `type` and `command -v`.
const KEYWORDS: [&str; 16] =
    ["!", "case", "do", "done", "elif", "else", "esac", "fi", "for", "if", "in", "then", "until", "while", "{", "}"];

impl Shell {
    /// Runs a builtin; `words[0]` is its name.
    pub async fn run_builtin(&mut self, builtin: Builtin, words: Vec<String>) -> Outcome {
        let args = words.get(1..).unwrap_or_default();
        match builtin.name {
            ":" | "true" | "times" | "hash" | "ulimit" | "help" => Ok(0),
            "false" | "bg" | "fg" => Ok(1),
            "." | "source" => self.builtin_source(args).await,
            "alias" => self.builtin_alias(args).await,
            "unalias" => self.builtin_unalias(args).await,
            "break" => self.builtin_break(args, Flow::Break).await,
            "continue" => self.builtin_break(args, Flow::Continue).await,
            "eval" => Box::pin(self.run_text(&args.join(" "))).await,
            "exec" => match args.first().is_some_and(|arg| arg == "--") {
                true => self.builtin_exec(args.get(1..).unwrap_or_default()).await,
                false => self.builtin_exec(args).await,
            },
            "exit" => self.builtin_exit(args).await,
            "export" => self.builtin_export(args, false).await,
            "readonly" => self.builtin_export(args, true).await,
            "return" => self.builtin_return(args).await,
            "set" => self.builtin_set(args).await,
            "shift" => self.builtin_shift(args).await,
            "trap" => self.builtin_trap(args).await,
            "unset" => self.builtin_unset(args).await,
            "[" | "[[" | "test" => self.builtin_test(builtin.name, args).await,
            "cd" | "chdir" => self.builtin_cd(args).await,
            "command" | "builtin" => Box::pin(self.builtin_command(args)).await,
            "echo" => self.builtin_echo(args).await,
            "getopts" => self.builtin_getopts(args).await,
            "history" => self.builtin_history(args).await,
            "jobs" => self.builtin_jobs(args).await,
            "kill" => self.builtin_kill(args).await,
            "let" => self.builtin_let(args).await,
            "local" | "declare" => self.builtin_local(args).await,
            "printf" => self.builtin_printf(args).await,
            "pwd" => {
                let place = match args.first().is_some_and(|arg| arg == "-P") {
                    true => filesystem::resolve_links(&self.cwd),
                    false => self.cwd.clone(),
                };
                self.print_or_fail("pwd", format!("{}\n", place.display()).as_bytes()).await
            }
            "read" => self.builtin_read(args).await,
            "type" => self.builtin_type(args).await,
            "umask" => self.builtin_umask(args).await,
            _ => self.builtin_wait(args).await,
        }
    }

    async fn builtin_exec(&mut self, args: &[String]) -> Outcome {
        match args.is_empty() {
            true => Ok(0),
            false => Box::pin(self.exec_external(args.to_vec())).await,
        }
    }

    async fn builtin_test(&mut self, name: &str, args: &[String]) -> Outcome {
        let closing = match name {
            "[" => Some("]"),
            "[[" => Some("]]"),
            _ => None,
        };
        let args = match (closing, args.split_last()) {
            (None, _) => args,
            (Some(closing), Some((last, args))) if last == closing => args,
            (Some(closing), _) => {
                self.print_error(&format!("{name}: missing {closing}")).await;
                return Ok(2);
            }
        };
        match test::evaluate(args, self) {
            Ok(held) => Ok(i32::from(!held)),
            Err(error) => {
                self.print_error(&error.to_string()).await;
                Ok(2)
            }
        }
    }

    async fn builtin_cd(&mut self, args: &[String]) -> Outcome {
        let mut args = args.iter().map(String::as_str);
        let mut operand = args.next();
        while matches!(operand, Some("-L" | "-P" | "--")) {
            operand = args.next();
        }
        let to = match operand {
            None => self.variables.get("HOME").unwrap_or_default().to_string(),
            Some("-") => match self.variables.get("OLDPWD") {
                Some(old) => old.to_string(),
                None => {
                    self.print_error("cd: OLDPWD not set").await;
                    return Ok(1);
                }
            },
            Some(to) => to.to_string(),
        };
        if to.is_empty() {
            return Ok(0);
        }
        let mut target = normalize(&self.cwd, &to);
        let search = self.variables.get("CDPATH").unwrap_or_default().to_string();
        let mut announce = operand == Some("-");
        if !to.starts_with(['/', '.']) {
            let mut places = search.split(':').filter(|place| !place.is_empty());
            let place = places.find(|place| normalize(&self.cwd, place).join(&to).is_dir());
            if let Some(place) = place {
                target = normalize(&normalize(&self.cwd, place), &to);
                announce = true;
            }
        }
        if !is_directory(&target) {
            let why = match target.exists() {
                true => "Not a directory",
                false => "No such file or directory",
            };
            self.print_error(&format!("cd: can't cd to {to}: {why}")).await;
            return Ok(2);
        }
        let before = self.cwd.to_string_lossy().into_owned();
        let now = target.to_string_lossy().into_owned();
        self.cwd = target;
        if announce {
            self.print(&format!("{now}\n")).await?;
        }
        self.variables.attributes("OLDPWD").exported = true;
        self.variables.attributes("PWD").exported = true;
        self.assign("OLDPWD", &before).await.map_err(|f| f.0)?;
        self.assign("PWD", &now).await.map_err(|f| f.0)?;
        Ok(0)
    }

    /// `command [-v|-V] name...`: ignores functions.
    async fn builtin_command(&mut self, args: &[String]) -> Outcome {
        match args.first().map(String::as_str) {
            None => Ok(0),
            Some("-v") => self.describe(args.get(1..).unwrap_or_default(), false).await,
            Some("-V") => self.describe(args.get(1..).unwrap_or_default(), true).await,
            Some("-p" | "--") => Box::pin(self.builtin_command(args.get(1..).unwrap_or_default())).await,
            Some("exec") => self.builtin_exec(args.get(1..).unwrap_or_default()).await,
            Some(name) => match find(name) {
                Some(builtin) => Box::pin(self.run_builtin(builtin, args.to_vec())).await,
                None => self.run_external(args.to_vec(), Vec::new()).await,
            },
        }
    }

    async fn builtin_type(&mut self, args: &[String]) -> Outcome {
        self.describe(args, true).await
    }

    /// Prints the target of each name; status 127 if one has none.
    async fn describe(&mut self, names: &[String], verbose: bool) -> Outcome {
        let mut out = String::new();
        let mut status = 0;
        for name in names {
            let (short, long) = if KEYWORDS.contains(&name.as_str()) {
                (name.clone(), "is a shell keyword".into())
            } else if self.functions.contains_key(name) {
                (name.clone(), "is a function".into())
            } else if let Some(builtin) = find(name) {
                let special = if builtin.special { "special " } else { "" };
                (name.clone(), format!("is a {special}shell builtin"))
            } else {
                match self.find_external(name) {
                    Ok(External::Script(path)) => {
                        let path = path.to_string_lossy().into_owned();
                        (path.clone(), format!("is {path}"))
                    }
                    Ok(External::Applet(_) | External::Shell) => {
                        let path = match name.contains('/') {
                            true => name.clone(),
                            false => format!("/bin/{name}"),
                        };
                        (path.clone(), format!("is {path}"))
                    }
                    Err(_) => {
                        status = 127;
                        if verbose {
                            out.push_str(&format!("{name}: not found\n"));
                        }
                        continue;
                    }
                }
            };
            match verbose {
                true => out.push_str(&format!("{name} {long}\n")),
                false => out.push_str(&format!("{short}\n")),
            }
        }
        self.print(&out).await?;
        Ok(status)
    }

    /// `umask`: keeps and prints the mask, which has no effect since WASI's files have no modes.
    async fn builtin_umask(&mut self, args: &[String]) -> Outcome {
        match args.first().map(String::as_str) {
            None => self.print(&format!("{:04o}\n", self.umask)).await?,
            Some("-S") => {
                let mask = self.umask;
                let class = |shift: u32| -> String {
                    let bits = [(4, 'r'), (2, 'w'), (1, 'x')].into_iter();
                    bits.filter(|(bit, _)| (mask >> shift) & bit == 0).map(|(_, c)| c).collect()
                };
                self.print(&format!("u={},g={},o={}\n", class(6), class(3), class(0))).await?;
            }
            Some(mode) => match u32::from_str_radix(mode, 8) {
                Ok(mask) => self.umask = mask & 0o777,
                Err(_) => {
                    self.print_error(&format!("umask: illegal mode: {mode}")).await;
                    return Ok(1);
                }
            },
        }
        Ok(0)
    }

    async fn builtin_let(&mut self, args: &[String]) -> Outcome {
        let mut value = 0;
        for arg in args {
            match super::arith::evaluate(arg, &mut self.variables) {
                Ok(result) => value = result,
                Err(error) => return Err(self.report_failure(&error.to_string()).await.0),
            }
        }
        Ok(i32::from(value == 0))
    }
}

/// The root exists even if it is not a preopened directory.
fn is_directory(path: &Path) -> bool {
    path.is_dir() || path == Path::new("/")
}
