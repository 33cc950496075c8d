//! Reads frames from bytes that arrive in any pieces.

use bytes::{Buf, Bytes, BytesMut};

use super::{MAX_CONTROL_FRAME, SpdyError, StreamId};

/// Length of what precedes each frame's payload.
pub(super) const HEAD: usize = 8;

/// The version in control frames: 3.1 differs from 3 only in flow control.
pub(super) const VERSION: u16 = 3;

pub(super) const SYN_STREAM: u16 = 1;
pub(super) const SYN_REPLY: u16 = 2;
pub(super) const RST_STREAM: u16 = 3;
const SETTINGS: u16 = 4;
pub(super) const PING: u16 = 6;
pub(super) const GOAWAY: u16 = 7;
const HEADERS: u16 = 8;
const WINDOW_UPDATE: u16 = 9;

pub(super) const FLAG_FIN: u8 = 1;
pub(super) const FLAG_UNIDIRECTIONAL: u8 = 2;

/// A frame, or a piece of a data frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Frame {
    SynStream {
        stream: StreamId,
        flags: u8,
        block: Bytes,
    },
    SynReply {
        stream: StreamId,
        flags: u8,
        block: Bytes,
    },
    Headers {
        stream: StreamId,
        flags: u8,
        block: Bytes,
    },
    RstStream {
        stream: StreamId,
        status: u32,
    },
    Ping {
        id: u32,
    },
    GoAway {
        last_stream: StreamId,
    },
    /// A piece of a data frame; `fin` is set in its last one.
    Data {
        stream: StreamId,
        bytes: Bytes,
        fin: bool,
    },
}

#[derive(Debug, Clone, Copy)]
enum ReadPosition {
    /// At the head of a frame.
    Head,
    /// In the payload of a control frame.
    Control { kind: u16, flags: u8, length: usize },
    /// In the payload of a control frame that is ignored.
    Ignored { rest: usize },
    /// In the payload of a data frame.
    Data { stream: StreamId, fin: bool, rest: usize },
}

/// Reads frames. Keeps less than a control frame; data are passed on as they arrive, without a copy.
#[derive(Debug)]
pub(super) struct FrameReader {
    position: ReadPosition,
    /// The beginning of a head or control frame.
    partial: BytesMut,
}

impl FrameReader {
    pub(super) fn new() -> FrameReader {
        FrameReader { position: ReadPosition::Head, partial: BytesMut::new() }
    }

    /// Reads the next frame and removes it from `input`. Returns `None` if all input is read.
    ///
    /// # Errors
    ///
    /// Fails if a frame is not valid. What follows cannot be read then.
    pub(super) fn next(&mut self, input: &mut Bytes) -> Result<Option<Frame>, SpdyError> {
        loop {
            match self.position {
                ReadPosition::Head => {
                    let Some(head) = self.collect(input, HEAD) else { return Ok(None) };
                    self.position = read_head(head)?;
                }
                ReadPosition::Control { kind, flags, length } => {
                    let Some(payload) = self.collect(input, length) else { return Ok(None) };
                    self.position = ReadPosition::Head;
                    return read_control(kind, flags, payload).map(Some);
                }
                ReadPosition::Ignored { rest: 0 } => self.position = ReadPosition::Head,
                ReadPosition::Ignored { .. } if input.is_empty() => return Ok(None),
                ReadPosition::Ignored { rest } => {
                    let length = rest.min(input.len());
                    input.advance(length);
                    self.position = ReadPosition::Ignored { rest: rest - length };
                }
                ReadPosition::Data { rest, .. } if input.is_empty() && rest > 0 => return Ok(None),
                ReadPosition::Data { stream, fin, rest } => {
                    let bytes = input.split_to(rest.min(input.len()));
                    let rest = rest - bytes.len();
                    let is_last = rest == 0;
                    self.position = if is_last { ReadPosition::Head } else { ReadPosition::Data { stream, fin, rest } };
                    return Ok(Some(Frame::Data { stream, bytes, fin: fin && is_last }));
                }
            }
        }
    }

    /// Returns `length` bytes once they have arrived.
    fn collect(&mut self, input: &mut Bytes, length: usize) -> Option<Bytes> {
        if self.partial.is_empty() && input.len() >= length {
            return Some(input.split_to(length));
        }
        let missing = length.saturating_sub(self.partial.len());
        self.partial.extend_from_slice(&input.split_to(missing.min(input.len())));
        (self.partial.len() == length).then(|| self.partial.split().freeze())
    }
}

/// Reads the head of a frame.
fn read_head(mut head: Bytes) -> Result<ReadPosition, SpdyError> {
    let (first, second) = (head.get_u32(), head.get_u32());
    let [flags, ..] = second.to_be_bytes();
    let length = usize::try_from(second & 0x00ff_ffff).unwrap_or(usize::MAX);
    if first >> 31 == 0 {
        let stream = stream(first)?;
        return Ok(ReadPosition::Data { stream, fin: flags & FLAG_FIN != 0, rest: length });
    }
    let [version, kind] = [first >> 16 & 0x7fff, first & 0xffff].map(|half| u16::try_from(half).unwrap_or(u16::MAX));
    if version != VERSION {
        return Err(SpdyError::Version(version));
    }
    let is_valid = match kind {
        SYN_STREAM => length >= 10,
        SYN_REPLY | HEADERS => length >= 4,
        RST_STREAM | GOAWAY | WINDOW_UPDATE => length == 8,
        SETTINGS => length % 8 == 4,
        PING => length == 4,
        _ => true,
    };
    match kind {
        _ if !is_valid => Err(SpdyError::FrameLength { kind, length }),
        SYN_STREAM | SYN_REPLY | HEADERS | RST_STREAM | PING | GOAWAY if length > MAX_CONTROL_FRAME => {
            Err(SpdyError::FrameTooLong { kind, length })
        }
        SYN_STREAM | SYN_REPLY | HEADERS | RST_STREAM | PING | GOAWAY => {
            Ok(ReadPosition::Control { kind, flags, length })
        }
        // SETTINGS, WINDOW_UPDATE, and types that are unknown.
        _ => Ok(ReadPosition::Ignored { rest: length }),
    }
}

/// Reads the payload of a control frame, whose length was checked.
fn read_control(kind: u16, flags: u8, mut payload: Bytes) -> Result<Frame, SpdyError> {
    let malformed = SpdyError::FrameLength { kind, length: payload.len() };
    let first = payload.try_get_u32().map_err(|_| malformed)?;
    Ok(match kind {
        SYN_STREAM => {
            // The associated stream, the priority and the credential slot.
            payload.advance(payload.len().min(6));
            Frame::SynStream { stream: stream(first)?, flags, block: payload }
        }
        SYN_REPLY => Frame::SynReply { stream: stream(first)?, flags, block: payload },
        HEADERS => Frame::Headers { stream: stream(first)?, flags, block: payload },
        RST_STREAM => {
            Frame::RstStream { stream: stream(first)?, status: payload.try_get_u32().map_err(|_| malformed)? }
        }
        PING => Frame::Ping { id: first },
        GOAWAY => Frame::GoAway { last_stream: StreamId::from_wire(first) },
        _ => return Err(malformed),
    })
}

fn stream(number: u32) -> Result<StreamId, SpdyError> {
    match StreamId::from_wire(number) {
        StreamId(0) => Err(SpdyError::ZeroStream),
        stream => Ok(stream),
    }
}
