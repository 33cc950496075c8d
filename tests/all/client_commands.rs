//! `wasmpod exec`, `attach`, `cp`, `port-forward`, `get`, `events`, `apply` and `delete` on a served node.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};

use rustix::process::Signal;

use crate::support::{
    NodeDirectory, RunningProcess, ServedNode, Terminal, TestCommand, connect, eventually, pod, serve_node,
};

/// A node with a pod of two containers: one serves a page, the other is a shell that reads its input.
fn node_with_two_containers() -> ServedNode {
    let directory = NodeDirectory::new();
    let spec = "volumes: [{name: v, emptyDir: {}}], containers: [
          {name: web, image: busybox, command: [sh, -c, 'echo page > /www/index.html; httpd -p 8080 -h /www; sleep 1000'],
            volumeMounts: [{name: v, mountPath: /www}]},
          {name: shell, image: busybox, command: [sh], stdin: true}]";
    directory.save("two.yaml", &pod("two", spec));
    let node = directory.start_node();
    node.wait("two-n1", "condition=Ready");
    node
}

#[test]
fn exec_passes_streams_and_the_exit_code() {
    let node = node_with_two_containers();
    for (args, stdin, code, stdout, stderr) in [
        (&["-c", "web", "--", "echo", "hi"][..], "", 0, "hi\n", ""),
        (&["-c", "web", "echo", "-n", "no dashes"], "", 0, "no dashes", ""),
        (&["--", "echo", "hi"], "", 0, "hi\n", "Defaulted container \"web\" out of: web, shell\n"),
        (
            &["-c", "web", "--", "sh", "-c", "echo out; echo err >&2; exit 7"],
            "",
            7,
            "out\n",
            "err\ncommand terminated with exit code 7\n",
        ),
        (&["-i", "-c", "web", "--", "wc", "-c"], "12345", 0, "5\n", ""),
        // The input ends where the program's does.
        (&["-i", "-c", "web", "--", "sh", "-c", "cat; echo end"], "text\n", 0, "text\nend\n", ""),
        (
            &["-it", "-c", "web", "--", "echo", "hi"],
            "",
            0,
            "hi\n",
            "Unable to use a TTY - input is not a terminal or the right kind of file\n",
        ),
    ] {
        let output = node.wasmpod("exec two-n1").args(args).stdin(stdin).output();
        assert_eq!((output.code, output.stdout.as_str(), output.stderr.as_str()), (code, stdout, stderr), "{args:?}");
    }
}

#[test]
fn exec_that_fails_prints_what_kubectl_prints() {
    let node = node_with_two_containers();
    node.directory.save(
        "done.yaml",
        &pod("done", "restartPolicy: Never, containers: [{name: c, image: busybox, command: ['true']}]"),
    );
    node.wait("done-n1", "jsonpath={.status.phase}=Succeeded");
    for args in [
        &["two-n1", "-c", "none", "--", "ls"][..],
        &["two-n1", "-c", "web", "--", "none"],
        &["done-n1", "--", "ls"],
        &["none", "--", "ls"],
    ] {
        let ours = node.wasmpod("exec").args(args).output().expect_code(1).stderr;
        let theirs = node.kubectl("exec").args(args).output().expect_code(1).stderr;
        // kubectl names the reason of a Status, too: `Error from server (NotFound): `.
        let message = |text: &str| text.split_once(": ").map(|(_, message)| message.to_string());
        assert_eq!(message(&ours), message(&theirs), "{args:?}");
        assert!(ours.starts_with("error: "), "{ours}");
    }
    let output = node.wasmpod("exec two-n1").output().expect_code(2);
    assert!(output.stderr.contains("COMMAND"), "{}", output.stderr);
}

#[test]
fn large_input_and_output_arrive_complete() {
    let node = node_with_two_containers();
    let input: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let count = node.wasmpod("exec two-n1 -c web -i -- wc -c").stdin(input).output().expect_code(0);
    assert_eq!(count.stdout, "4000000\n");
    let lines = node.wasmpod("exec two-n1 -c web -- seq 1 200000").output().expect_code(0).stdout;
    assert_eq!((lines.len(), lines.lines().last()), (1_288_895, Some("200000")));
}

