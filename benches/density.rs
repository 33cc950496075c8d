//! The memory, memory maps and processor time of many idle pods.

use std::fs;
use std::time::{Duration, Instant};

use super::figures::Figure;
use super::native::{Sleepers, field};
use super::pods::{PAUSE, on_node};

struct Usage {
    /// Resident memory and page tables.
    kib: f64,
    maps: f64,
}

fn usage() -> Usage {
    let status = fs::read_to_string("/proc/self/status").expect("/proc");
    let maps = fs::read_to_string("/proc/self/maps").expect("/proc").lines().count();
    Usage { kib: field(&status, "VmRSS:") + field(&status, "VmPTE:"), maps: maps as f64 }
}

/// Returns the processor time of this process.
pub fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Measures `count` idle pods beside as many idle processes, but at most 1,000 of the expensive processes.
pub fn figures(count: usize) -> Vec<Figure> {
    let sleepers = Sleepers::start(count.min(1000));
    std::thread::sleep(Duration::from_millis(300));
    let native = sleepers.kib_each();
    sleepers.end();
    on_node(async |bench| {
        // Lets everything grow that does not depend on the number of pods, such as the threads' arenas.
        in_batches(bench, "w", 200, PAUSE).await;
        let before = usage();
        let took = in_batches(bench, "d", count, PAUSE).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        let after = usage();
        let each = |before: f64, after: f64| (after - before) / count as f64;
        let kib = Figure::new(&format!("idle_pod_kib_{count}"), each(before.kib, after.kib), "KiB");
        let mut figures = vec![kib.at_most(128.0).beside(native)];
        if count == 1000 {
            // Rounded, because the process itself changes its maps now and then.
            let each_maps = (each(before.maps, after.maps) * 100.0).round() / 100.0;
            let maps = Figure::new("maps_per_pod", each_maps, "maps");
            figures.push(maps.at_most(5.0));
            let (start, used) = (Instant::now(), cpu());
            tokio::time::sleep(Duration::from_secs(5)).await;
            let percent = (cpu() - used).as_secs_f64() / start.elapsed().as_secs_f64() * 100.0;
            figures.push(Figure::new("idle_cpu_1000_pods", percent, "%").at_most(0.5));
        } else {
            figures.push(Figure::new(&format!("start_{count}_pods"), took.as_secs_f64(), "s"));
        }
        figures
    })
}

/// Creates pods in batches, no faster than this client reads its watch.
pub async fn in_batches(bench: &mut super::pods::Bench, prefix: &str, count: usize, spec: &str) -> Duration {
    const BATCH: usize = 500;
    let start = Instant::now();
    for first in (0..count).step_by(BATCH) {
        let batch = BATCH.min(count - first);
        for i in first..first + batch {
            bench.create(&format!("{prefix}{i}"), spec).await;
        }
        bench.until_running(batch).await;
    }
    start.elapsed()
}
