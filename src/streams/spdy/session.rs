//! The server's side of a session: the states of its streams.

use std::collections::HashMap;
use std::fmt;

use bytes::{Bytes, BytesMut};

use super::frame::{FLAG_FIN, FLAG_UNIDIRECTIONAL, Frame, FrameReader};
use super::header_block::{HeaderCompressor, HeaderDecompressor, Headers};
use super::{ResetStatus, SpdyError, StreamId, write};

/// Maximum streams that are open at once. A port-forward has two per connection.
pub const MAX_STREAMS: usize = 2048;

/// Maximum bytes of a data frame that the session sends, so that a long one does not delay other streams.
pub const MAX_DATA_FRAME: usize = 32 * 1024;

const GOAWAY_OK: u32 = 0;
const GOAWAY_PROTOCOL_ERROR: u32 = 1;

/// News from the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionEvent {
    /// The client opens a stream. The caller answers with [`Session::reply`] or [`Session::reset`].
    StreamOpened {
        /// The stream.
        stream: StreamId,
        /// Its headers.
        headers: Headers,
        /// Whether the client sends no data.
        fin: bool,
    },
    /// The client sends data.
    Data {
        /// The stream.
        stream: StreamId,
        /// The data; empty only with `fin`.
        bytes: Bytes,
        /// Whether the client sends no more.
        fin: bool,
    },
    /// The stream is closed in both directions at once, by the client or because the client broke the protocol.
    Reset {
        /// The stream.
        stream: StreamId,
    },
    /// The client opens no more streams. Open ones go on.
    GoAway,
}

/// A stream cannot be written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// The stream was never opened, was reset, or is closed in both directions.
    #[error("stream {0} is not open")]
    NotOpen(StreamId),
    /// The server has finished its direction of the stream.
    #[error("stream {0} is finished")]
    Finished(StreamId),
    /// The headers of the reply cannot be compressed.
    #[error("cannot compress the reply to stream {0}")]
    Compression(StreamId),
}

/// The server's direction of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SendState {
    /// SYN_REPLY is not sent; clients ignore data before it.
    Unreplied,
    Open,
    Finished,
}

/// The client's direction of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReceiveState {
    Open,
    Finished,
}

#[derive(Debug)]
struct StreamState {
    sending: SendState,
    receiving: ReceiveState,
}

#[derive(Debug, Clone, Copy)]
enum SessionStage {
    Open,
    /// GOAWAY is sent: new streams are ignored.
    GoingAway,
    Failed(SpdyError),
}

/// The server's side of a session.
///
/// The caller passes in what it reads from the connection ([`receive`](Self::receive)), acts on the events, and writes
/// what the session queues ([`take_output`](Self::take_output)). `receive` queues at most two bytes per byte of input.
pub struct Session {
    reader: FrameReader,
    decompressor: HeaderDecompressor,
    /// Created with the first reply, since it is large.
    compressor: Option<HeaderCompressor>,
    streams: HashMap<StreamId, StreamState>,
    last_stream: u32,
    stage: SessionStage,
    output: BytesMut,
}

impl Session {
    /// Returns the server's side of a new session.
    pub fn server() -> Session {
        Session {
            reader: FrameReader::new(),
            decompressor: HeaderDecompressor::new(),
            compressor: None,
            streams: HashMap::new(),
            last_stream: 0,
            stage: SessionStage::Open,
            output: BytesMut::new(),
        }
    }

    /// Reads bytes from the client, which may end anywhere in a frame, and appends what happened to `events`. Data share
    /// the memory of the input.
    ///
    /// # Errors
    ///
    /// Fails if the session cannot go on. A GOAWAY is queued then; the caller writes it and closes the connection. Later
    /// calls return the same error.
    pub fn receive(&mut self, input: impl Into<Bytes>, events: &mut Vec<SessionEvent>) -> Result<(), SpdyError> {
        if let SessionStage::Failed(error) = self.stage {
            return Err(error);
        }
        let mut input = input.into();
        let result = self.receive_frames(&mut input, events);
        if let Err(error) = result {
            self.stage = SessionStage::Failed(error);
            self.streams.clear();
            write::goaway(&mut self.output, self.last_stream, GOAWAY_PROTOCOL_ERROR);
        }
        result
    }

