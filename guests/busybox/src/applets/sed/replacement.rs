//! The replacement of sed's `s`: from text to pieces, and from pieces to the new text.

use std::fmt;

use crate::applets::echo::parse_escape;
use crate::applets::pattern::NONE;

enum Piece {
    Text(Vec<u8>),
    Group(usize),
    /// `\U`, `\L`, `\u`, `\l`, `\E`.
    Case(u8),
}

/// The replacement refers to a group that the pattern does not have.
pub struct InvalidReference(usize);

impl fmt::Display for InvalidReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid reference \\{} on 's' command's RHS", self.0)
    }
}

/// The right-hand side of `s`.
pub struct Replacement(Vec<Piece>);

impl Replacement {
    /// Appends the replacement of one match, whose groups are at `spans` of `text`.
    pub fn append_to(&self, text: &[u8], spans: &[usize], out: &mut Vec<u8>) {
        let (mut lasting, mut once) = (b'E', 0);
        for piece in &self.0 {
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

    /// Parses the text between the delimiters; `groups` is the number of groups in the pattern.
    pub fn parse(text: &[u8], groups: usize) -> Result<Replacement, InvalidReference> {
        let mut pieces = Vec::new();
        let mut plain = Vec::new();
        let mut at = 0;
        while let Some(byte) = text.get(at) {
            at += 1;
            let piece = match byte {
                b'&' => Some(Piece::Group(0)),
                b'\\' => parse_backslash(text, &mut at, groups, &mut plain)?,
                byte => {
                    plain.push(*byte);
                    None
                }
            };
            if let Some(piece) = piece {
                if !plain.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut plain)));
                }
                pieces.push(piece);
            }
        }
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Replacement(pieces))
    }
}

/// Parses what follows a backslash at `at`: a piece, or a byte that is added to `plain`.
fn parse_backslash(
    text: &[u8],
    at: &mut usize,
    groups: usize,
    plain: &mut Vec<u8>,
) -> Result<Option<Piece>, InvalidReference> {
    let next = text.get(*at).copied().unwrap_or(b'\\');
    let mut used = 1;
    let piece = match next {
        b'0'..=b'9' => {
            let group = usize::from(next - b'0');
            if group > groups {
                return Err(InvalidReference(group));
            }
            Some(Piece::Group(group))
        }
        b'U' | b'L' | b'u' | b'l' | b'E' => Some(Piece::Case(next)),
        b'&' | b'\n' | b'b' | b'c' => {
            plain.push(next);
            None
        }
        _ => {
            let (value, length) = parse_escape(text.get(*at..).unwrap_or_default(), false);
            used = length.max(1);
            plain.push(value.unwrap_or(next));
            None
        }
    };
    *at += used;
    Ok(piece)
}
