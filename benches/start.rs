//! The start of pods on a warm node and of the command with built-in images, and the size of the binary.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use wasmpod::Node;

use super::figures::{Figure, percentile};
use super::native::{millis, run_true};
use super::pods::{PAUSE, TWO_AND_TWO, on_node};

pub fn figures() -> Vec<Figure> {
    let mut native: Vec<f64> = (0..200).map(|_| run_true()).collect();
    let (native_p50, native_p99) = (percentile(&mut native, 0.5), percentile(&mut native, 0.99));
    let mut figures = on_node(async |bench| {
        bench.starts(TWO_AND_TWO, 20).await;
        let mut one = bench.starts(PAUSE, 500).await;
        let mut four = bench.starts(TWO_AND_TWO, 200).await;
        vec![
            Figure::new("pod_start_p50", percentile(&mut one, 0.5), "ms").at_most(1.0).beside(native_p50),
            Figure::new("pod_start_p99", percentile(&mut one, 0.99), "ms").at_most(5.0).beside(native_p99),
            Figure::new("pod_start_2init_2app_p50", percentile(&mut four, 0.5), "ms")
                .at_most(2.0)
                .beside(4.0 * native_p50),
        ]
    });
    figures.extend(command_starts(native_p50));
    figures
}

/// Measures the start of a process's first node, with its engine, and of further nodes.
pub fn in_memory() -> Vec<Figure> {
    let native = run_true();
    let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads");
    tokio.block_on(async {
        let mut times = Vec::new();
        for _ in 0..200 {
            let start = Instant::now();
            let node = Node::in_memory().expect("a node");
            times.push(millis(start.elapsed()));
            drop(node);
        }
        let (first, others) = times.split_at_mut(1);
        vec![
            Figure::new("in_memory_node_start_ms", first[0], "ms").at_most(5.0).beside(native),
            Figure::new("in_memory_node_more_ms", percentile(others, 0.5), "ms").at_most(5.0).beside(native),
        ]
    })
}

/// Measures the command with a pod that exits at once, with an empty and with a filled compile cache.
fn command_starts(native: f64) -> Vec<Figure> {
    let home = std::env::temp_dir().join(format!("wasmpod-bench-{}", std::process::id()));
    std::fs::create_dir_all(&home).expect("a directory");
    let manifest = home.join("pod.yaml");
    let pod = "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {restartPolicy: Never, containers: \
        [{name: c, image: busybox, command: ['true']}]}}";
    std::fs::write(&manifest, pod).expect("a manifest");
    let cold = run(&home, &manifest);
    let mut warm: Vec<f64> = (0..20).map(|_| run(&home, &manifest)).collect();
    std::fs::remove_dir_all(&home).expect("removed");
    vec![
        Figure::new("cold_start_busybox", cold, "ms").at_most(2000.0).beside(native),
        Figure::new("warm_start_busybox", percentile(&mut warm, 0.5), "ms").beside(native),
    ]
}

fn run(home: &Path, manifest: &Path) -> f64 {
    let start = Instant::now();
    let status = Command::new(program())
        .arg("run")
        .arg(manifest)
        .env("XDG_CACHE_HOME", home.join("cache"))
        .env("XDG_STATE_HOME", home.join("state"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert!(status.expect("wasmpod runs").success());
    millis(start.elapsed())
}

/// Returns the path of the command.
pub fn program() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/release/wasmpod")
}

/// Returns the path of a guest.
pub fn guest(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("target/guests/wasm32-wasip2/release/{name}.wasm"))
}

pub fn binary() -> Vec<Figure> {
    let size = std::fs::metadata(program()).expect("target/release/wasmpod").len();
    vec![Figure::new("binary_mib", size as f64 / 1024.0 / 1024.0, "MiB").at_most(44.0)]
}
