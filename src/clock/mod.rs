//! Time, from one value: monotonic for intervals, wall for what is shown.
//!
//! Everything above asks a [`Clock`] and never the system. Monotonic time is tokio's, so a test
//! that pauses tokio pauses the house; and it may run faster than the system's, for all that ask it
//! alike, guests included ([`Clock::faster`]), so that a back-off of minutes takes milliseconds.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::lifecycle::Now;

/// Waits that reach past this never end; tokio's timers can't look further.
const FOREVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// The house's time. Copies agree.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
    /// The wall time at `start` where wall time follows monotonic time; `None` asks the system.
    wall_at_start: Option<Timestamp>,
    /// Seconds of the house per second of the system.
    speed: u32,
}

impl Clock {
    /// The system's time.
    pub fn system() -> Clock {
        Clock { start: Instant::now(), wall_at_start: None, speed: 1 }
    }

    /// Time that begins at `wall` and goes as tokio's does; for tests.
    pub fn starting_at(wall: Timestamp) -> Clock {
        Clock { start: Instant::now(), wall_at_start: Some(wall), speed: 1 }
    }

    /// Time that goes `times` as fast from now on, monotonic and wall.
    pub fn faster(self, times: u32) -> Clock {
        match times {
            0 | 1 => self,
            _ => Clock { wall_at_start: Some(self.now().wall), speed: times, start: Instant::now() },
        }
    }

    /// This moment.
    pub fn now(&self) -> Now {
        let mono = self.mono();
        Now { mono, wall: self.wall_at(mono) }
    }

    /// This moment's monotonic time alone.
    pub fn mono(&self) -> Duration {
        self.start.elapsed().saturating_mul(self.speed)
    }

    /// This moment's wall time alone.
    pub fn wall(&self) -> Timestamp {
        match self.wall_at_start {
            Some(_) => self.wall_at(self.mono()),
            None => Timestamp::now(),
        }
    }

    fn wall_at(&self, mono: Duration) -> Timestamp {
        match self.wall_at_start {
            Some(wall) => wall.saturating_add(mono).unwrap_or(wall),
            None => Timestamp::now(),
        }
    }

    /// Seconds of the house per second of the system.
    pub fn speed(&self) -> u32 {
        self.speed
    }

    /// The tokio instant at which `mono` will have come.
    pub fn instant(&self, mono: Duration) -> Instant {
        let real = mono / self.speed;
        // A multiple of the speed may be lost in the division: later rather than too early.
        let real = if self.speed == 1 { real } else { real.saturating_add(Duration::from_nanos(1)) };
        self.start + real.min(FOREVER)
    }

    /// Waits until `mono` has come.
    pub async fn sleep_until(&self, mono: Duration) {
        tokio::time::sleep_until(self.instant(mono)).await;
    }

    /// Waits for as long as `duration` takes in the house.
    pub async fn sleep(&self, duration: Duration) {
        self.sleep_until(self.mono().saturating_add(duration)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_faster_clock_goes_on_from_where_it_was_and_ends_waits_early() {
        let wall: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
        let slow = Clock::starting_at(wall);
        let seconds = Duration::from_secs;
        slow.sleep(seconds(10)).await;
        let fast = slow.faster(1000);
        let begun = Instant::now();
        assert_eq!(fast.now(), Now { mono: Duration::ZERO, wall: wall + seconds(10) });
        fast.sleep(seconds(300)).await;
        let real = begun.elapsed();
        assert!((300..303).contains(&real.as_millis()), "{real:?}");
        let now = fast.now();
        assert!(now.mono >= seconds(300) && now.mono < seconds(303), "{now:?}");
        assert_eq!(now.wall, wall + seconds(10) + now.mono);
        assert_eq!(slow.now().mono, seconds(10) + real);
    }

    #[tokio::test(start_paused = true)]
    async fn no_wait_ends_too_early_at_any_speed_nor_panics() {
        for speed in [1, 2, 3, 7, 60, 1000, u32::MAX] {
            let clock = Clock::system().faster(speed);
            for wait in [Duration::ZERO, Duration::from_nanos(1), Duration::from_micros(1234), Duration::from_secs(61)]
            {
                let until = clock.now().mono + wait;
                clock.sleep_until(until).await;
                assert!(clock.now().mono >= until, "{wait:?} at {speed}");
            }
            clock.instant(Duration::MAX);
        }
    }
}