#[test]
fn terminal_session_is_interactive_and_restored() {
    let node = node_with_two_containers();
    let terminal = Terminal::new(91, 31);
    let binary = crate::support::binary().display().to_string();
    let script = format!("{binary} exec two-n1 -c web -it -- sh; echo code $?; stty -a");
    let shell = crate::support::program("/bin/sh".into()).env("KUBECONFIG", node.directory.kubeconfig());
    let session = shell.args(["-c", &script]).start_in(&terminal);
    session.wait_for("# ");
    terminal.type_text("echo $((6 * 7)).\r");
    session.wait_for("42.");
    terminal.type_text("exit 7\r");
    let output = session.output().stdout;
    let after = output.rsplit("code 7").next().unwrap_or_default();
    assert!(after.contains(" icanon") && after.contains(" echo ") && after.contains("rows 31"), "{output}");
}

#[test]
fn attach_shows_output_and_sends_input() {
    let node = node_with_two_containers();
    let attached = node.wasmpod("attach -i two-n1 -c shell").stdin("echo $((6 * 7))\n").start();
    attached.wait_for("42\n");
    assert_eq!(node.kubectl_stdout("logs two-n1 -c shell"), "42\n");
    let refused = node.wasmpod("attach -it two-n1 -c web").stdin("").start();
    refused.wait_for("error: Unable to use a TTY - container web did not allocate one\n");
}

#[test]
fn files_are_copied_in_both_directions() {
    let node = node_with_two_containers();
    let local = tempfile::tempdir().expect("a directory");
    let path = |name: &str| local.path().join(name);
    let bytes: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
    std::fs::create_dir_all(path("in/sub dir")).expect("created");
    std::fs::create_dir(path("in/empty")).expect("created");
    std::fs::write(path("in/big"), &bytes).expect("written");
    std::fs::write(path("in/sub dir/a name"), "text").expect("written");
    std::os::unix::fs::symlink("sub dir", path("in/link")).expect("linked");
    let copy = |source: &str, destination: &str| {
        node.wasmpod("cp -c web").args([source, destination]).dir(local.path()).output().expect_code(0);
    };
    // A new name, an existing directory, and the contents of the current directory.
    copy("in", "two-n1:/new");
    copy("in", "two-n1:/www");
    for (source, destination) in [("two-n1:/new", "out"), ("default/two-n1:/www/in/", "made/for/it")] {
        copy(source, destination);
        let file = |name: &str| std::fs::read(path(destination).join(name)).expect("copied");
        assert!(file("big") == bytes, "{destination}");
        assert_eq!(file("link/a name"), b"text", "{destination}");
        assert!(path(destination).join("empty").is_dir(), "{destination}");
    }
    copy("two-n1:/new/sub dir/a name", "out");
    assert_eq!(std::fs::read(path("out/a name")).expect("copied"), b"text");
    for (args, code, message) in [
        (["none", "two-n1:/x"], 2, "error: none doesn't exist in local filesystem\n"),
        (["in", "out"], 2, "error: one of src or dest must be a remote file specification\n"),
        (["two-n1:/a", "two-n1:/b"], 2, "error: one of src or dest must be a local file specification\n"),
        (["two-n1:/none", "x"], 1, "command terminated with exit code 1\n"),
        (["in/big", "two-n1:/none/x"], 1, "command terminated with exit code 1\n"),
    ] {
        let output = node.wasmpod("cp -c web").args(args).dir(local.path()).output().expect_code(code);
        assert!(output.stderr.ends_with(message), "{args:?}: {}", output.stderr);
    }
}

#[test]
fn copied_links_that_lead_out_are_skipped() {
    let node = node_with_two_containers();
    let script = "mkdir -p /hostile/a; ln -s ../../../etc /hostile/a/out; echo fine > /hostile/a/file";
    node.wasmpod("exec two-n1 -c web -- sh -c").arg(script).output().expect_code(0);
    let local = tempfile::tempdir().expect("a directory");
    let output = node.wasmpod("cp -c web two-n1:/hostile target").dir(local.path()).output().expect_code(1);
    assert!(output.stderr.contains("warning: skipping \"./hostile/a/out\""), "{}", output.stderr);
    assert_eq!(std::fs::read(local.path().join("target/a/file")).expect("copied"), b"fine\n");
    assert!(local.path().join("target/a/out").symlink_metadata().is_err());
}

