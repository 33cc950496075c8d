//! How long a container waits before it runs again (K27, K28, K32), or before its image is asked for again (K33).

use std::time::Duration;

/// The first wait, which the second restart sees: the first is at once.
const INITIAL: Duration = Duration::from_secs(10);
/// No wait is longer.
const MAX: Duration = Duration::from_secs(300);
/// A container that ran for longer begins anew, however short its waits are.
const FORGOTTEN: Duration = Duration::from_secs(600);

/// A container's back-off; nothing until its first restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    entry: Option<Entry>,
    /// No wait is longer, the first one included.
    most: Duration,
}

impl Default for Backoff {
    fn default() -> Backoff {
        Backoff { entry: None, most: MAX }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    delay: Duration,
    /// When the last restart was.
    since: Duration,
}

impl Backoff {
    /// The same with no wait longer than `most`, nor than Kubernetes' own five minutes.
    #[must_use]
    pub fn up_to(self, most: Duration) -> Backoff {
        let most = most.min(MAX);
        let entry = self.entry.map(|entry| Entry { delay: entry.delay.min(most), ..entry });
        Backoff { entry, most }
    }

    /// The same without a past.
    #[must_use]
    pub fn forgotten(self) -> Backoff {
        Backoff { entry: None, ..self }
    }

    /// The wait that a container which ended at `finished` has to serve; zero restarts at once.
    pub fn delay(&self, finished: Duration) -> Duration {
        match self.entry {
            Some(entry) if !entry.is_stale(finished) => entry.delay,
            Some(_) | None => Duration::ZERO,
        }
    }

    /// A container that ended at `finished` is restarted `now`.
    pub fn restarted(&mut self, finished: Duration, now: Duration) {
        let delay = match self.entry {
            Some(entry) if !entry.is_stale(finished) => (entry.delay * 2).min(self.most),
            Some(_) | None => INITIAL.min(self.most),
        };
        self.entry = Some(Entry { delay, since: now });
    }
}

impl Entry {
    /// Whether the container ran for so long that its past is forgotten.
    fn is_stale(&self, finished: Duration) -> bool {
        finished.saturating_sub(self.since) > FORGOTTEN
    }
}

/// How long an image that could not be had is not asked for; nothing until it failed once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ImageBackoff {
    /// The wait, and when it is over.
    wait: Option<(Duration, Duration)>,
}

impl ImageBackoff {
    /// The image could not be had `now`.
    pub fn failed(&mut self, now: Duration) {
        let delay = self.wait.map_or(INITIAL, |(delay, _)| (delay * 2).min(MAX));
        self.wait = Some((delay, now + delay));
    }

    /// Until when the image is not asked for, where that lies ahead of `now`.
    pub fn until(&self, now: Duration) -> Option<Duration> {
        self.wait.map(|(_, until)| until).filter(|until| *until > now)
    }
}

/// A duration as Go prints it (`1m20s`, `5m0s`).
pub fn go_duration(duration: Duration) -> String {
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

    #[test]
    fn k27_waits_double_from_ten_seconds_to_five_minutes() {
        let mut backoff = Backoff::default();
        let mut now = secs(1);
        let mut waits = Vec::new();
        for _ in 0..8 {
            let wait = backoff.delay(now);
            waits.push(wait.as_secs());
            let restart = now + wait;
            backoff.restarted(now, restart);
            now = restart + secs(1);
        }
        assert_eq!(waits, [0, 10, 20, 40, 80, 160, 300, 300]);
    }

    #[test]
    fn k28_ten_good_minutes_are_a_new_beginning() {
        for (ran, wait) in [(600, 10), (601, 0)] {
            let mut backoff = Backoff::default();
            backoff.restarted(secs(0), secs(0));
            assert_eq!(backoff.delay(secs(ran)), secs(wait), "after {ran} s");
        }
    }

    #[test]
    fn k32_a_nodes_longest_wait_bounds_the_first_one_too() {
        for (most, waits) in [(1, [0, 1, 1, 1]), (15, [0, 10, 15, 15]), (900, [0, 10, 20, 40])] {
            let mut backoff = Backoff::default().up_to(secs(most));
            let mut served = [0; 4];
            for wait in &mut served {
                *wait = backoff.delay(secs(9)).as_secs();
                backoff.restarted(secs(9), secs(9));
            }
            assert_eq!(served, waits, "at most {most} s");
        }
        let mut backoff = Backoff::default();
        (0..5).for_each(|_| backoff.restarted(secs(0), secs(0)));
        assert_eq!(backoff.up_to(secs(2)).delay(secs(0)), secs(2), "whatever was before");
    }

    #[test]
    fn k30_durations_read_as_gos() {
        for (seconds, text) in [(10, "10s"), (80, "1m20s"), (160, "2m40s"), (300, "5m0s"), (3600, "1h0m0s")] {
            assert_eq!(go_duration(secs(seconds)), text);
        }
    }
}
