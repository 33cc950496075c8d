//! Splits programs into tokens.

use super::error::{Error, Position, Problem};
use super::syntax::Builtin;
use super::value::parse_prefix;

#[derive(Clone, Debug, PartialEq)]
pub enum Token {
    Number(f64),
    Text(Vec<u8>),
    Regex(Vec<u8>),
    Name(String),
    /// A name directly before a parenthesis: a call of the program's function.
    Call(String),
    Builtin(Builtin),
    /// A keyword or punctuation, by its spelling. The end of a line is `\n`.
    Mark(&'static str),
    End,
}

const KEYWORDS: [&str; 20] = [
    "BEGIN", "END", "break", "continue", "delete", "do", "else", "exit", "for", "func", "function", "getline", "if",
    "in", "next", "nextfile", "print", "printf", "return", "while",
];

/// Longer ones first.
const PUNCTUATION: [&str; 42] = [
    "**=", "**", "*=", "+=", "-=", "/=", "%=", "^=", "++", "--", "&&", "||", "==", "!=", "<=", ">=", ">>", "!~", "{",
    "}", "(", ")", "[", "]", ";", ",", "+", "-", "*", "/", "%", "^", "!", ">", "<", "|", "?", ":", "~", "$", "=", "\n",
];

/// Splits one source into tokens with their positions, without an end token.
///
/// # Errors
/// `UnexpectedEnd` for text or an expression without its end, `UnexpectedToken` for other bytes.
pub fn tokens(text: &[u8], source: usize) -> Result<Vec<(Token, Position)>, Error> {
    let mut lexer = Lexer { text, at: 0, position: Position { source, line: 1 }, tokens: vec![] };
    while lexer.skip_blanks() {
        let position = lexer.position;
        let token = lexer.next_token().map_err(|problem| Error { at: lexer.position, problem })?;
        lexer.tokens.push((token, position));
    }
    Ok(lexer.tokens)
}

struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
    position: Position,
    tokens: Vec<(Token, Position)>,
}

impl Lexer<'_> {
    fn rest(&self) -> &[u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Skips blanks, comments and continued line ends; false at the end.
    fn skip_blanks(&mut self) -> bool {
        loop {
            match self.rest() {
                [] => return false,
                [b' ' | b'\t' | b'\r', ..] => self.at += 1,
                [b'\\', b'\n', ..] => {
                    self.at += 2;
                    self.position.line += 1;
                }
                [b'\\', b'\r', b'\n', ..] => {
                    self.at += 3;
                    self.position.line += 1;
                }
                [b'#', ..] => self.at += self.rest().iter().take_while(|b| **b != b'\n').count(),
                _ => return true,
            }
        }
    }

    fn next_token(&mut self) -> Result<Token, Problem> {
        let rest = self.rest();
        match rest {
            [b'"', ..] => self.lex_text(),
            [b'/', ..] if self.regex_may_follow() => self.lex_regex(),
            [b'0'..=b'9', ..] | [b'.', b'0'..=b'9', ..] => {
                let (number, used) = lex_number(rest);
                self.at += used;
                Ok(Token::Number(number))
            }
            [first, ..] if first.is_ascii_alphabetic() || *first == b'_' => Ok(self.lex_word()),
            _ => {
                let found = PUNCTUATION.iter().find(|mark| rest.starts_with(mark.as_bytes()));
                let mark = found.ok_or(Problem::UnexpectedToken)?;
                self.at += mark.len();
                self.position.line += usize::from(*mark == "\n");
                Ok(Token::Mark(match *mark {
                    "**" => "^",
                    "**=" => "^=",
                    mark => mark,
                }))
            }
        }
    }

    /// Whether a slash begins an expression: after an operand it divides.
    fn regex_may_follow(&self) -> bool {
        match self.tokens.last() {
            Some((Token::Number(_) | Token::Text(_) | Token::Name(_) | Token::Builtin(_), _)) => false,
            Some((Token::Mark(mark), _)) => !matches!(*mark, ")" | "]" | "$" | "++" | "--"),
            _ => true,
        }
    }

    fn lex_text(&mut self) -> Result<Token, Problem> {
        let mut out = Vec::new();
        self.at += 1;
        loop {
            let byte = *self.rest().first().ok_or(Problem::UnexpectedEnd)?;
            self.at += 1;
            match byte {
                b'"' => return Ok(Token::Text(out)),
                b'\n' => return Err(Problem::UnexpectedEnd),
                b'\\' => {
                    let (value, used) = parse_escape(self.rest());
                    match (value, self.rest().first()) {
                        (Some(byte), _) => out.push(byte),
                        (None, Some(b'\n')) => self.position.line += 1,
                        (None, Some(byte)) => out.push(*byte),
                        (None, None) => return Err(Problem::UnexpectedEnd),
                    }
                    self.at += used.max(1);
                }
                byte => out.push(byte),
            }
        }
    }

    /// Reads an expression; its escapes stay, except `\/`.
    fn lex_regex(&mut self) -> Result<Token, Problem> {
        let mut out = Vec::new();
        self.at += 1;
        // A slash within brackets does not end the expression.
        let mut in_set = false;
        loop {
            let (byte, next) = match self.rest() {
                [] | [b'\n', ..] => return Err(Problem::UnexpectedEnd),
                [byte, rest @ ..] => (*byte, rest.first().copied()),
            };
            self.at += 1;
            match (byte, next) {
                (b'/', _) if !in_set => return Ok(Token::Regex(out)),
                (b'\\', Some(b'/')) => {
                    out.push(b'/');
                    self.at += 1;
                }
                (b'\\', Some(next)) if next != b'\n' => {
                    out.extend([byte, next]);
                    self.at += 1;
                }
                (b'[', _) if !in_set && self.has_set_end() => {
                    out.push(b'[');
                    in_set = true;
                    for first in [b'^', b']'] {
                        if self.rest().first() == Some(&first) {
                            out.push(first);
                            self.at += 1;
                        }
                    }
                }
                (b'[', Some(kind @ (b':' | b'.' | b'='))) if in_set => {
                    let length =
                        crate::applets::pattern::find_bytes(self.rest().get(1..).unwrap_or_default(), &[kind, b']']);
                    let class = self.rest().get(..length.map_or(0, |at| at + 3)).unwrap_or_default().to_vec();
                    self.at += class.len();
                    out.push(b'[');
                    out.extend(class);
                }
                (b']', _) => {
                    out.push(b']');
                    in_set = false;
                }
                (byte, _) => out.push(byte),
            }
        }
    }

    /// Whether a bracket expression that begins here ends in this line.
    fn has_set_end(&self) -> bool {
        self.rest().iter().skip(1).take_while(|b| **b != b'\n').any(|b| *b == b']')
    }

    fn lex_word(&mut self) -> Token {
        let length = self.rest().iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
        let word = String::from_utf8_lossy(self.rest().get(..length).unwrap_or_default()).into_owned();
        self.at += length;
        if let Some(keyword) = KEYWORDS.iter().find(|keyword| **keyword == word) {
            return Token::Mark(if *keyword == "func" { "function" } else { keyword });
        }
        if let Some(builtin) = Builtin::find(&word) {
            return Token::Builtin(builtin);
        }
        if self.rest().first() == Some(&b'(') { Token::Call(word) } else { Token::Name(word) }
    }
}

