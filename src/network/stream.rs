//! A connection as an asynchronous byte stream, for the host's own clients.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::pod::{Connection, PodNetwork};
use super::{Connecting, NetError, Receiver, Sender};

/// A connection with tokio's stream traits. Dropping it closes both directions.
pub struct ConnectionStream {
    receiver: Receiver,
    sender: Sender,
}

impl From<Connection> for ConnectionStream {
    fn from(connection: Connection) -> ConnectionStream {
        let (receiver, sender) = connection.split();
        ConnectionStream { receiver, sender }
    }
}

impl PodNetwork {
    /// Connects to the pod from its node, at the pod's address. From there, loopback is the node's own, where nothing
    /// listens. A connection to a full backlog waits; dropping the future gives up its place.
    pub async fn dial(&self, peer: SocketAddr) -> Result<Connection, NetError> {
        self.connect(self.node_address_for(peer)?, peer)?.await
    }

    /// Connects to `peer` from inside the pod, from where loopback is the pod's own. A connection to a full backlog waits.
    pub fn connect_from_inside(&self, peer: SocketAddr) -> Result<Connecting, NetError> {
        self.connect(self.local_address_for(peer.ip())?, peer)
    }

    /// Checks whether [`PodNetwork::dial`] would connect without waiting: connects and closes.
    pub fn dial_and_close(&self, peer: SocketAddr) -> Result<(), NetError> {
        self.connect_and_close(self.node_address_for(peer)?, peer)
    }

    fn node_address_for(&self, peer: SocketAddr) -> Result<SocketAddr, NetError> {
        let ip = peer.ip();
        if ip.is_loopback() || ip.is_unspecified() {
            return Err(NetError::ConnectionRefused);
        }
        self.local_address_for(ip)
    }
}

impl AsyncRead for ConnectionStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(self.receiver.poll_readable(cx));
        match self.receiver.read(buffer.remaining()) {
            Some(bytes) => buffer.put_slice(&bytes),
            None if self.receiver.is_reset() => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            None => {}
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ConnectionStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.sender.poll_writable(cx));
        let capacity = self.sender.capacity().ok_or(io::ErrorKind::BrokenPipe)?;
        let part = bytes.get(..capacity).unwrap_or(bytes);
        if !self.sender.send(Bytes::copy_from_slice(part)) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        Poll::Ready(Ok(part.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.sender.finish();
        Poll::Ready(Ok(()))
    }
}
