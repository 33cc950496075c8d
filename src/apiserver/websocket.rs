//! WebSocket connections: upgrade, sub-protocols, and when one counts as idle.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::time::{Instant, Interval, timeout};

use super::auth::BEARER_PROTOCOL;
use crate::control::{Reason, Status};
use crate::streams::message::ChannelMessage;

/// Maximum length in bytes of a client's message; kubectl sends at most 32 KiB at once.
const MAX_MESSAGE: usize = 1024 * 1024;
/// Interval of pings, which keep proxies from closing a silent connection.
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// Maximum time without a message in either direction; kubelet's `streamingConnectionIdleTimeout`.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4 * 60 * 60);
/// Maximum time for a client to close after the server did.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Returns the sub-protocols that a client offers, without the one that carries its token.
pub fn offered_protocols(headers: &HeaderMap) -> Vec<&str> {
    let lists = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    let names = lists.flat_map(|list| list.split(',')).map(str::trim);
    names.filter(|name| !name.is_empty() && !name.starts_with(BEARER_PROTOCOL)).collect()
}

/// Returns the WebSocket upgrade of a request.
///
/// # Errors
///
/// `BadRequest` if the request asks for none, or for SPDY.
pub async fn upgrade(parts: &mut Parts) -> Result<WebSocketUpgrade, Status> {
    let is_spdy = parts.headers.get(header::UPGRADE).is_some_and(|upgrade| upgrade.as_bytes().starts_with(b"SPDY"));
    let upgrade = WebSocketUpgrade::from_request_parts(parts, &()).await.map_err(|rejection| {
        let message = match is_spdy {
            true => "SPDY is not supported; use WebSocket, as kubectl 1.31 and later do".to_string(),
            false => format!("Upgrade request required: {rejection}"),
        };
        Status::new(Reason::BadRequest, message)
    })?;
    Ok(upgrade.max_message_size(MAX_MESSAGE).max_frame_size(MAX_MESSAGE))
}

/// Returns the WebSocket message of a channel message.
pub fn into_message(message: ChannelMessage) -> Message {
    match message {
        ChannelMessage::Binary(bytes) => Message::Binary(bytes),
        ChannelMessage::Text(text) => Message::Text(text.into()),
    }
}

/// Closes a connection, and waits a while for the client to close it as well: one that is dropped with unread input is
/// reset, and the client may miss the end.
pub async fn close(mut sink: SplitSink<WebSocket, Message>, mut stream: SplitStream<WebSocket>) {
    let close = CloseFrame { code: close_code::NORMAL, reason: "".into() };
    if sink.send(Message::Close(Some(close))).await.is_ok() {
        let _ = timeout(CLOSE_TIMEOUT, async { while let Some(Ok(_)) = stream.next().await {} }).await;
    }
}

/// Returns the times to ping the client. The first is an interval away: even a tick that is due waits for the next
/// millisecond.
pub fn ping_times() -> Interval {
    tokio::time::interval_at(Instant::now() + PING_INTERVAL, PING_INTERVAL)
}

/// When a connection was last used.
pub struct Activity {
    start: Instant,
    /// Milliseconds after `start`.
    last: AtomicU64,
}

impl Activity {
    /// Returns the activity of a connection that begins now.
    pub fn new() -> Activity {
        Activity { start: Instant::now(), last: AtomicU64::new(0) }
    }

    /// Records that the connection is used now.
    pub fn record(&self) {
        let elapsed = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(elapsed, Ordering::Relaxed);
    }

    /// Returns whether the connection was not used for [`IDLE_TIMEOUT`].
    pub fn is_idle(&self) -> bool {
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
        self.start.elapsed().saturating_sub(last) >= IDLE_TIMEOUT
    }
}
