//! Time, from one value: monotonic for intervals, wall for what is shown.
//!
//! Everything above asks a [`Clock`] and never the system. Monotonic time is tokio's, so a test
//! that pauses tokio pauses the house.

use jiff::Timestamp;
use tokio::time::Instant;

use crate::lifecycle::Now;

/// The house's time. Copies agree.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
    /// The wall time at `start` where wall time follows monotonic time; `None` asks the system.
    wall_at_start: Option<Timestamp>,
}

impl Clock {
    /// The system's time.
    pub fn system() -> Clock {
        Clock { start: Instant::now(), wall_at_start: None }
    }

    /// Time that begins at `wall` and goes as tokio's does; for tests.
    pub fn starting_at(wall: Timestamp) -> Clock {
        Clock { start: Instant::now(), wall_at_start: Some(wall) }
    }

    /// This moment.
    pub fn now(&self) -> Now {
        let mono = self.start.elapsed();
        let wall = match self.wall_at_start {
            Some(wall) => wall.saturating_add(mono).unwrap_or(wall),
            None => Timestamp::now(),
        };
        Now { mono, wall }
    }

    /// Waits for `span` of this clock's time.
    pub async fn sleep(&self, span: std::time::Duration) {
        tokio::time::sleep_until(self.instant(self.now().mono + span)).await;
    }

    /// The tokio instant at which `mono` will have come.
    pub fn instant(&self, mono: std::time::Duration) -> Instant {
        self.start + mono
    }
}
