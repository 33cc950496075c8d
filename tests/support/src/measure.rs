//! Measuring how long something takes on a machine that other tests keep busy.

use std::time::{Duration, Instant};

/// Returns how long `action` takes.
pub fn measure(action: impl FnOnce()) -> Duration {
    let start = Instant::now();
    action();
    start.elapsed()
}

/// Returns the shortest of three measurements. Other tests keep the machine busy; the best run shows what wasmpod
/// itself takes.
pub async fn in_the_best_of_three(mut measured: impl AsyncFnMut() -> Duration) -> Duration {
    let mut best = Duration::MAX;
    for _ in 0..3 {
        best = best.min(measured().await);
    }
    best
}
