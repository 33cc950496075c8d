//! How busy the machine is with other work, which disturbs what is measured.

use std::fs;

/// Processor times in clock ticks: of the machine, and of the processes that this one has waited for.
#[derive(Clone, Copy)]
pub struct ProcessorTimes {
    total: f64,
    idle: f64,
    children: f64,
}

impl ProcessorTimes {
    pub fn now() -> ProcessorTimes {
        let machine = numbers(&fs::read_to_string("/proc/stat").expect("the machine's times"), 1);
        let own = fs::read_to_string("/proc/self/stat").expect("the process's times");
        // The program's name, in parentheses, may contain spaces.
        let own = numbers(own.rsplit_once(')').expect("a name").1, 1);
        // Time of guests is part of the user's time.
        ProcessorTimes { total: machine[..8].iter().sum(), idle: machine[3] + machine[4], children: own[12] + own[13] }
    }

    /// Returns the percentage of the machine's processor time that other processes have taken since `self`.
    pub fn other_work(self) -> f64 {
        let now = ProcessorTimes::now();
        let (total, idle) = (now.total - self.total, now.idle - self.idle);
        let others = total - idle - (now.children - self.children);
        (100.0 * others / total.max(1.0)).clamp(0.0, 100.0)
    }
}

/// Returns the numbers of the first line, after `skipped` words.
fn numbers(text: &str, skipped: usize) -> Vec<f64> {
    let first = text.lines().next().unwrap_or_default();
    first.split_whitespace().skip(skipped).map(|word| word.parse().unwrap_or(0.0)).collect()
}
