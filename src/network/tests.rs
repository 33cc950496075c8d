use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::*;

fn pod(last: u8) -> Arc<PodNetwork> {
    PodNetwork::new([10, 0, 0, last].into())
}

fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn accepted(listener: &Listener) -> Connection {
    match listener.accept() {
        Accepted::Connection(connection) => *connection,
        _ => panic!("nobody has connected"),
    }
}

#[test]
fn a_connection_reaches_the_exact_listener_or_the_one_on_any_address() {
    let server = Endpoint::new(pod(1));
    for (bound, dialled, reached) in [
        ("127.0.0.1:80", "127.0.0.1:80", true),
        ("127.0.0.1:80", "10.0.0.1:80", false),
        ("0.0.0.0:80", "10.0.0.1:80", true),
        ("0.0.0.0:80", "127.0.0.1:80", true),
        ("0.0.0.0:80", "0.0.0.0:80", true),
        ("0.0.0.0:80", "[::1]:80", false),
        ("[::]:80", "[::1]:80", true),
        ("0.0.0.0:80", "127.0.0.1:81", false),
    ] {
        let listener = server.listen(at(bound), 1).expect("free");
        let result = server.connect(None, at(dialled)).map(|_| ()).map_err(|e| e == NetError::ConnectionRefused);
        assert_eq!(result, if reached { Ok(()) } else { Err(true) }, "{bound} dialled as {dialled}");
        drop(listener);
    }
}

#[test]
fn pods_do_not_reach_each_other_nor_the_outside() {
    let (a, b) = (Endpoint::new(pod(1)), Endpoint::new(pod(2)));
    let _listener = a.listen(at("0.0.0.0:80"), 1).expect("free");
    assert_eq!(b.connect(None, at("127.0.0.1:80")).err(), Some(NetError::ConnectionRefused));
    assert_eq!(b.connect(None, at("10.0.0.1:80")).err(), Some(NetError::Unreachable));
    assert_eq!(b.connect(None, at("1.1.1.1:80")).err(), Some(NetError::Unreachable));
    assert_eq!(b.bindable(at("10.0.0.1:80")).err(), Some(NetError::AddressNotAvailable));
}

#[test]
fn a_port_is_taken_once_and_free_again_after_its_listener() {
    let server = Endpoint::new(pod(1));
    let listener = server.listen(at("0.0.0.0:80"), 1).expect("free");
    for taken in ["0.0.0.0:80", "127.0.0.1:80"] {
        assert_eq!(server.bindable(at(taken)).err(), Some(NetError::AddressInUse), "{taken}");
    }
    assert_ne!(server.bindable(at("0.0.0.0:0")).expect("a free port").port(), 0);
    drop(listener);
    assert!(server.listen(at("127.0.0.1:80"), 1).is_ok());
}

#[test]
fn a_full_backlog_refuses() {
    let server = Endpoint::new(pod(1));
    let listener = server.listen(at("0.0.0.0:80"), 1).expect("free");
    let waiting = server.connect(None, at("127.0.0.1:80")).expect("one may wait");
    assert_eq!(server.connect(None, at("127.0.0.1:80")).err(), Some(NetError::ConnectionRefused));
    assert_eq!(accepted(&listener).peer, waiting.local);
    assert!(server.connect(None, at("127.0.0.1:80")).is_ok());
}

#[test]
fn a_knock_needs_a_listener_and_is_closed_before_anybody_looks() {
    let server = Endpoint::new(pod(1));
    assert_eq!(server.network().dial_and_close(at("10.0.0.1:80")).err(), Some(NetError::ConnectionRefused));
    let listener = server.listen(at("0.0.0.0:80"), 1).expect("free");
    assert_eq!(server.network().dial_and_close(at("127.0.0.1:80")).err(), Some(NetError::ConnectionRefused));
    server.network().dial_and_close(at("10.0.0.1:80")).expect("somebody listens");
    assert_eq!(server.network().dial_and_close(at("10.0.0.1:80")).err(), Some(NetError::ConnectionRefused), "full");
    assert_eq!(accepted(&listener).receiver.take(1), None, "at its end");
}

#[tokio::test]
async fn half_closing_leaves_the_other_direction_open() {
    let server = Endpoint::new(pod(1));
    let listener = server.listen(at("0.0.0.0:80"), 1).expect("free");
    let client = server.connect(None, at("127.0.0.1:80")).expect("listening");
    poll_fn(|cx| listener.poll_acceptable(cx)).await;
    let far = accepted(&listener);
    assert!(client.sender.send(Bytes::from_static(b"ping")));
    client.sender.finish();
    assert_eq!(far.receiver.take(2), Some(Bytes::from_static(b"pi")));
    assert_eq!(far.receiver.take(9), Some(Bytes::from_static(b"ng")));
    assert_eq!(far.receiver.take(9), None, "the end");
    assert!(far.sender.send(Bytes::from_static(b"pong")));
    assert_eq!(client.receiver.take(9), Some(Bytes::from_static(b"pong")));
    drop(client);
    assert!(!far.sender.send(Bytes::from_static(b"more")), "nobody reads any more");
}

#[tokio::test]
async fn a_writer_waits_for_room_and_wakes_when_there_is_some() {
    let (sender, receiver, _) = super::pipe::pipe();
    let room = sender.room().expect("open");
    assert!(sender.send(Bytes::from(vec![0; room])));
    assert_eq!(sender.room(), Some(0));
    let writer = tokio::spawn(async move {
        poll_fn(|cx| sender.poll_writable(cx)).await;
        sender.room()
    });
    tokio::task::yield_now().await;
    receiver.take(10).expect("bytes");
    assert_eq!(writer.await.expect("joined"), Some(10));
}

#[tokio::test(start_paused = true)]
async fn draining_refuses_the_new_and_waits_for_the_accepted() {
    let server = Endpoint::new(pod(1));
    let listener = server.listen(at("0.0.0.0:80"), 8).expect("free");
    let client = server.connect(None, at("127.0.0.1:80")).expect("listening");
    let far = accepted(&listener);
    server.drain();
    assert!(matches!(listener.accept(), Accepted::Closed));
    let next = poll_fn(|cx| listener.poll_acceptable(cx));
    assert!(tokio::time::timeout(Duration::from_millis(1), next).await.is_err(), "a server that waits sees no error");
    assert_eq!(server.connect(None, at("127.0.0.1:80")).err(), Some(NetError::ConnectionRefused));

    let waiter = server.clone();
    let mut quiet = tokio::spawn(async move { waiter.quiet(IDLE).await });
    for _ in 0..5 {
        assert!(tokio::time::timeout(Duration::from_millis(900), &mut quiet).await.is_err(), "in use");
        far.sender.send(Bytes::from_static(b"x"));
        client.receiver.take(1);
    }
    drop(far);
    drop(client);
    tokio::time::timeout(Duration::from_millis(50), quiet)
        .await
        .expect("soon after the last one closed")
        .expect("joined");
}
