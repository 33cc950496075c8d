//! Connections that wait for space in their listener's backlog.
//!
//! Accepting a connection moves the one that waits longest into the backlog. Closing the listener refuses all of them,
//! and dropping a [`Connecting`] gives up its place.

use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use tokio::sync::oneshot;

use super::NetError;
use super::pod::{Backlog, Connection, Port};

/// The maximum of connections that wait for space in one backlog; more are refused.
const MAX_CONNECTING: usize = 4096;

/// The server's end of a connection that waits for space in the backlog.
pub(super) struct WaitingConnection {
    server: Connection,
    /// Receives a message once `server` is in the backlog; closed if the client has given up.
    established: oneshot::Sender<()>,
}

/// A connection that is being established. As a future, it resolves to the client's end.
#[must_use = "a connection that is dropped is closed"]
pub struct Connecting {
    /// The client's end, until it is taken or refused.
    client: Option<Connection>,
    waiting: Option<Waiting>,
}

/// The place of a connection among those that wait.
struct Waiting {
    established: oneshot::Receiver<()>,
    port: Port,
}

impl Backlog {
    /// Lets `server` wait for space. Returns the receiver of the message that it is in the backlog.
    pub(super) fn add_connecting(&mut self, server: Connection) -> Result<oneshot::Receiver<()>, NetError> {
        if self.connecting.len() >= MAX_CONNECTING {
            return Err(NetError::ConnectionRefused);
        }
        let (established, receiver) = oneshot::channel();
        self.connecting.push_back(WaitingConnection { server, established });
        Ok(receiver)
    }

    /// Removes the connection to accept, and lets the one that waits longest take its place.
    pub(super) fn pop(&mut self) -> Option<Connection> {
        let accepted = self.queue.pop_front()?;
        while let Some(WaitingConnection { server, established }) = self.connecting.pop_front() {
            if established.send(()).is_ok() {
                self.queue.push_back(server);
                break;
            }
        }
        Some(accepted)
    }
}

impl Connecting {
    /// Returns a connection that is in the backlog.
    pub(super) fn established(client: Connection) -> Connecting {
        Connecting { client: Some(client), waiting: None }
    }

    /// Returns a connection to the listener of `port` that waits for the message on `established`.
    pub(super) fn waiting(client: Connection, established: oneshot::Receiver<()>, port: Port) -> Connecting {
        Connecting { client: Some(client), waiting: Some(Waiting { established, port }) }
    }

    /// Returns ready once [`Connecting::try_take`] has a result.
    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(waiting) = &mut self.waiting {
            if ready!(Pin::new(&mut waiting.established).poll(cx)).is_err() {
                self.client = None;
            }
            self.waiting = None;
        }
        Poll::Ready(())
    }

    /// Takes the established connection, or the error if its listener was closed; `None` while it waits.
    pub fn try_take(&mut self) -> Option<Result<Connection, NetError>> {
        match self.poll_ready(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(()) => Some(self.client.take().ok_or(NetError::ConnectionRefused)),
            Poll::Pending => None,
        }
    }
}

impl Future for Connecting {
    type Output = Result<Connection, NetError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        ready!(self.poll_ready(cx));
        Poll::Ready(self.client.take().ok_or(NetError::ConnectionRefused))
    }
}

impl Drop for Connecting {
    fn drop(&mut self) {
        let Some(Waiting { mut established, port }) = self.waiting.take() else { return };
        established.close();
        let mut backlog = port.lock();
        let index = backlog.connecting.iter().position(|waiting| waiting.established.is_closed());
        // Dropped after the lock is released.
        let removed = index.and_then(|index| backlog.connecting.remove(index));
        drop(backlog);
        drop(removed);
    }
}
