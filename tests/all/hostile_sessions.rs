//! Sessions of clients that break the protocol, never read, leave, or are too many.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};

use crate::support::{NodeDirectory, ServedNode, eventually, in_time, pod};

/// The maximum of sessions of a pod.
const MAX_SESSIONS: usize = 128;

fn node_with_shell() -> ServedNode {
    let directory = NodeDirectory::new();
    let spec = "terminationGracePeriodSeconds: 1, containers: [{name: c, image: busybox, command: [sleep, '1000']}]";
    directory.save("a.yaml", &pod("a", spec));
    let node = directory.start_node();
    node.wait("a-n1", "condition=Ready");
    node
}

/// A WebSocket of a client.
struct Session(WebSocketStream<TcpStream>);

impl Session {
    /// Opens `pods/a-n1/PATH` with a sub-protocol.
    async fn open(node: &ServedNode, path: &str, protocol: &str) -> Result<Session, Error> {
        let address = node.url.trim_start_matches("https://");
        let url = format!("ws://{address}/api/v1/namespaces/default/pods/a-n1/{path}");
        let mut request = url.into_client_request()?;
        let headers = request.headers_mut();
        headers.insert("Authorization", format!("Bearer {}", node.token()).parse().expect("a header"));
        headers.insert("Sec-WebSocket-Protocol", protocol.parse().expect("a header"));
        let stream = TcpStream::connect(address).await?;
        let opened = in_time("the session is open", tokio_tungstenite::client_async(request, stream)).await;
        Ok(Session(opened?.0))
    }

    async fn exec(node: &ServedNode, command: &[&str]) -> Result<Session, Error> {
        let command: String = command.iter().map(|word| format!("&command={word}")).collect();
        Session::open(node, &format!("exec?stdin=1&stdout=1&stderr=1{command}"), "v5.channel.k8s.io").await
    }

    async fn send(&mut self, bytes: &[u8]) {
        let sent = self.0.send(Message::Binary(Bytes::copy_from_slice(bytes)));
        in_time("the server reads", sent).await.expect("sent");
    }

    /// Reads to the end. Returns the bytes of all channels.
    async fn received(mut self) -> String {
        let mut received = Vec::new();
        while let Some(Ok(message)) = in_time("the session ends", self.0.next()).await {
            if let Message::Binary(bytes) = message {
                received.extend_from_slice(bytes.get(1..).unwrap_or_default());
            }
        }
        String::from_utf8_lossy(&received).into_owned()
    }

    /// Reads to the end. Returns standard output and the status.
    async fn finish(mut self) -> (String, Value) {
        let (mut stdout, mut status) = (Vec::new(), Value::Null);
        while let Some(Ok(message)) = in_time("the session ends", self.0.next()).await {
            match (&message, message.clone().into_data().split_first()) {
                (Message::Binary(_), Some((1, bytes))) => stdout.extend_from_slice(bytes),
                (Message::Binary(_), Some((3, bytes))) => status = serde_json::from_slice(bytes).expect("a Status"),
                _ => {}
            }
        }
        (String::from_utf8(stdout).expect("text"), status)
    }
}

fn response_code(error: Option<Error>) -> u16 {
    match error {
        Some(Error::Http(response)) => response.status().as_u16(),
        other => panic!("no HTTP response: {other:?}"),
    }
}

#[tokio::test]
async fn frames_that_are_not_valid_change_nothing() {
    let node = node_with_shell();
    let mut session = Session::exec(&node, &["cat"]).await.expect("open");
    for frame in [&b""[..], b"\x01out", b"\x03{}", b"\x09what", b"\x04{\"Width\":", b"\xff\x09"] {
        session.send(frame).await;
    }
    session.send(b"\0typed").await;
    session.send(b"\xff\0").await;
    let (stdout, status) = session.finish().await;
    assert_eq!((stdout.as_str(), &status["status"]), ("typed", &json!("Success")));
}

