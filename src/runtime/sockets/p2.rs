//! `wasi:sockets` 0.2: start and finish calls, streams and pollables.

use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::p2::bindings::sockets::network::{
    self, ErrorCode, IpAddress, IpAddressFamily, IpSocketAddress, Network,
};
use wasmtime_wasi::p2::bindings::sockets::{ip_name_lookup, tcp, tcp_create_socket};
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, DynPollable, InputStream, OutputStream, Pollable, SocketError, SocketResult,
    StreamError, StreamResult, subscribe,
};

use super::{
    ConnectedStreams, Connecting, HasSockets, Host, Socket, SocketState, Sockets, TcpError, cast, cast_owned, options,
    sockets,
};
use crate::network::{NetError, Receiver, Sender};

type Upstream = tcp::TcpSocket;
type Lookup = ip_name_lookup::ResolveAddressStream;

pub(super) fn add_to_linker(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    tcp::add_to_linker::<Host, HasSockets>(linker, sockets)?;
    tcp_create_socket::add_to_linker::<Host, HasSockets>(linker, sockets)?;
    ip_name_lookup::add_to_linker::<Host, HasSockets>(linker, sockets)
}

impl From<TcpError> for SocketError {
    fn from(error: TcpError) -> SocketError {
        let code = match error {
            TcpError::Net(NetError::ConnectionRefused) => ErrorCode::ConnectionRefused,
            TcpError::Net(NetError::Unreachable) => ErrorCode::RemoteUnreachable,
            TcpError::Net(NetError::AddressInUse | NetError::NoFreePort) => ErrorCode::AddressInUse,
            TcpError::Net(NetError::AddressNotAvailable) => ErrorCode::AddressNotBindable,
            TcpError::Net(NetError::TooManySockets | NetError::NoFreeAddress) => ErrorCode::NewSocketLimit,
            TcpError::State => ErrorCode::InvalidState,
            TcpError::Argument => ErrorCode::InvalidArgument,
            TcpError::WouldBlock => ErrorCode::WouldBlock,
        };
        code.into()
    }
}

/// A p2 socket and its call that was started and not finished.
struct P2Socket {
    socket: Socket,
    pending: Option<PendingCall>,
}

enum PendingCall {
    Bind,
    Listen,
    Connect(Result<Connecting, TcpError>),
}

#[wasmtime_wasi::async_trait]
impl Pollable for P2Socket {
    async fn ready(&mut self) {
        match (&self.socket.state, &mut self.pending) {
            (SocketState::Listening(listener), None) => poll_fn(|cx| listener.poll_acceptable(cx)).await,
            (_, Some(PendingCall::Connect(Ok(connecting)))) => poll_fn(|cx| connecting.poll_ready(cx)).await,
            _ => {}
        }
    }
}

struct SocketInput(Arc<Receiver>);
struct SocketOutput(Arc<Sender>);

#[wasmtime_wasi::async_trait]
impl Pollable for SocketInput {
    async fn ready(&mut self) {
        poll_fn(|cx| self.0.poll_readable(cx)).await;
    }
}

impl InputStream for SocketInput {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        match self.0.read(size) {
            Some(bytes) => Ok(bytes),
            None if self.0.is_reset() => {
                let error = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
                Err(StreamError::LastOperationFailed(error.into()))
            }
            None => Err(StreamError::Closed),
        }
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for SocketOutput {
    async fn ready(&mut self) {
        poll_fn(|cx| self.0.poll_writable(cx)).await;
    }
}

impl OutputStream for SocketOutput {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if self.0.send(bytes) { Ok(()) } else { Err(StreamError::Closed) }
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.0.capacity().ok_or(StreamError::Closed)
    }
}

type Streams = (Resource<DynInputStream>, Resource<DynOutputStream>);

impl Sockets<'_> {
    fn p2_socket(&mut self, handle: &Resource<Upstream>) -> SocketResult<&mut P2Socket> {
        Ok(self.table.get_mut(&cast(handle))?)
    }

    fn socket(&mut self, handle: &Resource<Upstream>) -> SocketResult<&mut Socket> {
        Ok(&mut self.p2_socket(handle)?.socket)
    }

    fn streams(&mut self, streams: ConnectedStreams, parent: &Resource<P2Socket>) -> SocketResult<Streams> {
        let input: DynInputStream = Box::new(SocketInput(streams.receiver));
        let output: DynOutputStream = Box::new(SocketOutput(streams.sender));
        Ok((self.table.push_child(input, parent)?, self.table.push_child(output, parent)?))
    }
}

impl tcp_create_socket::Host for Sockets<'_> {
    fn create_tcp_socket(&mut self, family: IpAddressFamily) -> SocketResult<Resource<Upstream>> {
        let socket = Socket::new(self.endpoint, matches!(family, IpAddressFamily::Ipv6));
        let handle = self.table.push(P2Socket { socket, pending: None })?;
        Ok(cast_owned(&handle))
    }
}

