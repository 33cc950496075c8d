//! Guarantee: a guest that only computes can be killed, stays within its CPU limit and does not delay the timers of
//! other guests. Spins for ever, or for `spin SECONDS`.

use std::hint::black_box;
use std::time::{Duration, Instant};

fn main() {
    println!("spinning");
    let limit = std::env::args().nth(1).and_then(|a| a.parse().ok()).map(Duration::from_secs_f64);
    let start = Instant::now();
    let mut rounds = 0u64;
    loop {
        // Long stretches without a host call.
        for i in 0..10_000_000u64 {
            black_box(i);
        }
        rounds += 1;
        if limit.is_some_and(|l| start.elapsed() >= l) {
            println!("{rounds} rounds");
            return;
        }
    }
}
