//! Messages on their way to the client of a port-forward session.

use std::collections::VecDeque;
use std::future::poll_fn;

use axum::extract::ws::{Message, WebSocket};
use futures_util::SinkExt;
use futures_util::stream::SplitSink;

/// Maximum number of messages that wait. The pod's bytes are read one message at a time, so that only a client that asks
/// for replies and does not read them gets there.
const MAX_MESSAGES: usize = 1024;

/// A queue before the sending half of a WebSocket.
pub struct Outbox {
    sink: SplitSink<WebSocket, Message>,
    messages: VecDeque<Message>,
    is_flushed: bool,
}

impl Outbox {
    pub fn new(sink: SplitSink<WebSocket, Message>) -> Outbox {
        Outbox { sink, messages: VecDeque::new(), is_flushed: true }
    }

    /// Appends messages.
    pub fn extend(&mut self, messages: impl IntoIterator<Item = Message>) {
        self.messages.extend(messages);
    }

    /// Returns whether so many messages wait that their cause should wait as well.
    pub fn is_full(&self) -> bool {
        self.messages.len() >= MAX_MESSAGES
    }

    /// Returns whether everything is on its way.
    pub fn is_written(&self) -> bool {
        self.messages.is_empty() && self.is_flushed
    }

    /// Returns the sink; everything must be written.
    pub fn into_sink(self) -> SplitSink<WebSocket, Message> {
        self.sink
    }

    /// Writes all messages. Returns `None` if the client is gone. Cancel-safe.
    pub async fn write(&mut self) -> Option<()> {
        while !self.messages.is_empty() {
            poll_fn(|cx| self.sink.poll_ready_unpin(cx)).await.ok()?;
            if let Some(message) = self.messages.pop_front() {
                self.is_flushed = false;
                self.sink.start_send_unpin(message).ok()?;
            }
        }
        poll_fn(|cx| self.sink.poll_flush_unpin(cx)).await.ok()?;
        self.is_flushed = true;
        Some(())
    }
}
