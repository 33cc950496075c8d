//! kubectl exec, attach, cp and port-forward into the containers of a served node.

use std::io::{Read, Write};

use crate::support::{NodeDirectory, ServedNode, Terminal, connect, eventually, pod, serve_node, target};

/// A pod of two containers: one with a shell, one that is nothing but a third-party program.
fn node_with_two_containers() -> ServedNode {
    let directory = NodeDirectory::new();
    let bare = target().join("third-party/rg.wasm");
    let spec = format!(
        "volumes: [{{name: v, emptyDir: {{}}}}], containers: [
          {{name: sh, image: busybox, command: [sh, -c, 'httpd -p 8080 -h /www; sleep 1000'], tty: true, stdin: true,
            volumeMounts: [{{name: v, mountPath: /www}}]}},
          {{name: bare, image: {}, args: [--line-buffered, pattern, '-'], stdin: true, volumeMounts: [{{name: v, mountPath: /data}}]}}]",
        bare.display()
    );
    directory.save("two.yaml", &pod("two", &spec));
    let node = directory.start_node();
    node.wait("two-n1", "condition=Ready");
    node
}

/// A pod of two containers: one with a shell, which serves a page on port 8080, one that prints its input.
fn node_with_page() -> ServedNode {
    let directory = NodeDirectory::new();
    let serve = "mkdir /www && echo page > /www/index.html && httpd -p 8080 -h /www; sleep 1000";
    let spec = format!(
        "containers: [
          {{name: sh, image: busybox, command: [sh, -c, '{serve}'],
            readinessProbe: {{httpGet: {{port: 8080}}, periodSeconds: 1}}}},
          {{name: echo, image: busybox, command: [cat], stdin: true}}]"
    );
    directory.save("web.yaml", &pod("web", &spec));
    let node = directory.start_node();
    node.wait("web-n1", "condition=Ready");
    node
}

/// A pod whose program is a shell on a terminal.
fn node_with_shell() -> ServedNode {
    let directory = NodeDirectory::new();
    let spec = "containers: [{name: c, image: busybox, command: [sh], tty: true, stdin: true}]";
    directory.save("shell.yaml", &pod("shell", spec));
    let node = directory.start_node();
    node.wait("shell-n1", "condition=Ready");
    node
}

#[test]
fn exec_runs_programs_with_their_streams_and_exit_codes() {
    let node = node_with_two_containers();
    for (args, stdin, code, stdout, stderr) in [
        (&["-c", "sh", "--", "echo", "hi"][..], "", 0, "hi\n", ""),
        (&["-c", "bare", "--", "echo", "no shell in the image"], "", 0, "no shell in the image\n", ""),
        (
            &["-c", "sh", "--", "sh", "-c", "echo out; echo err >&2; exit 7"],
            "",
            7,
            "out\n",
            "err\ncommand terminated with exit code 7\n",
        ),
        (&["-i", "-c", "sh", "--", "wc", "-c"], "12345", 0, "5\n", ""),
        (&["-i", "-c", "bare", "--", "sh"], "echo $((6 * 7))\n", 0, "42\n", ""),
        (&["-i", "-c", "bare", "--", "rg", "needle", "-"], "hay\nneedle\n", 0, "needle\n", ""),
        (&["-c", "sh", "--", "true"], "", 0, "", ""),
    ] {
        let output = node.kubectl("exec two-n1").args(args).stdin(stdin).output();
        assert_eq!((output.code, output.stdout.as_str(), output.stderr.as_str()), (code, stdout, stderr), "{args:?}");
    }
    let events = node.kubectl_stdout("get events");
    let note = "the image has no \"echo\": the built-in busybox provides it and its other programs";
    assert_eq!(events.matches("UsingBusybox").count(), 1, "{events}");
    assert!(events.contains(note), "{events}");
}

#[test]
fn exec_that_cannot_run_says_why() {
    let node = node_with_two_containers();
    node.directory.save(
        "done.yaml",
        &pod("done", "restartPolicy: Never, containers: [{name: c, image: busybox, command: ['true']}]"),
    );
    node.wait("done-n1", "jsonpath={.status.phase}=Succeeded");
    for (args, message) in [
        (&["two-n1", "-c", "zz", "--", "ls"][..], "container zz is not valid for pod two-n1"),
        (&["two-n1", "-c", "sh", "--", "nope"], "error executing command in container: failed to exec in container: "),
        (&["done-n1", "--", "ls"], "cannot exec into a container in a completed pod; current phase is Succeeded"),
        (&["none", "--", "ls"], "pods \"none\" not found"),
    ] {
        let output = node.kubectl("exec").args(args).output();
        assert_eq!(output.code, 1, "{args:?}: {output:?}");
        assert!(output.stderr.contains(message), "{args:?}: {}", output.stderr);
    }
}

