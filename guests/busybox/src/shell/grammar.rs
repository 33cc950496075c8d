//! Parses text to syntax trees with brush-parser's grammar, and detects incomplete text, so that a script can be read
//! line by line from a pipe.

use brush_parser::ast::Program;
use brush_parser::{ParseError, ParserOptions, Token, parse_tokens};

use super::lexer;

/// The result of parsing.
pub enum Parsed {
    Program(Program),
    /// A valid beginning that needs more lines.
    Incomplete(String),
    Error(String),
}

/// Parses `text`; with `at_end`, no more text follows.
pub fn parse(text: &str, at_end: bool, aliases: &lexer::Aliases) -> Parsed {
    let chars: Vec<char> = text.chars().collect();
    let tokens = match lexer::tokens(&chars, at_end, aliases) {
        Ok(tokens) => tokens,
        Err(lexer::Unterminated(what)) if at_end => return Parsed::Error(what.into()),
        Err(lexer::Unterminated(what)) => return Parsed::Incomplete(what.into()),
    };
    if tokens.windows(2).any(is_huge_descriptor) {
        return Parsed::Error("bad file descriptor".into());
    }
    if estimate_depth(&tokens) > MAX_DEPTH {
        return Parsed::Error("commands are nested too deeply".into());
    }
    let options = ParserOptions { enable_extended_globbing: false, ..ParserOptions::default() };
    match parse_tokens(&tokens, &options) {
        Ok(program) => Parsed::Program(program),
        Err(ParseError::ParsingNear(at)) => {
            let token = tokens.iter().find(|t| t.location().start.index == at.index);
            Parsed::Error(match token.map(Token::to_str) {
                Some("\n") => "unexpected newline".into(),
                Some(text) => format!("unexpected \"{text}\""),
                None => "unexpected token".into(),
            })
        }
        Err(_) if at_end => Parsed::Error("unexpected end of file".into()),
        Err(_) => Parsed::Incomplete("unexpected end of file".into()),
    }
}

/// The deepest nesting that the grammar's stack allows.
const MAX_DEPTH: i32 = 100;

/// Returns an estimate of the nesting of compound commands: words that only look like syntax count, too.
fn estimate_depth(tokens: &[Token]) -> i32 {
    let (mut depth, mut deepest) = (0, 0);
    for token in tokens {
        match token.to_str() {
            "{" | "(" | "if" | "while" | "until" | "for" | "case" => depth += 1,
            "}" | ")" | "fi" | "done" | "esac" => depth = (depth - 1).max(0),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// The grammar accepts only small numbers before `<` and `>`.
fn is_huge_descriptor(pair: &[Token]) -> bool {
    let [Token::Word(text, word), Token::Operator(op, operator)] = pair else {
        return false;
    };
    op.starts_with(['<', '>'])
        && word.end.index == operator.start.index
        && text.len() > 9
        && text.bytes().all(|b| b.is_ascii_digit())
}
