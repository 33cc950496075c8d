//! free: the memory of the container, which the host tells (`wasmpod:resources`). There are no buffers, no caches and no
//! swap.

use resources::Memory;

use super::numbers::format_size;
use super::{Options, Outcome};
use crate::proc::Proc;

fn format(memory: &Memory, show: &dyn Fn(u64) -> String) -> String {
    let row = |name: &str, cells: &[u64]| {
        let cells: String = cells.iter().map(|cell| format!("{:>12}", show(*cell))).collect();
        format!("{name:<7}{cells}\n")
    };
    // Whole kibibytes, so that the columns add up.
    let used = memory.used.next_multiple_of(1 << 10);
    let (free, available) = (memory.limit.saturating_sub(used), memory.available >> 10 << 10);
    let titles = "              total        used        free      shared  buff/cache   available\n";
    titles.to_string() + &row("Mem:", &[memory.limit, used, free, 0, 0, available]) + &row("Swap:", &[0, 0, 0])
}

pub async fn free(p: Proc) -> Outcome {
    let o = Options::parse(&p, "bkmgh").await?;
    let show: &dyn Fn(u64) -> String = match o.last_of("bkmgh") {
        Some('b') => &|bytes| bytes.to_string(),
        Some('m') => &|bytes| (bytes >> 20).to_string(),
        Some('g') => &|bytes| (bytes >> 30).to_string(),
        Some('h') => &format_size,
        _ => &|bytes| (bytes >> 10).to_string(),
    };
    p.stdout.write_all(format(&resources::memory(), show).as_bytes()).await?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_looks_as_in_busybox() {
        let memory = Memory { limit: 64 << 20, used: 3 << 20, available: 40 << 20 };
        let expected = "              total        used        free      shared  buff/cache   available\n\
                        Mem:          65536        3072       62464           0           0       40960\n\
                        Swap:             0           0           0\n";
        assert_eq!(format(&memory, &|bytes| (bytes >> 10).to_string()), expected);
        let part = Memory { used: memory.used - 8, ..memory };
        assert_eq!(format(&part, &|bytes| (bytes >> 10).to_string()), expected);
    }
}
