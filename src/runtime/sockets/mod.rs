//! TCP sockets of guests over the pod's in-memory network, for p2 and p3.
//!
//! wasmtime-wasi's socket functions open host sockets, so they are shadowed in the linker. The resource table holds
//! [`Socket`]s behind the same handle types ([`cast`]). UDP is refused until the network supports it.

mod p2;
mod p3;

use std::net::SocketAddr;
use std::sync::Arc;

use wasmtime::component::{HasData, Linker, Resource, ResourceTable};

use super::host::Host;
use crate::network::{Accepted, Connecting, Connection, Endpoint, Listener, NetError, Receiver, Sender};

/// Selects [`Sockets`] as the data of the host functions.
struct HasSockets;

impl HasData for HasSockets {
    type Data<'a> = Sockets<'a>;
}

/// The part of the host state that socket functions use.
struct Sockets<'a> {
    endpoint: &'a Arc<Endpoint>,
    table: &'a mut ResourceTable,
}

fn sockets(host: &mut Host) -> Sockets<'_> {
    Sockets { endpoint: &host.endpoint, table: &mut host.table }
}

/// Replaces wasmtime-wasi's socket functions.
pub(super) fn add_to_linker(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    p2::add_to_linker(linker)?;
    p3::add_to_linker(linker)
}

/// Casts a borrowed handle between wasmtime-wasi's socket type, which the bindings name, and [`Socket`], which the table
/// holds. A handle is an index; the table checks the type on access.
fn cast<From: 'static, To: 'static>(handle: &Resource<From>) -> Resource<To> {
    Resource::new_borrow(handle.rep())
}

/// Casts an owned handle to an entry that was just pushed to the table.
fn cast_owned<From: 'static, To: 'static>(handle: &Resource<From>) -> Resource<To> {
    Resource::new_own(handle.rep())
}

/// A guest's TCP socket.
struct Socket {
    ipv6: bool,
    endpoint: Arc<Endpoint>,
    backlog: usize,
    state: SocketState,
}

enum SocketState {
    Fresh,
    Bound(SocketAddr),
    Listening(Listener),
    Connected(ConnectedStreams),
    Closed,
}

/// Both directions of a connection, shared with the streams that the guest holds.
#[derive(Clone)]
struct ConnectedStreams {
    local: SocketAddr,
    peer: SocketAddr,
    receiver: Arc<Receiver>,
    sender: Arc<Sender>,
}

impl From<Connection> for ConnectedStreams {
    fn from(connection: Connection) -> ConnectedStreams {
        let (local, peer) = (connection.local, connection.peer);
        let (receiver, sender) = connection.split();
        ConnectedStreams { local, peer, receiver: Arc::new(receiver), sender: Arc::new(sender) }
    }
}

/// Errors of socket calls, mapped to WASI's error codes by p2 and p3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TcpError {
    Net(NetError),
    /// The socket is not in the state that the call needs.
    State,
    /// The address does not match the socket.
    Argument,
    WouldBlock,
}

impl From<NetError> for TcpError {
    fn from(error: NetError) -> TcpError {
        TcpError::Net(error)
    }
}

/// Maximum number of connections that wait to be accepted, unless the guest sets another.
const DEFAULT_BACKLOG: usize = 1024;

impl Socket {
    fn new(endpoint: &Arc<Endpoint>, ipv6: bool) -> Socket {
        Socket { ipv6, endpoint: endpoint.clone(), backlog: DEFAULT_BACKLOG, state: SocketState::Fresh }
    }

    fn accepted(&self, connection: Connection) -> (Socket, ConnectedStreams) {
        let streams = ConnectedStreams::from(connection);
        let socket = Socket {
            ipv6: self.ipv6,
            endpoint: self.endpoint.clone(),
            backlog: DEFAULT_BACKLOG,
            state: SocketState::Connected(streams.clone()),
        };
        (socket, streams)
    }

