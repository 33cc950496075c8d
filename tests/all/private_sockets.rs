//! The private sockets of runs and nodes, by which client commands find them without flags.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::{RunningProcess, TestCommand, command, pod, run};

/// The runtime directory of a user of whom nothing else runs.
struct RuntimeDirectory(TempDir);

impl RuntimeDirectory {
    fn new() -> RuntimeDirectory {
        RuntimeDirectory(tempfile::tempdir().expect("a directory"))
    }

    fn apply_to(&self, command: TestCommand) -> TestCommand {
        let path = self.0.path();
        command.env("XDG_RUNTIME_DIR", path).env("XDG_STATE_HOME", path.join("state")).env("KUBECONFIG", "")
    }

    /// Starts a run of a pod that idles.
    fn start_run(&self, name: &str) -> RunningProcess {
        let spec = "containers: [{name: c, image: busybox, command: [sh, -c, 'echo up; sleep 1000']}]";
        let process = self.apply_to(run()).manifest(&pod(name, spec)).start();
        process.wait_for(&format!("{name}/c | up\n"));
        process
    }

    /// Returns one of wasmpod's client commands; `line` is split at spaces.
    fn client(&self, line: &str) -> TestCommand {
        let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
        self.apply_to(command(name)).args(rest.split(' ').filter(|word| !word.is_empty()))
    }

    fn sockets(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.0.path().join("wasmpod")).expect("a directory");
        entries.map(|entry| entry.expect("an entry").path()).collect()
    }
}

#[test]
fn commands_find_the_only_run_without_flags() {
    let directory = RuntimeDirectory::new();
    let process = directory.start_run("web");
    let output = directory.client("exec web -- sh -c").arg("echo hi; exit 7").output().expect_code(7);
    assert_eq!(output.stdout, "hi\n");
    assert_eq!(directory.client("get pods -o name").output().expect_code(0).stdout, "pod/web\n");
    assert_eq!(directory.client("logs web").output().expect_code(0).stdout, "up\n");
    let file = directory.0.path().join("file");
    std::fs::write(&file, "text").expect("written");
    directory.client("cp").args([file.as_os_str(), "web:/tmp/copy".as_ref()]).output().expect_code(0);
    assert_eq!(directory.client("exec web -- cat /tmp/copy").output().expect_code(0).stdout, "text");
    let sockets = directory.sockets();
    let modes: Vec<u32> = [&directory.0.path().join("wasmpod"), &sockets[0]]
        .map(|path| std::fs::metadata(path).expect("metadata").permissions().mode() & 0o777)
        .to_vec();
    assert_eq!((sockets.len(), modes), (1, vec![0o700, 0o600]));
    process.interrupt();
    let output = process.output().expect_code(130);
    assert!(!output.stderr.contains(".sock"), "{}", output.stderr);
    assert_eq!(directory.sockets(), Vec::<PathBuf>::new());
}

#[test]
fn several_servers_are_listed_and_chosen_by_flag() {
    let directory = RuntimeDirectory::new();
    let (_one, two) = (directory.start_run("one"), directory.start_run("two"));
    let output = directory.client("ps").output().expect_code(2);
    assert!(output.stderr.starts_with("error: several servers are running; choose one of them"), "{}", output.stderr);
    assert_eq!(output.stderr.matches("  --socket ").count(), 2, "{}", output.stderr);
    let socket = directory.0.path().join(format!("wasmpod/run-{}.sock", two.pid()));
    let pods = directory.client("get pods -o name --socket").arg(&socket).output().expect_code(0);
    assert_eq!(pods.stdout, "pod/two\n");
    // A killed process leaves its socket, which is ignored and removed.
    two.signal(Signal::KILL);
    drop(two);
    assert_eq!(directory.client("get pods -o name").output().expect_code(0).stdout, "pod/one\n");
    assert_eq!(directory.sockets().len(), 1);
    let output = directory.client("get pods --socket").arg(&socket).output().expect_code(1);
    assert!(output.stderr.contains("is its `wasmpod run` still running?"), "{}", output.stderr);
}

#[test]
fn node_with_its_own_state_directory_is_found() {
    let directory = RuntimeDirectory::new();
    let serve = directory.apply_to(command("serve")).args(["--listen", "127.0.0.1:0", "--state-dir"]);
    let node = serve.arg(directory.0.path().join("elsewhere")).start();
    node.wait_for("serves the Kubernetes API");
    let output = directory.client("get namespaces default -o name").output().expect_code(0);
    assert_eq!(output.stdout, "namespace/default\n");
    node.interrupt();
    node.output().expect_code(0);
    assert_eq!(directory.sockets(), Vec::<PathBuf>::new());
}

#[test]
fn run_without_a_place_for_its_socket_runs() {
    let pod = pod("p", "restartPolicy: Never, containers: [{name: c, image: busybox, command: ['true']}]");
    let output = run().manifest(&pod).env("XDG_RUNTIME_DIR", "/proc").env("XDG_STATE_HOME", "/proc/none").output();
    assert_eq!((output.code, output.stdout.as_str()), (0, ""), "{}", output.stderr);
}
