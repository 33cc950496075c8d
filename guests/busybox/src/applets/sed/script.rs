//! sed scripts: from text to commands with addresses, blocks and labels resolved to positions.

use crate::applets::echo::escape;
use crate::applets::pattern::{Fill, NONE, Pattern};

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
    pub what: What,
}

pub enum What {
    /// `{`: where its end is.
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
    /// `n`, or `N` when it joins.
    Next(bool),
    Get,
    GetAppend,
    Hold,
    HoldAppend,
    Exchange,
    Branch(usize),
    BranchIf(usize, bool),
}

enum Piece {
    Text(Vec<u8>),
    Group(usize),
    /// `\U`, `\L`, `\u`, `\l`, `\E`.
    Case(u8),
}

pub struct Substitution {
    pub pattern: Pattern,
    pieces: Vec<Piece>,
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

impl Substitution {
    pub fn fill(&self, text: &[u8], spans: &[usize], out: &mut Vec<u8>) {
        let (mut lasting, mut once) = (b'E', 0);
        for piece in &self.pieces {
            let added = match piece {
                Piece::Text(text) => text.as_slice(),
                Piece::Group(n) => match (spans.get(n * 2), spans.get(n * 2 + 1)) {
                    (Some(a), Some(b)) if *a != NONE && *b != NONE => text.get(*a..*b).unwrap_or_default(),
                    _ => &[],
                },
                Piece::Case(c @ (b'u' | b'l')) => {
                    once = *c;
                    continue;
                }
                Piece::Case(c) => {
                    lasting = *c;
                    continue;
                }
            };
            for byte in added {
                let how = if once != 0 { std::mem::take(&mut once) } else { lasting };
                out.push(match how {
                    b'U' | b'u' => byte.to_ascii_uppercase(),
                    b'L' | b'l' => byte.to_ascii_lowercase(),
                    _ => *byte,
                });
            }
        }
    }
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    extended: bool,
    /// What `//` stands for.
    last: Option<(Vec<u8>, bool)>,
}

pub fn parse(text: &str, extended: bool) -> Result<Vec<Command>, String> {
    let mut parser = Parser { text: text.as_bytes(), at: 0, extended, last: None };
    let mut commands: Vec<Command> = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    let mut labels: Vec<(String, usize)> = Vec::new();
    let mut jumps: Vec<(usize, String)> = Vec::new();
    loop {
        parser.skip(|b| b.is_ascii_whitespace() || b == b';');
        if parser.peek().is_none() {
            break;
        }
        let first = parser.address(false)?;
        let mut second = None;
        parser.skip(|b| b == b' ');
        if first.is_some() && parser.peek() == Some(b',') {
            parser.at += 1;
            parser.skip(|b| b == b' ');
            second = Some(parser.address(true)?.ok_or("no address after comma")?);
        }
        parser.skip(|b| b == b' ');
        let mut negated = false;
        while parser.peek() == Some(b'!') {
            negated = true;
            parser.at += 1;
            parser.skip(|b| b == b' ');
        }
        let Some(letter) = parser.peek() else { return Err("missing command".into()) };
        parser.at += 1;
        let what = match letter {
            b'#' => {
                parser.line();
                continue;
            }
            b'{' => {
                open.push(commands.len());
                What::Block(0)
            }
            b'}' => {
                let start = open.pop().ok_or("unexpected '}'")?;
                let end = commands.len();
                if let Some(Command { what: What::Block(to), .. }) = commands.get_mut(start) {
                    *to = end;
                }
                parser.end()?;
                continue;
            }
            b':' => {
                labels.push((parser.word(), commands.len()));
                continue;
            }
            b'b' | b't' | b'T' => {
                jumps.push((commands.len(), parser.word()));
                match letter {
                    b'b' => What::Branch(0),
                    letter => What::BranchIf(0, letter == b't'),
                }
            }
            b's' => What::Substitute(Box::new(parser.substitution()?)),
            b'y' => What::Map(parser.map()?),
            b'a' => What::Append(parser.block_text()?),
            b'i' => What::Insert(parser.block_text()?),
            b'c' => What::Change(parser.block_text()?),
            b'r' => What::Read(parser.line().trim().to_string()),
            b'w' => What::Write(parser.line().trim().to_string()),
            b'q' | b'Q' => {
                parser.skip(|b| b == b' ');
                let code = parser.number().unwrap_or(0) as i32;
                What::Quit(code, letter == b'q')
            }
            b'd' => What::Delete,
            b'D' => What::DeleteFirst,
            b'p' => What::Print,
            b'P' => What::PrintFirst,
            b'=' => What::Number,
            b'n' => What::Next(false),
            b'N' => What::Next(true),
            b'g' => What::Get,
            b'G' => What::GetAppend,
            b'h' => What::Hold,
            b'H' => What::HoldAppend,
            b'x' => What::Exchange,
            other => return Err(format!("unsupported command {}", other as char)),
        };
        if !matches!(letter, b'{' | b'b' | b't' | b'T' | b'a' | b'i' | b'c' | b'r' | b'w') {
            parser.end()?;
        }
        commands.push(Command { first, second, negated, what });
    }
    if !open.is_empty() {
        return Err("unmatched '{'".into());
    }
    for (from, label) in jumps {
        let known = labels.iter().find(|(name, _)| *name == label).map(|(_, at)| *at);
        let to = match known {
            Some(to) => to,
            None if label.is_empty() => commands.len(),
            None => return Err(format!("can't find label for jump to '{label}'")),
        };
        if let Some(Command { what: What::Branch(at) | What::BranchIf(at, _), .. }) = commands.get_mut(from) {
            *at = to;
        }
    }
    // A block without commands behind it still needs a place to jump to.
    commands.push(Command { first: None, second: None, negated: false, what: What::Nothing });
    Ok(commands)
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip(&mut self, skips: impl Fn(u8) -> bool) {
        while self.peek().is_some_and(&skips) {
            self.at += 1;
        }
    }

    fn number(&mut self) -> Option<u64> {
        let start = self.at;
        self.skip(|b| b.is_ascii_digit());
        std::str::from_utf8(self.text.get(start..self.at)?).ok()?.parse().ok()
    }

    /// The rest of the line.
    fn line(&mut self) -> String {
        let start = self.at;
        self.skip(|b| b != b'\n');
        String::from_utf8_lossy(self.text.get(start..self.at).unwrap_or_default()).into_owned()
    }

    /// A label.
    fn word(&mut self) -> String {
        self.skip(|b| b == b' ');
        let start = self.at;
        self.skip(|b| b != b'\n' && b != b';' && b != b'}' && b != b' ');
        String::from_utf8_lossy(self.text.get(start..self.at).unwrap_or_default()).into_owned()
    }

    fn end(&mut self) -> Result<(), String> {
        self.skip(|b| b == b' ' || b == b'\t' || b == b'\r');
        match self.peek() {
            None | Some(b'\n' | b';' | b'}' | b'#') => Ok(()),
            Some(_) => Err("extra characters after command".into()),
        }
    }

    fn address(&mut self, second: bool) -> Result<Option<Address>, String> {
        let Some(byte) = self.peek() else { return Ok(None) };
        Ok(Some(match byte {
            b'0'..=b'9' => {
                let first = self.number().unwrap_or(0);
                if self.peek() == Some(b'~') {
                    self.at += 1;
                    Address::Step(first, self.number().unwrap_or(0))
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
                Address::More(self.number().unwrap_or(0))
            }
            b'~' if second => {
                self.at += 1;
                Address::Multiple(self.number().unwrap_or(0))
            }
            b'/' | b'\\' => {
                self.at += 1;
                let delimiter = if byte == b'/' {
                    b'/'
                } else {
                    let custom = self.peek().ok_or("no delimiter")?;
                    self.at += 1;
                    custom
                };
                let text = self.delimited(delimiter, true)?;
                let fold = self.peek() == Some(b'I');
                self.at += usize::from(fold);
                Address::Match(self.pattern(text, fold)?)
            }
            _ => return Ok(None),
        }))
    }

    /// Text up to the delimiter, which a backslash protects.
    fn delimited(&mut self, delimiter: u8, expression: bool) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        let mut in_set = false;
        let mut set_start = 0;
        while let Some(byte) = self.peek() {
            self.at += 1;
            if byte == b'\\' && !in_set {
                let Some(next) = self.peek() else { break };
                self.at += 1;
                if next == delimiter {
                    // An operator that serves as the delimiter stands for itself.
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
        Err(format!("unmatched '{}'", delimiter as char))
    }

    fn pattern(&mut self, text: Vec<u8>, fold: bool) -> Result<Pattern, String> {
        let (text, fold) = if text.is_empty() { self.last.clone().ok_or("no previous regexp")? } else { (text, fold) };
        self.last = Some((text.clone(), fold));
        let compiled = Pattern::new(&text, self.extended, fold, Fill::Any);
        compiled.map_err(|why| format!("bad regex '{}': {why}", String::from_utf8_lossy(&text)))
    }

    fn substitution(&mut self) -> Result<Substitution, String> {
        let delimiter = self.peek().ok_or("bad option in substitution expression")?;
        self.at += 1;
        let expression = self.delimited(delimiter, true)?;
        let replacement = self.delimited(delimiter, false)?;
        let (mut all, mut nth, mut print, mut fold, mut file) = (false, 1, false, false, None);
        while let Some(flag) = self.peek() {
            match flag {
                b'g' => all = true,
                b'p' => print = true,
                b'i' | b'I' => fold = true,
                b'm' | b'M' | b'e' => return Err("bad option in substitution expression".into()),
                b'0'..=b'9' => {
                    nth = self.number().unwrap_or(1).max(1);
                    continue;
                }
                b'w' => {
                    self.at += 1;
                    file = Some(self.line().trim().to_string());
                    break;
                }
                b';' | b'\n' | b'}' | b'#' | b' ' | b'\t' | b'\r' => break,
                _ => return Err("bad option in substitution expression".into()),
            }
            self.at += 1;
        }
        let pattern = self.pattern(expression, fold)?;
        let pieces = pieces(&replacement, pattern.groups())?;
        Ok(Substitution { pattern, pieces, all, nth, print, file })
    }

    fn map(&mut self) -> Result<Box<[u8; 256]>, String> {
        let delimiter = self.peek().ok_or("incomplete command")?;
        self.at += 1;
        let mut sides = Vec::new();
        for _ in 0..2 {
            let text = self.delimited(delimiter, false)?;
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
            _ => return Err("strings for 'y' command are different lengths".into()),
        }
        Ok(map)
    }

    /// The text of `a`, `i` and `c`: in one line (GNU), or behind a backslash and a newline. A
    /// backslash continues it.
    fn block_text(&mut self) -> Result<Vec<u8>, String> {
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
            return Err("expected \\ after 'a', 'c' or 'i'".into());
        }
        out.push(b'\n');
        Ok(out)
    }
}

fn pieces(text: &[u8], groups: usize) -> Result<Vec<Piece>, String> {
    let mut out = Vec::new();
    let mut plain = Vec::new();
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        at += 1;
        let piece = match byte {
            b'&' => Piece::Group(0),
            b'\\' => {
                let next = text.get(at).copied().unwrap_or(b'\\');
                match next {
                    b'0'..=b'9' => {
                        at += 1;
                        let group = usize::from(next - b'0');
                        if group > groups {
                            return Err(format!("invalid reference \\{group} on 's' command's RHS"));
                        }
                        Piece::Group(group)
                    }
                    b'U' | b'L' | b'u' | b'l' | b'E' => {
                        at += 1;
                        Piece::Case(next)
                    }
                    b'&' | b'\n' | b'b' | b'c' => {
                        at += 1;
                        plain.push(next);
                        continue;
                    }
                    _ => {
                        let (value, used) = escape(text.get(at..).unwrap_or_default(), false);
                        at += used.max(1);
                        plain.push(value.unwrap_or(next));
                        continue;
                    }
                }
            }
            byte => {
                plain.push(*byte);
                continue;
            }
        };
        if !plain.is_empty() {
            out.push(Piece::Text(std::mem::take(&mut plain)));
        }
        out.push(piece);
    }
    if !plain.is_empty() {
        out.push(Piece::Text(plain));
    }
    Ok(out)
}
