//! Reads Rust by tokens, without comments and literals; that is enough for paths and names.

/// A word, `::`, or one character; a literal is `""`.
pub struct Token<'a> {
    pub line: usize,
    pub text: &'a str,
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// Where the string literal that starts `text` ends, prefix (`b`, `r#`, …) included.
fn string_end(text: &str) -> Option<usize> {
    let start = text.len() - text.trim_start_matches(['b', 'c', 'r', '#']).len();
    let (prefix, body) = (text.get(..start)?, text.get(start..)?.strip_prefix('"')?);
    let letters = prefix.trim_end_matches('#');
    let raw = letters.ends_with('r');
    if !["", "b", "c", "r", "br", "cr"].contains(&letters) || (letters != prefix && !raw) {
        return None;
    }
    let close = format!("\"{}", prefix.trim_start_matches(char::is_alphabetic));
    let escaped = |at| !raw && body.get(..at).is_some_and(|b| (b.len() - b.trim_end_matches('\\').len()) % 2 == 1);
    let end = body.match_indices(&close).find(|(at, _)| !escaped(*at)).map_or(body.len(), |(at, _)| at + close.len());
    Some(start + 1 + end)
}

/// Where the block comment that starts `text` ends; they nest.
fn comment_end(text: &str) -> usize {
    let mut depth = 0;
    for (at, pair) in text.as_bytes().windows(2).enumerate() {
        depth += i32::from(pair == b"/*") - i32::from(pair == b"*/");
        if depth == 0 {
            return at + 2;
        }
    }
    text.len()
}

/// Where the character literal that starts `text` ends; a lifetime is none.
fn character_end(text: &str) -> Option<usize> {
    let body = text.strip_prefix('\'')?;
    let escaped = body.starts_with('\\');
    let close = if escaped { body.get(2..)?.find('\'')? + 2 } else { body.chars().next()?.len_utf8() };
    body.get(close..)?.starts_with('\'').then_some(close + 2)
}

pub fn lex(text: &str) -> Vec<Token<'_>> {
    let (mut tokens, mut at, mut line) = (Vec::new(), 0, 1);
    while let Some(rest) = text.get(at..)
        && let Some(c) = rest.chars().next()
    {
        let word = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let (len, token) = if rest.starts_with("//") {
            (rest.find('\n').unwrap_or(rest.len()), None)
        } else if rest.starts_with("/*") {
            (comment_end(rest), None)
        } else if let Some(end) = string_end(rest).or_else(|| character_end(rest)) {
            (end, Some("\"\""))
        } else if word > 0 {
            (word, rest.get(..word))
        } else if rest.starts_with("::") {
            (2, Some("::"))
        } else {
            (c.len_utf8(), rest.get(..c.len_utf8()).filter(|_| !c.is_whitespace()))
        };
        tokens.extend(token.map(|text| Token { line, text }));
        line += rest.get(..len).map_or(0, |passed| passed.matches('\n').count());
        at += len;
    }
    tokens
}

/// A path that is named: `use a::{b, c::d}` names `a::b` and `a::c::d`.
#[derive(Debug, PartialEq)]
pub struct Named<'a> {
    pub line: usize,
    pub path: Vec<&'a str>,
    /// The inline modules around it.
    pub within: Vec<&'a str>,
}

pub fn named(text: &str) -> Vec<Named<'_>> {
    let tokens = lex(text);
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text);
    let (mut found, mut at, mut depth, mut modules) = (Vec::new(), 0, 0_usize, Vec::new());
    while at < tokens.len() {
        match text(at) {
            "{" => {
                depth += 1;
                if at >= 2 && text(at - 2) == "mod" {
                    modules.push((text(at - 1), depth));
                }
            }
            "}" => {
                modules.pop_if(|(_, opened)| *opened == depth);
                depth = depth.saturating_sub(1);
            }
            // What follows `>::` ended a path with type arguments.
            word if word.starts_with(is_word) && !(at >= 2 && text(at - 1) == "::" && text(at - 2) == ">") => {
                let within: Vec<&str> = modules.iter().map(|(name, _)| *name).collect();
                at = read_path(&tokens, at, &[], &within, &mut found);
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// Reads the path at `at`, which continues `path`, and returns where it ends.
fn read_path<'a>(
    tokens: &[Token<'a>],
    mut at: usize,
    path: &[&'a str],
    within: &[&'a str],
    found: &mut Vec<Named<'a>>,
) -> usize {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text);
    let (line, mut path) = (tokens.get(at).map_or(0, |token| token.line), path.to_vec());
    loop {
        if text(at) == "{" {
            at += 1;
            while !matches!(text(at), "}" | "") {
                at = match text(at) {
                    "as" => at + 2,
                    "," => at + 1,
                    _ => read_path(tokens, at, &path, within, found),
                };
            }
            return at + 1;
        }
        path.push(text(at));
        if text(at + 1) != "::" || !text(at + 2).starts_with(|c| is_word(c) || c == '{' || c == '*') {
            found.push(Named { line, path, within: within.to_vec() });
            return at + 1;
        }
        at += 2;
    }
}

#[test]
fn paths_are_read_through_groups_comments_and_literals() {
    for (text, want) in [
        ("use a::{b, c::{d as e, *}, self};", "use a::b a::c::d a::c::* a::self"),
        ("use a::{\n  b::c, // d::e\n};\nx::y()", "use a::b::c x::y"),
        ("/* a /* b */ c */ d::e", "d::e"),
        (r#""a::b" 'c' b"\"d" e::f"#, "e::f"),
        (r##"r#"a" b::c"# '\'' '"' d::e"##, "d::e"),
        ("fn f<'a>(b: &'a c::D)", "fn f a b a c::D"),
        ("Vec::<a::B>::new() + ::std::fs::read", "Vec a::B std::fs::read"),
    ] {
        let all: Vec<String> = named(text).iter().map(|named| named.path.join("::")).collect();
        assert_eq!(all.join(" "), want, "{text}");
    }
}
