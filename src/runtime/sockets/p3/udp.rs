//! UDP for p3: refused, since the pod's network does not support it yet. No socket is ever created, so every other call
//! returns the same error.

use wasmtime::component::{Accessor, Resource};
use wasmtime_wasi::p3::bindings::sockets::types::{
    ErrorCode, HostUdpSocket, HostUdpSocketWithStore, IpAddressFamily, IpSocketAddress, UdpSocket,
};
use wasmtime_wasi::p3::sockets::SocketResult;

use super::{HasSockets, Host, Sockets};

fn refused<T>() -> SocketResult<T> {
    Err(ErrorCode::NotSupported.into())
}

impl HostUdpSocketWithStore<Host> for HasSockets {
    async fn send(
        _: &Accessor<Host, Self>,
        _: Resource<UdpSocket>,
        _: Vec<u8>,
        _: Option<IpSocketAddress>,
    ) -> SocketResult<()> {
        refused()
    }

    async fn receive(_: &Accessor<Host, Self>, _: Resource<UdpSocket>) -> SocketResult<(Vec<u8>, IpSocketAddress)> {
        refused()
    }
}

impl HostUdpSocket for Sockets<'_> {
    async fn bind(&mut self, _: Resource<UdpSocket>, _: IpSocketAddress) -> SocketResult<()> {
        refused()
    }

    async fn connect(&mut self, _: Resource<UdpSocket>, _: IpSocketAddress) -> SocketResult<()> {
        refused()
    }

    async fn create(&mut self, _: IpAddressFamily) -> SocketResult<Resource<UdpSocket>> {
        refused()
    }

    fn disconnect(&mut self, _: Resource<UdpSocket>) -> SocketResult<()> {
        refused()
    }

    fn get_local_address(&mut self, _: Resource<UdpSocket>) -> SocketResult<IpSocketAddress> {
        refused()
    }

    fn get_remote_address(&mut self, _: Resource<UdpSocket>) -> SocketResult<IpSocketAddress> {
        refused()
    }

    fn get_address_family(&mut self, _: Resource<UdpSocket>) -> wasmtime::Result<IpAddressFamily> {
        Ok(IpAddressFamily::Ipv4)
    }

    fn get_unicast_hop_limit(&mut self, _: Resource<UdpSocket>) -> SocketResult<u8> {
        refused()
    }

    fn set_unicast_hop_limit(&mut self, _: Resource<UdpSocket>, _: u8) -> SocketResult<()> {
        refused()
    }

    fn get_receive_buffer_size(&mut self, _: Resource<UdpSocket>) -> SocketResult<u64> {
        refused()
    }

    fn set_receive_buffer_size(&mut self, _: Resource<UdpSocket>, _: u64) -> SocketResult<()> {
        refused()
    }

    fn get_send_buffer_size(&mut self, _: Resource<UdpSocket>) -> SocketResult<u64> {
        refused()
    }

    fn set_send_buffer_size(&mut self, _: Resource<UdpSocket>, _: u64) -> SocketResult<()> {
        refused()
    }

    fn drop(&mut self, _: Resource<UdpSocket>) -> wasmtime::Result<()> {
        Ok(())
    }
}
