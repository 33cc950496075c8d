//! Sessions of clients in running containers over WebSocket: the latency of exec, and the throughput of port-forward and of
//! exec's input, over plain HTTP on loopback.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{WebSocketStream, client_async};
use wasmpod::Node;
use wasmpod::model::pods;
use wasmpod::runtime::{Exit, SessionStreams};
use wasmpod::streams::channel::client::{CommandEnd, ServerFrame, stdin_close_message, stdin_message};

use super::api::{Bench, Target, in_turn};
use super::figures::{Figure, percentile};
use super::native::millis;
use super::start::guest;

const MIB: usize = 1024 * 1024;
/// Programs that are started in each of two ways, and those before them that are not measured.
const EXECS: usize = 200;
const WARM_UP: usize = 20;
/// Bytes of a response of the guest `resident` to a request for `/zeros`.
const FORWARDED: usize = 64 * MIB;
/// Size of the file that is copied into a container.
const COPIED: usize = 100 * MIB;
/// Maximum number of bytes in a message of kubectl.
const MAX_INPUT: usize = 32 * 1024;

const POD: &str = "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {volumes: [{name: v, emptyDir: {}}], containers: [\
    {name: shell, image: busybox, command: [sleep, '100000'], volumeMounts: [{name: v, mountPath: /data}]}, \
    {name: web, image: resident, readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}}]}}";

pub fn figures() -> Vec<Figure> {
    let bench = Bench::serve(Node::builder().image("resident", guest("resident")));
    bench.tokio.block_on(async {
        bench.node.apply(POD).await.expect("applied");
        bench.node.wait_ready("p").await.expect("ready");
    });
    let figures = vec![exec(&bench), port_forward(&bench), copy(&bench)];
    bench.stop();
    figures
}

/// Measures exec from the client's connection to the exit status, beside the same program without HTTP and WebSocket.
fn exec(bench: &Bench) -> Figure {
    let (mut ours, mut direct) = (Vec::new(), Vec::new());
    bench.tokio.block_on(async {
        let pod = bench.node.pod("p").await.expect("the pod");
        for _ in 0..WARM_UP + EXECS {
            ours.push(exec_true(&bench.ours).await);
            direct.push(exec_true_directly(&bench.node, pods::uid(&pod)).await);
        }
    });
    let [ours, direct] = [ours, direct].map(|mut times| percentile(&mut times[WARM_UP..], 0.5));
    // In hundredths, as the table shows them.
    let goal = f64::min(5.0, (300.0 * direct).round() / 100.0);
    Figure::new("exec_p50_ms", ours, "ms").at_most(goal).beside(direct)
}

async fn exec_true(target: &Target) -> f64 {
    let start = Instant::now();
    let mut socket = open_exec(target, "command=true&stdout=true").await;
    assert_eq!(command_end(&mut socket).await, CommandEnd::Success);
    let time = millis(start.elapsed());
    close(socket).await;
    time
}

async fn exec_true_directly(node: &Node, uid: &str) -> f64 {
    let start = Instant::now();
    let streams = SessionStreams { stdout: true, ..SessionStreams::default() };
    let session = node.handle().exec(uid, "shell", &["true".to_string()], streams).await;
    let mut session = session.expect("a session");
    assert_eq!(session.program.wait().await, Exit::Code(0));
    millis(start.elapsed())
}

/// Measures bytes from a pod through port-forward, beside a native relay.
fn port_forward(bench: &Bench) -> Figure {
    let relay = bench.tokio.block_on(native_relay());
    let ours = || bench.tokio.block_on(forwarded_rate(&bench.ours));
    let (ours, native) = in_turn(ours, || bench.tokio.block_on(relayed_rate(relay.port())));
    Figure::new("port_forward_mib_s", ours, "MiB/s").at_least_part_of(0.25, native)
}

/// Returns the MiB per second that a client of port-forward receives.
async fn forwarded_rate(target: &Target) -> f64 {
    let start = Instant::now();
    let mut socket = open(target, "portforward?ports=8080", "v4.channel.k8s.io").await;
    let request = Bytes::from_static(b"\0GET /zeros HTTP/1.1\r\nHost: p\r\n\r\n");
    socket.send(Message::Binary(request)).await.expect("sent");
    let mut received = 0;
    while received < FORWARDED {
        match &receive(&mut socket).await.expect("more bytes")[..] {
            [0, bytes @ ..] => received += bytes.len(),
            // Each channel begins with its port.
            [1, _, _] => {}
            message => panic!("{}", String::from_utf8_lossy(message)),
        }
    }
    mib_per_second(start)
}

/// Returns the MiB per second that a client of the native relay receives.
async fn relayed_rate(port: u16) -> f64 {
    let start = Instant::now();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("connected");
    let mut block = vec![0; 64 * 1024];
    let mut received = 0;
    while received < FORWARDED {
        let count = stream.read(&mut block).await.expect("bytes");
        assert!(count > 0, "the relay ended after {received} bytes");
        received += count;
    }
    mib_per_second(start)
}

