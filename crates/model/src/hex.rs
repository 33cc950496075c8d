//! Bytes in hexadecimal.

/// Returns bytes in lower-case hexadecimal.
pub fn encode<'b>(bytes: impl IntoIterator<Item = &'b u8>) -> String {
    bytes.into_iter().map(|byte| format!("{byte:02x}")).collect()
}