impl tcp::Host for Sockets<'_> {}

impl network::Host for Sockets<'_> {
    fn convert_error_code(&mut self, error: SocketError) -> wasmtime::Result<ErrorCode> {
        error.downcast()
    }

    fn network_error_code(&mut self, error: Resource<wasmtime::Error>) -> wasmtime::Result<Option<ErrorCode>> {
        // These streams fail only by being reset.
        let is_reset = self.table.get(&error)?.is::<std::io::Error>();
        Ok(is_reset.then_some(ErrorCode::ConnectionReset))
    }
}

impl network::HostNetwork for Sockets<'_> {
    fn drop(&mut self, network: Resource<Network>) -> wasmtime::Result<()> {
        self.table.delete(network)?;
        Ok(())
    }
}

impl tcp::HostTcpSocket for Sockets<'_> {
    async fn start_bind(
        &mut self,
        handle: Resource<Upstream>,
        _network: Resource<Network>,
        address: IpSocketAddress,
    ) -> SocketResult<()> {
        let p2 = self.p2_socket(&handle)?;
        p2.socket.bind(SocketAddr::from(address))?;
        p2.pending = Some(PendingCall::Bind);
        Ok(())
    }

    fn finish_bind(&mut self, handle: Resource<Upstream>) -> SocketResult<()> {
        match self.p2_socket(&handle)?.pending.take() {
            Some(PendingCall::Bind) => Ok(()),
            _ => Err(ErrorCode::NotInProgress.into()),
        }
    }

    fn start_connect(
        &mut self,
        handle: Resource<Upstream>,
        _network: Resource<Network>,
        address: IpSocketAddress,
    ) -> SocketResult<()> {
        let p2 = self.p2_socket(&handle)?;
        let peer = SocketAddr::from(address);
        p2.socket.check_connect(peer)?;
        p2.pending = Some(PendingCall::Connect(p2.socket.start_connect(peer)));
        Ok(())
    }

    fn finish_connect(&mut self, handle: Resource<Upstream>) -> SocketResult<Streams> {
        let p2 = self.p2_socket(&handle)?;
        let mut connecting = match p2.pending.take() {
            Some(PendingCall::Connect(connecting)) => connecting?,
            _ => return Err(ErrorCode::NotInProgress.into()),
        };
        let Some(result) = connecting.try_take() else {
            p2.pending = Some(PendingCall::Connect(Ok(connecting)));
            return Err(ErrorCode::WouldBlock.into());
        };
        let streams = p2.socket.finish_connect(result.map_err(TcpError::from)?);
        self.streams(streams, &cast(&handle))
    }

    async fn start_listen(&mut self, handle: Resource<Upstream>) -> SocketResult<()> {
        let p2 = self.p2_socket(&handle)?;
        if !matches!(p2.socket.state, SocketState::Bound(_)) {
            return Err(ErrorCode::InvalidState.into());
        }
        p2.socket.listen()?;
        p2.pending = Some(PendingCall::Listen);
        Ok(())
    }

    fn finish_listen(&mut self, handle: Resource<Upstream>) -> SocketResult<()> {
        match self.p2_socket(&handle)?.pending.take() {
            Some(PendingCall::Listen) => Ok(()),
            _ => Err(ErrorCode::NotInProgress.into()),
        }
    }

    fn accept(
        &mut self,
        handle: Resource<Upstream>,
    ) -> SocketResult<(Resource<Upstream>, Resource<DynInputStream>, Resource<DynOutputStream>)> {
        let (socket, streams) = self.socket(&handle)?.accept()?;
        let accepted = self.table.push(P2Socket { socket, pending: None })?;
        let (input, output) = self.streams(streams, &accepted)?;
        Ok((cast_owned(&accepted), input, output))
    }

    fn local_address(&mut self, handle: Resource<Upstream>) -> SocketResult<IpSocketAddress> {
        Ok(self.socket(&handle)?.local()?.into())
    }

    fn remote_address(&mut self, handle: Resource<Upstream>) -> SocketResult<IpSocketAddress> {
        Ok(self.socket(&handle)?.connected()?.peer.into())
    }

    fn is_listening(&mut self, handle: Resource<Upstream>) -> wasmtime::Result<bool> {
        Ok(self.table.get(&cast::<_, P2Socket>(&handle))?.socket.is_listening())
    }

    fn address_family(&mut self, handle: Resource<Upstream>) -> wasmtime::Result<IpAddressFamily> {
        let ipv6 = self.table.get(&cast::<_, P2Socket>(&handle))?.socket.ipv6;
        Ok(if ipv6 { IpAddressFamily::Ipv6 } else { IpAddressFamily::Ipv4 })
    }

    fn set_listen_backlog_size(&mut self, handle: Resource<Upstream>, value: u64) -> SocketResult<()> {
        Ok(self.socket(&handle)?.set_backlog(value)?)
    }

    fn keep_alive_enabled(&mut self, _: Resource<Upstream>) -> SocketResult<bool> {
        Ok(false)
    }

    fn set_keep_alive_enabled(&mut self, _: Resource<Upstream>, _: bool) -> SocketResult<()> {
        Ok(())
    }

    fn keep_alive_idle_time(&mut self, _: Resource<Upstream>) -> SocketResult<u64> {
        Ok(options::KEEP_ALIVE_IDLE_NS)
    }

    fn set_keep_alive_idle_time(&mut self, _: Resource<Upstream>, value: u64) -> SocketResult<()> {
        above_zero(value)
    }

    fn keep_alive_interval(&mut self, _: Resource<Upstream>) -> SocketResult<u64> {
        Ok(options::KEEP_ALIVE_INTERVAL_NS)
    }

    fn set_keep_alive_interval(&mut self, _: Resource<Upstream>, value: u64) -> SocketResult<()> {
        above_zero(value)
    }

    fn keep_alive_count(&mut self, _: Resource<Upstream>) -> SocketResult<u32> {
        Ok(options::KEEP_ALIVE_COUNT)
    }

    fn set_keep_alive_count(&mut self, _: Resource<Upstream>, value: u32) -> SocketResult<()> {
        above_zero(value.into())
    }

    fn hop_limit(&mut self, _: Resource<Upstream>) -> SocketResult<u8> {
        Ok(options::HOP_LIMIT)
    }

    fn set_hop_limit(&mut self, _: Resource<Upstream>, value: u8) -> SocketResult<()> {
        above_zero(value.into())
    }

    fn receive_buffer_size(&mut self, _: Resource<Upstream>) -> SocketResult<u64> {
        Ok(options::BUFFER)
    }

    fn set_receive_buffer_size(&mut self, _: Resource<Upstream>, value: u64) -> SocketResult<()> {
        above_zero(value)
    }

    fn send_buffer_size(&mut self, _: Resource<Upstream>) -> SocketResult<u64> {
        Ok(options::BUFFER)
    }

    fn set_send_buffer_size(&mut self, _: Resource<Upstream>, value: u64) -> SocketResult<()> {
        above_zero(value)
    }

    fn subscribe(&mut self, handle: Resource<Upstream>) -> wasmtime::Result<Resource<DynPollable>> {
        subscribe(self.table, cast::<_, P2Socket>(&handle))
    }

    fn shutdown(&mut self, handle: Resource<Upstream>, how: tcp::ShutdownType) -> SocketResult<()> {
        let streams = self.socket(&handle)?.connected()?;
        if matches!(how, tcp::ShutdownType::Receive | tcp::ShutdownType::Both) {
            streams.receiver.close();
        }
        if matches!(how, tcp::ShutdownType::Send | tcp::ShutdownType::Both) {
            streams.sender.finish();
        }
        Ok(())
    }

    fn drop(&mut self, handle: Resource<Upstream>) -> wasmtime::Result<()> {
        self.table.delete(Resource::<P2Socket>::new_own(handle.rep()))?;
        Ok(())
    }
}

