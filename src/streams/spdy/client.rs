//! The client's side of a session: opens streams, and passes on what the server sends on them.

use std::fmt;

use bytes::{Bytes, BytesMut};

use super::frame::{FLAG_FIN, Frame, FrameReader};
use super::header_block::{HeaderCompressor, HeaderDecompressor, Headers};
use super::{MAX_DATA_FRAME, ResetStatus, SpdyError, StreamId, write};

/// News from the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientEvent {
    /// The server sends data.
    Data {
        /// The stream.
        stream: StreamId,
        /// The data; empty only with `fin`.
        bytes: Bytes,
        /// Whether the server sends no more.
        fin: bool,
    },
    /// The server closes a stream in both directions.
    Reset {
        /// The stream.
        stream: StreamId,
    },
}

/// The headers of a stream cannot be compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cannot compress the headers of a stream")]
pub struct OpenError;

/// The client's side of a session.
///
/// Does not wait for replies, since servers accept data of streams that they have not replied to, nor keeps the states
/// of streams: the caller sends nothing on one that it has finished.
pub struct ClientSession {
    reader: FrameReader,
    decompressor: HeaderDecompressor,
    compressor: HeaderCompressor,
    next_stream: u32,
    output: BytesMut,
}

impl ClientSession {
    /// Returns a new session.
    ///
    /// # Errors
    ///
    /// Fails if the compression of headers cannot be set up.
    pub fn new() -> Result<ClientSession, OpenError> {
        Ok(ClientSession {
            reader: FrameReader::new(),
            decompressor: HeaderDecompressor::new(),
            compressor: HeaderCompressor::new().map_err(|_| OpenError)?,
            next_stream: 1,
            output: BytesMut::new(),
        })
    }

    /// Opens a stream. With `fin`, the client sends nothing on it.
    ///
    /// # Errors
    ///
    /// Fails if the headers cannot be compressed.
    pub fn open(&mut self, headers: &Headers, fin: bool) -> Result<StreamId, OpenError> {
        let block = self.compressor.write(headers).map_err(|_| OpenError)?;
        let stream = StreamId::from_wire(self.next_stream);
        self.next_stream += 2;
        write::syn_stream(&mut self.output, stream, if fin { FLAG_FIN } else { 0 }, &block);
        Ok(stream)
    }

    /// Queues data; with `fin`, nothing may be sent on the stream afterwards.
    pub fn send_data(&mut self, stream: StreamId, mut bytes: &[u8], fin: bool) {
        while let Some((frame, rest)) = bytes.split_at_checked(MAX_DATA_FRAME).filter(|(_, rest)| !rest.is_empty()) {
            write::data(&mut self.output, stream, frame, false);
            bytes = rest;
        }
        write::data(&mut self.output, stream, bytes, fin);
    }

    /// Reads bytes from the server, which may end anywhere in a frame, and appends what happened to `events`.
    ///
    /// # Errors
    ///
    /// Fails if the session cannot go on.
    pub fn receive(&mut self, input: impl Into<Bytes>, events: &mut Vec<ClientEvent>) -> Result<(), SpdyError> {
        let mut input = input.into();
        while let Some(frame) = self.reader.next(&mut input)? {
            match frame {
                // Replies and more headers have no meaning in Kubernetes' protocols, but continue the compression.
                Frame::SynReply { stream, flags, block } | Frame::Headers { stream, flags, block } => {
                    self.decompressor.read(&block).map(drop)?;
                    if flags & FLAG_FIN != 0 {
                        events.push(ClientEvent::Data { stream, bytes: Bytes::new(), fin: true });
                    }
                }
                Frame::SynStream { stream, block, .. } => {
                    self.decompressor.read(&block).map(drop)?;
                    write::rst_stream(&mut self.output, stream, ResetStatus::RefusedStream);
                }
                Frame::RstStream { stream, .. } => events.push(ClientEvent::Reset { stream }),
                // Even ones are the server's.
                Frame::Ping { id } if id % 2 == 0 => write::ping(&mut self.output, id),
                Frame::Ping { .. } => {}
                // Open streams go on, and the client opens no others.
                Frame::GoAway { .. } => {}
                Frame::Data { stream, bytes, fin } if fin || !bytes.is_empty() => {
                    events.push(ClientEvent::Data { stream, bytes, fin });
                }
                Frame::Data { .. } => {}
            }
        }
        Ok(())
    }

    /// Returns what is to be written to the server, and forgets it.
    pub fn take_output(&mut self) -> Bytes {
        self.output.split().freeze()
    }
}

impl fmt::Debug for ClientSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientSession").field("next_stream", &self.next_stream).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Session, SessionEvent};
    use super::*;

    fn received(session: &mut ClientSession, server: &mut Session) -> Vec<ClientEvent> {
        let mut events = Vec::new();
        // In pieces, which end anywhere in frames.
        for piece in server.take_output().chunks(5) {
            session.receive(Bytes::copy_from_slice(piece), &mut events).expect("frames");
        }
        events
    }

    #[test]
    fn data_and_its_end_pass_in_both_directions() {
        let (mut session, mut server) = (ClientSession::new().expect("a session"), Session::server());
        let headers: Headers = [("streamtype", "data"), ("port", "80")].into_iter().collect();
        let closed = session.open(&headers, true).expect("a stream");
        let stream = session.open(&headers, false).expect("a stream");
        let long = vec![7; MAX_DATA_FRAME + 1];
        session.send_data(stream, &long, false);
        session.send_data(stream, b"", true);
        let mut events = Vec::new();
        server.receive(session.take_output(), &mut events).expect("frames");
        let data = |bytes: &[u8], fin| SessionEvent::Data { stream, bytes: Bytes::copy_from_slice(bytes), fin };
        let (first, rest) = long.split_at(MAX_DATA_FRAME);
        let expected = [
            SessionEvent::StreamOpened { stream: closed, headers: headers.clone(), fin: true },
            SessionEvent::StreamOpened { stream, headers, fin: false },
            data(first, false),
            data(rest, false),
            data(b"", true),
        ];
        assert_eq!(events, expected);
        server.send_data(stream, b"answer", true).expect("sent");
        server.reset(closed, ResetStatus::Cancel);
        let events = received(&mut session, &mut server);
        let answered: Bytes = events
            .iter()
            .flat_map(|event| match event {
                ClientEvent::Data { stream: of, bytes, .. } if *of == stream => bytes.to_vec(),
                _ => Vec::new(),
            })
            .collect();
        assert_eq!(answered, "answer");
        assert!(matches!(events.iter().rev().nth(1), Some(ClientEvent::Data { fin: true, .. })), "{events:?}");
        assert_eq!(events.last(), Some(&ClientEvent::Reset { stream: closed }));
    }

    #[test]
    fn pings_of_the_server_are_answered() {
        let mut session = ClientSession::new().expect("a session");
        let mut ping = BytesMut::new();
        write::ping(&mut ping, 2);
        session.receive(ping.clone(), &mut Vec::new()).expect("a frame");
        assert_eq!(session.take_output(), ping);
    }
}
