//! Compiling large programs: refused without compiling, within bounds, and never in the way of anything else.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use wasmpod::Node;
use wasmpod::control::{DeleteOptions, Key};
use wasmpod::runtime::Runtime;

use crate::support::{TestCommand, eventually, pod, run, test_file};

/// Functions of a program that takes many seconds to compile.
const MANY: u32 = 150_000;

/// Returns a module of `count` functions that do nothing, the first of which is `_start`.
fn functions(count: u32) -> Vec<u8> {
    let indices = [leb(count), vec![0; count as usize]].concat();
    let bodies = [leb(count), [2, 0, 0x0b].repeat(count as usize)].concat();
    module(&[(1, b"\x01\x60\x00\x00"), (3, &indices), (7, b"\x01\x06_start\x00\x00"), (10, &bodies)])
}

/// Returns a module like [`functions`] that imports `env.magic`, too.
fn functions_and_an_import(count: u32) -> Vec<u8> {
    let indices = [leb(count), vec![0; count as usize]].concat();
    let bodies = [leb(count), [2, 0, 0x0b].repeat(count as usize)].concat();
    let import = b"\x01\x03env\x05magic\x00\x00";
    module(&[(1, b"\x01\x60\x00\x00"), (2, import), (3, &indices), (7, b"\x01\x06_start\x00\x01"), (10, &bodies)])
}

fn module(sections: &[(u8, &[u8])]) -> Vec<u8> {
    let mut bytes = b"\0asm\x01\0\0\0".to_vec();
    for (id, content) in sections {
        bytes.push(*id);
        bytes.extend(leb(u32::try_from(content.len()).expect("a small section")));
        bytes.extend_from_slice(content);
    }
    bytes
}

/// Returns a number as WebAssembly encodes it.
fn leb(mut value: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// Writes `app.wasm` to a directory. Returns its path.
fn app(directory: &Path, bytes: &[u8]) -> PathBuf {
    let path = directory.join("app.wasm");
    fs::write(&path, bytes).expect("written");
    path
}

/// Returns `wasmpod run app.wasm` with an empty compile cache, all in `directory`.
fn run_app(directory: &Path, bytes: &[u8]) -> TestCommand {
    run().arg(app(directory, bytes)).env("XDG_CACHE_HOME", directory).dir(directory)
}

#[test]
fn too_large_programs_are_refused_at_once() {
    for (bytes, reason) in [
        (functions_and_an_import(MANY), "unknown imports: env::magic; "),
        (functions(1_000_000), "too large to compile: it has 1000000 functions and the maximum is 300000; "),
    ] {
        let dir = tempfile::tempdir().expect("a directory");
        let output = run_app(dir.path(), &bytes).output().expect_code(2);
        assert!(output.stderr.contains(reason), "{}", output.stderr);
        assert!(output.took < Duration::from_secs(3), "{:?}", output.took);
    }
}

#[test]
fn timeout_does_not_wait_for_a_compilation() {
    let dir = tempfile::tempdir().expect("a directory");
    let bare = run_app(dir.path(), &functions(MANY)).args(["--timeout", "500ms"]).output().expect_code(124);
    // Nothing but the error: standard error is the program's own.
    assert_eq!(bare.stderr, "error: timed out (--timeout)\n");
    let spec = "restartPolicy: Never, containers: [{name: c, image: ./app.wasm}]";
    fs::write(dir.path().join("pod.yaml"), pod("p", spec)).expect("written");
    let pods = run().args(["pod.yaml", "--timeout", "500ms"]).env("XDG_CACHE_HOME", dir.path()).dir(dir.path());
    let pods = pods.output().expect_code(124);
    for took in [bare.took, pods.took] {
        assert!(took < Duration::from_secs(3), "{took:?}");
    }
}

#[test]
fn slow_compilation_prints_nothing_to_the_programs_stderr() {
    let dir = tempfile::tempdir().expect("a directory");
    let output = run_app(dir.path(), &functions(MANY / 4)).output().expect_code(0);
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("", ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn compilation_delays_neither_deletion_nor_other_pods() {
    let dir = tempfile::tempdir().expect("a directory");
    // Without a compile cache.
    let engine = Runtime::new(None).expect("a runtime");
    let node = Node::builder().engine(engine).image("large", app(dir.path(), &functions(MANY)));
    let node = node.image("small", test_file("programs/run.wasm")).start().expect("a node");
    node.apply(pod("large", "containers: [{name: c, image: large}]")).await.expect("applied");
    let pulled = async || match node.pod("large").await.expect("the pod").status.clone().unwrap_or_default() {
        status if status.container_statuses.is_some() => Ok(()),
        status => Err(status),
    };
    eventually("the container is being created", pulled).await;
    let started = Instant::now();
    node.apply(pod("small", "restartPolicy: Never, containers: [{name: c, image: small}]")).await.expect("applied");
    node.wait_complete("small").await.expect("complete");
    node.control().delete(&Key::pod("default", "large"), DeleteOptions::default()).await.expect("deleted");
    let gone = async || match node.pod("large").await {
        Err(_) => Ok(()),
        Ok(pod) => Err(pod.status.clone()),
    };
    eventually("the pod is gone", gone).await;
    // The compilation takes many seconds more.
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
}
