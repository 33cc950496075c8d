//! `wasi:sockets` 0.3 for TCP: async calls; accepted sockets and bytes are streams.

use std::iter;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use tokio::sync::oneshot;
use wasmtime::StoreContextMut;
use wasmtime::component::{
    Access, Accessor, Destination, FutureReader, Linker, Resource, Source, StreamConsumer, StreamProducer,
    StreamReader, StreamResult,
};
use wasmtime_wasi::p3::bindings::sockets::ip_name_lookup;
use wasmtime_wasi::p3::bindings::sockets::types::{
    self, Duration, ErrorCode, HostTcpSocket, HostTcpSocketWithStore, IpAddress, IpAddressFamily, IpSocketAddress,
    TcpSocket,
};
use wasmtime_wasi::p3::sockets::{SocketError, SocketResult};

use super::{HasSockets, Host, Socket, Sockets, TcpError, cast, cast_owned, options, sockets};
use crate::network::{Accepted, Listener, NetError, Receiver, Sender};

mod udp;

pub(super) fn add_to_linker(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    types::add_to_linker::<Host, HasSockets>(linker, sockets)?;
    ip_name_lookup::add_to_linker::<Host, HasSockets>(linker, sockets)
}

impl From<TcpError> for ErrorCode {
    fn from(error: TcpError) -> ErrorCode {
        match error {
            TcpError::Net(NetError::ConnectionRefused) => ErrorCode::ConnectionRefused,
            TcpError::Net(NetError::Unreachable) => ErrorCode::RemoteUnreachable,
            TcpError::Net(NetError::AddressInUse | NetError::NoFreePort) => ErrorCode::AddressInUse,
            TcpError::Net(NetError::AddressNotAvailable) => ErrorCode::AddressNotBindable,
            TcpError::Net(NetError::TooManySockets | NetError::NoFreeAddress) => ErrorCode::OutOfMemory,
            TcpError::State | TcpError::WouldBlock => ErrorCode::InvalidState,
            TcpError::Argument => ErrorCode::InvalidArgument,
        }
    }
}

impl From<TcpError> for SocketError {
    fn from(error: TcpError) -> SocketError {
        ErrorCode::from(error).into()
    }
}

/// A p3 socket and which of its streams the guest has taken.
struct P3Socket {
    socket: Socket,
    sending: bool,
    receiving: bool,
}

impl P3Socket {
    fn new(socket: Socket) -> P3Socket {
        P3Socket { socket, sending: false, receiving: false }
    }

    fn sender(&mut self) -> Result<Arc<Sender>, TcpError> {
        let sender = self.socket.connected()?.sender.clone();
        if std::mem::replace(&mut self.sending, true) { Err(TcpError::State) } else { Ok(sender) }
    }

    fn receiver(&mut self) -> Result<Arc<Receiver>, TcpError> {
        let receiver = self.socket.connected()?.receiver.clone();
        if std::mem::replace(&mut self.receiving, true) { Err(TcpError::State) } else { Ok(receiver) }
    }
}

impl Sockets<'_> {
    fn p3_socket(&mut self, handle: &Resource<TcpSocket>) -> SocketResult<&mut P3Socket> {
        self.table.get_mut(&cast(handle)).map_err(SocketError::trap)
    }
}

/// Bytes moved between guest and pipe at once.
const CHUNK: usize = 64 * 1024;

/// The guest's stream of accepted sockets.
struct Incoming(Listener);

impl StreamProducer<Host> for Incoming {
    type Item = Resource<TcpSocket>;
    type Buffer = Option<Self::Item>;