#[test]
fn pods_are_named_as_for_kubectl() {
    let node = node_with_two_containers();
    for line in ["describe two-n1", "describe pod two-n1", "describe pods/two-n1"] {
        assert!(node.wasmpod(line).output().expect_code(0).stdout.starts_with("Name:"), "{line}");
    }
    for line in ["logs two-n1 -c web", "logs pod/two-n1 -c web"] {
        node.wasmpod(line).output().expect_code(0);
    }
    let refused = node.wasmpod("describe deployment web").output().expect_code(2);
    assert_eq!(refused.stderr, "error: describe shows pods, not deployment\n");
}

#[test]
fn port_forward_serves_many_connections_and_reports_refusals() {
    let node = node_with_two_containers();
    let forward = node.wasmpod("port-forward two-n1 :8080 :8081").start();
    forward.wait_for("-> 8081\n");
    let get = |port: u16| {
        let mut stream = connect(port);
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").expect("sent");
        let mut page = String::new();
        stream.read_to_string(&mut page).map(|_| page)
    };
    let port = forwarded_port(&forward, 8080);
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..20).map(|_| scope.spawn(|| get(port).expect("a page"))).collect();
        for client in clients {
            let page = client.join().expect("a client");
            assert!(page.ends_with("page\n"), "{page}");
        }
    });
    assert_eq!(get(forwarded_port(&forward, 8081)).unwrap_or_default(), "");
    forward.wait_for("connection refused");
    forward.interrupt();
    let output = forward.output().expect_code(0);
    assert_eq!(output.stdout.matches(&format!("Handling connection for {port}\n")).count(), 20);
}

#[tokio::test]
async fn port_forward_passes_on_the_end_of_input() {
    let node = node_with_two_containers();
    // Each nc sends nothing, and ends with its client's input.
    let script = "while true; do nc -l -p 9000 < /dev/null >> /tmp/received; done";
    let _server = node.wasmpod("exec two-n1 -c web -- sh -c").arg(script).start();
    let forward = node.wasmpod("port-forward pod/two-n1 :9000").start();
    forward.wait_for("-> 9000\n");
    let port = forwarded_port(&forward, 9000);
    eventually("the pod receives all input", async || {
        let mut stream = connect(port);
        // Fails if the server does not listen yet.
        let sent = stream.write_all(b"all of it\n").and_then(|()| stream.shutdown(Shutdown::Write));
        let _ = sent.and_then(|()| stream.read_to_end(&mut Vec::new()));
        let received = node.wasmpod("exec two-n1 -c web -- cat /tmp/received").output();
        received.stdout.starts_with("all of it\n")
    })
    .await;
}

#[tokio::test]
async fn port_forward_reads_uploads_of_clients_that_do_not_read() {
    const SENT: usize = 16 << 20;
    const RECEIVED: usize = 32 << 20;
    let node = node_with_two_containers();
    let script = format!("head -c {RECEIVED} /dev/zero | nc -l -p 9000 > /www/received");
    let server = node.wasmpod("exec two-n1 -c web -- sh -c").arg(script).start();
    let forward = node.wasmpod("port-forward pod/two-n1 :9000").start();
    forward.wait_for("-> 9000\n");
    let port = forwarded_port(&forward, 9000);
    let mut stream = eventually("the pod listens", async || {
        let mut stream = connect(port);
        stream.read_exact(&mut [0]).map(|()| stream).ok()
    })
    .await;
    stream.write_all(&vec![1; SENT]).expect("sent");
    stream.shutdown(Shutdown::Write).expect("shut down");
    let mut received = Vec::new();
    stream.read_to_end(&mut received).expect("received");
    assert_eq!(1 + received.len(), RECEIVED);
    server.output().expect_code(0);
    let uploaded = node.wasmpod("exec two-n1 -c web -- wc -c /www/received").output().expect_code(0);
    assert_eq!(uploaded.stdout, format!("{SENT} /www/received\n"));
}

