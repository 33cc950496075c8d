//! `test`, `[` and the file tests of `[[`.

use std::fmt;
use std::fs::Metadata;

use crate::proc::normalize;

use super::{Shell, filesystem};

/// Why an expression cannot be evaluated; `test` then exits with 2.
#[derive(Debug)]
pub enum TestError {
    MissingArgument,
    MissingParenthesis,
    UnknownOperand(String),
    BadNumber(String),
}

impl fmt::Display for TestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TestError::MissingArgument => f.write_str("argument expected"),
            TestError::MissingParenthesis => f.write_str("closing paren expected"),
            TestError::UnknownOperand(word) => write!(f, "{word}: unknown operand"),
            TestError::BadNumber(text) => write!(f, "{text}: bad number"),
        }
    }
}

/// Evaluates an expression.
pub fn evaluate(args: &[String], shell: &Shell) -> Result<bool, TestError> {
    let mut parser = Parser { args, at: 0, shell };
    let value = match args {
        // POSIX decides by the number of arguments, so that operands may look like operators.
        [] => return Ok(false),
        [one] => return Ok(!one.is_empty()),
        [not, one] if not == "!" => return Ok(one.is_empty()),
        [left, op, right] => match evaluate_binary(left, op, right, shell)? {
            Some(held) => return Ok(held),
            None => parser.evaluate_or()?,
        },
        [not, left, op, right] if not == "!" => match evaluate_binary(left, op, right, shell)? {
            Some(held) => return Ok(!held),
            None => parser.evaluate_or()?,
        },
        _ => parser.evaluate_or()?,
    };
    match args.get(parser.at) {
        None => Ok(value),
        Some(extra) => Err(TestError::UnknownOperand(extra.clone())),
    }
}

struct Parser<'a> {
    args: &'a [String],
    at: usize,
    shell: &'a Shell,
}

impl Parser<'_> {
    fn peek(&self, ahead: usize) -> Option<&str> {
        self.args.get(self.at + ahead).map(String::as_str)
    }

    fn evaluate_or(&mut self) -> Result<bool, TestError> {
        let mut value = self.evaluate_and()?;
        while self.peek(0) == Some("-o") {
            self.at += 1;
            value |= self.evaluate_and()?;
        }
        Ok(value)
    }

    fn evaluate_and(&mut self) -> Result<bool, TestError> {
        let mut value = self.evaluate_not()?;
        while self.peek(0) == Some("-a") {
            self.at += 1;
            value &= self.evaluate_not()?;
        }
        Ok(value)
    }

    fn evaluate_not(&mut self) -> Result<bool, TestError> {
        if self.peek(0) == Some("!") && self.peek(1).is_some() {
            self.at += 1;
            return Ok(!self.evaluate_not()?);
        }
        self.evaluate_primary()
    }

    fn evaluate_primary(&mut self) -> Result<bool, TestError> {
        let first = self.peek(0).ok_or(TestError::MissingArgument)?.to_string();
        if let (Some(op), Some(right)) = (self.peek(1), self.peek(2))
            && let Some(held) = evaluate_binary(&first, op, right, self.shell)?
        {
            self.at += 3;
            return Ok(held);
        }
        if first == "(" {
            self.at += 1;
            let value = self.evaluate_or()?;
            if self.peek(0) != Some(")") {
                return Err(TestError::MissingParenthesis);
            }
            self.at += 1;
            return Ok(value);
        }
        if let Some(operand) = self.peek(1)
            && let Some(held) = evaluate_unary(&first, operand, self.shell)
        {
            self.at += 2;
            return Ok(held);
        }
        self.at += 1;
        Ok(!first.is_empty())
    }
}

/// Evaluates a binary primary; `None` if `op` is not one. `-a` and `-o` between two strings count as binary primaries,
/// too.
pub fn evaluate_binary(left: &str, op: &str, right: &str, shell: &Shell) -> Result<Option<bool>, TestError> {
    let number = |text: &str| text.trim().parse::<i64>().map_err(|_| TestError::BadNumber(text.to_string()));
    let compare = || Ok::<_, TestError>(number(left)?.cmp(&number(right)?));
    let modified = |name: &str| metadata(name, shell).and_then(|m| m.modified().ok());
    Ok(Some(match op {
        "=" | "==" => left == right,
        "!=" => left != right,
        "<" => left < right,
        ">" => left > right,
        "-eq" => compare()?.is_eq(),
        "-ne" => compare()?.is_ne(),
        "-lt" => compare()?.is_lt(),
        "-le" => compare()?.is_le(),
        "-gt" => compare()?.is_gt(),
        "-ge" => compare()?.is_ge(),
        "-nt" => modified(left) > modified(right),
        "-ot" => modified(left) < modified(right),
        "-ef" => filesystem::is_same(&normalize(&shell.cwd, left), &normalize(&shell.cwd, right)),
        _ => return Ok(None),
    }))
}

/// Evaluates a unary primary; `None` if `op` is not one.
pub fn evaluate_unary(op: &str, operand: &str, shell: &Shell) -> Option<bool> {
    let is = |check: fn(&Metadata) -> bool| metadata(operand, shell).is_some_and(|m| check(&m));
    Some(match op {
        "-n" => !operand.is_empty(),
        "-z" => operand.is_empty(),
        "-e" | "-a" => is(|_| true) || is_device(operand),
        "-f" => is(Metadata::is_file),
        "-d" => is(Metadata::is_dir),
        "-s" => is(|m| m.len() > 0),
        // WASI has no modes: existing files are readable, and scripts are executable.
        "-r" => is(|_| true) || is_device(operand),
        "-x" => is(|_| true),
        "-w" => {
            let writable = || filesystem::is_writable(&normalize(&shell.cwd, operand));
            is_device(operand) || (is(|_| true) && writable())
        }
        "-h" | "-L" => {
            let path = normalize(&shell.cwd, operand);
            path.symlink_metadata().is_ok_and(|m| m.file_type().is_symlink())
        }
        "-c" => is_device(operand),
        "-b" | "-p" | "-S" | "-g" | "-k" | "-u" => false,
        "-O" | "-G" => is(|_| true),
        "-t" => operand.parse().is_ok_and(|fd| shell.descriptors.is_terminal(fd)),
        "-v" => shell.parameter(operand).is_some(),
        "-o" => shell.options.named().iter().any(|(name, on)| *name == operand && *on),
        _ => return None,
    })
}

fn metadata(name: &str, shell: &Shell) -> Option<Metadata> {
    normalize(&shell.cwd, name).metadata().ok().filter(|_| !name.is_empty())
}

/// The devices that redirections provide without a file.
fn is_device(name: &str) -> bool {
    matches!(
        name,
        "/dev/null" | "/dev/tty" | "/dev/zero" | "/dev/urandom" | "/dev/stdin" | "/dev/stdout" | "/dev/stderr"
    )
}