    fn poll_produce<'a>(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<'a, Host>,
        mut destination: Destination<'a, Self::Item, Self::Buffer>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        if self.0.poll_acceptable(cx).is_pending() {
            return if finish { Poll::Ready(Ok(StreamResult::Cancelled)) } else { Poll::Pending };
        }
        // A read of zero items asks whether an item is ready.
        if destination.remaining(&mut store) == Some(0) {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        let connection = match self.0.accept() {
            Accepted::Connection(connection) => *connection,
            // A terminating container sees no further connections.
            Accepted::Closed => return if finish { Poll::Ready(Ok(StreamResult::Cancelled)) } else { Poll::Pending },
            // Another stream of this listener took the connection.
            Accepted::Pending => {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        };
        let host = store.data_mut();
        let ipv6 = connection.local.is_ipv6();
        let (socket, _) = Socket::new(&host.endpoint, ipv6).accepted(connection);
        let accepted = host.table.push(P3Socket::new(socket))?;
        destination.set_buffer(Some(cast_owned(&accepted)));
        Poll::Ready(Ok(StreamResult::Completed))
    }
}

/// The guest's stream of received bytes.
struct Receiving {
    receiver: Arc<Receiver>,
    done: Option<oneshot::Sender<Result<(), ErrorCode>>>,
}

impl Drop for Receiving {
    fn drop(&mut self) {
        self.receiver.close();
        if let Some(done) = self.done.take() {
            let result = if self.receiver.is_reset() { Err(ErrorCode::ConnectionReset) } else { Ok(()) };
            // The guest may no longer wait for the result.
            let _ = done.send(result);
        }
    }
}

impl StreamProducer<Host> for Receiving {
    type Item = u8;
    type Buffer = BytesMut;

    fn poll_produce<'a>(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<'a, Host>,
        destination: Destination<'a, u8, BytesMut>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        if self.receiver.poll_readable(cx).is_pending() {
            return if finish { Poll::Ready(Ok(StreamResult::Cancelled)) } else { Poll::Pending };
        }
        if destination.remaining(&mut store) == Some(0) {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        let mut destination = destination.as_direct(store, CHUNK);
        let room = destination.remaining();
        let Some(bytes) = self.receiver.read(room.len()) else { return Poll::Ready(Ok(StreamResult::Dropped)) };
        let Some(room) = room.get_mut(..bytes.len()) else { return Poll::Ready(Ok(StreamResult::Dropped)) };
        room.copy_from_slice(&bytes);
        destination.mark_written(bytes.len());
        Poll::Ready(Ok(StreamResult::Completed))
    }
}

/// The guest's stream of bytes to send.
struct Sending {
    sender: Arc<Sender>,
    done: Option<oneshot::Sender<Result<(), ErrorCode>>>,
}

impl Sending {
    fn end(&mut self, result: Result<(), ErrorCode>) {
        self.sender.finish();
        if let Some(done) = self.done.take() {
            let _ = done.send(result);
        }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.end(Ok(()));
    }
}

impl StreamConsumer<Host> for Sending {
    type Item = u8;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        store: StoreContextMut<Host>,
        source: Source<u8>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        if self.sender.poll_writable(cx).is_pending() {
            return if finish { Poll::Ready(Ok(StreamResult::Cancelled)) } else { Poll::Pending };
        }
        let mut source = source.as_direct(store);
        let offered = source.remaining();
        if offered.is_empty() {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        let taken = self.sender.capacity().and_then(|room| offered.get(..room.min(offered.len()).min(CHUNK)));
        let sent = taken.map(|bytes| (bytes.len(), self.sender.send(Bytes::copy_from_slice(bytes))));
        match sent {
            Some((len, true)) => {
                source.mark_read(len);
                Poll::Ready(Ok(StreamResult::Completed))
            }
            Some((_, false)) | None => {
                self.end(Err(ErrorCode::ConnectionBroken));
                Poll::Ready(Ok(StreamResult::Dropped))
            }
        }
    }
}