#[test]
fn port_forward_ends_with_its_pod_or_server() {
    let node = node_with_two_containers();
    let start = |command: TestCommand| {
        let forward = command.start();
        forward.wait_for("-> 8080\n");
        forward
    };
    let assert_lost = |forward: RunningProcess| {
        let output = forward.output().expect_code(1);
        assert_eq!(output.stderr, "error: lost connection to pod\n");
    };
    let forwards = [node.wasmpod("port-forward two-n1 :8080"), node.kubectl("port-forward two-n1 :8080")].map(start);
    node.directory.remove("two.yaml");
    forwards.into_iter().for_each(assert_lost);
    let node = node_with_two_containers();
    let forward = start(node.wasmpod("port-forward two-n1 :8080"));
    node.process.signal(Signal::KILL);
    assert_lost(forward);
}

#[test]
fn port_forward_rejects_unusable_ports() {
    let node = node_with_two_containers();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().expect("an address").port();
    for (args, code, message) in [
        (vec!["two-n1".to_string(), "0".into()], 2, "remote port must be > 0".to_string()),
        (vec!["two-n1".into(), "http".into()], 2, "Pod 'two-n1' does not have a named port 'http'".into()),
        (vec!["two-n1".into(), format!("{taken}:8080")], 2, format!("cannot listen on 127.0.0.1:{taken}")),
        (vec!["none".into(), "80".into()], 1, "pods \"none\" not found".into()),
        (vec!["two-n1".into(), "80".into(), "--address".into(), "x".into()], 2, "expected an IP address".into()),
    ] {
        let output = node.wasmpod("port-forward").args(&args).output().expect_code(code);
        assert!(output.stderr.contains(&message), "{args:?}: {}", output.stderr);
    }
}

/// Returns the local port that leads to `remote`.
fn forwarded_port(forward: &RunningProcess, remote: u16) -> u16 {
    let printed = forward.stdout();
    let line = printed.lines().find(|line| line.contains("127.0.0.1") && line.ends_with(&format!("-> {remote}")));
    let port = line.and_then(|line| line.split("127.0.0.1:").nth(1)?.split(' ').next()?.parse().ok());
    port.unwrap_or_else(|| panic!("{remote} is not forwarded: {printed}"))
}

#[test]
fn get_and_events_match_kubectl() {
    let node = node_with_two_containers();
    for (ours, theirs) in [
        ("get pods", "get pods"),
        ("get po/two-n1 -o wide", "get pods -o wide"),
        ("get ns", "get namespaces"),
        ("get nodes -o name", "get nodes -o name"),
        ("events", "events"),
        ("events two-n1 -n default", "events --for pod/two-n1"),
        ("events -A", "events -A"),
    ] {
        // Ages may change between the two commands.
        let same = (0..10).any(|_| node.wasmpod(ours).output().expect_code(0).stdout == node.kubectl_stdout(theirs));
        assert!(same, "{}\n{}", node.wasmpod(ours).output().stdout, node.kubectl_stdout(theirs));
    }
    let unknown = node.wasmpod("get wings").output().expect_code(2);
    assert_eq!(unknown.stderr, "error: the server doesn't have a resource type \"wings\"\n");
    let watch = node.wasmpod("events -w").start();
    node.directory.save("new.yaml", &pod("new", "containers: [{name: c, image: busybox, command: [sleep, '1000']}]"));
    watch.wait_for("Pod/new-n1");
}

