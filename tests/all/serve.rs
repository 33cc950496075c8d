//! `wasmpod serve`: authorization, shutdown, and the state that outlives it.

use std::net::{IpAddr, TcpListener, UdpSocket};
use std::time::Duration;

use rustix::process::Signal;

use crate::support::{NodeDirectory, ServedNode, command, curl, measure, pod, serve_node};

/// Exits at once on SIGTERM.
const IDLE: &str = "containers: [{name: c, image: busybox, command: [sleep, '1000']}]";
/// Ignores SIGTERM.
const STUBBORN: &str = "terminationGracePeriodSeconds: 600, containers: [{name: c, image: busybox, command: [sh, -c, \
    'trap \"echo not yet\" TERM; echo up; while true; do sleep 0.1; done']}]";

#[test]
fn server_requires_the_token_and_its_own_host_name() {
    let node = serve_node();
    let token = format!("Authorization: Bearer {}", node.token());
    let plain = node.url.replace("https://", "http://");
    for url in [&node.url, &plain] {
        let pods = format!("{url}/api/v1/pods");
        for (url, args, code) in [
            (&pods, vec![], "401"),
            (&pods, vec!["-H", "Authorization: Bearer wrong"], "401"),
            (&pods, vec!["-H", token.as_str()], "200"),
            (&pods, vec!["-H", token.as_str(), "-H", "Host: evil.example"], "403"),
            (&pods, vec!["-H", token.as_str(), "-H", "Origin: http://evil.example"], "403"),
            (&format!("{url}/livez"), vec![], "200"),
            (&format!("{url}/readyz?verbose"), vec![], "200"),
            (&format!("{url}/livez"), vec!["-H", "Host: evil.example"], "403"),
        ] {
            let (got, text) = curl(url, &args);
            assert_eq!(got, code, "{url} {args:?}: {text}");
        }
    }
    let anonymous = node.kubectl("get pods --token=wrong").output();
    assert_eq!(anonymous.code, 1, "{anonymous:?}");
    assert!(anonymous.stderr.contains("You must be logged in to the server"), "{}", anonymous.stderr);
}

#[test]
fn terminated_pods_end_within_the_grace() {
    let directory = NodeDirectory::new();
    directory.save("a.yaml", &pod("a", IDLE));
    directory.save("b.yaml", &pod("b", STUBBORN));
    let child = directory.serve_at("127.0.0.1:0", "1s").arg("--terminate-pods").start();
    let node = ServedNode::ready(child, directory);
    node.wait("a-n1", "condition=Ready");
    node.wait("b-n1", "condition=Ready");
    let follow = node.kubectl("logs b-n1 -f").start();
    follow.wait_for("up\n");
    // Until the last pod has finished, the API shows the status of the others.
    let wait = node.kubectl("wait pod/a-n1 --for=jsonpath={.status.reason}=Terminated --timeout=20s").start();
    let mut output = None;
    let took = measure(|| output = Some(node.terminate()));
    let output = output.expect("it ended").expect_code(0);
    assert!(
        output.stderr.contains("stopping the pods (for up to 1s); send a second signal to kill them"),
        "{}",
        output.stderr
    );
    assert!(took < Duration::from_secs(5), "{took:?}");
    wait.output().expect_code(0);
    follow.wait_for("not yet\n");
}

