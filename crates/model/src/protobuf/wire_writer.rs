//! The wire format of protobuf, written as the encoders do that Kubernetes generates.

/// The wire type of integers of variable length.
const VARINT: u8 = 0;
/// The wire type of numbers of 64 bits.
const FIXED64: u8 = 1;
/// The wire type of bytes after their length.
const BYTES: u8 = 2;

/// Writes an integer of variable length.
pub fn write_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        // Seven bits fit.
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Writes a length.
pub fn write_length(out: &mut Vec<u8>, length: usize) {
    // A `usize` has at most 64 bits.
    write_varint(out, length as u64);
}

/// Writes the tag of a field that is bytes: a string, bytes or a message. Its length follows.
pub fn write_bytes_tag(out: &mut Vec<u8>, number: u16) {
    write_varint(out, u64::from(number) << 3 | u64::from(BYTES));
}

/// Writes a field with bytes.
pub fn write_bytes(out: &mut Vec<u8>, number: u16, bytes: &[u8]) {
    write_bytes_tag(out, number);
    write_length(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// Writes a field with an integer.
pub fn write_integer(out: &mut Vec<u8>, number: u16, value: i64) {
    write_varint(out, u64::from(number) << 3 | u64::from(VARINT));
    write_varint(out, value.cast_unsigned());
}

/// Writes a field with a number of 64 bits.
pub fn write_double(out: &mut Vec<u8>, number: u16, value: f64) {
    write_varint(out, u64::from(number) << 3 | u64::from(FIXED64));
    out.extend_from_slice(&value.to_le_bytes());
}

/// Inserts at `at` the length of the bytes from there to the end.
pub fn insert_length(out: &mut Vec<u8>, at: usize) {
    let end = out.len();
    write_length(out, end.saturating_sub(at));
    let width = out.len() - end;
    if let Some(tail) = out.get_mut(at..) {
        tail.rotate_right(width);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_inserted_before_what_they_measure() {
        for (length, want) in [(0, &b"\x00"[..]), (127, b"\x7f"), (128, b"\x80\x01"), (20_000, b"\xa0\x9c\x01")] {
            let content = vec![b'x'; length];
            let mut out = [b"ab", &content[..]].concat();
            insert_length(&mut out, 2);
            assert_eq!(out, [b"ab", want, &content].concat(), "{length}");
        }
    }

    #[test]
    fn integers_have_the_sign_of_go() {
        let mut out = Vec::new();
        write_integer(&mut out, 16, -1);
        write_integer(&mut out, 1, 300);
        assert_eq!(out, b"\x80\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x08\xac\x02");
    }
}
