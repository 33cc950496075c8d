use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;

use super::*;

fn pod(last: u8) -> Arc<PodNetwork> {
    PodNetwork::new([10, 0, 0, last].into())
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// Connects to a listener whose backlog has space.
fn connect(endpoint: &Arc<Endpoint>, peer: &str) -> Result<Connection, NetError> {
    endpoint.connect(None, address(peer))?.try_take().expect("it does not wait")
}

/// Fills the backlog of a listener and returns the connections in it.
fn fill(endpoint: &Arc<Endpoint>, peer: &str) -> Vec<Connection> {
    (0..128).map(|_| connect(endpoint, peer).expect("the backlog has space")).collect()
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
        let result = connect(&server, dialled).map(|_| ()).map_err(|e| e == NetError::ConnectionRefused);
        assert_eq!(result, if connects { Ok(()) } else { Err(true) }, "{bound} dialled as {dialled}");
        drop(listener);
    }
}

#[test]
fn pods_reach_neither_each_other_nor_the_outside() {
    let (a, b) = (Endpoint::new(pod(1)), Endpoint::new(pod(2)));
    let _listener = a.listen(address("0.0.0.0:80"), 1).expect("free");
    assert_eq!(connect(&b, "127.0.0.1:80").err(), Some(NetError::ConnectionRefused));
    assert_eq!(connect(&b, "10.0.0.1:80").err(), Some(NetError::Unreachable));
    assert_eq!(connect(&b, "1.1.1.1:80").err(), Some(NetError::Unreachable));
    assert_eq!(b.bind_address(address("10.0.0.1:80")).err(), Some(NetError::AddressNotAvailable));
}

#[test]
fn connections_to_services_are_refused_and_observed() {
    let table = Arc::new(ServiceTable::default());
    let service = ServiceName { namespace: "default".into(), name: "web".into() };
    table.set(service.clone(), vec![[10, 96, 0, 7].into()]);
    let (refused, seen) = std::sync::mpsc::channel();
    let on_refused: RefusalObserver = Arc::new(move |service, address| {
        refused.send(format!("{service} {address}")).expect("the test listens");
    });
    let services = PodServices { table: table.clone(), namespace: "default".into(), on_refused };
    let names = vec![("Web.default".to_string(), [10, 0, 0, 1].into())];
    let options = PodNetworkOptions { names, services: Some(services), ..PodNetworkOptions::default() };
    let client = Endpoint::new(PodNetwork::with_options([10, 0, 0, 1].into(), options));
    let resolve = |name: &str| client.network().resolve(name).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(resolve("WEB"), ["10.96.0.7"]);
    assert_eq!(resolve("web.default.SVC.cluster.local."), ["10.96.0.7"]);
    assert_eq!(resolve("web.default"), ["10.0.0.1"], "/etc/hosts comes first");
    assert_eq!(connect(&client, "10.96.0.7:80").err(), Some(NetError::ConnectionRefused));
    assert_eq!(connect(&client, "10.96.0.8:80").err(), Some(NetError::Unreachable));
    table.remove(&service);
    assert_eq!(connect(&client, "10.96.0.7:80").err(), Some(NetError::Unreachable));
    assert_eq!(resolve("web"), [""; 0]);
    assert_eq!(seen.try_iter().collect::<Vec<_>>(), ["default/web 10.96.0.7:80"]);
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

#[tokio::test]
async fn connections_to_a_full_backlog_wait() {
    let server = Endpoint::new(pod(1));
    let listener = server.listen(address("0.0.0.0:80"), 1).expect("free");
    let in_backlog = fill(&server, "127.0.0.1:80");
    let mut first = server.connect(None, address("127.0.0.1:80")).expect("it waits");
    let given_up = server.connect(None, address("127.0.0.1:80")).expect("it waits");
    let second = server.network().dial(address("10.0.0.1:80"));
    tokio::pin!(second);
    assert!(first.try_take().is_none());
    assert!(poll_once(second.as_mut()).await.is_pending());
    drop(given_up);
    assert_eq!(accepted(&listener).peer, in_backlog[0].local);
    let first = first.try_take().expect("it has space").expect("established");
    assert!(poll_once(second.as_mut()).await.is_pending(), "the space is the first one's");
    accepted(&listener);
    let second = second.await.expect("established");
    let rest: Vec<_> = (0..128).map(|_| accepted(&listener).peer).collect();
    assert_eq!(rest[126..], [first.local, second.local]);
    assert!(matches!(listener.accept(), Accepted::Pending), "the one that gave up is gone");
}

#[tokio::test]
async fn waiting_connections_are_bounded_and_end_with_the_listener() {
    let server = Endpoint::new(pod(1));
    let listener = server.listen(address("0.0.0.0:80"), 1).expect("free");
    let _in_backlog = fill(&server, "127.0.0.1:80");
    let wait = || server.connect(None, address("127.0.0.1:80"));
    let mut waiting: Vec<_> = (0..4096).map(|_| wait().expect("it waits")).collect();
    assert_eq!(wait().err(), Some(NetError::ConnectionRefused), "too many wait");
    waiting.pop();
    waiting.push(wait().expect("a dropped connection gives up its place"));
    drop(listener);
    for connection in waiting {
        assert_eq!(connection.await.err(), Some(NetError::ConnectionRefused));
    }
}

/// Polls a future once.
async fn poll_once<F: Future + Unpin>(mut future: F) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(Pin::new(&mut future).poll(cx))).await
}