    fn bind(&mut self, address: SocketAddr) -> Result<(), TcpError> {
        if !matches!(self.state, SocketState::Fresh) {
            return Err(TcpError::State);
        }
        if address.is_ipv6() != self.ipv6 {
            return Err(TcpError::Argument);
        }
        self.state = SocketState::Bound(self.endpoint.bind_address(address)?);
        Ok(())
    }

    /// Starts to listen. An unbound socket gets a free port.
    fn listen(&mut self) -> Result<Listener, TcpError> {
        let address = match self.state {
            SocketState::Bound(address) => address,
            SocketState::Fresh => self.endpoint.bind_address(self.unspecified_address())?,
            _ => return Err(TcpError::State),
        };
        let listener = self.endpoint.listen(address, self.backlog)?;
        self.state = SocketState::Listening(listener.clone());
        Ok(listener)
    }

    fn unspecified_address(&self) -> SocketAddr {
        let ip =
            if self.ipv6 { std::net::Ipv6Addr::UNSPECIFIED.into() } else { std::net::Ipv4Addr::UNSPECIFIED.into() };
        SocketAddr::new(ip, 0)
    }

    fn check_connect(&self, peer: SocketAddr) -> Result<Option<SocketAddr>, TcpError> {
        let local = match self.state {
            SocketState::Fresh => None,
            SocketState::Bound(local) => Some(local),
            _ => return Err(TcpError::State),
        };
        if peer.is_ipv6() != self.ipv6 || peer.port() == 0 {
            return Err(TcpError::Argument);
        }
        Ok(local)
    }

    /// Begins to connect to `peer`. As in WASI, a socket whose connection failed cannot be used again.
    fn start_connect(&mut self, peer: SocketAddr) -> Result<Connecting, TcpError> {
        let local = self.check_connect(peer)?;
        self.state = SocketState::Closed;
        Ok(self.endpoint.connect(local, peer)?)
    }

    /// Completes what [`Socket::start_connect`] began.
    fn finish_connect(&mut self, connection: Connection) -> ConnectedStreams {
        let streams = ConnectedStreams::from(connection);
        self.state = SocketState::Connected(streams.clone());
        streams
    }

    fn accept(&self) -> Result<(Socket, ConnectedStreams), TcpError> {
        let SocketState::Listening(listener) = &self.state else { return Err(TcpError::State) };
        match listener.accept() {
            Accepted::Connection(connection) => Ok(self.accepted(*connection)),
            // A terminating container sees no further connections.
            Accepted::Pending | Accepted::Closed => Err(TcpError::WouldBlock),
        }
    }

    fn local(&self) -> Result<SocketAddr, TcpError> {
        match &self.state {
            SocketState::Bound(address) => Ok(*address),
            SocketState::Listening(listener) => Ok(listener.address()),
            SocketState::Connected(streams) => Ok(streams.local),
            SocketState::Fresh | SocketState::Closed => Err(TcpError::State),
        }
    }

    fn connected(&self) -> Result<&ConnectedStreams, TcpError> {
        match &self.state {
            SocketState::Connected(streams) => Ok(streams),
            _ => Err(TcpError::State),
        }
    }

    fn is_listening(&self) -> bool {
        matches!(self.state, SocketState::Listening(_))
    }

    fn set_backlog(&mut self, wanted: u64) -> Result<(), TcpError> {
        if wanted == 0 {
            return Err(TcpError::Argument);
        }
        self.backlog = usize::try_from(wanted).unwrap_or(usize::MAX);
        Ok(())
    }
}

/// Values of socket options that have no effect on in-memory connections.
mod options {
    pub const KEEP_ALIVE_IDLE_NS: u64 = 7_200_000_000_000;
    pub const KEEP_ALIVE_INTERVAL_NS: u64 = 75_000_000_000;
    pub const KEEP_ALIVE_COUNT: u32 = 9;
    pub const HOP_LIMIT: u8 = 64;
    pub const BUFFER: u64 = 256 * 1024;
}
