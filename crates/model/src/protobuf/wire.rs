//! The wire format of protobuf, read as the decoders do that Kubernetes generates: unknown fields are skipped, and
//! broken messages are rejected in the same words.

use super::ProtobufError;

/// A value on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WireValue<'b> {
    /// An integer of variable length.
    Varint(u64),
    /// Bytes after their length: a string, bytes, a message or packed integers.
    Bytes(&'b [u8]),
    /// A value that no field of Kubernetes has: an integer of fixed length, or a group.
    Other {
        /// The wire type of the value.
        wire_type: u8,
    },
}

impl<'b> WireValue<'b> {
    /// Returns the bytes of the value of the field that JSON calls `name`.
    pub fn bytes(self, name: &'static str) -> Result<&'b [u8], ProtobufError> {
        match self {
            WireValue::Bytes(bytes) => Ok(bytes),
            WireValue::Varint(_) | WireValue::Other { .. } => Err(self.wrong_wire_type(name)),
        }
    }

    /// Returns the string that is the value of the field that JSON calls `name`.
    pub fn string(self, name: &'static str) -> Result<&'b str, ProtobufError> {
        std::str::from_utf8(self.bytes(name)?).map_err(|_| ProtobufError::InvalidUtf8(name))
    }

    /// Returns the integer that is the value of the field that JSON calls `name`.
    pub fn varint(self, name: &'static str) -> Result<u64, ProtobufError> {
        match self {
            WireValue::Varint(value) => Ok(value),
            WireValue::Bytes(_) | WireValue::Other { .. } => Err(self.wrong_wire_type(name)),
        }
    }

    fn wrong_wire_type(self, field: &'static str) -> ProtobufError {
        let wire_type = match self {
            WireValue::Varint(_) => VARINT,
            WireValue::Bytes(_) => BYTES,
            WireValue::Other { wire_type } => wire_type,
        };
        ProtobufError::WrongWireType { field, wire_type }
    }
}

/// A field on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WireField<'b> {
    /// The number of the field.
    pub number: u32,
    /// The value.
    pub value: WireValue<'b>,
}

const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const BYTES: u8 = 2;
const START_GROUP: u8 = 3;
const END_GROUP: u8 = 4;
const FIXED32: u8 = 5;

/// Reads the fields of a message; ends after the first error.
#[derive(Debug)]
pub struct WireReader<'b> {
    rest: &'b [u8],
}

impl<'b> WireReader<'b> {
    /// Reads `message`.
    pub fn new(message: &'b [u8]) -> WireReader<'b> {
        WireReader { rest: message }
    }

    /// Returns how much of `message`, which this reads, has been read.
    pub fn offset_in(&self, message: &[u8]) -> usize {
        message.len().saturating_sub(self.rest.len())
    }

    /// Returns the next integer, unless the message ends here.
    pub fn next_varint(&mut self) -> Option<Result<u64, ProtobufError>> {
        (!self.rest.is_empty()).then(|| self.varint())
    }

    fn field(&mut self) -> Result<WireField<'b>, ProtobufError> {
        let tag = self.varint()?;
        let wire_type = wire_type(tag);
        if wire_type == END_GROUP {
            return Err(ProtobufError::UnexpectedEndOfGroup);
        }
        let number = u32::try_from(tag >> 3).ok().filter(|number| *number > 0);
        let number = number.ok_or(ProtobufError::IllegalTag { tag: tag >> 3, wire_type })?;
        let value = match wire_type {
            VARINT => WireValue::Varint(self.varint()?),
            BYTES => WireValue::Bytes(self.bytes()?),
            other => {
                self.skip(other)?;
                WireValue::Other { wire_type: other }
            }
        };
        Ok(WireField { number, value })
    }

