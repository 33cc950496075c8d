//! Copies bytes between a connection of the host and one of a pod, in both directions.
//!
//! Either side may finish its direction and still receive the other one. A reset of one side resets the other. A side
//! that reads slowly slows the other one down, since little is buffered beyond the pod's pipes.

use std::future::poll_fn;
use std::io;

use bytes::{BufMut, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};

use crate::network::{Connection, Receiver, Sender};

/// The maximum of bytes that are read at once.
const MAX_CHUNK: usize = 64 * 1024;
/// The size of a connection's first buffer. Most requests are small, and an idle connection keeps its buffer.
const MIN_CHUNK: usize = 8 * 1024;
/// The smallest space for which a buffer is still used; less is left to a new buffer.
const MIN_SPACE: usize = 2 * 1024;

/// How a relayed connection ended without an error.
enum Ending {
    /// Both directions are finished.
    Finished,
    /// The program closed the connection before it read everything, and has sent nothing.
    Unread,
}

/// Relays until both directions are finished, one side is reset, or the pod has closed both directions.
pub(super) async fn relay(mut host: TcpStream, pod: Connection) {
    // Only latency suffers if it fails.
    let _ = host.set_nodelay(true);
    let (receiver, sender) = pod.split();
    let (read, write) = host.split();
    match copy_both(read, write, &receiver, &sender).await {
        Ok(Ending::Finished) => {}
        // As on Linux. After a response, a reset could destroy the response on its way to the client.
        Ok(Ending::Unread) => reset(&host),
        Err(error) => {
            tracing::debug!(%error, "the client of a published port reset its connection");
            sender.reset();
        }
    }
}

/// Copies both directions at once. Fails if the client resets the connection.
async fn copy_both(
    read: ReadHalf<'_>,
    write: WriteHalf<'_>,
    receiver: &Receiver,
    sender: &Sender,
) -> io::Result<Ending> {
    let (to_pod, to_host) = (copy_to_pod(read, sender), copy_to_host(receiver, sender, write));
    tokio::pin!(to_pod, to_host);
    tokio::select! {
        uploaded = &mut to_pod => {
            uploaded?;
            to_host.await
        }
        downloaded = &mut to_host => {
            let ending = downloaded?;
            tokio::select! {
                uploaded = to_pod => uploaded?,
                // The program has closed the connection: bytes that still arrive have no reader.
                () = poll_fn(|cx| sender.poll_closed(cx)) => {}
            }
            Ok(ending)
        }
    }
}

/// Makes the connection end with a reset when it is dropped.
pub(super) fn reset(host: &TcpStream) {
    // Without the option, it ends in the regular way.
    let _ = host.set_zero_linger();
}

/// Copies what the client sends until it finishes. What the pod no longer reads is discarded.
async fn copy_to_pod(mut host: ReadHalf<'_>, sender: &Sender) -> io::Result<()> {
    let (mut buffer, mut chunk) = (BytesMut::new(), MIN_CHUNK);
    loop {
        poll_fn(|cx| sender.poll_writable(cx)).await;
        let max = sender.capacity().unwrap_or(MAX_CHUNK);
        if buffer.capacity() < MIN_SPACE {
            buffer.reserve(chunk);
        }
        if host.read_buf(&mut (&mut buffer).limit(max)).await? == 0 {
            sender.finish();
            return Ok(());
        }
        if buffer.len() == buffer.capacity() {
            chunk = (chunk * 2).min(MAX_CHUNK);
        }
        sender.send(buffer.split().freeze());
    }
}

/// Copies what the pod sends until it finishes.
async fn copy_to_host(receiver: &Receiver, sender: &Sender, mut host: WriteHalf<'_>) -> io::Result<Ending> {
    let mut has_sent = false;
    loop {
        poll_fn(|cx| receiver.poll_readable(cx)).await;
        let Some(bytes) = receiver.read(MAX_CHUNK) else { break };
        has_sent |= !bytes.is_empty();
        host.write_all(&bytes).await?;
    }
    if !has_sent && sender.has_unread() {
        return Ok(Ending::Unread);
    }
    host.shutdown().await?;
    Ok(Ending::Finished)
}
