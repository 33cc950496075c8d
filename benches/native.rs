//! Native processes, as the yardstick.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Returns how many milliseconds a native program takes from its start to its exit.
pub fn run_true() -> f64 {
    let start = Instant::now();
    let status = command("true").status().expect("true runs");
    assert!(status.success());
    millis(start.elapsed())
}

/// Idle native processes.
pub struct Sleepers(Vec<Child>);

impl Sleepers {
    pub fn start(count: usize) -> Sleepers {
        Sleepers((0..count).map(|_| command("sleep").arg("3600").spawn().expect("sleep starts")).collect())
    }

    /// Returns the private memory and page tables in KiB per process.
    pub fn kib_each(&self) -> f64 {
        let kib = |child: &Child| {
            let rollup = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", child.id())).unwrap_or_default();
            let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
            field(&rollup, "Private_Dirty:") + field(&rollup, "Private_Clean:") + field(&status, "VmPTE:")
        };
        self.0.iter().map(kib).sum::<f64>() / self.0.len() as f64
    }

    pub fn end(mut self) {
        for child in &mut self.0 {
            child.kill().expect("killed");
        }
        for child in &mut self.0 {
            child.wait().expect("exited");
        }
    }
}

fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Returns a field of a file in /proc, in KiB.
pub fn field(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0.0)
}

pub fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