fn mib_per_second(start: Instant) -> f64 {
    (FORWARDED / MIB) as f64 / start.elapsed().as_secs_f64()
}

/// Starts a server that sends zeros, and a relay to it; returns the address of the relay.
async fn native_relay() -> std::net::SocketAddr {
    let bind = async || TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let (server, relay) = (bind().await, bind().await);
    let [server_address, relay_address] = [&server, &relay].map(|it| it.local_addr().expect("an address"));
    tokio::spawn(async move {
        let block = vec![0; 64 * 1024];
        while let Ok((mut stream, _)) = server.accept().await {
            for _ in 0..FORWARDED / block.len() {
                stream.write_all(&block).await.expect("sent");
            }
        }
    });
    tokio::spawn(async move {
        while let Ok((mut client, _)) = relay.accept().await {
            let mut upstream = TcpStream::connect(server_address).await.expect("connected");
            tokio::io::copy(&mut upstream, &mut client).await.expect("relayed");
        }
    });
    relay_address
}

/// Measures a copy of a file into a container as `kubectl cp` makes it, beside the same bytes through a native process.
fn copy(bench: &Bench) -> Figure {
    let archive = archive();
    let directory = tempfile::tempdir().expect("a directory");
    let ours = || bench.tokio.block_on(extract(&bench.ours, &archive));
    let (ours, native) = in_turn(ours, || native_cat(&archive, &directory.path().join("file")));
    Figure::new("cp_100mib_s", ours, "s").beside(native)
}

/// Returns an archive of one file.
fn archive() -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.set_size(COPIED as u64);
    header.set_mode(0o644);
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_data(&mut header, "file", &*vec![7; COPIED]).expect("appended");
    archive.into_inner().expect("an archive")
}

/// Returns the seconds until the archive is extracted in a container.
async fn extract(target: &Target, archive: &[u8]) -> f64 {
    let start = Instant::now();
    let mut socket = open_exec(target, "command=tar&command=xf&command=-&command=-C&command=/data&stdin=true").await;
    for chunk in archive.chunks(MAX_INPUT) {
        socket.send(Message::Binary(stdin_message(chunk))).await.expect("sent");
    }
    socket.send(Message::Binary(stdin_close_message())).await.expect("sent");
    assert_eq!(command_end(&mut socket).await, CommandEnd::Success);
    let time = start.elapsed().as_secs_f64();
    close(socket).await;
    time
}

/// Returns the seconds until `cat` has written the bytes to a file.
fn native_cat(bytes: &[u8], path: &Path) -> f64 {
    let start = Instant::now();
    let file = File::create(path).expect("a file");
    let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(file).spawn().expect("cat starts");
    let mut stdin = child.stdin.take().expect("its input");
    for chunk in bytes.chunks(MAX_INPUT) {
        stdin.write_all(chunk).expect("written");
    }
    drop(stdin);
    assert!(child.wait().expect("exited").success());
    start.elapsed().as_secs_f64()
}

type Socket = WebSocketStream<TcpStream>;

async fn open_exec(target: &Target, parameters: &str) -> Socket {
    open(target, &format!("exec?container=shell&{parameters}"), "v5.channel.k8s.io").await
}

/// Connects to a subresource of the pod.
async fn open(target: &Target, subresource: &str, protocol: &'static str) -> Socket {
    let Target { address, token, .. } = target;
    let url = format!("ws://{address}/api/v1/namespaces/default/pods/p/{subresource}");
    let mut request = url.into_client_request().expect("a request");
    let headers = request.headers_mut();
    headers.insert("authorization", format!("Bearer {token}").parse().expect("a token"));
    headers.insert("sec-websocket-protocol", protocol.parse().expect("a protocol"));
    let stream = TcpStream::connect(address).await.expect("connected");
    stream.set_nodelay(true).expect("no delay");
    client_async(request, stream).await.expect("a WebSocket").0
}

/// Returns the next message; `None` once the server closes the connection. Answers pings meanwhile.
async fn receive(socket: &mut Socket) -> Option<Bytes> {
    loop {
        match socket.next().await?.expect("a message") {
            Message::Binary(bytes) => return Some(bytes),
            Message::Close(_) => return None,
            _ => {}
        }
    }
}

/// Waits for the exit status, and ignores output.
async fn command_end(socket: &mut Socket) -> CommandEnd {
    loop {
        let message = receive(socket).await.expect("a status before the end");
        if let Some(ServerFrame::Status(json)) = ServerFrame::decode(message) {
            return CommandEnd::from_status(&json);
        }
    }
}

/// Waits until both sides have closed the connection.
async fn close(mut socket: Socket) {
    while receive(&mut socket).await.is_some() {}
    while socket.next().await.is_some() {}
}
