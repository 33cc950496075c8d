//! `wasmpod run` with manifests: what the pods do, what is printed, and the exit code.

use std::path::Path;
use std::time::Instant;

use serde_json::Value;

use crate::support::{TestCommand, binary, command, container_status, on_path, pod, program, run, scripts, test_file};

/// Returns a run of a manifest that is used unmodified elsewhere, too.
fn manifest(name: &str) -> TestCommand {
    run().arg(test_file("manifests").join(name))
}

#[test]
fn init_containers_run_in_order_and_a_failure_ends_the_pod() {
    let output = manifest("simple-init.yaml").args(["--output", "json"]).output().expect_code(1);
    let pod = output.object();
    assert_eq!(pod["status"]["phase"], "Failed");
    assert!(output.stderr.contains("simple-init/init-container1 | Hello from init container 1\n"), "{}", output.stderr);
    assert_eq!(container_status(&pod, "init-container1")["state"]["terminated"]["reason"], "Completed");
    assert_eq!(container_status(&pod, "init-container2")["state"]["terminated"]["exitCode"], 1);
    assert_eq!(container_status(&pod, "simple-init")["state"]["waiting"]["reason"], "PodInitializing");
    assert_eq!(container_status(&pod, "simple-init")["restartCount"], 0);
    assert!(
        output.stderr.contains("error: pod simple-init failed: container init-container2 terminated"),
        "{}",
        output.stderr
    );
}

#[test]
fn third_party_pods_run_unmodified_and_stop_on_ctrl_c() {
    for (file, running) in [
        (
            "multi-container.yaml",
            &["multi-container/container1", "multi-container/container2", "multi-container/container3"][..],
        ),
        ("nginx.yaml", &["nginx/nginx"]),
        ("multicontainer-pod.yaml", &["multicontainer-pod/nginx"]),
        ("nginx-onfailure.yaml", &["nginx-pod/nginx"]),
        ("resources.yaml", &["sized/jose"]),
    ] {
        let child = manifest(file).start();
        for container in running {
            child.wait_for(&format!("{container}: Running\n"));
        }
        let interrupted = Instant::now();
        child.interrupt();
        let output = child.output().expect_code(130);
        let took = interrupted.elapsed();
        assert!(took.as_secs_f64() < 2.0, "{file} took {took:?} to stop");
        for container in running {
            assert!(output.stderr.contains(&format!("{container}: Completed\n")), "{file}: {}", output.stderr);
        }
    }
}

#[test]
fn exiting_container_backs_off_while_the_other_runs() {
    let child = manifest("multicontainer-pod.yaml").start();
    child.wait_for("multicontainer-pod/alpine: CrashLoopBackOff");
    child.interrupt();
    let output = child.output().expect_code(130);
    assert!(output.stderr.contains("multicontainer-pod/alpine: Completed"), "{}", output.stderr);
    assert_eq!(output.stderr.matches("multicontainer-pod/nginx: Running").count(), 1, "{}", output.stderr);
}

#[test]
fn built_in_images_are_announced() {
    let output = manifest("nginx.yaml").args(["--until", "ready", "--output", "json"]).output().expect_code(0);
    assert!(output.stderr.contains("using built-in httpd for nginx:1.14.2\n"), "{}", output.stderr);
    assert!(output.stderr.contains("nginx: Ready\n"), "{}", output.stderr);
    let image = container_status(&output.object(), "nginx")["imageID"].as_str().unwrap_or_default().to_string();
    assert!(image.starts_with("built-in/httpd@sha256:"), "{image}");
}

#[test]
fn exit_code_reflects_the_pods_outcome() {
    let two = |first: &str, second: &str| {
        format!("{}---\n{}", scripts("one", &[("c", first)]), scripts("two", &[("c", second)]))
    };
    let init = "initContainers: [{name: i, image: busybox, command: [sleep, '1000']}]";
    let never_ready = pod("one", &format!("{init}, containers: [{{name: c, image: busybox}}]"));
    for (yaml, args, code) in [
        (two("exit 0", "exit 0"), &[][..], 0),
        (two("exit 0", "exit 3"), &[], 1),
        (two("sleep 1000", "exit 0"), &["--timeout", "300ms"], 124),
        (two("sleep 1000", "sleep 1000"), &["--until", "ready"], 0),
        (format!("{}---\n{}", never_ready, scripts("two", &[("c", "exit 1")])), &["--until", "ready"], 1),
        (two("exit 0", "sleep 1000"), &["--until", "ready"], 0),
    ] {
        let output = run().manifest(&yaml).args(args).output();
        assert_eq!(output.code, code, "{args:?} {yaml}{}", output.stderr);
    }
}

