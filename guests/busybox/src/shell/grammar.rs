//! Programs: text in, syntax tree out. Says whether text is complete, so that a script can be
//! read from a pipe line by line. The grammar itself is brush-parser's.

use brush_parser::ast::Program;
use brush_parser::{ParseError, ParserOptions, Token, parse_tokens};

use super::lexer;

/// What became of a piece of text.
pub enum Parsed {
    Program(Program),
    /// A valid beginning; more lines are needed.
    Incomplete(String),
    Error(String),
}

/// Parses `text`; `at_end` says that no more can follow.
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
    if depth(&tokens) > MAX_DEPTH {
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

/// The grammar's stack is not endless.
const MAX_DEPTH: i32 = 100;

/// How deep compound commands are nested, roughly: words that only look like syntax count too.
fn depth(tokens: &[Token]) -> i32 {
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

/// The grammar expects numbers before `<` and `>` to be small.
fn is_huge_descriptor(pair: &[Token]) -> bool {
    let [Token::Word(text, word), Token::Operator(op, operator)] = pair else {
        return false;
    };
    op.starts_with(['<', '>'])
        && word.end.index == operator.start.index
        && text.len() > 9
        && text.bytes().all(|b| b.is_ascii_digit())
}
