//! Parses command-line options as getopt does, and the numbers in their values.

use super::{EarlyExit, fail, usage};
use crate::proc::Proc;

/// The options in order, and the operands.
pub struct Options {
    given: Vec<(char, String)>,
    /// The operands.
    pub operands: Vec<String>,
}

enum OptionError {
    Unknown(String),
    NoValue(char),
}

impl Options {
    /// Parses the arguments of `p` by a specification: letters, each followed by `:` if it takes a value (`::` for an
    /// attached, optional one) and by `(name)` for a long name. A leading `+` ends the options at the first operand. An
    /// unknown option ends the applet with its usage.
    pub async fn parse(p: &Proc, spec: &str) -> Result<Options, EarlyExit> {
        Options::parse_args(p, p.args.get(1..).unwrap_or_default(), spec).await
    }

    /// Like [`Options::parse`], for arguments that the applet has rewritten.
    pub async fn parse_args(p: &Proc, args: &[String], spec: &str) -> Result<Options, EarlyExit> {
        match parse(args, spec) {
            Ok(options) => return Ok(options),
            Err(OptionError::Unknown(what)) => p.print_error(what).await,
            Err(OptionError::NoValue(c)) => p.print_error(format_args!("option requires an argument -- '{c}'")).await,
        }
        usage(p).await
    }

    pub fn has(&self, option: char) -> bool {
        self.given.iter().any(|(c, _)| *c == option)
    }

    /// Returns the last value of an option.
    pub fn get(&self, option: char) -> Option<&str> {
        self.all(option).last()
    }

    pub fn all(&self, option: char) -> impl Iterator<Item = &str> {
        self.given.iter().filter(move |(c, _)| *c == option).map(|(_, v)| v.as_str())
    }

    /// Returns the last option that is one of these letters.
    pub fn last_of(&self, letters: &str) -> Option<char> {
        self.given.iter().rev().map(|(c, _)| *c).find(|c| letters.contains(*c))
    }

    pub fn operand(&self, index: usize) -> Option<&str> {
        self.operands.get(index).map(String::as_str)
    }

    /// Returns the operands, or `-` (standard input) if there are none.
    pub fn files(&self) -> Vec<String> {
        if self.operands.is_empty() { vec!["-".into()] } else { self.operands.clone() }
    }

    /// Returns the number of an option; an invalid one ends the applet.
    pub async fn number(&self, p: &Proc, option: char) -> Result<Option<u64>, EarlyExit> {
        let Some(text) = self.get(option) else { return Ok(None) };
        match parse_size(text) {
            Some(n) => Ok(Some(n)),
            None => fail(p, 1, &format!("invalid number '{text}'")).await,
        }
    }
}

fn parse(args: &[String], spec: &str) -> Result<Options, OptionError> {
    let (spec, ordered) = match spec.strip_prefix('+') {
        Some(rest) => (rest, true),
        None => (spec, false),
    };
    let mut out = Options { given: vec![], operands: vec![] };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if arg == "--" {
            out.operands.extend(args.cloned());
            break;
        } else if let Some(long) = arg.strip_prefix("--") {
            let (name, value) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (long, None),
            };
            let Some((c, takes)) = long_option(spec, name) else {
                return Err(OptionError::Unknown(format!("unrecognized option '--{name}'")));
            };
            let value = match (takes, value) {
                (1, None) => args.next().ok_or(OptionError::NoValue(c))?.clone(),
                (_, value) => value.unwrap_or_default().to_string(),
            };
            out.given.push((c, value));
        } else if arg.len() > 1 && arg.starts_with('-') {
            let mut letters = arg.chars();
            letters.next();
            while let Some(c) = letters.next() {
                let unknown = || OptionError::Unknown(format!("invalid option -- '{c}'"));
                let takes = short_option(spec, c).ok_or_else(unknown)?;
                let mut value = String::new();
                if takes > 0 {
                    value = letters.as_str().to_string();
                    letters = "".chars();
                    if value.is_empty() && takes == 1 {
                        value = args.next().ok_or(OptionError::NoValue(c))?.clone();
                    }
                }
                out.given.push((c, value));
            }
        } else {
            out.operands.push(arg.clone());
            if ordered {
                out.operands.extend(args.cloned());
                break;
            }
        }
    }
    Ok(out)
}

/// Returns the number of colons behind a letter of the specification.
fn short_option(spec: &str, wanted: char) -> Option<usize> {
    let mut rest = spec;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        let behind = rest.trim_start_matches(':');
        let colons = rest.len() - behind.len();
        rest = behind;
        while let Some(inner) = rest.strip_prefix('(') {
            rest = inner.split_once(')').map_or("", |x| x.1);
        }
        if c == wanted {
            return Some(colons);
        }
    }
    None
}

fn long_option(spec: &str, wanted: &str) -> Option<(char, usize)> {
    let at = spec.find(&format!("({wanted})"))?;
    let mut before = &spec[..at];
    while before.ends_with(')') {
        before = &before[..before.rfind('(')?];
    }
    let bare = before.trim_end_matches(':');
    Some((bare.chars().last()?, before.len() - bare.len()))
}

/// Parses a number with busybox's suffixes: b 512, k 1024, m, g, kB 1000 and so on.
pub fn parse_size(text: &str) -> Option<u64> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, suffix) = text.split_at(digits);
    let factor: u64 = match suffix {
        "" | "c" => 1,
        "w" => 2,
        "b" => 512,
        "k" | "K" | "KiB" => 1 << 10,
        "m" | "M" | "MiB" => 1 << 20,
        "g" | "G" | "GiB" => 1 << 30,
        "kB" | "KB" | "kD" => 1000,
        "MB" | "mB" => 1_000_000,
        "GB" | "gB" => 1_000_000_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// Rewrites the historic `-5` to `-n 5`.
pub fn rewrite_count_options(args: &[String]) -> Vec<String> {
    let mut out = Vec::new();
    for (i, arg) in args.iter().enumerate().skip(1) {
        let number = arg.strip_prefix('-').filter(|d| d.starts_with(|c: char| c.is_ascii_digit()));
        let is_value = i > 1 && matches!(args[i - 1].as_str(), "-n" | "-c" | "-s");
        match number {
            Some(n) if !is_value => out.push(format!("-n{n}")),
            _ => out.push(arg.clone()),
        }
    }
    out
}
