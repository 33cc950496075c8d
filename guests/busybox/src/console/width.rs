//! Widths of characters in terminal columns.

/// Characters that take no column: combining marks, joiners and selectors. First and last of each range.
const ZERO: [(u32, u32); 14] = [
    (0x0300, 0x036f),
    (0x0483, 0x0489),
    (0x0591, 0x05bd),
    (0x064b, 0x065f),
    (0x0e34, 0x0e3a),
    (0x0e47, 0x0e4e),
    (0x1ab0, 0x1aff),
    (0x1dc0, 0x1dff),
    (0x200b, 0x200f),
    (0x20d0, 0x20ff),
    (0xfe00, 0xfe0f),
    (0xfe20, 0xfe2f),
    (0x1f3fb, 0x1f3ff),
    (0xe0100, 0xe01ef),
];

/// Characters that take two columns: East Asian scripts and emoji.
const WIDE: [(u32, u32); 26] = [
    (0x1100, 0x115f),
    (0x231a, 0x231b),
    (0x23e9, 0x23ec),
    (0x25fd, 0x25fe),
    (0x2614, 0x2615),
    (0x2648, 0x2653),
    (0x26a1, 0x26a1),
    (0x26bd, 0x26be),
    (0x2705, 0x2705),
    (0x270a, 0x270b),
    (0x2728, 0x2728),
    (0x274c, 0x274c),
    (0x2753, 0x2757),
    (0x2795, 0x2797),
    (0x2b50, 0x2b55),
    (0x2e80, 0x303e),
    (0x3041, 0x33ff),
    (0x3400, 0x4dbf),
    (0x4e00, 0x9fff),
    (0xa000, 0xa4cf),
    (0xa960, 0xa97f),
    (0xac00, 0xd7a3),
    (0xf900, 0xfaff),
    (0xfe30, 0xfe6f),
    (0xff00, 0xff60),
    (0x1f300, 0x1faff),
];

/// Wide characters beyond the ranges above.
const WIDE_LAST: [(u32, u32); 2] = [(0xffe0, 0xffe6), (0x20000, 0x3fffd)];

/// Returns the number of columns of a printable character.
pub fn of_char(c: char) -> usize {
    let code = c as u32;
    let within = |range: &(u32, u32)| (range.0..=range.1).contains(&code);
    if code < 0x300 {
        1
    } else if ZERO.iter().any(within) {
        0
    } else if WIDE.iter().chain(&WIDE_LAST).any(within) {
        2
    } else {
        1
    }
}

/// Returns the number of columns of text without control characters.
pub fn of_str(text: &str) -> usize {
    text.chars().map(of_char).sum()
}

/// Whether a character has no glyph, but controls the terminal.
pub fn is_control(c: char) -> bool {
    c.is_control()
}

/// Appends the visible form of `c` at a column: `^X` for control characters, blanks up to the next multiple of 8 for
/// tabs. Returns its width.
pub fn push_visible(c: char, column: usize, out: &mut String) -> usize {
    match c {
        '\t' => {
            let width = 8 - column % 8;
            out.extend(std::iter::repeat_n(' ', width));
            width
        }
        c if is_control(c) => {
            let code = c as u32;
            out.push('^');
            out.push(if code < 0x80 { char::from_u32(code ^ 0x40).unwrap_or('?') } else { '?' });
            2
        }
        c => {
            out.push(c);
            of_char(c)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_follow_east_asian_width() {
        for (c, width) in [('a', 1), ('ä', 1), ('\u{301}', 0), ('漢', 2), ('한', 2), ('😀', 2), ('─', 1), ('ｱ', 1)]
        {
            assert_eq!(of_char(c), width, "{c:?}");
        }
    }

    #[test]
    fn control_characters_are_visible() {
        let mut out = String::new();
        let widths: Vec<usize> = "a\u{1}\t\u{7f}".chars().map(|c| push_visible(c, 3, &mut out)).collect();
        assert_eq!((out.as_str(), widths.as_slice()), ("a^A     ^?", [1, 2, 5, 2].as_slice()));
    }
}