#[tokio::test]
async fn oversized_messages_close_the_session() {
    let node = node_with_shell();
    let mut session = Session::exec(&node, &["cat"]).await.expect("open");
    // The server may close before it has read everything.
    let sent = session.0.send(Message::Binary(vec![0; 2 * 1024 * 1024].into()));
    let _ = in_time("the server reads or closes", sent).await;
    let (stdout, status) = session.finish().await;
    assert_eq!((stdout.as_str(), status), ("", Value::Null));
    let next = Session::exec(&node, &["true"]).await.expect("open").finish().await;
    assert_eq!(next.1["status"], "Success");
}

#[tokio::test]
async fn forwarded_channels_end_with_their_connections() {
    let directory = NodeDirectory::new();
    let web = "containers: [{name: c, image: nginx, readinessProbe: {httpGet: {port: 80}, periodSeconds: 1}}]";
    directory.save("a.yaml", &pod("a", web));
    let node = directory.start_node();
    node.wait("a-n1", "condition=Ready");
    let mut session = Session::open(&node, "portforward?ports=80", "v4.channel.k8s.io").await.expect("open");
    session.send(b"\0GET / HTTP/1.0\r\n\r\n").await;
    assert!(session.received().await.contains("<h1>It works</h1>"));
    let refused = Session::open(&node, "portforward?ports=9", "v4.channel.k8s.io").await.expect("open");
    assert!(refused.received().await.contains("connection refused"));
    let both = "portforward?ports=9&ports=80";
    let mut session = Session::open(&node, both, "v4.channel.k8s.io").await.expect("open");
    session.send(b"\x02GET / HTTP/1.0\r\n\r\n").await;
    let received = session.received().await;
    assert!(received.contains("connection refused") && received.contains("<h1>It works</h1>"), "{received}");
}

#[tokio::test]
async fn unknown_sub_protocols_are_forbidden() {
    let node = node_with_shell();
    for (path, protocol, code) in [
        ("exec?command=true&stdout=1", "v9.channel.k8s.io", 403),
        ("portforward?ports=80", "v9.channel.k8s.io", 403),
        ("portforward?ports=0", "v4.channel.k8s.io", 400),
        ("exec?command=true", "v5.channel.k8s.io", 400),
        ("exec?stdout=1", "v5.channel.k8s.io", 400),
    ] {
        let refused = Session::open(&node, path, protocol).await.err();
        assert_eq!(response_code(refused), code, "{path} {protocol}");
    }
}

#[tokio::test]
async fn killed_program_ends_its_session_with_its_code() {
    let node = node_with_shell();
    let session = Session::exec(&node, &["sleep", "1000"]).await.expect("open");
    // Its containers would outlive the deletion of its object.
    node.directory.remove("a.yaml");
    let (_, status) = in_time("the session ends", session.finish()).await;
    assert_eq!(status["details"]["causes"][0], json!({"reason": "ExitCode", "message": "137"}), "{status}");
}

#[tokio::test]
async fn program_is_killed_when_its_client_leaves() {
    let node = node_with_shell();
    let session = Session::exec(&node, &["sleep", "987"]).await.expect("open");
    let processes = async || Session::exec(&node, &["ps"]).await.expect("open").finish().await.0;
    assert!(processes().await.contains("sleep 987"));
    drop(session);
    eventually("the program is killed", async || !processes().await.contains("sleep 987")).await;
}

#[tokio::test]
async fn clients_that_never_read_delay_no_one() {
    let node = node_with_shell();
    let mut flooded = Vec::new();
    for _ in 0..8 {
        flooded.push(Session::exec(&node, &["yes"]).await.expect("open"));
    }
    let start = std::time::Instant::now();
    for _ in 0..20 {
        let (stdout, _) = Session::exec(&node, &["echo", "hi"]).await.expect("open").finish().await;
        assert_eq!(stdout, "hi\n");
    }
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[tokio::test]
async fn sessions_of_a_pod_are_limited() {
    let node = node_with_shell();
    let mut open = Vec::new();
    for _ in 0..MAX_SESSIONS {
        open.push(Session::open(&node, "attach?stdout=1", "v5.channel.k8s.io").await.expect("open"));
    }
    assert_eq!(response_code(Session::exec(&node, &["true"]).await.err()), 429);
    drop(open);
    eventually("sessions are free again", async || Session::exec(&node, &["true"]).await.is_ok()).await;
}
