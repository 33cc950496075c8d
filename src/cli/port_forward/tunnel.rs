//! One forwarded connection, in a WebSocket of its own that carries two SPDY streams: data and errors.
//!
//! Of the API's two protocols for port-forward, only SPDY passes on that one side sends no more. With a session per
//! connection, a connection whose client does not read delays no other.

use std::cell::RefCell;
use std::future::Future;

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};

use crate::cli::client::{Client, WebSocket, WebSocketReceiver, WebSocketSender};
use crate::cli::exit::RequestFailed;
use crate::streams::spdy::client::{ClientEvent, ClientSession};
use crate::streams::spdy::{Headers, StreamId};

const PROTOCOL: &str = "SPDY/3.1+portforward.k8s.io";

/// Maximum bytes that are read from a connection at once.
const MAX_READ: usize = 32 * 1024;

/// Opens a session without connections. The returned future waits for its end, which is that of the pod or its server.
///
/// # Errors
///
/// Fails if the pod does not run or the server cannot be reached.
pub async fn lost_connection(client: &Client, pod: &str) -> anyhow::Result<impl Future<Output = ()> + use<>> {
    let WebSocket { sender, mut receiver } = client.websocket(&path(client, pod), PROTOCOL).await?;
    Ok(async move {
        while let Ok(Some(_)) = receiver.next().await {}
        drop(sender);
    })
}

fn path(client: &Client, pod: &str) -> String {
    format!("{}/portforward", client.pods_path(Some(pod)))
}

/// Forwards `connection` to a port of pod `pod` until both sides have finished.
///
/// # Errors
///
/// Fails if the pod does not accept the connection or the server is lost.
pub async fn forward(client: &Client, pod: &str, port: u16, mut connection: TcpStream) -> anyhow::Result<()> {
    let WebSocket { mut sender, mut receiver } = client.websocket(&path(client, pod), PROTOCOL).await?;
    let mut session = ClientSession::new()?;
    let port = port.to_string();
    let headers =
        |kind| -> Headers { [("streamtype", kind), ("port", port.as_str()), ("requestid", "0")].into_iter().collect() };
    let error_stream = session.open(&headers("error"), true)?;
    let data_stream = session.open(&headers("data"), false)?;
    sender.send(session.take_output()).await;
    let session = RefCell::new(session);
    let _ = connection.set_nodelay(true);
    let (reader, writer) = connection.split();
    let upload = Upload { session: &session, stream: data_stream, sender: &mut sender, reader };
    let download =
        Download { session: &session, data_stream, error_stream, receiver: &mut receiver, writer, error: Vec::new() };
    tokio::try_join!(upload.run(), download.run())?;
    sender.close().await;
    Ok(())
}

/// What the local client sends.
struct Upload<'t> {
    session: &'t RefCell<ClientSession>,
    stream: StreamId,
    sender: &'t mut WebSocketSender,
    reader: ReadHalf<'t>,
}

impl Upload<'_> {
    async fn run(mut self) -> anyhow::Result<()> {
        let mut buffer = vec![0; MAX_READ];
        loop {
            let length = self.reader.read(&mut buffer).await.context("the client has reset the connection")?;
            let message = {
                let mut session = self.session.borrow_mut();
                session.send_data(self.stream, buffer.get(..length).unwrap_or_default(), length == 0);
                session.take_output()
            };
            // The receiving half reports why the server is gone.
            if !self.sender.send(message).await || length == 0 {
                return Ok(());
            }
        }
    }
}

/// What the pod sends.
struct Download<'t> {
    session: &'t RefCell<ClientSession>,
    data_stream: StreamId,
    error_stream: StreamId,
    receiver: &'t mut WebSocketReceiver,
    writer: WriteHalf<'t>,
    /// What arrived on the error stream.
    error: Vec<u8>,
}

impl Download<'_> {
    async fn run(mut self) -> anyhow::Result<()> {
        let mut events = Vec::new();
        while let Some(message) = self.receiver.next().await? {
            let received = self.session.borrow_mut().receive(message, &mut events);
            received.map_err(|error| RequestFailed(format!("the server broke the protocol: {error}")))?;
            for event in events.drain(..) {
                if self.apply(event).await? {
                    return Ok(());
                }
            }
        }
        Err(RequestFailed("the server closed the connection".into()).into())
    }

    /// Acts on an event. Returns whether the pod sends no more.
    async fn apply(&mut self, event: ClientEvent) -> anyhow::Result<bool> {
        match event {
            ClientEvent::Data { stream, bytes, fin } if stream == self.error_stream => {
                self.error.extend_from_slice(&bytes);
                match fin && !self.error.is_empty() {
                    true => Err(RequestFailed(String::from_utf8_lossy(&self.error).into_owned()).into()),
                    false => Ok(false),
                }
            }
            ClientEvent::Data { stream, bytes, fin } if stream == self.data_stream => {
                self.writer.write_all(&bytes).await.context("the client has closed the connection")?;
                if fin {
                    // A client that is gone needs no end.
                    let _ = self.writer.shutdown().await;
                }
                Ok(fin)
            }
            ClientEvent::Data { .. } => Ok(false),
            ClientEvent::Reset { .. } => Err(RequestFailed("the pod has reset the connection".into()).into()),
        }
    }
}
