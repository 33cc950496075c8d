//! The two ways to carry forwarded connections over a WebSocket: tunnelled SPDY, and numbered channels.

use std::collections::HashMap;
use std::time::Duration;

use axum::extract::ws::Message;
use bytes::Bytes;
use tokio::time::Instant;

use crate::apiserver::request::Params;
use crate::apiserver::websocket::into_message;
use crate::control::{Reason, Status};
use crate::streams::channel::NegotiationError;
use crate::streams::port_forward::{Forward, StreamPairs};
use crate::streams::portforward_channels::{self, PortChannels};
use crate::streams::spdy::{ResetStatus, Session, SessionEvent, StreamId};

/// The sub-protocol of kubectl: SPDY frames in binary messages.
const SPDY_TUNNEL: &str = "SPDY/3.1+portforward.k8s.io";
/// Maximum time for a client to open the second stream of a connection; kubelet's.
const PAIR_TIMEOUT: Duration = Duration::from_secs(30);

/// Names a forwarded connection within a session: the data stream, or the index of the port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(u32);

/// What a client asks for.
#[derive(Debug)]
pub enum ForwardEvent {
    /// A connection to a port of the pod.
    Open(ConnectionId, u16),
    /// Bytes for a connection.
    Data(ConnectionId, Bytes),
    /// The client sends no more on a connection.
    Finished(ConnectionId),
    /// The client drops a connection.
    Reset(ConnectionId),
}

/// The session is broken; the connection is closed.
#[derive(Debug, thiserror::Error)]
#[error("the client broke the protocol: {0}")]
pub struct FramingError(String);

/// The framing of a session.
pub enum Framing {
    /// kubectl's: any number of connections.
    Spdy(Box<SpdyFraming>),
    /// That of other clients: one connection for each port of the request.
    Channels(PortChannels),
}

/// State of tunnelled SPDY.
pub struct SpdyFraming {
    session: Session,
    pairs: StreamPairs<Instant>,
    /// Both streams of each connection, by its data stream.
    forwards: HashMap<ConnectionId, Forward>,
}

impl Framing {
    /// Negotiates the framing. Returns it with the name of its sub-protocol.
    ///
    /// # Errors
    ///
    /// `Forbidden` if no sub-protocol is known, `BadRequest` if the ports of the request are not valid.
    pub fn negotiate(offered: &[&str], params: &Params) -> Result<(Framing, &'static str), Status> {
        if offered.contains(&SPDY_TUNNEL) {
            let framing =
                SpdyFraming { session: Session::server(), pairs: StreamPairs::default(), forwards: HashMap::new() };
            return Ok((Framing::Spdy(Box::new(framing)), SPDY_TUNNEL));
        }
        let not_supported = |error: NegotiationError| Status::new(Reason::Forbidden, error.to_string());
        let protocol = portforward_channels::negotiate(offered).map_err(not_supported)?;
        let ports = portforward_channels::parse_ports(params.all("ports"));
        let ports = ports.map_err(|error| Status::new(Reason::BadRequest, error.to_string()))?;
        Ok((Framing::Channels(PortChannels::new(protocol, ports)), protocol.name()))
    }

    /// Returns the connections that the request itself opens, and the messages that announce them.
    pub fn open(&self) -> (Vec<ForwardEvent>, Vec<Message>) {
        match self {
            Framing::Spdy(_) => (Vec::new(), Vec::new()),
            Framing::Channels(channels) => {
                let ports = (0..).zip(channels.ports());
                let events = ports.map(|(index, port)| ForwardEvent::Open(ConnectionId(index), port.get()));
                (events.collect(), channels.opening().map(into_message).collect())
            }
        }
    }

    /// Returns whether clients can open connections beside those of the request.
    pub fn can_open(&self) -> bool {
        matches!(self, Framing::Spdy(_))
    }

    /// Returns whether clients can finish a connection and still receive. If not, it ends with what the pod sends, as in a
    /// kubelet.
    pub fn can_finish(&self) -> bool {
        matches!(self, Framing::Spdy(_))
    }

    /// Decodes a message of the client.
    ///
    /// # Errors
    ///
    /// A [`FramingError`] if the session cannot continue.
    pub fn receive(&mut self, data: Bytes) -> Result<Vec<ForwardEvent>, FramingError> {
        match self {
            Framing::Spdy(spdy) => spdy.receive(data),
            Framing::Channels(channels) => match channels.decode(data) {
                Ok(Some(data)) => {
                    let index = u32::try_from(data.index).unwrap_or(u32::MAX);
                    Ok(vec![ForwardEvent::Data(ConnectionId(index), data.bytes)])
                }
                Ok(None) => Ok(Vec::new()),
                Err(error) => {
                    tracing::debug!(%error, "ignoring a client's message");
                    Ok(Vec::new())
                }
            },
        }
    }