#[test]
fn second_signal_kills() {
    let directory = NodeDirectory::new();
    directory.save("b.yaml", &pod("b", STUBBORN));
    let child = directory.serve_at("127.0.0.1:0", "10m").start();
    let node = ServedNode::ready(child, directory);
    node.wait("b-n1", "condition=Ready");
    node.process.signal(Signal::TERM);
    node.process.wait_for("stopping the pods");
    node.process.signal(Signal::TERM);
    let mut output = None;
    let took = measure(|| output = Some(node.process.output()));
    assert!(output.expect("it ended").expect_code(0).stderr.contains("killing the remaining pods"));
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn keys_and_kubeconfig_survive_a_kill() {
    let first = serve_node();
    let (token, port) = (first.token(), first.url.rsplit(':').next().expect("a port").to_string());
    let kubeconfig = std::fs::read_to_string(first.directory.kubeconfig()).expect("a kubeconfig");
    let ca = |directory: &NodeDirectory| {
        ["ca.key", "ca.crt"].map(|file| std::fs::read(directory.state().join(file)).expect("a file"))
    };
    let first_ca = ca(&first.directory);
    first.process.signal(Signal::KILL);
    let ServedNode { process, directory, .. } = first;
    assert_eq!(process.output().code, -1, "the process was not killed by a signal");
    // Listens at the same address, as with a fixed port.
    let old = directory.state().join("old-kubeconfig");
    std::fs::write(&old, kubeconfig).expect("written");
    let child = directory.serve_at(&format!("127.0.0.1:{port}"), "5s").start();
    let again = ServedNode::ready(child, directory);
    assert_eq!(again.token(), token);
    assert_eq!(ca(&again.directory), first_ca);
    again.kubectl("get nodes").env("KUBECONFIG", old).output().expect_code(0);
}

#[test]
fn unsupported_methods_and_long_queries_are_rejected() {
    let node = serve_node();
    let token = format!("Authorization: Bearer {}", node.token());
    let pods = format!("{}/api/v1/namespaces/default/pods", node.url);
    let body = format!("{{\"x\": \"{}\"}}", "y".repeat(100_000));
    // Over HTTP/2, a response that precedes the end of the body may be lost.
    for _ in 0..10 {
        let (code, text) = curl(&pods, &["-H", &token, "-X", "PUT", "-d", &body]);
        assert_eq!(code, "405", "{text}");
    }
    let long = format!("{pods}?labelSelector={}", "a".repeat(40_000));
    let (code, text) = curl(&long, &["-H", &token]);
    assert_eq!(code, "400", "{text}");
    assert!(text.contains("the limit is 32768"), "{text}");
}

#[test]
fn invalid_node_names_and_tokens_are_rejected() {
    let directory = NodeDirectory::new();
    let refused = command("serve")
        .args(["--node-name", "Bad Name", "--state-dir"])
        .arg(directory.state())
        .output()
        .expect_code(2);
    assert!(refused.stderr.contains("--node-name \"Bad Name\": a lowercase RFC 1123"), "{}", refused.stderr);
    std::fs::create_dir_all(directory.state()).expect("created");
    let token = directory.state().join("token");
    std::fs::write(&token, "bad").expect("written");
    std::fs::set_permissions(&token, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("chmod");
    let refused = directory.serve().output();
    assert!(refused.code != 0 && refused.stderr.contains("does not contain a token"), "{}", refused.stderr);
}

#[test]
fn two_nodes_never_share_a_state_directory() {
    let node = serve_node();
    let other = node.directory.serve().output().expect_code(2);
    let expected = "is in use by another `wasmpod serve`; use --state-dir to choose another";
    assert!(other.stderr.contains(expected), "{}", other.stderr);
    node.kubectl_stdout("get nodes");
}

#[test]
fn used_ports_and_missing_directories_are_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let refused = NodeDirectory::new().serve_at(&address, "5s").output().expect_code(2);
    let expected = [format!("cannot listen on {address}: Address already in use"), "or port 0 for a free port".into()];
    assert!(expected.iter().all(|expected| refused.stderr.contains(expected)), "{}", refused.stderr);
    let directory = NodeDirectory::new();
    std::fs::remove_dir(directory.manifests()).expect("removed");
    let refused = directory.serve().output().expect_code(2);
    assert!(refused.stderr.contains("pods: directory does not exist"), "{}", refused.stderr);
}

#[test]
fn remote_clients_are_served_over_tls_only() {
    let directory = NodeDirectory::new();
    let child = directory.serve_at("0.0.0.0:0", "5s").start();
    let node = ServedNode::ready(child, directory);
    let port = node.url.rsplit(':').next().expect("a port");
    let own = own_address();
    let token = format!("Authorization: Bearer {}", node.token());
    let (code, _) = curl(&format!("https://{own}:{port}/api/v1/pods"), &["-H", &token]);
    assert_eq!(code, "200");
    let (code, text) = curl(&format!("http://{own}:{port}/livez"), &[]);
    // A machine without a network has only its loopback address, where plain HTTP is allowed.
    match own.is_loopback() {
        true => assert_eq!(code, "200"),
        false => assert_eq!(
            (code.as_str(), text.as_str()),
            ("403", "plain HTTP is allowed only on this machine: use https\n")
        ),
    }
    let (code, _) = curl(&format!("http://127.0.0.1:{port}/livez"), &[]);
    assert_eq!(code, "200");
}

/// Returns this machine's address in its network. Connecting a UDP socket sends nothing.
fn own_address() -> IpAddr {
    let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
    let routed = socket.connect("192.0.2.99:9").and_then(|()| socket.local_addr());
    routed.map_or(IpAddr::from([127, 0, 0, 1]), |address| address.ip())
}

#[test]
fn command_line_manifests_run_and_invalid_ones_exit() {
    let directory = NodeDirectory::new();
    let file = directory.state().with_file_name("pod.yaml");
    std::fs::write(&file, pod("a", IDLE)).expect("written");
    let child = directory.serve().arg(&file).start();
    let node = ServedNode::ready(child, directory);
    node.wait("a", "condition=Ready");
    std::fs::write(&file, pod("a", "containers: [{name: c, imag: busybox}]")).expect("written");
    let refused = NodeDirectory::new().serve().arg(&file).output().expect_code(2);
    for text in ["pod.yaml:1:", "spec.containers[0].imag", "did you mean"] {
        assert!(refused.stderr.contains(text), "{text}: {}", refused.stderr);
    }
}
