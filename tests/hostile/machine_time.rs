//! Processor time of the machine: of a node, and of programs that have nothing to do with a test.

use std::time::Instant;

use rustix::param::clock_ticks_per_second;

/// Processor time in seconds, used until a point in time.
pub struct MachineTime {
    pub at: Instant,
    all: f64,
    node: f64,
    test: f64,
}

impl MachineTime {
    /// Reads the time that the node with this process ID, this process and the whole machine have used.
    pub fn read(node: u32) -> MachineTime {
        let machine = std::fs::read_to_string("/proc/stat").expect("/proc");
        // The first line: user, nice, system, idle, iowait and further ones, of all processors.
        let fields = numbers(machine.lines().next().and_then(|line| line.strip_prefix("cpu ")).expect("a sum"));
        let all = fields[0] + fields[1] + fields[2];
        MachineTime { at: Instant::now(), all, node: process_time(&node.to_string()), test: process_time("self") }
    }

    /// Returns how many processors the node used on average since `before`.
    pub fn processors_of_node_since(&self, before: &MachineTime) -> f64 {
        (self.node - before.node) / (self.at - before.at).as_secs_f64()
    }

    /// Returns how many processors all but the node and the test used on average since `before`.
    pub fn processors_of_others_since(&self, before: &MachineTime) -> f64 {
        let all = (self.all - before.all) / (self.at - before.at).as_secs_f64();
        let test = (self.test - before.test) / (self.at - before.at).as_secs_f64();
        (all - test - self.processors_of_node_since(before)).max(0.0)
    }
}

/// Returns the user and system time of a process in seconds.
fn process_time(process: &str) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("the process runs");
    // The name in parentheses may contain anything.
    let fields = stat.rsplit(") ").next().and_then(|rest| rest.split_once(' ')).expect("fields").1;
    let fields = numbers(fields);
    fields[10] + fields[11]
}

/// Parses numbers of clock ticks as seconds.
fn numbers(text: &str) -> Vec<f64> {
    let ticks = text.split_whitespace().map(|ticks| ticks.parse::<f64>().expect("a number"));
    ticks.map(|ticks| ticks / clock_ticks_per_second() as f64).collect()
}