    /// Encodes bytes that the pod sent on a connection.
    pub fn encode_data(&mut self, id: ConnectionId, bytes: &[u8]) -> Option<Message> {
        match self {
            Framing::Spdy(spdy) => {
                let stream = spdy.forwards.get(&id)?.data;
                spdy.session.send_data(stream, bytes, false).ok()?;
                spdy.take_output()
            }
            Framing::Channels(channels) => Some(into_message(channels.encode_data(id.0 as usize, bytes))),
        }
    }

    /// Encodes the end of what the pod sends on a connection.
    pub fn encode_finished(&mut self, id: ConnectionId) -> Option<Message> {
        match self {
            Framing::Spdy(spdy) => {
                let forward = *spdy.forwards.get(&id)?;
                // A stream that the client has closed meanwhile needs no end.
                let _ = spdy.session.send_data(forward.data, &[], true);
                let _ = spdy.session.send_data(forward.error, &[], true);
                spdy.take_output()
            }
            // Channels have no end.
            Framing::Channels(_) => None,
        }
    }

    /// Encodes the failure of a connection, which ends it.
    pub fn encode_error(&mut self, id: ConnectionId, error: &str) -> Option<Message> {
        match self {
            Framing::Spdy(spdy) => {
                let forward = spdy.forwards.remove(&id)?;
                // A stream that the client has closed meanwhile needs no error.
                let _ = spdy.session.send_data(forward.error, error.as_bytes(), true);
                let _ = spdy.session.send_data(forward.data, &[], true);
                spdy.take_output()
            }
            Framing::Channels(channels) => Some(into_message(channels.encode_error(id.0 as usize, error))),
        }
    }

    /// Forgets a connection that has ended in both directions.
    pub fn forget(&mut self, id: ConnectionId) {
        if let Framing::Spdy(spdy) = self {
            spdy.forwards.remove(&id);
        }
    }

    /// Returns the next output of the framing itself, such as replies and pings.
    pub fn take_output(&mut self) -> Option<Message> {
        match self {
            Framing::Spdy(spdy) => spdy.take_output(),
            Framing::Channels(_) => None,
        }
    }
}

impl SpdyFraming {
    fn receive(&mut self, data: Bytes) -> Result<Vec<ForwardEvent>, FramingError> {
        let mut events = Vec::new();
        let received = self.session.receive(data, &mut events);
        let events = events.into_iter().filter_map(|event| self.apply(event)).collect();
        let now = Instant::now();
        self.pairs.expire(now).into_iter().for_each(|stream| self.session.reset(stream, ResetStatus::Cancel));
        received.map(|()| events).map_err(|error| FramingError(error.to_string()))
    }

    fn apply(&mut self, event: SessionEvent) -> Option<ForwardEvent> {
        match event {
            SessionEvent::StreamOpened { stream, headers, fin: _ } => {
                match self.pairs.add(stream, &headers, Instant::now() + PAIR_TIMEOUT) {
                    Ok(forward) => {
                        // Clients wait for the reply before they open the other stream.
                        self.session.reply(stream).ok()?;
                        let forward = forward?;
                        let id = connection_id(forward.data);
                        self.forwards.insert(id, forward);
                        Some(ForwardEvent::Open(id, forward.port.get()))
                    }
                    Err(error) => {
                        tracing::debug!(%error, "rejecting a stream");
                        self.session.reset(stream, ResetStatus::RefusedStream);
                        None
                    }
                }
            }
            SessionEvent::Data { stream, bytes, fin } => {
                let id = connection_id(stream);
                // The error streams carry nothing from clients.
                self.forwards.get(&id)?;
                if fin && bytes.is_empty() {
                    Some(ForwardEvent::Finished(id))
                } else {
                    Some(ForwardEvent::Data(id, bytes))
                }
            }
            SessionEvent::Reset { stream } => {
                self.pairs.remove(stream);
                let id = connection_id(stream);
                self.forwards.remove(&id).map(|_| ForwardEvent::Reset(id))
            }
            SessionEvent::GoAway => None,
        }
    }

    fn take_output(&mut self) -> Option<Message> {
        let output = self.session.take_output();
        (!output.is_empty()).then_some(Message::Binary(output))
    }
}

fn connection_id(data: StreamId) -> ConnectionId {
    ConnectionId(data.get())
}