#[test]
fn files_are_copied_in_both_directions() {
    let node = node_with_two_containers();
    let local = tempfile::tempdir().expect("a directory");
    let path = |name: &str| local.path().join(name).display().to_string();
    let bytes: Vec<u8> = (0..3_000_000_u32).flat_map(|i| i.to_le_bytes()).collect();
    std::fs::create_dir_all(local.path().join("in/sub dir")).expect("created");
    std::fs::write(local.path().join("in/big"), &bytes).expect("written");
    std::fs::write(local.path().join("in/sub dir/a name"), "text").expect("written");
    for container in ["sh", "bare"] {
        let copy = |from: String, to: String| {
            node.kubectl("cp -c").arg(container).args([from, to]).output().expect_code(0);
        };
        copy(path("in"), format!("two-n1:/{container}"));
        copy(format!("two-n1:/{container}"), path(container));
        assert_eq!(std::fs::read(local.path().join(container).join("big")).expect("copied"), bytes);
        assert_eq!(std::fs::read(local.path().join(container).join("sub dir/a name")).expect("copied"), b"text");
    }
}

#[test]
fn port_forward_serves_many_connections_and_reports_refusals() {
    let node = node_with_two_containers();
    node.kubectl("exec two-n1 -c sh -- sh -c").arg("echo page > /www/index.html").output().expect_code(0);
    let forward = node.kubectl("port-forward pod/two-n1 :8080 :8081").start();
    forward.wait_for("-> 8081");
    let printed = forward.stdout();
    let port = |line: usize| -> u16 {
        let line = printed.lines().filter(|line| line.contains("127.0.0.1")).nth(line).expect("a line");
        line.split("127.0.0.1:")
            .nth(1)
            .and_then(|rest| rest.split(' ').next())
            .and_then(|port| port.parse().ok())
            .expect("a port")
    };
    let get = |port: u16| {
        let mut stream = connect(port);
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").expect("sent");
        let mut page = String::new();
        stream.read_to_string(&mut page).map(|_| page)
    };
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..150).map(|_| scope.spawn(|| get(port(0)).expect("a page"))).collect();
        for client in clients {
            let page = client.join().expect("a client");
            assert!(page.ends_with("page\n"), "{page}");
        }
    });
    let refused = get(port(1)).unwrap_or_default();
    assert_eq!(refused, "");
    forward.wait_for("connection refused");
}

#[tokio::test]
async fn debug_containers_run_under_unprivileged_profiles() {
    let node = serve_node();
    let manifest = pod("idle", "containers: [{name: c, image: busybox, command: [sleep, '1000']}]");
    node.kubectl("apply -f -").stdin(manifest).output().expect_code(0);
    node.wait("idle", "condition=Ready");
    for profile in ["general", "baseline", "restricted", "netadmin"] {
        let debug = format!("debug idle --image=busybox --target=c --profile={profile} -c {profile} -- echo hi");
        node.kubectl_stdout(&debug);
        let logs = async || node.kubectl(&format!("logs idle -c {profile}")).output().stdout == "hi\n";
        eventually(&format!("{profile} has run"), logs).await;
    }
    let privileged = node.kubectl("debug idle --image=busybox --profile=sysadmin -c all -- echo hi").output();
    let reason =
        "spec.ephemeralContainers[4].securityContext.privileged: not supported: WebAssembly containers cannot be";
    assert!(privileged.code == 1 && privileged.stderr.contains(reason), "{}", privileged.stderr);
}

#[test]
fn attach_shows_output_and_sends_input() {
    let node = node_with_two_containers();
    let attached = node.kubectl("attach -i two-n1 -c bare").stdin("a line\nwith a pattern in it\n").start();
    attached.wait_for("with a pattern in it");
    let logs = node.kubectl_stdout("logs two-n1 -c bare");
    assert_eq!(logs, "with a pattern in it\n");
}

#[test]
fn python_client_execs_and_forwards() {
    let node = node_with_page();
    let output = node.python("clients/sessions.py").args(["web-n1", "sh"]).output().expect_code(0);
    assert_eq!(output.stdout.lines().filter(|line| line.ends_with(": ok")).count(), 6, "{output:?}");
}

#[test]
fn javascript_client_execs_and_forwards() {
    let node = node_with_page();
    let output = node.javascript("clients/sessions.mjs", &["web-n1", "sh"]).output().expect_code(0);
    assert_eq!(output.stdout.lines().filter(|line| line.ends_with(": ok")).count(), 5, "{output:?}");
}

#[test]
fn rust_client_execs_attaches_and_forwards() {
    let node = node_with_page();
    let output = node.kube_rs("sessions").args(["web-n1", "sh", "echo"]).output().expect_code(0);
    assert_eq!(output.stdout.lines().filter(|line| line.ends_with(": ok")).count(), 8, "{output:?}");
}

