//! A node under attack, and its neighbour: a pod that serves a page.

use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use serde_json::Value;
use tempfile::TempDir;
use wasmpod_test_support::{NodeDirectory, ServedNode, TestCommand, eventually, pod, sleep_until};

use crate::client::{Client, page_of};
use crate::machine_time::MachineTime;

/// Maximum memory that a node may ever have in use, in KiB.
const MAX_RESIDENT_KIB: u64 = 1024 * 1024;
/// Latency that no attack has to stay below. Guests take turns of a millisecond: where they compute on all processors, a
/// neighbour waits for several of them, so that its latency more than doubles.
const TOLERATED: Duration = Duration::from_millis(40);
/// Latency that is tolerated for each processor that other programs keep busy. The operating system makes a process
/// that uses all the time it gets wait for its next turn among them.
const TOLERATED_PER_BUSY_PROCESSOR: Duration = Duration::from_millis(50);
/// Windows of a measurement.
const WINDOWS: usize = 3;

/// Serializes the attacks, since each is measured. Protects nothing.
static ALONE: Mutex<()> = Mutex::new(());

/// Returns whether attacks last long.
pub fn is_soak() -> bool {
    std::env::var_os("WASMPOD_SOAK").is_some_and(|value| value == "1")
}

/// Returns `count`, or more if attacks last long.
pub fn rounds(count: usize) -> usize {
    if is_soak() { count * 10 } else { count }
}

fn window() -> Duration {
    Duration::from_millis(if is_soak() { 5000 } else { 200 })
}

/// The latency of a neighbour in a window.
#[derive(Clone, Copy, Debug, Default)]
struct Latency {
    median: Duration,
    /// 99th percentile.
    p99: Duration,
}

impl Latency {
    fn of(mut latencies: Vec<Duration>) -> Latency {
        latencies.sort();
        Latency { median: latencies[latencies.len() / 2], p99: latencies[latencies.len() * 99 / 100] }
    }
}

/// A node with a directory of temporary files of its own. Dropping it kills the process.
pub struct AttackedNode {
    pub node: ServedNode,
    pub client: Client,
    /// Latency of the neighbour before the attack.
    before: Latency,
    _temporary: TempDir,
    _alone: MutexGuard<'static, ()>,
}

impl AttackedNode {
    /// Starts a node without pods.
    pub fn start() -> AttackedNode {
        AttackedNode::start_in(NodeDirectory::new())
    }

    fn start_in(directory: NodeDirectory) -> AttackedNode {
        AttackedNode::start_command(directory, |serve| serve)
    }

    /// Starts a node that may have `files` files open.
    pub fn with_open_files(files: u64) -> AttackedNode {
        AttackedNode::start_command(NodeDirectory::new(), |serve| serve.limit_open_files(files))
    }

    fn start_command(directory: NodeDirectory, change: impl FnOnce(TestCommand) -> TestCommand) -> AttackedNode {
        let alone = ALONE.lock();
        let temporary = tempfile::tempdir().expect("a directory");
        let process = change(directory.serve().env("TMPDIR", temporary.path())).start();
        let node = ServedNode::ready(process, directory);
        let client = Client::new(&node);
        AttackedNode { node, client, before: Latency::default(), _temporary: temporary, _alone: alone }
    }

    /// Starts a node with a neighbour, and measures the neighbour's latency.
    pub async fn with_neighbour() -> AttackedNode {
        let directory = NodeDirectory::new();
        directory.save("web.yaml", &pod("web", "containers: [{name: c, image: nginx}]"));
        let mut attacked = AttackedNode::start_in(directory);
        eventually("the neighbour answers", async || attacked.client.get(&page_of("web-n1")).0 == 200).await;
        let mut windows: Vec<Latency> = (0..WINDOWS).map(|_| attacked.latency()).collect();
        windows.sort_by_key(|window| window.p99);
        attacked.before = windows[WINDOWS / 2];
        attacked
    }

    /// Creates a pod from a static manifest.
    pub fn add(&self, name: &str, spec: &str) {
        self.node.directory.save(&format!("{name}.yaml"), &pod(name, spec));
    }

