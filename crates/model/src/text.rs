//! Decodes the bytes of a manifest into text.

use super::diagnostic::{Diagnostic, Position, Rule};

/// Decodes UTF-8, or UTF-16 if the bytes begin with a byte order mark, as some shells write it.
pub fn decode_text(bytes: Vec<u8>) -> Result<String, Diagnostic> {
    let units = |read: fn([u8; 2]) -> u16| -> Vec<u16> {
        bytes.chunks_exact(2).filter_map(|pair| Some(read(pair.try_into().ok()?))).collect()
    };
    let wide = match bytes.as_slice() {
        [0xff, 0xfe, ..] => Some(units(u16::from_le_bytes)),
        [0xfe, 0xff, ..] => Some(units(u16::from_be_bytes)),
        _ => None,
    };
    match wide {
        Some(units) => {
            String::from_utf16(&units).map_err(|_| syntax_error(None, "the file is not valid UTF-16".into()))
        }
        None => String::from_utf8(bytes).map_err(|error| {
            let valid = error.utf8_error().valid_up_to();
            let before = String::from_utf8_lossy(error.as_bytes().get(..valid).unwrap_or_default()).into_owned();
            let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
            let position = Position { line: before.matches('\n').count() + 1, column, len: 1 };
            syntax_error(Some(position), format!("the file is not valid UTF-8: invalid byte at offset {valid}"))
        }),
    }
}

fn syntax_error(position: Option<Position>, message: String) -> Diagnostic {
    Diagnostic { rule: Rule::Syntax, path: String::new(), position, message, hint: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utf_8_and_marked_utf_16_are_decoded() {
        let utf_16: Vec<u8> = "\u{feff}kind: é".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big_endian: Vec<u8> = "\u{feff}kind: é".encode_utf16().flat_map(u16::to_be_bytes).collect();
        for bytes in [utf_16, big_endian, "\u{feff}kind: é".into()] {
            assert_eq!(decode_text(bytes).expect("text"), "\u{feff}kind: é");
        }
        let error = decode_text(b"a: 1\nb: \xff".to_vec()).expect_err("invalid UTF-8");
        assert_eq!(error.position, Some(Position { line: 2, column: 4, len: 1 }));
        assert_eq!(error.message, "the file is not valid UTF-8: invalid byte at offset 8");
        assert!(decode_text(vec![0xff, 0xfe, 0x00, 0xd8]).is_err());
    }
}
