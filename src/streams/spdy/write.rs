//! Writes frames.

use bytes::{BufMut, BytesMut};

use super::frame::{FLAG_FIN, GOAWAY, PING, RST_STREAM, SYN_REPLY, SYN_STREAM, VERSION};
use super::{ResetStatus, StreamId};

/// Appends the head of a control frame.
pub(super) fn control_head(output: &mut BytesMut, kind: u16, flags: u8, length: usize) {
    output.put_u16(0x8000 | VERSION);
    output.put_u16(kind);
    put_flags_and_length(output, flags, length);
}

pub(super) fn syn_stream(output: &mut BytesMut, stream: StreamId, flags: u8, block: &[u8]) {
    control_head(output, SYN_STREAM, flags, 10 + block.len());
    output.put_u32(stream.get());
    // The associated stream, the priority and the credential slot.
    output.put_slice(&[0; 6]);
    output.put_slice(block);
}

pub(super) fn syn_reply(output: &mut BytesMut, stream: StreamId, block: &[u8]) {
    control_head(output, SYN_REPLY, 0, 4 + block.len());
    output.put_u32(stream.get());
    output.put_slice(block);
}

pub(super) fn rst_stream(output: &mut BytesMut, stream: StreamId, status: ResetStatus) {
    control_head(output, RST_STREAM, 0, 8);
    output.put_u32(stream.get());
    output.put_u32(status.code());
}

pub(super) fn ping(output: &mut BytesMut, id: u32) {
    control_head(output, PING, 0, 4);
    output.put_u32(id);
}

/// Appends a GOAWAY with the last stream that was accepted and a status: 0 is OK, 1 a protocol error.
pub(super) fn goaway(output: &mut BytesMut, last_stream: u32, status: u32) {
    control_head(output, GOAWAY, 0, 8);
    output.put_u32(last_stream);
    output.put_u32(status);
}

/// Appends a data frame, of at most 2^24 - 1 bytes.
pub(super) fn data(output: &mut BytesMut, stream: StreamId, bytes: &[u8], fin: bool) {
    output.reserve(super::frame::HEAD + bytes.len());
    output.put_u32(stream.get());
    put_flags_and_length(output, if fin { FLAG_FIN } else { 0 }, bytes.len());
    output.put_slice(bytes);
}

fn put_flags_and_length(output: &mut BytesMut, flags: u8, length: usize) {
    output.put_u8(flags);
    output.put_uint(u64::try_from(length).unwrap_or(u64::MAX), 3);
}