    /// Returns the status of the pod that [`AttackedNode::add`] created.
    pub fn status(&self, name: &str) -> Option<Value> {
        let (code, text) = self.client.get(&format!("/api/v1/namespaces/default/pods/{name}-n1"));
        let pod: Value = serde_json::from_str(&text).expect("JSON");
        (code == 200).then(|| pod["status"].clone())
    }

    pub async fn wait_until(&self, name: &str, condition: impl Fn(&Value) -> bool) {
        eventually(&format!("{name} is as expected"), async || {
            let status = self.status(name);
            if status.as_ref().is_some_and(&condition) { Ok(()) } else { Err(status) }
        })
        .await;
    }

    /// Creates a pod and waits until its container runs or has run.
    pub async fn attack(&self, name: &str, spec: &str) {
        self.add(name, spec);
        let has_started = |status: &Value| {
            let states = status["containerStatuses"].as_array().map(Vec::as_slice).unwrap_or_default();
            !states.is_empty() && states.iter().all(|container| container["state"]["waiting"].is_null())
        };
        self.wait_until(name, has_started).await;
    }

    fn latency(&self) -> Latency {
        Latency::of(self.client.page_latencies("web-n1", window()))
    }

    /// Checks, while an attack goes on, that the neighbour's latency at most doubles or is tolerated, that the node answers,
    /// and that its memory is bounded. Prints the figures.
    pub async fn assert_holds(&self, attack: &str) {
        // The attack reaches its full strength.
        sleep_until(Instant::now() + window()).await;
        let machine = MachineTime::read(self.node.process.pid());
        let windows: Vec<Latency> = (0..WINDOWS).map(|_| self.latency()).collect();
        let busy = MachineTime::read(self.node.process.pid()).processors_of_others_since(&machine);
        let best = |figure: fn(&Latency) -> Duration| windows.iter().map(figure).min().expect("windows");
        let (median, p99) = (best(|window| window.median), best(|window| window.p99));
        let Latency { median: median_before, p99: p99_before } = self.before;
        let max_p99 = (p99_before * 2).max(TOLERATED + TOLERATED_PER_BUSY_PROCESSOR.mul_f64(busy));
        let max_median = (median_before * 2).max(TOLERATED + TOLERATED_PER_BUSY_PROCESSOR.mul_f64(busy) / 4);
        let figures = format!(
            "{attack}: p99 of the neighbour {p99_before:.1?} before and {p99:.1?} (at most {max_p99:.1?}) during, median \
             {median_before:.1?} and {median:.1?} (at most {max_median:.1?}); others keep {busy:.1} processors busy, {} MiB",
            self.peak_kib() / 1024
        );
        println!("{figures}");
        assert!(p99 <= max_p99 && median <= max_median, "{figures}");
        self.assert_serves();
    }

    /// Checks that the node is ready and that its memory was always bounded.
    pub fn assert_serves(&self) {
        let (code, text) = self.client.get("/readyz");
        assert_eq!(code, 200, "{text}");
        let peak = self.peak_kib();
        assert!(peak <= MAX_RESIDENT_KIB, "{peak} KiB");
    }

    /// Returns how many processors the process uses on average in a window.
    pub async fn processors_used(&self, window: Duration) -> f64 {
        let before = MachineTime::read(self.node.process.pid());
        sleep_until(before.at + window).await;
        MachineTime::read(self.node.process.pid()).processors_of_node_since(&before)
    }

    /// Returns how many descriptors the process has.
    pub fn descriptors(&self) -> usize {
        let path = format!("/proc/{}/fd", self.node.process.pid());
        std::fs::read_dir(path).expect("the process runs").count()
    }

    /// Returns the largest amount of memory that the process has used, in KiB.
    pub fn peak_kib(&self) -> u64 {
        self.memory_kib("VmHWM:")
    }

    /// Returns the memory that the process uses, in KiB.
    pub fn resident_kib(&self) -> u64 {
        self.memory_kib("VmRSS:")
    }

    fn memory_kib(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.node.process.pid()));
        let status = status.unwrap_or_else(|error| panic!("{error}: {}", self.node.process.stderr()));
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        line.and_then(|line| line.trim().split(' ').next()?.parse().ok()).expect("a number")
    }
}
