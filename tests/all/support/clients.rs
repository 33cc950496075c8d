//! Clients that know no node: curl, and scripts for Node.js.

use super::process::{on_path, program};
use super::{TestCommand, target, test_file};

/// Requests `url` with curl, without checking certificates, and returns the response's status code and text.
pub fn curl(url: &str, args: &[&str]) -> (String, String) {
    let curl = program(on_path("curl", "install it with the system's package manager (`apt-get install curl`)"));
    let output = curl.args(["-sk", "--max-time", "20", "-w", "\n%{http_code}"]).args(args).arg(url).output();
    let (text, code) = output.stdout.rsplit_once('\n').unwrap_or_default();
    (code.to_string(), text.to_string())
}

/// Returns a script of the tests for Node.js; its last argument is the directory of the packages that `make clients`
/// installed.
pub fn javascript(script: &str, args: &[&str]) -> TestCommand {
    let node = program(on_path("node", "install Node.js 20.19 or newer"));
    node.arg(test_file(script)).args(args).arg(target().join("tools/kubernetes-js"))
}
