//! The size of a client's terminal, as JSON values on the resize channel or stream.

use serde::Deserialize;

/// Maximum bytes of a value whose end has not arrived.
const MAX_PENDING: usize = 256;

/// The size of a terminal in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct TerminalSize {
    /// Number of columns.
    #[serde(rename = "Width", alias = "width", default)]
    pub width: u16,
    /// Number of rows.
    #[serde(rename = "Height", alias = "height", default)]
    pub height: u16,
}

/// A terminal size cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TerminalSizeError {
    /// The value is not a JSON object with numbers of 16 bits.
    #[error("terminal size is not valid JSON")]
    Json(#[from] serde_json::Error),
    /// The value does not end within the maximum length.
    #[error("terminal size is longer than {MAX_PENDING} bytes")]
    TooLong,
}

/// Reads terminal sizes from JSON values in a row, such as `{"Width":80,"Height":24}`, which arrive in any pieces.
///
/// kubectl ends each value with a line break and sends it in a message of its own; neither is required.
#[derive(Debug, Default)]
pub struct TerminalSizeDecoder {
    pending: Vec<u8>,
}

impl TerminalSizeDecoder {
    /// Reads more bytes. Returns the last size that is complete; earlier ones are out of date already.
    ///
    /// # Errors
    ///
    /// Fails if a value is malformed or too long, and forgets what it has read. Kubernetes reads no further sizes
    /// then, and goes on with the session.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Option<TerminalSize>, TerminalSizeError> {
        self.pending.extend_from_slice(bytes);
        let result = self.read();
        if result.is_err() {
            self.pending.clear();
        }
        result
    }

    fn read(&mut self) -> Result<Option<TerminalSize>, TerminalSizeError> {
        let (mut values, mut last) = (serde_json::Deserializer::from_slice(&self.pending).into_iter(), None);
        for value in values.by_ref() {
            match value {
                Ok(size) => last = Some(size),
                Err(error) if error.is_eof() => break,
                Err(error) => return Err(error.into()),
            }
        }
        let read = values.byte_offset().min(self.pending.len());
        self.pending.drain(..read);
        if self.pending.len() > MAX_PENDING {
            return Err(TerminalSizeError::TooLong);
        }
        Ok(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pieces: &[&str], expected: &[Option<(u16, u16)>]) {
        let mut decoder = TerminalSizeDecoder::default();
        let sizes: Vec<Option<(u16, u16)>> = pieces
            .iter()
            .map(|piece| decoder.push(piece.as_bytes()).expect("a size").map(|size| (size.width, size.height)))
            .collect();
        assert_eq!(sizes, expected, "{pieces:?}");
    }

    #[test]
    fn sizes_arrive_whole_split_or_together() {
        check(&["{\"Width\":80,\"Height\":24}\n"], &[Some((80, 24))]);
        check(&["{\"Width\":8", "0,\"Height\":24}", "\n", " "], &[None, Some((80, 24)), None, None]);
        check(&["{\"Width\":1,\"Height\":2}\n{\"Width\":3,\"Height\":4}\n{"], &[Some((3, 4))]);
        check(
            &["", "\n", "{\"Height\":7}", "{\"width\":5,\"height\":6,\"x\":[]}"],
            &[None, None, Some((0, 7)), Some((5, 6))],
        );
    }

    #[test]
    fn malformed_sizes_are_errors_and_later_ones_are_read() {
        let mut decoder = TerminalSizeDecoder::default();
        for malformed in ["80x24", "{\"Width\":-1}", "{\"Width\":65536}", "{\"Width\":\"80\"}", "true", "}"] {
            let result = decoder.push(malformed.as_bytes());
            assert!(matches!(result, Err(TerminalSizeError::Json(_))), "{malformed}: {result:?}");
        }
        let endless = format!("{{\"Width\":80{}", " ".repeat(MAX_PENDING));
        assert!(matches!(decoder.push(endless.as_bytes()), Err(TerminalSizeError::TooLong)));
        assert!(decoder.push(b"{\"Width\":1}").expect("a size").is_some());
    }

    #[test]
    fn white_space_is_not_kept() {
        let mut decoder = TerminalSizeDecoder::default();
        for _ in 0..MAX_PENDING {
            assert_eq!(decoder.push(b"\n \n").expect("white space"), None);
        }
    }
}
