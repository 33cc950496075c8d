//! The client's side of a session, for tests.

use bytes::{BufMut, Bytes, BytesMut};

use super::frame::{Frame, FrameReader, RST_STREAM};
use super::header_block::{HeaderCompressor, HeaderDecompressor, Headers};
use super::{ResetStatus, StreamId, write};

/// A client that writes whatever it is asked to.
pub(super) struct Client {
    compressor: HeaderCompressor,
    decompressor: HeaderDecompressor,
    reader: FrameReader,
    next_stream: u32,
    pub(super) output: BytesMut,
}

impl Client {
    pub(super) fn new() -> Client {
        Client {
            compressor: HeaderCompressor::new().expect("the dictionary"),
            decompressor: HeaderDecompressor::new(),
            reader: FrameReader::new(),
            next_stream: 1,
            output: BytesMut::new(),
        }
    }

    /// Opens a stream with the next number.
    pub(super) fn open(&mut self, headers: &[(&str, &str)], flags: u8) -> StreamId {
        let stream = StreamId::from_wire(self.next_stream);
        self.next_stream += 2;
        self.syn_stream(stream, headers, flags);
        stream
    }

    pub(super) fn syn_stream(&mut self, stream: StreamId, headers: &[(&str, &str)], flags: u8) {
        let block = self.compressor.write(&headers.iter().copied().collect()).expect("a block");
        write::syn_stream(&mut self.output, stream, flags, &block);
    }

    /// Sends a control frame that begins with a stream and a header block, such as HEADERS.
    pub(super) fn headers(&mut self, kind: u16, stream: StreamId, headers: &[(&str, &str)], flags: u8) {
        let block = self.compressor.write(&headers.iter().copied().collect()).expect("a block");
        write::control_head(&mut self.output, kind, flags, 4 + block.len());
        self.output.put_u32(stream.get());
        self.output.put_slice(&block);
    }

    /// Sends any control frame.
    pub(super) fn control(&mut self, kind: u16, payload: &[u8]) {
        write::control_head(&mut self.output, kind, 0, payload.len());
        self.output.put_slice(payload);
    }

    pub(super) fn data(&mut self, stream: StreamId, bytes: &[u8], fin: bool) {
        write::data(&mut self.output, stream, bytes, fin);
    }

    pub(super) fn reset(&mut self, stream: StreamId) {
        write::control_head(&mut self.output, RST_STREAM, 0, 8);
        self.output.put_u32(stream.get());
        self.output.put_u32(ResetStatus::Cancel.code());
    }

    /// Reads what the server sent. Headers of replies are read, too, and must be empty.
    pub(super) fn read(&mut self, mut input: Bytes) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(frame) = self.reader.next(&mut input).expect("a frame") {
            if let Frame::SynReply { block, .. } = &frame {
                let headers = self.decompressor.read(block).expect("a block");
                assert_eq!(headers, Ok(Headers::default()));
            }
            frames.push(frame);
        }
        frames
    }
}
