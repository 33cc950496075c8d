use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::*;

fn pod(last: u8) -> Arc<PodNetwork> {
    PodNetwork::new([10, 0, 0, last].into())
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn accepted(listener: &Listener) -> Connection {
    match listener.accept() {
        Accepted::Connection(connection) => *connection,
        _ => panic!("no connection waits"),
    }
}

#[test]
fn connection_reaches_exact_or_unspecified_listener() {
    let server = Endpoint::new(pod(1));
    for (bound, dialled, connects) in [
        ("127.0.0.1:80", "127.0.0.1:80", true),
        ("127.0.0.1:80", "10.0.0.1:80", false),
        ("0.0.0.0:80", "10.0.0.1:80", true),
        ("0.0.0.0:80", "127.0.0.1:80", true),
        ("0.0.0.0:80", "0.0.0.0:80", true),
        ("0.0.0.0:80", "[::1]:80", false),
        ("[::]:80", "[::1]:80", true),
        ("0.0.0.0:80", "127.0.0.1:81", false),
    ] {
        let listener = server.listen(address(bound), 1).expect("free");
        let result = server.connect(None, address(dialled)).map(|_| ()).map_err(|e| e == NetError::ConnectionRefused);
        assert_eq!(result, if connects { Ok(()) } else { Err(true) }, "{bound} dialled as {dialled}");
        drop(listener);
    }
}

#[test]
fn pods_reach_neither_each_other_nor_the_outside() {
    let (a, b) = (Endpoint::new(pod(1)), Endpoint::new(pod(2)));
    let _listener = a.listen(address("0.0.0.0:80"), 1).expect("free");
    assert_eq!(b.connect(None, address("127.0.0.1:80")).err(), Some(NetError::ConnectionRefused));
    assert_eq!(b.connect(None, address("10.0.0.1:80")).err(), Some(NetError::Unreachable));
    assert_eq!(b.connect(None, address("1.1.1.1:80")).err(), Some(NetError::Unreachable));
    assert_eq!(b.bind_address(address("10.0.0.1:80")).err(), Some(NetError::AddressNotAvailable));
}

#[test]
fn port_is_bound_once_and_freed_with_its_listener() {
    let server = Endpoint::new(pod(1));
    let listener = server.listen(address("0.0.0.0:80"), 1).expect("free");
    for taken in ["0.0.0.0:80", "127.0.0.1:80"] {
        assert_eq!(server.bind_address(address(taken)).err(), Some(NetError::AddressInUse), "{taken}");
    }
    assert_ne!(server.bind_address(address("0.0.0.0:0")).expect("a free port").port(), 0);
    drop(listener);
    assert!(server.listen(address("127.0.0.1:80"), 1).is_ok());
}

#[test]
fn full_backlog_refuses_connections() {
    let server = Endpoint::new(pod(1));
    let listener = server.listen(address("0.0.0.0:80"), 1).expect("free");
    let waiting = server.connect(None, address("127.0.0.1:80")).expect("the backlog has space");
    assert_eq!(server.connect(None, address("127.0.0.1:80")).err(), Some(NetError::ConnectionRefused));
    assert_eq!(accepted(&listener).peer, waiting.local);
    assert!(server.connect(None, address("127.0.0.1:80")).is_ok());
}

#[test]
fn dial_and_close_is_closed_before_accept() {
    let server = Endpoint::new(pod(1));
    assert_eq!(server.network().dial_and_close(address("10.0.0.1:80")).err(), Some(NetError::ConnectionRefused));
    let listener = server.listen(address("0.0.0.0:80"), 1).expect("free");
    assert_eq!(server.network().dial_and_close(address("127.0.0.1:80")).err(), Some(NetError::ConnectionRefused));
    server.network().dial_and_close(address("10.0.0.1:80")).expect("a listener");
    assert_eq!(
        server.network().dial_and_close(address("10.0.0.1:80")).err(),
        Some(NetError::ConnectionRefused),
        "full"
    );
    assert_eq!(accepted(&listener).receiver.read(1), None, "closed");
}

#[tokio::test]
async fn half_close_leaves_the_other_direction_open() {
    let server = Endpoint::new(pod(1));
    let listener = server.listen(address("0.0.0.0:80"), 1).expect("free");
    let client = server.connect(None, address("127.0.0.1:80")).expect("listening");
    poll_fn(|cx| listener.poll_acceptable(cx)).await;
    let server_end = accepted(&listener);
    assert!(client.sender.send(Bytes::from_static(b"ping")));
    client.sender.finish();
    assert_eq!(server_end.receiver.read(2), Some(Bytes::from_static(b"pi")));
    assert_eq!(server_end.receiver.read(9), Some(Bytes::from_static(b"ng")));
    assert_eq!(server_end.receiver.read(9), None, "the end");
    assert!(server_end.sender.send(Bytes::from_static(b"pong")));
    assert_eq!(client.receiver.read(9), Some(Bytes::from_static(b"pong")));
    drop(client);
    assert!(!server_end.sender.send(Bytes::from_static(b"more")), "the receiver is closed");
}

#[tokio::test]
async fn writer_waits_for_capacity() {
    let (sender, receiver) = super::pipe();
    let capacity = sender.capacity().expect("open");
    assert!(sender.send(Bytes::from(vec![0; capacity])));
    assert_eq!(sender.capacity(), Some(0));
    let writer = tokio::spawn(async move {
        poll_fn(|cx| sender.poll_writable(cx)).await;
        sender.capacity()
    });
    tokio::task::yield_now().await;
    receiver.read(10).expect("bytes");
    assert_eq!(writer.await.expect("joined"), Some(10));
}

#[tokio::test(start_paused = true)]
async fn drain_refuses_new_and_waits_for_accepted_connections() {
    let server = Endpoint::new(pod(1));
    let listener = server.listen(address("0.0.0.0:80"), 8).expect("free");
    let client = server.connect(None, address("127.0.0.1:80")).expect("listening");
    let server_end = accepted(&listener);
    server.drain();
    assert!(matches!(listener.accept(), Accepted::Closed));
    let next = poll_fn(|cx| listener.poll_acceptable(cx));
    assert!(tokio::time::timeout(Duration::from_millis(1), next).await.is_err(), "a waiting server sees no error");
    assert_eq!(server.connect(None, address("127.0.0.1:80")).err(), Some(NetError::ConnectionRefused));

    let waiter = server.clone();
    let mut idle = tokio::spawn(async move { waiter.wait_until_idle(IDLE_TIMEOUT).await });
    for _ in 0..5 {
        assert!(tokio::time::timeout(Duration::from_millis(900), &mut idle).await.is_err(), "in use");
        server_end.sender.send(Bytes::from_static(b"x"));
        client.receiver.read(1);
    }
    drop(server_end);
    drop(client);
    tokio::time::timeout(Duration::from_millis(50), idle)
        .await
        .expect("soon after the last connection closed")
        .expect("joined");
}
