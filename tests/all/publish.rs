//! Published ports: `--publish`, `--publish-all` and `hostPort`.

use std::io::ErrorKind;
use std::net::SocketAddr;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use wasmpod::Node;
use wasmpod::control::{Resource, Scope};
use wasmpod::k8s_openapi::api::core::v1::Event;

use crate::support::{
    NodeDirectory, RunningProcess, SecurityPolicy, ServedNode, chromium, curl, eventually, guest, in_time, pod, run,
    scripts, test_file,
};

const WEB: &str = "containers: [{name: c, image: nginx, ports: [{containerPort: 80}]}]";

/// Returns the spec of a web server with a host port.
fn web_at(port: u16) -> String {
    format!("containers: [{{name: c, image: nginx, ports: [{{containerPort: 80, hostPort: {port}}}]}}]")
}

/// Returns a port that was free a moment ago.
fn free_port() -> u16 {
    held_port().1
}

/// Returns a port that this program holds.
fn held_port() -> (std::net::TcpListener, u16) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    (listener, port)
}

fn loopback(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

/// Sends `request`, finishes sending, and reads to the end.
async fn exchange(address: SocketAddr, request: &str) -> std::io::Result<String> {
    let exchanged = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(request.as_bytes()).await?;
        stream.shutdown().await?;
        let mut response = String::new();
        stream.read_to_string(&mut response).await?;
        Ok(response)
    };
    in_time("the exchange ends", exchanged).await
}

/// Requests a page.
async fn page(address: SocketAddr) -> std::io::Result<String> {
    exchange(address, "GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n").await
}

/// Waits until the built-in web server answers.
async fn wait_for_page(address: SocketAddr) {
    eventually("the page is served", async || match page(address).await {
        Ok(page) if page.contains("<h1>It works</h1>") => Ok(()),
        other => Err(other),
    })
    .await;
}

/// Waits for the line with the address of `pod`.
fn printed_address(child: &RunningProcess, pod: &str) -> SocketAddr {
    let prefix = format!("{pod}: http://");
    child.wait_for(&prefix);
    child.wait_for("\n");
    let stderr = child.stderr();
    let address = stderr.lines().find_map(|line| line.strip_prefix(&prefix));
    address.and_then(|address| address.parse().ok()).unwrap_or_else(|| panic!("no address: {stderr}"))
}

/// Returns the reasons and messages of a pod's events.
async fn events(node: &Node, pod: &str) -> Vec<(String, String)> {
    let list = node.control().list(&Scope::all(Resource::EVENTS)).await.expect("events");
    let events = list.items.iter().map(|object| object.decode::<Event>().expect("an event"));
    let events = events.filter(|event| event.involved_object.name.as_deref() == Some(pod));
    events.map(|event| (event.reason.clone().unwrap_or_default(), event.message.clone().unwrap_or_default())).collect()
}

/// Waits for an event of `pod` and returns its message.
async fn event(node: &Node, pod: &str, reason: &str) -> String {
    eventually("there is the event", async || {
        let events = events(node, pod).await;
        let found = events.iter().find(|event| event.0 == reason).map(|event| event.1.clone());
        found.ok_or(events)
    })
    .await
}

#[tokio::test]
async fn declared_ports_are_published_at_printed_addresses() {
    let child = run().arg(test_file("manifests/nginx.yaml")).arg("-P").start();
    let address = printed_address(&child, "nginx");
    assert!(address.ip().is_loopback(), "{address}");
    wait_for_page(address).await;
    child.interrupt();
    let output = child.output().expect_code(130);
    assert_eq!(output.stderr.matches("nginx: http://").count(), 1, "{}", output.stderr);
    assert!(!output.stderr.contains("inside its pod"), "{}", output.stderr);
}

#[tokio::test]
async fn curl_and_chromium_get_the_published_page() {
    let child = run().arg(test_file("manifests/nginx.yaml")).arg("-P").start();
    let address = printed_address(&child, "nginx");
    wait_for_page(address).await;
    let url = format!("http://{address}/");
    let (code, text) = curl(&url, &[]);
    assert_eq!((code.as_str(), text.contains("<h1>It works</h1>")), ("200", true), "{text}");
    let shown = json!({"status": 200, "title": "wasmpod", "heading": "It works", "outcome": null});
    assert_eq!(chromium(&url, &SecurityPolicy::Obeyed), shown);
    child.interrupt();
    child.output().expect_code(130);
}

#[tokio::test]
async fn published_port_reaches_the_named_pod_only() {
    let manifest = [pod("a", WEB), scripts("b", &[("c", "echo from b | nc -l -p 80")])].join("---\n");
    let child = run().args(["-p", "a::80", "--publish", "b:127.0.0.1:0:80/tcp"]).manifest(&manifest).start();
    wait_for_page(printed_address(&child, "a")).await;
    let b = printed_address(&child, "b");
    eventually("b answers", async || match exchange(b, "to b\n").await {
        Ok(text) if text == "from b\n" => Ok(()),
        other => Err(other),
    })
    .await;
    child.wait_for("b/c | to b\n");
    child.interrupt();
    child.output().expect_code(130);
}