impl HostTcpSocketWithStore<Host> for HasSockets {
    async fn connect(
        store: &Accessor<Host, Self>,
        handle: Resource<TcpSocket>,
        address: IpSocketAddress,
    ) -> SocketResult<()> {
        let peer = SocketAddr::from(address);
        let start = |mut store: Access<'_, Host, Self>| -> SocketResult<_> {
            Ok(store.get().p3_socket(&handle)?.socket.start_connect(peer)?)
        };
        let connecting = store.with(start)?;
        let connection = connecting.await.map_err(TcpError::from)?;
        store.with(|mut store| {
            store.get().p3_socket(&handle)?.socket.finish_connect(connection);
            Ok(())
        })
    }

    async fn listen(
        mut store: Access<'_, Host, Self>,
        handle: Resource<TcpSocket>,
    ) -> SocketResult<StreamReader<Resource<TcpSocket>>> {
        let listener = store.get().p3_socket(&handle)?.socket.listen()?;
        StreamReader::new(&mut store, Incoming(listener)).map_err(SocketError::trap)
    }

    fn send(
        mut store: Access<'_, Host, Self>,
        handle: Resource<TcpSocket>,
        mut data: StreamReader<u8>,
    ) -> wasmtime::Result<FutureReader<Result<(), ErrorCode>>> {
        let sender = store.get().table.get_mut(&cast::<_, P3Socket>(&handle))?.sender();
        match sender {
            Ok(sender) => {
                let (done, result) = oneshot::channel();
                data.pipe(&mut store, Sending { sender, done: Some(done) })?;
                FutureReader::new(&mut store, result)
            }
            Err(error) => {
                data.close(&mut store)?;
                FutureReader::new(&mut store, async move { wasmtime::error::Ok(Err(error.into())) })
            }
        }
    }

    fn receive(
        mut store: Access<'_, Host, Self>,
        handle: Resource<TcpSocket>,
    ) -> wasmtime::Result<(StreamReader<u8>, FutureReader<Result<(), ErrorCode>>)> {
        let receiver = store.get().table.get_mut(&cast::<_, P3Socket>(&handle))?.receiver();
        match receiver {
            Ok(receiver) => {
                let (done, result) = oneshot::channel();
                let stream = StreamReader::new(&mut store, Receiving { receiver, done: Some(done) })?;
                Ok((stream, FutureReader::new(&mut store, result)?))
            }
            Err(error) => {
                let stream = StreamReader::new(&mut store, iter::empty())?;
                let result = FutureReader::new(&mut store, async move { wasmtime::error::Ok(Err(error.into())) })?;
                Ok((stream, result))
            }
        }
    }
}

impl types::Host for Sockets<'_> {
    fn convert_error_code(&mut self, error: SocketError) -> wasmtime::Result<ErrorCode> {
        error.downcast()
    }
}

