use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::network::{Accepted, ConnectionStream, Endpoint, Listener};

const ANY: &str = "127.0.0.1:0";

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// A pod whose port 80 is published.
struct PublishedPod {
    endpoint: Arc<Endpoint>,
    publication: Publication,
    unreachable: Arc<AtomicUsize>,
}

fn target(endpoint: &Arc<Endpoint>, unreachable: &Arc<AtomicUsize>) -> Target {
    let unreachable = unreachable.clone();
    let on_loopback_only = Arc::new(move || _ = unreachable.fetch_add(1, Ordering::Relaxed));
    Target { network: Arc::downgrade(endpoint.network()), port: 80, on_loopback_only }
}

fn publish(gateway: &Gateway, at: SocketAddr) -> PublishedPod {
    let endpoint = Endpoint::new(PodNetwork::new([10, 0, 0, 1].into()));
    let unreachable = Arc::new(AtomicUsize::new(0));
    let publication = gateway.publish(at, target(&endpoint, &unreachable)).expect("published");
    PublishedPod { endpoint, publication, unreachable }
}

impl PublishedPod {
    fn listen(&self) -> Listener {
        self.endpoint.listen(address("0.0.0.0:80"), 128).expect("free")
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.publication.address()).await.expect("the port is open")
    }

    /// Connects a client, and returns both ends.
    async fn connected(&self, listener: &Listener) -> (TcpStream, ConnectionStream) {
        let client = self.connect().await;
        poll_acceptable(listener).await;
        match listener.accept() {
            Accepted::Connection(connection) => (client, ConnectionStream::from(*connection)),
            _ => panic!("no connection waits"),
        }
    }
}

async fn poll_acceptable(listener: &Listener) {
    std::future::poll_fn(|cx| listener.poll_acceptable(cx)).await;
}

/// Reads until the connection is finished, or returns the kind of its error.
async fn read_all(stream: &mut (impl AsyncReadExt + Unpin)) -> Result<Vec<u8>, io::ErrorKind> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.map(|_| bytes).map_err(|error| error.kind())
}

#[tokio::test]
async fn each_direction_finishes_on_its_own() {
    let gateway = Gateway::new(Handle::current());
    let pod = publish(&gateway, address(ANY));
    let listener = pod.listen();
    let (mut client, mut server) = pod.connected(&listener).await;
    client.write_all(b"ping").await.expect("sent");
    client.shutdown().await.expect("finished");
    assert_eq!(read_all(&mut server).await.expect("no reset"), b"ping");
    server.write_all(b"pong").await.expect("the other direction is open");
    server.shutdown().await.expect("finished");
    assert_eq!(read_all(&mut client).await.expect("no reset"), b"pong");

    let (mut client, mut server) = pod.connected(&listener).await;
    server.shutdown().await.expect("finished");
    assert_eq!(read_all(&mut client).await.expect("no reset"), b"");
    client.write_all(b"late").await.expect("the other direction is open");
    client.shutdown().await.expect("finished");
    assert_eq!(read_all(&mut server).await.expect("no reset"), b"late");
}

#[tokio::test]
async fn resets_reach_the_other_side() {
    let gateway = Gateway::new(Handle::current());
    let pod = publish(&gateway, address(ANY));
    let listener = pod.listen();
    let (client, mut server) = pod.connected(&listener).await;
    relay::reset(&client);
    drop(client);
    assert_eq!(read_all(&mut server).await, Err(io::ErrorKind::ConnectionReset));
    assert_eq!(server.write_all(b"x").await.map_err(|e| e.kind()), Err(io::ErrorKind::BrokenPipe));

    let (mut client, mut server) = pod.connected(&listener).await;
    client.write_all(b"request").await.expect("sent");
    server.read_exact(&mut [0; 1]).await.expect("a byte");
    drop(server);
    assert_eq!(read_all(&mut client).await, Err(io::ErrorKind::ConnectionReset), "bytes were not read");
}

