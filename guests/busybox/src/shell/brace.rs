//! Brace expansion: `{a,b}` and `{1..9}`, on a word's source text, before everything else.

use super::lexer::end_of_part;

/// Returns the words that `word` expands to; usually itself.
pub fn expand(word: &str) -> Vec<String> {
    if !word.contains('{') {
        return vec![word.to_string()];
    }
    let chars: Vec<char> = word.chars().collect();
    expand_words(&chars)
}

fn expand_words(src: &[char]) -> Vec<String> {
    let mut i = 0;
    while let Some(c) = src.get(i) {
        if *c == '{'
            && let Some((members, end)) = parse_members(src, i)
        {
            let before: String = src.get(..i).unwrap_or_default().iter().collect();
            let after = expand_words(src.get(end..).unwrap_or_default());
            let mut out = Vec::new();
            for member in &members {
                for tail in &after {
                    out.push([before.as_str(), member, tail].concat());
                }
            }
            return out;
        }
        i = end_of_part(src, i, false).unwrap_or(i + 1);
    }
    vec![src.iter().collect()]
}

/// Expands the braces that open at `start`; also returns their end.
fn parse_members(src: &[char], start: usize) -> Option<(Vec<String>, usize)> {
    let mut commas = vec![start];
    let mut depth = 0;
    let mut i = start + 1;
    let end = loop {
        match src.get(i)? {
            '{' => depth += 1,
            '}' if depth == 0 => break i,
            '}' => depth -= 1,
            ',' if depth == 0 => commas.push(i),
            _ => {}
        }
        i = end_of_part(src, i, false).ok()?;
    };
    if commas.len() == 1 {
        let inner: String = src.get(start + 1..end)?.iter().collect();
        return Some((expand_sequence(&inner)?, end + 1));
    }
    commas.push(end);
    let mut out = Vec::new();
    for pair in commas.windows(2) {
        if let [from, to] = pair {
            out.extend(expand_words(src.get(from + 1..*to)?));
        }
    }
    Some((out, end + 1))
}

/// Expands `1..9`, `9..1..2` or `a..z`.
fn expand_sequence(text: &str) -> Option<Vec<String>> {
    let mut parts = text.split("..");
    let (from, to) = (parts.next()?, parts.next()?);
    let step = match parts.next() {
        Some(step) => step.parse::<i64>().ok()?.abs().max(1),
        None => 1,
    };
    if parts.next().is_some() {
        return None;
    }
    let mut from_chars = from.chars();
    let mut to_chars = to.chars();
    let letters = match (from_chars.next(), from_chars.next(), to_chars.next(), to_chars.next()) {
        (Some(a), None, Some(b), None) if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() => {
            Some((a as i64, b as i64))
        }
        _ => None,
    };
    let (a, b) = match letters {
        Some(pair) => pair,
        None => (from.parse().ok()?, to.parse().ok()?),
    };
    let padded = |n: &str| n.trim_start_matches('-').starts_with('0') && n.len() > 1;
    let width = match padded(from) || padded(to) {
        true => from.len().max(to.len()),
        false => 0,
    };
    let count = (b - a).abs() / step + 1;
    if count > 1_000_000 {
        return None;
    }
    let step = if b < a { -step } else { step };
    let value = |n: i64| match letters {
        Some(_) => char::from(u8::try_from(n).unwrap_or(b'?')).to_string(),
        None => format!("{n:0width$}"),
    };
    Some((0..count).map(|i| value(a + i * step)).collect())
}
