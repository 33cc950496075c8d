//! The connection of a port-forward session: copies between a WebSocket and connections in a pod's network.
//!
//! One task serves all connections of a session. Bytes for a pod that does not read wait in a bounded queue; once it is
//! full, the session reads no more from its client. While the client does not read, the session reads no more from the
//! pod, but still from the client, which may read only once it has sent everything.

mod connections;
mod framing;
mod outbox;

use std::collections::HashMap;
use std::future::pending;

use axum::extract::ws::{Message, WebSocket};
use bytes::Bytes;
use futures_util::StreamExt;

use super::websocket::{self, Activity, ping_times};
use crate::node::{PortForwardSession, SessionError};
use connections::{ConnectionEvent, Connections};

pub use framing::Framing;

use framing::{ConnectionId, ForwardEvent};
use outbox::Outbox;

/// Serves a port-forward session into pod `pod`.
pub async fn serve(
    socket: WebSocket,
    framing: Framing,
    pod: String,
    session: Result<PortForwardSession, SessionError>,
) {
    let (sink, mut stream) = socket.split();
    let outbox = Outbox::new(sink);
    let mut forwarder =
        Forwarder { outbox, framing, pod, session, connections: Connections::default(), ports: HashMap::new() };
    let activity = Activity::new();
    let mut pings = ping_times();
    let (events, opening) = forwarder.framing.open();
    forwarder.outbox.extend(opening);
    forwarder.apply_all(events);
    loop {
        let Forwarder { outbox, connections, session, framing, .. } = &mut forwarder;
        let (is_written, is_full) = (outbox.is_written(), outbox.is_full() || connections.is_full());
        if is_written && connections.is_empty() && !framing.can_open() {
            return websocket::close(forwarder.outbox.into_sink(), stream).await;
        }
        let is_open = tokio::select! {
            // What the pod has sent goes before its end.
            biased;
            message = stream.next(), if !is_full => match message {
                Some(Ok(message)) => {
                    activity.record();
                    forwarder.receive(message)
                }
                Some(Err(_)) | None => None,
            },
            written = outbox.write(), if !is_written => written,
            event = connections.next(is_written) => {
                activity.record();
                forwarder.forward(event);
                Some(())
            }
            _ = pings.tick() => match activity.is_idle() {
                true => None,
                false => {
                    forwarder.outbox.extend([Message::Ping(Bytes::new())]);
                    Some(())
                }
            },
            () = ended(session), if is_written => None,
        };
        if is_open.is_none() {
            // Dropping the connections closes them.
            return;
        }
    }
}

/// Waits for the end of a session's pod.
async fn ended(session: &Result<PortForwardSession, SessionError>) {
    match session {
        Ok(session) => session.ended().await,
        // The errors of a session that cannot start are reported for each connection.
        Err(_) => pending().await,
    }
}

/// A port-forward session.
struct Forwarder {
    outbox: Outbox,
    framing: Framing,
    pod: String,
    session: Result<PortForwardSession, SessionError>,
    connections: Connections,
    /// The port of each connection, for messages.
    ports: HashMap<ConnectionId, u16>,
}

impl Forwarder {
    /// Acts on a message of the client. Returns `None` once the client is gone or has broken the protocol.
    fn receive(&mut self, message: Message) -> Option<()> {
        let data = match message {
            Message::Binary(data) => data,
            Message::Text(text) => text.into(),
            Message::Close(_) => return None,
            Message::Ping(_) | Message::Pong(_) => return Some(()),
        };
        let received = self.framing.receive(data);
        self.outbox.extend(self.framing.take_output());
        match received {
            Ok(events) => {
                self.apply_all(events);
                Some(())
            }
            Err(error) => {
                tracing::debug!(%error, "closing a port-forward session");
                None
            }
        }
    }

    fn apply_all(&mut self, events: Vec<ForwardEvent>) {
        for event in events {
            match event {
                ForwardEvent::Open(id, port) => self.open(id, port),
                ForwardEvent::Data(id, bytes) => self.connections.send(id, bytes),
                ForwardEvent::Finished(id) => {
                    self.connections.finish(id);
                    self.forget_if_closed(id);
                }
                ForwardEvent::Reset(id) => {
                    self.connections.remove(id);
                    self.forget_if_closed(id);
                }
            }
        }
    }

    /// Forgets a connection that has ended in both directions.
    fn forget_if_closed(&mut self, id: ConnectionId) {
        if !self.connections.contains(id) {
            self.framing.forget(id);
            self.ports.remove(&id);
        }
    }

    /// Begins to connect to a port of the pod.
    fn open(&mut self, id: ConnectionId, port: u16) {
        self.ports.insert(id, port);
        match &self.session {
            Ok(session) => self.connections.add(id, session.connect(port)),
            Err(error) => {
                let error = error.to_string();
                self.refuse(id, &error);
            }
        }
    }

    /// Reports why a connection cannot be established.
    fn refuse(&mut self, id: ConnectionId, error: &str) {
        let port = self.ports.remove(&id).unwrap_or_default();
        let error = format!("error forwarding port {port} to pod {}: {error}", self.pod);
        self.outbox.extend(self.framing.encode_error(id, &error));
    }

    /// Passes on what happened to a connection.
    fn forward(&mut self, event: ConnectionEvent) {
        let message = match event {
            ConnectionEvent::Refused(id, error) => {
                return self.refuse(id, &format!("failed to connect inside the pod: {error}"));
            }
            ConnectionEvent::Data(id, bytes) => self.framing.encode_data(id, &bytes),
            ConnectionEvent::Finished(id) => {
                if !self.framing.can_finish() {
                    self.connections.finish(id);
                }
                let message = self.framing.encode_finished(id);
                self.forget_if_closed(id);
                message
            }
            ConnectionEvent::Written(id) => {
                self.forget_if_closed(id);
                None
            }
        };
        self.outbox.extend(message);
    }
}
