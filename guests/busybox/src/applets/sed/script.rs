//! sed scripts: from text to commands whose addresses, blocks and labels are resolved to positions.

use std::fmt;

use super::replacement::{InvalidReference, Replacement};
use crate::applets::pattern::{Extent, Pattern};

pub enum Address {
    Line(u64),
    Last,
    /// `first~step`.
    Step(u64, u64),
    Match(Pattern),
    /// `,+N` and `,~N`.
    More(u64),
    Multiple(u64),
}

pub struct Command {
    pub first: Option<Address>,
    pub second: Option<Address>,
    pub negated: bool,
    pub function: Function,
}

/// A command without its addresses.
pub enum Function {
    /// `{`: the position of its end.
    Block(usize),
    Nothing,
    Substitute(Box<Substitution>),
    Delete,
    DeleteFirst,
    Print,
    PrintFirst,
    /// Exit code, and whether the pattern space is printed.
    Quit(i32, bool),
    Number,
    Append(Vec<u8>),
    Insert(Vec<u8>),
    Change(Vec<u8>),
    Read(String),
    Write(String),
    Map(Box<[u8; 256]>),
    /// `n`, or `N` where it joins the lines.
    Next {
        join: bool,
    },
    Get,
    GetAppend,
    Hold,
    HoldAppend,
    Exchange,
    Branch(usize),
    BranchIf(usize, bool),
}

pub struct Substitution {
    pub pattern: Pattern,
    pub replacement: Replacement,
    pub all: bool,
    pub nth: u64,
    pub print: bool,
    pub file: Option<String>,
}

impl Command {
    pub fn needs_last(&self) -> bool {
        matches!(self.first, Some(Address::Last)) || matches!(self.second, Some(Address::Last))
    }
}

/// Why a script is not valid. Displays as busybox's messages.
pub enum ScriptError {
    MissingAddress,
    MissingCommand,
    UnsupportedCommand(u8),
    IncompleteCommand,
    ExtraCharacters,
    MissingText,
    UnexpectedBrace,
    /// An opening brace, or the delimiter of an expression.
    Unmatched(u8),
    UnknownLabel(String),
    MissingDelimiter,
    NoPreviousExpression,
    /// The expression, and what is wrong with it.
    BadExpression(Vec<u8>, &'static str),
    BadSubstitutionOption,
    InvalidReference(InvalidReference),
    UnequalMap,
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ScriptError::MissingAddress => "no address after comma",
            ScriptError::MissingCommand => "missing command",
            ScriptError::UnsupportedCommand(letter) => {
                return write!(f, "unsupported command {}", char::from(*letter));
            }
            ScriptError::IncompleteCommand => "incomplete command",
            ScriptError::ExtraCharacters => "extra characters after command",
            ScriptError::MissingText => "expected \\ after 'a', 'c' or 'i'",
            ScriptError::UnexpectedBrace => "unexpected '}'",
            ScriptError::Unmatched(byte) => return write!(f, "unmatched '{}'", char::from(*byte)),
            ScriptError::UnknownLabel(label) => return write!(f, "can't find label for jump to '{label}'"),
            ScriptError::MissingDelimiter => "no delimiter",
            ScriptError::NoPreviousExpression => "no previous regexp",
            ScriptError::BadExpression(text, reason) => {
                return write!(f, "bad regex '{}': {reason}", String::from_utf8_lossy(text));
            }
            ScriptError::BadSubstitutionOption => "bad option in substitution expression",
            ScriptError::InvalidReference(error) => return error.fmt(f),
            ScriptError::UnequalMap => "strings for 'y' command are different lengths",
        })
    }
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    extended: bool,
    /// The previous expression, which an empty one repeats, and whether it ignores case.
    last: Option<(Vec<u8>, bool)>,
    commands: Vec<Command>,
    /// Positions of blocks that are not closed yet.
    open: Vec<usize>,
    labels: Vec<(String, usize)>,
    /// Positions of branches and their labels.
    jumps: Vec<(usize, String)>,
}

