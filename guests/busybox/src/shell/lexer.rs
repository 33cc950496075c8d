//! Tokens: splits shell text into the words and operators that brush-parser's grammar reads.
//!
//! brush-parser has a tokenizer of its own, but it collapses blanks inside `${x:-a  b}`, does not know `case` inside
//! command substitutions and can panic. This one keeps the source text of every word unchanged; `word` parses it later.
//! The grammar has no token for here-documents, so they follow their delimiter as a word that begins with [`BODY`].

use std::collections::BTreeMap;
use std::sync::Arc;

use brush_parser::{SourcePosition, SourceSpan, Token};

/// The first character of a here-document's body, so that no body looks like other syntax.
pub const BODY: char = '\u{1}';

/// The text ends too early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unterminated(pub &'static str);

type Lexed<T> = Result<T, Unterminated>;

const QUOTED: Unterminated = Unterminated("unterminated quoted string");
const EARLY: Unterminated = Unterminated("unexpected end of file");

/// The construct that an opening parenthesis or `case` began.
#[derive(PartialEq)]
enum Frame {
    Parenthesis,
    CaseWord,
    CasePattern,
    CaseBody,
}

struct HereDocument {
    /// The position of its body in the tokens.
    body: usize,
    delimiter: String,
    strip_tabs: bool,
}

/// Reads tokens from the front of `src`.
pub struct Lexer<'a> {
    src: &'a [char],
    pos: usize,
    line: usize,
    /// Whether more text may follow; otherwise open here-documents end with the text.
    at_end: bool,
    tokens: Vec<Token>,
    here_documents: Vec<HereDocument>,
    frames: Vec<Frame>,
    command_position: bool,
    /// The positions of words that name a command.
    commands: Vec<usize>,
}

/// Returns all tokens of `text`.
pub fn tokens(text: &[char], at_end: bool, aliases: &Aliases) -> Lexed<Vec<Token>> {
    let mut lexer = Lexer::new(text, 0, at_end);
    lexer.run(false)?;
    let mut out = Vec::new();
    for (i, token) in lexer.tokens.into_iter().enumerate() {
        let alias = aliases.get(token.to_str()).filter(|_| lexer.commands.binary_search(&i).is_ok());
        match alias {
            Some(value) => {
                // An alias is not expanded within itself.
                let mut others = aliases.clone();
                others.remove(token.to_str());
                let value: Vec<char> = value.chars().collect();
                out.extend(tokens(&value, true, &others)?);
            }
            None => out.push(token),
        }
    }
    Ok(out)
}

pub type Aliases = BTreeMap<String, String>;

