//! The connection of a port-forward session: copies between a WebSocket and connections in a pod's network.
//!
//! One task serves all connections of a session. Bytes for a pod that does not read wait in a bounded queue; once it is
//! full, the session reads no more from its client.

mod connections;
mod framing;

use std::collections::HashMap;

use axum::extract::ws::{Message, WebSocket};
use bytes::Bytes;
use futures_util::stream::SplitSink;
use futures_util::{SinkExt, StreamExt};

use super::websocket::{Activity, PING_INTERVAL};
use crate::node::{PortForwardSession, SessionError};
use connections::{ConnectionEvent, Connections};

pub use framing::Framing;

use framing::{ConnectionId, ForwardEvent};

/// Serves a port-forward session into pod `pod`.
pub async fn serve(
    socket: WebSocket,
    framing: Framing,
    pod: String,
    session: Result<PortForwardSession, SessionError>,
) {
    let (sink, mut stream) = socket.split();
    let mut forwarder =
        Forwarder { sink, framing, pod, session, connections: Connections::default(), ports: HashMap::new() };
    let activity = Activity::new();
    let mut pings = tokio::time::interval(PING_INTERVAL);
    let (events, opening) = forwarder.framing.open();
    if forwarder.send_all(opening).await.is_none() || forwarder.apply_all(events).await.is_none() {
        return;
    }
    loop {
        let is_open = tokio::select! {
            message = stream.next(), if !forwarder.connections.is_full() => match message {
                Some(Ok(message)) => {
                    activity.record();
                    forwarder.receive(message).await
                }
                Some(Err(_)) | None => None,
            },
            event = forwarder.connections.next() => {
                activity.record();
                forwarder.forward(event).await
            }
            _ = pings.tick() => match activity.is_idle() {
                true => None,
                false => forwarder.send(Message::Ping(Bytes::new())).await,
            },
        };
        if is_open.is_none() {
            // Dropping the connections closes them.
            return;
        }
    }
}

/// A port-forward session. Its methods return `None` once the client is gone or has broken the protocol.
struct Forwarder {
    sink: SplitSink<WebSocket, Message>,
    framing: Framing,
    pod: String,
    session: Result<PortForwardSession, SessionError>,
    connections: Connections,
    /// The port of each connection, for messages.
    ports: HashMap<ConnectionId, u16>,
}

impl Forwarder {
    async fn send(&mut self, message: Message) -> Option<()> {
        self.sink.send(message).await.ok()
    }

    async fn send_all(&mut self, messages: impl IntoIterator<Item = Message>) -> Option<()> {
        for message in messages {
            self.send(message).await?;
        }
        Some(())
    }

    /// Acts on a message of the client.
    async fn receive(&mut self, message: Message) -> Option<()> {
        let data = match message {
            Message::Binary(data) => data,
            Message::Text(text) => text.into(),
            Message::Close(_) => return None,
            Message::Ping(_) | Message::Pong(_) => return Some(()),
        };
        let received = self.framing.receive(data);
        let replies = self.framing.take_output();
        self.send_all(replies).await?;
        match received {
            Ok(events) => self.apply_all(events).await,
            Err(error) => {
                tracing::debug!(%error, "closing a port-forward session");
                None
            }
        }
    }

    async fn apply_all(&mut self, events: Vec<ForwardEvent>) -> Option<()> {
        for event in events {
            match event {
                ForwardEvent::Open(id, port) => self.open(id, port).await?,
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
        Some(())
    }

    /// Forgets a connection that has ended in both directions.
    fn forget_if_closed(&mut self, id: ConnectionId) {
        if !self.connections.contains(id) {
            self.framing.forget(id);
            self.ports.remove(&id);
        }
    }

    /// Begins to connect to a port of the pod.
    async fn open(&mut self, id: ConnectionId, port: u16) -> Option<()> {
        self.ports.insert(id, port);
        match &self.session {
            Ok(session) => {
                self.connections.add(id, session.connect(port));
                Some(())
            }
            Err(error) => {
                let error = error.to_string();
                self.refuse(id, &error).await
            }
        }
    }

    /// Reports why a connection cannot be established.
    async fn refuse(&mut self, id: ConnectionId, error: &str) -> Option<()> {
        let port = self.ports.remove(&id).unwrap_or_default();
        let error = format!("error forwarding port {port} to pod {}: {error}", self.pod);
        let message = self.framing.encode_error(id, &error);
        self.send_all(message).await
    }

    /// Passes on what happened to a connection.
    async fn forward(&mut self, event: ConnectionEvent) -> Option<()> {
        let message = match event {
            ConnectionEvent::Refused(id, error) => {
                let error = format!("failed to connect inside the pod: {error}");
                return self.refuse(id, &error).await;
            }
            ConnectionEvent::Data(id, bytes) => self.framing.encode_data(id, &bytes),
            ConnectionEvent::Finished(id) => {
                let message = self.framing.encode_finished(id);
                self.forget_if_closed(id);
                message
            }
            ConnectionEvent::Written(id) => {
                self.forget_if_closed(id);
                None
            }
        };
        self.send_all(message).await
    }
}