    fn receive_frames(&mut self, input: &mut Bytes, events: &mut Vec<SessionEvent>) -> Result<(), SpdyError> {
        while let Some(frame) = self.reader.next(input)? {
            self.receive_frame(frame, events)?;
        }
        Ok(())
    }

    fn receive_frame(&mut self, frame: Frame, events: &mut Vec<SessionEvent>) -> Result<(), SpdyError> {
        match frame {
            Frame::SynStream { stream, flags, block } => {
                // Also of streams that are refused: the next block continues this one.
                let headers = self.decompressor.read(&block)?;
                match headers.ok().map(|headers| (self.refusal(stream), headers)) {
                    Some((None, headers)) => self.open(stream, headers, flags, events),
                    Some((Some(status), _)) => self.refuse(stream, status, events),
                    None => self.refuse(stream, ResetStatus::ProtocolError, events),
                }
            }
            Frame::Headers { stream, flags, block } => {
                // More headers after the first have no meaning in Kubernetes' protocols.
                if self.decompressor.read(&block)?.is_err() {
                    self.refuse(stream, ResetStatus::ProtocolError, events);
                } else if flags & FLAG_FIN != 0 {
                    self.receive_data(stream, Bytes::new(), true, events);
                }
            }
            // The server opens no streams, so that this is an answer to nothing; spdystream ignores it as well.
            Frame::SynReply { block, .. } => self.decompressor.read(&block).map(drop)?,
            Frame::RstStream { stream, .. } => {
                let removed = self.streams.remove(&stream);
                events.extend(removed.map(|_| SessionEvent::Reset { stream }));
            }
            // Odd ones are the client's; even ones answer pings, which this session never sends.
            Frame::Ping { id } if id % 2 == 1 => write::ping(&mut self.output, id),
            Frame::Ping { .. } => {}
            Frame::GoAway { .. } => events.push(SessionEvent::GoAway),
            Frame::Data { stream, bytes, fin } => self.receive_data(stream, bytes, fin, events),
        }
        Ok(())
    }

    /// Returns why a new stream is refused, if it is.
    fn refusal(&self, stream: StreamId) -> Option<ResetStatus> {
        // The protocol wants the session to end if a number is too low. spdystream resets the stream instead, since old
        // clients send SYN_STREAMs out of order if they open streams concurrently, and the others should go on.
        if !is_clients(stream) || stream.get() <= self.last_stream {
            Some(ResetStatus::ProtocolError)
        } else if self.streams.len() >= MAX_STREAMS {
            Some(ResetStatus::RefusedStream)
        } else {
            None
        }
    }

    fn open(&mut self, stream: StreamId, headers: Headers, flags: u8, events: &mut Vec<SessionEvent>) {
        if matches!(self.stage, SessionStage::GoingAway) {
            return;
        }
        self.last_stream = stream.get();
        let fin = flags & FLAG_FIN != 0;
        let sending = if flags & FLAG_UNIDIRECTIONAL != 0 { SendState::Finished } else { SendState::Unreplied };
        let receiving = if fin { ReceiveState::Finished } else { ReceiveState::Open };
        self.streams.insert(stream, StreamState { sending, receiving });
        self.remove_if_closed(stream);
        events.push(SessionEvent::StreamOpened { stream, headers, fin });
    }

    /// Resets a stream because of a frame from the client.
    fn refuse(&mut self, stream: StreamId, status: ResetStatus, events: &mut Vec<SessionEvent>) {
        if is_clients(stream) {
            self.last_stream = self.last_stream.max(stream.get());
        }
        write::rst_stream(&mut self.output, stream, status);
        events.extend(self.streams.remove(&stream).map(|_| SessionEvent::Reset { stream }));
    }

