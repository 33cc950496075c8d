//! The back-off before a container restarts (K27, K28, K32), and before its image is pulled again (K33).

use std::time::Duration;

use super::time::MonoTime;

/// The delay of the second restart; the first is at once.
const INITIAL: Duration = Duration::from_secs(10);
/// The maximum delay.
const MAX: Duration = Duration::from_secs(300);
/// A container that ran for longer has no back-off.
const RESET_AFTER: Duration = Duration::from_secs(600);

/// A container's restart back-off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// `None` before the first restart.
    last: Option<LastRestart>,
    /// The maximum delay, which also limits the initial one.
    max: Duration,
}

impl Default for Backoff {
    fn default() -> Backoff {
        Backoff { last: None, max: MAX }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct LastRestart {
    /// The delay before the next restart.
    delay: Duration,
    at: MonoTime,
}

impl Backoff {
    /// Limits the delay to `max`, and to Kubernetes' own five minutes.
    #[must_use]
    pub fn with_max(self, max: Duration) -> Backoff {
        let max = max.min(MAX);
        let last = self.last.map(|last| LastRestart { delay: last.delay.min(max), ..last });
        Backoff { last, max }
    }

    /// Forgets earlier restarts.
    #[must_use]
    pub fn reset(self) -> Backoff {
        Backoff { last: None, ..self }
    }

    /// Returns the delay before the restart of a container that exited at `finished`.
    pub fn delay(&self, finished: MonoTime) -> Duration {
        match self.last {
            Some(last) if !last.is_stale(finished) => last.delay,
            Some(_) | None => Duration::ZERO,
        }
    }

    /// Records that a container that exited at `finished` restarts `now`.
    pub fn record_restart(&mut self, finished: MonoTime, now: MonoTime) {
        let delay = match self.last {
            Some(last) if !last.is_stale(finished) => (last.delay * 2).min(self.max),
            Some(_) | None => INITIAL.min(self.max),
        };
        self.last = Some(LastRestart { delay, at: now });
    }
}

impl LastRestart {
    /// Returns whether a container that exited at `finished` ran for so long that this restart no longer counts.
    fn is_stale(&self, finished: MonoTime) -> bool {
        finished - self.at > RESET_AFTER
    }
}

/// The back-off of an image that could not be pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ImageBackoff {
    /// The delay after the last failure and when it ends; `None` before the first failure.
    last: Option<(Duration, MonoTime)>,
}

impl ImageBackoff {
    /// Records that the image could not be pulled.
    pub fn record_failure(&mut self, now: MonoTime) {
        let delay = self.last.map_or(INITIAL, |(delay, _)| (delay * 2).min(MAX));
        self.last = Some((delay, now + delay));
    }

    /// Returns when the image may be pulled again; `None` if it may be pulled now.
    pub fn retry_at(&self, now: MonoTime) -> Option<MonoTime> {
        self.last.map(|(_, retry_at)| retry_at).filter(|retry_at| *retry_at > now)
    }
}

/// Formats a duration as Go does (`1m20s`, `5m0s`), without fractions of a second.
pub fn format_go_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{rest}s"),
        (0, _) => format!("{minutes}m{rest}s"),
        _ => format!("{hours}h{minutes}m{rest}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn at(second: u64) -> MonoTime {
        MonoTime::from_origin(secs(second))
    }

    #[test]
    fn delays_double_from_ten_seconds_to_five_minutes() {
        let mut backoff = Backoff::default();
        let mut now = at(1);
        let mut delays = Vec::new();
        for _ in 0..8 {
            let delay = backoff.delay(now);
            delays.push(delay.as_secs());
            let restart = now + delay;
            backoff.record_restart(now, restart);
            now = restart + secs(1);
        }
        assert_eq!(delays, [0, 10, 20, 40, 80, 160, 300, 300]);
    }

    #[test]
    fn run_over_ten_minutes_resets_the_backoff() {
        for (ran, delay) in [(600, 10), (601, 0)] {
            let mut backoff = Backoff::default();
            backoff.record_restart(at(0), at(0));
            assert_eq!(backoff.delay(at(ran)), secs(delay), "after {ran} s");
        }
    }

    #[test]
    fn max_backoff_also_limits_the_initial_delay() {
        for (max, want) in [(1, [0, 1, 1, 1]), (15, [0, 10, 15, 15]), (900, [0, 10, 20, 40])] {
            let mut backoff = Backoff::default().with_max(secs(max));
            let mut delays = [0; 4];
            for delay in &mut delays {
                *delay = backoff.delay(at(9)).as_secs();
                backoff.record_restart(at(9), at(9));
            }
            assert_eq!(delays, want, "max {max} s");
        }
        let mut backoff = Backoff::default();
        (0..5).for_each(|_| backoff.record_restart(at(0), at(0)));
        assert_eq!(backoff.with_max(secs(2)).delay(at(0)), secs(2), "also limits a delay that was longer");
    }

    #[test]
    fn durations_are_formatted_as_go_does() {
        for (seconds, text) in [(10, "10s"), (80, "1m20s"), (160, "2m40s"), (300, "5m0s"), (3600, "1h0m0s")] {
            assert_eq!(format_go_duration(secs(seconds)), text);
        }
    }
}
