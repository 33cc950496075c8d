//! The pace of a program's log lines.
//!
//! A line costs the node the same work whatever its length: bookkeeping, a timestamp, a record in a file. A program that
//! prints nothing but newlines finishes thousands of lines with each write, for next to no processor time of its own. So
//! lines are paced: beyond a burst, a program prints at most so many per second, and waits when it is ahead.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;

/// Time that a line takes of a program that prints without end: 500,000 lines a second, more than a program prints that
/// writes each line by itself.
const LINE_NANOS: u64 = 2_000;
/// Time that a program may be ahead: a burst of 100,000 lines.
const MAX_AHEAD_NANOS: u64 = 200_000_000;

/// The pace of one program.
pub(super) struct LinePace {
    origin: Instant,
    /// The time, in nanoseconds after the origin, until which all finished lines take.
    paid_until: AtomicU64,
}

impl LinePace {
    pub(super) fn new() -> LinePace {
        LinePace { origin: Instant::now(), paid_until: AtomicU64::new(0) }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Records lines that the program has finished.
    pub(super) fn charge(&self, lines: u64) {
        if lines == 0 {
            return;
        }
        let (now, cost) = (self.now(), lines.saturating_mul(LINE_NANOS));
        let _ = self.paid_until.fetch_update(Relaxed, Relaxed, |paid| Some(paid.max(now).saturating_add(cost)));
    }

    /// Returns when the program may print again; `None` if it may print now.
    pub(super) fn wait_until(&self) -> Option<Instant> {
        let allowed = self.paid_until.load(Relaxed).checked_sub(MAX_AHEAD_NANOS)?;
        (allowed > self.now()).then(|| self.origin + Duration::from_nanos(allowed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn lines_beyond_a_burst_are_paced() {
        let pace = LinePace::new();
        pace.charge(100_000);
        assert_eq!(pace.wait_until(), None, "a burst is free");
        pace.charge(500_000);
        let start = Instant::now();
        tokio::time::sleep_until(pace.wait_until().expect("it is ahead")).await;
        assert_eq!((start.elapsed().as_millis(), pace.wait_until()), (1000, None));
        tokio::time::advance(Duration::from_secs(60)).await;
        pace.charge(100_001);
        assert!(pace.wait_until().is_some(), "time without lines is not saved beyond a burst");
    }
}
