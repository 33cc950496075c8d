//! The node's time: monotonic for intervals, wall-clock for statuses and events.
//!
//! Higher layers read a [`Clock`] and never the system's. Monotonic time is tokio's, so a test that pauses tokio pauses
//! the node. A clock may run faster than the system's ([`Clock::with_speed`]), for guests too, so that a back-off of
//! minutes takes milliseconds.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::lifecycle::{MonoTime, Now};

/// The maximum wait: tokio's timers do not reach further.
const MAX_WAIT: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// The node's clock. Copies agree.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
    /// The wall time at `start` if wall time follows monotonic time; `None` reads the system's.
    wall_at_start: Option<Timestamp>,
    /// Seconds of this clock per second of the system.
    speed: u32,
}

impl Clock {
    /// Returns a clock with the system's time.
    pub fn system() -> Clock {
        Clock { start: Instant::now(), wall_at_start: None, speed: 1 }
    }

    /// Returns a clock that starts at `wall` and follows tokio's time; for tests.
    pub fn starting_at(wall: Timestamp) -> Clock {
        Clock { start: Instant::now(), wall_at_start: Some(wall), speed: 1 }
    }

    /// Returns a clock that runs `speed` times as fast from now on, monotonic and wall.
    pub fn with_speed(self, speed: u32) -> Clock {
        match speed {
            0 | 1 => self,
            _ => Clock { wall_at_start: Some(self.now().wall), speed, start: Instant::now() },
        }
    }

    /// Returns the current moment.
    pub fn now(&self) -> Now {
        let mono = self.mono();
        Now { mono, wall: self.wall_at(mono) }
    }

    /// Returns the current monotonic time.
    pub fn mono(&self) -> MonoTime {
        MonoTime::from_origin(self.start.elapsed().saturating_mul(self.speed))
    }

    /// Returns the current wall time.
    pub fn wall(&self) -> Timestamp {
        match self.wall_at_start {
            Some(_) => self.wall_at(self.mono()),
            None => Timestamp::now(),
        }
    }

    fn wall_at(&self, mono: MonoTime) -> Timestamp {
        match self.wall_at_start {
            Some(wall) => wall.saturating_add(mono.since_origin()).unwrap_or(wall),
            None => Timestamp::now(),
        }
    }

    /// Returns the seconds of this clock per second of the system.
    pub fn speed(&self) -> u32 {
        self.speed
    }

    /// Returns the tokio instant at which this clock reaches `mono`.
    pub fn instant(&self, mono: MonoTime) -> Instant {
        let real = mono.since_origin() / self.speed;
        // The division rounds down; a nanosecond more, so that waits never end early.
        let real = if self.speed == 1 { real } else { real.saturating_add(Duration::from_nanos(1)) };
        self.start + real.min(MAX_WAIT)
    }

    /// Waits until this clock reaches `mono`.
    pub async fn sleep_until(&self, mono: MonoTime) {
        let instant = self.instant(mono);
        // Tokio fires even a timer that is due at its next millisecond only.
        if instant > Instant::now() {
            tokio::time::sleep_until(instant).await;
        }
    }

    /// Waits for `duration` of this clock's time.
    pub async fn sleep(&self, duration: Duration) {
        self.sleep_until(self.mono() + duration).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn faster_clock_continues_and_shortens_waits() {
        let wall: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
        let slow = Clock::starting_at(wall);
        let seconds = Duration::from_secs;
        slow.sleep(seconds(10)).await;
        let fast = slow.with_speed(1000);
        let begun = Instant::now();
        assert_eq!(fast.now(), Now { mono: MonoTime::ORIGIN, wall: wall + seconds(10) });
        fast.sleep(seconds(300)).await;
        let real = begun.elapsed();
        assert!((300..303).contains(&real.as_millis()), "{real:?}");
        let now = fast.now();
        let passed = now.mono.since_origin();
        assert!(passed >= seconds(300) && passed < seconds(303), "{now:?}");
        assert_eq!(now.wall, wall + seconds(10) + passed);
        assert_eq!(slow.now().mono, MonoTime::from_origin(seconds(10) + real));
    }

    #[tokio::test(start_paused = true)]
    async fn waits_never_end_early_at_any_speed() {
        for speed in [1, 2, 3, 7, 60, 1000, u32::MAX] {
            let clock = Clock::system().with_speed(speed);
            for wait in [Duration::ZERO, Duration::from_nanos(1), Duration::from_micros(1234), Duration::from_secs(61)]
            {
                let until = clock.now().mono + wait;
                clock.sleep_until(until).await;
                assert!(clock.now().mono >= until, "{wait:?} at {speed}");
            }
            clock.instant(MonoTime::from_origin(Duration::MAX));
        }
    }
}