/// Parses a script; `extended` chooses the kind of its expressions.
pub fn parse(text: &str, extended: bool) -> Result<Vec<Command>, ScriptError> {
    let mut parser = Parser {
        text: text.as_bytes(),
        at: 0,
        extended,
        last: None,
        commands: vec![],
        open: vec![],
        labels: vec![],
        jumps: vec![],
    };
    loop {
        parser.skip(|b| b.is_ascii_whitespace() || b == b';');
        if parser.peek().is_none() {
            return parser.resolve();
        }
        parser.parse_command()?;
    }
}

impl Parser<'_> {
    fn parse_command(&mut self) -> Result<(), ScriptError> {
        let first = self.parse_address(false)?;
        let mut second = None;
        self.skip(|b| b == b' ');
        if first.is_some() && self.peek() == Some(b',') {
            self.at += 1;
            self.skip(|b| b == b' ');
            second = Some(self.parse_address(true)?.ok_or(ScriptError::MissingAddress)?);
        }
        self.skip(|b| b == b' ');
        let mut negated = false;
        while self.peek() == Some(b'!') {
            negated = true;
            self.at += 1;
            self.skip(|b| b == b' ');
        }
        let letter = self.peek().ok_or(ScriptError::MissingCommand)?;
        self.at += 1;
        if let Some(function) = self.parse_function(letter)? {
            self.commands.push(Command { first, second, negated, function });
        }
        Ok(())
    }

    /// Parses a function; `None` for `#`, `}` and `:`, which are no commands of their own.
    fn parse_function(&mut self, letter: u8) -> Result<Option<Function>, ScriptError> {
        let function = match letter {
            b'#' => {
                self.take_line();
                return Ok(None);
            }
            b'}' => {
                self.close_block()?;
                return Ok(None);
            }
            b':' => {
                let label = self.take_word();
                self.labels.push((label, self.commands.len()));
                return Ok(None);
            }
            b'{' => {
                self.open.push(self.commands.len());
                return Ok(Some(Function::Block(0)));
            }
            b'b' | b't' | b'T' => return Ok(Some(self.parse_branch(letter))),
            b'a' => return Ok(Some(Function::Append(self.take_block_text()?))),
            b'i' => return Ok(Some(Function::Insert(self.take_block_text()?))),
            b'c' => return Ok(Some(Function::Change(self.take_block_text()?))),
            b'r' => return Ok(Some(Function::Read(self.take_line().trim().to_string()))),
            b'w' => return Ok(Some(Function::Write(self.take_line().trim().to_string()))),
            b's' => Function::Substitute(Box::new(self.parse_substitution()?)),
            b'y' => Function::Map(self.parse_map()?),
            b'q' | b'Q' => {
                self.skip(|b| b == b' ');
                Function::Quit(self.take_number().unwrap_or(0) as i32, letter == b'q')
            }
            b'd' => Function::Delete,
            b'D' => Function::DeleteFirst,
            b'p' => Function::Print,
            b'P' => Function::PrintFirst,
            b'=' => Function::Number,
            b'n' => Function::Next { join: false },
            b'N' => Function::Next { join: true },
            b'g' => Function::Get,
            b'G' => Function::GetAppend,
            b'h' => Function::Hold,
            b'H' => Function::HoldAppend,
            b'x' => Function::Exchange,
            other => return Err(ScriptError::UnsupportedCommand(other)),
        };
        self.expect_end()?;
        Ok(Some(function))
    }

    fn parse_branch(&mut self, letter: u8) -> Function {
        let label = self.take_word();
        self.jumps.push((self.commands.len(), label));
        match letter {
            b'b' => Function::Branch(0),
            letter => Function::BranchIf(0, letter == b't'),
        }
    }

    fn close_block(&mut self) -> Result<(), ScriptError> {
        let start = self.open.pop().ok_or(ScriptError::UnexpectedBrace)?;
        let end = self.commands.len();
        if let Some(Command { function: Function::Block(to), .. }) = self.commands.get_mut(start) {
            *to = end;
        }
        self.expect_end()
    }

    /// Resolves labels to positions and returns the commands.
    fn resolve(mut self) -> Result<Vec<Command>, ScriptError> {
        if !self.open.is_empty() {
            return Err(ScriptError::Unmatched(b'{'));
        }
        for (from, label) in self.jumps {
            let known = self.labels.iter().find(|(name, _)| *name == label).map(|(_, at)| *at);
            let to = match known {
                Some(to) => to,
                None if label.is_empty() => self.commands.len(),
                None => return Err(ScriptError::UnknownLabel(label)),
            };
            if let Some(Command { function: Function::Branch(at) | Function::BranchIf(at, _), .. }) =
                self.commands.get_mut(from)
            {
                *at = to;
            }
        }
        // A block without commands behind it still needs a position to jump to.
        self.commands.push(Command { first: None, second: None, negated: false, function: Function::Nothing });
        Ok(self.commands)
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip(&mut self, skips: impl Fn(u8) -> bool) {
        while self.peek().is_some_and(&skips) {
            self.at += 1;
        }
    }

    fn take_number(&mut self) -> Option<u64> {
        let start = self.at;
        self.skip(|b| b.is_ascii_digit());
        std::str::from_utf8(self.text.get(start..self.at)?).ok()?.parse().ok()
    }

    /// Returns the rest of the line.
    fn take_line(&mut self) -> String {
        let start = self.at;
        self.skip(|b| b != b'\n');
        String::from_utf8_lossy(self.text.get(start..self.at).unwrap_or_default()).into_owned()
    }

    /// Returns a label.
    fn take_word(&mut self) -> String {
        self.skip(|b| b == b' ');
        let start = self.at;
        self.skip(|b| b != b'\n' && b != b';' && b != b'}' && b != b' ');
        String::from_utf8_lossy(self.text.get(start..self.at).unwrap_or_default()).into_owned()
    }

    /// Checks that nothing else follows the command.
    fn expect_end(&mut self) -> Result<(), ScriptError> {
        self.skip(|b| b == b' ' || b == b'\t' || b == b'\r');
        match self.peek() {
            None | Some(b'\n' | b';' | b'}' | b'#') => Ok(()),
            Some(_) => Err(ScriptError::ExtraCharacters),
        }
    }

    fn parse_address(&mut self, second: bool) -> Result<Option<Address>, ScriptError> {
        let Some(byte) = self.peek() else { return Ok(None) };
        Ok(Some(match byte {
            b'0'..=b'9' => {
                let first = self.take_number().unwrap_or(0);
                if self.peek() == Some(b'~') {
                    self.at += 1;
                    Address::Step(first, self.take_number().unwrap_or(0))
                } else {
                    Address::Line(first)
                }
            }
            b'$' => {
                self.at += 1;
                Address::Last
            }
            b'+' if second => {
                self.at += 1;
                Address::More(self.take_number().unwrap_or(0))
            }
            b'~' if second => {
                self.at += 1;
                Address::Multiple(self.take_number().unwrap_or(0))
            }
            b'/' | b'\\' => {
                self.at += 1;
                let delimiter = if byte == b'/' {
                    b'/'
                } else {
                    let custom = self.peek().ok_or(ScriptError::MissingDelimiter)?;
                    self.at += 1;
                    custom
                };
                let text = self.take_delimited(delimiter, true)?;
                let fold = self.peek() == Some(b'I');
                self.at += usize::from(fold);
                Address::Match(self.compile_pattern(text, fold)?)
            }
            _ => return Ok(None),
        }))
    }

    /// Returns the text up to the delimiter, which a backslash protects.
    fn take_delimited(&mut self, delimiter: u8, expression: bool) -> Result<Vec<u8>, ScriptError> {
        let mut out = Vec::new();
        let mut in_set = false;
        let mut set_start = 0;
        while let Some(byte) = self.peek() {
            self.at += 1;
            if byte == b'\\' && !in_set {
                let Some(next) = self.peek() else { break };
                self.at += 1;
                if next == delimiter {
                    // An operator that serves as the delimiter is literal.
                    if expression && b"*.[]^$".contains(&next) {
                        out.push(b'\\');
                    }
                    out.push(next);
                } else {
                    out.extend([b'\\', next]);
                }
                continue;
            }
            if byte == delimiter && !in_set {
                return Ok(out);
            }
            if expression {
                if in_set {
                    let first = out.len() == set_start || (out.len() == set_start + 1 && out.last() == Some(&b'^'));
                    in_set = byte != b']' || first;
                } else if byte == b'[' {
                    in_set = self.text.get(self.at..).is_some_and(|r| r.contains(&b']'));
                    set_start = out.len() + 1;
                }
            }
            out.push(byte);
        }
        Err(ScriptError::Unmatched(delimiter))
    }

    fn compile_pattern(&mut self, text: Vec<u8>, fold: bool) -> Result<Pattern, ScriptError> {
        let (text, fold) =
            if text.is_empty() { self.last.clone().ok_or(ScriptError::NoPreviousExpression)? } else { (text, fold) };
        self.last = Some((text.clone(), fold));
        let compiled = Pattern::new(&text, self.extended, fold, Extent::Any);
        compiled.map_err(|reason| ScriptError::BadExpression(text, reason))
    }

    fn parse_substitution(&mut self) -> Result<Substitution, ScriptError> {
        let delimiter = self.peek().ok_or(ScriptError::BadSubstitutionOption)?;
        self.at += 1;
        let expression = self.take_delimited(delimiter, true)?;
        let replacement = self.take_delimited(delimiter, false)?;
        let (mut all, mut nth, mut print, mut fold, mut file) = (false, 1, false, false, None);
        while let Some(flag) = self.peek() {
            match flag {
                b'g' => all = true,
                b'p' => print = true,
                b'i' | b'I' => fold = true,
                b'm' | b'M' | b'e' => return Err(ScriptError::BadSubstitutionOption),
                b'0'..=b'9' => {
                    nth = self.take_number().unwrap_or(1).max(1);
                    continue;
                }
                b'w' => {
                    self.at += 1;
                    file = Some(self.take_line().trim().to_string());
                    break;
                }
                b';' | b'\n' | b'}' | b'#' | b' ' | b'\t' | b'\r' => break,
                _ => return Err(ScriptError::BadSubstitutionOption),
            }
            self.at += 1;
        }
        let pattern = self.compile_pattern(expression, fold)?;
        let replacement = Replacement::parse(&replacement, pattern.groups()).map_err(ScriptError::InvalidReference)?;
        Ok(Substitution { pattern, replacement, all, nth, print, file })
    }

    fn parse_map(&mut self) -> Result<Box<[u8; 256]>, ScriptError> {
        let delimiter = self.peek().ok_or(ScriptError::IncompleteCommand)?;
        self.at += 1;
        let mut sides = Vec::new();
        for _ in 0..2 {
            let text = self.take_delimited(delimiter, false)?;
            let mut side = Vec::new();
            crate::applets::echo::unescape(&text, &mut side, false);
            sides.push(side);
        }
        let mut map = Box::new([0; 256]);
        map.iter_mut().zip(0u8..).for_each(|(slot, byte)| *slot = byte);
        match sides.as_slice() {
            [from, to] if from.len() == to.len() => {
                from.iter().zip(to).for_each(|(f, t)| map[usize::from(*f)] = *t);
            }
            _ => return Err(ScriptError::UnequalMap),
        }
        Ok(map)
    }

    /// Returns the text of `a`, `i` or `c`: in one line (GNU), or behind a backslash and a newline. A backslash continues
    /// it.
    fn take_block_text(&mut self) -> Result<Vec<u8>, ScriptError> {
        self.skip(|b| b == b' ' || b == b'\t');
        if self.peek() == Some(b'\\') {
            self.at += 1;
            let after = self.at;
            self.skip(|b| b == b' ' || b == b'\t');
            if self.peek() == Some(b'\n') {
                self.at += 1;
            } else {
                // `a\text`: the backslash keeps leading blanks.
                self.at = after;
            }
        }
        let mut out = Vec::new();
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                b'\n' => break,
                b'\\' => {
                    let Some(next) = self.peek() else { break };
                    self.at += 1;
                    if next == b't' { out.push(b'\t') } else { out.push(next) }
                }
                byte => out.push(byte),
            }
        }
        if out.is_empty() && self.peek().is_none() && self.text.last() != Some(&b'\n') {
            return Err(ScriptError::MissingText);
        }
        out.push(b'\n');
        Ok(out)
    }
}