#[tokio::test]
async fn single_program_can_be_published() {
    let child = run().arg(guest("wasm32-wasip2", "httpd")).args(["-p", ":8080", "--env", "PORT=8080"]).start();
    let name = guest("wasm32-wasip2", "httpd").display().to_string();
    let address = printed_address(&child, &name);
    eventually("it answers", async || match page(address).await {
        Ok(page) if page.starts_with("HTTP/1.1 ") => Ok(()),
        other => Err(other),
    })
    .await;
    child.interrupt();
    child.output();
}

#[test]
fn unpublished_port_is_hinted_at_once() {
    let child = run().manifest(&pod("web", WEB)).start();
    let hint = "web listens on 80 inside its pod; publish it with --publish 8080:80\n";
    child.wait_for(hint);
    child.interrupt();
    let output = child.output().expect_code(130);
    assert_eq!(output.stderr.matches("inside its pod").count(), 1, "{}", output.stderr);
}

#[test]
fn taken_ports_end_the_run_before_anything_starts() {
    let (_listener, port) = held_port();
    let output = run().args(["-p", &format!("{port}:80")]).manifest(&pod("web", WEB)).output().expect_code(2);
    let remedy = "choose another host port, or 0 for a free one";
    assert_eq!(output.stderr, format!("error: --publish {port}:80: address already in use; {remedy}\n"));
    let output = run().manifest(&pod("web", &web_at(port))).output().expect_code(2);
    let error = format!("error: pod web: host port {port}: address already in use; free it or change hostPort\n");
    assert_eq!(output.stderr, error);
    let free = "127.0.0.2:0:80";
    let twice = format!("127.0.0.2:{port}:80");
    let output =
        run().args(["-p", free, "-p", &twice, "-p", &twice]).manifest(&pod("web", WEB)).output().expect_code(2);
    assert!(output.stderr.ends_with(&format!("error: --publish {twice}: already published; {remedy}\n")), "{output:?}");
}

#[test]
fn invalid_publish_flags_are_rejected() {
    for (args, part) in [
        (&["-p", "80"][..], "expected HOSTPORT:PORT, such as 8080:80"),
        (&["-p", "8080:80/udp"], "UDP ports cannot be published yet"),
        (&["-p", "x:8080:80"], "there is no pod x; the pods are: web"),
        (&["-p", "192.0.2.1:8080:80"], "choose an address of this machine"),
        (&["--publish-address", "home"], "invalid IP address syntax"),
    ] {
        let output = run().args(args).manifest(&pod("web", WEB)).output().expect_code(2);
        assert!(output.stderr.contains(part), "{args:?}: {}", output.stderr);
    }
    let output = run().args(["-P", "app.wasm"]).output().expect_code(2);
    assert!(output.stderr.contains("--publish-all cannot be used with a .wasm file"), "{}", output.stderr);
}

#[tokio::test]
async fn host_port_of_another_pod_keeps_a_pod_pending() {
    let (node, port) = (Node::in_memory().expect("a node"), free_port());
    node.apply(pod("first", &web_at(port))).await.expect("applied");
    wait_for_page(loopback(port)).await;
    node.apply(pod("second", &web_at(port))).await.expect("applied");
    let message = event(&node, "second", "FailedScheduling").await;
    assert!(message.contains("1 node(s) didn't have free ports for the requested pod ports."), "{message}");
    assert_eq!(node.status("second").await.expect("a status").phase.as_deref(), Some("Pending"));
    let fixed = format!("nodeName: wasmpod, {}", web_at(port));
    node.apply(pod("third", &fixed)).await.expect("applied");
    let rejected = event(&node, "third", "NodePorts").await;
    let status = node.status("third").await.expect("a status");
    assert_eq!((status.phase.as_deref(), status.reason.as_deref()), (Some("Failed"), Some("NodePorts")));
    assert_eq!(status.message, Some(format!("Pod was rejected: {rejected}")));
    node.delete("first").await.expect("deleted");
    node.wait_ready("second").await.expect("the port is free");
    wait_for_page(loopback(port)).await;
    node.stop().await;
    assert_eq!(page(loopback(port)).await.map_err(|error| error.kind()), Err(ErrorKind::ConnectionRefused));
}

#[tokio::test]
async fn host_port_of_another_program_is_awaited() {
    let node = Node::in_memory().expect("a node");
    let (listener, port) = held_port();
    node.apply(pod("web", &web_at(port))).await.expect("applied");
    let message = event(&node, "web", "FailedCreatePodSandBox").await;
    assert_eq!(message, format!("Failed to create pod sandbox: host port {port}: address already in use"));
    drop(listener);
    node.wait_ready("web").await.expect("the port is free");
    wait_for_page(loopback(port)).await;
}

