//! Parses words: from source text to quoted text, unquoted text and expansions. Pure; `expand` evaluates the pieces.

use super::lexer::end_of_part;

/// A piece of a word.
#[derive(Debug, Clone)]
pub enum Piece {
    /// Unquoted text; pattern characters in it are active.
    Literal(String),
    /// Unquoted text inside an unquoted `${x:-...}`, which is split like the result of an expansion.
    Split(String),
    Quoted(String),
    /// `"..."`; creates a field even if it is empty.
    Double(Vec<Piece>),
    /// `~user`, without the tilde.
    Tilde(String),
    Parameter {
        name: String,
        modifier: Modifier,
    },
    /// The text of a command substitution.
    Command(String),
    Arithmetic(Vec<Piece>),
}

/// The operation of `${name...}` on the value.
#[derive(Debug, Clone)]
pub enum Modifier {
    None,
    Length,
    /// `-`, `=`, `?` or `+`; with `null`, an empty value counts as unset.
    Condition {
        test: char,
        null: bool,
        word: Vec<Piece>,
    },
    /// `#`, `##`, `%`, `%%`.
    Remove {
        prefix: bool,
        longest: bool,
        pattern: Vec<Piece>,
    },
    /// `/`, `//`, `/#`, `/%`.
    Replace {
        all: bool,
        anchor: Option<char>,
        pattern: Vec<Piece>,
        with: Vec<Piece>,
    },
    Substring {
        offset: Vec<Piece>,
        length: Option<Vec<Piece>>,
    },
    /// Not a parameter expansion at all.
    Bad,
}

/// The context of text, which decides the meaning of its quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Context {
    Word,
    /// An assignment's value: tildes also follow colons.
    Assignment,
    Double,
    /// The word of `"${x:-word}"`: as in double quotes, but a backslash also protects `}`.
    Braces,
    /// As in double quotes, but `"` is a plain character.
    HereDocument,
}

/// Parses `text`. Unterminated constructs, which the lexer has rejected before, are literal.
pub fn parse(text: &str, context: Context) -> Vec<Piece> {
    let chars: Vec<char> = text.chars().collect();
    parse_pieces(&chars, context)
}

/// Whether `name` can name a variable.
pub fn is_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn parse_pieces(src: &[char], context: Context) -> Vec<Piece> {
    let double = is_double(context);
    let mut out = Vec::new();
    let mut i = 0;
    while let Some(c) = src.get(i).copied() {
        let end = end_of_part(src, i, double).unwrap_or(i + 1).max(i + 1);
        let part = src.get(i..end).unwrap_or_default();
        let inner = |from: usize, to: usize| -> &[char] {
            part.get(from..part.len().saturating_sub(to).max(from)).unwrap_or_default()
        };
        match c {
            '\\' => match src.get(i + 1).copied() {
                Some('\n') => {}
                Some(next) if !double || "$`\\".contains(next) => push_quoted(&mut out, next),
                Some('"') if context != Context::HereDocument => push_quoted(&mut out, '"'),
                Some('}') if context == Context::Braces => push_quoted(&mut out, '}'),
                Some(next) => {
                    push_quoted(&mut out, '\\');
                    // In these contexts, a backslash does not protect the next character.
                    if next != '\\' {
                        i += 1;
                        continue;
                    }
                }
                None => push_literal(&mut out, '\\', double),
            },
            '\'' if !double => out.push(Piece::Quoted(inner(1, 1).iter().collect())),
            '"' if !double => out.push(Piece::Double(parse_pieces(inner(1, 1), Context::Double))),
            '"' if context != Context::HereDocument => {} // A pair within `"${x-"word"}"`.
            '`' => out.push(Piece::Command(unescape_backquoted(inner(1, 1), double))),
            '$' => parse_dollar(&mut out, src, &mut i, part, context),
            '~' if tilde_may_start(&out, context) => {
                let rest = src.get(i + 1..).unwrap_or_default();
                let stop = |c: &char| *c == '/' || (*c == ':' && context == Context::Assignment);
                let length = rest.iter().position(stop).unwrap_or(rest.len());
                let user: String = rest.get(..length).unwrap_or_default().iter().collect();
                if user.chars().all(|c| c.is_ascii_alphanumeric() || "+-_.".contains(c)) {
                    out.push(Piece::Tilde(user));
                    i += 1 + length;
                    continue;
                }
                push_literal(&mut out, '~', false);
            }
            c => push_literal(&mut out, c, double),
        }
        i = i.max(end);
    }
    out
}

fn is_double(context: Context) -> bool {
    matches!(context, Context::Double | Context::Braces | Context::HereDocument)
}

fn split_result(piece: Piece) -> Piece {
    match piece {
        Piece::Literal(text) => Piece::Split(text),
        other => other,
    }
}

fn tilde_may_start(before: &[Piece], context: Context) -> bool {
    match context {
        Context::Word => before.is_empty(),
        Context::Assignment => match before.last() {
            None => true,
            Some(Piece::Literal(text)) => text.ends_with(':'),
            Some(_) => false,
        },
        Context::Double | Context::Braces | Context::HereDocument => false,
    }
}

fn push_literal(out: &mut Vec<Piece>, c: char, double: bool) {
    if double {
        return push_quoted(out, c);
    }
    match out.last_mut() {
        Some(Piece::Literal(text)) => text.push(c),
        _ => out.push(Piece::Literal(c.into())),
    }
}

fn push_quoted(out: &mut Vec<Piece>, c: char) {
    match out.last_mut() {
        Some(Piece::Quoted(text)) => text.push(c),
        _ => out.push(Piece::Quoted(c.into())),
    }
}

