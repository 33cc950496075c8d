//! Guarantee: a guest that sleeps costs no CPU and can be killed at once. `block_sleep [SECONDS]`.

use std::time::Duration;

fn main() {
    let seconds = std::env::args().nth(1).and_then(|a| a.parse().ok()).unwrap_or(1_000_000.0);
    println!("sleeping");
    std::thread::sleep(Duration::from_secs_f64(seconds));
    println!("awake");
}
