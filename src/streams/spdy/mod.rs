//! SPDY/3.1 sessions, as Kubernetes' clients speak them (moby/spdystream), for the server and the client.
//!
//! Owns the frames ([`Frame`], in pieces of any length), header blocks and the states of streams. Leaves to the caller
//! what the streams mean, and when to stop reading: flow control is left out as in spdystream, where neither side sends
//! `WINDOW_UPDATE` nor waits for it. Frames of that type are read and ignored, so that a client may send them.
//! Backpressure is the connection's: a caller that cannot place the data of one stream stops reading, for all streams.

pub mod client;
mod dictionary;
mod frame;
mod header_block;
mod session;
mod write;

#[cfg(test)]
mod test_client;
#[cfg(test)]
mod tests;

use std::fmt;

pub use header_block::{Headers, MAX_HEADER_BLOCK};
pub use session::{MAX_DATA_FRAME, MAX_STREAMS, Session, SessionEvent, StreamError};

/// Maximum payload of a control frame. Data frames need no limit, since they are passed on in pieces.
pub const MAX_CONTROL_FRAME: usize = 16 * 1024;

/// The number of a stream: odd if the client opened it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(u32);

impl StreamId {
    /// Returns the number.
    pub fn get(self) -> u32 {
        self.0
    }

    /// Returns the stream with a number of which the first bit, which is reserved, is ignored.
    pub(super) fn from_wire(number: u32) -> StreamId {
        StreamId(number & 0x7fff_ffff)
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The reason of a `RST_STREAM`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResetStatus {
    /// The client breaks a rule of the protocol.
    ProtocolError,
    /// The stream does not exist.
    InvalidStream,
    /// The stream is refused before anything is done for it.
    RefusedStream,
    /// The stream is not needed any longer.
    Cancel,
    /// The server fails.
    InternalError,
    /// The client sends data after their end.
    StreamAlreadyClosed,
}

impl ResetStatus {
    /// Returns the number on the wire (SPDY/3.1, section 2.6.3).
    pub fn code(self) -> u32 {
        match self {
            ResetStatus::ProtocolError => 1,
            ResetStatus::InvalidStream => 2,
            ResetStatus::RefusedStream => 3,
            ResetStatus::Cancel => 5,
            ResetStatus::InternalError => 6,
            ResetStatus::StreamAlreadyClosed => 9,
        }
    }
}

/// The client breaks the protocol so that the session cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SpdyError {
    /// A control frame is of another version of SPDY.
    #[error("SPDY version {0} is not supported, only 3")]
    Version(u16),
    /// The length of a control frame does not suit its type.
    #[error("control frame of type {kind} has {length} bytes")]
    FrameLength {
        /// The type of the frame.
        kind: u16,
        /// The length of its payload.
        length: usize,
    },
    /// A control frame exceeds [`MAX_CONTROL_FRAME`].
    #[error("control frame of type {kind} has {length} bytes, more than {MAX_CONTROL_FRAME}")]
    FrameTooLong {
        /// The type of the frame.
        kind: u16,
        /// The length of its payload.
        length: usize,
    },
    /// A frame is for stream 0.
    #[error("frame for stream 0")]
    ZeroStream,
    /// A header block cannot be decompressed.
    #[error("header block is not a continuation of the zlib stream")]
    Compression,
    /// A header block exceeds [`MAX_HEADER_BLOCK`] when decompressed.
    #[error("header block has more than {MAX_HEADER_BLOCK} bytes")]
    HeaderBlockTooLong,
    /// The lengths in a header block exceed it.
    #[error("header block is malformed")]
    HeaderBlock,
}