    fn receive_data(&mut self, stream: StreamId, bytes: Bytes, fin: bool, events: &mut Vec<SessionEvent>) {
        match self.streams.get_mut(&stream) {
            Some(StreamState { receiving: ReceiveState::Finished, .. }) => {
                self.refuse(stream, ResetStatus::StreamAlreadyClosed, events);
            }
            Some(state) => {
                if fin {
                    state.receiving = ReceiveState::Finished;
                    self.remove_if_closed(stream);
                }
                if fin || !bytes.is_empty() {
                    events.push(SessionEvent::Data { stream, bytes, fin });
                }
            }
            // The stream was never opened. Counts as opened now, so that only the first piece is answered.
            None if is_clients(stream)
                && stream.get() > self.last_stream
                && matches!(self.stage, SessionStage::Open) =>
            {
                self.refuse(stream, ResetStatus::InvalidStream, events);
            }
            // Was sent before the client learnt that the stream is closed or ignored. Others are ignored as by spdystream.
            None => {}
        }
    }

    fn remove_if_closed(&mut self, stream: StreamId) {
        let is_closed =
            |state: &StreamState| state.sending == SendState::Finished && state.receiving == ReceiveState::Finished;
        if self.streams.get(&stream).is_some_and(is_closed) {
            self.streams.remove(&stream);
        }
    }

    /// Accepts a stream: queues its SYN_REPLY, for which clients wait. Does nothing if it is accepted already.
    ///
    /// # Errors
    ///
    /// Fails if the stream is not open, or finished in this direction.
    pub fn reply(&mut self, stream: StreamId) -> Result<(), StreamError> {
        let state = self.streams.get_mut(&stream).ok_or(StreamError::NotOpen(stream))?;
        match state.sending {
            SendState::Open => return Ok(()),
            SendState::Finished => return Err(StreamError::Finished(stream)),
            SendState::Unreplied => state.sending = SendState::Open,
        }
        if self.compressor.is_none() {
            self.compressor = HeaderCompressor::new().ok();
        }
        let compressor = self.compressor.as_mut().ok_or(StreamError::Compression(stream))?;
        let block = compressor.write(&Headers::default()).map_err(|_| StreamError::Compression(stream))?;
        write::syn_reply(&mut self.output, stream, &block);
        Ok(())
    }

    /// Queues data, in frames of at most [`MAX_DATA_FRAME`]; with `fin`, nothing can be sent afterwards. Accepts the
    /// stream first if it is not accepted yet.
    ///
    /// # Errors
    ///
    /// Fails if the stream is not open, or finished in this direction.
    pub fn send_data(&mut self, stream: StreamId, mut bytes: &[u8], fin: bool) -> Result<(), StreamError> {
        self.reply(stream)?;
        while let Some((frame, rest)) = bytes.split_at_checked(MAX_DATA_FRAME).filter(|(_, rest)| !rest.is_empty()) {
            write::data(&mut self.output, stream, frame, false);
            bytes = rest;
        }
        if fin || !bytes.is_empty() {
            write::data(&mut self.output, stream, bytes, fin);
        }
        if fin && let Some(state) = self.streams.get_mut(&stream) {
            state.sending = SendState::Finished;
            self.remove_if_closed(stream);
        }
        Ok(())
    }

    /// Closes a stream in both directions. Does nothing if it is not open.
    pub fn reset(&mut self, stream: StreamId, status: ResetStatus) {
        if self.streams.remove(&stream).is_some() {
            write::rst_stream(&mut self.output, stream, status);
        }
    }

    /// Queues a GOAWAY. Streams that the client opens afterwards are ignored; open ones go on.
    pub fn go_away(&mut self) {
        if matches!(self.stage, SessionStage::Open) {
            self.stage = SessionStage::GoingAway;
            write::goaway(&mut self.output, self.last_stream, GOAWAY_OK);
        }
    }

    /// Returns what is to be written to the client, and forgets it.
    pub fn take_output(&mut self) -> Bytes {
        self.output.split().freeze()
    }

    /// Returns how many bytes wait for [`take_output`](Self::take_output); a caller sends no more data if they are many.
    pub fn output_len(&self) -> usize {
        self.output.len()
    }

    /// Returns the number of streams that are open in at least one direction.
    pub fn open_streams(&self) -> usize {
        self.streams.len()
    }
}

/// Returns whether the stream is one that the client may open.
fn is_clients(stream: StreamId) -> bool {
    !stream.get().is_multiple_of(2)
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("streams", &self.streams).field("stage", &self.stage).finish_non_exhaustive()
    }
}
