//! free: the memory that /proc/meminfo describes, where a container has one. WASI itself tells no limits.

use super::numbers::format_size;
use super::{Options, Outcome, fail};
use crate::proc::Proc;

/// Memory in KiB.
#[derive(Debug, Default, PartialEq)]
struct Memory {
    total: u64,
    free: u64,
    shared: u64,
    /// Buffers and caches.
    cached: u64,
    available: Option<u64>,
    swap_total: u64,
    swap_free: u64,
}

/// Parses /proc/meminfo; `None` without the total.
fn parse(text: &str) -> Option<Memory> {
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    let or_zero = |name: &str| field(name).unwrap_or(0);
    Some(Memory {
        total: field("MemTotal")?,
        free: or_zero("MemFree"),
        shared: or_zero("Shmem"),
        cached: or_zero("Buffers") + or_zero("Cached") + or_zero("SReclaimable"),
        available: field("MemAvailable"),
        swap_total: or_zero("SwapTotal"),
        swap_free: or_zero("SwapFree"),
    })
}

fn format(memory: &Memory, show: &dyn Fn(u64) -> String) -> String {
    let used = memory.total.saturating_sub(memory.free + memory.cached);
    let available = memory.available.unwrap_or(memory.free + memory.cached);
    let row = |name: &str, cells: &[u64]| {
        let cells: String = cells.iter().map(|cell| format!("{:>12}", show(*cell))).collect();
        format!("{name:<7}{cells}\n")
    };
    let titles = "              total        used        free      shared  buff/cache   available\n";
    let swap_used = memory.swap_total.saturating_sub(memory.swap_free);
    titles.to_string()
        + &row("Mem:", &[memory.total, used, memory.free, memory.shared, memory.cached, available])
        + &row("Swap:", &[memory.swap_total, swap_used, memory.swap_free])
}

pub async fn free(p: Proc) -> Outcome {
    let o = Options::parse(&p, "bkmgh").await?;
    let Some(memory) = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| parse(&text)) else {
        return fail(&p, 1, "not supported: the memory limit is not visible to the container").await;
    };
    let show: &dyn Fn(u64) -> String = match o.last_of("bkmgh") {
        Some('b') => &|kib| (kib * 1024).to_string(),
        Some('m') => &|kib| (kib >> 10).to_string(),
        Some('g') => &|kib| (kib >> 20).to_string(),
        Some('h') => &|kib| format_size(kib * 1024),
        _ => &|kib| kib.to_string(),
    };
    p.stdout.write_all(format(&memory, show).as_bytes()).await?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meminfo_becomes_a_table() {
        let text = "MemTotal:  1000 kB\nMemFree:   400 kB\nBuffers: 50 kB\nCached: 150 kB\n";
        let table = format(&parse(text).expect("a total"), &|kib| kib.to_string());
        let line = table.lines().nth(1).expect("a line");
        assert_eq!(line.split_whitespace().collect::<Vec<_>>(), ["Mem:", "1000", "400", "400", "0", "200", "600"]);
        assert_eq!(parse("nothing"), None);
    }
}