#[tokio::test]
async fn serve_opens_host_ports_on_the_publish_address() {
    let (directory, port) = (NodeDirectory::new(), free_port());
    directory.save("web.yaml", &pod("web", &web_at(port)));
    let child = directory.serve().args(["--publish-address", "127.0.0.2"]).start();
    let node = ServedNode::ready(child, directory);
    wait_for_page(([127, 0, 0, 2], port).into()).await;
    let elsewhere = TcpStream::connect(loopback(port)).await;
    assert_eq!(elsewhere.map(|_| ()).map_err(|error| error.kind()), Err(ErrorKind::ConnectionRefused));
    node.terminate().expect_code(0);
}

#[tokio::test]
async fn program_on_loopback_is_reported_once() {
    let (node, port) = (Node::in_memory().expect("a node"), free_port());
    let spec = format!(
        "containers: [{{name: c, image: busybox, command: [httpd, -f, -p, '127.0.0.1:8080'], \
         ports: [{{containerPort: 8080, hostPort: {port}}}]}}]"
    );
    node.apply(pod("p", &spec)).await.expect("applied");
    let message = eventually("it is reported", async || {
        let reset = page(loopback(port)).await;
        let events = events(&node, "p").await;
        events.into_iter().find(|event| event.0 == "PortNotReachable").map(|event| event.1).ok_or(reset)
    })
    .await;
    let problem = "container port 8080 is published, but the program listens on 127.0.0.1 only";
    assert_eq!(message, format!("{problem}; let it listen on 0.0.0.0"));
}

#[tokio::test]
async fn connection_without_a_program_is_reset() {
    let (node, port) = (Node::in_memory().expect("a node"), free_port());
    let spec = format!(
        "containers: [{{name: c, image: busybox, command: [sleep, '1000'], \
         ports: [{{containerPort: 80, hostPort: {port}}}]}}]"
    );
    node.apply(pod("p", &spec)).await.expect("applied");
    node.wait_ready("p").await.expect("ready");
    let kind = page(loopback(port)).await.map_err(|error| error.kind());
    assert!(
        matches!(kind, Err(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::NotConnected)),
        "{kind:?}"
    );
}

#[tokio::test]
async fn replaced_pod_keeps_its_port() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("pod.yaml");
    let save = |label: &str| {
        let yaml =
            format!("{{apiVersion: v1, kind: Pod, metadata: {{name: web, labels: {{v: {label}}}}}, spec: {{{WEB}}}}}");
        let new = directory.path().join("pod.yaml.new");
        std::fs::write(&new, yaml).expect("written");
        std::fs::rename(new, &path).expect("in place");
    };
    save("one");
    let child = run().arg(&path).args(["--watch", "-p", ":80"]).start();
    let address = printed_address(&child, "web");
    wait_for_page(address).await;
    save("two");
    child.wait_for("pod web changed: replacing it");
    eventually("the new pod runs", async || {
        let error = TcpStream::connect(address).await.err().map(|error| error.kind());
        assert_ne!(error, Some(ErrorKind::ConnectionRefused), "the port was closed");
        child.stderr().matches("web: Running").count() == 2
    })
    .await;
    wait_for_page(address).await;
    child.interrupt();
    child.output().expect_code(130);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parallel_connections_are_all_served() {
    let (node, port) = (Node::in_memory().expect("a node"), free_port());
    node.apply(pod("web", &web_at(port))).await.expect("applied");
    wait_for_page(loopback(port)).await;
    let mut clients = tokio::task::JoinSet::new();
    (0..200).for_each(|_| _ = clients.spawn(page(loopback(port))));
    let pages = clients.join_all().await;
    let served = pages.iter().filter(|page| page.as_ref().is_ok_and(|page| page.contains("It works"))).count();
    assert_eq!(served, 200, "{:?}", pages.iter().find(|page| page.is_err()));
}

#[tokio::test]
async fn half_closed_connection_transfers_both_ways() {
    let (node, port) = (Node::in_memory().expect("a node"), free_port());
    let script = "nc -l -p 80 < /etc/hosts > got; wc -c < got";
    let spec = format!(
        "restartPolicy: Never, containers: [{{name: c, image: busybox, command: [sh, -c, {script:?}], \
         ports: [{{containerPort: 80, hostPort: {port}}}]}}]"
    );
    node.apply(pod("p", &spec)).await.expect("applied");
    let request = "x".repeat(3_000_000);
    let response = eventually("it listens", async || exchange(loopback(port), &request).await).await;
    assert!(response.contains("localhost"), "{response}");
    node.wait_complete("p").await.expect("it completes");
    assert_eq!(node.logs("p", "c").await.expect("logs").trim(), "3000000");
}