/// Returns the text inside backquotes, where a backslash protects only `$`, `` ` `` and itself (and `"` in double
/// quotes).
fn unescape_backquoted(src: &[char], double: bool) -> String {
    let mut text = String::new();
    let mut chars = src.iter().copied().peekable();
    while let Some(c) = chars.next() {
        match chars.peek() {
            Some(next) if c == '\\' && ("$`\\".contains(*next) || (double && *next == '"')) => {}
            _ => text.push(c),
        }
        if c == '\\'
            && let Some(next) = chars.next()
        {
            text.push(next);
        }
    }
    text
}

/// Reads the `$` construct `part` at `src[*i]`.
fn parse_dollar(out: &mut Vec<Piece>, src: &[char], i: &mut usize, part: &[char], context: Context) {
    let double = is_double(context);
    let plain = |name: String| Piece::Parameter { name, modifier: Modifier::None };
    let text = |from: usize, to: usize| -> &[char] {
        part.get(from..part.len().saturating_sub(to).max(from)).unwrap_or_default()
    };
    match src.get(*i + 1).copied() {
        Some('(') if part.len() > 1 => {
            let arithmetic = part.get(2) == Some(&'(') && part.ends_with(&[')', ')']);
            out.push(match arithmetic && is_balanced(text(3, 2)) {
                true => Piece::Arithmetic(parse_pieces(text(3, 2), Context::Double)),
                false => Piece::Command(text(2, 1).iter().collect()),
            });
        }
        Some('{') if part.len() > 1 => out.push(parse_braced(text(2, 1), context)),
        Some('\'') if !double && part.len() > 1 => {
            out.push(Piece::Quoted(super::escape::unescape(&text(2, 1).iter().collect::<String>())));
        }
        Some('"') if !double => {} // $"..." is "..." where there are no translations.
        Some(c) if c.is_ascii_alphabetic() || c == '_' => {
            let rest = src.get(*i + 1..).unwrap_or_default();
            let name: String = rest.iter().take_while(|c| is_name_char(**c)).collect();
            *i += 1 + name.len();
            out.push(plain(name));
        }
        Some(c) if c.is_ascii_digit() || "@*#?-$!".contains(c) => {
            *i += 2;
            out.push(plain(c.into()));
        }
        _ => push_literal(out, '$', double),
    }
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Whether parentheses match without the outer pair; otherwise `$((` opened two substitutions.
fn is_balanced(src: &[char]) -> bool {
    let mut depth = 0i32;
    for c in src {
        depth += match c {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        if depth < 0 {
            return false;
        }
    }
    depth == 0
}

/// Parses the inside of `${...}`.
fn parse_braced(src: &[char], context: Context) -> Piece {
    let double = is_double(context);
    let is_parameter = |text: &[char]| -> bool {
        let name: String = text.iter().collect();
        is_name(&name)
            || (!name.is_empty() && name.bytes().all(|b| b.is_ascii_digit()))
            || (text.len() == 1 && "@*#?-$!".contains(name.as_str()))
    };
    if let Some(('#', rest)) = src.split_first().map(|(c, rest)| (*c, rest))
        && is_parameter(rest)
    {
        return Piece::Parameter { name: rest.iter().collect(), modifier: Modifier::Length };
    }
    let mut length = src.iter().take_while(|c| is_name_char(**c)).count();
    if length == 0 {
        length = 1;
    }
    let (name, rest) = src.split_at(length.min(src.len()));
    if !is_parameter(name) {
        let name = src.iter().collect();
        return Piece::Parameter { name, modifier: Modifier::Bad };
    }
    // Words inherit the quoting around the braces; patterns have their own.
    let word = |text: &[char]| match double {
        true => parse_pieces(text, Context::Braces),
        false => parse_pieces(text, Context::Word).into_iter().map(split_result).collect(),
    };
    let pattern = |text: &[char]| parse_pieces(text, Context::Word);
    let modifier = match rest {
        [] => Modifier::None,
        [':', test @ ('-' | '=' | '?' | '+'), text @ ..] => {
            Modifier::Condition { test: *test, null: true, word: word(text) }
        }
        [test @ ('-' | '=' | '?' | '+'), text @ ..] => {
            Modifier::Condition { test: *test, null: false, word: word(text) }
        }
        [op @ ('#' | '%'), text @ ..] => {
            let longest = text.first() == Some(op);
            let text = text.get(usize::from(longest)..).unwrap_or_default();
            Modifier::Remove { prefix: *op == '#', longest, pattern: pattern(text) }
        }
        ['/', text @ ..] => {
            let all = text.first() == Some(&'/');
            let anchor = text.first().copied().filter(|c| matches!(c, '#' | '%'));
            let skip = usize::from(all || anchor.is_some());
            let (left, right) = split_at_unquoted(text.get(skip..).unwrap_or_default(), '/');
            let with = word(right.unwrap_or_default());
            Modifier::Replace { all, anchor, pattern: pattern(left), with }
        }
        [':', text @ ..] => {
            let (left, right) = split_at_unquoted(text, ':');
            let arithmetic = |text: &[char]| parse_pieces(text, Context::Double);
            Modifier::Substring { offset: arithmetic(left), length: right.map(arithmetic) }
        }
        _ => Modifier::Bad,
    };
    Piece::Parameter { name: name.iter().collect(), modifier }
}

/// Splits at the first `at` outside of quotes and expansions.
fn split_at_unquoted(src: &[char], at: char) -> (&[char], Option<&[char]>) {
    let mut i = 0;
    while let Some(c) = src.get(i) {
        if *c == at {
            return (src.get(..i).unwrap_or_default(), src.get(i + 1..));
        }
        i = end_of_part(src, i, false).unwrap_or(i + 1);
    }
    (src, None)
}
