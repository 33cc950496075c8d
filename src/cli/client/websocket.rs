//! The client's side of WebSockets, over the client's own connections.

use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper::{Method, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_util::task::AbortOnDropHandle;

use super::{Client, JSON, StreamingResponse, UPGRADE_TIMEOUT, connection_lost};
use crate::cli::exit::RequestFailed;

/// Maximum length of a message of the server, which sends at most 32 KiB at once.
const MAX_MESSAGE: usize = 1024 * 1024;

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// A WebSocket. Dropping it closes the connection.
pub struct WebSocket {
    /// The sending half.
    pub sender: WebSocketSender,
    /// The receiving half.
    pub receiver: WebSocketReceiver,
}

/// The sending half of a [`WebSocket`].
pub struct WebSocketSender(SplitSink<Socket, Message>);

/// The receiving half of a [`WebSocket`].
pub struct WebSocketReceiver {
    stream: SplitStream<Socket>,
    _connection: AbortOnDropHandle<()>,
}

impl Client {
    /// Opens a WebSocket that speaks `protocol`.
    ///
    /// # Errors
    ///
    /// Fails with the server's message if the server responds otherwise than by an upgrade to this protocol.
    pub async fn websocket(&self, path: &str, protocol: &'static str) -> anyhow::Result<WebSocket> {
        let mut request = self.request(Method::GET, path, JSON)?;
        let key = generate_key();
        let expected_accept = derive_accept_key(key.as_bytes());
        let headers = request.headers_mut();
        headers.insert(header::CONNECTION, header::HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, header::HeaderValue::from_static("websocket"));
        headers.insert(header::SEC_WEBSOCKET_VERSION, header::HeaderValue::from_static("13"));
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, header::HeaderValue::from_static(protocol));
        headers.insert(header::SEC_WEBSOCKET_KEY, header::HeaderValue::from_str(&key)?);
        let (response, connection) = self.send(request, UPGRADE_TIMEOUT).await?;
        let code = response.status();
        if code != StatusCode::SWITCHING_PROTOCOLS {
            let response = StreamingResponse { body: response.into_body(), _connection: connection };
            return Err(self.rejection(code, &response.read(&self.server).await.unwrap_or_default()));
        }
        let has = |name, expected: &str| response.headers().get(name).is_some_and(|value| value == expected);
        if !has(header::SEC_WEBSOCKET_ACCEPT, &expected_accept) || !has(header::SEC_WEBSOCKET_PROTOCOL, protocol) {
            let message = format!("{} does not speak the WebSocket protocol {protocol}", self.server.name());
            return Err(RequestFailed(message).into());
        }
        let upgraded = hyper::upgrade::on(response).await.map_err(|error| self.server.unreachable(&error))?;
        let config = WebSocketConfig::default().max_message_size(Some(MAX_MESSAGE)).max_frame_size(Some(MAX_MESSAGE));
        let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Client, Some(config)).await;
        let (sink, stream) = socket.split();
        let receiver = WebSocketReceiver { stream, _connection: connection };
        Ok(WebSocket { sender: WebSocketSender(sink), receiver })
    }
}

impl WebSocketSender {
    /// Sends a binary message. Returns whether the connection is open.
    pub async fn send(&mut self, message: Bytes) -> bool {
        self.0.send(Message::Binary(message)).await.is_ok()
    }

    /// Closes the connection.
    pub async fn close(&mut self) {
        // The server may have closed it already.
        let _ = self.0.close().await;
    }
}

impl WebSocketReceiver {
    /// Returns the next message, or `None` once the server has closed the connection. Answers pings meanwhile.
    /// Cancel-safe.
    ///
    /// # Errors
    ///
    /// Fails if the connection is lost.
    pub async fn next(&mut self) -> anyhow::Result<Option<Bytes>> {
        while let Some(message) = self.stream.next().await {
            match message.map_err(|error| connection_lost(&error))? {
                Message::Binary(bytes) => return Ok(Some(bytes)),
                Message::Text(text) => return Ok(Some(text.into())),
                Message::Close(_) => return Ok(None),
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            }
        }
        Ok(None)
    }
}