const WEB_AND_SETTINGS: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {a: one, b: two}}
spec: {terminationGracePeriodSeconds: 1, containers: [{name: c, image: busybox, command: [sleep, '1000']}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {a: '1', b: '2'}
";

#[test]
fn apply_creates_then_changes_only_what_differs() {
    let node = serve_node();
    let apply = |manifest: &str, flags: &str| {
        let output = node.wasmpod(&format!("apply -f - {flags}")).stdin(manifest).output().expect_code(0);
        assert_eq!(output.stderr, "");
        output.stdout
    };
    let dry_run = apply(WEB_AND_SETTINGS, "--dry-run=server");
    assert_eq!(dry_run, "pod/web created (server dry run)\nconfigmap/settings created (server dry run)\n");
    assert_eq!(apply(WEB_AND_SETTINGS, ""), "pod/web created\nconfigmap/settings created\n");
    assert_eq!(apply(WEB_AND_SETTINGS, ""), "pod/web unchanged\nconfigmap/settings unchanged\n");
    // kubectl sees what it would have applied itself.
    let theirs = node.kubectl("apply -f -").stdin(WEB_AND_SETTINGS).output().expect_code(0);
    assert_eq!(
        (theirs.stdout.as_str(), theirs.stderr.as_str()),
        ("pod/web unchanged\nconfigmap/settings unchanged\n", "")
    );
    node.kubectl_stdout("label pod web theirs=kept");
    let changed = WEB_AND_SETTINGS.replace("a: one, b: two", "a: changed").replace("b: '2'", "c: '3'");
    assert_eq!(apply(&changed, ""), "pod/web configured\nconfigmap/settings configured\n");
    let labels = node.kubectl_stdout("get pod web -o jsonpath={.metadata.labels}");
    assert_eq!(labels, r#"{"a":"changed","theirs":"kept"}"#);
    let data = node.kubectl_stdout("get cm settings -o jsonpath={.data}");
    assert_eq!(data, r#"{"a":"1","c":"3"}"#);
}

#[test]
fn rejected_objects_do_not_keep_others_from_being_applied() {
    let node = serve_node();
    node.wasmpod("apply -f -").stdin(WEB_AND_SETTINGS).output().expect_code(0);
    let immutable = WEB_AND_SETTINGS.replace("'1000'", "'2000'").replace("b: '2'", "b: '3'");
    let output = node.wasmpod("apply -f -").stdin(immutable).output().expect_code(1);
    assert_eq!(output.stdout, "configmap/settings configured\n");
    assert!(output.stderr.contains("pod updates may not change fields"), "{}", output.stderr);
    for (manifest, code, message) in [
        (
            "{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: r}, spec: {selector: {matchLabels: {a: b}}}}",
            1,
            "ReplicaSet.apps \"r\" is invalid: ",
        ),
        (
            "{apiVersion: resource.k8s.io/v1, kind: DeviceClass, metadata: {name: d}}",
            2,
            "no matches for kind \"DeviceClass\" in version \"resource.k8s.io/v1\"",
        ),
        ("{apiVersion: v1, kind: ConfigMap, metadata: {name: c}, dta: {}}", 2, "dta"),
        ("{apiVersion: v1, kind: ConfigMap, metadata: {generateName: c-}}", 2, "cannot use generate name with apply"),
        ("{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: none}}", 1, "namespaces \"none\" not found"),
    ] {
        let output = node.wasmpod("apply -f -").stdin(manifest).output().expect_code(code);
        assert!(output.stderr.contains(message), "{manifest}: {}", output.stderr);
    }
}

#[test]
fn delete_waits_until_objects_are_gone() {
    let node = serve_node();
    let apply = || node.wasmpod("apply -f -").stdin(WEB_AND_SETTINGS).output().expect_code(0);
    let pods = || node.kubectl_stdout("get pods,cm -o name --field-selector=metadata.name!=kube-root-ca.crt");
    apply();
    let output = node.wasmpod("delete web").output().expect_code(0);
    assert_eq!(output.stdout, "pod \"web\" deleted from default namespace\n");
    assert_eq!(pods(), "configmap/settings\n");
    let output = node.wasmpod("delete cm settings").output().expect_code(0);
    assert_eq!(output.stdout, "configmap \"settings\" deleted from default namespace\n");
    apply();
    node.wasmpod("delete -f - --now").stdin(WEB_AND_SETTINGS).output().expect_code(0);
    assert_eq!(pods(), "");
    apply();
    let output = node.wasmpod("delete pod/web --force").output().expect_code(0);
    assert_eq!(output.stdout, "pod \"web\" force deleted from default namespace\n");
    assert!(output.stderr.starts_with("Warning: Immediate deletion does not wait"), "{}", output.stderr);
    node.wasmpod("delete web --ignore-not-found").output().expect_code(0);
    let output = node.wasmpod("delete web").output().expect_code(1);
    assert_eq!(output.stderr, "error: pods \"web\" not found\n");
    node.wasmpod("delete").output().expect_code(2);
}