#[test]
fn terminal_session_edits_completes_and_interrupts() {
    let node = node_with_two_containers();
    let terminal = Terminal::new(80, 24);
    let session = node.kubectl("exec -it two-n1 -c bare -- sh").start_in(&terminal);
    session.wait_for("/ # ");
    terminal.type_text("echo first-$((1 + 1))\r");
    session.wait_for("first-2");
    // The line before, completed commands, and Ctrl-C.
    terminal.type_text("\x1b[A\r");
    session.wait_for_all("first-2", 2);
    terminal.type_text("hostn\t\r");
    session.wait_for("two-n1");
    // The echo of the typed line does not tell that it runs.
    terminal.type_text("echo u''p; sleep 100\r");
    session.wait_for("up");
    terminal.type_text("\x03echo code $?\r");
    session.wait_for("code 130");
    terminal.resize(100, 30);
    terminal.type_text("while test \"$(stty size)\" != '30 100'; do sleep 0.02; done; echo resized\r");
    session.wait_for_all("resized", 2);
    terminal.type_text("exit 7\r");
    assert_eq!(session.output().code, 7);
}

#[test]
fn top_quits_at_q_in_both_clients() {
    let node = node_with_shell();
    for client in [node.kubectl("exec -it shell-n1 -- sh"), node.wasmpod("exec -it shell-n1 -- sh")] {
        let terminal = Terminal::new(80, 24);
        let session = client.start_in(&terminal);
        session.wait_for("/ # ");
        terminal.type_text("top\r");
        session.wait_for("PID USER");
        terminal.type_text("q");
        terminal.type_text("echo after-$((1 + 1)); exit\r");
        session.wait_for("after-2");
        assert_eq!(session.output().code, 0);
    }
}

#[test]
fn long_line_is_pasted_in_linear_time() {
    let node = node_with_shell();
    let terminal = Terminal::new(80, 24);
    let session = node.kubectl("exec -it shell-n1 -- sh").start_in(&terminal);
    session.wait_for("/ # ");
    // Drawn as a whole at each key, these took minutes.
    terminal.type_text(&format!("echo {} | wc -c; exit\r", "x".repeat(50_000)));
    session.wait_for("50001");
}

#[test]
fn each_attached_terminal_shows_the_prompt() {
    let node = node_with_shell();
    for client in ["kubectl", "kubectl", "wasmpod", "wasmpod", "kubectl"] {
        let line = "attach -it shell-n1";
        let client = if client == "kubectl" { node.kubectl(line) } else { node.wasmpod(line) };
        // The size of the attachment before.
        let terminal = Terminal::new(80, 24);
        client.start_in(&terminal).wait_for("/ # ");
    }
}

#[test]
fn kill_reaches_the_main_program_without_a_shell() {
    let directory = NodeDirectory::new();
    let node = directory.start_node();
    for (name, command, code) in [
        ("term", &["kill", "1"][..], "143"),
        ("path", &["/bin/kill", "-TERM", "1"], "143"),
        ("wrapped", &["timeout", "5", "kill", "1"], "143"),
        ("kill", &["kill", "-9", "1"], "137"),
    ] {
        let spec = "restartPolicy: Never, containers: [{name: c, image: busybox, command: [sleep, '1000']}]";
        node.directory.save(&format!("{name}.yaml"), &pod(name, spec));
        let pod = format!("{name}-n1");
        node.wait(&pod, "condition=Ready");
        // The end of the main program may end the command as well.
        node.kubectl("exec").arg(&pod).arg("--").args(command).output();
        node.wait(&pod, "jsonpath={.status.phase}=Failed");
        let terminated = "jsonpath={.status.containerStatuses[0].state.terminated.exitCode}";
        assert_eq!(node.kubectl_stdout(&format!("get pod {pod} -o {terminated}")), code, "{command:?}");
    }
}

#[test]
fn free_and_df_show_the_limits_of_the_container() {
    let directory = NodeDirectory::new();
    let spec = "volumes: [{name: v, emptyDir: {sizeLimit: 10Mi}}], containers: [
          {name: c, image: busybox, command: [sleep, '1000'], resources: {limits: {memory: 64Mi}},
            volumeMounts: [{name: v, mountPath: /cache}]}]";
    directory.save("limited.yaml", &pod("limited", spec));
    let node = directory.start_node();
    node.wait("limited-n1", "condition=Ready");
    let script = "free -k | awk 'NR == 2 { print $2, ($3 > 0), ($3 + $4 == $2), ($4 == $7) }'
        dd if=/dev/zero of=/cache/file bs=1M count=4 2> /dev/null
        df -P /cache | awk 'NR == 2 { print $2, ($3 >= 4096), ($3 + $4 == $2), ($5 + 0 >= 40), $6 }'
        df / | awk 'NR == 2 { print ($2 >= $3 + $4), $6 }'";
    for client in [node.kubectl("exec limited-n1 -- sh -c"), node.wasmpod("exec limited-n1 -- sh -c")] {
        let output = client.arg(script).output().expect_code(0);
        assert_eq!(output.stdout, "65536 1 1 1\n10240 1 1 1 /cache\n1 /\n");
    }
}