#[test]
fn pod_over_the_timeout_is_reported_and_stopped() {
    let output =
        run().manifest(&scripts("p", &[("c", "sleep 1000")])).args(["--timeout", "1s", "--output", "json"]).output();
    let output = output.expect_code(124);
    assert!(output.stderr.contains("error: timed out (--timeout)\n"), "{}", output.stderr);
    assert!(output.took.as_secs_f64() < 3.0, "{:?}", output.took);
    assert_eq!(output.termination("c").0, 143, "{}", output.stderr);
}

#[test]
fn timeout_includes_compilation() {
    let nothing_compiled = tempfile::tempdir().expect("a directory");
    let run = run().manifest(&scripts("p", &[("c", "exit 0")])).env("XDG_CACHE_HOME", nothing_compiled.path());
    let output = run.args(["--timeout", "1ms"]).output().expect_code(124);
    assert!(output.stderr.ends_with("error: timed out (--timeout)\n"), "{}", output.stderr);
}

#[test]
fn restart_policies_decide_what_restarts() {
    for (policy, code, restarts) in [
        ("Never", 0, false),
        ("Never", 3, false),
        ("OnFailure", 0, false),
        ("OnFailure", 3, true),
        ("Always", 0, true),
        ("Always", 3, true),
    ] {
        let spec = format!(
            "restartPolicy: {policy}, containers: [{{name: c, image: busybox, command: [sh, -c, 'exit {code}']}}]"
        );
        let output = run().manifest(&pod("p", &spec)).args(["--max-restarts", "1", "--output", "json"]).output();
        let count = container_status(&output.object(), "c")["restartCount"].as_i64();
        assert_eq!(count, Some(i64::from(restarts)), "{policy}, exit {code}: {}", output.stderr);
        let failed = restarts || code != 0;
        assert_eq!(output.code, i32::from(failed), "{policy}, exit {code}: {}", output.stderr);
        assert_eq!(output.stderr.contains("c exceeded --max-restarts 1"), restarts, "{}", output.stderr);
    }
}

#[test]
fn restart_flag_overrides_the_manifest() {
    let spec = "restartPolicy: Always, containers: [{name: c, image: busybox, command: [sh, -c, 'exit 3']}]";
    for (policy, restarts) in [("never", 0), ("onfailure", 1), ("OnFailure", 1), ("always", 1)] {
        let args = ["--restart", policy, "--max-restarts", "1", "--output", "json"];
        let output = run().manifest(&pod("p", spec)).args(args).output().expect_code(1);
        assert_eq!(container_status(&output.object(), "c")["restartCount"], restarts, "{policy}");
    }
}

#[test]
fn restarted_container_keeps_volumes_and_gets_a_fresh_root() {
    let script = "echo attempt $(cat /v/n); if [ -e /mark ]; then echo old root; fi; touch /mark; \
                  if [ -e /v/n ]; then exit 0; fi; echo two > /v/n; exit 1";
    let spec = format!(
        "restartPolicy: OnFailure, volumes: [{{name: v, emptyDir: {{}}}}], containers: [{{name: c, image: busybox, \
         command: [sh, -c, '{script}'], volumeMounts: [{{name: v, mountPath: /v}}]}}]"
    );
    let output = run().manifest(&pod("p", &spec)).output().expect_code(0);
    assert!(output.stdout.contains("p/c | attempt\np/c | attempt two\n"), "{}", output.stdout);
    assert!(!output.stdout.contains("old root"), "{}", output.stdout);
}

