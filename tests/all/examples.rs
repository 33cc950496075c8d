//! The examples of wasm-examples: each pod.yaml runs as its README says and prints what the README promises.

use std::collections::BTreeSet;
use std::path::Path;

use crate::support::{TestCommand, run};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The programs that the manifests name, below target/examples.
const PROGRAMS: &[&str] = &[
    "wasm32-wasip2/release/hello.wasm",
    "wasm32-wasip1/release/hello-p1.wasm",
    "wasm32-wasip2/release/http-server.wasm",
    "wasm32-wasip2/release/graceful-stop.wasm",
    "wasm32-wasip2/release/writer.wasm",
    "wasm32-wasip2/release/reader.wasm",
];

/// `wasmpod run` of an example's manifest, as typed in the repository's root.
fn example(name: &str) -> TestCommand {
    for program in PROGRAMS {
        let path = Path::new(ROOT).join("target/examples").join(program);
        assert!(path.exists(), "{} does not exist: run `make examples`", path.display());
    }
    run().dir(Path::new(ROOT)).arg(format!("wasm-examples/{name}/pod.yaml"))
}

#[test]
fn every_example_has_a_readme_a_manifest_and_a_test() {
    let tests = include_str!("examples.rs");
    let directory = Path::new(ROOT).join("wasm-examples");
    let overview = std::fs::read_to_string(directory.join("README.md")).expect("the overview");
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(&directory).expect("the examples") {
        let entry = entry.expect("an entry");
        if !entry.path().is_dir() {
            continue;
        }
        let name = entry.file_name().to_string_lossy().into_owned();
        let readme = std::fs::read_to_string(entry.path().join("README.md")).expect("a README");
        let command = format!("target/release/wasmpod run wasm-examples/{name}/pod.yaml");
        assert!(readme.contains(&command), "the README of {name} does not say how to run it");
        assert!(entry.path().join("pod.yaml").exists(), "{name} has no pod.yaml");
        assert!(overview.contains(&format!("({name})")), "the overview does not list {name}");
        assert!(tests.contains(&format!("example(\"{name}\")")), "no test runs {name}");
        names.insert(name);
    }
    assert_eq!(names.len(), 5, "{names:?}");
}

#[test]
fn hello_greets_with_its_arguments_and_environment() {
    let output = example("hello").output().expect_code(0);
    assert_eq!(output.log("hello/hello"), "Good morning, pod!\n");
}

#[test]
fn hello_p1_reads_a_config_map_as_a_core_module() {
    let output = example("hello-p1").output().expect_code(0);
    assert_eq!(output.log("hello-p1/hello"), "Hello from a core module\n");
}

#[test]
fn http_server_answers_its_probe_and_its_client() {
    let output = example("http-server").output().expect_code(0);
    assert_eq!(output.log("http-server/client"), "Hello over HTTP\n");
    let server = output.log("http-server/server");
    assert!(server.starts_with("listening on port 8080\nGET /healthz HTTP/1.1\n"), "{server}");
    assert!(server.ends_with("GET / HTTP/1.1\n"), "{server}");
}

#[test]
fn graceful_stop_saves_its_work_on_sigterm() {
    let child = example("graceful-stop").args(["--output", "json"]).start();
    child.wait_for("graceful-stop/worker | working");
    child.interrupt();
    let output = child.output().expect_code(130);
    let log = output.log("graceful-stop/worker");
    assert!(log.starts_with("working; stop me with SIGTERM\nreceived SIGTERM\nsaved "), "{log}");
    assert!(log.ends_with(" units of work\n"), "{log}");
    assert_eq!(output.termination("worker"), (0, "Completed".into()));
}

#[test]
fn shared_volume_carries_a_message_between_containers() {
    let output = example("shared-volume").output().expect_code(0);
    assert_eq!(output.log("shared-volume/writer"), "wrote /shared/message\n");
    assert_eq!(output.log("shared-volume/reader"), "written by another container\n");
}