impl<'a> Lexer<'a> {
    fn new(src: &'a [char], pos: usize, at_end: bool) -> Lexer<'a> {
        Lexer {
            src,
            pos,
            line: 1,
            at_end,
            tokens: Vec::new(),
            here_documents: Vec::new(),
            frames: Vec::new(),
            command_position: true,
            commands: Vec::new(),
        }
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.src.get(self.pos + ahead).copied()
    }

    /// Reads to the end or, when `nested`, to the parenthesis that closes a substitution.
    fn run(&mut self, nested: bool) -> Lexed<()> {
        loop {
            let Some(c) = self.peek(0) else {
                return self.finish(nested);
            };
            match c {
                ' ' | '\t' | '\r' => self.pos += 1,
                '\\' if self.peek(1) == Some('\n') => {
                    self.pos += 2;
                    self.line += 1;
                    if self.pos >= self.src.len() && !self.at_end {
                        return Err(EARLY);
                    }
                }
                '#' => {
                    while self.peek(0).is_some_and(|c| c != '\n') {
                        self.pos += 1;
                    }
                }
                ')' if nested && self.closes() => {
                    self.pos += 1;
                    return Ok(());
                }
                '(' if self.peek(1) == Some('(') && self.arithmetic_command() => {}
                '\n' | '&' | '|' | ';' | '<' | '>' | '(' | ')' => self.operator()?,
                _ => self.word()?,
            }
        }
    }

    fn finish(&mut self, nested: bool) -> Lexed<()> {
        if nested || (!self.here_documents.is_empty() && !self.at_end) {
            return Err(EARLY);
        }
        self.take_bodies()
    }

    /// Whether `)` ends the substitution that is being read.
    fn closes(&self) -> bool {
        self.frames.iter().all(|f| matches!(f, Frame::CaseBody))
    }

    fn push(&mut self, text: String, start: usize, operator: bool) {
        let at = |index| Arc::new(SourcePosition { index, line: self.line, column: 1 });
        let span = SourceSpan { start: at(start), end: at(self.pos) };
        self.tokens.push(match operator {
            true => Token::Operator(text, span),
            false => Token::Word(text, span),
        });
    }

    fn operator(&mut self) -> Lexed<()> {
        const LONG: [&str; 17] =
            ["<<<", "<<-", ";;&", "&>>", "&&", "||", ";;", ";&", "<<", ">>", "<&", ">&", "<>", ">|", "&>", "|&", "\n"];
        let start = self.pos;
        let fits = |op: &&&str| op.chars().enumerate().all(|(i, c)| self.peek(i) == Some(c));
        let text = match LONG.iter().find(fits) {
            Some(op) => (*op).to_string(),
            None => self.peek(0).map(String::from).unwrap_or_default(),
        };
        if matches!(text.as_str(), "\n" | ";") && self.ends_with_for_in() {
            // The grammar parses `for x in;` as `for x;`: insert a word that expands to nothing.
            self.push("$()".into(), start, false);
        }
        self.pos += text.len();
        self.push(text.clone(), start, true);
        match text.as_str() {
            "<<" | "<<-" => return self.here_document(text == "<<-"),
            "(" if self.frames.last() != Some(&Frame::CasePattern) => {
                self.frames.push(Frame::Parenthesis);
            }
            ")" => match self.frames.last_mut() {
                Some(top @ Frame::CasePattern) => *top = Frame::CaseBody,
                Some(Frame::Parenthesis) => drop(self.frames.pop()),
                Some(Frame::CaseWord | Frame::CaseBody) | None => {}
            },
            ";;" | ";&" | ";;&" => {
                if let Some(top @ Frame::CaseBody) = self.frames.last_mut() {
                    *top = Frame::CasePattern;
                }
            }
            "\n" => {
                self.line += 1;
                self.take_bodies()?;
            }
            _ => {}
        }
        self.command_position = !text.starts_with(['<', '>']) && !text.starts_with("&>");
        Ok(())
    }

    fn ends_with_for_in(&self) -> bool {
        let mut last = self.tokens.iter().rev().map(Token::to_str);
        last.next() == Some("in") && last.next().is_some() && last.next() == Some("for")
    }

    fn word(&mut self) -> Lexed<()> {
        let start = self.pos;
        let text = self.word_text()?;
        if text.is_empty() {
            return Ok(());
        }
        let reserved = self.command_position;
        self.command_position = false;
        match (text.as_str(), self.frames.last_mut()) {
            ("in", Some(top @ Frame::CaseWord)) => *top = Frame::CasePattern,
            ("esac", Some(Frame::CasePattern)) => {
                self.frames.pop();
            }
            ("esac", Some(Frame::CaseBody)) if reserved => {
                self.frames.pop();
            }
            ("case", _) if reserved => self.frames.push(Frame::CaseWord),
            ("if" | "then" | "else" | "elif" | "do" | "while" | "until" | "!" | "{" | "time", _) => {
                self.command_position = reserved
            }
            _ => {}
        }
        let is_for = reserved && text == "for";
        if reserved {
            self.commands.push(self.tokens.len());
        }
        self.push(text, start, false);
        if is_for {
            while self.peek(0) == Some(' ') {
                self.pos += 1;
            }
            self.command_position = self.peek(0) == Some('(');
        }
        Ok(())
    }

    /// Returns the source text of a word with its quotes but without line continuations.
    fn word_text(&mut self) -> Lexed<String> {
        let mut text = String::new();
        while let Some(c) = self.peek(0) {
            match c {
                ' ' | '\t' | '\n' | '&' | '|' | ';' | '<' | '>' | '(' | ')' => break,
                '\\' if self.peek(1) == Some('\n') => {
                    self.pos += 2;
                    if self.pos >= self.src.len() && !self.at_end {
                        return Err(EARLY);
                    }
                }
                _ => {
                    let end = end_of_part(self.src, self.pos, false)?;
                    let part = self.src.get(self.pos..end).unwrap_or_default();
                    self.line += part.iter().filter(|c| **c == '\n').count();
                    text.extend(part);
                    self.pos = end;
                }
            }
        }
        Ok(text)
    }

    /// Reads `((expression))` or the head of `for ((a; b; c))`, in which `<<` and `;` have no special meaning.
    fn arithmetic_command(&mut self) -> bool {
        if !self.command_position {
            return false;
        }
        let Some(end) = end_of_arithmetic(self.src, self.pos + 2) else {
            return false;
        };
        let is_for = matches!(self.tokens.last(), Some(Token::Word(w, _)) if w == "for");
        let inner: String = self.src.get(self.pos + 2..end - 2).unwrap_or_default().iter().collect();
        let start = self.pos;
        self.pos = end;
        self.push("(".into(), start, true);
        self.push("(".into(), start + 1, true);
        let parts: Vec<&str> = if is_for { inner.split(';').collect() } else { vec![&inner] };
        for (i, part) in parts.iter().enumerate() {
            if i > 0 {
                self.push(";".into(), start + 2, true);
            }
            if !part.trim().is_empty() {
                self.push(part.trim().into(), start + 2, false);
            }
        }
        self.push(")".into(), end - 2, true);
        self.push(")".into(), end - 1, true);
        self.command_position = is_for;
        true
    }

    fn here_document(&mut self, strip_tabs: bool) -> Lexed<()> {
        while matches!(self.peek(0), Some(' ' | '\t')) {
            self.pos += 1;
        }
        let start = self.pos;
        let tag = self.word_text()?;
        if tag.is_empty() {
            return Ok(()); // The grammar will print_error.
        }
        let delimiter = tag.chars().filter(|c| !matches!(c, '\'' | '"' | '\\')).collect();
        self.push(tag.clone(), start, false);
        self.here_documents.push(HereDocument { body: self.tokens.len(), delimiter, strip_tabs });
        self.push(BODY.to_string(), start, false);
        self.push(tag, start, false);
        Ok(())
    }

    /// Reads the bodies of the here-documents whose operators are on the line that just ended.
    fn take_bodies(&mut self) -> Lexed<()> {
        for here in std::mem::take(&mut self.here_documents) {
            let mut body = String::from(BODY);
            loop {
                if self.pos >= self.src.len() {
                    if self.at_end {
                        break;
                    }
                    return Err(EARLY);
                }
                let rest = self.src.get(self.pos..).unwrap_or_default();
                let length = rest.iter().position(|c| *c == '\n').unwrap_or(rest.len());
                let mut line = rest.get(..length).unwrap_or_default();
                self.pos += (length + 1).min(rest.len());
                self.line += 1;
                while here.strip_tabs && line.first() == Some(&'\t') {
                    line = line.get(1..).unwrap_or_default();
                }
                if line.iter().copied().eq(here.delimiter.chars()) {
                    break;
                }
                body.extend(line);
                body.push('\n');
            }
            if let Some(Token::Word(text, _)) = self.tokens.get_mut(here.body) {
                *text = body;
            }
        }
        Ok(())
    }
}

/// Returns the end of the part of a word at `pos`: one character, or a quoted or `$` construct. In `double` quotes,
/// single quotes are plain characters.
pub fn end_of_part(src: &[char], pos: usize, double: bool) -> Lexed<usize> {
    let at = |i: usize| src.get(i).copied();
    match at(pos) {
        Some('\\') => Ok((pos + 2).min(src.len())),
        Some('\'') if !double => {
            let rest = src.get(pos + 1..).unwrap_or_default();
            let length = rest.iter().position(|c| *c == '\'').ok_or(QUOTED)?;
            Ok(pos + length + 2)
        }
        Some('"') if !double => {
            let mut i = pos + 1;
            while at(i).ok_or(QUOTED)? != '"' {
                i = end_of_part(src, i, true)?;
            }
            Ok(i + 1)
        }
        Some('`') => {
            let mut i = pos + 1;
            while at(i).ok_or(Unterminated("EOF in backquote substitution"))? != '`' {
                i += if at(i) == Some('\\') { 2 } else { 1 };
            }
            Ok(i + 1)
        }
        Some('$') => end_of_dollar(src, pos, double),
        _ => Ok(pos + 1),
    }
}

fn end_of_dollar(src: &[char], pos: usize, double: bool) -> Lexed<usize> {
    let at = |i: usize| src.get(i).copied();
    match at(pos + 1) {
        Some('(') => {
            if at(pos + 2) == Some('(')
                && let Some(end) = end_of_arithmetic(src, pos + 3)
            {
                return Ok(end);
            }
            let mut lexer = Lexer::new(src, pos + 2, false);
            lexer.run(true)?;
            Ok(lexer.pos)
        }
        Some('{') => {
            let mut i = pos + 2;
            // After these, quotes are special even inside double quotes.
            while at(i).is_some_and(|c| c.is_ascii_alphanumeric() || c == '_') {
                i += 1;
            }
            let pattern = matches!(at(i), Some('#' | '%' | '/'));
            if i == pos + 2 && at(i).is_some_and(|c| "#?$!@*-".contains(c)) && at(i + 1).is_some() {
                i += 1;
            }
            let double = double && !pattern;
            while at(i).ok_or(Unterminated("unterminated ${"))? != '}' {
                // Inside double quotes, the braces may contain another pair of them.
                i = match at(i) {
                    Some('"') => end_of_part(src, i, false)?,
                    _ => end_of_part(src, i, double)?,
                };
            }
            Ok(i + 1)
        }
        Some('\'') if !double => {
            let mut i = pos + 2;
            while at(i).ok_or(QUOTED)? != '\'' {
                i += if at(i) == Some('\\') { 2 } else { 1 };
            }
            Ok(i + 1)
        }
        _ => Ok(pos + 1),
    }
}

/// Returns the end of `expression))`, counted from behind the `((`; `None` if these are two subshells.
fn end_of_arithmetic(src: &[char], start: usize) -> Option<usize> {
    let mut depth = 0;
    let mut i = start;
    loop {
        match src.get(i)? {
            '(' => depth += 1,
            ')' if depth == 0 => return (src.get(i + 1) == Some(&')')).then_some(i + 2),
            ')' => depth -= 1,
            '\\' | '\'' | '"' | '`' | '$' => {
                i = end_of_part(src, i, false).ok()?;
                continue;
            }
            _ => {}
        }
        i += 1;
    }
}
