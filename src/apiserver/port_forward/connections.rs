//! The connections of a port-forward session in its pod's network.

use std::collections::{HashMap, VecDeque};
use std::future::{Future, pending, poll_fn};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;

use super::framing::ConnectionId;
use crate::network::{Connection, NetError, Receiver, Sender};

/// Maximum number of bytes that wait for pods that do not read, over all connections of a session.
const MAX_QUEUED: usize = 1024 * 1024;
/// Maximum number of bytes that are read from a connection at once.
const MAX_READ: usize = 32 * 1024;

/// What happened to a connection.
pub enum ConnectionEvent {
    /// The pod refused it.
    Refused(ConnectionId, NetError),
    /// The pod sent bytes.
    Data(ConnectionId, Bytes),
    /// The pod sends no more.
    Finished(ConnectionId),
    /// The pod took queued bytes.
    Written(ConnectionId),
}

/// What a future of [`Connections`] has waited for.
enum Ready {
    /// The connection.
    Connected(ConnectionId, Result<Connection, NetError>),
    /// Bytes of the pod, or `None` at the end.
    Read(ConnectionId, Arc<Receiver>, Option<Bytes>),
    /// Room for queued bytes.
    Writable(ConnectionId),
}

/// The open connections of a session.
#[derive(Default)]
pub struct Connections {
    open: HashMap<ConnectionId, OpenConnection>,
    /// Connections to be established, and room for queued bytes.
    waits: FuturesUnordered<BoxFuture<'static, Ready>>,
    /// Bytes of pods.
    reads: FuturesUnordered<BoxFuture<'static, Ready>>,
    queued: usize,
}

#[derive(Default)]
struct OpenConnection {
    /// Both ends; `None` until the pod has accepted.
    ends: Option<Ends>,
    /// Bytes for which the pod has no room.
    queue: VecDeque<Bytes>,
    /// Whether the client sends no more.
    client_finished: bool,
    /// Whether the pod sends no more.
    pod_finished: bool,
}

/// The ends of a connection in the pod's network.
#[derive(Clone)]
struct Ends {
    sender: Arc<Sender>,
    receiver: Arc<Receiver>,
}

impl OpenConnection {
    fn is_closed(&self) -> bool {
        self.pod_finished && self.client_finished && self.queue.is_empty()
    }

    /// Sends queued bytes as far as there is room. Returns how many.
    fn flush(&mut self) -> usize {
        let Some(Ends { sender, .. }) = &self.ends else { return 0 };
        let mut flushed = 0;
        while let Some(first) = self.queue.front_mut() {
            let part = match sender.capacity() {
                Some(0) => break,
                Some(capacity) if capacity < first.len() => first.split_to(capacity),
                // Bytes for a pod that reads no more are dropped.
                Some(_) | None => self.queue.pop_front().unwrap_or_default(),
            };
            flushed += part.len();
            sender.send(part);
        }
        if self.queue.is_empty() && self.client_finished {
            sender.finish();
        }
        flushed
    }
}

impl Connections {
    /// Adds a connection that `connect` establishes.
    pub fn add(
        &mut self,
        id: ConnectionId,
        connect: impl Future<Output = Result<Connection, NetError>> + Send + 'static,
    ) {
        self.open.insert(id, OpenConnection::default());
        self.waits.push(Box::pin(async move { Ready::Connected(id, connect.await) }));
    }

    /// Returns whether so many bytes wait that no more should be sent.
    pub fn is_full(&self) -> bool {
        self.queued >= MAX_QUEUED
    }

    /// Sends bytes to the pod, or queues them.
    pub fn send(&mut self, id: ConnectionId, bytes: Bytes) {
        let Some(connection) = self.open.get_mut(&id) else { return };
        let was_waiting = !connection.queue.is_empty();
        self.queued += bytes.len();
        connection.queue.push_back(bytes);
        if !was_waiting {
            self.flush(id);
        }
    }