impl HostTcpSocket for Sockets<'_> {
    async fn bind(&mut self, handle: Resource<TcpSocket>, address: IpSocketAddress) -> SocketResult<()> {
        Ok(self.p3_socket(&handle)?.socket.bind(SocketAddr::from(address))?)
    }

    fn create(&mut self, family: IpAddressFamily) -> SocketResult<Resource<TcpSocket>> {
        let socket = Socket::new(self.endpoint, matches!(family, IpAddressFamily::Ipv6));
        let handle = self.table.push(P3Socket::new(socket)).map_err(SocketError::trap)?;
        Ok(cast_owned(&handle))
    }

    fn get_local_address(&mut self, handle: Resource<TcpSocket>) -> SocketResult<IpSocketAddress> {
        Ok(self.p3_socket(&handle)?.socket.local()?.into())
    }

    fn get_remote_address(&mut self, handle: Resource<TcpSocket>) -> SocketResult<IpSocketAddress> {
        Ok(self.p3_socket(&handle)?.socket.connected()?.peer.into())
    }

    fn get_is_listening(&mut self, handle: Resource<TcpSocket>) -> wasmtime::Result<bool> {
        Ok(self.table.get(&cast::<_, P3Socket>(&handle))?.socket.is_listening())
    }

    fn get_address_family(&mut self, handle: Resource<TcpSocket>) -> wasmtime::Result<IpAddressFamily> {
        let ipv6 = self.table.get(&cast::<_, P3Socket>(&handle))?.socket.ipv6;
        Ok(if ipv6 { IpAddressFamily::Ipv6 } else { IpAddressFamily::Ipv4 })
    }

    fn set_listen_backlog_size(&mut self, handle: Resource<TcpSocket>, value: u64) -> SocketResult<()> {
        Ok(self.p3_socket(&handle)?.socket.set_backlog(value)?)
    }

    fn get_keep_alive_enabled(&mut self, _: Resource<TcpSocket>) -> SocketResult<bool> {
        Ok(false)
    }

    fn set_keep_alive_enabled(&mut self, _: Resource<TcpSocket>, _: bool) -> SocketResult<()> {
        Ok(())
    }

    fn get_keep_alive_idle_time(&mut self, _: Resource<TcpSocket>) -> SocketResult<Duration> {
        Ok(options::KEEP_ALIVE_IDLE_NS)
    }

    fn set_keep_alive_idle_time(&mut self, _: Resource<TcpSocket>, value: Duration) -> SocketResult<()> {
        above_zero(value)
    }

    fn get_keep_alive_interval(&mut self, _: Resource<TcpSocket>) -> SocketResult<Duration> {
        Ok(options::KEEP_ALIVE_INTERVAL_NS)
    }

    fn set_keep_alive_interval(&mut self, _: Resource<TcpSocket>, value: Duration) -> SocketResult<()> {
        above_zero(value)
    }

    fn get_keep_alive_count(&mut self, _: Resource<TcpSocket>) -> SocketResult<u32> {
        Ok(options::KEEP_ALIVE_COUNT)
    }

    fn set_keep_alive_count(&mut self, _: Resource<TcpSocket>, value: u32) -> SocketResult<()> {
        above_zero(value.into())
    }

    fn get_hop_limit(&mut self, _: Resource<TcpSocket>) -> SocketResult<u8> {
        Ok(options::HOP_LIMIT)
    }

    fn set_hop_limit(&mut self, _: Resource<TcpSocket>, value: u8) -> SocketResult<()> {
        above_zero(value.into())
    }

    fn get_receive_buffer_size(&mut self, _: Resource<TcpSocket>) -> SocketResult<u64> {
        Ok(options::BUFFER)
    }

    fn set_receive_buffer_size(&mut self, _: Resource<TcpSocket>, value: u64) -> SocketResult<()> {
        above_zero(value)
    }

    fn get_send_buffer_size(&mut self, _: Resource<TcpSocket>) -> SocketResult<u64> {
        Ok(options::BUFFER)
    }

    fn set_send_buffer_size(&mut self, _: Resource<TcpSocket>, value: u64) -> SocketResult<()> {
        above_zero(value)
    }

    fn drop(&mut self, handle: Resource<TcpSocket>) -> wasmtime::Result<()> {
        self.table.delete(Resource::<P3Socket>::new_own(handle.rep()))?;
        Ok(())
    }
}

fn above_zero(value: u64) -> SocketResult<()> {
    if value == 0 { Err(ErrorCode::InvalidArgument.into()) } else { Ok(()) }
}

impl ip_name_lookup::Host for Sockets<'_> {}

impl ip_name_lookup::HostWithStore<Host> for HasSockets {
    async fn resolve_addresses(
        store: &Accessor<Host, Self>,
        name: String,
    ) -> wasmtime::Result<Result<Vec<IpAddress>, ip_name_lookup::ErrorCode>> {
        let found = store.with(|mut store| store.get().endpoint.network().resolve(&name));
        if found.is_empty() {
            return Ok(Err(ip_name_lookup::ErrorCode::NameUnresolvable));
        }
        let address = |ip: IpAddr| IpAddress::from(ip);
        Ok(Ok(found.into_iter().map(address).collect()))
    }
}