#[test]
fn burst_fits_into_the_smallest_backlog() {
    let server = Endpoint::new(pod(1));
    let _listener = server.listen(address("0.0.0.0:80"), 1).expect("free");
    assert_eq!(fill(&server, "127.0.0.1:80").len(), 128);
    assert!(server.connect(None, address("127.0.0.1:80")).expect("it waits").try_take().is_none());
}

#[test]
fn listeners_on_loopback_only_are_recognized() {
    for (bound, expected) in [
        (&["127.0.0.1:80"][..], true),
        (&["[::1]:80", "127.0.0.1:80"], true),
        (&["0.0.0.0:80"], false),
        (&["127.0.0.1:80", "10.0.0.1:80"], false),
        (&["127.0.0.1:81"], false),
        (&[], false),
    ] {
        let server = Endpoint::new(pod(1));
        let _listeners: Vec<_> = bound.iter().map(|at| server.listen(address(at), 1).expect("free")).collect();
        assert_eq!(server.network().listens_only_on_loopback(80), expected, "{bound:?}");
    }
}

#[test]
fn observer_learns_of_each_listener() {
    let (opened, seen) = std::sync::mpsc::channel();
    let observer: ListenObserver = Arc::new(move |address| opened.send(address).expect("the test listens"));
    let options = PodNetworkOptions { on_listen: Some(observer), ..PodNetworkOptions::default() };
    let server = Endpoint::new(PodNetwork::with_options([10, 0, 0, 1].into(), options));
    let _listener = server.listen(address("0.0.0.0:80"), 1).expect("free");
    assert!(server.listen(address("0.0.0.0:80"), 1).is_err());
    let _other = server.listen(address("127.0.0.1:81"), 1).expect("free");
    assert_eq!(seen.try_iter().collect::<Vec<_>>(), [address("0.0.0.0:80"), address("127.0.0.1:81")]);
}

#[test]
fn dial_and_close_is_closed_before_accept() {
    let server = Endpoint::new(pod(1));
    let probe = |peer: &str| server.network().dial_and_close(address(peer));
    assert_eq!(probe("10.0.0.1:80").err(), Some(NetError::ConnectionRefused));
    let listener = server.listen(address("0.0.0.0:80"), 1).expect("free");
    assert_eq!(probe("127.0.0.1:80").err(), Some(NetError::ConnectionRefused));
    (0..128).for_each(|_| probe("10.0.0.1:80").expect("a listener"));
    assert_eq!(probe("10.0.0.1:80").err(), Some(NetError::ConnectionRefused), "full");
    assert_eq!(accepted(&listener).receiver.read(1), None, "closed");
}

#[tokio::test]
async fn half_close_leaves_the_other_direction_open() {
    let server = Endpoint::new(pod(1));
    let listener = server.listen(address("0.0.0.0:80"), 1).expect("free");
    let client = connect(&server, "127.0.0.1:80").expect("listening");
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
    let client = connect(&server, "127.0.0.1:80").expect("listening");
    let server_end = accepted(&listener);
    server.drain();
    assert!(matches!(listener.accept(), Accepted::Closed));
    let next = poll_fn(|cx| listener.poll_acceptable(cx));
    assert!(tokio::time::timeout(Duration::from_millis(1), next).await.is_err(), "a waiting server sees no error");
    assert_eq!(connect(&server, "127.0.0.1:80").err(), Some(NetError::ConnectionRefused));

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