#[test]
fn lists_directories_json_and_standard_input_are_read() {
    let dir = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).expect("written");
    let list = |items: &[String]| format!("{{apiVersion: v1, kind: List, items: [{}]}}", items.join(", "));
    let echo = |name: &str| scripts(name, &[("c", "echo ran")]);
    write("b.yaml", &format!("{}---\n{}\n---\n", echo("first"), list(&[echo("second"), echo("third")])));
    let json: Value = serde_yaml::from_str(&echo("fourth")).expect("YAML");
    write("a.json", &json.to_string());
    write("c.yml", &echo("fifth"));
    write("notes.txt", "no manifest");
    let output = run().arg(dir.path()).manifest(&echo("sixth")).output().expect_code(0);
    for name in ["first", "second", "third", "fourth", "fifth", "sixth"] {
        assert_eq!(output.log(&format!("{name}/c")), "ran\n", "{name}: {output:?}");
    }
}

#[test]
fn final_objects_alone_are_printed_on_standard_output() {
    let yaml = format!("{}---\n{}", scripts("one", &[("c", "echo hello")]), scripts("two", &[("c", "exit 4")]));
    let printed = |format: &str| run().manifest(&yaml).args(["-o", format]).output().expect_code(1);
    let json = printed("json").object();
    let yaml: Value = serde_yaml::from_str(&printed("yaml").stdout).expect("YAML");
    for list in [json, yaml] {
        assert_eq!(list["kind"], "List");
        let of = |i: usize| (&list["items"][i]["metadata"]["name"], &list["items"][i]["status"]["phase"]);
        assert_eq!(of(0), (&"one".into(), &"Succeeded".into()));
        assert_eq!(of(1), (&"two".into(), &"Failed".into()));
    }
}

#[test]
fn logs_are_prefixed_and_in_order_per_container() {
    let script = "for i in 1 2 3; do echo out $i; done; echo to stderr >&2; printf 'no newline'";
    let output = run().manifest(&scripts("p", &[("a", script), ("b", script)])).output().expect_code(0);
    for source in ["p/a", "p/b"] {
        assert_eq!(output.log(source), "out 1\nout 2\nout 3\nto stderr\nno newline\n", "{output:?}");
    }
    assert!(
        output.stdout.lines().all(|line| line.starts_with("p/a | ") || line.starts_with("p/b | ")),
        "{}",
        output.stdout
    );
}

#[test]
fn endless_writer_does_not_slow_others() {
    let peer = "for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.02; echo tick $i; done; echo end";
    let yaml = scripts("p", &[("writer", "yes 'the quick brown fox'"), ("peer", peer)]);
    let child = run().manifest(&yaml).start();
    child.wait_for("p/peer | end\n");
    child.interrupt();
    let output = child.output().expect_code(130);
    assert_eq!(output.log("p/peer").lines().count(), 11);
    assert!(output.log("p/writer").contains("the quick brown fox\n"));
    assert!(output.took.as_secs_f64() < 5.0, "{:?}", output.took);
}

#[test]
fn closed_standard_output_ends_the_run_without_a_panic() {
    let output = run().manifest(&scripts("p", &[("c", "yes")])).output_with_closed_stdout();
    assert!(!output.stderr.contains("panicked"), "{}", output.stderr);
    assert!(output.took.as_secs_f64() < 3.0, "{:?}", output.took);
}

#[test]
fn run_leaves_no_files_behind() {
    let dir = tempfile::tempdir().expect("a directory");
    let script = "echo x > /tmp/file; mkdir -p /v/a/b; echo y > /v/a/b/c";
    let spec = format!(
        "restartPolicy: Never, volumes: [{{name: v, emptyDir: {{}}}}], containers: [{{name: c, image: busybox, \
         command: [sh, -c, '{script}'], volumeMounts: [{{name: v, mountPath: /v}}]}}]"
    );
    run().manifest(&pod("p", &spec)).env("TMPDIR", dir.path()).output().expect_code(0);
    run().manifest(&pod("q", &spec)).env("TMPDIR", dir.path()).args(["--timeout", "1ms"]).output();
    assert_eq!(entries(dir.path()), Vec::<String>::new());
}

