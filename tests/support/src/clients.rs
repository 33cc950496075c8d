//! Clients that know no node: connections, curl, scripts for Node.js, and Chromium.

use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use super::process::{on_path, program};
use super::{TestCommand, target, test_file};

/// Longer than a peer lets a client wait on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Connects to a port of this machine. Reads and writes that take too long fail.
pub fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("connected");
    stream.set_read_timeout(Some(TIMEOUT)).expect("a timeout");
    stream.set_write_timeout(Some(TIMEOUT)).expect("a timeout");
    stream
}

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
    node.arg(test_file(script)).args(args).arg(target().join("tools/javascript"))
}

/// Whether Chromium receives the Content-Security-Policy of a page.
pub enum SecurityPolicy {
    Obeyed,
    Removed,
}

/// Opens the page at `url` in headless Chromium and returns what it shows: `status`, `title`, `heading` (of `h1`) and
/// `outcome` (the text of the element with this ID).
#[track_caller]
pub fn chromium(url: &str, policy: &SecurityPolicy) -> Value {
    let browser = on_path("chromium", "run `make browser`, which installs it").display().to_string();
    let policy = match policy {
        SecurityPolicy::Obeyed => "obey",
        SecurityPolicy::Removed => "remove",
    };
    javascript("clients/page.mjs", &[url, policy, &browser]).output().expect_code(0).object()
}