    fn varint(&mut self) -> Result<u64, ProtobufError> {
        let mut value = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let (byte, rest) = self.rest.split_first().ok_or(ProtobufError::UnexpectedEnd)?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if *byte < 0x80 {
                return Ok(value);
            }
        }
        Err(ProtobufError::IntegerOverflow)
    }

    fn bytes(&mut self) -> Result<&'b [u8], ProtobufError> {
        let length = self.varint()?;
        // A length is a signed integer in Go.
        let length = i64::try_from(length).map_err(|_| ProtobufError::NegativeLength)?;
        self.take(usize::try_from(length).map_err(|_| ProtobufError::UnexpectedEnd)?)
    }

    fn take(&mut self, length: usize) -> Result<&'b [u8], ProtobufError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(ProtobufError::UnexpectedEnd)?;
        self.rest = rest;
        Ok(taken)
    }

    /// Skips a value. Groups are not skipped recursively, because they can be nested as deeply as the body is long.
    fn skip(&mut self, wire_type_of_value: u8) -> Result<(), ProtobufError> {
        let (mut open_groups, mut next) = (0_usize, wire_type_of_value);
        loop {
            match next {
                VARINT => drop(self.varint()?),
                FIXED64 => drop(self.take(8)?),
                BYTES => drop(self.bytes()?),
                FIXED32 => drop(self.take(4)?),
                START_GROUP => open_groups += 1,
                END_GROUP => open_groups -= 1,
                illegal => return Err(ProtobufError::IllegalWireType(illegal)),
            }
            if open_groups == 0 {
                return Ok(());
            }
            next = wire_type(self.varint()?);
        }
    }
}

impl<'b> Iterator for WireReader<'b> {
    type Item = Result<WireField<'b>, ProtobufError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

/// Returns the wire type in a tag.
fn wire_type(tag: u64) -> u8 {
    // Three bits fit.
    (tag & 7) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(message: &[u8]) -> Result<Vec<(u32, WireValue<'_>)>, ProtobufError> {
        WireReader::new(message).map(|field| field.map(|field| (field.number, field.value))).collect()
    }

    #[test]
    fn fields_of_all_wire_types_are_read() {
        let message =
            b"\x08\x96\x01\x12\x02ab\x19\x01\x02\x03\x04\x05\x06\x07\x08\x25\x01\x02\x03\x04\x2b\x33\x0a\x01c\
            \x34\x08\x01\x2c\x30\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
        let other = |wire_type| WireValue::Other { wire_type };
        let want = [
            (1, WireValue::Varint(150)),
            (2, WireValue::Bytes(b"ab")),
            (3, other(FIXED64)),
            (4, other(FIXED32)),
            (5, other(START_GROUP)),
            (6, WireValue::Varint(u64::MAX)),
        ];
        assert_eq!(read(message), Ok(want.into()));
    }

    #[test]
    fn broken_messages_are_rejected_in_the_words_of_go() {
        for (message, want) in [
            (&b"\x0a"[..], "unexpected EOF"),
            (b"\x0a\x02a", "unexpected EOF"),
            (b"\x08\x80", "unexpected EOF"),
            (b"\x19\x01\x02", "unexpected EOF"),
            (b"\x2b\x08\x01", "unexpected EOF"),
            (b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "proto: integer overflow"),
            (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "proto: negative length found during unmarshaling"),
            (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "unexpected EOF"),
            (b"\x02\x00", "proto: illegal tag 0 (wire type 2)"),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "proto: illegal tag 2305843009213693951 (wire type 7)"),
            (b"\x0f", "proto: illegal wireType 7"),
            (b"\x0c", "proto: unexpected end of group"),
        ] {
            assert_eq!(read(message).expect_err(want).to_string(), want, "{message:?}");
        }
    }

    #[test]
    fn deeply_nested_groups_use_no_stack() {
        let groups = 1_000_000;
        let nested = [vec![0x0b; groups], vec![0x0c; groups]].concat();
        assert_eq!(read(&nested), Ok(vec![(1, WireValue::Other { wire_type: START_GROUP })]));
    }
}
