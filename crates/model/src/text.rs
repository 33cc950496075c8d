//! The bytes of a manifest as text.

use super::issue::{Issue, Position, Rule};

/// UTF-8, or UTF-16 where a byte order mark says so (as some shells write it).
pub fn decode(bytes: Vec<u8>) -> Result<String, Issue> {
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
            String::from_utf16(&units).map_err(|_| fault(None, "it is not text: its UTF-16 is broken".into()))
        }
        None => String::from_utf8(bytes).map_err(|error| {
            let good = error.utf8_error().valid_up_to();
            let before = String::from_utf8_lossy(error.as_bytes().get(..good).unwrap_or_default()).into_owned();
            let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
            let position = Position { line: before.matches('\n').count() + 1, column, len: 1 };
            fault(Some(position), format!("it is not text: byte {good} is not UTF-8"))
        }),
    }
}

fn fault(position: Option<Position>, message: String) -> Issue {
    Issue { rule: Rule::Syntax, path: String::new(), position, message, hint: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_utf_8_or_marked_utf_16() {
        let utf_16: Vec<u8> = "\u{feff}kind: é".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let turned: Vec<u8> = "\u{feff}kind: é".encode_utf16().flat_map(u16::to_be_bytes).collect();
        for bytes in [utf_16, turned, "\u{feff}kind: é".into()] {
            assert_eq!(decode(bytes).expect("text"), "\u{feff}kind: é");
        }
        let fault = decode(b"a: 1\nb: \xff".to_vec()).expect_err("no text");
        assert_eq!(fault.position, Some(Position { line: 2, column: 4, len: 1 }));
        assert_eq!(fault.message, "it is not text: byte 8 is not UTF-8");
        assert!(decode(vec![0xff, 0xfe, 0x00, 0xd8]).is_err());
    }
}
