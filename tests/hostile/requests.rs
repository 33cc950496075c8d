//! Requests that never end, and those that are too large or too many.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use wasmpod_test_support::connect;

use crate::attacked_node::{AttackedNode, rounds};

/// Returns the start of what the server responds until it closes the connection.
fn response(mut stream: TcpStream) -> String {
    let mut bytes = vec![0; 12];
    match stream.read_exact(&mut bytes) {
        Ok(()) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("no response in time"),
        Err(_closed) => String::new(),
    }
}

#[tokio::test]
async fn headers_that_never_end() {
    let node = AttackedNode::with_neighbour().await;
    let open: Vec<TcpStream> = (0..rounds(200)).map(|_| connect(node.client.port)).collect();
    let head = node.client.head("GET", "/api/v1/pods");
    for mut stream in &open {
        stream.write_all(head.as_bytes()).expect("sent");
    }
    node.assert_holds("headers that never end").await;
    drop(open);
}

#[tokio::test]
async fn floods_of_headers_are_refused() {
    let node = AttackedNode::start();
    let head = node.client.head("GET", "/api/v1/pods");
    let many = "X-Flood: 1\r\n".repeat(20_000);
    let long = format!("X-Flood: {}\r\n", "1".repeat(1024 * 1024));
    for headers in [many, long] {
        let mut stream = connect(node.client.port);
        // The server may close the connection before it has read everything.
        let _ = stream.write_all(format!("{head}{headers}\r\n").as_bytes());
        let response = response(stream);
        assert!(response.is_empty() || response == "HTTP/1.1 431", "{response}");
    }
    node.assert_serves();
}

#[tokio::test]
async fn huge_bodies_are_refused() {
    let node = AttackedNode::start();
    let before = node.resident_kib();
    let head = node.client.head("POST", "/api/v1/namespaces/default/pods");
    let lengths = [
        format!("Content-Length: {}", u64::MAX),
        "Content-Length: 10000000000".into(),
        "Transfer-Encoding: chunked".into(),
    ];
    for length in lengths {
        let mut stream = connect(node.client.port);
        stream.write_all(format!("{head}Content-Type: application/json\r\n{length}\r\n\r\n").as_bytes()).expect("sent");
        let chunk = [b"100000\r\n".to_vec(), vec![b' '; 1 << 20], b"\r\n".to_vec()].concat();
        let sent = (0..rounds(64)).take_while(|_| stream.write_all(&chunk).is_ok()).count();
        println!("{length}: {sent} MiB were read");
    }
    let more = node.resident_kib().saturating_sub(before);
    assert!(more < 64 * 1024, "{more} KiB more");
    node.assert_serves();
}
