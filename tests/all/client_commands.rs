//! `wasmpod exec`, `attach`, `cp` and `port-forward` into the pods of a served node.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};

use crate::support::{NodeDirectory, RunningProcess, ServedNode, Terminal, pod};

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
    let after = output.split("code 7").nth(1).unwrap_or_else(|| panic!("{output}"));
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
fn port_forward_serves_many_connections_and_reports_refusals() {
    let node = node_with_two_containers();
    let forward = node.wasmpod("port-forward two-n1 :8080 :8081").start();
    forward.wait_for("-> 8081\n");
    let get = |port: u16| {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connected");
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

#[test]
fn port_forward_passes_on_the_end_of_input() {
    let node = node_with_two_containers();
    let server = node.wasmpod("exec two-n1 -c web -- nc -l -p 9000").start();
    let forward = node.wasmpod("port-forward pod/two-n1 :9000").start();
    forward.wait_for("-> 9000\n");
    let port = forwarded_port(&forward, 9000);
    let mut stream = loop {
        // The server may not listen yet, in which case the connection ends at once.
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connected");
        stream.set_read_timeout(Some(std::time::Duration::from_millis(500))).expect("a timeout");
        match stream.read(&mut [0]) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break stream,
            _ => {}
        }
    };
    stream.write_all(b"all of it\n").expect("sent");
    stream.shutdown(Shutdown::Write).expect("ended");
    // nc ends with its client's input.
    let output = server.output().expect_code(0);
    assert_eq!(output.stdout, "all of it\n");
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
