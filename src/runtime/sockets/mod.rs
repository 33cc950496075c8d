//! Guests' TCP sockets over the pod's in-memory network, for p2 and p3.
//!
//! wasmtime-wasi's own socket host opens sockets of this machine. Here the resource table holds
//! [`Socket`]s of ours behind the same handles ([`cast`]), and the linker's entries are shadowed.
//! UDP is refused until the network has it.

mod p2;
mod p3;

use std::net::SocketAddr;
use std::sync::Arc;

use wasmtime::component::{HasData, Linker, Resource, ResourceTable};

use super::host::Host;
use crate::network::{Accepted, Connection, Endpoint, Listener, NetError, Receiver, Sender};

/// Marks the host functions that see a [`Sockets`].
struct HasSockets;

impl HasData for HasSockets {
    type Data<'a> = Sockets<'a>;
}

/// What a socket call needs of its instance's host.
struct Sockets<'a> {
    endpoint: &'a Arc<Endpoint>,
    table: &'a mut ResourceTable,
}

fn sockets(host: &mut Host) -> Sockets<'_> {
    Sockets { endpoint: &host.endpoint, table: &mut host.table }
}

/// Puts these sockets in the place of wasmtime-wasi's.
pub(super) fn add_to_linker(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    p2::add_to_linker(linker)?;
    p3::add_to_linker(linker)
}

/// The bindings name wasmtime-wasi's socket type, the table holds ours: a handle is an index,
/// and whose type it is shows only when the table is asked.
fn cast<From: 'static, To: 'static>(handle: &Resource<From>) -> Resource<To> {
    Resource::new_borrow(handle.rep())
}

/// The other way: a handle to what was just put into the table.
fn hand_out<From: 'static, To: 'static>(handle: &Resource<From>) -> Resource<To> {
    Resource::new_own(handle.rep())
}

/// A guest's TCP socket.
struct Socket {
    ipv6: bool,
    endpoint: Arc<Endpoint>,
    backlog: usize,
    state: State,
}

enum State {
    Fresh,
    Bound(SocketAddr),
    Listening(Listener),
    Connected(Ends),
    Closed,
}

/// Both directions of a connection. Streams handed to the guest share them.
#[derive(Clone)]
struct Ends {
    local: SocketAddr,
    peer: SocketAddr,
    receiver: Arc<Receiver>,
    sender: Arc<Sender>,
}

impl From<Connection> for Ends {
    fn from(connection: Connection) -> Ends {
        let (local, peer) = (connection.local, connection.peer);
        let (receiver, sender) = connection.split();
        Ends { local, peer, receiver: Arc::new(receiver), sender: Arc::new(sender) }
    }
}

/// What a call on a socket may run into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SocketFault {
    Net(NetError),
    /// The socket is in another state than the call needs.
    State,
    /// The address does not fit the socket.
    Argument,
    WouldBlock,
}

impl From<NetError> for SocketFault {
    fn from(error: NetError) -> SocketFault {
        SocketFault::Net(error)
    }
}

/// Waiting connections where a guest does not ask for another number.
const DEFAULT_BACKLOG: usize = 1024;

impl Socket {
    fn new(endpoint: &Arc<Endpoint>, ipv6: bool) -> Socket {
        Socket { ipv6, endpoint: endpoint.clone(), backlog: DEFAULT_BACKLOG, state: State::Fresh }
    }

    fn accepted(&self, connection: Connection) -> (Socket, Ends) {
        let ends = Ends::from(connection);
        let socket = Socket {
            ipv6: self.ipv6,
            endpoint: self.endpoint.clone(),
            backlog: DEFAULT_BACKLOG,
            state: State::Connected(ends.clone()),
        };
        (socket, ends)
    }

    fn bind(&mut self, address: SocketAddr) -> Result<(), SocketFault> {
        if !matches!(self.state, State::Fresh) {
            return Err(SocketFault::State);
        }
        if address.is_ipv6() != self.ipv6 {
            return Err(SocketFault::Argument);
        }
        self.state = State::Bound(self.endpoint.bindable(address)?);
        Ok(())
    }

    /// Listens; an unbound socket gets a free port.
    fn listen(&mut self) -> Result<Listener, SocketFault> {
        let address = match self.state {
            State::Bound(address) => address,
            State::Fresh => self.endpoint.bindable(self.any())?,
            _ => return Err(SocketFault::State),
        };
        let listener = self.endpoint.listen(address, self.backlog)?;
        self.state = State::Listening(listener.clone());
        Ok(listener)
    }

    fn any(&self) -> SocketAddr {
        let ip =
            if self.ipv6 { std::net::Ipv6Addr::UNSPECIFIED.into() } else { std::net::Ipv4Addr::UNSPECIFIED.into() };
        SocketAddr::new(ip, 0)
    }

    fn check_connect(&self, peer: SocketAddr) -> Result<Option<SocketAddr>, SocketFault> {
        let local = match self.state {
            State::Fresh => None,
            State::Bound(local) => Some(local),
            _ => return Err(SocketFault::State),
        };
        if peer.is_ipv6() != self.ipv6 || peer.port() == 0 {
            return Err(SocketFault::Argument);
        }
        Ok(local)
    }

    /// Connects. A socket whose connection failed is of no more use, as in WASI.
    fn connect(&mut self, peer: SocketAddr) -> Result<Ends, SocketFault> {
        let local = self.check_connect(peer)?;
        self.state = State::Closed;
        let ends = Ends::from(self.endpoint.connect(local, peer)?);
        self.state = State::Connected(ends.clone());
        Ok(ends)
    }

    fn accept(&self) -> Result<(Socket, Ends), SocketFault> {
        let State::Listening(listener) = &self.state else { return Err(SocketFault::State) };
        match listener.accept() {
            Accepted::Connection(connection) => Ok(self.accepted(*connection)),
            // The container is asked to end: as if nobody came any more, until it is ended.
            Accepted::None | Accepted::Closed => Err(SocketFault::WouldBlock),
        }
    }

    fn local(&self) -> Result<SocketAddr, SocketFault> {
        match &self.state {
            State::Bound(address) => Ok(*address),
            State::Listening(listener) => Ok(listener.address()),
            State::Connected(ends) => Ok(ends.local),
            State::Fresh | State::Closed => Err(SocketFault::State),
        }
    }

    fn connected(&self) -> Result<&Ends, SocketFault> {
        match &self.state {
            State::Connected(ends) => Ok(ends),
            _ => Err(SocketFault::State),
        }
    }

    fn is_listening(&self) -> bool {
        matches!(self.state, State::Listening(_))
    }

    fn set_backlog(&mut self, wanted: u64) -> Result<(), SocketFault> {
        if wanted == 0 {
            return Err(SocketFault::Argument);
        }
        self.backlog = usize::try_from(wanted).unwrap_or(usize::MAX);
        Ok(())
    }
}

/// What sockets answer about options that mean nothing in memory.
mod options {
    pub const KEEP_ALIVE_IDLE_NS: u64 = 7_200_000_000_000;
    pub const KEEP_ALIVE_INTERVAL_NS: u64 = 75_000_000_000;
    pub const KEEP_ALIVE_COUNT: u32 = 9;
    pub const HOP_LIMIT: u8 = 64;
    pub const BUFFER: u64 = 256 * 1024;
}
