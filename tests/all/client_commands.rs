//! `wasmpod exec`, `attach` and `cp` into the containers of a served node.

use crate::support::{NodeDirectory, ServedNode, Terminal, pod};

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