    /// Sends queued bytes, and waits for room for the rest.
    fn flush(&mut self, id: ConnectionId) {
        let Some(connection) = self.open.get_mut(&id) else { return };
        self.queued -= connection.flush();
        if let Some(ends) = connection.ends.clone().filter(|_| !connection.queue.is_empty()) {
            self.waits.push(wait_for_room(id, ends.sender));
        }
        self.remove_if_closed(id);
    }

    /// Ends what the client sends on a connection.
    pub fn finish(&mut self, id: ConnectionId) {
        if let Some(connection) = self.open.get_mut(&id) {
            connection.client_finished = true;
            // Queued bytes are flushed, and then the end, once there is room.
            if connection.queue.is_empty() {
                self.flush(id);
            }
        }
    }

    fn remove_if_closed(&mut self, id: ConnectionId) {
        if self.open.get(&id).is_some_and(OpenConnection::is_closed) {
            self.remove(id);
        }
    }

    /// Returns whether a connection is open in any direction.
    pub fn contains(&self, id: ConnectionId) -> bool {
        self.open.contains_key(&id)
    }

    /// Returns whether no connection is open.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Closes a connection in both directions.
    pub fn remove(&mut self, id: ConnectionId) {
        if let Some(connection) = self.open.remove(&id) {
            self.queued -= connection.queue.iter().map(Bytes::len).sum::<usize>();
            if let Some(Ends { sender, receiver }) = connection.ends {
                receiver.close();
                sender.finish();
            }
        }
    }

    /// Waits for the next event; for ever if there are no connections. Without `reads`, pods' bytes stay where they are,
    /// while those of the client go on to the pods. Cancel-safe.
    pub async fn next(&mut self, reads: bool) -> ConnectionEvent {
        loop {
            let ready = tokio::select! {
                Some(ready) = self.waits.next() => ready,
                Some(ready) = self.reads.next(), if reads => ready,
                else => pending().await,
            };
            if let Some(event) = self.apply(ready) {
                return event;
            }
        }
    }

    fn apply(&mut self, ready: Ready) -> Option<ConnectionEvent> {
        match ready {
            Ready::Connected(id, Ok(connection)) => {
                // A connection that was removed meanwhile is dropped here.
                let open = self.open.get_mut(&id)?;
                let (receiver, sender) = connection.split();
                let ends = Ends { sender: Arc::new(sender), receiver: Arc::new(receiver) };
                self.reads.push(wait_for_bytes(id, ends.receiver.clone()));
                open.ends = Some(ends);
                self.flush(id);
                None
            }
            Ready::Connected(id, Err(error)) => {
                self.remove(id);
                Some(ConnectionEvent::Refused(id, error))
            }
            Ready::Read(id, receiver, Some(bytes)) => {
                self.open.get(&id)?;
                self.reads.push(wait_for_bytes(id, receiver));
                Some(ConnectionEvent::Data(id, bytes))
            }
            Ready::Read(id, _, None) => {
                let connection = self.open.get_mut(&id)?;
                connection.pod_finished = true;
                self.remove_if_closed(id);
                Some(ConnectionEvent::Finished(id))
            }
            Ready::Writable(id) => {
                self.flush(id);
                Some(ConnectionEvent::Written(id))
            }
        }
    }
}

fn wait_for_bytes(id: ConnectionId, receiver: Arc<Receiver>) -> BoxFuture<'static, Ready> {
    Box::pin(async move {
        loop {
            poll_fn(|cx| receiver.poll_readable(cx)).await;
            match receiver.read(MAX_READ) {
                Some(bytes) if bytes.is_empty() => {}
                bytes => return Ready::Read(id, receiver, bytes),
            }
        }
    })
}

fn wait_for_room(id: ConnectionId, sender: Arc<Sender>) -> BoxFuture<'static, Ready> {
    Box::pin(async move {
        poll_fn(|cx| sender.poll_writable(cx)).await;
        Ready::Writable(id)
    })
}