fn entries(dir: &Path) -> Vec<String> {
    let all = std::fs::read_dir(dir).expect("a directory");
    all.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn pod_bound_to_a_foreign_node_runs_here() {
    let spec = "nodeName: elsewhere, restartPolicy: Never, volumes: [{name: v, emptyDir: {medium: Memory}}], \
                containers: [{name: c, image: busybox, command: [echo, here]}]";
    let output = run().manifest(&pod("p", spec)).output().expect_code(0);
    assert_eq!(output.log("p/c"), "here\n");
    for field in ["spec.nodeName", "spec.volumes[0].emptyDir.medium"] {
        assert!(output.stderr.contains(&format!("warning: pod p: {field}")), "{}", output.stderr);
    }
}

/// Returns a run of `manifest` by a shell, which redirects its streams.
fn redirected(manifest: &Path, redirections: &str) -> TestCommand {
    let script = format!("exec \"$0\" run \"$1\" {redirections}");
    program("/bin/sh".into()).args(["-c", &script]).arg(binary()).arg(manifest)
}

#[test]
fn manifests_are_read_from_pipes() {
    let manifest = scripts("p", &[("c", "echo read")]);
    let output = run().arg("/dev/stdin").stdin(manifest.clone()).output().expect_code(0);
    assert_eq!(output.log("p/c"), "read\n");
    command("validate").arg("/dev/stdin").stdin(manifest.clone()).output().expect_code(0);
    let script = "mkfifo \"$1/fifo\"; exec 3<&0; cat <&3 > \"$1/fifo\" & exec \"$0\" run \"$1/fifo\"";
    let directory = tempfile::tempdir().expect("a directory");
    let piped = program("/bin/sh".into()).args(["-c", script]).arg(binary()).arg(directory.path());
    assert_eq!(piped.stdin(manifest).output().expect_code(0).log("p/c"), "read\n");
}

#[test]
fn lines_of_a_container_precede_the_line_of_its_end() {
    let directory = tempfile::tempdir().expect("a directory");
    let manifest = directory.path().join("pod.yaml");
    let containers = ["a", "b", "c"].map(|name| (name, "seq 50; exit 1"));
    std::fs::write(&manifest, scripts("p", &containers)).expect("written");
    for _ in 0..10 {
        let printed = redirected(&manifest, "2>&1").output().expect_code(1).stdout;
        let position = |line: &str| printed.find(line).unwrap_or_else(|| panic!("{line}: {printed}"));
        for (name, _) in containers {
            assert!(position(&format!("p/{name} | 50\n")) < position(&format!("p/{name}: Error")), "{printed}");
        }
        let last = printed.lines().last().unwrap_or_default();
        assert!(last.starts_with("error: pod p failed"), "{printed}");
    }
}

#[test]
fn output_that_cannot_be_written_fails_the_run() {
    let directory = tempfile::tempdir().expect("a directory");
    let manifest = directory.path().join("pod.yaml");
    std::fs::write(&manifest, scripts("p", &[("c", "echo lost")])).expect("written");
    for _ in 0..10 {
        let output = redirected(&manifest, "> /dev/full").output().expect_code(125);
        assert!(output.stderr.contains("error: cannot write the logs: No space left on device"), "{}", output.stderr);
    }
}

#[test]
fn help_that_cannot_be_written_fails() {
    for line in ["--help", "--version", "run --help", "explain pod", "completions bash", "man"] {
        let script = format!("exec \"$0\" {line} > /dev/full");
        let output = program("/bin/sh".into()).args(["-c", &script]).arg(binary()).output().expect_code(125);
        assert!(output.stderr.ends_with("No space left on device (os error 28)\n"), "{line}: {}", output.stderr);
    }
}

#[test]
fn long_lines_are_one_line() {
    let manifest = scripts("p", &[("c", "head -c 100000 /dev/zero | tr '\\0' x; echo; echo next")]);
    let output = run().manifest(&manifest).output().expect_code(0);
    assert_eq!(output.log("p/c"), format!("{}\nnext\n", "x".repeat(100_000)));
}

#[test]
fn api_warnings_are_printed() {
    let limits =
        "containers: [{name: c, image: busybox, command: ['true'], resources: {limits: {memory: '67108864400m'}}}]";
    let manifest = pod("p", &format!("restartPolicy: Never, {limits}"));
    let warning = "spec.containers[0].resources.limits[memory]: fractional byte value \"67108864400m\" is invalid, must be an integer";
    let output = run().manifest(&manifest).output().expect_code(0);
    assert!(output.stderr.contains(&format!("warning: pod p: {warning}\n")), "{}", output.stderr);
    let output = command("validate").arg("/dev/stdin").stdin(manifest).output().expect_code(0);
    // Requests default to limits.
    assert!(output.stdout.contains("1 file, 1 object: 2 warnings"), "{}", output.stdout);
}

#[test]
fn sub_path_that_names_a_file_fails_the_pod() {
    let map = "{apiVersion: v1, kind: ConfigMap, metadata: {name: m}, data: {key: text}}\n---\n";
    let spec = "restartPolicy: Never, volumes: [{name: v, configMap: {name: m}}], containers: [{name: c, image: busybox, \
                command: [cat, /key], volumeMounts: [{name: v, mountPath: /key, subPath: key}]}]";
    let output = run().manifest(&format!("{map}{}", pod("p", spec))).output().expect_code(1);
    let message = "sub path \"key\" for /key is a file: not supported yet: mount its directory instead";
    assert!(output.stderr.contains(message), "{}", output.stderr);
}

#[test]
fn small_address_space_is_reported() {
    let directory = tempfile::tempdir().expect("a directory");
    let manifest = directory.path().join("pod.yaml");
    std::fs::write(&manifest, scripts("p", &[("c", "echo ran")])).expect("written");
    for kib in [200_000, 2_000_000] {
        let script = format!("ulimit -v {kib}; exec \"$0\" run \"$1\"");
        let limited = program("/bin/sh".into()).args(["-c", &script]).arg(binary()).arg(&manifest);
        let output = limited.output().expect_code(125);
        let message = format!("error: the address space of this process is limited to {kib} KiB: ");
        assert!(output.stderr.starts_with(&message) && output.stderr.lines().count() == 1, "{}", output.stderr);
    }
}

#[test]
fn denied_executable_memory_is_named_with_its_cause() {
    let directory = tempfile::tempdir().expect("a directory");
    let manifest = directory.path().join("pod.yaml");
    std::fs::write(&manifest, scripts("p", &[("c", "echo ran")])).expect("written");
    // What systemd does for MemoryDenyWriteExecute= (PR_SET_MDWE, since Linux 6.3).
    let script = "import ctypes, os, sys\n\
                  assert ctypes.CDLL(None).prctl(65, 1, 0, 0, 0) == 0, 'needs Linux 6.3'\n\
                  os.execv(sys.argv[1], sys.argv[1:])";
    let python = on_path("python3", "install python3");
    let denied = |args: &[&Path]| {
        let command = program(python.clone()).args(["-c", script]).arg(binary()).args(args);
        let output = command.output().expect_code(125);
        assert!(output.stderr.starts_with("error: this process cannot make memory executable ("), "{}", output.stderr);
        assert!(output.stderr.contains("set `MemoryDenyWriteExecute=no` in its systemd unit"), "{}", output.stderr);
    };
    denied(&[Path::new("run"), &manifest]);
    denied(&[Path::new("serve"), Path::new("--state-dir"), directory.path()]);
}

#[test]
fn environment_that_grows_exponentially_is_rejected() {
    let doubled = |i: u32| format!("{{name: V{i}, value: '$(V{p})$(V{p})'}}", p = i - 1);
    let variables: Vec<String> = (1..40).map(doubled).collect();
    let env = format!("env: [{{name: V0, value: xxxxxxxx}}, {}]", variables.join(", "));
    let spec = format!("restartPolicy: Never, containers: [{{name: c, image: busybox, command: ['true'], {env}}}]");
    let output = run().manifest(&pod("p", &spec)).output().expect_code(1);
    let message = "environment variable \"V15\" expands to more than 128 KiB";
    assert!(output.stderr.contains(message), "{}", output.stderr);
}
