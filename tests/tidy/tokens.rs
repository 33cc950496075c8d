//! Reads Rust by tokens: words and paths for the rules about names, comments and strings for the rules about prose.

/// A word, `::`, or one character; a literal is `""`.
pub struct Token<'a> {
    pub line: usize,
    pub text: &'a str,
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// Returns the length of the string literal at the start of `text`, with its prefix (`b`, `r#`, …).
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

/// Returns the length of the block comment at the start of `text`. Block comments nest.
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

/// Returns the length of the character literal at the start of `text`, which may be a lifetime instead.
fn character_end(text: &str) -> Option<usize> {
    let body = text.strip_prefix('\'')?;
    let escaped = body.starts_with('\\');
    let close = if escaped { body.get(2..)?.find('\'')? + 2 } else { body.chars().next()?.len_utf8() };
    body.get(close..)?.starts_with('\'').then_some(close + 2)
}

/// A part of a source, in the order of the text.
enum Part<'a> {
    Comment(&'a str),
    String(&'a str),
    Character,
    Word(&'a str),
    Space,
}

/// Splits a source into parts with their lines.
fn parts(text: &str) -> Vec<(usize, Part<'_>)> {
    let (mut parts, mut at, mut line) = (Vec::new(), 0, 1);
    while let Some(rest) = text.get(at..)
        && let Some(c) = rest.chars().next()
    {
        let cut = |len: usize| rest.get(..len).unwrap_or_default();
        let word = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let (len, part) = if rest.starts_with("//") {
            let len = rest.find('\n').unwrap_or(rest.len());
            (len, Part::Comment(cut(len)))
        } else if rest.starts_with("/*") {
            let len = comment_end(rest);
            (len, Part::Comment(cut(len)))
        } else if let Some(len) = string_end(rest) {
            (len, Part::String(cut(len)))
        } else if let Some(len) = character_end(rest) {
            (len, Part::Character)
        } else if word > 0 {
            (word, Part::Word(cut(word)))
        } else if rest.starts_with("::") {
            (2, Part::Word("::"))
        } else if c.is_whitespace() {
            (c.len_utf8(), Part::Space)
        } else {
            (c.len_utf8(), Part::Word(cut(c.len_utf8())))
        };
        parts.push((line, part));
        line += cut(len).matches('\n').count();
        at += len;
    }
    parts
}

pub fn lex(text: &str) -> Vec<Token<'_>> {
    let token = |(line, part)| match part {
        Part::String(_) | Part::Character => Some(Token { line, text: "\"\"" }),
        Part::Word(text) => Some(Token { line, text }),
        Part::Comment(_) | Part::Space => None,
    };
    parts(text).into_iter().filter_map(token).collect()
}

/// Returns the comments and strings of a source as lines of prose with their numbers. Comments on consecutive lines are
/// one text, without their markers.
pub fn prose(text: &str) -> Vec<Vec<(usize, String)>> {
    let (mut texts, mut is_open) = (Vec::<Vec<(usize, String)>>::new(), false);
    for (line, part) in parts(text) {
        match part {
            Part::Comment(comment) => {
                let lines = (line..).zip(comment.lines().map(|line| without_marker(line).to_string()));
                let last = texts.last_mut().filter(|text| is_open && text.last().is_some_and(|(at, _)| at + 1 == line));
                match last {
                    Some(text) => text.extend(lines),
                    None => texts.push(lines.collect()),
                }
                is_open = true;
            }
            Part::String(string) => {
                texts.push((line..).zip(string.lines().map(unescaped)).collect());
                is_open = false;
            }
            Part::Character | Part::Word(_) => is_open = false,
            Part::Space => {}
        }
    }
    texts
}

fn without_marker(line: &str) -> &str {
    line.trim().trim_start_matches(['/', '*', '!']).trim_end_matches("*/").trim()
}

/// Returns a line of a string literal as it is printed, as far as phrases need it.
fn unescaped(line: &str) -> String {
    line.trim().trim_end_matches('\\').replace("\\n", " ").replace("\\\"", "\"").trim_end().to_string()
}

/// A path in the code: `use a::{b, c::d}` names `a::b` and `a::c::d`.
#[derive(Debug, PartialEq)]
pub struct Named<'a> {
    pub line: usize,
    /// The position of its last token.
    pub token: usize,
    pub path: Vec<&'a str>,
    /// The inline modules around the path.
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
            // After `>::`, a path with type arguments continues.
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
            found.push(Named { line, token: at, path, within: within.to_vec() });
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

#[test]
fn prose_is_comments_and_strings() {
    let text = "/// One is\n/// wrapped.\nfn f() {} // two\n\n// three\nlet s = \"four\\n\\\"five\\\" \\\n    six\"; /* seven\n * eight */";
    let joined =
        |lines: &Vec<(usize, String)>| lines.iter().map(|(_, line)| line.as_str()).collect::<Vec<_>>().join(" ");
    let texts = prose(text);
    let all: Vec<String> = texts.iter().map(joined).collect();
    assert_eq!(all, ["One is wrapped.", "two", "three", "\"four \"five\" six\"", "seven eight"]);
    let lines: Vec<usize> = texts.iter().filter_map(|text| Some(text.first()?.0)).collect();
    assert_eq!(lines, [1, 3, 5, 6, 7]);
}
