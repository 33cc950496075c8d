//! Port-forward over SPDY: pairs the error and data streams that belong together by their headers
//! (`k8s.io/kubelet/pkg/cri/streaming/portforward/httpstream.go`).

use std::collections::HashMap;
use std::num::NonZeroU16;

use super::port::{PortError, parse_port};
use super::spdy::{Headers, StreamId};

/// Maximum streams that wait for the other stream of their pair. kubectl opens the error streams of many connections
/// before their data streams.
pub const MAX_WAITING: usize = 1024;

/// Maximum length of a request's name. Clients count from 0.
const MAX_REQUEST_ID: usize = 64;

/// A connection to forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forward {
    /// The pod's port.
    pub port: NonZeroU16,
    /// The stream with the connection's bytes.
    pub data: StreamId,
    /// The stream for a message in case of an error.
    pub error: StreamId,
}

/// A stream is not valid for port-forward; the caller resets it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PairError {
    /// A header is missing.
    #[error("{0:?} header is required")]
    MissingHeader(&'static str),
    /// The port is not valid.
    #[error(transparent)]
    Port(#[from] PortError),
    /// The stream type is neither `error` nor `data`.
    #[error("invalid stream type {0:?}")]
    StreamType(String),
    /// The request has such a stream already.
    #[error("{0} stream already assigned")]
    Assigned(&'static str),
    /// The request's name is too long.
    #[error("request ID is longer than {MAX_REQUEST_ID} bytes")]
    RequestIdTooLong,
    /// Too many streams wait for the other stream of their pair.
    #[error("{MAX_WAITING} streams wait for the other stream of their request")]
    TooManyWaiting,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StreamType {
    Error,
    Data,
}

impl StreamType {
    fn parse(name: &str) -> Option<StreamType> {
        [StreamType::Error, StreamType::Data].into_iter().find(|kind| kind.name() == name)
    }

    fn name(self) -> &'static str {
        match self {
            StreamType::Error => "error",
            StreamType::Data => "data",
        }
    }
}

/// A stream that waits for the other one of its request.
#[derive(Debug)]
struct WaitingStream<T> {
    kind: StreamType,
    stream: StreamId,
    port: NonZeroU16,
    deadline: T,
}

/// The streams of a session whose requests are incomplete. `T` is a point in time of the caller's clock.
#[derive(Debug)]
pub struct StreamPairs<T> {
    waiting: HashMap<String, WaitingStream<T>>,
}

impl<T> Default for StreamPairs<T> {
    fn default() -> StreamPairs<T> {
        StreamPairs { waiting: HashMap::new() }
    }
}

impl<T: Copy + Ord> StreamPairs<T> {
    /// Adds a stream that the client opened. Returns the connection to forward if its pair is complete; if not, the
    /// stream waits until `deadline`.
    ///
    /// # Errors
    ///
    /// Fails if the stream is not valid, or too many are waiting. The caller resets the stream.
    pub fn add(&mut self, stream: StreamId, headers: &Headers, deadline: T) -> Result<Option<Forward>, PairError> {
        let value = |name: &str, shown| header(headers, name).ok_or(PairError::MissingHeader(shown));
        let port = value("port", "port")?;
        let port = parse_port(port, port)?;
        let kind = value("streamtype", "streamType")?;
        let kind = StreamType::parse(kind).ok_or_else(|| PairError::StreamType(kind.into()))?;
        let request = request_id(stream, kind, headers)?;
        self.pair(request, WaitingStream { kind, stream, port, deadline })
    }

    fn pair(&mut self, request: String, added: WaitingStream<T>) -> Result<Option<Forward>, PairError> {
        match self.waiting.get(&request).map(|other| other.kind) {
            Some(kind) if kind == added.kind => return Err(PairError::Assigned(kind.name())),
            None if self.waiting.len() >= MAX_WAITING => return Err(PairError::TooManyWaiting),
            Some(_) | None => {}
        }
        let Some(other) = self.waiting.remove(&request) else {
            self.waiting.insert(request, added);
            return Ok(None);
        };
        let (data, error) = match added.kind {
            StreamType::Data => (added, other),
            StreamType::Error => (other, added),
        };
        Ok(Some(Forward { port: data.port, data: data.stream, error: error.stream }))
    }

    /// Forgets a stream that was reset while it waited.
    pub fn remove(&mut self, stream: StreamId) {
        self.waiting.retain(|_, waiting| waiting.stream != stream);
    }

    /// Returns the earliest deadline of a waiting stream.
    pub fn next_deadline(&self) -> Option<T> {
        self.waiting.values().map(|waiting| waiting.deadline).min()
    }

    /// Forgets the streams whose deadline is reached and returns them, in order; the caller resets them.
    pub fn expire(&mut self, now: T) -> Vec<StreamId> {
        let expired = self.waiting.extract_if(|_, waiting| waiting.deadline <= now);
        let mut streams: Vec<StreamId> = expired.map(|(_, waiting)| waiting.stream).collect();
        streams.sort_unstable();
        streams
    }
}

/// Returns the value of a header, unless it is empty.
fn header<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    headers.get(name).filter(|value| !value.is_empty())
}

/// Returns the name of the request that a stream belongs to. Old clients send none: their data stream is opened directly
/// after the error stream, whose number becomes the name.
fn request_id(stream: StreamId, kind: StreamType, headers: &Headers) -> Result<String, PairError> {
    match (header(headers, "requestid"), kind) {
        (Some(id), _) if id.len() > MAX_REQUEST_ID => Err(PairError::RequestIdTooLong),
        (Some(id), _) => Ok(id.into()),
        (None, StreamType::Error) => Ok(stream.get().to_string()),
        (None, StreamType::Data) => Ok((i64::from(stream.get()) - 2).to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Pairs = StreamPairs<u32>;

    fn add(
        pairs: &mut Pairs,
        stream: u32,
        headers: &[(&str, &str)],
        deadline: u32,
    ) -> Result<Option<Forward>, PairError> {
        pairs.add(StreamId::from_wire(stream), &headers.iter().copied().collect(), deadline)
    }

    fn forward(port: u16, data: u32, error: u32) -> Option<Forward> {
        let port = NonZeroU16::new(port).expect("a port");
        Some(Forward { port, data: StreamId::from_wire(data), error: StreamId::from_wire(error) })
    }

    #[test]
    fn streams_of_a_request_are_paired_in_any_order() {
        let mut pairs = Pairs::default();
        let headers = |kind, port, id| [("streamtype", kind), ("port", port), ("requestid", id)];
        assert_eq!(add(&mut pairs, 1, &headers("error", "80", "0"), 9), Ok(None));
        assert_eq!(add(&mut pairs, 3, &headers("data", "443", "1"), 9), Ok(None));
        assert_eq!(add(&mut pairs, 5, &headers("error", "443", "1"), 9), Ok(forward(443, 3, 5)));
        assert_eq!(add(&mut pairs, 7, &headers("data", "80", "0"), 9), Ok(forward(80, 7, 1)));
        // The name is free again.
        assert_eq!(add(&mut pairs, 9, &headers("data", "80", "0"), 9), Ok(None));
    }

    #[test]
    fn streams_without_request_id_are_paired_by_number() {
        let mut pairs = Pairs::default();
        let headers = |kind| [("streamtype", kind), ("port", "80"), ("requestid", "")];
        assert_eq!(add(&mut pairs, 1, &headers("error"), 9), Ok(None));
        assert_eq!(add(&mut pairs, 3, &headers("data"), 9), Ok(forward(80, 3, 1)));
        assert_eq!(add(&mut pairs, 5, &headers("error")[..2], 9), Ok(None));
        assert_eq!(add(&mut pairs, 9, &headers("data")[..2], 9), Ok(None));
        assert_eq!(add(&mut pairs, 7, &headers("data")[..2], 9), Ok(forward(80, 7, 5)));
    }

    #[test]
    fn streams_with_invalid_headers_are_rejected() {
        let long = "x".repeat(MAX_REQUEST_ID + 1);
        for (headers, expected) in [
            (&[("streamtype", "data")][..], "\"port\" header is required"),
            (&[("port", "0")], "port \"0\" must be > 0"),
            (&[("port", "a")], "unable to parse \"a\" as a port: strconv.ParseUint: parsing \"a\": invalid syntax"),
            (&[("port", "80")], "\"streamType\" header is required"),
            (&[("port", "80"), ("streamtype", "stdin")], "invalid stream type \"stdin\""),
            (&[("port", "80"), ("streamtype", "data"), ("requestid", &long)], "request ID is longer than 64 bytes"),
        ] {
            let error = add(&mut Pairs::default(), 1, headers, 9).expect_err("not a valid stream");
            assert_eq!(error.to_string(), expected, "{headers:?}");
        }
    }

    #[test]
    fn second_stream_of_a_type_is_rejected() {
        let mut pairs = Pairs::default();
        let headers = |kind| [("streamtype", kind), ("port", "80"), ("requestid", "a")];
        assert_eq!(add(&mut pairs, 1, &headers("error"), 9), Ok(None));
        assert_eq!(add(&mut pairs, 3, &headers("error"), 9), Err(PairError::Assigned("error")));
        assert_eq!(add(&mut pairs, 5, &headers("data"), 9), Ok(forward(80, 5, 1)));
    }

    #[test]
    fn waiting_streams_are_bounded_and_expire() {
        let mut pairs = Pairs::default();
        let headers = [("streamtype", "error"), ("port", "80")];
        for (deadline, stream) in (1..).zip((1..).step_by(2)).take(MAX_WAITING) {
            assert_eq!(add(&mut pairs, stream, &headers, deadline), Ok(None));
        }
        assert_eq!(add(&mut pairs, 99_999, &headers, 9), Err(PairError::TooManyWaiting));
        assert_eq!(pairs.next_deadline(), Some(1));
        assert_eq!(pairs.expire(2), [1, 3].map(StreamId::from_wire));
        pairs.remove(StreamId::from_wire(5));
        assert_eq!(pairs.next_deadline(), Some(4));
    }
}
