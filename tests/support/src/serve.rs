//! A node that `wasmpod serve` runs, with a state directory, a port and a manifest directory of its own.

use std::path::PathBuf;

use rustix::process::Signal;
use tempfile::TempDir;

use super::process::{program, warm_up};
use super::{ProcessOutput, RunningProcess, TestCommand, command, javascript, target, test_file};

/// The text on standard error before the address.
const ANNOUNCEMENT: &str = "serves the Kubernetes API at ";

/// The directory of a node's state and manifests, which may outlive the node.
pub struct NodeDirectory(TempDir);

impl Default for NodeDirectory {
    fn default() -> NodeDirectory {
        NodeDirectory::new()
    }
}

impl NodeDirectory {
    pub fn new() -> NodeDirectory {
        let directory = NodeDirectory(tempfile::tempdir().expect("a directory"));
        std::fs::create_dir(directory.manifests()).expect("created");
        directory
    }

    pub fn state(&self) -> PathBuf {
        self.0.path().join("state")
    }

    pub fn manifests(&self) -> PathBuf {
        self.0.path().join("pods")
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.state().join("kubeconfig")
    }

    /// Saves a manifest as editors do: writes another file and renames it.
    pub fn save(&self, name: &str, manifest: &str) {
        let new = self.manifests().join(format!(".{name}.new"));
        std::fs::write(&new, manifest).expect("written");
        std::fs::rename(new, self.manifests().join(name)).expect("renamed");
    }

    pub fn remove(&self, name: &str) {
        std::fs::remove_file(self.manifests().join(name)).expect("removed");
    }

    /// Returns `wasmpod serve` for this directory, listening at `listen`, with `grace` for pods at shutdown.
    pub fn serve_at(&self, listen: &str, grace: &str) -> TestCommand {
        warm_up();
        let serve = command("serve").args(["--node-name", "n1", "--builtin-images", "--shutdown-grace", grace]);
        let serve = serve.args(["--listen", listen]).arg("--state-dir").arg(self.state());
        serve.arg("--pod-manifest-path").arg(self.manifests())
    }

    /// Returns `wasmpod serve` for this directory on any free port.
    pub fn serve(&self) -> TestCommand {
        self.serve_at("127.0.0.1:0", "5s")
    }

    /// Starts a node in this directory and waits until it answers.
    pub fn start_node(self) -> ServedNode {
        let process = self.serve().start();
        ServedNode::ready(process, self)
    }
}

/// A node that answers. Dropping it kills the process.
pub struct ServedNode {
    pub process: RunningProcess,
    pub directory: NodeDirectory,
    /// `https://127.0.0.1:PORT`
    pub url: String,
}

/// Starts a node without pods.
pub fn serve_node() -> ServedNode {
    NodeDirectory::new().start_node()
}

impl ServedNode {
    /// Waits until the server in `process` answers.
    pub fn ready(process: RunningProcess, directory: NodeDirectory) -> ServedNode {
        // The line about the kubeconfig comes last.
        process.wait_for("export KUBECONFIG=");
        let stderr = process.stderr();
        let url = stderr.split(ANNOUNCEMENT).nth(1).and_then(|rest| rest.lines().next());
        ServedNode { url: url.expect("an address").into(), process, directory }
    }

    pub fn token(&self) -> String {
        std::fs::read_to_string(self.directory.state().join("token")).expect("a token").trim().into()
    }

    /// Returns the kubectl that `make kubectl` installed, for this node; `line` is split at spaces.
    pub fn kubectl(&self, line: &str) -> TestCommand {
        program(target().join("tools/kubectl")).env("KUBECONFIG", self.directory.kubeconfig()).args(line.split(' '))
    }

    /// Runs kubectl and returns its standard output.
    #[track_caller]
    pub fn kubectl_stdout(&self, line: &str) -> String {
        self.kubectl(line).output().expect_code(0).stdout
    }

    /// Waits until `pod` (a name; flags may follow) exists and meets `condition`, in the words of `kubectl wait`.
    #[track_caller]
    pub fn wait(&self, pod: &str, condition: &str) {
        // Every condition but `create` fails if the pod does not exist yet.
        for condition in ["create", condition] {
            self.kubectl_stdout(&format!("wait --timeout=30s --for={condition} pod/{pod}"));
        }
    }

    /// Returns one of wasmpod's client commands for this node; `line` is split at spaces.
    pub fn wasmpod(&self, line: &str) -> TestCommand {
        let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
        let rest = rest.split(' ').filter(|word| !word.is_empty());
        command(name).env("KUBECONFIG", self.directory.kubeconfig()).args(rest)
    }

    /// Returns a script of the tests for the Python client that `make clients` installed, for this node.
    pub fn python(&self, script: &str) -> TestCommand {
        let python = program(target().join("tools/kubernetes-py/bin/python3"));
        python.env("KUBECONFIG", self.directory.kubeconfig()).args(["-W", "ignore"]).arg(test_file(script))
    }

    /// Returns a script of the tests for the JavaScript client that `make clients` installed, for this node; its last
    /// argument is the client's directory.
    pub fn javascript(&self, script: &str, args: &[&str]) -> TestCommand {
        javascript(script, args).env("KUBECONFIG", self.directory.kubeconfig())
    }

    /// Returns a program for kube-rs that `make clients` built, for this node.
    pub fn kube_rs(&self, name: &str) -> TestCommand {
        program(target().join("clients/debug").join(name)).env("KUBECONFIG", self.directory.kubeconfig())
    }

    /// Kills the process, and returns the directory with what it left.
    pub fn kill(self) -> NodeDirectory {
        drop(self.process);
        self.directory
    }

    /// Sends SIGTERM and waits for the node to exit.
    pub fn terminate(self) -> ProcessOutput {
        self.process.signal(Signal::TERM);
        self.process.output()
    }
}