fn above_zero(value: u64) -> SocketResult<()> {
    if value == 0 { Err(ErrorCode::InvalidArgument.into()) } else { Ok(()) }
}

/// Resolved addresses that the guest has not read yet.
struct Names(std::vec::IntoIter<IpAddr>);

#[wasmtime_wasi::async_trait]
impl Pollable for Names {
    async fn ready(&mut self) {}
}

impl ip_name_lookup::Host for Sockets<'_> {
    fn resolve_addresses(&mut self, _network: Resource<Network>, name: String) -> SocketResult<Resource<Lookup>> {
        let found = self.endpoint.network().resolve(&name);
        if found.is_empty() {
            return Err(ErrorCode::NameUnresolvable.into());
        }
        let names = self.table.push(Names(found.into_iter()))?;
        Ok(cast_owned(&names))
    }
}

impl ip_name_lookup::HostResolveAddressStream for Sockets<'_> {
    fn resolve_next_address(&mut self, stream: Resource<Lookup>) -> SocketResult<Option<IpAddress>> {
        Ok(self.table.get_mut(&cast::<_, Names>(&stream))?.0.next().map(IpAddress::from))
    }

    fn subscribe(&mut self, stream: Resource<Lookup>) -> wasmtime::Result<Resource<DynPollable>> {
        subscribe(self.table, cast::<_, Names>(&stream))
    }

    fn drop(&mut self, stream: Resource<Lookup>) -> wasmtime::Result<()> {
        self.table.delete(Resource::<Names>::new_own(stream.rep()))?;
        Ok(())
    }
}