fn lex_number(text: &[u8]) -> (f64, usize) {
    if let [b'0', b'x' | b'X', digits @ ..] = text {
        let length = digits.iter().take_while(|b| b.is_ascii_hexdigit()).count();
        let value = |b: &u8| f64::from(char::from(*b).to_digit(16).unwrap_or(0));
        if length > 0 {
            return (digits.iter().take(length).fold(0.0, |sum, b| sum * 16.0 + value(b)), length + 2);
        }
    }
    parse_prefix(text)
}

/// Parses the escape behind a backslash; returns its byte, if awk knows it, and its length.
pub fn parse_escape(text: &[u8]) -> (Option<u8>, usize) {
    let byte = match text.first() {
        Some(b'n') => b'\n',
        Some(b't') => b'\t',
        Some(b'r') => b'\r',
        Some(b'\\') => b'\\',
        Some(b'"') => b'"',
        Some(b'/') => b'/',
        Some(b'a') => 7,
        Some(b'b') => 8,
        Some(b'f') => 12,
        Some(b'v') => 11,
        Some(b'0'..=b'7') => {
            let digits = text.iter().take(3).take_while(|b| matches!(b, b'0'..=b'7'));
            let value = digits.clone().fold(0u32, |sum, b| sum * 8 + u32::from(b - b'0'));
            return (Some(value as u8), digits.count());
        }
        _ => return (None, 0),
    };
    (Some(byte), 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lex(text: &str) -> Vec<Token> {
        tokens(text.as_bytes(), 0).expect("valid tokens").into_iter().map(|(token, _)| token).collect()
    }

    #[test]
    fn slashes_divide_after_operands() {
        let division = lex("a / b / 2");
        assert!(division.iter().all(|token| !matches!(token, Token::Regex(_))), "{division:?}");
        assert_eq!(lex("x ~ /a\\/[/]b/")[2], Token::Regex(b"a/[/]b".to_vec()));
        assert_eq!(lex("(/x/)")[1], Token::Regex(b"x".to_vec()));
        assert_eq!(lex("a /= 2")[1], Token::Mark("/="));
    }

    #[test]
    fn names_before_parentheses_are_calls() {
        assert_eq!(lex("f(x)")[0], Token::Call("f".into()));
        assert_eq!(lex("f (x)")[0], Token::Name("f".into()));
        assert_eq!(lex("length")[0], Token::Builtin(Builtin::Length));
    }

    #[test]
    fn text_ends_in_its_line() {
        assert_eq!(lex(r#""a\"\t\101\.\q""#)[0], Token::Text(b"a\"\tA.q".to_vec()));
        for text in ["\"a", "\"a\nb\"", "x ~ /a"] {
            assert_eq!(tokens(text.as_bytes(), 0).expect_err("no end").problem, Problem::UnexpectedEnd);
        }
    }

    #[test]
    fn lines_are_counted_through_continuations() {
        let all = tokens(b"a \\\n b # c\nd", 0).expect("valid tokens");
        let lines: Vec<usize> = all.iter().map(|(_, at)| at.line).collect();
        assert_eq!(lines, [1, 2, 2, 3]);
    }
}
