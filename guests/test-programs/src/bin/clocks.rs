//! Guarantee: the monotonic clock advances and never goes back, a sleep takes at least its time, and the wall clock is
//! the host's. `clocks [MILLISECONDS]`.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

fn main() {
    let millis = std::env::args().nth(1).and_then(|a| a.parse().ok()).unwrap_or(50);
    let start = Instant::now();
    let mut last = start;
    for _ in 0..1000 {
        let now = Instant::now();
        assert!(now >= last, "the monotonic clock went back");
        last = now;
    }
    std::thread::sleep(Duration::from_millis(millis));
    let slept = start.elapsed();
    println!("slept enough: {}", slept >= Duration::from_millis(millis));
    println!("slept {} ms", slept.as_millis());
    println!("wall {}", SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()));
}