#[tokio::test]
async fn closed_server_ends_the_connection() {
    let gateway = Gateway::new(Handle::current());
    let pod = publish(&gateway, address(ANY));
    let listener = pod.listen();
    let (mut client, server) = pod.connected(&listener).await;
    drop(server);
    assert_eq!(read_all(&mut client).await.expect("no reset"), b"");
    // Writes fail soon, although the client has not finished.
    while client.write_all(b"x").await.is_ok() {
        tokio::task::yield_now().await;
    }
    // The accepting task holds one for the next connection.
    assert_eq!(gateway.connections.available_permits(), MAX_CONNECTIONS - 1);
}

#[tokio::test]
async fn slow_readers_slow_the_sender() {
    let gateway = Gateway::new(Handle::current());
    let pod = publish(&gateway, address(ANY));
    let listener = pod.listen();
    let (mut client, mut server) = pod.connected(&listener).await;
    let chunk = vec![7; 64 * 1024];
    let mut sent = 0;
    while let Ok(written) = tokio::time::timeout(Duration::from_millis(200), client.write(&chunk)).await {
        sent += written.expect("open");
        assert!(sent < 64 << 20, "nothing holds the client back");
    }
    client.shutdown().await.expect("finished");
    assert_eq!(read_all(&mut server).await.expect("no reset").len(), sent, "nothing is lost");
}

#[tokio::test]
async fn connections_without_a_listener_are_reset() {
    let gateway = Gateway::new(Handle::current());
    let pod = publish(&gateway, address(ANY));
    assert_eq!(read_all(&mut pod.connect().await).await, Err(io::ErrorKind::ConnectionReset));
    assert_eq!(pod.unreachable.load(Ordering::Relaxed), 0);
    let _listener = pod.endpoint.listen(address("127.0.0.1:80"), 128).expect("free");
    assert_eq!(read_all(&mut pod.connect().await).await, Err(io::ErrorKind::ConnectionReset));
    assert_eq!(pod.unreachable.load(Ordering::Relaxed), 1, "it listens on loopback only");
}

#[tokio::test]
async fn reserved_port_stays_open_between_targets() {
    let gateway = Gateway::new(Handle::current());
    let reservation = gateway.reserve(address(ANY)).expect("a free port");
    let at = reservation.address();
    assert!(matches!(gateway.reserve(at).err(), Some(BindError::Reserved)));
    let mut early = TcpStream::connect(at).await.expect("open");
    assert_eq!(read_all(&mut early).await, Err(io::ErrorKind::ConnectionReset));
    let first = publish(&gateway, at);
    let second = publish(&gateway, at);
    let listener = second.listen();
    second.connected(&listener).await;
    drop(first);
    second.connected(&listener).await;
    drop(second);
    let mut between = TcpStream::connect(at).await.expect("open");
    assert_eq!(read_all(&mut between).await, Err(io::ErrorKind::ConnectionReset));
    let third = publish(&gateway, at);
    third.connected(&third.listen()).await;
}

#[tokio::test]
async fn port_is_free_once_its_owners_are_gone() {
    let gateway = Gateway::new(Handle::current());
    let foreign = std::net::TcpListener::bind(ANY).expect("a port");
    let taken = foreign.local_addr().expect("its address");
    assert!(matches!(gateway.reserve(taken).err(), Some(BindError::InUse)));
    drop(foreign);
    let pod = publish(&gateway, taken);
    let listener = pod.listen();
    let (_client, _server) = pod.connected(&listener).await;
    assert!(std::net::TcpListener::bind(taken).is_err());
    drop(pod);
    std::net::TcpListener::bind(taken).expect("free, although a connection is open");
    let unknown = gateway.reserve(address("192.0.2.1:0")).err().expect("not an address of this machine");
    assert!(matches!(unknown, BindError::Other(_)), "{unknown}");
}

#[tokio::test]
async fn shut_down_ends_connections() {
    let gateway = Gateway::new(Handle::current());
    let pod = publish(&gateway, address(ANY));
    let listener = pod.listen();
    let (mut client, _server) = pod.connected(&listener).await;
    gateway.shut_down().await;
    assert_eq!(read_all(&mut client).await.expect("closed"), b"");
}
