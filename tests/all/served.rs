//! A node that `wasmpod serve` keeps, with a state folder, a port and a folder of manifests of its own.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::host::{Done, Running, Wasmpod, command, on_path, program, target, warm_up};

/// What stands on standard error before the address.
const ANNOUNCED: &str = "serves the Kubernetes API at ";

/// Where a node keeps what outlives it.
pub struct Place(TempDir);

impl Place {
    pub fn new() -> Place {
        let place = Place(tempfile::tempdir().expect("a folder"));
        std::fs::create_dir(place.manifests()).expect("a folder");
        place
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

    /// Saves a manifest as editors do: whole, under another name first.
    pub fn save(&self, name: &str, manifest: &str) {
        let new = self.manifests().join(format!(".{name}.new"));
        std::fs::write(&new, manifest).expect("written");
        std::fs::rename(new, self.manifests().join(name)).expect("in place");
    }

    pub fn remove(&self, name: &str) {
        std::fs::remove_file(self.manifests().join(name)).expect("removed");
    }

    /// `wasmpod serve` here, at `listen`; pods get `grace` to end. Further arguments may follow.
    pub fn serve_at(&self, listen: &str, grace: &str) -> Wasmpod {
        warm_up();
        let serve = command("serve").args(["--node-name", "n1", "--builtin-images", "--shutdown-grace", grace]);
        let serve = serve.args(["--listen", listen]).arg("--state-dir").arg(self.state());
        serve.arg("--pod-manifest-path").arg(self.manifests())
    }

    /// The same on any free port.
    pub fn serve(&self) -> Wasmpod {
        self.serve_at("127.0.0.1:0", "5s")
    }

    /// The same, up and answering.
    pub fn node(self) -> Served {
        let child = self.serve().start();
        Served::of(child, self)
    }
}

/// A node that answers. Dropped, it is killed.
pub struct Served {
    pub child: Running,
    pub place: Place,
    /// `https://127.0.0.1:PORT`
    pub url: String,
}

/// A node of a test's own, without pods.
pub fn node() -> Served {
    Place::new().node()
}

impl Served {
    /// Waits until `child` answers.
    pub fn of(child: Running, place: Place) -> Served {
        // The kubeconfig's line comes last.
        child.wait_for("export KUBECONFIG=");
        let said = child.stderr();
        let url = said.split(ANNOUNCED).nth(1).and_then(|rest| rest.lines().next());
        Served { url: url.expect("an address").into(), child, place }
    }

    pub fn token(&self) -> String {
        std::fs::read_to_string(self.place.state().join("token")).expect("a token").trim().into()
    }

    /// The kubectl that `make kubectl` installed, for this node; `line` is split at spaces.
    pub fn kubectl(&self, line: &str) -> Wasmpod {
        program(target().join("tools/kubectl")).env("KUBECONFIG", self.place.kubeconfig()).args(line.split(' '))
    }

    /// What kubectl prints.
    #[track_caller]
    pub fn asked(&self, line: &str) -> String {
        self.kubectl(line).done().expect(0).stdout
    }

    /// Waits until there is `pod` (a name; flags may follow) and `condition` of it is so.
    #[track_caller]
    pub fn wait(&self, pod: &str, condition: &str) {
        // What is not there yet is an error to every condition but this one.
        for condition in ["create", condition] {
            self.asked(&format!("wait --timeout=30s --for={condition} pod/{pod}"));
        }
    }

    /// One of wasmpod's own commands for this node.
    pub fn wasmpod(&self, line: &str) -> Wasmpod {
        let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
        let rest = rest.split(' ').filter(|word| !word.is_empty());
        command(name).env("KUBECONFIG", self.place.kubeconfig()).args(rest)
    }

    /// curl for `path` of this node, without its token; certificates are not checked.
    pub fn curl(&self, url: &str, args: &[&str]) -> Done {
        let curl = program(on_path("curl", "install it with the system's package manager (`apt-get install curl`)"));
        let format = "\n%{http_code}";
        curl.args(["-sk", "--max-time", "20", "-w", format]).args(args).arg(url).done()
    }

    /// Asks the node to end.
    pub fn end(self) -> Done {
        self.child.signal(Signal::TERM);
        self.child.done()
    }
}

/// How long `what` takes.
pub fn took(what: impl FnOnce()) -> Duration {
    let began = Instant::now();
    what();
    began.elapsed()
}
