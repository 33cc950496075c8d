//! Patterns (`*`, `?`, `[...]`) over characters that remember whether they were quoted: only unquoted characters are
//! special, and only expanded ones are split.

/// The origin of a character of an expanded word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Unquoted in the source.
    Literal,
    /// The result of an unquoted expansion: subject to field splitting.
    Expanded,
    Quoted,
    /// Not a character: marks a `""`, so that the field exists even if it is empty.
    Empty,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Char {
    pub c: char,
    pub origin: Origin,
}

impl Char {
    fn special(self) -> Option<char> {
        matches!(self.origin, Origin::Literal | Origin::Expanded).then_some(self.c)
    }
}

/// Appends `text`.
pub fn push(out: &mut Vec<Char>, text: &str, origin: Origin) {
    out.extend(text.chars().map(|c| Char { c, origin }));
}

/// Removes the quotes.
pub fn text(chars: &[Char]) -> String {
    chars.iter().filter(|c| c.origin != Origin::Empty).map(|c| c.c).collect()
}

/// Whether the text contains a special character. A lone `[`, the name of a command, is not one.
pub fn is_pattern(chars: &[Char]) -> bool {
    let mut special = chars.iter().filter_map(|c| c.special());
    special.any(|c| matches!(c, '*' | '?' | '[')) && {
        let mut special = chars.iter().filter_map(|c| c.special());
        special.any(|c| matches!(c, '*' | '?' | ']'))
    }
}

/// Whether the pattern matches the whole of `text`.
pub fn matches(pattern: &[Char], text: &[char]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where to resume when a character does not match: the last star, and the text that it covers.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        let step = match pattern.get(p) {
            Some(c) if c.origin == Origin::Empty => {
                p += 1;
                continue;
            }
            Some(c) if c.special() == Some('*') => {
                retry = Some((p + 1, t));
                p += 1;
                continue;
            }
            Some(_) => text.get(t).and_then(|c| match_one(pattern, p, *c)),
            None if t == text.len() => return true,
            None => None,
        };
        match (step, retry) {
            (Some(next), _) => {
                p = next;
                t += 1;
            }
            (None, Some((after, taken))) if taken < text.len() => {
                retry = Some((after, taken + 1));
                p = after;
                t = taken + 1;
            }
            (None, _) => return false,
        }
    }
}

/// Matches one character; returns the next position in the pattern.
fn match_one(pattern: &[Char], at: usize, c: char) -> Option<usize> {
    let first = pattern.get(at)?;
    match first.special() {
        Some('?') => Some(at + 1),
        Some('[') => match match_bracket(pattern, at + 1, c) {
            Some((true, next)) => Some(next),
            Some((false, _)) => None,
            None => (c == '[').then_some(at + 1),
        },
        // A backslash from an expansion quotes the next character.
        Some('\\') if at + 1 < pattern.len() => pattern.get(at + 1).filter(|p| p.c == c).map(|_| at + 2),
        _ => (first.c == c).then_some(at + 1),
    }
}

/// Matches `c` with the set that begins after the bracket; returns the result and the end of the set. `None` if it is
/// not a set.
fn match_bracket(pattern: &[Char], start: usize, c: char) -> Option<(bool, usize)> {
    let mut i = start;
    let negated = matches!(pattern.get(i)?.special(), Some('!' | '^'));
    i += usize::from(negated);
    let first = i;
    let mut found = false;
    loop {
        let low = *pattern.get(i)?;
        if low.special() == Some(']') && i > first {
            return Some((found != negated, i + 1));
        }
        if low.special() == Some('[') && pattern.get(i + 1).is_some_and(|c| c.c == ':') {
            let rest = pattern.get(i + 2..)?;
            if let Some(length) = rest.iter().position(|c| c.c == ':')
                && rest.get(length + 1).is_some_and(|c| c.c == ']')
            {
                found |= in_class(&text(rest.get(..length)?), c);
                i += length + 4;
                continue;
            }
        }
        let range = pattern.get(i + 1).is_some_and(|c| c.special() == Some('-'))
            && pattern.get(i + 2).is_some_and(|c| c.special() != Some(']'));
        if range {
            found |= low.c <= c && c <= pattern.get(i + 2)?.c;
            i += 3;
        } else {
            found |= low.c == c;
            i += 1;
        }
    }
}

fn in_class(name: &str, c: char) -> bool {
    match name {
        "alpha" => c.is_alphabetic(),
        "digit" => c.is_ascii_digit(),
        "alnum" => c.is_alphanumeric(),
        "upper" => c.is_uppercase(),
        "lower" => c.is_lowercase(),
        "space" => c.is_ascii_whitespace() || c == '\u{b}',
        "blank" => c == ' ' || c == '\t',
        "punct" => c.is_ascii_punctuation(),
        "cntrl" => c.is_control(),
        "xdigit" => c.is_ascii_hexdigit(),
        "print" => !c.is_control(),
        "graph" => !c.is_control() && c != ' ',
        _ => false,
    }
}

/// Returns the length of the start (or end) of `text` that the pattern matches.
pub fn affix(pattern: &[Char], text: &[char], prefix: bool, longest: bool) -> Option<usize> {
    let fits = |n: &usize| {
        let part = match prefix {
            true => text.get(..*n),
            false => text.get(text.len() - n..),
        };
        part.is_some_and(|part| matches(pattern, part))
    };
    match longest {
        true => (0..=text.len()).rev().find(fits),
        false => (0..=text.len()).find(fits),
    }
}

/// Performs `${x/pattern/with}`.
pub fn replace(pattern: &[Char], text: &[char], with: &str, all: bool, anchor: Option<char>) -> String {
    let whole = || text.iter().collect::<String>();
    match anchor {
        Some('#') => match affix(pattern, text, true, true) {
            Some(n) => with.chars().chain(text.iter().copied().skip(n)).collect(),
            None => whole(),
        },
        Some(_) => match affix(pattern, text, false, true) {
            Some(n) => text.iter().copied().take(text.len() - n).chain(with.chars()).collect(),
            None => whole(),
        },
        None => {
            let mut out = String::new();
            let mut i = 0;
            let mut done = pattern.is_empty();
            while let Some(c) = text.get(i) {
                let rest = text.get(i..).unwrap_or_default();
                match affix(pattern, rest, true, true).filter(|n| *n > 0 && !done) {
                    Some(n) => {
                        out.push_str(with);
                        i += n;
                        done = !all;
                    }
                    None => {
                        out.push(*c);
                        i += 1;
                    }
                }
            }
            out
        }
    }
}
